//! Who is at the other end of the connection. A server puts it into a request's extensions.

use std::fmt;
use std::net::SocketAddr;

use crate::wire::trust::Network;

/// The other end of a connection, as the socket says; never as a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(SocketAddr),
    /// A process on this machine, through a Unix socket.
    Unix,
}

/// The address without its port, IPv4 as IPv4; `unix` for a Unix socket.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{}", address.ip().to_canonical()),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Who a peer on a Unix socket is, as the kernel says. Beside [`Peer::Unix`] in a request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// As whom it ran when it connected.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process id, where the system says it.
    pub pid: Option<i32>,
}

/// The peers whose `X-Forwarded-*` are believed. By default nobody.
#[derive(Clone, Debug, Default)]
pub struct TrustedPeers {
    /// By address, over TCP.
    pub networks: Vec<Network>,
    /// Whether peers on a Unix socket are believed.
    pub unix: bool,
}

impl TrustedPeers {
    /// Whether this peer is believed. An unknown peer never is.
    pub fn believes(&self, peer: Option<&Peer>) -> bool {
        match peer {
            None => false,
            Some(Peer::Unix) => self.unix,
            Some(Peer::Ip(address)) => self.networks.iter().any(|network| network.contains(address.ip())),
        }
    }
}
