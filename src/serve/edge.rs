//! What stands between a connection and the service: admission, the peer, and the body's limits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use crate::base::fault::Fault;
use crate::base::peer::Peer;
use crate::serve::admit::admit;
use crate::serve::body::RequestBody;
use crate::serve::settings::Limits;

/// The service as one connection sees it.
#[derive(Debug)]
pub(super) struct Edge<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) limits: Arc<Limits>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Edge<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<Either<B, Full<Bytes>>>;
    type Error = Infallible;
    type Future = EdgeFuture<S>;

    fn call(&self, request: Request<Incoming>) -> EdgeFuture<S> {
        let (mut head, body) = request.into_parts();
        if let Err(fault) = admit(&mut head, body.size_hint().exact(), &self.limits) {
            return EdgeFuture::Refused { answer: Some(refusal(fault)) };
        }
        head.extensions.insert(self.peer);
        let request = Request::from_parts(head, RequestBody::new(body, &self.limits));
        EdgeFuture::Inner { inner: Oneshot::new(self.service.clone(), request) }
    }
}

pin_project! {
    /// An answer under way.
    #[project = EdgeState]
    pub(super) enum EdgeFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        Refused { answer: Option<Response<Full<Bytes>>> },
        Inner { #[pin] inner: Oneshot<S, Request<RequestBody>> },
    }
}

impl<S, B> Future for EdgeFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
{
    type Output = Result<Response<Either<B, Full<Bytes>>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            EdgeState::Inner { inner } => inner.poll(cx).map_ok(|answer| answer.map(Either::Left)),
            EdgeState::Refused { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer.map(Either::Right))),
                // A future is not polled again after it was ready.
                None => Poll::Pending,
            },
        }
    }
}

/// Says why a request was not admitted, as problem+json (RFC 9457), and ends the connection: who breaks the rules of
/// the connection cannot be trusted with the rest of it.
fn refusal(fault: Fault) -> Response<Full<Bytes>> {
    let problem = serde_json::json!({
        "type": format!("urn:hero-proxy:{}", fault.reason),
        "title": fault.title,
        "status": fault.status.as_u16(),
        "detail": "Nothing of the request was passed on, and this connection ends.",
        "reason": fault.reason,
    });
    let mut answer = Response::new(Full::from(problem.to_string()));
    *answer.status_mut() = fault.status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    );
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if fault.status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    answer
}
