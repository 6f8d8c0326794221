//! Rows as the API shows them: all members of Forgejo's structs, in its types.

use serde_json::{Value, json};

use super::rows::{Application, Issue, Repository, User};
use super::server::Forge;
use super::settings::FakeVersion;
use super::tokens::put;
use super::world::World;
use crate::base::clock::Timestamp;

/// Who looks at a user: themself and site admins see all, others the public part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Full,
    Public,
}

/// What `viewer` may see of `user`.
pub(super) fn view_of(world: &World, user: &User, viewer: Option<u64>) -> View {
    let viewer = viewer.and_then(|viewer| world.users.get(&viewer));
    if viewer.is_some_and(|viewer| viewer.id == user.id || viewer.is_admin()) {
        View::Full
    } else {
        View::Public
    }
}

/// A time as RFC 3339 in UTC.
pub(super) fn time(at: Timestamp) -> String {
    let (days, rest) = (at.secs() / 86_400, at.secs() % 86_400);
    // Days to a date: H. Hinnant, "chrono-compatible low-level date algorithms", for days since 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

pub(super) fn user(forge: &Forge, user: &User, view: View) -> Value {
    let full = view == View::Full;
    json!({
        "id": user.id,
        "login": user.login,
        "login_name": if full { user.login_name.as_str() } else { "" },
        "source_id": if full { user.source_id } else { 0 },
        "full_name": user.full_name,
        "email": user.email,
        "avatar_url": forge.avatar(user),
        "html_url": forge.link(&user.login),
        "language": if full { user.language.as_str() } else { "" },
        "is_admin": full && user.is_admin(),
        "last_login": if full { time(user.last_login) } else { "0001-01-01T00:00:00Z".to_owned() },
        "created": time(user.created),
        "restricted": full && user.restricted,
        "active": full && user.active,
        "prohibit_login": full && user.prohibit_login,
        "location": user.location,
        "pronouns": "",
        "website": user.website,
        "description": user.description,
        "visibility": user.visibility,
        "followers_count": 0,
        "following_count": 0,
        "starred_repos_count": 0,
        "username": user.login,
    })
}

pub(super) fn application(application: &Application, secret: &str) -> Value {
    json!({
        "id": application.id,
        "name": application.name,
        "client_id": application.client_id,
        "client_secret": secret,
        "confidential_client": application.confidential,
        "redirect_uris": application.redirect_uris,
        "created": time(application.created),
    })
}

pub(super) fn issue(
    forge: &Forge,
    world: &World,
    repository: &Repository,
    issue: &Issue,
    viewer: Option<u64>,
) -> Value {
    let owner = world.users.get(&repository.owner).map_or("", |owner| owner.login.as_str());
    let full_name = format!("{owner}/{}", repository.name);
    let author = world.users.get(&issue.author);
    json!({
        "id": issue.id,
        "url": forge.link(&format!("api/v1/repos/{full_name}/issues/{}", issue.number)),
        "html_url": forge.link(&format!("{full_name}/issues/{}", issue.number)),
        "number": issue.number,
        "user": author.map(|author| user(forge, author, view_of(world, author, viewer))),
        "original_author": "",
        "original_author_id": 0,
        "title": issue.title,
        "body": issue.body,
        "ref": "",
        "assets": [],
        "labels": [],
        "milestone": null,
        "assignee": null,
        "assignees": null,
        "state": if issue.closed { "closed" } else { "open" },
        "is_locked": false,
        "comments": 0,
        "created_at": time(issue.created),
        "updated_at": time(issue.created),
        "closed_at": issue.closed.then(|| time(issue.created)),
        "due_date": null,
        "pull_request": null,
        "repository": {
            "id": repository.id, "name": repository.name, "owner": owner, "full_name": full_name,
        },
        "pin_order": 0,
    })
}

pub(super) fn repository(
    forge: &Forge,
    world: &World,
    repository: &Repository,
    viewer: Option<u64>,
) -> Value {
    let Some(owner) = world.users.get(&repository.owner) else { return Value::Null };
    let full_name = format!("{}/{}", owner.login, repository.name);
    let viewer = viewer.and_then(|viewer| world.users.get(&viewer));
    let master = viewer.is_some_and(|viewer| viewer.id == repository.owner || viewer.is_admin());
    let open = repository.issues.iter().filter(|issue| !issue.closed).count();
    let mut body = json!({
        "id": repository.id,
        "owner": user(forge, owner, View::Public),
        "name": repository.name,
        "full_name": full_name,
        "description": repository.description,
        "private": repository.private,
        "size": 24,
        "languages_url": forge.link(&format!("api/v1/repos/{full_name}/languages")),
        "html_url": forge.link(&full_name),
        "url": forge.link(&format!("api/v1/repos/{full_name}")),
        "ssh_url": format!("ssh://git@localhost/{full_name}.git"),
        "clone_url": forge.link(&format!("{full_name}.git")),
        "open_issues_count": open,
        "archived": repository.archived_at.is_some(),
        "created_at": time(repository.created),
        "updated_at": time(repository.updated),
        "archived_at": time(repository.archived_at.unwrap_or_default()),
        "permissions": {"admin": master, "push": master, "pull": true},
        "topics": match forge.settings.version { FakeVersion::V15 => json!([]), FakeVersion::V11 => Value::Null },
    });
    if let Ok(Value::Object(same)) = serde_json::from_str(REPOSITORY_CONSTANTS) {
        for (name, value) in same {
            put(&mut body, &name, Some(value));
        }
    }
    if forge.settings.version == FakeVersion::V15 {
        put(&mut body, "has_wiki_contents", Some(false.into()));
        put(&mut body, "wiki_ssh_url", Some(format!("ssh://git@localhost/{full_name}.wiki.git").into()));
        put(&mut body, "wiki_clone_url", Some(forge.link(&format!("{full_name}.wiki.git")).into()));
    }
    body
}

/// The same for all repositories here: they hold issues and nothing else.
const REPOSITORY_CONSTANTS: &str = r#"{
    "empty": true, "fork": false, "template": false, "parent": null, "mirror": false, "language": "", "link": "",
    "original_url": "", "website": "", "stars_count": 0, "forks_count": 0, "watchers_count": 1, "open_pr_counter": 0,
    "release_counter": 0, "default_branch": "main", "has_issues": true, "internal_tracker": {"enable_time_tracker": true,
    "allow_only_contributors_to_track_time": true, "enable_issue_dependencies": true}, "has_wiki": true,
    "wiki_branch": "main", "globally_editable_wiki": false, "has_pull_requests": true, "has_projects": true,
    "has_releases": true, "has_packages": true, "has_actions": false, "ignore_whitespace_conflicts": false,
    "allow_merge_commits": true, "allow_rebase": true, "allow_rebase_explicit": true, "allow_squash_merge": true,
    "allow_fast_forward_only_merge": true, "allow_rebase_update": true, "default_delete_branch_after_merge": false,
    "default_merge_style": "merge", "default_allow_maintainer_edit": false, "default_update_style": "merge",
    "avatar_url": "", "internal": false, "mirror_interval": "", "object_format_name": "sha1",
    "mirror_updated": "0001-01-01T00:00:00Z", "repo_transfer": null
}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_319_162, "2026-11-22T03:46:02Z"),
        ] {
            assert_eq!(time(Timestamp::from_secs(secs)), text);
        }
    }
}
