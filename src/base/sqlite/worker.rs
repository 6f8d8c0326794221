//! A thread that owns a connection and does one call after the other.

use std::fmt;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use thiserror::Error;
use tokio::sync::oneshot;

use super::SqliteSettings;

/// What goes wrong between a call and its answer.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// Too many wait already.
    #[error("too many calls wait for the store")]
    QueueFull,
    /// No answer in time.
    #[error("the store took too long")]
    TooSlow,
    /// The thread is no more.
    #[error("the store's thread has ended")]
    Gone,
    /// No room is left in the file.
    #[error("the store's file has reached the size that it may have")]
    NoRoom,
    /// Another program has taken the file further.
    #[error("a newer program has changed the store")]
    Newer,
    /// SQLite says no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The calling end of the thread. Dropped: the thread does what is queued and wanted, closes the connection and ends.
pub(crate) struct Worker {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    wait: Duration,
}

impl Worker {
    pub(super) fn start(
        name: &str,
        mut connection: Connection,
        settings: &SqliteSettings,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(settings.queue);
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            for job in queue {
                job(&mut connection);
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), wait: settings.wait })
    }

    /// Has `work` done on the thread.
    ///
    /// # Errors
    /// When there is no answer in time; the work may still be done then.
    ///
    /// # Cancel safety
    /// Dropped before the thread comes to it, the work is not done; after that it is done whole.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have given up: a queue that piled up behind a lock empties at once.
            if !reply.is_closed() {
                drop(reply.send(work(connection)));
            }
        });
        let queued = self.jobs.as_ref().ok_or(Fault::Gone)?.try_send(job);
        queued.map_err(|error| match error {
            TrySendError::Full(_) => Fault::QueueFull,
            TrySendError::Disconnected(_) => Fault::Gone,
        })?;
        let answer = tokio::time::timeout(self.wait, answer).await.map_err(|_| Fault::TooSlow)?;
        answer.map_err(|_| Fault::Gone)?
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to say.
            drop(thread.join());
        }
    }
}
