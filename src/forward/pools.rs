//! Connections to upstreams, kept across reloads as long as the upstream stays the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use http_body::Body;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::entropy::{Entropy, random_text};
use crate::forward::dial::Connector;
use crate::forward::hop::OurName;
use crate::forward::service::Forward;
use crate::forward::settings::{Settings, Upstream};
use crate::forward::upload::Upload;

/// The most that is read ahead of an upstream's answer, its head included.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// An upstream that cannot be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadUpstream {
    /// Its address is no `host:port`.
    #[error("the upstream's address is no host:port")]
    Address(#[source] http::uri::InvalidUri),
    /// Its certificates to trust cannot be read.
    #[error("the upstream's ca holds something that is no PEM certificate")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// Its certificates to trust are none.
    #[error("the upstream's ca holds no certificate")]
    NoCertificate,
    /// TLS cannot be set up, for want of usable certificates above all.
    #[error("TLS to the upstream cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// All pools of this process. Each generation of the configuration takes its [`Forward`] from here, and what did not
/// change between two generations keeps its connections. `B` is the type of the requests' bodies.
#[derive(Debug)]
pub struct Pools<B> {
    kept: Mutex<HashMap<Key, Arc<Pool<B>>>>,
    our_name: Arc<OurName>,
}

impl<B> Pools<B> {
    /// No pool yet. Of chance a name for `Via` is made, by which this process knows what it has sent itself.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self { kept: Mutex::default(), our_name: Arc::new(OurName::new(&random_text::<6>(entropy))) }
    }
}

/// All that makes a pool another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    upstream: Upstream,
    connect_timeout: Duration,
    pool_idle: Duration,
    max_requests: usize,
}

impl<B> Pools<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// The forwarding service of one generation. Pools that it does not use are let go; requests under way on them
    /// finish.
    ///
    /// # Errors
    /// An upstream cannot be set up; all stays as it was.
    pub fn forward(&self, settings: &Settings) -> Result<Forward<B>, BadUpstream> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = HashMap::new();
        let routes = settings.routes.try_map(|upstream| {
            let key = Key {
                upstream: upstream.clone(),
                connect_timeout: settings.connect_timeout,
                pool_idle: settings.pool_idle,
                max_requests: settings.max_requests_per_upstream,
            };
            let pool = match next.get(&key).or_else(|| kept.get(&key)) {
                Some(pool) => Arc::clone(pool),
                None => Arc::new(Pool::new(&key)?),
            };
            next.insert(key, Arc::clone(&pool));
            Ok(pool)
        })?;
        *kept = next;
        Ok(Forward::new(Arc::clone(&self.our_name), routes, settings.response_timeout, settings.idle_timeout))
    }
}

/// The connections to one upstream, and how many requests it may have under way.
#[derive(Debug)]
pub(super) struct Pool<B> {
    client: Client<Connector, Upload<B>>,
    permits: Arc<Semaphore>,
    scheme: Scheme,
    pub(super) authority: Authority,
    /// What the log calls it.
    pub(super) label: Arc<str>,
}

impl<B> Pool<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn new(key: &Key) -> Result<Self, BadUpstream> {
        let (scheme, authority) = match &key.upstream {
            Upstream::Http { authority } => (Scheme::HTTP, authority.parse().map_err(BadUpstream::Address)?),
            Upstream::Https { authority, .. } => {
                (Scheme::HTTPS, authority.parse().map_err(BadUpstream::Address)?)
            }
            // The connector knows the path; the name is for `Host` where a client sent none.
            Upstream::Unix { .. } => (Scheme::HTTP, Authority::from_static("localhost")),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(key.pool_idle)
            .pool_max_idle_per_host(key.max_requests)
            .http1_max_buf_size(READ_AHEAD_BYTES)
            .set_host(false)
            .build(Connector::to(&key.upstream, key.connect_timeout)?);
        let permits = Arc::new(Semaphore::new(key.max_requests.min(Semaphore::MAX_PERMITS)));
        let label = match &key.upstream {
            Upstream::Unix { path } => format!("unix:{}", path.display()),
            _ => format!("{scheme}://{authority}"),
        };
        Ok(Self { client, permits, scheme, authority, label: label.into() })
    }

    /// The right to have one more request under way; none: too many already.
    pub(super) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// This upstream's address with the path and query as they came.
    pub(super) fn uri(&self, target: PathAndQuery) -> Option<Uri> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).ok()
    }

    /// Sends a request. Dropping the future before it is ready closes the connection that the request went out on.
    pub(super) fn send(&self, request: http::Request<Upload<B>>) -> ResponseFuture {
        self.client.request(request)
    }
}
