//! The keys of a sealer, as they lie in a file.

use std::fmt;

use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::base::entropy::{Entropy, random_bytes};
use crate::base::secret::SecretText;

/// What `openssl rand -base64 32` writes, with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const KEY_BYTES: usize = 32;

/// The most keys that a ring may hold: one that seals, the others on their way out.
pub const MAX_RING_KEYS: usize = 8;

/// The fewest different byte values in a key. Chance gives 30 on average, and fewer than 16 once in 10^16 keys.
const FEWEST_BYTE_VALUES: usize = 16;

/// A master key: 256 random bits. Wiped when dropped.
pub struct SealKey([u8; KEY_BYTES]);

/// Why a key file cannot be used. Line numbers count from one; nothing of the file's content is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadKey {
    /// No key in it.
    #[error("there is no key in it; `openssl rand -base64 32` makes one")]
    Empty,
    /// A line that is not base64.
    #[error("line {line} is not base64; `openssl rand -base64 32` makes a key")]
    NotBase64 {
        /// Which line.
        line: usize,
    },
    /// A key that is not 32 bytes long.
    #[error(
        "the key in line {line} has {bytes} bytes, and 32 are needed; `openssl rand -base64 32` makes one"
    )]
    Length {
        /// Which line.
        line: usize,
        /// How long it is.
        bytes: usize,
    },
    /// A key that nobody drew by chance: zeros, a sequence, typed text.
    #[error("the key in line {line} is a sample or was typed; `openssl rand -base64 32` makes one")]
    Guessable {
        /// Which line.
        line: usize,
    },
    /// A key that stands in it twice.
    #[error("the key in line {line} stands there before already")]
    Twice {
        /// Which line.
        line: usize,
    },
    /// More keys than [`MAX_RING_KEYS`].
    #[error("there are more than 8 keys in it; take out those that sealed nothing that still lives")]
    TooMany,
}

impl SealKey {
    /// A new key.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(random_bytes(entropy))
    }

    /// The key as a line of a key file: base64, with a line feed.
    ///
    /// # Security
    /// For the key file only.
    pub fn line(&self) -> SecretText {
        // As long as it gets: a buffer that grows or shrinks would leave a copy behind.
        let mut line = String::with_capacity(45);
        BASE64.encode_string(self.0, &mut line);
        line.push('\n');
        SecretText::new(line)
    }

    fn parse(text: &str, line: usize) -> Result<Self, BadKey> {
        let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| BadKey::NotBase64 { line })?);
        let mut key = Self([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(BadKey::Length { line, bytes: bytes.len() });
        }
        key.0.copy_from_slice(&bytes);
        if key.guessable() { Err(BadKey::Guessable { line }) } else { Ok(key) }
    }

    /// Whether a person made this key, and not chance: few byte values, even steps, or plain text.
    fn guessable(&self) -> bool {
        let mut seen = [false; 256];
        for &byte in &self.0 {
            if let Some(slot) = seen.get_mut(usize::from(byte)) {
                *slot = true;
            }
        }
        let few = seen.iter().filter(|slot| **slot).count() < FEWEST_BYTE_VALUES;
        let text = self.0.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        let mut steps = self.0.iter().zip(self.0.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a));
        let step = steps.next();
        let even = steps.all(|other| Some(other) == step);
        few || text || even
    }

    /// Bytes that belong to this key and these words, and to nothing else (RFC 5869).
    #[expect(clippy::expect_used, reason = "HKDF gives up to 8,160 bytes, and N is small")]
    pub(super) fn derive<const N: usize>(&self, words: &[&str]) -> [u8; N] {
        let parts: Vec<&[u8]> = words.iter().flat_map(|word| [word.as_bytes(), &[0]]).collect();
        let mut out = [0; N];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"hero_proxy seal v1")
            .extract(&self.0)
            .expand(&parts, Bytes::<N>)
            .and_then(|okm| okm.fill(&mut out))
            .expect("HKDF gives so many bytes");
        out
    }
}

/// A length for HKDF.
struct Bytes<const N: usize>;

impl<const N: usize> hkdf::KeyType for Bytes<N> {
    fn len(&self) -> usize {
        N
    }
}

impl Drop for SealKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey([redacted])")
    }
}

/// One key that seals and opens, and others that only open. Never empty.
pub struct KeyRing(Vec<SealKey>);

impl KeyRing {
    /// A ring of one key.
    pub fn of(key: SealKey) -> Self {
        Self(vec![key])
    }

    /// Reads a key file: one key a line, 32 bytes in base64, the newest first. Empty lines and lines that begin with
    /// `#` do not count.
    ///
    /// # Errors
    /// [`BadKey`], for the first line that is wrong.
    pub fn from_text(text: &str) -> Result<Self, BadKey> {
        let mut keys: Vec<SealKey> = Vec::with_capacity(MAX_RING_KEYS);
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = SealKey::parse(line, number)?;
            if keys.iter().any(|other| other.0 == key.0) {
                return Err(BadKey::Twice { line: number });
            }
            if keys.len() == MAX_RING_KEYS {
                return Err(BadKey::TooMany);
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(BadKey::Empty) } else { Ok(Self(keys)) }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SealKey> {
        self.0.iter()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, [redacted])", self.0.len())
    }
}
