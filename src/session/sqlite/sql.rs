//! The statements. A single statement takes the write lock at once; several go into one `BEGIN IMMEDIATE`, since a
//! transaction that begins with reading and then wants to write does not wait for the lock.

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::FORMAT;
use crate::base::account::AccountKey;
use crate::base::clock::Timestamp;
use crate::base::sqlite::Fault;
use crate::session::id::SessionKey;
use crate::session::store::{
    GrantRow, Lease, MAX_SESSIONS_PER_ACCOUNT, SWEEP_ROWS, SessionRow, Swap, latest_other,
};

pub(super) fn insert_session(db: &mut Connection, key: SessionKey, row: &SessionRow) -> Result<(), Fault> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO sessions (key, account, created_at, seen_at, expires_at, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            key.0,
            row.account.0,
            millis(row.created_at),
            millis(row.seen_at),
            millis(row.expires_at),
            row.sealed
        ])?;
    transaction
        .prepare_cached(
            "DELETE FROM sessions WHERE rowid IN (
                 SELECT rowid FROM sessions WHERE account = ?1 AND key <> ?2
                 ORDER BY seen_at DESC LIMIT -1 OFFSET ?3)",
        )?
        .execute(params![row.account.0, key.0, count(MAX_SESSIONS_PER_ACCOUNT - 1)])?;
    Ok(transaction.commit()?)
}

const SESSION_COLUMNS: &str = "account, created_at, seen_at, expires_at, sealed, key";

pub(super) fn session(db: &Connection, key: SessionKey, now: Timestamp) -> Result<Option<SessionRow>, Fault> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {SESSION_COLUMNS} FROM sessions WHERE key = ?1 AND expires_at > ?2"
    ))?;
    Ok(statement.query_row(params![key.0, millis(now)], session_row).optional()?)
}

pub(super) fn touch_session(db: &Connection, key: SessionKey, seen_at: Timestamp) -> Result<bool, Fault> {
    let touched = db
        .prepare_cached("UPDATE sessions SET seen_at = max(seen_at, ?2) WHERE key = ?1")?
        .execute(params![key.0, millis(seen_at)])?;
    Ok(touched > 0)
}

pub(super) fn remove_session(db: &Connection, key: SessionKey) -> Result<bool, Fault> {
    Ok(db.prepare_cached("DELETE FROM sessions WHERE key = ?1")?.execute(params![key.0])? > 0)
}

pub(super) fn sessions_of(
    db: &Connection,
    account: AccountKey,
    now: Timestamp,
) -> Result<Vec<(SessionKey, SessionRow)>, Fault> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {SESSION_COLUMNS} FROM sessions WHERE account = ?1 AND expires_at > ?2
         ORDER BY created_at DESC, key DESC"
    ))?;
    let rows = statement.query_map(params![account.0, millis(now)], keyed_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn remove_sessions_of(
    db: &Connection,
    account: AccountKey,
    except: Option<SessionKey>,
) -> Result<u64, Fault> {
    let removed = db
        .prepare_cached("DELETE FROM sessions WHERE account = ?1 AND key IS NOT ?2")?
        .execute(params![account.0, except.map(|key| key.0)])?;
    Ok(removed as u64)
}

pub(super) fn sessions_after(
    db: &Connection,
    after: Option<SessionKey>,
    now: Timestamp,
    most: usize,
) -> Result<Vec<(SessionKey, SessionRow)>, Fault> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {SESSION_COLUMNS} FROM sessions WHERE key > ?1 AND expires_at > ?2 ORDER BY key LIMIT ?3"
    ))?;
    // An empty blob comes before all others.
    let after = after.map_or(Vec::new(), |key| key.0.to_vec());
    let rows = statement.query_map(params![after, millis(now), count(most)], keyed_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn grant(db: &Connection, account: AccountKey) -> Result<Option<GrantRow>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT version, expires_at, sealed FROM grants WHERE account = ?1")?;
    let row = statement.query_row(params![account.0], |row| {
        Ok(GrantRow {
            version: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            expires_at: moment(row, 1)?,
            sealed: row.get(2)?,
        })
    });
    Ok(row.optional()?)
}

pub(super) fn swap_grant(
    db: &Connection,
    account: AccountKey,
    seen: Option<u64>,
    next: &GrantRow,
) -> Result<Swap, Fault> {
    let (version, end) = (number(next.version), millis(next.expires_at));
    let written = match seen {
        None => db
            .prepare_cached(
                "INSERT INTO grants (account, version, expires_at, sealed) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (account) DO NOTHING",
            )?
            .execute(params![account.0, version, end, next.sealed])?,
        Some(seen) => db
            .prepare_cached(
                "UPDATE grants SET version = ?2, expires_at = max(expires_at, ?3), sealed = ?4
                 WHERE account = ?1 AND version = ?5 AND ?2 > ?5",
            )?
            .execute(params![account.0, version, end, next.sealed, number(seen)])?,
    };
    Ok(if written == 1 { Swap::Done } else { Swap::Stale })
}

pub(super) fn drop_grant(
    db: &Connection,
    account: AccountKey,
    now: Timestamp,
    seen_after: Timestamp,
) -> Result<bool, Fault> {
    let dropped = db
        .prepare_cached(
            "DELETE FROM grants WHERE account = ?1 AND NOT EXISTS (
                 SELECT 1 FROM sessions WHERE account = ?1 AND expires_at > ?2 AND seen_at > ?3)",
        )?
        .execute(params![account.0, millis(now), millis(seen_after)])?;
    Ok(dropped > 0)
}

pub(super) fn lease(db: &Connection, lease: &Lease, now: Timestamp) -> Result<bool, Fault> {
    let taken = db
        .prepare_cached(
            "INSERT INTO leases (account, holder, until) VALUES (?1, ?2, ?3)
             ON CONFLICT (account) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE leases.until <= ?4 OR leases.until > ?5 OR leases.holder = excluded.holder",
        )?
        .execute(params![
            lease.account.0,
            lease.holder,
            millis(lease.until),
            millis(now),
            millis(lease.latest_other(now))
        ])?;
    Ok(taken > 0)
}

pub(super) fn release(db: &Connection, lease: &Lease) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM leases WHERE account = ?1 AND holder = ?2")?
        .execute(params![lease.account.0, lease.holder])?;
    Ok(())
}

pub(super) fn exchange_under_way(db: &Connection, now: Timestamp, latest: Timestamp) -> Result<bool, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM leases WHERE account < ?1 AND until > ?2 AND until <= ?3)",
    )?;
    let row = params![Lease::FIRST_ACCOUNT.0, millis(now), millis(latest)];
    Ok(statement.query_row(row, |row| row.get(0))?)
}

pub(super) fn claim(
    db: &Connection,
    once: [u8; 32],
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Fault> {
    let claimed = db
        .prepare_cached(
            "INSERT INTO claims (once, until) VALUES (?1, ?2)
             ON CONFLICT (once) DO UPDATE SET until = excluded.until
             WHERE claims.until <= ?3 OR claims.until > ?4",
        )?
        .execute(params![once, millis(until), millis(now), millis(latest_other(until, now))])?;
    Ok(claimed > 0)
}

pub(super) fn sweep(db: &mut Connection, now: Timestamp) -> Result<u64, Fault> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut swept = 0;
    for (table, end) in
        [("sessions", "expires_at"), ("grants", "expires_at"), ("leases", "until"), ("claims", "until")]
    {
        swept += transaction
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE rowid IN (
                     SELECT rowid FROM {table} WHERE {end} <= ?1 ORDER BY {end} LIMIT ?2)"
            ))?
            .execute(params![millis(now), count(SWEEP_ROWS)])?;
    }
    transaction.commit()?;
    Ok(swept as u64)
}

/// What a sign-in may need: a long grant, and a few trees that grow at once.
const SIGN_IN_PAGES: i64 = 16;

/// Writes in place, and looks whether there is room for more than that.
pub(super) fn ping_write(db: &Connection) -> Result<(), Fault> {
    let ask = |pragma| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    if ask("user_version")? > i64::from(FORMAT.version()) {
        return Err(Fault::Newer);
    }
    let free = ask("max_page_count")? - ask("page_count")? + ask("freelist_count")?;
    if free < SIGN_IN_PAGES {
        return Err(Fault::NoRoom);
    }
    db.prepare_cached("UPDATE heartbeat SET beats = beats + 1")?.execute([])?;
    Ok(())
}

pub(super) fn ping_read(db: &Connection) -> Result<(), Fault> {
    db.prepare_cached("SELECT 1 FROM sessions LIMIT 1")?.query_row([], |_| Ok(())).optional()?;
    Ok(())
}

fn keyed_row(row: &Row<'_>) -> rusqlite::Result<(SessionKey, SessionRow)> {
    Ok((SessionKey(bytes(row, 5)?), session_row(row)?))
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        account: AccountKey(bytes(row, 0)?),
        created_at: moment(row, 1)?,
        seen_at: moment(row, 2)?,
        expires_at: moment(row, 3)?,
        sealed: row.get(4)?,
    })
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; 32]> {
    row.get(column)
}

/// A negative time, which nobody writes, reads as 1970: then the row contradicts what is sealed in it.
fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0)))
}

fn millis(moment: Timestamp) -> i64 {
    number(moment.millis())
}

/// SQLite counts to 2^63 - 1 only; what is more stays the most.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
