//! A panic is a fault of this program's own. It ends the piece of work that it happens in, and nothing else.
//!
//! Told is where it happened, never what it says: a panic's message may quote what was being worked on.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::error;

thread_local! {
    /// How many [`catch`]es are under way on this thread, one within the other.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
    /// Where the panic happened that is being caught.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A piece of work that panicked: it is over, and what it worked on may be half done.
#[derive(Debug, thiserror::Error)]
#[error("{}", .place.as_deref().unwrap_or("unknown"))]
pub struct Crash {
    place: Option<String>,
}

/// Does some work; a panic in it ends it and no more.
///
/// # Errors
/// [`Crash`], which names the place if [`tell`] was called before.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Crash> {
    CATCHING.set(CATCHING.get() + 1);
    // Whoever catches drops what the work had in hand.
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(CATCHING.get() - 1);
    done.map_err(|_| Crash { place: PLACE.take() })
}

/// From now on a panic of this process is told as a line of the log: by who catches it, else here.
pub fn tell() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        if CATCHING.get() > 0 {
            PLACE.set(place);
        } else {
            error!(place = place.as_deref().unwrap_or("unknown"), "a panic ended a piece of work");
        }
    }));
}

pin_project! {
    /// Work that takes its time, under [`catch`].
    #[derive(Debug)]
    pub struct Caught<F> {
        #[pin]
        work: F,
    }
}

impl<F> Caught<F> {
    /// Wraps it. After a crash it must not be polled again.
    pub fn new(work: F) -> Self {
        Self { work }
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Crash>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch(|| self.project().work.poll(context)) {
            Ok(polled) => polled.map(Ok),
            Err(crash) => Poll::Ready(Err(crash)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_panics_is_over_and_the_next_is_not() {
        let crash = catch(|| panic!("hush-hush")).unwrap_err();
        assert!(!format!("{crash} {crash:?}").contains("hush"), "{crash:?}");
        assert_eq!(catch(|| catch(|| 1).unwrap() + 1).unwrap(), 2);
        assert_eq!(CATCHING.get(), 0);
    }

    #[tokio::test]
    async fn work_that_panics_late_is_over_too() {
        let late = Caught::new(async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        });
        assert!(late.await.is_err());
        assert_eq!(Caught::new(async { 7 }).await.unwrap(), 7);
    }
}
