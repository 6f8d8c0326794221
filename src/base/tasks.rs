//! Work that no client can cancel: it is spawned here, and the drain waits for it.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Spawns on one runtime and remembers what still runs. Clones share the memory.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    handle: Handle,
    tracker: TaskTracker,
}

impl Tasks {
    /// Tasks that run on `handle`.
    pub(crate) fn on(handle: Handle) -> Self {
        Self { handle, tracker: TaskTracker::new() }
    }

    /// Starts a piece of work. Dropping what is returned detaches the work; it never cancels it.
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(work, &self.handle)
    }

    /// Starts work that nobody waits for: it has no end of its own, or none that matters.
    pub(crate) fn aside<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.handle.spawn(work));
    }

    /// Waits until all work has ended, `limit` at most; says whether it has.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the work.
    pub(crate) async fn drain(&self, limit: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}
