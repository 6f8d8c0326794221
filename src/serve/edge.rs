//! What stands between a connection and the service: admission, the peer, and the body's limits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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
use crate::serve::admit::admit;
use crate::serve::body::RequestBody;
use crate::serve::settings::Limits;

/// A service that answers requests, those that the server does not admit too.
pub trait Answers:
    Service<Request<RequestBody>, Response = Response<Self::Answer>, Error = Infallible> + Clone
{
    /// The body of its answers.
    type Answer: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static;

    /// The answer to a request that is not admitted, and that the service never sees. The server adds that the connection
    /// ends.
    fn refuse(&self, head: &Parts, fault: Fault) -> Response<Self::Answer>;
}

/// The service as one connection sees it.
#[derive(Debug)]
pub(super) struct Edge<S> {
    pub(super) service: S,
    pub(super) peer: (Peer, Option<PeerCredentials>),
    pub(super) limits: Arc<Limits>,
}

impl<S: Answers> hyper::service::Service<Request<Incoming>> for Edge<S> {
    type Response = Response<S::Answer>;
    type Error = Infallible;
    type Future = EdgeFuture<S>;

    fn call(&self, request: Request<Incoming>) -> EdgeFuture<S> {
        let (mut head, body) = request.into_parts();
        let (peer, credentials) = self.peer;
        head.extensions.insert(peer);
        if let Some(credentials) = credentials {
            head.extensions.insert(credentials);
        }
        if let Err(fault) = admit(&mut head, body.size_hint().exact(), &self.limits) {
            let mut answer = self.service.refuse(&head, fault);
            mark_refusal(fault.status, answer.headers_mut());
            return EdgeFuture::Refused { answer: Some(answer) };
        }
        let request = Request::from_parts(head, RequestBody::new(body, &self.limits));
        EdgeFuture::Inner { inner: Oneshot::new(self.service.clone(), request) }
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
    #[project = EdgeState]
    pub(super) enum EdgeFuture<S>
    where
        S: Answers,
    {
        Refused { answer: Option<Response<S::Answer>> },
        Inner { #[pin] inner: Oneshot<S, Request<RequestBody>> },
    }
}

impl<S: Answers> Future for EdgeFuture<S> {
    type Output = Result<Response<S::Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            EdgeState::Inner { inner } => inner.poll(cx),
            EdgeState::Refused { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer)),
                // A future is not polled again after it was ready.
                None => Poll::Pending,
            },
        }
    }
}
