//! Who calls the API: the credential's forms, the account checks before routing, the scope (`docs/FORGEJO.md` 3).

use axum::http::StatusCode;

use super::ask::Ask;
use super::power::Power;
use super::reply::Reply;
use super::rows::{Grant, Hashed, User};
use super::server::Forge;
use super::settings::FakeVersion;
use super::token_endpoint::basic;
use super::tokens::{self, TokenKind};
use super::world::World;

/// What a request shows.
pub(super) enum Credential {
    Token(String),
    Basic(String, String),
}

/// How a caller proved who they are: some calls take a password only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Password,
    Token,
}

pub(super) struct Caller {
    pub(super) user: u64,
    pub(super) proof: Proof,
    power: Power,
}

/// The credential in query or form (while that is allowed) or header. A malformed header counts as none.
pub(super) fn credential(forge: &Forge, ask: &Ask) -> Option<Credential> {
    if !forge.settings.disable_query_auth_token {
        let form = |name| ask.field(name).filter(|_| ask.is_form());
        let found =
            ["token", "access_token"].into_iter().find_map(|name| ask.query(name).or_else(|| form(name)));
        if let Some(token) = found.filter(|token| !token.is_empty()) {
            return Some(Credential::Token(token.to_owned()));
        }
    }
    let header = ask.header("authorization")?;
    let mut words = header.split_whitespace();
    let (scheme, value) = (words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let token = scheme.eq_ignore_ascii_case("bearer")
        || scheme == "token"
        || (forge.settings.version == FakeVersion::V15 && scheme.eq_ignore_ascii_case("token"));
    if token {
        return Some(Credential::Token(value.to_owned()));
    }
    basic(header).map(|(user, password)| Credential::Basic(user, password))
}

/// The grant behind an access token that is alive.
pub(super) fn live_grant<'a>(forge: &Forge, world: &'a World, token: &str) -> Option<&'a Grant> {
    let facts = tokens::read(forge, token).filter(|facts| facts.kind == TokenKind::Access)?;
    world.grants.get(&facts.grant).filter(|grant| world.users.contains_key(&grant.user))
}

/// The caller, or none; or the answer that a bad credential or an account in disorder gets on every endpoint.
pub(super) fn identify(forge: &Forge, world: &World, ask: &Ask) -> Result<Option<Caller>, Reply> {
    let Some(credential) = credential(forge, ask) else { return Ok(None) };
    let caller = match &credential {
        Credential::Token(token) => by_token(forge, world, token),
        Credential::Basic(user, password) => by_password(forge, world, user, password),
    };
    let Some(caller) = caller else { return Err(unknown_credential(forge, &credential)) };
    if let Some(refusal) = world.users.get(&caller.user).and_then(|user| account_refusal(forge, user)) {
        return Err(refusal);
    }
    sudo(forge, world, ask, caller).map(Some)
}

fn by_token(forge: &Forge, world: &World, token: &str) -> Option<Caller> {
    if let Some(grant) = live_grant(forge, world, token) {
        return Some(Caller { user: grant.user, proof: Proof::Token, power: Power::of_grant(&grant.scope) });
    }
    let personal = world.tokens.get(&Hashed::of(token))?;
    Some(Caller { user: personal.user, proof: Proof::Token, power: Power::of_words(personal.scopes.clone()) })
}

/// A password; or a token as the password, or as the name beside an empty password.
fn by_password(forge: &Forge, world: &World, name: &str, password: &str) -> Option<Caller> {
    let token = if password.is_empty() || password == "x-oauth-basic" { name } else { password };
    let by_password = || {
        let user = world.user_named(name).filter(|user| user.password == Hashed::of(password))?;
        Some(Caller { user: user.id, proof: Proof::Password, power: Power::All })
    };
    by_token(forge, world, token).or_else(by_password)
}

/// Never downgraded to nobody. A 401 of 15 repeats a personal token that it does not know.
fn unknown_credential(forge: &Forge, credential: &Credential) -> Reply {
    let message = match credential {
        Credential::Token(token) if forge.settings.version == FakeVersion::V15 && !token.contains('.') => {
            format!("access token does not exist [sha: {token}]")
        }
        Credential::Token(_) => "user does not exist [uid: 0, name: ]".to_owned(),
        Credential::Basic(..) => "invalid username, password or token".to_owned(),
    };
    Reply::api_error(forge, StatusCode::UNAUTHORIZED, &message)
}

fn account_refusal(forge: &Forge, user: &User) -> Option<Reply> {
    if user.prohibit_login || !user.active {
        let words = "This account is prohibited from signing in, please contact your site administrator.";
        return Some(Reply::account_error(words));
    }
    if user.needs_second_factor {
        return Some(Reply::account_error("Diese Forgejo-Instanz verlangt einen zweiten Faktor."));
    }
    // Two slashes and a path that is none: as Forgejo says it.
    let words =
        format!("You must change your password. Change it at: {}//user/change_password", forge.base());
    user.must_change_password.then(|| Reply::account_error(&words))
}

/// A site admin may act as somebody else.
fn sudo(forge: &Forge, world: &World, ask: &Ask, caller: Caller) -> Result<Caller, Reply> {
    let Some(login) = ask.header("sudo").or_else(|| ask.query("sudo")).filter(|login| !login.is_empty())
    else {
        return Ok(caller);
    };
    if !world.users.get(&caller.user).is_some_and(User::is_admin) {
        return Err(Reply::api_error(forge, StatusCode::FORBIDDEN, "Only administrators allowed to sudo."));
    }
    match world.user_named(login) {
        Some(user) => Ok(Caller { user: user.id, ..caller }),
        None => Err(Reply::api_not_found(forge)),
    }
}

/// The scope check, which comes before "token is required": nobody passes it.
pub(super) fn check_scope(forge: &Forge, caller: Option<&Caller>, needs: &[&str]) -> Result<(), Reply> {
    let missing = caller.and_then(|caller| needs.iter().find(|need| !caller.power.allows(need)));
    match missing {
        None => Ok(()),
        Some(need) => {
            let words = format!("token does not have at least one of required scope(s): [{need}]");
            Err(Reply::api_error(forge, StatusCode::FORBIDDEN, &words))
        }
    }
}

/// A caller with these scopes, for routes of the signed-in only.
pub(super) fn require(forge: &Forge, world: &World, ask: &Ask, needs: &[&str]) -> Result<Caller, Reply> {
    let caller = identify(forge, world, ask)?;
    check_scope(forge, caller.as_ref(), needs)?;
    caller.ok_or_else(|| Reply::api_error(forge, StatusCode::UNAUTHORIZED, "token is required"))
}

/// A site admin with these scopes.
pub(super) fn require_admin(forge: &Forge, world: &World, ask: &Ask, need: &str) -> Result<Caller, Reply> {
    let caller = require(forge, world, ask, &[need])?;
    if world.users.get(&caller.user).is_some_and(User::is_admin) {
        return Ok(caller);
    }
    Err(Reply::api_error(forge, StatusCode::FORBIDDEN, "user should be the site admin"))
}

impl Caller {
    pub(super) fn is_public_only(&self) -> bool {
        self.power.is_public_only()
    }
}
