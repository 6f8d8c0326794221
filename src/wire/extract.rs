//! The extractors for axum, and the peer of a connection as axum's server knows it.
//!
//! All of them read what [`ConsumeForgeTokenLayer`](crate::wire::consume::ConsumeForgeTokenLayer) left in the
//! extensions; without that layer there is never a visitor and never a passed token.

use std::convert::Infallible;

use axum::extract::connect_info::Connected;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use http::StatusCode;
use http::request::Parts;
use tokio::net::{TcpListener, UnixListener};

use crate::wire::consume::{PassedToken, Visitor};
use crate::wire::credential::{Asker, ByoTokens, ForgeCredential};
use crate::wire::trust::PeerAddress;

/// For `into_make_service_with_connect_info::<PeerAddress>()` on a Unix socket.
impl Connected<IncomingStream<'_, UnixListener>> for PeerAddress {
    fn connect_info(_: IncomingStream<'_, UnixListener>) -> Self {
        Self::Unix
    }
}

/// For `into_make_service_with_connect_info::<PeerAddress>()` on TCP.
impl Connected<IncomingStream<'_, TcpListener>> for PeerAddress {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self::Ip(stream.remote_addr().ip())
    }
}

/// The answer to a request that needs a visitor and has none: 401.
#[derive(Clone, Copy, Debug)]
pub struct NotSignedIn;

impl IntoResponse for NotSignedIn {
    fn into_response(self) -> Response {
        (StatusCode::UNAUTHORIZED, "nobody is signed in\n").into_response()
    }
}

/// A handler that takes a `Visitor` is for the signed-in only; one that takes an `Option<Visitor>` is for everybody.
impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = NotSignedIn;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotSignedIn> {
        parts.extensions.get().cloned().ok_or(NotSignedIn)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for PassedToken {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

/// Pass-through, else the pasted token of this visitor, else none. The app's state says where pasted tokens lie; the
/// slot is not asked when a token was passed on.
impl<S: ByoTokens + Sync> FromRequestParts<S> for ForgeCredential {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let passed = parts.extensions.get::<PassedToken>().cloned();
        Ok(Self::find(passed, state, Asker::of(&parts.extensions)).await)
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::ConnectInfo;

    use super::*;
    use crate::wire::credential::{ByoToken, Owner, Source};
    use crate::wire::token::ForgeToken;

    struct Slot;

    impl ByoTokens for Slot {
        async fn pasted(&self) -> Option<ByoToken> {
            let token = ForgeToken::new("pasted").unwrap();
            Some(ByoToken { token, owner: Owner::User("42".into()) })
        }
    }

    fn parts() -> Parts {
        http::Request::new(()).into_parts().0
    }

    fn alice() -> Visitor {
        Visitor { id: "42".into(), login: "alice".into(), email: None, groups: Vec::new() }
    }

    #[tokio::test]
    async fn a_handler_for_the_signed_in_answers_401_to_others() {
        let mut parts = parts();
        let refused =
            <Visitor as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await.unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            <Visitor as OptionalFromRequestParts<()>>::from_request_parts(&mut parts, &()).await,
            Ok(None)
        );
        parts.extensions.insert(alice());
        let seen = <Visitor as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await.unwrap();
        assert_eq!(seen, alice());
    }

    #[tokio::test]
    async fn the_credential_says_where_it_came_from() {
        let mut parts = parts();
        let of = async |parts: &mut Parts| {
            let with_slot = ForgeCredential::from_request_parts(parts, &Slot).await.unwrap().source();
            let without = ForgeCredential::from_request_parts(parts, &()).await.unwrap().source();
            (with_slot, without)
        };
        assert_eq!(of(&mut parts).await, (Source::None, Source::None));
        parts.extensions.insert(alice());
        assert_eq!(of(&mut parts).await, (Source::Byo, Source::None));
        let token = ForgeToken::new("passed").unwrap();
        parts.extensions.insert(PassedToken { token, expires_at_secs: None, scopes: None });
        assert_eq!(of(&mut parts).await, (Source::PassThrough, Source::PassThrough));
    }

    #[test]
    fn axums_own_word_for_the_peer_is_understood() {
        let mut parts = parts();
        assert_eq!(PeerAddress::of(&parts.extensions), None);
        parts.extensions.insert(ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 1], 80))));
        assert_eq!(PeerAddress::of(&parts.extensions), Some(PeerAddress::Ip([192, 0, 2, 1].into())));
        parts.extensions.insert(ConnectInfo(PeerAddress::Unix));
        assert_eq!(PeerAddress::of(&parts.extensions), Some(PeerAddress::Unix));
        parts.extensions.insert(PeerAddress::Ip([192, 0, 2, 2].into()));
        assert_eq!(PeerAddress::of(&parts.extensions), Some(PeerAddress::Ip([192, 0, 2, 2].into())));
    }
}
