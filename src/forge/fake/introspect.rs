//! Userinfo and introspection, with the trap that Forgejo's sign-in code sets before them (`docs/FORGEJO.md` 1.8).

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::ask::Ask;
use super::caller::{self, Credential};
use super::reply::{Answer, Reply};
use super::rows::{Grant, Hashed};
use super::server::Forge;
use super::token_endpoint::basic;
use super::tokens::{self, put};
use super::visitor::account_refusal;
use super::world::World;

/// Who the sign-in code takes the caller for: on these two pages it reads tokens from query, form and header, and refuses
/// or redirects before the page is asked.
fn bearer<'a>(forge: &Forge, world: &'a World, ask: &Ask) -> Result<Option<&'a Grant>, Reply> {
    let Some(Credential::Token(token)) = caller::credential(forge, ask) else { return Ok(None) };
    let Some(grant) = caller::live_grant(forge, world, &token) else { return Err(Reply::bad_credentials()) };
    match world.users.get(&grant.user).and_then(|user| account_refusal(user, ask)) {
        Some(refusal) => Err(refusal),
        None => Ok(Some(grant)),
    }
}

/// All claims whatever the scope; groups with that scope only, as they are at this moment.
pub(super) fn userinfo(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    let grant = bearer(forge, &world, ask)?;
    let Some((grant, user)) = grant.and_then(|grant| Some((grant, world.users.get(&grant.user)?))) else {
        return Err(unauthorized("Bearer realm=\"\""));
    };
    let mut body = json!({
        "sub": user.id.to_string(),
        "name": user.display_name(),
        "preferred_username": user.login,
        "email": user.email,
        "picture": forge.avatar(user),
    });
    let groups = grant.scope_has("groups") && !user.groups.is_empty();
    put(&mut body, "groups", groups.then(|| user.groups.clone().into()));
    Ok(Reply::json(StatusCode::OK, &body))
}

fn unauthorized(challenge: &str) -> Reply {
    Reply::text(StatusCode::UNAUTHORIZED, "no valid authorization")
        .header(header::WWW_AUTHENTICATE, challenge)
}

/// Any client may ask about any client's token; the client is known by Basic only.
pub(super) fn introspect(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    bearer(forge, &world, ask)?;
    let client = ask.header("authorization").and_then(basic).is_some_and(|(id, secret)| {
        world.application_of_client(&id).is_some_and(|application| application.secret == Hashed::of(&secret))
    });
    if !client {
        return Err(unauthorized("Basic realm=\"\""));
    }
    Ok(Reply::json(StatusCode::OK, &facts(forge, &world, ask.value("token"))))
}

fn facts(forge: &Forge, world: &World, token: &str) -> Value {
    let grant = tokens::read(forge, token).and_then(|facts| world.grants.get(&facts.grant));
    let known = grant.and_then(|grant| {
        Some((grant, world.applications.get(&grant.application)?, world.users.get(&grant.user)?))
    });
    let Some((grant, application, user)) = known else { return json!({"active": false}) };
    let mut body = json!({"active": true});
    put(&mut body, "scope", (!grant.scope.is_empty()).then(|| grant.scope.clone().into()));
    put(&mut body, "username", Some(user.login.clone().into()));
    put(&mut body, "iss", Some(forge.issuer().into()));
    put(&mut body, "sub", Some(user.id.to_string().into()));
    put(&mut body, "aud", Some(json!([application.client_id])));
    body
}
