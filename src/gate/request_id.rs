//! Ids of requests: unique, and no secret. Chance is asked for once; from there on a counter is mixed, one to one, so that
//! no id comes twice and none tells how many there were.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

use crate::base::entropy::{Entropy, random_bytes};

/// Where ids come from: 8 bytes that tell this process from others, and 8 of a counter.
#[derive(Debug)]
pub(super) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let number = || u64::from_le_bytes(random_bytes::<8>(entropy));
        Self { process: number(), next: AtomicU64::new(number()) }
    }

    /// The next one: 32 hexadecimal digits.
    pub(super) fn next(&self) -> HeaderValue {
        let number = mixed(self.next.fetch_add(1, Ordering::Relaxed));
        let mut text = [0_u8; 32];
        let bytes = self.process.to_be_bytes().into_iter().chain(number.to_be_bytes());
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// The finalizer of `SplitMix64` (S. Vigna, 2015): each number comes from exactly one other.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::entropy::SeededEntropy;

    #[test]
    fn no_id_comes_twice_and_each_has_32_digits() {
        let processes = [1, 2].map(|seed| RequestIds::new(&SeededEntropy::new(seed)));
        let mut seen = BTreeSet::new();
        for ids in &processes {
            for _ in 0..10_000 {
                let id = ids.next();
                assert!(id.len() == 32 && id.as_bytes().iter().all(u8::is_ascii_hexdigit), "{id:?}");
                assert!(seen.insert(id.as_bytes().to_vec()), "{id:?} came twice");
            }
        }
    }
}
