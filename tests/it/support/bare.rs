//! The server and the forwarding room without the gate between them: for tests of the two alone.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hero_proxy::base::entropy::OsEntropy;
use hero_proxy::base::fault::Fault;
use hero_proxy::base::path::RouteTable;
use hero_proxy::forward::settings::{Settings, Upstream};
use hero_proxy::forward::{Forward, Pools};
use hero_proxy::serve::settings::{Limits, Listen, Settings as ServeSettings};
use hero_proxy::serve::{Answers, Listeners, Readiness, RequestBody, Serve};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{Either, Full};
use tower_service::Service;

use super::DEADLINE;
use super::echo::Echo;
use super::raw::{RawAnswer, RawClient};

/// A running server with [`Forward`] behind it. It runs until the test's runtime ends.
pub struct Bare {
    /// Where it listens.
    pub address: SocketAddr,
    /// The server.
    pub serve: Serve,
}

/// The upstream that an ECHO is.
pub fn http(echo: &Echo) -> Upstream {
    Upstream::Http { authority: echo.authority() }
}

/// A service as it is: what the server does not admit gets its bare status and the code.
#[derive(Clone)]
pub struct Plain<S>(pub S);

impl<S, B> Service<Request<RequestBody>> for Plain<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Either<B, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async { answer.await.map(|answer| answer.map(Either::Left)) })
    }
}

impl<S, B> Answers for Plain<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send + 'static>,
    S: Clone,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    type Answer = Either<B, Full<Bytes>>;

    fn refuse(&self, _: Option<&Parts>, fault: Fault) -> Response<Self::Answer> {
        let mut answer = Response::new(Either::Right(Full::from(fault.reason)));
        *answer.status_mut() = fault.status;
        answer
    }
}

/// Settings with short names: each route is a prefix and its upstream.
pub fn settings(routes: impl IntoIterator<Item = (&'static str, Upstream)>) -> Settings {
    let routes = routes.into_iter().map(|(prefix, upstream)| (prefix.to_owned(), false, upstream));
    Settings {
        routes: RouteTable::new(routes),
        connect_timeout: DEADLINE,
        response_timeout: DEADLINE,
        idle_timeout: DEADLINE,
        pool_idle: Duration::from_secs(4),
        max_requests_per_upstream: 64,
    }
}

/// The forwarding service of fresh pools.
pub fn forward(settings: &Settings) -> Forward<RequestBody> {
    Pools::new(&OsEntropy).forward(settings).unwrap()
}

impl Bare {
    /// Forwards all to one ECHO.
    pub async fn to(echo: &Echo) -> Self {
        Self::with(&settings([("/", http(echo))])).await
    }

    /// Forwards by these settings.
    pub async fn with(settings: &Settings) -> Self {
        Self::limited(settings, Limits::default()).await
    }

    /// Forwards by these settings, under these limits.
    pub async fn limited(settings: &Settings, limits: Limits) -> Self {
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let listeners =
            Listeners::bind(&ServeSettings { listen, health: None, limits, unix_mode: 0o660 }).await.unwrap();
        let Some(Listen::Tcp(address)) = listeners.addresses().pop() else {
            panic!("a TCP address");
        };
        Self { address, serve: listeners.serve(Plain(forward(settings)), Readiness::of([])) }
    }

    /// A new connection.
    pub async fn client(&self) -> RawClient {
        RawClient::tcp(self.address).await
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> RawAnswer {
        self.client().await.ask(request).await
    }
}
