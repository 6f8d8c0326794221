//! Chance that is the same each time: SplitMix64 over a seed.

use std::sync::Mutex;
use std::time::Duration;

use hero_proxy::base::entropy::Entropy;

#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub fn percent(&mut self, part: usize) -> bool {
        self.below(100) < part
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One of these, each as often as its weight says.
    pub fn weighed<T: Copy>(&mut self, of: &[(usize, T)]) -> T {
        let mut at = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in of {
            if at < *weight {
                return *one;
            }
            at -= weight;
        }
        of[0].1
    }

    /// A span in milliseconds, short ones more often than long ones.
    pub fn span(&mut self, least: u64, most: u64) -> Duration {
        let wide = (most - least) as f64;
        let part = (self.next() % 10_000) as f64 / 10_000.0;
        Duration::from_millis(least + (wide * part * part) as u64)
    }
}

/// What a process draws ids, keys and states from.
#[derive(Debug)]
pub struct Dice(Mutex<Chance>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Chance::new(seed)))
    }
}

impl Entropy for Dice {
    fn fill(&self, out: &mut [u8]) {
        let mut chance = self.0.lock().unwrap();
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&chance.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
