//! The listening side: accepts on loopback, ends on drop; and what all handlers share.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::faults::Faults;
use super::front;
use super::keys::SigningKey;
use super::record::Record;
use super::routes;
use super::rows::User;
use super::settings::{FakeSettings, FakeVersion};
use super::texts::hex;
use super::world::World;
use crate::base::clock::Timestamp;
use crate::base::entropy::random_text;

/// Connections at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 512;

/// A running fake forge. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct FakeForge {
    pub(super) forge: Arc<Forge>,
    url: Url,
    end: CancellationToken,
    tracker: TaskTracker,
}

/// What handlers share.
pub(super) struct Forge {
    pub(super) settings: FakeSettings,
    pub(super) record: Record,
    pub(super) faults: Faults,
    root: Url,
    pub(super) local: SocketAddr,
    key: RwLock<Arc<SigningKey>>,
    token_lifetime: RwLock<Duration>,
    world: Mutex<World>,
}

impl std::fmt::Debug for Forge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forge").field("root", &self.root.as_str()).finish_non_exhaustive()
    }
}

impl FakeForge {
    /// Starts a forge with nobody in it, on the current tokio runtime.
    ///
    /// # Errors
    /// When `settings.listen` is not loopback, or the port cannot be had.
    ///
    /// # Cancel safety
    /// Dropping the future starts nothing.
    pub async fn start(settings: FakeSettings) -> io::Result<Self> {
        if !settings.listen.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the fake forge listens on loopback only",
            ));
        }
        let listener = TcpListener::bind(settings.listen).await?;
        let local = listener.local_addr()?;
        let url = Url::parse(&format!("http://{local}/")).map_err(io::Error::other)?;
        let root = settings.root_url.clone().unwrap_or_else(|| url.clone());
        let forge = Arc::new(Forge {
            token_lifetime: RwLock::new(settings.token_lifetime),
            settings,
            record: Record::default(),
            faults: Faults::default(),
            root,
            local,
            key: RwLock::new(SigningKey::first()),
            world: Mutex::default(),
        });
        let (end, tracker) = (CancellationToken::new(), TaskTracker::new());
        let accepting = accept(listener, Arc::clone(&forge), end.clone(), tracker.clone());
        tracker.spawn_on(accepting, &Handle::current());
        Ok(Self { forge, url, end, tracker })
    }

    /// Where it listens: `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Ends it, connections and all, and waits for that.
    ///
    /// # Cancel safety
    /// Dropping the future still ends the forge.
    pub async fn shutdown(self) {
        self.end.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Drop for FakeForge {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Forge {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// How long the tokens live that are made from now on.
    pub(super) fn token_lifetime(&self) -> Duration {
        *self.token_lifetime.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_token_lifetime(&self, lifetime: Duration) {
        *self.token_lifetime.write().unwrap_or_else(PoisonError::into_inner) = lifetime;
    }

    pub(super) fn key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_key(&self, key: SigningKey) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    /// `ROOT_URL` without its slash.
    pub(super) fn base(&self) -> &str {
        self.root.as_str().trim_end_matches('/')
    }

    /// A path under `ROOT_URL`.
    pub(super) fn link(&self, path: &str) -> String {
        format!("{}/{path}", self.base())
    }

    /// The issuer: with a slash up to 11, without from 12.
    pub(super) fn issuer(&self) -> String {
        match self.settings.version {
            FakeVersion::V15 => self.base().to_owned(),
            FakeVersion::V11 => format!("{}/", self.base()),
        }
    }

    pub(super) fn avatar(&self, user: &User) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, user.login.as_bytes());
        let name: String = hex(digest.as_ref()).chars().take(32).collect();
        self.link(&format!("avatars/{name}"))
    }

    pub(super) fn random(&self) -> String {
        random_text::<24>(&*self.settings.entropy)
    }
}

async fn accept(listener: TcpListener, forge: Arc<Forge>, end: CancellationToken, tracker: TaskTracker) {
    let router = routes::router(Arc::clone(&forge));
    let room = Arc::new(tokio::sync::Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // A connection that died in the backlog is no reason to stop.
        let Ok((stream, _)) = accepted else { continue };
        let (forge, router, end) = (Arc::clone(&forge), router.clone(), end.clone());
        let connection = async move {
            let service = hyper::service::service_fn(move |request| {
                front::answer(Arc::clone(&forge), router.clone(), request)
            });
            let serving =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = end.cancelled() => {}
                // How a client's connection ended is the client's business.
                _ended = serving => {}
            }
            drop(place);
        };
        tracker.spawn_on(connection, &Handle::current());
    }
}
