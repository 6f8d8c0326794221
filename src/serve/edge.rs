//! What stands between a connection and the service: admission, the peer, and the body's limits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use crate::base::fault::Fault;
use crate::base::peer::{Peer, PeerCredentials};
use crate::base::session_end::SessionEnd;
use crate::serve::admit::admit;
use crate::serve::body::RequestBody;
use crate::serve::settings::Limits;
use crate::serve::turn::{Owed, Turn};

/// A service that answers requests, those that the server does not admit too.
pub trait Answers:
    Service<Request<RequestBody>, Response = Response<Self::Answer>, Error = Infallible> + Clone
{
    /// The body of its answers.
    type Answer: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static;

    /// The answer to a request that is not admitted, and that the service never sees; without a head to what never became a
    /// request. The server adds that the connection ends.
    fn refuse(&self, head: Option<&Parts>, fault: Fault) -> Response<Self::Answer>;
}

/// The service as one connection sees it.
#[derive(Debug)]
pub(super) struct Edge<S> {
    pub(super) service: S,
    pub(super) peer: (Peer, Option<PeerCredentials>),
    pub(super) limits: Arc<Limits>,
    pub(super) turn: Turn,
}

impl<S: Answers> hyper::service::Service<Request<Incoming>> for Edge<S> {
    type Response = Response<Owed<S::Answer>>;
    type Error = Infallible;
    type Future = EdgeFuture<S>;

    fn call(&self, request: Request<Incoming>) -> EdgeFuture<S> {
        let turn = Some(self.turn.owe());
        let (mut head, body) = request.into_parts();
        let (peer, credentials) = self.peer;
        head.extensions.insert(peer);
        if let Some(credentials) = credentials {
            head.extensions.insert(credentials);
        }
        if let Err(fault) = admit(&mut head, body.size_hint().exact(), &self.limits) {
            let mut answer = self.service.refuse(Some(&head), fault);
            mark_refusal(fault.status, answer.headers_mut());
            drop((!body.is_end_stream()).then(|| self.turn.body_comes()));
            return EdgeFuture { inner: Inner::Refused { answer: Some(answer) }, turn };
        }
        let unread = (!body.is_end_stream()).then(|| self.turn.body_comes());
        let request = Request::from_parts(head, RequestBody::new(body, &self.limits, unread));
        EdgeFuture { inner: Inner::Under { inner: Oneshot::new(self.service.clone(), request) }, turn }
    }
}

/// A refusal ends its connection: who breaks the rules of the connection cannot be trusted with the rest of it.
fn mark_refusal(status: StatusCode, headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
}

pin_project! {
    /// An answer under way.
    pub(super) struct EdgeFuture<S>
    where
        S: Answers,
    {
        #[pin]
        inner: Inner<S>,
        turn: Option<Turn>,
    }
}

pin_project! {
    #[project = InnerNow]
    enum Inner<S>
    where
        S: Answers,
    {
        Refused { answer: Option<Response<S::Answer>> },
        Under { #[pin] inner: Oneshot<S, Request<RequestBody>> },
    }
}

impl<S: Answers> Future for EdgeFuture<S> {
    type Output = Result<Response<Owed<S::Answer>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.inner.project() {
            InnerNow::Under { inner } => Some(ready!(inner.poll(cx))?),
            InnerNow::Refused { answer } => answer.take(),
        };
        match (answer, this.turn.take()) {
            (Some(mut answer), Some(turn)) => {
                let session: Option<SessionEnd> = answer.extensions_mut().remove();
                Poll::Ready(Ok(answer.map(|body| Owed::new(body, turn, session.as_ref()))))
            }
            // A future is not polled again after it was ready.
            _ => Poll::Pending,
        }
    }
}
