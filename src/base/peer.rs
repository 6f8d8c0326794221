//! Who is at the other end of the connection. A server puts it into a request's extensions.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The other end of a connection, as the socket says; never as a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(SocketAddr),
    /// A process on this machine, through a Unix socket.
    Unix,
}

/// The peers whose `X-Forwarded-*` are believed. By default nobody.
#[derive(Clone, Debug, Default)]
pub struct TrustedPeers {
    /// Networks; an IPv4 address that arrives mapped into IPv6 counts as IPv4.
    pub networks: Vec<IpNet>,
    /// Whether peers on a Unix socket are believed.
    pub unix: bool,
}

impl TrustedPeers {
    /// Whether this peer is believed. An unknown peer never is.
    pub fn believes(&self, peer: Option<&Peer>) -> bool {
        match peer {
            None => false,
            Some(Peer::Unix) => self.unix,
            Some(Peer::Ip(address)) => self.contains(address.ip()),
        }
    }

    /// Whether the address lies in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}
