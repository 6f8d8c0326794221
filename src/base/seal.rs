//! Sealing of what leaves this process: rows in a store, the cookie of a sign-in under way.
//!
//! 1. A sealed value opens only where it was sealed: its kind, its owner (the row's own key), the form's version and
//!    the key's id are authenticated with it. A value that was moved to another row, kind or user does not open.
//! 2. Each kind has a key of its own (HKDF, RFC 5869), so that no two rooms ever share one.
//! 3. The first key of a ring seals, all of them open: a key is rotated by putting the new one on top, and the old line
//!    is taken out when nothing sealed by it can be alive any more.
//! 4. AES-256-GCM-SIV (RFC 8452) with a random nonce, not plain GCM. A random 96-bit nonce does not come twice within
//!    the 2^32 seals that a key may see; yet a virtual machine that is resumed twice from one snapshot may draw the same
//!    bytes twice. Under GCM that would give the key away; under SIV it tells at most that two values are equal.
//!
//! # Shapes
//! One version byte, 4 bytes of key id, 12 bytes of nonce, the ciphertext, 16 bytes of tag.

mod key;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::base::entropy::{Entropy, random_bytes};

pub use key::{BadKey, KeyRing, MAX_RING_KEYS, SealKey};

/// The form described above.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN;
const TAG_BYTES: usize = 16;

/// How much longer a sealed value is than what is in it, in bytes.
pub(crate) const OVERHEAD_BYTES: usize = HEAD_BYTES + TAG_BYTES;

/// A value that does not open here: another key, another owner, another kind, damage, a newer form. Which of them is
/// not told apart, since whoever may try values must not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a sealed value does not open here")]
pub(crate) struct Unsealable;

/// Seals and opens values of one kind.
pub(crate) struct Sealer {
    kind: &'static str,
    /// The first one seals.
    keys: Vec<KindKey>,
    entropy: Arc<dyn Entropy>,
}

struct KindKey {
    id: [u8; KEY_ID_BYTES],
    key: LessSafeKey,
}

impl Sealer {
    /// A sealer for values of `kind`: one fixed word per use, such as `session row`.
    pub(crate) fn new(ring: &KeyRing, kind: &'static str, entropy: Arc<dyn Entropy>) -> Self {
        let keys =
            ring.keys().map(|key| KindKey { id: key.derive(&["id"]), key: aead_key(key, kind) }).collect();
        Self { kind, keys, entropy }
    }

    /// Seals `plain` for `owner`: the bytes that will be at hand when it is opened, such as the row's key.
    #[expect(clippy::expect_used, reason = "only 64 GiB of plaintext cannot be sealed")]
    pub(crate) fn seal(&self, owner: &[u8], plain: &[u8]) -> Vec<u8> {
        let first = self.keys.first().expect("a ring holds a key");
        let nonce: [u8; NONCE_LEN] = random_bytes(&*self.entropy);
        // Room for all of it at once: a buffer that grows would leave copies of the plaintext behind.
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&first.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (_, body) = sealed.split_at_mut(HEAD_BYTES);
        let aad = Aad::from(self.additional_data(first.id, owner));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = first.key.seal_in_place_separate_tag(nonce, aad, body).expect("the plaintext is short");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what was sealed for this owner, as this kind, by a key of the ring.
    ///
    /// # Errors
    /// [`Unsealable`] in every other case.
    pub(crate) fn open(&self, owner: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (&version, rest) = sealed.split_first().ok_or(Unsealable)?;
        let (&id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>().ok_or(Unsealable)?;
        let (&nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unsealable)?;
        if version != VERSION {
            return Err(Unsealable);
        }
        // Two keys may bear one id by chance: each that fits is tried.
        self.keys
            .iter()
            .filter(|candidate| candidate.id == id)
            .find_map(|candidate| {
                let mut plain = Zeroizing::new(body.to_vec());
                let aad = Aad::from(self.additional_data(id, owner));
                let length = candidate
                    .key
                    .open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut plain)
                    .ok()?
                    .len();
                plain.truncate(length);
                Some(plain)
            })
            .ok_or(Unsealable)
    }

    /// What is authenticated with a value. Each part but the last has its length in front or a fixed one.
    fn additional_data(&self, id: [u8; KEY_ID_BYTES], owner: &[u8]) -> Vec<u8> {
        [
            b"hero_proxy sealed value".as_slice(),
            &[VERSION],
            &id,
            &(self.kind.len() as u64).to_be_bytes(),
            self.kind.as_bytes(),
            owner,
        ]
        .concat()
    }
}

#[expect(clippy::expect_used, reason = "32 bytes are an AES-256 key")]
fn aead_key(key: &SealKey, kind: &'static str) -> LessSafeKey {
    let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(key.derive(&["seal", kind]));
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &*bytes).expect("the length fits the algorithm"))
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({}, {} keys, [redacted])", self.kind, self.keys.len())
    }
}

#[cfg(test)]
mod tests;
