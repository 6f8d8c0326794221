//! The service: chooses the upstream, sends, and hands the answer on.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, ResponseFuture};
use tokio::sync::OwnedSemaphorePermit;
use tower_service::Service;

use crate::base::fault::Fault;
use crate::base::path::RouteTable;
use crate::base::stall::Stall;
use crate::forward::answer::ForwardBody;
use crate::forward::fault;
use crate::forward::hop::{self, OurName};
use crate::forward::pools::Pool;
use crate::forward::upload::{Upload, Uploading};

/// Forwards requests that the gate has let through, and streams both ways. It answers every request: what fails has a
/// [`Fault`] in its extensions and an empty body. Clones share all.
#[derive(Debug)]
pub struct Forward<B>(Arc<Inner<B>>);

#[derive(Debug)]
struct Inner<B> {
    our_name: Arc<OurName>,
    routes: RouteTable<Arc<Pool<B>>>,
    response_timeout: Duration,
    idle_timeout: Duration,
}

impl<B> Clone for Forward<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Forward<B> {
    pub(super) fn new(
        our_name: Arc<OurName>,
        routes: RouteTable<Arc<Pool<B>>>,
        response_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        Self(Arc::new(Inner { our_name, routes, response_timeout, idle_timeout }))
    }
}

impl<B> Service<Request<B>> for Forward<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ForwardBody>;
    type Error = Infallible;
    type Future = Sending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Sending {
        Sending(self.0.send(request).unwrap_or_else(State::Refused))
    }
}

impl<B> Inner<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn send(&self, request: Request<B>) -> Result<State, Fault> {
        let (mut head, body) = request.into_parts();
        let pool = self.routes.find(head.uri.path()).ok_or(fault::NO_ROUTE)?;
        if self.our_name.is_in(&head.headers) {
            return Err(fault::LOOP);
        }
        if head.method == Method::OPTIONS && !hop::may_go_on(&mut head.headers) {
            return Ok(State::LastHop);
        }
        let target = head.uri.path_and_query().cloned().ok_or(fault::BAD_TARGET)?;
        head.uri = pool.uri(target).ok_or(fault::BAD_TARGET)?;
        let permit = pool.permit().ok_or(fault::BUSY)?;
        if !head.headers.contains_key(header::HOST)
            && let Ok(host) = HeaderValue::from_str(pool.authority.as_str())
        {
            // HTTP/1.0 knows no Host, and we speak 1.1, which demands it (RFC 9112 §3.2).
            head.headers.insert(header::HOST, host);
        }
        self.our_name.add_to(&mut head.headers, head.version);
        head.version = Version::HTTP_11;
        // What rooms before this one knew of the request is not the client's to carry on.
        head.extensions.clear();
        let (body, uploading) = Upload::of(body);
        Ok(State::Waiting(Waiting {
            answer: pool.send(Request::from_parts(head, body)),
            uploading,
            moves: 0,
            stall: Stall::new(self.response_timeout),
            idle_timeout: self.idle_timeout,
            permit: Some(permit),
            upstream: Arc::clone(&pool.label),
        }))
    }
}

/// An exchange under way. Dropping it cancels the request and closes the connection that it went out on.
#[derive(Debug)]
pub struct Sending(State);

#[derive(Debug)]
enum State {
    Refused(Fault),
    /// The request asks how far it comes, and it comes as far as here.
    LastHop,
    Waiting(Waiting),
}

#[derive(Debug)]
struct Waiting {
    answer: ResponseFuture,
    stall: Stall,
    /// What the request's body does; none if it has none.
    uploading: Option<Uploading>,
    /// How far the body had come when the clock was last set.
    moves: u64,
    idle_timeout: Duration,
    permit: Option<OwnedSemaphorePermit>,
    upstream: Arc<str>,
}

impl Future for Sending {
    type Output = Result<Response<ForwardBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.0 {
            State::Refused(fault) => Err(*fault),
            State::LastHop => Ok(options()),
            State::Waiting(waiting) => ready!(waiting.poll_answer(cx)),
        };
        Poll::Ready(Ok(result.unwrap_or_else(refusal)))
    }
}

impl Waiting {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<ForwardBody>, Fault>> {
        match Pin::new(&mut self.answer).poll(cx) {
            Poll::Ready(Ok(answer)) => Poll::Ready(self.accept(answer)),
            Poll::Ready(Err(error)) => {
                let fault = fault::of(&error);
                self.tell(fault, &error);
                Poll::Ready(Err(fault))
            }
            Poll::Pending => self.poll_patience(cx),
        }
    }

    /// Ready once the upstream alone has kept us waiting for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<ForwardBody>, Fault>> {
        loop {
            ready!(self.stall.poll_still(cx));
            let (on_client, moves) = self.uploading.as_ref().map_or((false, 0), Uploading::look);
            if !on_client && moves == self.moves {
                tracing::warn!(upstream = %self.upstream, "no answer in time");
                return Poll::Ready(Err(fault::SILENT));
            }
            self.moves = moves;
            self.stall.moved();
        }
    }

    fn accept(&mut self, answer: Response<Incoming>) -> Result<Response<ForwardBody>, Fault> {
        // We never ask to leave HTTP, so an upstream that leaves it speaks to nobody.
        let permit = self.permit.take().filter(|_| answer.status() != StatusCode::SWITCHING_PROTOCOLS);
        let Some(permit) = permit else {
            tracing::warn!(upstream = %self.upstream, "an upgrade that nobody asked for");
            return Err(fault::BROKEN);
        };
        let (mut head, body) = answer.into_parts();
        hop::unhop(&mut head);
        Ok(Response::from_parts(
            head,
            ForwardBody::new(body, self.idle_timeout, permit, self.uploading.take()),
        ))
    }

    /// Tells the operator; what a client did wrong is not worth a warning.
    fn tell(&self, fault: Fault, error: &legacy::Error) {
        if fault.status.is_server_error() {
            tracing::warn!(upstream = %self.upstream, reason = fault.reason, error = %Chain(error), "no answer");
        }
    }
}

fn refusal(fault: Fault) -> Response<ForwardBody> {
    let mut response = Response::new(ForwardBody::empty());
    *response.status_mut() = fault.status;
    if fault == fault::BUSY {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response.extensions_mut().insert(fault);
    response
}

/// What this proxy does for requests on their way (RFC 9110 §9.3.7).
fn options() -> Response<ForwardBody> {
    let mut response = Response::new(ForwardBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// An error with its sources, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        std::iter::successors(self.0.source(), |error| error.source())
            .try_for_each(|source| write!(f, ": {source}"))
    }
}
