//! What can go wrong at the forge, named by what the caller can do about it.

use std::fmt;

use thiserror::Error;
use url::Url;

/// What went wrong. No variant holds a body, a URL with a query, or a token: the forge echoes tokens in its errors.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// The code or refresh token is of no use any more: read the store again, else sign in again.
    /// (`unauthorized_client` or `invalid_grant`; docs/FORGEJO.md 1.6.)
    ///
    /// When a code was redeemed, `unauthorized_client` is also what a wrong client secret looks like: see
    /// [`ForgeError::may_be_client_secret`].
    #[error("the forge refuses this grant ({0})")]
    Spent(OauthCode),
    /// Our client id, secret or redirect URI is wrong: the operator's to mend; nobody is signed out.
    #[error("the forge refuses this proxy's client registration ({0})")]
    Misconfigured(OauthCode),
    /// The forge is set up so that it cannot be used: the operator's to mend. Nobody can sign in, nobody is signed
    /// out.
    #[error("the forge cannot be used as it is set up: {0}")]
    Unfit(Unfit),
    /// The access token is dead (401): refresh once.
    #[error("the forge does not take this token")]
    Unauthorized,
    /// The account may not act now (403): suspended, must change the password, or a scope is missing.
    #[error("the forge forbids this")]
    Forbidden,
    /// Down, slow, overloaded, or a TLS fault: try again later; it proves nothing about anybody.
    #[error("the forge cannot be reached ({0})")]
    Unavailable(&'static str),
    /// An answer that is no answer: HTML, cut JSON, too large, a redirect. Treated like `Unavailable`.
    #[error("the forge's answer makes no sense ({0})")]
    Garbled(&'static str),
    /// The id_token does not hold; the reason is fixed text.
    #[error("the forge's id_token is refused: {0}")]
    BadIdToken(IdTokenFault),
}

impl ForgeError {
    /// Whether trying again later may help, with nothing changed by anybody: the error proves nothing about a grant.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Garbled(_))
    }

    /// Whether a failed `redeem` may stem from a wrong client secret: on the code grant the forge then says
    /// `unauthorized_client`, as it does for a used code. Worth a line in the operator's log.
    /// Source: docs/FORGEJO.md 1.6.
    pub fn may_be_client_secret(&self) -> bool {
        matches!(
            self,
            Self::Spent(OauthCode::UnauthorizedClient) | Self::Misconfigured(OauthCode::InvalidClient)
        )
    }
}

/// An error code of the token endpoint, from a closed list, so that nothing else can ride along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OauthCode {
    /// `invalid_request`
    InvalidRequest,
    /// `invalid_client`
    InvalidClient,
    /// `invalid_grant`
    InvalidGrant,
    /// `unauthorized_client`
    UnauthorizedClient,
    /// `unsupported_grant_type`
    UnsupportedGrantType,
    /// `invalid_scope`
    InvalidScope,
    /// Any other.
    Other,
}

impl fmt::Display for OauthCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::Other => "another code",
        })
    }
}

/// Why a forge cannot be used as it is set up; each text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Its issuer is not the configured URL (OpenID Connect Discovery §4.3). One trailing slash makes no difference.
    #[error(
        "it calls itself {announced}, but `forge.url` is {configured}: set `forge.url` to what the forge calls \
         itself, or ROOT_URL in the forge's [server] section to `forge.url`"
    )]
    Issuer {
        /// `forge.url`.
        configured: Quote,
        /// The `issuer` of its discovery document.
        announced: Quote,
    },
    /// An endpoint of its discovery document lies elsewhere: our secret would go there.
    #[error("its discovery document puts {0} outside `forge.url`")]
    Endpoint(&'static str),
    /// It signs id_tokens with the client secret, so whoever holds that could sign in as anybody.
    #[error(
        "it signs id_tokens with the client secret (HS*), which is refused: set JWT_SIGNING_ALGORITHM in its \
         [oauth2] section to RS256, ES256 or EdDSA"
    )]
    SharedSecret,
    /// It signs id_tokens in a way that cannot be checked here.
    #[error(
        "it signs id_tokens with an algorithm that is not supported here: set JWT_SIGNING_ALGORITHM in its \
         [oauth2] section to RS256, ES256 or EdDSA"
    )]
    Algorithm,
}

/// A URL that is fit to be shown: at most [`Quote::MAX`] bytes of visible ASCII, no user, no query, no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote(Box<str>);

impl Quote {
    /// The longest text kept, in bytes.
    pub const MAX: usize = 200;

    /// Quotes a URL as somebody else wrote it.
    pub(crate) fn text(text: &str) -> Self {
        let end = text.find(['?', '#']).unwrap_or(text.len());
        let shown = text.chars().take_while(|c| !matches!(c, '?' | '#')).take(Self::MAX);
        let mut shown: String = shown.map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
        if let Some((scheme, rest)) = shown.split_once("://") {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if let Some((_, host)) = authority.rsplit_once('@') {
                shown = format!("{scheme}://{host}{path}");
            }
        }
        if end > Self::MAX {
            shown.push_str("...");
        }
        Self(shown.into())
    }

    /// Quotes a URL of ours.
    pub(crate) fn url(url: &Url) -> Self {
        Self::text(url.as_str())
    }
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an id_token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdTokenFault {
    /// The answer held none.
    #[error("none came that belongs to the access token; does the grant's scope hold openid?")]
    Absent,
    /// Not a JWS of the pinned form: oversized, encrypted, `crit`, an algorithm that is not pinned.
    #[error("not a signed token of the expected form")]
    Form,
    /// No key fits, or the signature is wrong.
    #[error("the signature does not hold")]
    Signature,
    /// `iss` is not the configured forge.
    #[error("another issuer")]
    Issuer,
    /// `aud` or `azp` is not us.
    #[error("meant for another client")]
    Audience,
    /// Expired, or from the future.
    #[error("not valid at this time")]
    Time,
    /// `sub`, `exp`, `iat` or `preferred_username` missing or odd.
    #[error("a required claim is missing; does the grant's scope hold profile?")]
    Claims,
    /// The nonce is another sign-in's: start over once.
    #[error("the nonce belongs to another sign-in")]
    Nonce,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_url_is_bounded_and_shows_neither_user_nor_query() {
        assert_eq!(Quote::text("https://user:pw@h/x?token=1#y").to_string(), "https://h/x");
        assert_eq!(Quote::text("https://h/@user").to_string(), "https://h/@user");
        assert_eq!(Quote::text("https://h/\u{1b}[31m\n").to_string(), "https://h/?[31m?");
        assert!(Quote::text(&"x".repeat(10_000)).to_string().len() <= Quote::MAX + 3);
    }
}
