//! The first service of all: takes the stack of the moment, and writes the access line.

use std::future::Ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header;
use http::request::Parts;
use http::{Extensions, Method, Request, Response, StatusCode, Uri};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;
use tracing::{enabled, info};

use crate::app::admin::AdminStack;
use crate::base::fault::{Code, Fault};
use crate::base::peer::Peer;
use crate::forward::{Forward, ForwardBody};
use crate::gate::body::{GateBody, Untrailed};
use crate::gate::{ForgeAuth, ForgeKeeper};
use crate::log::ACCESS;
use crate::serve::{Answers, RequestBody};
use crate::wire::name;

/// The app's part: the gate, and forwarding behind it.
pub(super) type Stack = ForgeAuth<Forward<Untrailed<RequestBody>>, ForgeKeeper>;

/// One generation.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) app: Stack,
    pub(super) admin: Option<AdminPart>,
}

/// The operator's part, and which requests at the app's addresses are its.
#[derive(Clone, Debug)]
pub(super) struct AdminPart {
    pub(super) stack: AdminStack,
    pub(super) takes: Takes,
    /// What its paths begin with: at the app's origin there is nothing under them, for nobody and no backend.
    pub(super) below: String,
}

/// Which requests at the app's addresses are the operator's part's.
#[derive(Clone, Debug)]
pub(super) enum Takes {
    /// All: there is nothing else.
    All,
    /// None: it has addresses of its own.
    Nothing,
    /// Those for its host, written with its port and without one that is usual.
    Host([String; 2]),
    /// Those below its path, in these very letters.
    Below,
}

impl Takes {
    /// What is taken for the other part's is answered 421 or 404 there: both look at the Host themselves.
    fn takes<B>(&self, below: &str, request: &Request<B>) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Host(hosts) => {
                let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
                let host = authority.or_else(|| Some(request.headers().get(header::HOST)?.as_bytes()));
                host.is_some_and(|host| hosts.iter().any(|ours| host.eq_ignore_ascii_case(ours.as_bytes())))
            }
            Self::Below => request.uri().path().starts_with(below),
        }
    }
}

/// What is served at one set of addresses: the parts of the moment. Clones share them.
#[derive(Clone, Debug)]
pub struct Front {
    pub(super) now: Arc<ArcSwap<Generation>>,
    /// Whether these are the operator's part's own addresses.
    pub(super) is_admins: bool,
}

impl Front {
    /// The operator's part, if this request is its; `Err`: it is nobody's.
    fn admin<B>(&self, generation: &Generation, request: &Request<B>) -> Result<Option<AdminStack>, ()> {
        let Some(part) = &generation.admin else { return Ok(None) };
        if self.is_admins || part.takes.takes(&part.below, request) {
            return Ok(Some(part.stack.clone()));
        }
        if request.uri().path().starts_with(&part.below) { Err(()) } else { Ok(None) }
    }
}

impl Front {
    fn explain(&self, head: &Parts, fault: Fault) -> Response<<Self as Answers>::Answer> {
        let generation = self.now.load();
        match generation.admin.as_ref().filter(|_| self.is_admins) {
            Some(part) => part.stack.refuse(head, &fault).map(Either::Right),
            None => generation.app.refuse(head, &fault).map(Either::Left),
        }
    }
}

type AnswerOf<S> = <S as Service<Request<RequestBody>>>::Response;
type FutureOf<S> = <S as Service<Request<RequestBody>>>::Future;
type BodyOf<R> = <R as HasBody>::Body;

/// The body of a response.
pub trait HasBody {
    /// Its type.
    type Body;
}

impl<B> HasBody for Response<B> {
    type Body = B;
}

impl Service<Request<RequestBody>> for Front {
    type Response = Response<Either<BodyOf<AnswerOf<Stack>>, BodyOf<AnswerOf<AdminStack>>>>;
    type Error = <Stack as Service<Request<RequestBody>>>::Error;
    type Future = Served<FutureOf<Stack>, FutureOf<AdminStack>, BodyOf<AnswerOf<Stack>>, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let line = enabled!(target: ACCESS, tracing::Level::INFO)
            .then(|| Box::new(Line::of(request.method(), request.uri(), request.extensions())));
        let generation = self.now.load();
        // Both are always ready: forwarding's bounds are per upstream, and answered.
        let inner = match self.admin(&generation, &request) {
            Ok(Some(mut admin)) => Part::Admin { inner: admin.call(request) },
            Err(()) => {
                let (head, _) = request.into_parts();
                Part::Nobody { inner: std::future::ready(Ok(generation.app.refuse(&head, &NOTHING))) }
            }
            Ok(None) => Part::App { inner: generation.app.clone().call(request) },
        };
        Served { inner, line }
    }
}

impl Answers for Front {
    type Answer = Either<GateBody<ForwardBody>, BodyOf<AnswerOf<AdminStack>>>;

    fn refuse(&self, head: Option<&Parts>, fault: Fault) -> Response<Self::Answer> {
        let Some(head) = head else {
            // No method and no path: there is nothing that an access line could say of it. The server has a line for it.
            return self.explain(&Request::new(()).into_parts().0, fault);
        };
        let answer = self.explain(head, fault);
        if enabled!(target: ACCESS, tracing::Level::INFO) {
            Line::of(&head.method, &head.uri, &head.extensions).write(&answer);
        }
        answer
    }
}

/// What stands at the app's origin where the operator's part would be: nothing, whoever asks.
const NOTHING: Fault =
    Fault { status: StatusCode::NOT_FOUND, reason: "no_route", title: "There is nothing at this address" };

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
    pub struct Served<F, G, B, E> {
        #[pin]
        inner: Part<F, G, B, E>,
        line: Option<Box<Line>>,
    }
}

pin_project! {
    /// By which part.
    #[derive(Debug)]
    #[project = PartNow]
    enum Part<F, G, B, E> {
        App { #[pin] inner: F },
        Admin { #[pin] inner: G },
        Nobody { inner: Ready<Result<Response<B>, E>> },
    }
}

impl<F, G, A, B, E> Future for Served<F, G, A, E>
where
    F: Future<Output = Result<Response<A>, E>>,
    G: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Either<A, B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.inner.project() {
            PartNow::App { inner } => ready!(inner.poll(context)).map(|answer| answer.map(Either::Left)),
            PartNow::Admin { inner } => ready!(inner.poll(context)).map(|answer| answer.map(Either::Right)),
            PartNow::Nobody { inner } => {
                ready!(Pin::new(inner).poll(context)).map(|answer| answer.map(Either::Left))
            }
        };
        if let (Some(line), Ok(response)) = (this.line.take(), &answer) {
            line.write(response);
        }
        Poll::Ready(answer)
    }
}
