//! From bound sockets to served connections, and back to silence.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base::peer::Peer;
use crate::serve::connection::{self, Ending};
use crate::serve::edge::Answers;
use crate::serve::health::{Health, Readiness};
use crate::serve::listen::{Accepted, BindError, Listener, Retry, retry};
use crate::serve::settings::{Limits, Listen, Settings};

/// Connections to the health listener at once.
const MAX_HEALTH_CONNECTIONS: usize = 64;

/// What a server can run: the bounds in one place. Nobody implements it by hand.
pub trait Serves: Answers<Future: Send, Answer: Send> + Send + 'static {}

impl<S: Answers<Future: Send, Answer: Send> + Send + 'static> Serves for S {}

/// Sockets that are bound and do not serve yet: what comes in waits.
#[derive(Debug)]
pub struct Listeners {
    public: Vec<Listener>,
    health: Option<Listener>,
    limits: Limits,
    handle: Handle,
}

impl Listeners {
    /// Binds every address of the settings. Connections will run on the runtime that this is called on.
    ///
    /// # Errors
    /// An address is taken or not to be had; none is bound then.
    ///
    /// # Cancel safety
    /// Dropping the future unbinds all.
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        let mut public = Vec::new();
        for listen in &settings.listen {
            public.push(Listener::bind(listen, settings.unix_mode).await?);
        }
        let health = match &settings.health {
            Some(listen) => Some(Listener::bind(listen, settings.unix_mode).await?),
            None => None,
        };
        Ok(Self { public, health, limits: settings.limits.clone(), handle: Handle::current() })
    }

    /// Binds one more TCP address for visitors.
    ///
    /// # Errors
    /// It is taken or not to be had; the others stay.
    ///
    /// # Cancel safety
    /// Dropping the future leaves things as they were.
    pub async fn bind_also(&mut self, address: SocketAddr) -> Result<(), BindError> {
        // A TCP port has no file, so its mode says nothing.
        self.public.push(Listener::bind(&Listen::Tcp(address), 0).await?);
        Ok(())
    }

    /// Where visitors come in; a port 0 has become a number.
    pub fn addresses(&self) -> Vec<Listen> {
        self.public.iter().filter_map(|listener| listener.address().ok()).collect()
    }

    /// Where health is answered.
    pub fn health_address(&self) -> Option<Listen> {
        self.health.as_ref()?.address().ok()
    }

    /// Serves. Each request is called on a clone of `service`, with its [`Peer`] in the extensions.
    #[expect(clippy::needless_pass_by_value, reason = "a server owns what it serves")]
    pub fn serve<S: Serves>(self, service: S, readiness: Readiness) -> Serve {
        let Self { public, health, limits, handle } = self;
        let visitors = House::new(limits.clone(), handle.clone());
        let probers = House::new(Limits { max_connections: MAX_HEALTH_CONNECTIONS, ..limits }, handle);
        for listener in public {
            visitors.open(listener, service.clone());
        }
        if let Some(listener) = health {
            probers.open(listener, Health(readiness.clone()));
        }
        Serve { visitors, probers, readiness }
    }
}

/// A running server. Dropping it leaves it running.
#[derive(Debug)]
pub struct Serve {
    visitors: House,
    probers: House,
    readiness: Readiness,
}

impl Serve {
    /// Ready when a listener no longer accepts although nobody asked for it: the process had better end.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn failed(&self) {
        self.visitors.closed.cancelled().await;
    }

    /// Accepts nobody any more, lets requests under way finish, and cuts what is left after `limit`. Says whether all
    /// finished by themselves. Health is answered until the end: alive, not ready.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the server in its drain: no new connections, no limit.
    pub async fn shutdown(self, limit: Duration) -> bool {
        self.shutdown_until(tokio::time::sleep(limit)).await
    }

    /// The same, with an event in place of the limit.
    ///
    /// # Cancel safety
    /// As [`Serve::shutdown`].
    pub async fn shutdown_until(self, limit: impl Future<Output = ()>) -> bool {
        self.readiness.down("server", "stopping");
        let clean = self.visitors.drain(limit).await;
        self.probers.drain(std::future::ready(())).await;
        clean
    }
}

/// Connections that are counted, and end, together.
#[derive(Clone, Debug)]
struct House {
    limits: Arc<Limits>,
    permits: Arc<Semaphore>,
    ending: Ending,
    tracker: TaskTracker,
    /// Cancelled as soon as one of the listeners has closed.
    closed: CancellationToken,
    handle: Handle,
}

impl House {
    fn new(limits: Limits, handle: Handle) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS))),
            limits: Arc::new(limits),
            ending: Ending::default(),
            tracker: TaskTracker::new(),
            closed: CancellationToken::new(),
            handle,
        }
    }

    fn open<S: Serves>(&self, listener: Listener, service: S) {
        let house = self.clone();
        let accept = async move {
            let closed = house.closed.clone().drop_guard();
            let stop = house.ending.soon.clone();
            stop.run_until_cancelled(house.accept_all(&listener, service)).await;
            drop((listener, closed));
        };
        self.tracker.spawn_on(accept, &self.handle);
    }

    /// Accepts for ever. One connection more than allowed stays in the system's queue until another ends.
    async fn accept_all<S: Serves>(&self, listener: &Listener, service: S) {
        let mut failures = 0;
        // The semaphore is never closed, so this loop ends with its task only.
        while let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await {
            match listener.accept().await {
                Ok(accepted) => {
                    failures = 0;
                    self.admit(accepted, service.clone(), permit);
                }
                Err(error) => match retry(&error, failures) {
                    Retry::AtOnce => {}
                    Retry::After(pause) => {
                        if failures == 0 {
                            tracing::error!(%error, "no connection can be accepted; trying on");
                        }
                        failures = failures.saturating_add(1);
                        tokio::time::sleep(pause).await;
                    }
                },
            }
        }
    }

    fn admit<S: Serves>(&self, accepted: Accepted, service: S, permit: OwnedSemaphorePermit) {
        let (limits, ending) = (Arc::clone(&self.limits), self.ending.clone());
        let connection = async move {
            match accepted {
                Accepted::Tcp(io, peer) => connection::serve(io, (peer, None), service, limits, ending).await,
                Accepted::Unix(io, credentials) => {
                    connection::serve(io, (Peer::Unix, credentials), service, limits, ending).await;
                }
            }
            drop(permit);
        };
        self.tracker.spawn_on(connection, &self.handle);
    }

    /// Says whether all ended by itself.
    async fn drain(&self, limit: impl Future<Output = ()>) -> bool {
        self.ending.soon.cancel();
        self.tracker.close();
        let clean = tokio::select! {
            biased;
            () = self.tracker.wait() => true,
            () = limit => false,
        };
        self.ending.now.cancel();
        self.tracker.wait().await;
        clean
    }
}
