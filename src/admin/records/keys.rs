//! The statements about API keys.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::KeyRow;
use super::sql::{millis, moment};
use crate::base::clock::Timestamp;
use crate::base::sqlite::Fault;

const KEY: &str = "key_id, name, created_at, used_at, revoked_at";

pub(super) fn add(db: &Connection, row: &KeyRow, hash: [u8; 32]) -> Result<(), Fault> {
    db.prepare_cached("INSERT INTO keys (key_id, name, hash, created_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![row.key_id, row.name, hash, millis(row.created_at)])?;
    Ok(())
}

pub(super) fn all(db: &Connection) -> Result<Vec<KeyRow>, Fault> {
    let mut statement =
        db.prepare_cached(&format!("SELECT {KEY} FROM keys ORDER BY created_at, key_id LIMIT 1000"))?;
    let rows = statement.query_map([], key_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn revoke(db: &Connection, key_id: &str, now: Timestamp) -> Result<bool, Fault> {
    let changed = db
        .prepare_cached("UPDATE keys SET revoked_at = coalesce(revoked_at, ?2) WHERE key_id = ?1")?
        .execute(params![key_id, millis(now)])?;
    Ok(changed > 0)
}

/// The key with this hash, if it counts.
pub(super) fn find(db: &Connection, hash: [u8; 32]) -> Result<Option<KeyRow>, Fault> {
    let mut statement =
        db.prepare_cached(&format!("SELECT {KEY} FROM keys WHERE hash = ?1 AND revoked_at IS NULL"))?;
    Ok(statement.query_row(params![hash], key_row).optional()?)
}

pub(super) fn used(db: &Connection, key_id: &str, at: Timestamp) -> Result<(), Fault> {
    db.prepare_cached("UPDATE keys SET used_at = max(coalesce(used_at, 0), ?2) WHERE key_id = ?1")?
        .execute(params![key_id, millis(at)])?;
    Ok(())
}

fn key_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        key_id: row.get(0)?,
        name: row.get(1)?,
        created_at: moment(row.get(2)?),
        used_at: row.get::<_, Option<i64>>(3)?.map(moment),
        revoked_at: row.get::<_, Option<i64>>(4)?.map(moment),
    })
}
