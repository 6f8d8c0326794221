//! The token endpoint (`docs/FORGEJO.md` 1.6, 1.7): Forgejo's checks in Forgejo's order, every error a 400.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::ask::Ask;
use super::authorize::has_redirect_uri;
use super::reply::Reply;
use super::rows::{Application, Challenge, Hashed};
use super::server::Forge;
use super::settings::FakeVersion;
use super::tokens::{self, TokenKind};
use super::world::World;
use crate::base::secret::same;

/// Why no token is given: `error` and `error_description`.
struct Refusal(&'static str, String);

fn refused<T>(error: &'static str, description: &str) -> Result<T, Refusal> {
    Err(Refusal(error, description.to_owned()))
}

pub(super) fn token(forge: &Forge, ask: &Ask) -> Reply {
    let mut world = forge.world();
    let grant = client(ask).and_then(|client| match ask.field("grant_type").unwrap_or_default() {
        "refresh_token" => refresh(forge, &world, ask, &client),
        "authorization_code" => redeem(&mut world, ask, &client),
        _ => refused(
            "unsupported_grant_type",
            "Only refresh_token or authorization_code grant type is supported",
        ),
    });
    match grant {
        Ok(grant) => match tokens::issue(forge, &mut world, grant) {
            Some(response) => Reply::json(StatusCode::OK, &response),
            None => Reply::token_error("invalid_request", "cannot find user"),
        },
        Err(Refusal(error, description)) => Reply::token_error(error, &description),
    }
}

struct Client {
    id: String,
    secret: String,
}

/// Client id and secret from the body, from a Basic header, or from both where they agree.
fn client(ask: &Ask) -> Result<Client, Refusal> {
    let sent = |name| ask.field(name).unwrap_or_default();
    let (id, secret) = (sent("client_id"), sent("client_secret"));
    let header = ask.header("authorization").filter(|header| !header.is_empty());
    let Some(header) = header.filter(|_| id.is_empty() || secret.is_empty()) else {
        return Ok(Client { id: id.to_owned(), secret: secret.to_owned() });
    };
    let Some((basic_id, basic_secret)) = basic(header) else {
        return refused("invalid_request", "cannot parse basic auth header");
    };
    if !id.is_empty() && id != basic_id {
        return refused(
            "invalid_request",
            "client_id in request body inconsistent with Authorization header",
        );
    }
    if !secret.is_empty() && secret != basic_secret {
        return refused(
            "invalid_request",
            "client_secret in request body inconsistent with Authorization header",
        );
    }
    Ok(Client { id: basic_id, secret: basic_secret })
}

/// A Basic header's two parts, raw: Forgejo does not percent-decode them.
pub(super) fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Whether the secret is this application's; a public client needs none.
fn check_secret(application: &Application, secret: &str, error: &'static str) -> Result<(), Refusal> {
    if !application.confidential || application.secret == Hashed::of(secret) {
        return Ok(());
    }
    refused(error, if secret.is_empty() { "invalid empty client secret" } else { "invalid client secret" })
}

/// The grant whose code this is; the code is burnt only when all checks have passed.
fn redeem(world: &mut World, ask: &Ask, client: &Client) -> Result<u64, Refusal> {
    let Some(application) = world.application_of_client(&client.id) else {
        return refused("invalid_client", &format!("cannot load client with client id: '{}'", client.id));
    };
    check_secret(application, &client.secret, "unauthorized_client")?;
    let redirect_uri = ask.field("redirect_uri").unwrap_or_default();
    if !redirect_uri.is_empty() && !has_redirect_uri(application, redirect_uri) {
        return refused("unauthorized_client", "unexpected redirect URI");
    }
    let text = ask.field("code").unwrap_or_default();
    let Some(code) = world.code(text) else {
        return refused("unauthorized_client", "client is not authorized");
    };
    if !is_verified(&code.challenge, ask.field("code_verifier").unwrap_or_default()) {
        return refused("unauthorized_client", "failed PKCE code challenge");
    }
    if code.redirect_uri != redirect_uri {
        return refused("unauthorized_client", "redirect_uri does not match the authorization request");
    }
    let grant = code.grant;
    if world.grants.get(&grant).is_none_or(|grant| grant.application != application.id) {
        return refused("invalid_grant", "invalid grant");
    }
    world.burn_code(text);
    Ok(grant)
}

fn is_verified(challenge: &Challenge, verifier: &str) -> bool {
    match challenge.method.as_str() {
        "S256" => {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
            same(&URL_SAFE_NO_PAD.encode(digest), &challenge.value)
        }
        "plain" => same(verifier, &challenge.value),
        _ => true,
    }
}

/// The grant that this refresh token may refresh. The account's state is not looked at.
fn refresh(forge: &Forge, world: &World, ask: &Ask, client: &Client) -> Result<u64, Refusal> {
    let Some(application) = world.application_of_client(&client.id) else {
        return refused("invalid_client", &format!("cannot load client with client id: \"{}\"", client.id));
    };
    check_secret(application, &client.secret, "invalid_client")?;
    let Some(token) = tokens::read(forge, ask.field("refresh_token").unwrap_or_default()) else {
        return refused("unauthorized_client", "unable to parse refresh token");
    };
    if token.kind == TokenKind::Access && forge.settings.version == FakeVersion::V15 {
        return refused("unauthorized_client", "token is not a refresh token");
    }
    let Some(grant) = world.grants.get(&token.grant) else {
        return refused("invalid_grant", "grant does not exist");
    };
    if grant.application != application.id {
        return refused("invalid_grant", "refresh token was not issued to this client");
    }
    // An access token has no counter: up to 11 it is "used" while invalidation is on, and accepted while it is off.
    if forge.settings.invalidate_refresh_tokens && (token.counter == 0 || token.counter != grant.counter) {
        return refused("unauthorized_client", "token was already used");
    }
    Ok(grant.id)
}
