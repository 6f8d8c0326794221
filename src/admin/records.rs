//! The records: which accounts were made or found here, whose VMs they have, who did what to whom. The forge stays the
//! truth about accounts; what stands here of them is what it said last.
//!
//! 1. A name is reserved before the forge is asked to make an account, so that a full disk is found out while nothing has
//!    happened yet, and an account whose creation nobody saw the end of is looked for later.
//! 2. What is done and its line in the trail are one transaction, flushed to the disk. Lines of the trail are never
//!    changed.
//! 3. Search, order and pages are the database's work.
//!
//! It is a file of its own, beside the session store: it outlives sessions, and is worth a backup.

mod keys;
mod row;
mod sql;

use std::fmt;

use rusqlite::Connection;
use thiserror::Error;

use crate::base::clock::Timestamp;
use crate::base::sqlite::{Database, Fault, Format, OpenError, SqliteSettings, flushed};

pub use row::{AuditRow, Facts, KeyRow, ListQuery, MAX_LIST, NewAudit, SortBy, Standing, UserRow, VmRow};

/// VMs of one user at most.
pub const MAX_VMS_PER_USER: u64 = 1000;

/// The records' file: "hadm" in ASCII.
const FORMAT: Format = Format {
    application_id: 0x6861_646d,
    migrations: &[include_str!("records/schema_1.sql")],
    when_alone: None,
};

/// The records cannot answer, or cannot take anything more: locked, full, too slow, or changed by a newer program.
#[derive(Debug, Error)]
#[error("the admin records cannot answer")]
pub struct RecordsError(#[from] Fault);

impl RecordsError {
    /// What lies under it, for the log.
    pub(crate) fn cause(&self) -> &Fault {
        &self.0
    }
}

/// What a reservation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The name is reserved under the new id.
    Fresh,
    /// Somebody stands under that name.
    Known(UserRow),
}

/// What became of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// Written down.
    Done,
    /// There is no such user.
    NoUser,
    /// The VM is assigned to somebody else.
    SomebodyElses,
    /// The user has [`MAX_VMS_PER_USER`].
    TooMany,
}

/// The records in a SQLite file; several processes may share it.
pub struct Records(Database);

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Records")
    }
}

/// All futures here: dropped before the thread comes to the work, it is not done; after that it is done whole.
impl Records {
    /// Opens the file, and makes it if there is none. It blocks.
    ///
    /// # Errors
    /// [`OpenError`]; the file is unharmed then.
    pub fn open(settings: &SqliteSettings) -> Result<Self, OpenError> {
        Database::open(settings, FORMAT, "admin").map(Self)
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RecordsError> {
        Ok(self.0.writer.call(|db| flushed(db, work)).await?)
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RecordsError> {
        Ok(self.0.reader.call(work).await?)
    }

    /// Reserves a name under a new id, unless somebody stands under it.
    ///
    /// # Errors
    /// [`RecordsError`]; nothing has happened then.
    pub async fn reserve(
        &self,
        user_id: String,
        username: String,
        line: NewAudit,
    ) -> Result<Reserved, RecordsError> {
        self.write(move |db| sql::reserve(db, &user_id, &username, &line)).await
    }

    /// Writes down what the forge says of an account, under the reserved id or under the older one of that account, and
    /// whether an initial password was handed out.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn settle(
        &self,
        user_id: String,
        facts: Facts,
        password_at: Option<Timestamp>,
        line: Option<NewAudit>,
        now: Timestamp,
    ) -> Result<UserRow, RecordsError> {
        self.write(move |db| sql::settle(db, &user_id, &facts, password_at, line.as_ref(), now)).await
    }

    /// Begins a reset, unless another one of the same user is under way, in whatever process; says whether it is begun.
    ///
    /// # Errors
    /// [`RecordsError`]; nothing has happened then.
    pub async fn begin_reset(&self, user_id: String, line: NewAudit) -> Result<bool, RecordsError> {
        self.write(move |db| sql::begin_reset(db, &user_id, &line)).await
    }

    /// Writes down that a new password was handed out.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn handed_over(&self, user_id: String, line: NewAudit) -> Result<(), RecordsError> {
        self.write(move |db| sql::handed_over(db, &user_id, &line)).await
    }

    /// Gives a reservation up: the forge has not made the account.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn give_up(&self, user_id: String, line: NewAudit) -> Result<(), RecordsError> {
        self.write(move |db| sql::give_up(db, &user_id, &line)).await
    }

    /// Writes down that the forge does not know the account any more.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn vanish(&self, user_id: String, now: Timestamp) -> Result<(), RecordsError> {
        self.write(move |db| sql::vanish(db, &user_id, now)).await
    }

    /// A user by our id.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn user(&self, user_id: String) -> Result<Option<UserRow>, RecordsError> {
        self.read(move |db| sql::user(db, &user_id)).await
    }

    /// A user by the forge's name, without regard to ASCII case.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn by_name(&self, username: String) -> Result<Option<UserRow>, RecordsError> {
        self.read(move |db| sql::by_name(db, &username)).await
    }

    /// A page of users, and how many there are on all pages.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn list(&self, mut query: ListQuery) -> Result<(Vec<UserRow>, u64), RecordsError> {
        query.limit = query.limit.min(MAX_LIST);
        self.read(move |db| sql::list(db, &query)).await
    }

    /// Writes down that a person was seen; nothing for whom is not on record. Not flushed: a minute may be lost.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn seen(&self, forge_id: u64, at: Timestamp) -> Result<(), RecordsError> {
        Ok(self.0.writer.call(move |db| sql::seen(db, forge_id, at)).await?)
    }

    /// Adds a line to the trail.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn note(&self, user_id: Option<String>, line: NewAudit) -> Result<(), RecordsError> {
        self.write(move |db| sql::note(db, user_id.as_deref(), &line)).await
    }

    /// A user's trail, the newest line first; `before`: only lines older than that one.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn audit_of(
        &self,
        user_id: String,
        before: Option<u64>,
        limit: u64,
    ) -> Result<Vec<AuditRow>, RecordsError> {
        self.read(move |db| sql::audit_of(db, &user_id, before, limit.min(MAX_LIST))).await
    }

    /// Assigns a VM to a user; again with another address: the address changes.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn assign(&self, vm: VmRow, line: NewAudit) -> Result<Assigned, RecordsError> {
        self.write(move |db| sql::assign(db, &vm.user_id, &vm.vm_id, vm.url.as_deref(), &line)).await
    }

    /// Releases a VM; says whose it was. None: it was nobody's.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn release(&self, vm_id: String, line: NewAudit) -> Result<Option<String>, RecordsError> {
        self.write(move |db| sql::release(db, &vm_id, &line)).await
    }

    /// Adds an API key by its hash.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn add_key(&self, row: KeyRow, hash: [u8; 32], line: NewAudit) -> Result<(), RecordsError> {
        self.write(move |db| {
            let transaction = db.transaction()?;
            keys::add(&transaction, &row, hash)?;
            sql::note(&transaction, None, &line)?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// All API keys, revoked ones too, the oldest first.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn keys(&self) -> Result<Vec<KeyRow>, RecordsError> {
        self.read(|db| keys::all(db)).await
    }

    /// Ends an API key; says whether there is one of that id. It counts no more from the next request on, in every process.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn revoke_key(&self, key_id: String, line: NewAudit) -> Result<bool, RecordsError> {
        self.write(move |db| {
            let transaction = db.transaction()?;
            let found = keys::revoke(&transaction, &key_id, line.at)?;
            if found {
                sql::note(&transaction, None, &line)?;
            }
            transaction.commit()?;
            Ok(found)
        })
        .await
    }

    /// The API key with this hash, if it counts.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn key(&self, hash: [u8; 32]) -> Result<Option<KeyRow>, RecordsError> {
        self.read(move |db| keys::find(db, hash)).await
    }

    /// Writes down that an API key was used.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn key_used(&self, key_id: String, at: Timestamp) -> Result<(), RecordsError> {
        Ok(self.0.writer.call(move |db| keys::used(db, &key_id, at)).await?)
    }

    /// Whether the records can be written and read now.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub async fn ping(&self) -> Result<(), RecordsError> {
        self.0
            .writer
            .call(|db| Ok(db.execute("UPDATE users SET checked_at = checked_at WHERE 0", [])?))
            .await?;
        self.read(|db| Ok(db.query_row("SELECT count(*) FROM keys", [], |_| Ok(()))?)).await
    }
}

#[cfg(test)]
mod tests;
