//! When the forge was asked for something that counts for so long from then on.

use tokio::time::Instant;

use crate::base::clock::{Clock, Timestamp};

/// A question on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    at: Timestamp,
    moment: Instant,
}

impl Asking {
    /// It is asked now.
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self { at: clock.now(), moment: Instant::now() }
    }

    /// When it was asked, told once the answer is there. If that would be in the future, the clock was set back meanwhile:
    /// then the time that the answer took tells it.
    pub(super) fn asked_at(self, clock: &dyn Clock) -> Timestamp {
        let now = clock.now();
        if self.at <= now { self.at } else { now.minus(self.moment.elapsed()) }
    }
}
