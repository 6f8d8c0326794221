//! The faces over HTTP, as one service that lies behind a gate, or behind the Unix socket.
//!
//! | path below the prefix | is |
//! |---|---|
//! | `POST /admin/rpc` | JSON-RPC 2.0 |
//!
//! Everything else is 404, whoever asks. Every answer is for one caller at one moment: no cache may keep it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::{Value, json};
use tower_service::Service;

use crate::admin::access::{Denied, Door};
use crate::admin::caller::Caller;
use crate::admin::rpc::{self, Body as Calls, Item};
use crate::admin::service::Admin;
use crate::base::fault::{Fault, cause};
use crate::base::foreign::comes_from_elsewhere;
use crate::wire::name;

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The service. Clones share everything.
#[derive(Clone, Debug)]
pub struct AdminService {
    admin: Admin,
    door: Door,
    /// Our origin as browsers write it.
    origin: Arc<str>,
    /// What our paths begin with, such as `/_hero`.
    prefix: Arc<str>,
}

/// Its answers.
pub type AdminAnswer = Response<Full<Bytes>>;

impl AdminService {
    /// Serves what comes in by this door. `origin`: as browsers write it (RFC 6454 §6.2); `prefix`: without a trailing slash.
    pub fn new(admin: Admin, door: Door, origin: impl Into<Arc<str>>, prefix: impl Into<Arc<str>>) -> Self {
        Self { admin, door, origin: origin.into(), prefix: prefix.into() }
    }

    async fn answer<B>(self, request: Request<B>) -> AdminAnswer
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        if self.door == Door::Socket {
            // Behind the gate the gate has chosen it.
            let id = HeaderValue::try_from(self.admin.new_id('r'));
            head.headers.insert(name::REQUEST_ID, id.unwrap_or(HeaderValue::from_static("-")));
        }
        let answer = match head.uri.path().strip_prefix(&*self.prefix) {
            Some("/admin/rpc") => self.rpc(&head, body).await,
            _ => Err(refused(StatusCode::NOT_FOUND, "admin_no_such_page", "there is nothing here")),
        };
        let mut answer = answer.unwrap_or_else(|refusal| refusal);
        if let (Door::Socket, Some(id)) = (self.door, head.headers.get(name::REQUEST_ID)) {
            answer.headers_mut().insert(name::REQUEST_ID, id.clone());
        }
        answer
    }

    async fn rpc<B>(&self, head: &Parts, body: B) -> Result<AdminAnswer, AdminAnswer>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if head.method != Method::POST {
            let mut answer =
                refused(StatusCode::METHOD_NOT_ALLOWED, "admin_bad_method", "send a POST to this address");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return Err(answer);
        }
        // A form of another site cannot send this type without asking first.
        if !is_json(&head.headers) {
            return Err(refused(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "admin_bad_type",
                "send JSON, with Content-Type: application/json",
            ));
        }
        if comes_from_elsewhere(&head.headers, &self.origin) {
            return Err(refused(
                StatusCode::FORBIDDEN,
                "admin_foreign_origin",
                "this was sent by another site's page",
            ));
        }
        // Who asks, before a byte of the body is read; each call of a batch is paid for.
        let caller = self.admin.admit(self.door, head, 1).await.map_err(|why| denied(&why))?;
        let body = read(body).await?;
        match rpc::read(&body) {
            Calls::Single(item) => Ok(spoken(self.carry_out(&caller, item).await)),
            Calls::Batch(items) => {
                let further = u32::try_from(items.len()).unwrap_or(u32::MAX).saturating_sub(1);
                self.admin.pay(&caller, further).map_err(|why| denied(&why))?;
                let mut answers = Vec::new();
                for item in items {
                    answers.extend(self.carry_out(&caller, item).await);
                }
                Ok(spoken((!answers.is_empty()).then_some(Value::Array(answers))))
            }
        }
    }

    async fn carry_out(&self, caller: &Caller, item: Item) -> Option<Value> {
        match item {
            Item::Broken(answer) => Some(answer),
            Item::Call(call) => self.admin.call(caller, call).await,
        }
    }
}

impl<B> Service<Request<B>> for AdminService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = AdminAnswer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<AdminAnswer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

/// Reads a body to its end, [`MAX_BODY`] at most.
async fn read<B>(body: B) -> Result<Bytes, AdminAnswer>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(failed) => match cause::<Fault>(&*failed) {
            Some(fault) => Err(refused(fault.status, fault.reason, fault.title)),
            None if failed.is::<http_body_util::LengthLimitError>() => Err(refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "admin_body_too_long",
                "a body has 64 KiB at most",
            )),
            None => Err(refused(StatusCode::BAD_REQUEST, "admin_body_cut", "the body did not come whole")),
        },
    }
}

/// `application/json`, with or without parameters; one line of it.
fn is_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let kind = line.to_str().ok().and_then(|line| line.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// An answer of JSON-RPC's, or 204 if there is none to give.
fn spoken(answer: Option<Value>) -> AdminAnswer {
    match answer {
        Some(answer) => with_type(StatusCode::OK, "application/json", answer.to_string()),
        None => bare(StatusCode::NO_CONTENT, Bytes::new()),
    }
}

fn denied(why: &Denied) -> AdminAnswer {
    let (status, title) = match why {
        Denied::Nobody => (StatusCode::UNAUTHORIZED, "sign in first, or send an API key"),
        Denied::BadKey => (StatusCode::UNAUTHORIZED, "this API key does not count"),
        Denied::NotAllowed => (StatusCode::FORBIDDEN, "you are signed in, and may not do this"),
        Denied::ForgeUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "the forge cannot say now whether you may do this")
        }
        Denied::Records => {
            (StatusCode::SERVICE_UNAVAILABLE, "the records cannot say now whether this key counts")
        }
        Denied::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "too many calls; wait a little"),
    };
    let mut answer = refused(status, why.reason(), title);
    let headers = answer.headers_mut();
    match why {
        Denied::Nobody | Denied::BadKey => {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"hero_proxy admin\""),
            );
        }
        Denied::TooOften(wait) => {
            headers.insert(header::RETRY_AFTER, retry_after(*wait));
        }
        Denied::ForgeUnavailable | Denied::Records => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        Denied::NotAllowed => {}
    }
    answer
}

fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_millis().div_ceil(1000).clamp(1, 3600) as u64)
}

/// A refusal before any call was looked at, as problem+json (RFC 9457).
fn refused(status: StatusCode, reason: &str, title: &str) -> AdminAnswer {
    let problem = json!({
        "type": format!("urn:hero-proxy:{reason}"), "title": title, "status": status.as_u16(), "reason": reason,
    });
    with_type(status, "application/problem+json", problem.to_string())
}

fn with_type(status: StatusCode, kind: &'static str, body: String) -> AdminAnswer {
    let mut answer = bare(status, Bytes::from(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn bare(status: StatusCode, body: Bytes) -> AdminAnswer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    answer.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}

#[cfg(test)]
mod tests;
