//! Access, refresh and id tokens: claims as Forgejo writes them (`docs/FORGEJO.md` 1.8), no sub, aud, scope or jti in the
//! first two.

use serde_json::{Value, json};

use super::rows::{Application, Grant, User};
use super::server::Forge;
use super::world::World;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Access,
    Refresh,
}

/// What a token of ours says.
#[derive(Clone, Copy)]
pub(super) struct TokenFacts {
    pub(super) grant: u64,
    pub(super) kind: TokenKind,
    pub(super) counter: u64,
}

/// Reads a token: signature and expiry, as Forgejo's `ParseToken`; the grant is looked up by whoever asks.
pub(super) fn read(forge: &Forge, token: &str) -> Option<TokenFacts> {
    let claims = forge.key().claims(token)?;
    let number = |name: &str| claims.get(name).and_then(Value::as_u64);
    if number("exp")? <= forge.now().secs() {
        return None;
    }
    let kind = if number("tt")? == 0 { TokenKind::Access } else { TokenKind::Refresh };
    Some(TokenFacts { grant: number("gnt")?, kind, counter: number("cnt").unwrap_or(0) })
}

/// A token response for a grant, and the counter that goes with it.
pub(super) fn issue(forge: &Forge, world: &mut World, grant_id: u64) -> Option<Value> {
    let now = forge.now();
    let grant = world.grants.get_mut(&grant_id)?;
    if forge.settings.invalidate_refresh_tokens {
        grant.counter += 1;
    }
    let grant = world.grants.get(&grant_id)?;
    let application = world.applications.get(&grant.application)?;
    let user = world.users.get(&grant.user)?;
    let key = forge.key();
    let issued = now.secs();
    let expires = now.plus(forge.token_lifetime()).secs();
    let access = key.sign(&json!({"gnt": grant.id, "tt": 0, "exp": expires, "iat": issued}));
    let mut refresh = json!({
        "gnt": grant.id, "tt": 1, "exp": now.plus(forge.settings.refresh_lifetime).secs(), "iat": issued,
    });
    put(&mut refresh, "cnt", (grant.counter > 0).then(|| grant.counter.into()));
    let mut response = json!({
        "access_token": access,
        "token_type": "bearer",
        "expires_in": forge.token_lifetime().as_secs(),
        "refresh_token": key.sign(&refresh),
    });
    if grant.scope_has("openid") {
        let claims = id_claims(forge, grant, application, user, expires, issued);
        put(&mut response, "id_token", Some(key.sign(&claims).into()));
    }
    Some(response)
}

/// The `id_token`'s claims; empty ones are left out, `email_verified` when false, `groups` for a member of none.
fn id_claims(
    forge: &Forge,
    grant: &Grant,
    application: &Application,
    user: &User,
    expires: u64,
    issued: u64,
) -> Value {
    let mut claims = json!({
        "iss": forge.issuer(), "sub": user.id.to_string(), "aud": [application.client_id], "exp": expires, "iat": issued,
    });
    let text = |value: &str| (!value.is_empty()).then(|| Value::from(value));
    put(&mut claims, "nonce", text(&grant.nonce));
    if grant.scope_has("profile") {
        put(&mut claims, "name", text(user.display_name()));
        put(&mut claims, "preferred_username", text(&user.login));
        put(&mut claims, "profile", text(&forge.link(&user.login)));
        put(&mut claims, "picture", text(&forge.avatar(user)));
        put(&mut claims, "website", text(&user.website));
        put(&mut claims, "locale", text(&user.language));
        put(&mut claims, "updated_at", Some(user.created.secs().into()));
    }
    if grant.scope_has("email") {
        put(&mut claims, "email", text(&user.email));
        put(&mut claims, "email_verified", user.active.then(|| true.into()));
    }
    if grant.scope_has("groups") {
        put(&mut claims, "groups", (!user.groups.is_empty()).then(|| user.groups.clone().into()));
    }
    claims
}

/// Adds a member unless there is nothing to say.
pub(super) fn put(object: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(members), Some(value)) = (object.as_object_mut(), value) {
        members.insert(name.to_owned(), value);
    }
}
