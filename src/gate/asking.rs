//! When forge or store was asked for something that counts for so long from then on.

use std::time::Duration;

use crate::base::clock::{Clock, Timestamp};

/// A question, by the time of day and by how long the clock had been running.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// The time of day.
    pub at: Timestamp,
    running: Duration,
}

impl Asking {
    /// It is asked now.
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self { at: clock.now(), running: clock.running() }
    }

    /// When it was asked, told once the answer is there. If the clock was set back meanwhile, the time that the answer took
    /// tells it.
    pub(super) fn asked_at(self, clock: &dyn Clock) -> Timestamp {
        let answered = Self::now(clock);
        self.at.min(answered.at.minus(answered.running.saturating_sub(self.running)))
    }

    /// How long ago it was asked; none if the clock shows that it was set back since.
    pub(super) fn age(self, now: Self) -> Option<Duration> {
        (self.at <= now.at).then(|| self.passed(now).max(now.at.since(self.at)))
    }

    /// The time that has passed since, whatever the clock shows.
    pub(super) fn passed(self, now: Self) -> Duration {
        now.running.saturating_sub(self.running)
    }
}
