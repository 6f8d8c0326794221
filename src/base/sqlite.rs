//! Databases in one SQLite file: how such a file is opened, brought to this program's format, and worked on without
//! ever blocking a task.
//!
//! 1. One thread writes, one reads; each has a bounded queue, each call a bounded wait.
//! 2. A write-ahead log, so that readers never wait for the writer. Commits survive the death of the process; those made
//!    in [`flushed`] survive a power cut, too.
//! 3. The file is ours alone (mode 0600), or it is not opened. A file of a newer program, or of another one, is refused
//!    and left as it is.
//!
//! The log needs a local file system: no NFS.

mod alive;
mod open;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use thiserror::Error;

use crate::base::secret_file::SecretFileError;
use alive::Alive;
pub(crate) use worker::{Fault, Worker};

/// Where the file lies, and how much it may take.
#[derive(Clone, Debug)]
pub struct SqliteSettings {
    /// The file; made if there is none.
    pub path: PathBuf,
    /// How long a call may take in all: in the queue, waiting for another process, on the disk.
    pub wait: Duration,
    /// How many calls may wait for each thread.
    pub queue: usize,
    /// How large the file may grow, in bytes.
    pub max_bytes: u64,
}

impl SqliteSettings {
    /// The usual settings: two seconds, 1,024 calls, 1 GiB.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), wait: Duration::from_secs(2), queue: 1024, max_bytes: 1 << 30 }
    }
}

/// What a room keeps in its file: how to know it, and the steps to its present form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// Marks a file as this room's (`PRAGMA application_id`).
    pub(crate) application_id: i64,
    /// The steps from an empty file to this program's format; `user_version` says how many have been taken. A step, once
    /// released, is never changed.
    pub(crate) migrations: &'static [&'static str],
    /// What is done to the file by whoever opens it and finds nobody else alive on it; none: nobody looks.
    pub(crate) when_alone: Option<&'static str>,
}

impl Format {
    /// How many steps this program knows.
    pub(crate) fn version(&self) -> u32 {
        u32::try_from(self.migrations.len()).unwrap_or(u32::MAX)
    }
}

/// Why a file was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file, or its log beside it, is not ours alone, or cannot be made.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// A newer program wrote it: run that one, or name another file.
    #[error("a newer hero_proxy wrote this file: run that one, or name another file")]
    Newer,
    /// It is some other program's file, or no database at all, or one that keeps other things.
    #[error("this file is no database of this kind")]
    Foreign,
    /// The system or SQLite says no.
    #[error("the database cannot be opened")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An open file: the thread that writes and the thread that reads. Dropping it waits for what its threads have at hand,
/// then closes the file.
///
/// Its calls need a tokio runtime with a timer. Under tokio's paused clock they come out as "too slow", since that clock
/// does not wait for threads.
#[derive(Debug)]
pub(crate) struct Database {
    // Closed first, so that the writer is the last one out and tidies the log up.
    /// For statements that read.
    pub(crate) reader: Worker,
    /// For all others.
    pub(crate) writer: Worker,
    // Last of all: whoever finds nobody alive believes that nobody writes either.
    _alive: Option<Alive>,
}

impl Database {
    /// Opens the file, and makes it if there is none. It blocks: for the disk, and for another process that is opening
    /// the file as well. `name` is what the threads are called.
    ///
    /// # Errors
    /// [`OpenError`]; the file is unharmed then.
    pub(crate) fn open(settings: &SqliteSettings, format: Format, name: &str) -> Result<Self, OpenError> {
        let opened = open::open(settings, format)?;
        let start = |role, connection| {
            let name = format!("{name}-{role}");
            Worker::start(&name, connection, settings)
                .map_err(|error| OpenError::Unavailable(Box::new(error)))
        };
        let (writer, reader) = (start("write", opened.writer)?, start("read", opened.reader)?);
        Ok(Self { reader, writer, _alive: opened.alive })
    }
}

/// Does work whose commits survive power loss.
///
/// # Errors
/// Those of the work.
pub(crate) fn flushed<T>(
    db: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    db.pragma_update(None, "synchronous", "FULL")?;
    let done = work(db);
    // Should this fail, later commits are only slower.
    drop(db.pragma_update(None, "synchronous", "NORMAL"));
    done
}
