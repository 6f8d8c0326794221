//! Before and after routing: the name it is called by, the record, faults, and what every answer carries.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tower_service::Service as _;

use super::ask::{Arrival, cookie};
use super::faults::{Endpoint, Fault};
use super::record::Shown;
use super::reply::{CACHE_CONTROL, Reply, TooEarlyForCsrf};
use super::server::Forge;
use super::settings::FakeVersion;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the fake forge was told to close the connection")]
pub(super) struct Closed;

pub(super) async fn answer(
    forge: Arc<Forge>,
    router: Router,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<Response, Closed> {
    let request = request.map(axum::body::Body::new);
    if forge.settings.own_names_only && !is_own_name(request.headers(), forge.local) {
        return Ok(StatusCode::MISDIRECTED_REQUEST.into_response());
    }
    let endpoint = Endpoint::of(request.method().as_str(), request.uri().path());
    let shown = Shown::of(request.headers());
    let number = forge.record.arrived(endpoint, request.method().as_str(), request.uri().path(), shown);
    let fault = forge.faults.take(endpoint);
    let mut response = match &fault {
        Some(Fault::Close) => return Err(Closed),
        Some(Fault::Wait(gate)) => {
            gate.pass().await;
            play(&forge, router, request).await
        }
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(*time).await;
            play(&forge, router, request).await
        }
        Some(fault) => match fault.answer() {
            Some(response) => response,
            None => play(&forge, router, request).await,
        },
        None => play(&forge, router, request).await,
    };
    match &fault {
        Some(Fault::LoseAnswer) => return Err(Closed),
        Some(Fault::HoldAnswer(gate)) => gate.pass().await,
        _ => {}
    }
    if let Some(instead) = fault.as_ref().and_then(Fault::answer_instead) {
        response = instead;
    }
    forge.record.answered(number, response.status().as_u16());
    Ok(response)
}

/// The real work, and what every answer carries.
async fn play(forge: &Arc<Forge>, mut router: Router, mut request: Request) -> Response {
    let writes = !request.method().is_safe();
    if writes && forge.world().is_full() {
        return Reply::empty(StatusCode::INSUFFICIENT_STORAGE).into_response();
    }
    let web = !request.uri().path().starts_with("/api/");
    let version = forge.settings.version;
    let in_session = cookie(request.headers(), version.session_cookie()).is_some();
    let told = cookie(request.headers(), version.flash_cookie()).is_some();
    let csrf = cookie(request.headers(), "_csrf").map(str::to_owned);
    let fresh = csrf.is_none();
    let csrf = csrf.unwrap_or_else(|| forge.random());
    let arrival = Arrival { uri: request.uri().clone(), csrf: csrf.clone() };
    request.extensions_mut().insert(arrival);
    let served: Result<Response, Infallible> = router.call(request).await;
    let Ok(mut response) = served;
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(CACHE_CONTROL);
    let page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if told && page && !response.status().is_redirection() {
        add_cookie(&mut response, &format!("{}=", version.flash_cookie()), " Max-Age=0;");
    }
    if web && version == FakeVersion::V11 {
        // These come before the page's own cookies.
        let own: Vec<HeaderValue> = response.headers().get_all(header::SET_COOKIE).iter().cloned().collect();
        let (session_set, csrf_set) = (sets(&response, version.session_cookie()), sets(&response, "_csrf"));
        response.headers_mut().remove(header::SET_COOKIE);
        if !in_session && !session_set {
            add_cookie(&mut response, &format!("{}={}", version.session_cookie(), forge.random()), "");
        }
        let early = response.extensions().get::<TooEarlyForCsrf>().is_some();
        if fresh && !early && !csrf_set {
            add_cookie(&mut response, &format!("_csrf={csrf}"), " Max-Age=86400;");
        }
        response.headers_mut().extend(own.into_iter().map(|line| (header::SET_COOKIE, line)));
    }
    response
}

fn sets(response: &Response, name: &str) -> bool {
    let begins = |line: &HeaderValue| {
        line.to_str().is_ok_and(|line| line.split_once('=').is_some_and(|(key, _)| key == name))
    };
    response.headers().get_all(header::SET_COOKIE).iter().any(begins)
}

fn add_cookie(response: &mut Response, pair: &str, age: &str) {
    if let Ok(line) = HeaderValue::from_str(&format!("{pair}; Path=/;{age} HttpOnly; SameSite=Lax")) {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
}

/// Loopback by number or name, with the port that is really listened on: no page of the web can be made to reach this.
fn is_own_name(headers: &HeaderMap, local: SocketAddr) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let Some((name, port)) = host.rsplit_once(':') else { return false };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback =
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback());
    loopback && port.parse() == Ok(local.port())
}
