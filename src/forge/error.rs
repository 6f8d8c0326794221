//! What can go wrong at the forge, named by what the caller can do about it.

use thiserror::Error;

/// What went wrong. No variant holds a body, a URL with a query, or a token: the forge echoes tokens in its errors.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ForgeError {
    /// The code or refresh token is of no use any more: read the store again, else sign in again.
    /// (`unauthorized_client` or `invalid_grant`; forgejo.md 1.6.)
    #[error("the forge refuses this grant ({0})")]
    Spent(OauthCode),
    /// Our client id, secret or redirect URI is wrong: the operator's to mend; nobody is signed out.
    #[error("the forge refuses this proxy's client registration ({0})")]
    Misconfigured(OauthCode),
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

impl std::fmt::Display for OauthCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// Why an id_token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdTokenFault {
    /// The answer held none.
    #[error("there is none; the grant's scope lacks openid")]
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
    /// `sub` or `iat` missing or odd.
    #[error("a required claim is missing")]
    Claims,
    /// The nonce is another sign-in's: start over once.
    #[error("the nonce belongs to another sign-in")]
    Nonce,
}
