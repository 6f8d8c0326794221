//! What the server must be told. The config room makes it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// All that the server needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where visitors come in; at least one.
    pub listen: Vec<Listen>,
    /// Where `/livez` and `/readyz` are answered, and nothing else; none: nowhere. The config check keeps it on
    /// loopback or a Unix socket.
    pub health: Option<Listen>,
    /// What a client may ask for and how slow it may be.
    pub limits: Limits,
    /// The mode of Unix sockets: who on this machine may connect. 0660 for visitors.
    pub unix_mode: u32,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    /// `127.0.0.1:8080`, `[::1]:8080`; port 0: any free one.
    Tcp(SocketAddr),
    /// `unix:/run/hero_proxy/http.sock`; made with [`Settings::unix_mode`].
    Unix(PathBuf),
}

/// A text that is no address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address to listen on: write ADDRESS:PORT, [IPv6]:PORT or unix:/path")]
pub struct BadListen;

impl FromStr for Listen {
    type Err = BadListen;

    fn from_str(text: &str) -> Result<Self, BadListen> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(BadListen),
            None => text.parse().map(Self::Tcp).map_err(|_| BadListen),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a client may ask for and how slow it may be. Each has a status or a closed connection behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, over all listeners; one more is accepted when another has ended.
    pub max_connections: usize,
    /// How long a request's head may take, 408, and how long a connection may stay unused: then it is closed.
    pub head_timeout: Duration,
    /// How long a body may stand still because of the client, sent or read: 408, or closed once an answer has begun.
    pub client_idle_timeout: Duration,
    /// Header lines of a request at most: 431, and the end of the connection.
    pub max_headers: usize,
    /// Bytes of a request's head at most: 431, and the end of the connection. No more than twice as many are kept.
    pub max_head_bytes: usize,
    /// Bytes of a request's target at most: 414.
    pub max_target_bytes: usize,
    /// Bytes of a request's body at most: 413. Bodies are streamed, so a large one costs time, not memory.
    pub max_body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            head_timeout: Duration::from_secs(30),
            client_idle_timeout: Duration::from_mins(1),
            max_headers: 100,
            max_head_bytes: 64 * 1024,
            max_target_bytes: 8 * 1024,
            max_body_bytes: 4 * 1024 * 1024 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BadListen, Listen};

    #[test]
    fn an_address_is_read_and_printed_alike() {
        for text in ["127.0.0.1:8080", "[::1]:0", "unix:/run/hero_proxy/http.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["", "8080", "localhost:8080", "unix:", "unix:relative.sock", "http://127.0.0.1:1"] {
            assert_eq!(text.parse::<Listen>(), Err(BadListen), "{text}");
        }
    }
}
