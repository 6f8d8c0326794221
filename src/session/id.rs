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

/// The first eight digits of its handle: enough to find a session's lines in a log.
impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle().0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl SessionKey {
    /// What this session is called where people read of it.
    pub fn handle(&self) -> SessionHandle {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(b"hero_proxy session handle\0");
        context.update(&self.0);
        let mut handle = [0; HANDLE_BYTES];
        for (to, from) in handle.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        SessionHandle(handle)
    }
}

const HANDLE_BYTES: usize = 8;
/// How many digits of a handle say which session is meant: as many as stand in a log.
const LEAST_DIGITS: usize = 8;

/// A session's name in lists, commands and logs: sixteen hexadecimal digits that lead neither to its id nor to its key.
/// It opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionHandle([u8; HANDLE_BYTES]);

impl SessionHandle {
    /// Whether `text` can be a handle, or the beginning of one that a log shows.
    pub fn is_one(text: &str) -> bool {
        (LEAST_DIGITS..=2 * HANDLE_BYTES).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Whether this one is meant by `text`, which is it, or begins it with at least eight digits.
    pub fn is_meant_by(self, text: &str) -> bool {
        Self::is_one(text) && self.to_string().starts_with(text)
    }
}

impl fmt::Display for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionHandle({self})")
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

    #[test]
    fn a_handle_names_a_session_and_leads_nowhere() {
        let key = SessionId::random(&OsEntropy).key();
        let handle = key.handle().to_string();
        assert_eq!(handle.len(), 16);
        assert!(handle.starts_with(&key.to_string()), "a log's digits find it");
        let inner = SessionHandle([key.0[0], key.0[1], key.0[2], key.0[3], 0, 0, 0, 0]);
        assert_ne!(inner.to_string().get(..8), handle.get(..8), "the key itself is not shown");
        for digits in [8, 15, 16] {
            assert!(key.handle().is_meant_by(handle.get(..digits).unwrap()), "{digits}");
        }
        let (more, less) = (format!("{handle}0"), handle.get(..7).unwrap());
        for text in [less, "", &more, "ABCDEF01", "%%%%%%%%"] {
            assert!(!key.handle().is_meant_by(text), "{text}");
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
