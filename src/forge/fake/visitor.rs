//! Who visits a page: the browser's session, and the checks before every page (`docs/FORGEJO.md` 1.2 rows 1 to 3).

use axum::http::{StatusCode, header};

use super::ask::Ask;
use super::page::Html;
use super::reply::{Reply, escape};
use super::rows::User;
use super::server::Forge;
use super::settings::FakeVersion;
use super::world::World;

/// The page on which passwords are changed; the only one that a user who must can see.
pub(super) const CHANGE_PASSWORD: &str = "/user/settings/change_password";

/// A signed-in browser.
pub(super) struct Visitor {
    pub(super) session: String,
    pub(super) user: u64,
}

/// The browser's session, if it is signed in and its user still exists.
pub(super) fn signed_in(forge: &Forge, world: &World, ask: &Ask) -> Option<Visitor> {
    let id = ask.cookie(forge.settings.version.session_cookie())?;
    let user = world.session(id)?.user;
    world.users.contains_key(&user).then(|| Visitor { session: id.to_owned(), user })
}

/// A signed-in visitor whose account is in order, or the answer that they get instead.
pub(super) fn admit(forge: &Forge, world: &World, ask: &Ask) -> Result<Visitor, Reply> {
    let Some(visitor) = signed_in(forge, world, ask) else {
        return Err(come_back(Reply::see_other(ask, "/user/login"), ask));
    };
    match world.users.get(&visitor.user).and_then(|user| account_refusal(user, ask)) {
        Some(refusal) => Err(refusal),
        None => Ok(visitor),
    }
}

/// What a page says to an account that is suspended or must change its password.
pub(super) fn account_refusal(user: &User, ask: &Ask) -> Option<Reply> {
    if user.prohibit_login || !user.active {
        return Some(suspended());
    }
    (user.must_change_password && ask.path != CHANGE_PASSWORD)
        .then(|| come_back(Reply::see_other(ask, CHANGE_PASSWORD), ask))
}

pub(super) fn suspended() -> Reply {
    let words = "This account is prohibited from signing in, please contact your site administrator.";
    Reply::html(
        StatusCode::OK,
        Html::new().add("<h1>Account is suspended</h1>").say(words).page("Account is suspended"),
    )
}

fn come_back(reply: Reply, ask: &Ask) -> Reply {
    reply.cookie("redirect_to", &escape(&ask.target))
}

/// Where the browser wanted to go, if that is a path here.
pub(super) fn destination(ask: &Ask) -> Option<String> {
    let raw = ask.cookie("redirect_to")?;
    let decoded = url::form_urlencoded::parse(format!("to={raw}").as_bytes()).next()?.1.into_owned();
    let local = decoded.starts_with('/') && !decoded.starts_with("//") && !decoded.contains('\\');
    local.then_some(decoded)
}

/// The guard of forms: `_csrf` up to 13, where a request says that it comes from since 14 (`docs/FORGEJO.md` 9.3).
pub(super) fn check_form(forge: &Forge, ask: &Ask) -> Result<(), Reply> {
    match forge.settings.version {
        FakeVersion::V11 => {
            let sent = ask.header("x-csrf-token").or_else(|| ask.field("_csrf")).unwrap_or_default();
            let own = ask.cookie("_csrf").is_some_and(|own| crate::base::secret::same(own, sent));
            if own { Ok(()) } else { Err(Reply::go_error(StatusCode::BAD_REQUEST, "Invalid CSRF token.")) }
        }
        FakeVersion::V15 => {
            let foreign = match (ask.header("sec-fetch-site"), ask.header(header::ORIGIN.as_str())) {
                (Some(site), _) => !matches!(site, "same-origin" | "none"),
                (None, Some(origin)) => {
                    origin.split_once("://").map(|(_, host)| host) != ask.header(header::HOST.as_str())
                }
                (None, None) => false,
            };
            if foreign {
                Err(Reply::go_error(StatusCode::FORBIDDEN, "cross-origin request detected"))
            } else {
                Ok(())
            }
        }
    }
}

/// The hidden field that a form needs on this version.
pub(super) fn form_guard<'a>(forge: &Forge, ask: &'a Ask) -> Vec<(&'static str, &'a str)> {
    match forge.settings.version {
        FakeVersion::V11 => vec![("_csrf", ask.csrf.as_str())],
        FakeVersion::V15 => Vec::new(),
    }
}
