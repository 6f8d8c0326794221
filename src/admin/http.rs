//! The faces over HTTP, as one service that lies behind a gate, or behind the Unix socket.
//!
//! | path below the prefix | is |
//! |---|---|
//! | `POST /admin/rpc` | JSON-RPC 2.0 |
//! | `/admin/users` and below, `/admin/page.css`, `/admin/page.js` | the page, behind the gate only |
//! | `/admin`, and `/` at an origin of our own | leads to the page |
//!
//! Everything else is 404, whoever asks. Every answer is for one caller at one moment: no cache may keep it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body::Body;
use serde_json::Value;
use tower_service::Service;

use crate::admin::access::Door;
use crate::admin::caller::Caller;
use crate::admin::page::Route;
use crate::admin::refusal::{Refusal, bad_method, bare, foreign, is_type, read, with_type};
use crate::admin::rpc::{self, Body as Calls, Item};
use crate::admin::service::Admin;
use crate::base::foreign::comes_from_elsewhere;
use crate::wire::name;

pub use crate::admin::refusal::AdminAnswer;

/// The service. Clones share everything.
#[derive(Clone, Debug)]
pub struct AdminService {
    pub(super) admin: Admin,
    pub(super) door: Door,
    /// Our origin as browsers write it.
    pub(super) origin: Arc<str>,
    /// What our paths begin with, such as `/_hero`.
    pub(super) prefix: Arc<str>,
}

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
        let path = head.uri.path();
        let mut answer = match path.strip_prefix(&*self.prefix) {
            Some("/admin/rpc") => self.rpc(&head, body).await.unwrap_or_else(Refusal::problem),
            below => match Route::of(&head.method, path, below).filter(|_| self.door == Door::Front) {
                Some(route) => self.page(route, &head, body).await,
                None => Refusal::new(StatusCode::NOT_FOUND, "admin_no_such_page", "there is nothing here")
                    .problem(),
            },
        };
        if let (Door::Socket, Some(id)) = (self.door, head.headers.get(name::REQUEST_ID)) {
            answer.headers_mut().insert(name::REQUEST_ID, id.clone());
        }
        answer
    }

    async fn rpc<B>(&self, head: &Parts, body: B) -> Result<AdminAnswer, Refusal>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if head.method != Method::POST {
            return Err(bad_method("send a POST to this address", "POST"));
        }
        // A form of another site cannot send this type without asking first.
        if !is_type(&head.headers, "application/json") {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "admin_bad_type",
                "send JSON, with Content-Type: application/json",
            ));
        }
        if comes_from_elsewhere(&head.headers, &self.origin) {
            return Err(foreign());
        }
        // Who asks, before a byte of the body is read; each call of a batch is paid for.
        let caller = self.admin.admit(self.door, head, 1).await?;
        let body = read(body).await?;
        match rpc::read(&body) {
            Calls::Single(item) => Ok(spoken(self.carry_out(&caller, item).await)),
            Calls::Batch(items) => {
                let further = u32::try_from(items.len()).unwrap_or(u32::MAX).saturating_sub(1);
                self.admin.pay(&caller, further)?;
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

/// An answer of JSON-RPC's, or 204 if there is none to give.
fn spoken(answer: Option<Value>) -> AdminAnswer {
    match answer {
        Some(answer) => with_type(StatusCode::OK, "application/json", answer.to_string()),
        None => bare(StatusCode::NO_CONTENT, Bytes::new()),
    }
}

#[cfg(test)]
mod tests;
