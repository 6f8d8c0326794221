//! OAuth applications by API: a user's own (`docs/FORGEJO.md` 8).

use axum::http::StatusCode;

use super::api::page;
use super::api_json;
use super::ask::Ask;
use super::caller::require;
use super::json_body::{Members, invalid};
use super::reply::{Answer, Reply};
use super::rows::{Application, Hashed};
use super::server::Forge;
use super::world::World;

pub(super) fn list(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = require(forge, &world, ask, &["read:user"])?;
    let own = world.applications.values().rev().filter(|application| application.owner == Some(caller.user));
    let rows = own.map(|application| api_json::application(application, "")).collect();
    Ok(page(forge, ask, rows))
}

/// `confidential_client` is false unless said; redirect URIs are not looked at.
pub(super) fn create(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let owner = require(forge, &world, ask, &["write:user"])?.user;
    let members = Members::of(forge, ask)?;
    if members.text_or_empty("name").is_empty() {
        return Err(invalid(forge, "Name", "Required"));
    }
    let secret = forge.client_secret_text();
    let application = Application {
        id: world.next_id("application"),
        owner: Some(owner),
        name: members.text_or_empty("name").to_owned(),
        client_id: forge.uuid(),
        secret: Hashed::of(&secret),
        confidential: members.flag("confidential_client").unwrap_or(false),
        redirect_uris: members.texts("redirect_uris"),
        created: forge.now(),
    };
    let body = api_json::application(&application, &secret);
    world.applications.insert(application.id, application);
    Ok(Reply::json(StatusCode::CREATED, &body))
}

fn own<'a>(forge: &Forge, world: &'a World, ask: &Ask, caller: u64) -> Result<&'a Application, Reply> {
    let application = world.applications.get(&ask.number("id"));
    application
        .filter(|application| application.owner == Some(caller))
        .ok_or_else(|| Reply::api_not_found(forge))
}

pub(super) fn show(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = require(forge, &world, ask, &["read:user"])?;
    let application = own(forge, &world, ask, caller.user)?;
    Ok(Reply::json(StatusCode::OK, &api_json::application(application, "")))
}

/// Takes the whole body and always makes a new secret.
pub(super) fn change(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let caller = require(forge, &world, ask, &["write:user"])?;
    let id = own(forge, &world, ask, caller.user)?.id;
    let members = Members::of(forge, ask)?;
    let secret = forge.client_secret_text();
    let application = world.applications.get_mut(&id).ok_or_else(|| Reply::api_not_found(forge))?;
    members.text_or_empty("name").clone_into(&mut application.name);
    application.confidential = members.flag("confidential_client").unwrap_or(false);
    application.redirect_uris = members.texts("redirect_uris");
    application.secret = Hashed::of(&secret);
    Ok(Reply::json(StatusCode::OK, &api_json::application(application, &secret)))
}

pub(super) fn delete(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let caller = require(forge, &world, ask, &["write:user"])?;
    let id = own(forge, &world, ask, caller.user)?.id;
    world.remove_application(id);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
