//! Repositories as far as issues need them.

use axum::http::StatusCode;
use serde_json::Value;

use super::account_pages::is_visible;
use super::api::{found, moved_status, page};
use super::api_json;
use super::ask::Ask;
use super::caller::{Caller, check_scope, identify, require};
use super::json_body::{Members, invalid};
use super::reply::{Answer, Reply};
use super::rows::{Repository, User};
use super::server::Forge;
use super::world::{Moved, World};

/// The repository that the path names: a redirect if it was renamed, 404 if it is not there or not the caller's to see.
pub(super) fn named(forge: &Forge, world: &World, ask: &Ask, caller: Option<&Caller>) -> Result<u64, Reply> {
    let (owner, name) = (ask.param("owner"), ask.param("repo"));
    let owner_now = match world.user_named(owner) {
        Some(owner) => Some(owner),
        None => match world.user_moved(owner) {
            Moved::To(id) => world.users.get(&id),
            Moved::Never => None,
        },
    };
    let owner_now = owner_now.ok_or_else(|| Reply::api_not_found(forge))?;
    let found = match world.repository_of(owner_now.id, name) {
        Some(repository) => Some(repository),
        None => match world.repository_moved(owner_now.id, name) {
            Moved::To(id) => world.repositories.get(&id),
            Moved::Never => None,
        },
    };
    let viewer = caller.map(|caller| caller.user);
    let public_only = caller.is_some_and(Caller::is_public_only);
    let repository = found
        .filter(|repository| is_visible(world, repository, viewer) && !(repository.private && public_only))
        .ok_or_else(|| Reply::api_not_found(forge))?;
    let same = |left: &str, right: &str| left.eq_ignore_ascii_case(right);
    if same(owner, &owner_now.login) && same(name, &repository.name) {
        return Ok(repository.id);
    }
    let place = ask.target.replacen(
        &format!("/{owner}/{name}"),
        &format!("/{}/{}", owner_now.login, repository.name),
        1,
    );
    Err(Reply::redirect(ask, moved_status(forge), &place))
}

fn json(forge: &Forge, world: &World, id: u64, viewer: Option<u64>) -> Value {
    let repository = world.repositories.get(&id);
    repository.map_or(Value::Null, |repository| api_json::repository(forge, world, repository, viewer))
}

pub(super) fn mine(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = require(forge, &world, ask, &["read:user", "read:repository"])?;
    let own = world.repositories.values().filter(|repository| repository.owner == caller.user);
    let rows =
        own.map(|repository| api_json::repository(forge, &world, repository, Some(caller.user))).collect();
    Ok(page(forge, ask, rows))
}

pub(super) fn search(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["read:repository"])?;
    let viewer = caller.map(|caller| caller.user);
    let seen = world.repositories.values().filter(|repository| is_visible(&world, repository, viewer));
    let rows = seen.map(|repository| api_json::repository(forge, &world, repository, viewer)).collect();
    Ok(found(forge, ask, rows))
}

pub(super) fn create(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let owner = require(forge, &world, ask, &["write:user", "write:repository"])?.user;
    let members = Members::of(forge, ask)?;
    let name = members.text_or_empty("name").to_owned();
    check_name(forge, &world, owner, &name)?;
    let id = world.next_id("repository");
    let private = members.flag("private").unwrap_or(false);
    let mut repository = Repository::fresh(id, owner, name, private, forge.now());
    members.text_or_empty("description").clone_into(&mut repository.description);
    world.add_repository(repository);
    Ok(Reply::json(StatusCode::CREATED, &json(forge, &world, id, Some(owner))))
}

fn check_name(forge: &Forge, world: &World, owner: u64, name: &str) -> Result<(), Reply> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() {
        return Err(invalid(forge, "Name", "Required"));
    }
    if name.len() > 100 || !name.bytes().all(good) {
        return Err(invalid(forge, "Name", "AlphaDashDot"));
    }
    match world.repository_of(owner, name) {
        Some(_) => {
            let words = "The repository with the same name already exists.";
            Err(Reply::api_error(forge, StatusCode::CONFLICT, words))
        }
        None => Ok(()),
    }
}

pub(super) fn show(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let caller = identify(forge, &world, ask)?;
    check_scope(forge, caller.as_ref(), &["read:repository"])?;
    let id = named(forge, &world, ask, caller.as_ref())?;
    Ok(Reply::json(StatusCode::OK, &json(forge, &world, id, caller.map(|caller| caller.user))))
}

/// The repository, if it is the caller's to change.
fn own(forge: &Forge, world: &World, ask: &Ask) -> Result<(u64, u64), Reply> {
    let caller = require(forge, world, ask, &["write:repository"])?;
    let id = named(forge, world, ask, Some(&caller))?;
    let owner = world.repositories.get(&id).map(|repository| repository.owner);
    let admin = world.users.get(&caller.user).is_some_and(User::is_admin);
    if admin || owner == Some(caller.user) {
        return Ok((id, caller.user));
    }
    let words = "user should be an owner or a collaborator with admin write of a repository";
    Err(Reply::api_error(forge, StatusCode::FORBIDDEN, words))
}

/// Name, description, private, archived.
pub(super) fn change(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let (id, caller) = own(forge, &world, ask)?;
    let members = Members::of(forge, ask)?;
    if let Some(name) = members.text("name") {
        let repository = world.repositories.get(&id);
        let same = repository.is_some_and(|repository| repository.name.eq_ignore_ascii_case(name));
        let owner = repository.map_or(0, |repository| repository.owner);
        if !same {
            check_name(forge, &world, owner, name)?;
        }
        world.rename_repository(id, name);
    }
    let now = forge.now();
    if let Some(repository) = world.repositories.get_mut(&id) {
        repository.updated = now;
        if let Some(archived) = members.flag("archived") {
            repository.archived_at = archived.then_some(now);
        }
        if let Some(private) = members.flag("private") {
            repository.private = private;
        }
        if let Some(description) = members.text("description") {
            description.clone_into(&mut repository.description);
        }
    }
    Ok(Reply::json(StatusCode::OK, &json(forge, &world, id, Some(caller))))
}

pub(super) fn delete(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let (id, _) = own(forge, &world, ask)?;
    world.repositories.remove(&id);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
