//! What the API's rooms share: paging, unknown paths, renamed names.

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::ask::Ask;
use super::caller::identify;
use super::reply::{Answer, Reply};
use super::rows::User;
use super::server::Forge;
use super::settings::FakeVersion;
use super::world::{Moved, World};

/// Rows of a page when none are asked for.
const PAGE: usize = 30;
/// The most; more is cut without a word.
const MOST_PAGE: usize = 50;

/// No scope, but a credential that is shown must be good and its account in order.
pub(super) fn version(forge: &Forge, ask: &Ask) -> Answer {
    identify(forge, &forge.world(), ask)?;
    Ok(Reply::json(StatusCode::OK, &json!({"version": forge.settings.version.text()})))
}

pub(super) fn unknown(forge: &Forge, ask: &Ask) -> Reply {
    match identify(forge, &forge.world(), ask) {
        Ok(_) => Reply::api_not_found(forge),
        Err(refusal) => refusal,
    }
}

/// One page of rows with `X-Total-Count` and `Link`.
pub(super) fn page(forge: &Forge, ask: &Ask, rows: Vec<Value>) -> Reply {
    page_as(forge, ask, rows, Value::Array)
}

/// A page of what a search found: the rows stand in an object.
pub(super) fn found(forge: &Forge, ask: &Ask, rows: Vec<Value>) -> Reply {
    page_as(forge, ask, rows, |rows| json!({"ok": true, "data": rows}))
}

fn page_as(forge: &Forge, ask: &Ask, rows: Vec<Value>, shape: fn(Vec<Value>) -> Value) -> Reply {
    let number =
        |name: &str| ask.query(name).and_then(|value| value.parse::<usize>().ok()).filter(|value| *value > 0);
    let total = rows.len();
    let limit = number("limit").unwrap_or(PAGE).min(MOST_PAGE);
    let current = number("page").unwrap_or(1);
    let shown: Vec<Value> = rows.into_iter().skip((current - 1).saturating_mul(limit)).take(limit).collect();
    let reply = Reply::json(StatusCode::OK, &shape(shown))
        .header(header::HeaderName::from_static("x-total-count"), &total.to_string());
    let last = total.div_ceil(limit).max(1);
    let link = |page: usize, rel: &str| {
        let path = ask.path.trim_start_matches('/');
        format!("<{}?limit={limit}&page={page}>; rel=\"{rel}\"", forge.link(path))
    };
    let mut links = Vec::new();
    if current < last {
        links.extend([link(current + 1, "next"), link(last, "last")]);
    }
    if current > 1 {
        links.extend([link(1, "first"), link(current - 1, "prev")]);
    }
    if links.is_empty() { reply } else { reply.header(header::LINK, &links.join(",")) }
}

/// The user of that name; a redirect when they were renamed, 404 when there is none.
pub(super) fn user_named<'a>(
    forge: &Forge,
    world: &'a World,
    ask: &Ask,
    login: &str,
) -> Result<&'a User, Reply> {
    if let Some(user) = world.user_named(login) {
        return Ok(user);
    }
    let moved = match world.user_moved(login) {
        Moved::To(id) => world.users.get(&id),
        Moved::Never => None,
    };
    if let Some(user) = moved {
        let place = ask.target.replacen(&format!("/{login}"), &format!("/{}", user.login), 1);
        return Err(Reply::redirect(ask, StatusCode::TEMPORARY_REDIRECT, &place));
    }
    let words = format!("user redirect does not exist [name: {login}]");
    Err(Reply::api_error(forge, StatusCode::NOT_FOUND, &words))
}

/// How a renamed repository answers: a client that follows a 301 turns its POST into a GET.
pub(super) fn moved_status(forge: &Forge) -> StatusCode {
    match forge.settings.version {
        FakeVersion::V15 => StatusCode::MOVED_PERMANENTLY,
        FakeVersion::V11 => StatusCode::TEMPORARY_REDIRECT,
    }
}
