//! The first service of all: takes the stack of the moment, and writes the access line.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Extensions, Method, Request, Response, Uri};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;
use tracing::{enabled, info};

use crate::base::fault::{Code, Fault};
use crate::base::peer::Peer;
use crate::forward::{Forward, ForwardBody};
use crate::gate::body::{GateBody, Untrailed};
use crate::gate::{ForgeAuth, ForgeKeeper};
use crate::log::ACCESS;
use crate::serve::{Answers, RequestBody};
use crate::wire::name;

/// One generation: the gate, and forwarding behind it.
pub(super) type Stack = ForgeAuth<Forward<Untrailed<RequestBody>>, ForgeKeeper>;

/// The stack of the moment. Clones share it.
#[derive(Clone, Debug)]
pub struct Front(pub(super) Arc<ArcSwap<Stack>>);

impl Service<Request<RequestBody>> for Front {
    type Response = <Stack as Service<Request<RequestBody>>>::Response;
    type Error = <Stack as Service<Request<RequestBody>>>::Error;
    type Future = Served<<Stack as Service<Request<RequestBody>>>::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let line = enabled!(target: ACCESS, tracing::Level::INFO)
            .then(|| Box::new(Line::of(request.method(), request.uri(), request.extensions())));
        // Forwarding is always ready: its bounds are per upstream, and answered.
        let mut stack = Stack::clone(&self.0.load());
        Served { inner: stack.call(request), line }
    }
}

impl Answers for Front {
    type Answer = GateBody<ForwardBody>;

    fn refuse(&self, head: &Parts, fault: Fault) -> Response<Self::Answer> {
        let answer = self.0.load().refuse(head, &fault);
        if enabled!(target: ACCESS, tracing::Level::INFO) {
            Line::of(&head.method, &head.uri, &head.extensions).write(&answer);
        }
        answer
    }
}

/// What an access line says of a request. The query is left out: codes and tokens stand in queries.
#[derive(Debug)]
struct Line {
    method: Method,
    path: String,
    peer: Option<Peer>,
    begun: Instant,
}

impl Line {
    fn of(method: &Method, uri: &Uri, extensions: &Extensions) -> Self {
        Self {
            method: method.clone(),
            path: visible(uri.path()),
            peer: extensions.get().copied(),
            begun: Instant::now(),
        }
    }

    fn write<B>(&self, response: &Response<B>) {
        let took: Duration = self.begun.elapsed();
        let peer = self.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
        let id = response.headers().get(name::REQUEST_ID);
        info!(
            target: ACCESS,
            method = %self.method,
            path = %self.path,
            status = response.status().as_u16(),
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            peer = %peer,
            reason = response.extensions().get::<Code>().map(|code| code.0),
            request_id = id.and_then(|id| id.to_str().ok()).unwrap_or("-"),
            "request"
        );
    }
}

/// A path in visible ASCII: what stands there raw is shown percent-encoded (RFC 3986 §2.1), so that no terminal obeys it.
fn visible(path: &str) -> String {
    let mut shown = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' => shown.push(char::from(byte)),
            other => shown.push_str(&format!("%{other:02X}")),
        }
    }
    shown
}

pin_project! {
    /// A request being served.
    #[derive(Debug)]
    pub struct Served<F> {
        #[pin]
        inner: F,
        line: Option<Box<Line>>,
    }
}

impl<F, B, E> Future for Served<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(context));
        if let (Some(line), Ok(response)) = (this.line.take(), &answer) {
            line.write(response);
        }
        Poll::Ready(answer)
    }
}
