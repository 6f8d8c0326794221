//! What a token endpoint says, in types of ours at the `oauth2` crate's extension points: read leniently where the
//! forge may be odd, strictly where it must not be.
//!
//! Source: RFC 6749 §5; docs/FORGEJO.md 1.6.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use oauth2::{AccessToken, Scope};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::forge::error::OauthCode;

/// The longest life believed, in seconds: a year. More is taken for nonsense, not for "for ever".
const MAX_LIFE_SECS: u64 = 366 * 24 * 3600;

/// A token response.
#[derive(Deserialize)]
pub(crate) struct Reply {
    #[serde(rename = "access_token")]
    pub(crate) access: AccessToken,
    token_type: Bearer,
    #[serde(default, rename = "expires_in", deserialize_with = "life")]
    pub(crate) life: Option<Duration>,
    #[serde(default, rename = "refresh_token", deserialize_with = "refresh_token")]
    pub(crate) refresh: Option<oauth2::RefreshToken>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) id_token: Option<String>,
}

/// A life between a second and a year; everything else is as good as none.
fn life<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    let secs = Value::deserialize(input)?.as_u64();
    Ok(secs.filter(|secs| (1..=MAX_LIFE_SECS).contains(secs)).map(Duration::from_secs))
}

fn refresh_token<'de, D: Deserializer<'de>>(input: D) -> Result<Option<oauth2::RefreshToken>, D::Error> {
    Ok(text(input)?.map(oauth2::RefreshToken::new))
}

/// A text that is there and not empty.
fn text<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(input)? {
        Value::String(text) if !text.is_empty() => Ok(Some(text)),
        _ => Ok(None),
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply([redacted])")
    }
}

/// The crate's trait asks for it; nobody calls it.
impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl oauth2::TokenResponse for Reply {
    type TokenType = Bearer;

    fn access_token(&self) -> &AccessToken {
        &self.access
    }

    fn token_type(&self) -> &Bearer {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.life
    }

    fn refresh_token(&self) -> Option<&oauth2::RefreshToken> {
        self.refresh.as_ref()
    }

    /// Forgejo's answer has none; introspection tells.
    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// The only token type there is, in any case (RFC 6749 §5.1, RFC 6750).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bearer;

impl<'de> Deserialize<'de> for Bearer {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let kind = Cow::<'_, str>::deserialize(input)?;
        if kind.eq_ignore_ascii_case("bearer") {
            Ok(Self)
        } else {
            Err(serde::de::Error::custom("no bearer token"))
        }
    }
}

impl Serialize for Bearer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("bearer")
    }
}

impl oauth2::TokenType for Bearer {}

/// An error response (RFC 6749 §5.2): the code, and nothing else of it.
#[derive(Debug, Deserialize)]
#[serde(from = "RawRefusal")]
pub(crate) struct Refusal(pub(crate) OauthCode);

#[derive(Deserialize)]
struct RawRefusal {
    error: String,
}

impl From<RawRefusal> for Refusal {
    fn from(raw: RawRefusal) -> Self {
        Self(match raw.error.as_str() {
            "invalid_request" => OauthCode::InvalidRequest,
            "invalid_client" => OauthCode::InvalidClient,
            "invalid_grant" => OauthCode::InvalidGrant,
            "unauthorized_client" => OauthCode::UnauthorizedClient,
            "unsupported_grant_type" => OauthCode::UnsupportedGrantType,
            "invalid_scope" => OauthCode::InvalidScope,
            _ => OauthCode::Other,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl oauth2::ErrorResponse for Refusal {}
