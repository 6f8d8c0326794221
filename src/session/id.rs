//! The session id in the cookie, and the hash of it that a store sees.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroize;

use crate::base::entropy::{Entropy, random_bytes};

/// A session's id: 256 random bits, the bearer secret in the cookie. New at every sign-in, never taken from a client.
pub struct SessionId([u8; 32]);

/// Length of an id's text in bytes: base64url without padding.
pub const ID_TEXT_BYTES: usize = 43;

impl SessionId {
    /// A new id.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(random_bytes(entropy))
    }

    /// The id in a cookie's value. None unless it is exactly what [`SessionId::text`] writes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != ID_TEXT_BYTES {
            return None;
        }
        let mut id = Self([0; 32]);
        // The engine refuses stray bits behind the last byte, so one id has one spelling.
        let written = URL_SAFE_NO_PAD.decode_slice(text, &mut id.0).ok()?;
        (written == id.0.len()).then_some(id)
    }

    /// The cookie's value: 43 characters of base64url.
    ///
    /// # Security
    /// For `Set-Cookie` only.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What a store knows this session by.
    pub fn key(&self) -> SessionKey {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.0);
        let mut key = [0; 32];
        key.copy_from_slice(digest.as_ref());
        SessionKey(key)
    }
}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId([redacted])")
    }
}

/// SHA-256 of a session's id: all that a store, a log or a list of sessions ever sees.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub [u8; 32]);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

/// The first eight hexadecimal digits: enough to find a session's lines in a log.
impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::entropy::OsEntropy;

    /// Holds: S2, S3, X4.
    #[test]
    fn ids_are_new_each_time_and_their_keys_tell_nothing_of_them() {
        let ids: Vec<SessionId> = (0..1_000).map(|_| SessionId::random(&OsEntropy)).collect();
        let texts: std::collections::HashSet<String> = ids.iter().map(SessionId::text).collect();
        assert_eq!(texts.len(), ids.len());
        for id in &ids {
            assert_eq!(id.text().len(), ID_TEXT_BYTES);
            assert_ne!(id.key().0, id.0, "a store sees a hash");
            assert_eq!(SessionId::parse(id.text().as_bytes()).unwrap().key(), id.key());
        }
    }

    /// Holds: S7.
    #[test]
    fn an_id_has_one_spelling() {
        let text = SessionId::random(&OsEntropy).text();
        // 43 characters hold 258 bits: the last two must be zero.
        let odd_end = format!("{}B", &text.get(..42).unwrap());
        let bent = [
            String::new(),
            text.get(..42).unwrap().to_owned(),
            format!("{text}="),
            format!("{text}A"),
            format!(" {}", text.get(..42).unwrap()),
            text.replacen(|_: char| true, "+", 1),
            text.replacen(|_: char| true, "\0", 1),
            odd_end,
            "A".repeat(1 << 20),
        ];
        for text in &bent {
            assert!(SessionId::parse(text.as_bytes()).is_none(), "{:?}", text.get(..50.min(text.len())));
        }
    }

    /// Holds: X7.
    #[test]
    fn an_id_does_not_print_itself() {
        let id = SessionId::random(&OsEntropy);
        assert_eq!(format!("{id:?}"), "SessionId([redacted])");
        assert_eq!(format!("{}", id.key()).len(), 8);
    }
}
