//! How often one caller may call: a bucket that fills up evenly.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::base::clock::Timestamp;

/// Callers remembered at most; whoever is forgotten begins with a full bucket.
const CALLERS: u64 = 10_000;
/// After this long unused every bucket is full again.
const FULL: Duration = Duration::from_mins(2);

/// The buckets of all callers.
#[derive(Debug)]
pub(super) struct Rates(Cache<String, Arc<Mutex<Bucket>>>);

impl Default for Rates {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CALLERS).time_to_idle(FULL).build())
    }
}

impl Rates {
    /// Takes `calls` from a caller's bucket.
    ///
    /// # Errors
    /// After how long there will be enough; nothing was taken.
    pub(super) fn take(
        &self,
        caller: &str,
        calls: u32,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let full = || Arc::new(Mutex::new(Bucket { millis: MINUTE, at: now }));
        let bucket = self.0.get_with_by_ref(caller, full);
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(calls, per_minute, now)
    }
}

const MINUTE: u64 = 60_000;

/// What is left, as milliseconds of filling: a minute's worth at most.
#[derive(Debug)]
struct Bucket {
    millis: u64,
    at: Timestamp,
}

impl Bucket {
    fn take(&mut self, calls: u32, per_minute: u32, now: Timestamp) -> Result<(), Duration> {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(MINUTE);
        self.millis = MINUTE.min(self.millis.saturating_add(passed));
        self.at = now;
        let price = u64::from(calls) * MINUTE / u64::from(per_minute.max(1));
        match self.millis.checked_sub(price) {
            Some(left) => {
                self.millis = left;
                Ok(())
            }
            None => Err(Duration::from_millis(price.min(MINUTE) - self.millis.min(price.min(MINUTE)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds: A17.
    #[test]
    fn a_caller_has_so_many_calls_a_minute_and_others_are_not_touched() {
        let (rates, start) = (Rates::default(), Timestamp::from_secs(1_800_000_000));
        for _ in 0..60 {
            rates.take("a", 1, 60, start).unwrap();
        }
        assert_eq!(rates.take("a", 1, 60, start), Err(Duration::from_secs(1)));
        assert_eq!(rates.take("a", 50, 60, start), Err(Duration::from_secs(50)));
        rates.take("b", 60, 60, start).unwrap();
        let later = start.plus(Duration::from_secs(2));
        rates.take("a", 2, 60, later).unwrap();
        assert!(rates.take("a", 1, 60, later).is_err());
        // A clock that was set back gives nothing and takes nothing.
        assert!(rates.take("a", 1, 60, start).is_err());
    }
}
