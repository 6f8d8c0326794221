//! Chance is handed in. [`OsEntropy`] is the only source of randomness in the house.

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Fills bytes with chance. Rooms get one; they never make their own.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Overwrites all of `out` with bytes that nobody can foretell.
    fn fill(&self, out: &mut [u8]);
}

/// `N` random bytes.
pub fn random_bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// `N` random bytes as base64url without padding (RFC 4648 §5).
pub fn random_text<const N: usize>(entropy: &dyn Entropy) -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<N>(entropy))
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(
        clippy::expect_used,
        reason = "without randomness nothing here is safe: better no answer than a guessable one"
    )]
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the operating system gives random bytes");
    }
}

/// Reproducible chance for tests: SHA-256 over a seed and a counter. Never a secret.
#[cfg(feature = "test-support")]
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: std::sync::atomic::AtomicU64,
}

#[cfg(feature = "test-support")]
impl SeededEntropy {
    /// The stream that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: std::sync::atomic::AtomicU64::new(0) }
    }
}

#[cfg(feature = "test-support")]
impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let turn = self.counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let block = [self.seed.to_le_bytes(), turn.to_le_bytes()].concat();
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &block);
            for (target, byte) in chunk.iter_mut().zip(digest.as_ref()) {
                *target = *byte;
            }
        }
    }
}
