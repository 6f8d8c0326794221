//! What forwarding must be told.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::path::RouteTable;

/// All that forwarding needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The upstream of each route.
    pub routes: RouteTable<Upstream>,
    /// How long dialling may take, TLS included: 504.
    pub connect_timeout: Duration,
    /// How long an upstream may let us wait for the beginning of its answer, or for room in a body that it reads: 504.
    /// Time spent waiting for the client does not count.
    pub response_timeout: Duration,
    /// How long an upstream's answer may stand still once it has begun: then it is cut. No limit in all, so that
    /// downloads and event streams may last.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept; shorter than the upstream's own keep-alive.
    pub pool_idle: Duration,
    /// Requests under way per upstream at most; one more is a 503 with `Retry-After`.
    pub max_requests_per_upstream: usize,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// `http://host:port`
    Http {
        /// Name or address, IPv6 in brackets, with the port.
        authority: String,
    },
    /// `https://host:port`
    Https {
        /// Name or address, IPv6 in brackets, with the port.
        authority: String,
        /// Certificates to trust instead of the system's, PEM.
        ca_pem: Option<Vec<u8>>,
    },
    /// `unix:/path`
    Unix {
        /// The socket.
        path: PathBuf,
    },
}
