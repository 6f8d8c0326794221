//! What kind of Forgejo is played.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::password_rule::PasswordPolicy;
use crate::base::clock::{Clock, SystemClock};
use crate::base::entropy::{Entropy, OsEntropy};

/// The release line that is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FakeVersion {
    /// 15.0.3: issuer without a slash, no `_csrf`, 301 for a renamed repository, `session` cookie.
    #[default]
    V15,
    /// 11.0.15: issuer with a slash, `_csrf` in forms, 307, `i_like_gitea` cookie.
    V11,
}

impl FakeVersion {
    /// What `GET /api/v1/version` says.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::V15 => "15.0.3+gitea-1.22.0",
            Self::V11 => "11.0.15+gitea-1.22.0",
        }
    }

    pub(super) const fn session_cookie(self) -> &'static str {
        match self {
            Self::V15 => "session",
            Self::V11 => "i_like_gitea",
        }
    }

    pub(super) const fn remember_cookie(self) -> &'static str {
        match self {
            Self::V15 => "persistent",
            Self::V11 => "gitea_incredible",
        }
    }

    pub(super) const fn flash_cookie(self) -> &'static str {
        match self {
            Self::V15 => "flash",
            Self::V11 => "gitea_flash",
        }
    }
}

/// How the fake forge behaves; the default is a Forgejo 15 as it comes out of the box.
#[derive(Clone, Debug)]
pub struct FakeSettings {
    /// Which release line.
    pub version: FakeVersion,
    /// `ACCESS_TOKEN_EXPIRATION_TIME`.
    pub token_lifetime: Duration,
    /// `REFRESH_TOKEN_EXPIRATION_TIME`.
    pub refresh_lifetime: Duration,
    /// `INVALIDATE_REFRESH_TOKENS`: each token response supersedes all refresh tokens before it.
    pub invalidate_refresh_tokens: bool,
    /// `DISABLE_QUERY_AUTH_TOKEN`: no tokens in queries and forms.
    pub disable_query_auth_token: bool,
    /// What it wants of passwords.
    pub passwords: PasswordPolicy,
    /// Where to listen; always on loopback, port 0 picks one.
    pub listen: SocketAddr,
    /// `ROOT_URL`, when it is not where the fake listens.
    pub root_url: Option<Url>,
    /// Refuse (421) any `Host` that is not loopback with the fake's own port. Off only for tests that give it other names.
    pub own_names_only: bool,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes codes, cookies and secrets.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for FakeSettings {
    fn default() -> Self {
        Self {
            version: FakeVersion::V15,
            token_lifetime: Duration::from_hours(1),
            refresh_lifetime: Duration::from_hours(730),
            invalidate_refresh_tokens: true,
            disable_query_auth_token: false,
            passwords: PasswordPolicy::default(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            root_url: None,
            own_names_only: true,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }
}
