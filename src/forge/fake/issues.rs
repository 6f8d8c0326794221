//! Issues (`docs/FORGEJO.md` 6): what cockpit files under its visitor's name.

use axum::http::StatusCode;

use super::account_pages::is_visible;
use super::api::page;
use super::api_json;
use super::ask::Ask;
use super::caller::{check_scope, identify};
use super::json_body::{Members, invalid};
use super::reply::{Answer, Reply};
use super::repositories::named;
use super::rows::Issue;
use super::server::Forge;
use super::world::MOST_ROWS;

/// The longest title, in bytes; longer ones are cut and end in an ellipsis.
const LONGEST_TITLE: usize = 255;

/// In this order: scope, repository (renamed, invisible), sign-in, archive, body. There is no idempotency key.
pub(super) fn create(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["write:issue"])?;
    let id = named(forge, &world, ask, caller.as_ref())?;
    let Some(caller) = caller else {
        return Err(Reply::api_error(forge, StatusCode::UNAUTHORIZED, "token is required"));
    };
    let owner = world.repositories.get(&id).and_then(|repository| world.users.get(&repository.owner));
    let owner = owner.map(|owner| owner.login.clone()).unwrap_or_default();
    let issue_id = world.next_id("issue");
    let repository = world.repositories.get_mut(&id).ok_or_else(|| Reply::api_not_found(forge))?;
    if repository.archived_at.is_some() {
        let words = format!("<Repository {id}:{owner}/{}> is archived", repository.name);
        return Err(Reply::api_error(forge, StatusCode::LOCKED, &words));
    }
    let members = Members::of(forge, ask)?;
    let title = members.text_or_empty("title").trim();
    if title.is_empty() {
        return Err(invalid(forge, "Title", "Required"));
    }
    if repository.issues.len() >= MOST_ROWS {
        return Err(Reply::empty(StatusCode::INSUFFICIENT_STORAGE));
    }
    let number = repository.issues.last().map_or(1, |issue| issue.number + 1);
    repository.issues.push(Issue {
        id: issue_id,
        number,
        author: caller.user,
        title: cut(title),
        body: members.text_or_empty("body").to_owned(),
        closed: members.flag("closed").unwrap_or(false),
        created: forge.now(),
    });
    answer(forge, &world, id, number, StatusCode::CREATED, Some(caller.user))
}

/// Forgejo's `EllipsisString` at 255 bytes: whole letters, and a sign that something is missing.
fn cut(title: &str) -> String {
    if title.len() <= LONGEST_TITLE {
        return title.to_owned();
    }
    let mut kept = String::new();
    for sign in title.chars() {
        if kept.len() + sign.len_utf8() > LONGEST_TITLE - '…'.len_utf8() {
            break;
        }
        kept.push(sign);
    }
    format!("{kept}…")
}

fn answer(
    forge: &Forge,
    world: &super::world::World,
    id: u64,
    number: u64,
    status: StatusCode,
    viewer: Option<u64>,
) -> Answer {
    let found = world.repositories.get(&id).and_then(|repository| {
        let issue = repository.issues.iter().find(|issue| issue.number == number)?;
        Some(api_json::issue(forge, world, repository, issue, viewer))
    });
    found.map(|body| Reply::json(status, &body)).ok_or_else(|| Reply::api_not_found(forge))
}

pub(super) fn show(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["read:issue"])?;
    let id = named(forge, &world, ask, caller.as_ref())?;
    answer(forge, &world, id, ask.number("number"), StatusCode::OK, caller.map(|caller| caller.user))
}

/// Newest first, open ones only unless all are asked for.
pub(super) fn list(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["read:issue"])?;
    let id = named(forge, &world, ask, caller.as_ref())?;
    let viewer = caller.map(|caller| caller.user);
    let repository = world.repositories.get(&id).ok_or_else(|| Reply::api_not_found(forge))?;
    let state = ask.query("state").unwrap_or("open");
    let shown = repository.issues.iter().rev().filter(|issue| match state {
        "all" => true,
        "closed" => issue.closed,
        _ => !issue.closed,
    });
    let rows = shown.map(|issue| api_json::issue(forge, &world, repository, issue, viewer)).collect();
    Ok(page(forge, ask, rows))
}

/// Issues of all repositories that the caller sees.
pub(super) fn search(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["read:issue"])?;
    let viewer = caller.map(|caller| caller.user);
    let seen = world.repositories.values().filter(|repository| is_visible(&world, repository, viewer));
    let rows = seen
        .flat_map(|repository| repository.issues.iter().rev().map(move |issue| (repository, issue)))
        .filter(|(_, issue)| !issue.closed)
        .map(|(repository, issue)| api_json::issue(forge, &world, repository, issue, viewer))
        .collect();
    Ok(page(forge, ask, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_title_is_cut_at_255_bytes_between_letters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"a".repeat(255)).len(), 255);
        let cut = cut(&"é".repeat(300));
        assert!(cut.len() <= 255 && cut.ends_with("é…"));
    }
}
