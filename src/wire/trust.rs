//! Whom a backend believes. A header proves nothing by itself: trust in it is trust in the peer that sent it, and a
//! port that anybody can reach undoes everything.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Extensions;

/// The other end of the connection, as the socket says; never as a header says. The backend's server puts it into a
/// request's extensions. (With feature `axum`, `ConnectInfo` of a [`PeerAddress`] or of a `SocketAddr` does as well.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// A TCP peer.
    Ip(IpAddr),
    /// A process on this machine, through a Unix socket.
    Unix,
}

impl PeerAddress {
    /// The peer of the request that these extensions belong to, if the server said it.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied().or_else(|| crate::wire::connect::peer(extensions))
    }
}

/// The peers whose headers are believed. There is no default: a backend says whom it means.
#[derive(Clone, Debug)]
pub struct Trust(Whom);

#[derive(Clone, Debug)]
enum Whom {
    UnixPeer,
    Networks(Box<[Network]>),
}

impl Trust {
    /// Whoever connects through the Unix socket: the socket's permissions decide who that is.
    pub fn unix_peer() -> Self {
        Self(Whom::UnixPeer)
    }

    /// Processes of this machine, over TCP: `127.0.0.0/8` and `::1`.
    ///
    /// # Security
    /// Every process and every user of the machine counts. A Unix socket in a private folder is tighter.
    pub fn loopback() -> Self {
        let loopback = [
            Network { base: IpAddr::from([127, 0, 0, 0]), bits: 8 },
            Network { base: IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), bits: 128 },
        ];
        Self(Whom::Networks(Box::new(loopback)))
    }

    /// Peers with an address in one of these networks, over TCP. An empty list trusts nobody.
    ///
    /// # Example
    /// ```
    /// use hero_proxy::wire::trust::Trust;
    /// let trust = Trust::networks(["10.1.0.0/16".parse()?, "fd00::7".parse()?]);
    /// # Ok::<(), hero_proxy::wire::trust::BadNetwork>(())
    /// ```
    pub fn networks(networks: impl IntoIterator<Item = Network>) -> Self {
        Self(Whom::Networks(networks.into_iter().collect()))
    }

    /// Whether this peer is believed.
    pub fn believes(&self, peer: PeerAddress) -> bool {
        match (&self.0, peer) {
            (Whom::UnixPeer, PeerAddress::Unix) => true,
            (Whom::Networks(networks), PeerAddress::Ip(address)) => {
                networks.iter().any(|network| network.contains(address))
            }
            (Whom::UnixPeer, PeerAddress::Ip(_)) | (Whom::Networks(_), PeerAddress::Unix) => false,
        }
    }
}

/// A range of addresses: `10.1.0.0/16`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address, all host bits zero, never an IPv4 address mapped into IPv6.
    base: IpAddr,
    bits: u32,
}

/// A text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadNetwork {
    /// The part before the slash is no IP address.
    Address,
    /// The part after the slash is no count of bits that fits the address.
    PrefixLength,
    /// Bits are set behind the prefix: `10.1.2.3/16` may mean `10.1.0.0/16` or `10.1.2.3`.
    HostBits,
}

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not an IP address; write 10.1.0.0/16, fd00::/8 or one address",
            Self::PrefixLength => {
                "the length after the slash is not one of 0 to 32 (IPv4) or 0 to 128 (IPv6)"
            }
            Self::HostBits => "bits are set behind the prefix",
        })
    }
}

impl std::error::Error for BadNetwork {}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(length)),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork::Address)?;
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let bits: u32 = match length {
            None => width,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|bits| *bits <= width).ok_or(BadNetwork::PrefixLength)?
            }
            Some(_) => return Err(BadNetwork::PrefixLength),
        };
        // The range ::ffff:0:0/96 and what lies in it is IPv4 in other clothes.
        let (base, bits) = match address.to_canonical() {
            v4 @ IpAddr::V4(_) if address.is_ipv6() => {
                (v4, bits.checked_sub(96).ok_or(BadNetwork::HostBits)?)
            }
            same => (same, bits),
        };
        if masked(base, bits) != number(base) {
            return Err(BadNetwork::HostBits);
        }
        Ok(Self { base, bits })
    }
}

impl Network {
    /// Whether the address lies in this range. An IPv4 address that arrives mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && masked(address, self.bits) == number(self.base)
    }

    /// Whether every IPv4 address lies in this range, or every IPv6 address.
    pub fn is_whole_family(&self) -> bool {
        self.bits == 0
    }
}

/// The address as a number, its first bit leftmost.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address's first `bits` bits, the others zero.
fn masked(address: IpAddr, bits: u32) -> u128 {
    number(address) & u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> PeerAddress {
        PeerAddress::Ip(text.parse().unwrap())
    }

    #[test]
    fn each_trust_believes_its_own_and_nobody_else() {
        let networks =
            Trust::networks(["10.1.0.0/16", "192.0.2.7", "fd00::/8"].map(|text| text.parse().unwrap()));
        let table = [
            (PeerAddress::Unix, true, false, false),
            (ip("127.0.0.1"), false, true, false),
            (ip("127.255.255.254"), false, true, false),
            (ip("::1"), false, true, false),
            (ip("::ffff:127.0.0.1"), false, true, false),
            (ip("::2"), false, false, false),
            (ip("128.0.0.1"), false, false, false),
            (ip("0.0.0.0"), false, false, false),
            (ip("10.1.255.255"), false, false, true),
            (ip("::ffff:10.1.2.3"), false, false, true),
            (ip("10.2.0.0"), false, false, false),
            (ip("192.0.2.7"), false, false, true),
            (ip("192.0.2.8"), false, false, false),
            (ip("fdff::1"), false, false, true),
            (ip("fe00::1"), false, false, false),
            (ip("a01::"), false, false, false),
        ];
        for (peer, unix, loopback, network) in table {
            assert_eq!(Trust::unix_peer().believes(peer), unix, "{peer:?}");
            assert_eq!(Trust::loopback().believes(peer), loopback, "{peer:?}");
            assert_eq!(networks.believes(peer), network, "{peer:?}");
            assert!(!Trust::networks([]).believes(peer), "{peer:?}");
        }
    }

    #[test]
    fn a_whole_family_is_a_network_and_does_not_reach_into_the_other() {
        let v4: Network = "0.0.0.0/0".parse().unwrap();
        let v6: Network = "::/0".parse().unwrap();
        let half: Network = "128.0.0.0/1".parse().unwrap();
        assert!(v4.is_whole_family() && v6.is_whole_family() && !half.is_whole_family());
        assert!(v4.contains("255.255.255.255".parse().unwrap()));
        assert!(!v4.contains("::1".parse().unwrap()));
        assert!(v6.contains("::1".parse().unwrap()));
        assert!(!v6.contains("::ffff:10.0.0.1".parse().unwrap()), "that one is IPv4");
        assert_eq!("::ffff:10.0.0.0/104".parse::<Network>(), "10.0.0.0/8".parse());
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let check = |text: &str, why| assert_eq!(text.parse::<Network>(), Err(why), "{text}");
        for text in
            ["", "localhost", "10.1", "10.1.0.0.0", "010.1.0.0", "[::1]", "::1%eth0", " 10.0.0.1", "/8"]
        {
            check(text, BadNetwork::Address);
        }
        for text in [
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/99999999999",
        ] {
            check(text, BadNetwork::PrefixLength);
        }
        check("10.1.2.3/16", BadNetwork::HostBits);
        check("fd00::1/8", BadNetwork::HostBits);
        check("::ffff:10.0.0.0/95", BadNetwork::HostBits);
    }
}
