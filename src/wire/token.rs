//! The visitor's forge access token as a type that does not print itself.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// A forge access token: opaque, secret, visible ASCII.
///
/// # Shapes
/// 1 to 8,192 bytes of 0x21 to 0x7e (RFC 6750 §2.1 allows no more), so it fits one header line.
///
/// # Security
/// `Debug` redacts; there is no `Display`, no comparison, no serialisation. The copy is wiped when dropped.
#[derive(Clone)]
pub struct ForgeToken(SecretString);

/// The longest token taken, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8192;

/// Why a text is no token. It does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadToken {
    /// Nothing there.
    Empty,
    /// Longer than [`MAX_TOKEN_BYTES`].
    TooLong,
    /// A byte that is not visible ASCII.
    OddByte,
}

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the token is empty",
            Self::TooLong => "the token is too long",
            Self::OddByte => "the token has a byte that is not visible ASCII",
        })
    }
}

impl std::error::Error for BadToken {}

impl ForgeToken {
    /// Takes a token in.
    ///
    /// # Errors
    /// [`BadToken`] when it would not fit one header line unharmed.
    pub fn new(value: impl Into<String>) -> Result<Self, BadToken> {
        let secret = SecretString::from(value.into());
        let bytes = secret.expose_secret().as_bytes();
        if bytes.is_empty() {
            return Err(BadToken::Empty);
        }
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(BadToken::TooLong);
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(BadToken::OddByte);
        }
        Ok(Self(secret))
    }

    /// The token itself.
    ///
    /// # Security
    /// For an `Authorization` header to the forge, and nothing else: never into a log, a URL, a page or a store.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The token as a header value that is marked sensitive: it prints as `Sensitive` and HPACK never indexes it.
    #[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "`new` let visible ASCII in only")]
    pub fn header_value(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(self.expose()).expect("visible ASCII is a header value");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for ForgeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForgeToken([redacted])")
    }
}
