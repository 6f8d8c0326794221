//! A clock for things that ought to move: it runs while nothing comes, and starts anew whenever something does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Tells when something has stood still for too long. While all moves it costs no timer.
#[derive(Debug)]
pub struct Stall {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Stall {
    /// A clock that allows `limit` between two moves.
    pub const fn new(limit: Duration) -> Self {
        Self { limit, sleep: None, waiting: false }
    }

    /// Something moved.
    pub fn moved(&mut self) {
        self.waiting = false;
    }

    /// Nothing moves for now: ready once that has lasted too long.
    pub fn poll_still(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let fresh = !std::mem::replace(&mut self.waiting, true);
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if fresh {
            sleep.as_mut().reset(Instant::now() + limit);
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::Stall;

    #[tokio::test(start_paused = true)]
    async fn only_standing_still_counts() {
        let limit = Duration::from_secs(10);
        let mut stall = Stall::new(limit);
        for _ in 0..3 {
            assert!(poll_fn(|cx| std::task::Poll::Ready(stall.poll_still(cx))).await.is_pending());
            advance(limit / 2).await;
            stall.moved();
        }
        let start = Instant::now();
        poll_fn(|cx| stall.poll_still(cx)).await;
        assert_eq!(start.elapsed(), limit);
    }
}
