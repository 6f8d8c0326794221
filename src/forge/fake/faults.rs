//! What can be made to go wrong, per endpoint, for tests of clients.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::sync::watch;

/// The places that are counted and can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `/login/oauth/authorize`.
    Authorize,
    /// `/login/oauth/grant`.
    Consent,
    /// `/login/oauth/access_token`.
    Token,
    /// `/login/oauth/userinfo`.
    Userinfo,
    /// `/login/oauth/keys`.
    Keys,
    /// `/login/oauth/introspect`.
    Introspect,
    /// `POST` of an issue.
    Issues,
    /// `POST` or `PATCH` below `/api/v1/admin/users`.
    AdminUsers,
    /// The rest of `/api/`.
    Api,
    /// Every other page.
    Web,
}

impl Endpoint {
    /// Where a request belongs.
    pub(super) fn of(method: &str, path: &str) -> Self {
        match path {
            "/.well-known/openid-configuration" => Self::Discovery,
            "/login/oauth/authorize" => Self::Authorize,
            "/login/oauth/grant" => Self::Consent,
            "/login/oauth/access_token" => Self::Token,
            "/login/oauth/userinfo" => Self::Userinfo,
            "/login/oauth/keys" => Self::Keys,
            "/login/oauth/introspect" => Self::Introspect,
            path if method == "POST" && path.starts_with("/api/v1/repos/") && path.ends_with("/issues") => {
                Self::Issues
            }
            path if path.starts_with("/api/v1/admin/users") && matches!(method, "POST" | "PATCH") => {
                Self::AdminUsers
            }
            path if path.starts_with("/api/") => Self::Api,
            _ => Self::Web,
        }
    }
}

/// How an endpoint fails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Answers this and does nothing.
    Answer {
        /// The status.
        status: u16,
        /// The content type.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// Answers a body of that many bytes, as JSON by name, and does nothing.
    Huge {
        /// How many bytes.
        bytes: usize,
    },
    /// Sends the caller elsewhere (307: with the same method and body) and does nothing.
    Redirect {
        /// Where to.
        to: String,
    },
    /// Closes the connection without an answer and does nothing.
    Close,
    /// Does what was asked, then closes the connection: the answer is lost.
    LoseAnswer,
    /// Does what was asked, then answers this all the same.
    AnswerInstead {
        /// The status.
        status: u16,
        /// The content type.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// Holds the request until the gate opens, then does what was asked.
    Wait(Gate),
    /// Holds the request for so long, then does what was asked.
    Slow(Duration),
    /// Does what was asked at once, and holds the answer until the gate opens.
    HoldAnswer(Gate),
}

impl Fault {
    /// An HTML page where something else was expected.
    pub fn html(status: u16) -> Self {
        let body = "<!DOCTYPE html><title>down</title><p>We are down for maintenance.".to_owned();
        Self::Answer { status, content_type: "text/html; charset=utf-8", body }
    }

    /// A JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Answer { status, content_type: "application/json", body: body.into() }
    }

    /// The answer, for the faults that are one.
    pub(super) fn answer(&self) -> Option<Response> {
        match self {
            Self::Answer { status, content_type, body } => Some(canned(*status, content_type, body)),
            Self::Huge { bytes } => {
                let mut response = Response::new(Body::new(Huge(*bytes)));
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Some(response)
            }
            Self::Redirect { to } => {
                let mut response = canned(307, "text/plain", "");
                let to = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/"));
                response.headers_mut().insert(header::LOCATION, to);
                Some(response)
            }
            _ => None,
        }
    }

    /// The answer that takes the place of the real one, after the deed.
    pub(super) fn answer_instead(&self) -> Option<Response> {
        match self {
            Self::AnswerInstead { status, content_type, body } => Some(canned(*status, content_type, body)),
            _ => None,
        }
    }
}

fn canned(status: u16, content_type: &'static str, body: &str) -> Response {
    let mut response = Response::new(Body::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// That many spaces in pieces, without `Content-Length`: a client must stop by itself.
struct Huge(usize);

impl http_body::Body for Huge {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        const PIECE: &[u8] = &[b' '; 16 * 1024];
        let next = self.0.min(PIECE.len());
        self.0 -= next;
        let piece = PIECE.get(..next).filter(|piece| !piece.is_empty());
        Poll::Ready(piece.map(|piece| Ok(http_body::Frame::data(Bytes::from_static(piece)))))
    }
}

/// Something to wait at: clones open together.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<(bool, usize)>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(watch::Sender::new((false, 0)))
    }

    /// Lets all through, now and later.
    pub fn open(&self) {
        self.0.send_modify(|state| state.0 = true);
    }

    /// Waits until `count` requests stand (or have stood) here.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting.
    pub async fn reached(&self, count: usize) {
        let _ = self.0.subscribe().wait_for(|state| state.1 >= count).await.is_ok();
    }

    pub(super) async fn pass(&self) {
        self.0.send_modify(|state| state.1 += 1);
        let _ = self.0.subscribe().wait_for(|state| state.0).await.is_ok();
    }
}

#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<HashMap<Endpoint, (Fault, usize)>>);

impl Faults {
    pub(super) fn set(&self, endpoint: Endpoint, fault: Fault, times: usize) {
        self.lock().insert(endpoint, (fault, times));
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// The fault that this request meets; it counts down.
    pub(super) fn take(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut faults = self.lock();
        let (fault, times) = faults.get_mut(&endpoint)?;
        *times = times.checked_sub(1)?;
        Some(fault.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Endpoint, (Fault, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
