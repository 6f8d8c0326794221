//! From a path to two connections on a file that is private, ours and of this program's format.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::alive::{self, Alive};
use super::{Format, OpenError, SqliteSettings};
use crate::base::secret_file::{Reason, SecretFileError, check_private};

const PAGE_BYTES: u64 = 4096;

const ASK_AGAIN: Duration = Duration::from_millis(5);

pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) reader: Connection,
    pub(super) alive: Option<Alive>,
}

pub(super) fn open(settings: &SqliteSettings, format: Format) -> Result<Opened, OpenError> {
    make_private(&settings.path)?;
    connections(settings, format).map_err(|Refused(error)| error)
}

fn connections(settings: &SqliteSettings, format: Format) -> Result<Opened, Refused> {
    let mut writer = connect(settings)?;
    // In one transaction: another process may be writing the first step right now.
    let reading = writer.transaction()?;
    judge(&reading, format)?;
    reading.finish()?;
    use_log(&writer, settings.wait)?;
    migrate(&mut writer, format)?;
    let alive = match format.when_alone {
        Some(statements) => Some(alive::sign(&beside(&settings.path, "-alive"), settings.wait, || {
            // A store that cannot do this opens all the same: what it is asked later it answers by itself.
            drop(writer.execute_batch(statements));
        })?),
        None => None,
    };
    set(&writer, "synchronous", "NORMAL")?;
    set(&writer, "secure_delete", "ON")?;
    let pages = i64::try_from(settings.max_bytes / PAGE_BYTES).unwrap_or(i64::MAX);
    set(&writer, "max_page_count", pages)?;
    // What the log grew to in a busy hour is given back.
    set(&writer, "journal_size_limit", 4 << 20)?;
    let reader = connect(settings)?;
    set(&reader, "query_only", "ON")?;
    Ok(Opened { writer, reader, alive })
}

/// Makes the file if there is none, and makes sure that nobody else may use it or what lies beside it. SQLite gives its
/// log and index the mode of the file itself.
fn make_private(path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(SecretFileError { path: path.to_owned(), reason: error.into() }.into());
        }
        _ => check_private(path)?,
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        match check_private(&beside(path, suffix)) {
            Err(error) if !matches!(error.reason, Reason::Missing) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

fn connect(settings: &SqliteSettings) -> Result<Connection, Refused> {
    // One thread owns a connection, so it needs no lock; no URI, so a path is only a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags)?;
    // Below the caller's wait, so that "locked" is the answer, and not "too slow".
    connection.busy_timeout(settings.wait * 3 / 4)?;
    set(&connection, "trusted_schema", "OFF")?;
    set(&connection, "temp_store", "MEMORY")?;
    Ok(connection)
}

fn set(connection: &Connection, pragma: &str, value: impl rusqlite::ToSql) -> Result<(), Refused> {
    Ok(connection.pragma_update(None, pragma, value)?)
}

fn get(connection: &Connection, pragma: &str) -> Result<i64, Refused> {
    Ok(connection.pragma_query_value(None, pragma, |row| row.get(0))?)
}

/// How many steps a file has taken, if it is ours or empty. To be asked within a transaction.
fn judge(connection: &Connection, format: Format) -> Result<usize, Refused> {
    let version = get(connection, "user_version")?;
    if get(connection, "application_id")? != format.application_id {
        let things: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        return if things == 0 && version == 0 { Ok(0) } else { Err(OpenError::Foreign.into()) };
    }
    match usize::try_from(version) {
        Ok(taken) if taken <= format.migrations.len() => Ok(taken),
        _ => Err(OpenError::Newer.into()),
    }
}

/// Turns the write-ahead log on. Of several that do so at once SQLite turns some away without waiting, whatever the busy
/// timeout says, since each holds what another one needs: so we ask again.
fn use_log(connection: &Connection, wait: Duration) -> Result<(), Refused> {
    let begun = Instant::now();
    loop {
        let asked =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match asked {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                return Err(OpenError::Unavailable("this file system has no write-ahead log".into()).into());
            }
            Err(error) if is_busy(&error) && begun.elapsed() < wait => std::thread::park_timeout(ASK_AGAIN),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Takes the steps that are missing, all or none. Of two processes one does it, and the other one finds it done.
fn migrate(connection: &mut Connection, format: Format) -> Result<(), Refused> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let taken = judge(&transaction, format)?;
    for step in format.migrations.iter().skip(taken) {
        transaction.execute_batch(step)?;
    }
    set(&transaction, "application_id", format.application_id)?;
    set(&transaction, "user_version", format.version())?;
    Ok(transaction.commit()?)
}

/// Why not, on the way out. [`OpenError`] is public, so it converts from no type of SQLite's.
struct Refused(OpenError);

impl<E: Into<OpenError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self(match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::Foreign,
            _ => OpenError::Unavailable(Box::new(error)),
        })
    }
}
