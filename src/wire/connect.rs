//! The peer of a connection as axum's server hands it on.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::Extensions;

use crate::wire::trust::PeerAddress;

/// The peer, if the app was made with `into_make_service_with_connect_info` of a type that we know.
pub(super) fn peer(extensions: &Extensions) -> Option<PeerAddress> {
    let ours = extensions.get::<ConnectInfo<PeerAddress>>().map(|info| info.0);
    ours.or_else(|| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| PeerAddress::Ip(info.0.ip())))
}
