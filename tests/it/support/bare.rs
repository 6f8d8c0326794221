//! The server and the forwarding room without the gate between them: for tests of the two alone.

use std::net::SocketAddr;
use std::time::Duration;

use hero_proxy::base::path::RouteTable;
use hero_proxy::forward::settings::{Settings, Upstream};
use hero_proxy::forward::{Forward, Pools};
use hero_proxy::serve::settings::{Limits, Listen, Settings as ServeSettings};
use hero_proxy::serve::{Listeners, Readiness, RequestBody, Serve};

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
    Pools::default().forward(settings).unwrap()
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
        let listeners = Listeners::bind(&ServeSettings { listen, health: None, limits }).await.unwrap();
        let Some(Listen::Tcp(address)) = listeners.addresses().pop() else {
            panic!("a TCP address");
        };
        Self { address, serve: listeners.serve(forward(settings), Readiness::of([])) }
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
