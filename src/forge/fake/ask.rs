//! A request, read once: path parameters, query, headers, and the body as form fields or JSON.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, RawPathParams, Request};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use url::form_urlencoded;

use super::server::Forge;

/// The longest body that is read, in bytes.
const MOST_BODY_BYTES: usize = 1 << 20;

/// What is known of a request before it is routed.
#[derive(Clone)]
pub(super) struct Arrival {
    /// Path and query as they came.
    pub(super) uri: Uri,
    /// The `_csrf` value that belongs to this browser: its cookie's, or the one that this answer sets.
    pub(super) csrf: String,
}

pub(super) struct Ask {
    pub(super) method: Method,
    /// Path and query as they came.
    pub(super) target: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) csrf: String,
    params: Vec<(String, String)>,
    query: Vec<(String, String)>,
    fields: Vec<(String, String)>,
}

impl Ask {
    /// A path parameter, percent-decoded.
    pub(super) fn param(&self, name: &str) -> &str {
        find(&self.params, name).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.param(name).parse().unwrap_or(0)
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// A form field or JSON member of the body.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        find(&self.fields, name)
    }

    /// As Forgejo binds forms: the body first, then the query; absent reads as empty.
    pub(super) fn value(&self, name: &str) -> &str {
        self.field(name).or_else(|| self.query(name)).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        cookie(&self.headers, name)
    }

    /// Whether the body is a form: Forgejo looks for a `token` field in those only.
    pub(super) fn is_form(&self) -> bool {
        self.content_type().starts_with("application/x-www-form-urlencoded")
    }

    pub(super) fn content_type(&self) -> &str {
        self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default()
    }

    /// Whether a browser's page load asks, and not a script or program.
    pub(super) fn wants_page(&self) -> bool {
        self.header(header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/html"))
    }
}

/// The value of a cookie, wherever the client put it.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
}

impl FromRequest<Arc<Forge>> for Ask {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Arc<Forge>) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let params: Vec<(String, String)> = match <RawPathParams as axum::extract::FromRequestParts<
            Arc<Forge>,
        >>::from_request_parts(&mut parts, state)
        .await
        {
            Ok(params) => params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            Err(refusal) => return Err(refusal.into_response()),
        };
        let body = axum::body::to_bytes(body, MOST_BODY_BYTES)
            .await
            .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE.into_response())?;
        // A nested router sees its part of the path only; redirects need all of it.
        let (uri, csrf) = match parts.extensions.remove::<Arrival>() {
            Some(arrival) => (arrival.uri, arrival.csrf),
            None => (parts.uri, String::new()),
        };
        let mut ask = Self {
            method: parts.method,
            target: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            path: uri.path().to_owned(),
            query: pairs(uri.query().unwrap_or_default().as_bytes()),
            headers: parts.headers,
            body,
            csrf,
            params,
            fields: Vec::new(),
        };
        ask.fields = fields(&ask);
        Ok(ask)
    }
}

fn fields(ask: &Ask) -> Vec<(String, String)> {
    if ask.is_form() {
        return pairs(&ask.body);
    }
    match serde_json::from_slice(&ask.body) {
        Ok(Value::Object(members)) => members.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        _ => Vec::new(),
    }
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
