//! What holds for every request, whatever it asks for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::wire::consume::Refusals;

/// How long a request may take beyond its calls to the forge.
const GRACE: Duration = Duration::from_secs(30);

/// Own style sheet, own forms, nothing else; nobody may frame it.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// `no-referrer` would make browsers send `Origin: null` with forms, which no check against forgery accepts.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// What is asked of every request.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: Vec<String>,
    limit: Duration,
}

impl Guard {
    pub(super) fn new(hosts: Vec<String>, forge_timeout: Duration) -> Self {
        // Two tokens may be tried, each for as long.
        Self { hosts, limit: forge_timeout * 2 + GRACE }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok(),
            _ => None,
        };
        self.hosts.is_empty()
            || host.is_some_and(|host| self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)))
    }
}

/// Turns away what is for another host, ends what takes too long, and adds the security headers.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = if guard.admits(request.headers()) {
        let answer = tokio::time::timeout(guard.limit, next.run(request)).await;
        answer.unwrap_or_else(|_| (StatusCode::REQUEST_TIMEOUT, "this took too long\n").into_response())
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this is cockpit, and the request is for another host\n")
            .into_response()
    };
    let headers = response.headers_mut();
    headers.extend(SECURITY_HEADERS);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Says in the log which headers came and do not count; never their values.
pub(super) async fn log_refusals(request: Request, next: Next) -> Response {
    if let Some(Refusals(refused)) = request.extensions().get() {
        for refused in refused {
            tracing::warn!(header = %refused.header, why = %refused.why, "a header of the proxy's does not count");
        }
    }
    next.run(request).await
}
