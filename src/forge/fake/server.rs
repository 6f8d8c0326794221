//! The listening side: accepts on loopback, checks the name it is called by, counts, breaks on demand, ends on drop.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;
use url::Url;

use super::ask::{Arrival, cookie};
use super::faults::{Endpoint, Fault, Faults};
use super::keys::SigningKey;
use super::record::Record;
use super::reply::{CACHE_CONTROL, Reply, TooEarlyForCsrf};
use super::routes;
use super::settings::{FakeSettings, FakeVersion};
use super::texts::hex;
use super::world::{User, World};
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
    local: SocketAddr,
    key: RwLock<Arc<SigningKey>>,
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
                answer(Arc::clone(&forge), router.clone(), request)
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

/// The connection is to be closed without an answer.
#[derive(Debug, Error)]
#[error("the fake forge was told to close the connection")]
struct Closed;

async fn answer(
    forge: Arc<Forge>,
    router: Router,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<Response, Closed> {
    let request = request.map(axum::body::Body::new);
    if forge.settings.own_names_only && !is_own_name(request.headers(), forge.local) {
        return Ok(StatusCode::MISDIRECTED_REQUEST.into_response());
    }
    let endpoint = Endpoint::of(request.method().as_str(), request.uri().path());
    let number = forge.record.arrived(endpoint, request.method().as_str(), request.uri().path());
    let fault = forge.faults.take(endpoint);
    let response = match &fault {
        Some(Fault::Close) => return Err(Closed),
        Some(Fault::Wait(gate)) => {
            gate.pass().await;
            play(&forge, router, request).await
        }
        Some(fault) => match fault.answer() {
            Some(response) => response,
            None => play(&forge, router, request).await,
        },
        None => play(&forge, router, request).await,
    };
    match &fault {
        Some(Fault::LoseAnswer) => return Err(Closed),
        Some(Fault::HoldAnswer(gate)) => gate.pass().await,
        _ => {}
    }
    forge.record.answered(number, response.status().as_u16());
    Ok(response)
}

/// The real work, and what every answer carries.
async fn play(forge: &Arc<Forge>, mut router: Router, mut request: Request) -> Response {
    let writes = !request.method().is_safe();
    if writes && forge.world().is_full() {
        return Reply::empty(StatusCode::INSUFFICIENT_STORAGE).into_response();
    }
    let web = !request.uri().path().starts_with("/api/");
    let version = forge.settings.version;
    let in_session = cookie(request.headers(), version.session_cookie()).is_some();
    let told = cookie(request.headers(), version.flash_cookie()).is_some();
    let csrf = cookie(request.headers(), "_csrf").map(str::to_owned);
    let fresh = csrf.is_none();
    let csrf = csrf.unwrap_or_else(|| forge.random());
    let arrival = Arrival { uri: request.uri().clone(), csrf: csrf.clone() };
    request.extensions_mut().insert(arrival);
    let served: Result<Response, Infallible> = router.call(request).await;
    let Ok(mut response) = served;
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(CACHE_CONTROL);
    let page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if told && page && !response.status().is_redirection() {
        add_cookie(&mut response, &format!("{}=", version.flash_cookie()), " Max-Age=0;");
    }
    if web && version == FakeVersion::V11 {
        // These come before the page's own cookies.
        let own: Vec<HeaderValue> = response.headers().get_all(header::SET_COOKIE).iter().cloned().collect();
        let (session_set, csrf_set) = (sets(&response, version.session_cookie()), sets(&response, "_csrf"));
        response.headers_mut().remove(header::SET_COOKIE);
        if !in_session && !session_set {
            add_cookie(&mut response, &format!("{}={}", version.session_cookie(), forge.random()), "");
        }
        let early = response.extensions().get::<TooEarlyForCsrf>().is_some();
        if fresh && !early && !csrf_set {
            add_cookie(&mut response, &format!("_csrf={csrf}"), " Max-Age=86400;");
        }
        response.headers_mut().extend(own.into_iter().map(|line| (header::SET_COOKIE, line)));
    }
    response
}

fn sets(response: &Response, name: &str) -> bool {
    let begins = |line: &HeaderValue| {
        line.to_str().is_ok_and(|line| line.split_once('=').is_some_and(|(key, _)| key == name))
    };
    response.headers().get_all(header::SET_COOKIE).iter().any(begins)
}

fn add_cookie(response: &mut Response, pair: &str, age: &str) {
    if let Ok(line) = HeaderValue::from_str(&format!("{pair}; Path=/;{age} HttpOnly; SameSite=Lax")) {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
}

/// Loopback by number or name, with the port that is really listened on: no page of the web can be made to reach this.
fn is_own_name(headers: &HeaderMap, local: SocketAddr) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let Some((name, port)) = host.rsplit_once(':') else { return false };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback =
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback());
    loopback && port.parse() == Ok(local.port())
}
