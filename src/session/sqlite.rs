//! Sessions in one SQLite file: they survive restarts, and several processes may share the file.
//!
//! 1. One thread writes, one reads; SQLite blocks, so neither is a task. Each has a bounded queue, each call a bounded
//!    wait: a store that is locked, full or slow answers [`StoreError::Unavailable`] in time, and nobody is signed out.
//! 2. A write-ahead log, so that readers never wait for the writer. Commits survive the death of the process; those of
//!    grants and of a session's end are flushed to the disk, too (`synchronous = FULL`), since a lost refresh token or a
//!    session that came back after a power cut would be a lie.
//! 3. The file is ours alone (mode 0600), or it is not opened. A file of a newer program, or of another one, is refused
//!    and left as it is.
//!
//! 4. A lease is worth as much as the process that holds it: who opens the file and finds nobody else alive on it drops
//!    all leases.
//!
//! The log needs a local file system: no NFS.

mod alive;
mod open;
mod sql;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::base::account::AccountKey;
use crate::base::clock::Timestamp;
use crate::base::port::Answer;
use crate::base::secret_file::SecretFileError;
use crate::session::id::SessionKey;
use crate::session::store::{GrantRow, Lease, SessionRow, SessionStore, StoreError, Swap};
use alive::Alive;
use worker::Worker;

/// Where the file lies, and how much it may take.
#[derive(Clone, Debug)]
pub struct SqliteSettings {
    /// The file; made if there is none.
    pub path: PathBuf,
    /// How long a call may take in all: in the queue, waiting for another process, on the disk.
    pub wait: Duration,
    /// How many calls may wait for each thread.
    pub queue: usize,
    /// How large the file may grow, in bytes. At about 1 KiB a session that is many; a file that is full takes no more
    /// sign-ins until rows have been swept.
    pub max_bytes: u64,
}

impl SqliteSettings {
    /// The usual settings: two seconds, 1,024 calls, 1 GiB.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), wait: Duration::from_secs(2), queue: 1024, max_bytes: 1 << 30 }
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
    #[error("a newer hero_proxy wrote this store: run that one, or name another file")]
    Newer,
    /// It is some other program's file, or no database at all.
    #[error("this file is not a session store")]
    Foreign,
    /// The system or SQLite says no.
    #[error("the session store cannot be opened")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A store in a SQLite file. Dropping it waits for what its threads have at hand, then closes the file.
///
/// Its calls need a tokio runtime with a timer. Under tokio's paused clock they come out as "too slow", since that clock
/// does not wait for threads.
pub struct SqliteStore {
    // Closed first, so that the writer is the last one out and tidies the log up.
    reader: Worker,
    writer: Worker,
    // Last of all: whoever finds nobody alive believes that nobody writes either.
    _alive: Alive,
}

impl SqliteStore {
    /// Opens the file, and makes it if there is none. It blocks: for the disk, and for another process that is opening
    /// the file as well.
    ///
    /// # Errors
    /// [`OpenError`]; the file is unharmed then.
    pub fn open(settings: &SqliteSettings) -> Result<Self, OpenError> {
        let opened = open::open(settings)?;
        let start = |name, connection| {
            Worker::start(name, connection, settings).map_err(|error| OpenError::Unavailable(Box::new(error)))
        };
        let (writer, reader) = (start("store-write", opened.writer)?, start("store-read", opened.reader)?);
        Ok(Self { reader, writer, _alive: opened.alive })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SessionStore for SqliteStore {
    fn insert_session(&self, key: SessionKey, row: SessionRow) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(self.writer.call(move |db| sql::insert_session(db, key, &row)))
    }

    fn session(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Result<Option<SessionRow>, StoreError>> {
        Box::pin(self.reader.call(move |db| sql::session(db, key, now)))
    }

    fn touch_session(&self, key: SessionKey, seen_at: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        Box::pin(self.writer.call(move |db| sql::touch_session(db, key, seen_at)))
    }

    fn remove_session(&self, key: SessionKey) -> Answer<'_, Result<bool, StoreError>> {
        Box::pin(self.writer.call(move |db| sql::flushed(db, |db| sql::remove_session(db, key))))
    }

    fn sessions_of(
        &self,
        account: AccountKey,
        now: Timestamp,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        Box::pin(self.reader.call(move |db| sql::sessions_of(db, account, now)))
    }

    fn remove_sessions_of(
        &self,
        account: AccountKey,
        except: Option<SessionKey>,
    ) -> Answer<'_, Result<u64, StoreError>> {
        Box::pin(
            self.writer.call(move |db| sql::flushed(db, |db| sql::remove_sessions_of(db, account, except))),
        )
    }

    fn sessions_after(
        &self,
        after: Option<SessionKey>,
        now: Timestamp,
        most: usize,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        Box::pin(self.reader.call(move |db| sql::sessions_after(db, after, now, most)))
    }

    fn grant(&self, account: AccountKey) -> Answer<'_, Result<Option<GrantRow>, StoreError>> {
        Box::pin(self.reader.call(move |db| sql::grant(db, account)))
    }

    fn swap_grant(
        &self,
        account: AccountKey,
        seen: Option<u64>,
        next: GrantRow,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        Box::pin(self.writer.call(move |db| sql::flushed(db, |db| sql::swap_grant(db, account, seen, &next))))
    }

    fn drop_grant(
        &self,
        account: AccountKey,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        Box::pin(
            self.writer.call(move |db| sql::flushed(db, |db| sql::drop_grant(db, account, now, seen_after))),
        )
    }

    fn lease(&self, lease: Lease, now: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        Box::pin(self.writer.call(move |db| sql::lease(db, &lease, now)))
    }

    fn release(&self, lease: Lease) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(self.writer.call(move |db| sql::release(db, &lease)))
    }

    fn claim(
        &self,
        once: [u8; 32],
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        Box::pin(self.writer.call(move |db| sql::claim(db, once, now, until)))
    }

    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<u64, StoreError>> {
        Box::pin(self.writer.call(move |db| sql::sweep(db, now)))
    }

    fn ping(&self) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.writer.call(|db| sql::ping_write(db)).await?;
            self.reader.call(|db| sql::ping_read(db)).await
        })
    }
}

#[cfg(test)]
mod tests;
