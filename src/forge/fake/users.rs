//! Users about themselves and each other; personal tokens; organizations as far as they are names.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::api::{found, page, user_named};
use super::api_json::{self, View, view_of};
use super::ask::Ask;
use super::caller::{Proof, check_scope, identify, require};
use super::json_body::{Members, invalid};
use super::names;
use super::power::is_word;
use super::reply::{Answer, Reply};
use super::rows::{Hashed, Kind, PersonalToken, User};
use super::server::Forge;
use super::settings::FakeVersion;
use super::tokens::put;

pub(super) fn me(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = require(forge, &world, ask, &["read:user"])?;
    let user = world.users.get(&caller.user).ok_or_else(|| Reply::api_not_found(forge))?;
    Ok(Reply::json(StatusCode::OK, &api_json::user(forge, user, View::Full)))
}

pub(super) fn change_settings(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let caller = require(forge, &world, ask, &["write:user"])?;
    let members = Members::of(forge, ask)?;
    let user = world.users.get_mut(&caller.user).ok_or_else(|| Reply::api_not_found(forge))?;
    for (name, place) in [
        ("full_name", &mut user.full_name),
        ("website", &mut user.website),
        ("description", &mut user.description),
        ("location", &mut user.location),
    ] {
        if let Some(text) = members.text(name) {
            text.clone_into(place);
        }
    }
    let body = json!({
        "full_name": user.full_name, "website": user.website, "description": user.description,
        "location": user.location, "pronouns": "", "language": user.language, "theme": "forgejo-auto",
        "diff_view_style": "", "enable_repo_unit_hints": false, "hide_email": false, "hide_pronouns": false,
        "hide_activity": false,
    });
    Ok(Reply::json(StatusCode::OK, &body))
}

/// Organizations answer too, with no sign of what they are.
pub(super) fn show(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["read:user"])?;
    let user = user_named(forge, &world, ask, ask.param("login"))?;
    let view = view_of(&world, user, caller.map(|caller| caller.user));
    Ok(Reply::json(StatusCode::OK, &api_json::user(forge, user, view)))
}

/// People only, never organizations; `uid` 0 or none: everybody.
pub(super) fn search(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["read:user"])?;
    let viewer = caller.map(|caller| caller.user);
    let words = ask.query("q").unwrap_or_default().to_lowercase();
    let id = ask.query("uid").and_then(|id| id.parse::<u64>().ok()).filter(|id| *id > 0);
    let fits = |user: &&User| {
        let texts = [&user.login, &user.full_name, &user.email];
        user.is_person()
            && id.is_none_or(|id| id == user.id)
            && texts.iter().any(|text| text.to_lowercase().contains(&words))
    };
    let mut people: Vec<&User> = world.users.values().filter(fits).collect();
    people.sort_by_key(|user| user.login.to_ascii_lowercase());
    let rows =
        people.into_iter().map(|user| api_json::user(forge, user, view_of(&world, user, viewer))).collect();
    Ok(found(forge, ask, rows))
}

/// Nobody here is told anything.
pub(super) fn news(forge: &Forge, ask: &Ask) -> Answer {
    require(forge, &forge.world(), ask, &["read:notification"])?;
    Ok(Reply::json(StatusCode::OK, &json!({"new": 0})))
}

/// With a password only: a token cannot make tokens.
pub(super) fn create_token(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let caller = require(forge, &world, ask, &["write:user"])?;
    let owner = user_named(forge, &world, ask, ask.param("login"))?.id;
    if owner != caller.user && !world.users.get(&caller.user).is_some_and(User::is_admin) {
        return Err(Reply::api_error(
            forge,
            StatusCode::FORBIDDEN,
            "doer should be the site admin or be same as the contextUser",
        ));
    }
    let members = Members::of(forge, ask)?;
    if caller.proof != Proof::Password {
        return Err(Reply::api_error(forge, StatusCode::UNAUTHORIZED, "auth method not allowed"));
    }
    let (name, scopes) = (members.text_or_empty("name").to_owned(), members.texts("scopes"));
    let bad = |words: &str| Err(Reply::api_error(forge, StatusCode::BAD_REQUEST, words));
    if name.is_empty() {
        return Err(invalid(forge, "Name", "Required"));
    }
    if world.tokens.values().any(|token| token.user == owner && token.name == name) {
        return bad("access token name has been used already");
    }
    if scopes.is_empty() {
        return bad("access token must have a scope");
    }
    if !scopes.iter().all(|scope| is_word(scope)) {
        return bad("invalid access token scope provided");
    }
    let (text, id) = (forge.personal_token_text(), world.next_id("token"));
    let last: String = text.chars().skip(text.len() - 8).collect();
    let mut body = json!({"id": id, "name": name, "sha1": text, "token_last_eight": last, "scopes": scopes});
    let repositories = (forge.settings.version == FakeVersion::V15).then_some(Value::Null);
    put(&mut body, "repositories", repositories);
    world.tokens.insert(Hashed::of(&text), PersonalToken { user: owner, name, scopes });
    Ok(Reply::json(StatusCode::CREATED, &body))
}

pub(super) fn organizations(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["read:organization"])?;
    let all = world.users.values().filter(|user| !user.is_person());
    let rows = all.map(|organization| self::organization(forge, organization)).collect();
    Ok(page(forge, ask, rows))
}

fn organization(forge: &Forge, organization: &User) -> Value {
    json!({
        "id": organization.id, "name": organization.login, "full_name": "", "email": "",
        "avatar_url": forge.avatar(organization), "description": "", "website": "", "location": "",
        "visibility": "public", "repo_admin_change_team_access": false, "username": organization.login,
    })
}

pub(super) fn create_organization(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let creator = require(forge, &world, ask, &["write:organization"])?.user;
    let name = Members::of(forge, ask)?.text_or_empty("username").to_owned();
    if !names::is_username(&name) {
        return Err(invalid(forge, "UserName", "invalid username"));
    }
    if world.user_named(&name).is_some() {
        let words = format!("user already exists [name: {name}]");
        return Err(Reply::api_error(forge, StatusCode::UNPROCESSABLE_ENTITY, &words));
    }
    let id = world.next_id("user");
    let organization = User::fresh(id, &name, "", "", Kind::Organization, forge.now());
    let body = self::organization(forge, &organization);
    world.add_user(organization);
    if let Some(creator) = world.users.get_mut(&creator) {
        creator.groups.extend([name.clone(), format!("{name}:owners")]);
    }
    Ok(Reply::json(StatusCode::CREATED, &body))
}
