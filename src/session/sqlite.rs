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

mod sql;

use std::fmt;

use rusqlite::Connection;

use crate::base::account::AccountKey;
use crate::base::clock::Timestamp;
use crate::base::port::Answer;
use crate::base::sqlite::{Database, Fault, Format, flushed};
use crate::session::id::SessionKey;
use crate::session::store::{GrantRow, Lease, SessionRow, SessionStore, StoreError, Swap};

pub use crate::base::sqlite::{OpenError, SqliteSettings};

/// A session store's file: "hero" in ASCII. At about 1 KiB a session a GiB is many; a file that is full takes no more
/// sign-ins until rows have been swept.
const FORMAT: Format = Format {
    application_id: 0x6865_726f,
    migrations: &[include_str!("sqlite/schema_1.sql")],
    when_alone: Some("DELETE FROM leases"),
};

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Newer => Self::Foreign,
            other => Self::Unavailable(Box::new(other)),
        }
    }
}

/// A store in a SQLite file. Dropping it waits for what its threads have at hand, then closes the file.
///
/// Its calls need a tokio runtime with a timer. Under tokio's paused clock they come out as "too slow", since that clock
/// does not wait for threads.
pub struct SqliteStore(Database);

impl SqliteStore {
    /// Opens the file, and makes it if there is none. It blocks: for the disk, and for another process that is opening
    /// the file as well.
    ///
    /// # Errors
    /// [`OpenError`]; the file is unharmed then.
    pub fn open(settings: &SqliteSettings) -> Result<Self, OpenError> {
        Database::open(settings, FORMAT, "store").map(Self)
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, Result<T, StoreError>> {
        Box::pin(async { Ok(self.0.writer.call(work).await?) })
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, Result<T, StoreError>> {
        Box::pin(async { Ok(self.0.reader.call(work).await?) })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SessionStore for SqliteStore {
    fn insert_session(&self, key: SessionKey, row: SessionRow) -> Answer<'_, Result<(), StoreError>> {
        self.write(move |db| sql::insert_session(db, key, &row))
    }

    fn session(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Result<Option<SessionRow>, StoreError>> {
        self.read(move |db| sql::session(db, key, now))
    }

    fn touch_session(&self, key: SessionKey, seen_at: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        self.write(move |db| sql::touch_session(db, key, seen_at))
    }

    fn remove_session(&self, key: SessionKey) -> Answer<'_, Result<bool, StoreError>> {
        self.write(move |db| flushed(db, |db| sql::remove_session(db, key)))
    }

    fn sessions_of(
        &self,
        account: AccountKey,
        now: Timestamp,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        self.read(move |db| sql::sessions_of(db, account, now))
    }

    fn remove_sessions_of(
        &self,
        account: AccountKey,
        except: Option<SessionKey>,
    ) -> Answer<'_, Result<u64, StoreError>> {
        self.write(move |db| flushed(db, |db| sql::remove_sessions_of(db, account, except)))
    }

    fn sessions_after(
        &self,
        after: Option<SessionKey>,
        now: Timestamp,
        most: usize,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        self.read(move |db| sql::sessions_after(db, after, now, most))
    }

    fn grant(&self, account: AccountKey) -> Answer<'_, Result<Option<GrantRow>, StoreError>> {
        self.read(move |db| sql::grant(db, account))
    }

    fn swap_grant(
        &self,
        account: AccountKey,
        seen: Option<u64>,
        next: GrantRow,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        self.write(move |db| flushed(db, |db| sql::swap_grant(db, account, seen, &next)))
    }

    fn drop_grant(
        &self,
        account: AccountKey,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        self.write(move |db| flushed(db, |db| sql::drop_grant(db, account, now, seen_after)))
    }

    fn lease(&self, lease: Lease, now: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        self.write(move |db| sql::lease(db, &lease, now))
    }

    fn release(&self, lease: Lease) -> Answer<'_, Result<(), StoreError>> {
        self.write(move |db| sql::release(db, &lease))
    }

    fn exchange_under_way(&self, now: Timestamp, latest: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        self.read(move |db| sql::exchange_under_way(db, now, latest))
    }

    fn claim(
        &self,
        once: [u8; 32],
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        self.write(move |db| sql::claim(db, once, now, until))
    }

    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<u64, StoreError>> {
        self.write(move |db| sql::sweep(db, now))
    }

    fn ping(&self) -> Answer<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.0.writer.call(|db| sql::ping_write(db)).await?;
            Ok(self.0.reader.call(|db| sql::ping_read(db)).await?)
        })
    }
}

#[cfg(test)]
mod tests;
