//! What crosses the hop between hero_proxy and the app behind it: names, encodings, the token's type, and the law of
//! headers. Always compiled; without any feature this is the whole crate.

pub mod consume;
pub mod credential;
pub mod encode;
pub mod name;
pub mod token;
pub mod trust;

#[cfg(feature = "axum")]
pub mod extract;

#[cfg(feature = "axum")]
mod connect;
#[cfg(not(feature = "axum"))]
mod connect {
    /// Without axum nobody but the app's own server knows the peer.
    pub(super) fn peer(_: &http::Extensions) -> Option<super::trust::PeerAddress> {
        None
    }
}

#[cfg(feature = "gate")]
pub mod hops;
#[cfg(feature = "gate")]
pub mod inject;
#[cfg(feature = "gate")]
pub mod scrub;

pub use token::ForgeToken;
