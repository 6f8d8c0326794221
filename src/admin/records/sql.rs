//! The statements about users and the trail. Several that belong together go into one `BEGIN IMMEDIATE`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::row::{AuditRow, Facts, ListQuery, NewAudit, SortBy, Standing, UserRow};
use super::{Assigned, Reserved};
use crate::base::clock::Timestamp;
use crate::base::sqlite::Fault;

const USER: &str = "user_id, forge_id, username, first_username, display_name, email, state, created_at, password_at, \
                    last_activity, checked_at, (SELECT count(*) FROM vms WHERE vms.user_id = users.user_id) AS vm_count";

fn write(db: &mut Connection) -> Result<Transaction<'_>, Fault> {
    Ok(db.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

pub(super) fn note(db: &Connection, user_id: Option<&str>, line: &NewAudit) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO audit (at, caller, action, user_id, target, outcome, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        millis(line.at),
        line.caller,
        line.action,
        user_id,
        line.target,
        line.outcome,
        line.request_id
    ])?;
    Ok(())
}

pub(super) fn reserve(
    db: &mut Connection,
    user_id: &str,
    username: &str,
    line: &NewAudit,
) -> Result<Reserved, Fault> {
    let transaction = write(db)?;
    if let Some(known) = by_name(&transaction, username)? {
        return Ok(Reserved::Known(known));
    }
    transaction
        .prepare_cached(
            "INSERT INTO users (user_id, name_key, username, first_username, display_name, email, state, created_at)
             VALUES (?1, ?2, ?3, ?3, '', '', 'creating', ?4)",
        )?
        .execute(params![user_id, username.to_ascii_lowercase(), username, millis(line.at)])?;
    note(&transaction, Some(user_id), line)?;
    transaction.commit()?;
    Ok(Reserved::Fresh)
}

pub(super) fn settle(
    db: &mut Connection,
    user_id: &str,
    facts: &Facts,
    password_at: Option<Timestamp>,
    line: Option<&NewAudit>,
    now: Timestamp,
) -> Result<UserRow, Fault> {
    let transaction = write(db)?;
    let user_id = merge(&transaction, user_id, facts, now)?;
    put_facts(&transaction, &user_id, facts, now)?;
    if let Some(at) = password_at {
        transaction
            .prepare_cached("UPDATE users SET password_at = ?2 WHERE user_id = ?1")?
            .execute(params![user_id, millis(at)])?;
    }
    if let Some(line) = line {
        note(&transaction, Some(&user_id), line)?;
    }
    let row = user(&transaction, &user_id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    transaction.commit()?;
    Ok(row)
}

/// The row that stands for the forge's account: the reserved one, or an older one with that number, which takes its
/// place.
fn merge(db: &Connection, reserved: &str, facts: &Facts, now: Timestamp) -> Result<String, Fault> {
    let older: Option<String> = db
        .prepare_cached("SELECT user_id FROM users WHERE forge_id = ?1")?
        .query_row(params![number(facts.forge_id)], |row| row.get(0))
        .optional()?;
    if let Some(older) = older {
        db.prepare_cached("DELETE FROM users WHERE user_id = ?1 AND forge_id IS NULL")?
            .execute(params![reserved])?;
        return Ok(older);
    }
    // Another process may have given the reservation up meanwhile.
    db.prepare_cached(
        "INSERT OR IGNORE INTO users (user_id, username, first_username, display_name, email, state, created_at)
         VALUES (?1, ?2, ?2, '', '', 'creating', ?3)",
    )?
    .execute(params![reserved, facts.username, millis(now)])?;
    Ok(reserved.to_owned())
}

fn put_facts(db: &Connection, user_id: &str, facts: &Facts, now: Timestamp) -> Result<(), Fault> {
    let key = facts.username.to_ascii_lowercase();
    // Whoever stands under that name in the records has another one by now.
    db.prepare_cached(
        "UPDATE users SET name_key = NULL, checked_at = 0 WHERE name_key = ?1 AND user_id <> ?2 AND forge_id IS NOT NULL",
    )?
    .execute(params![key, user_id])?;
    db.prepare_cached("DELETE FROM users WHERE name_key = ?1 AND user_id <> ?2 AND forge_id IS NULL")?
        .execute(params![key, user_id])?;
    db.prepare_cached(
        "UPDATE users SET forge_id = ?2, name_key = ?3, username = ?4, display_name = ?5, email = ?6, state = ?7,
             checked_at = ?8, last_activity = nullif(max(coalesce(last_activity, 0), coalesce(?9, 0)), 0)
         WHERE user_id = ?1 AND (forge_id IS NULL OR forge_id = ?2)",
    )?
    .execute(params![
        user_id,
        number(facts.forge_id),
        key,
        facts.username,
        facts.display_name,
        facts.email,
        if facts.suspended { Standing::Suspended } else { Standing::Active }.word(),
        millis(now),
        facts.last_login.map(millis),
    ])?;
    Ok(())
}

/// How long a reset keeps others away if nobody writes down how it ended; a call to the forge has ended by then.
const UNDER_WAY: u64 = 60_000;

/// The trail says whether one is under way: its last line of that kind is a beginning.
pub(super) fn begin_reset(db: &mut Connection, user_id: &str, line: &NewAudit) -> Result<bool, Fault> {
    let transaction = write(db)?;
    let last: Option<(String, i64)> = transaction
        .prepare_cached(
            "SELECT outcome, at FROM audit WHERE user_id = ?1 AND action = ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![user_id, line.action], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let is_near = |at: i64| millis(line.at).abs_diff(at) < UNDER_WAY;
    if last.is_some_and(|(outcome, at)| outcome == line.outcome && is_near(at)) {
        return Ok(false);
    }
    note(&transaction, Some(user_id), line)?;
    transaction.commit()?;
    Ok(true)
}

pub(super) fn handed_over(db: &mut Connection, user_id: &str, line: &NewAudit) -> Result<(), Fault> {
    let transaction = write(db)?;
    transaction
        .prepare_cached("UPDATE users SET password_at = ?2 WHERE user_id = ?1")?
        .execute(params![user_id, millis(line.at)])?;
    note(&transaction, Some(user_id), line)?;
    Ok(transaction.commit()?)
}

pub(super) fn give_up(db: &mut Connection, user_id: &str, line: &NewAudit) -> Result<(), Fault> {
    let transaction = write(db)?;
    transaction
        .prepare_cached("DELETE FROM users WHERE user_id = ?1 AND forge_id IS NULL")?
        .execute(params![user_id])?;
    note(&transaction, Some(user_id), line)?;
    Ok(transaction.commit()?)
}

pub(super) fn vanish(db: &Connection, user_id: &str, now: Timestamp) -> Result<(), Fault> {
    db.prepare_cached(
        "UPDATE users SET state = 'vanished', checked_at = ?2 WHERE user_id = ?1 AND forge_id IS NOT NULL",
    )?
    .execute(params![user_id, millis(now)])?;
    Ok(())
}

pub(super) fn user(db: &Connection, user_id: &str) -> Result<Option<UserRow>, Fault> {
    let mut statement = db.prepare_cached(&format!("SELECT {USER} FROM users WHERE user_id = ?1"))?;
    Ok(statement.query_row(params![user_id], user_row).optional()?)
}

pub(super) fn by_name(db: &Connection, username: &str) -> Result<Option<UserRow>, Fault> {
    let mut statement = db.prepare_cached(&format!("SELECT {USER} FROM users WHERE name_key = ?1"))?;
    Ok(statement.query_row(params![username.to_ascii_lowercase()], user_row).optional()?)
}

pub(super) fn list(db: &mut Connection, query: &ListQuery) -> Result<(Vec<UserRow>, u64), Fault> {
    let order = match query.sort {
        SortBy::Username => "lower(username)",
        SortBy::DisplayName => "lower(display_name)",
        SortBy::VmCount => "vm_count",
        SortBy::CreatedAt => "created_at",
        SortBy::LastActivity => "last_activity",
    };
    let direction = if query.descending { "DESC" } else { "ASC" };
    let wanted = "(?1 = '' OR username LIKE ?2 ESCAPE '\\' OR display_name LIKE ?2 ESCAPE '\\' OR email LIKE ?2 ESCAPE '\\')";
    // One snapshot, so that the count belongs to the list.
    let reading = db.transaction()?;
    let pattern = like(&query.search);
    let rows = reading
        .prepare_cached(&format!(
            "SELECT {USER} FROM users WHERE {wanted} ORDER BY {order} {direction} NULLS LAST, user_id {direction} LIMIT ?3 OFFSET ?4"
        ))?
        .query_map(params![query.search, pattern, number(query.limit), number(query.offset)], user_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let total: i64 = reading
        .prepare_cached(&format!("SELECT count(*) FROM users WHERE {wanted}"))?
        .query_row(params![query.search, pattern], |row| row.get(0))?;
    Ok((rows, positive(total)))
}

/// A pattern that finds a text as it stands.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "%"
}

pub(super) fn seen(db: &Connection, forge_id: u64, at: Timestamp) -> Result<(), Fault> {
    db.prepare_cached(
        "UPDATE users SET last_activity = max(coalesce(last_activity, 0), ?2) WHERE forge_id = ?1",
    )?
    .execute(params![number(forge_id), millis(at)])?;
    Ok(())
}

pub(super) fn audit_of(
    db: &Connection,
    user_id: &str,
    before: Option<u64>,
    limit: u64,
) -> Result<Vec<AuditRow>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT id, at, caller, action, target, outcome, request_id FROM audit
         WHERE user_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let rows =
        statement.query_map(params![user_id, number(before.unwrap_or(u64::MAX)), number(limit)], |row| {
            Ok(AuditRow {
                id: positive(row.get(0)?),
                at: moment(row.get(1)?),
                caller: row.get(2)?,
                action: row.get(3)?,
                target: row.get(4)?,
                outcome: row.get(5)?,
                request_id: row.get(6)?,
            })
        })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn assign(
    db: &mut Connection,
    user_id: &str,
    vm_id: &str,
    url: Option<&str>,
    line: &NewAudit,
) -> Result<Assigned, Fault> {
    let transaction = write(db)?;
    let known = user(&transaction, user_id)?.filter(|user| user.forge_id.is_some());
    let Some(user) = known else { return Ok(Assigned::NoUser) };
    let owner: Option<String> = transaction
        .prepare_cached("SELECT user_id FROM vms WHERE vm_id = ?1")?
        .query_row(params![vm_id], |row| row.get(0))
        .optional()?;
    if owner.is_some_and(|owner| owner != user_id) {
        return Ok(Assigned::SomebodyElses);
    }
    if user.vm_count >= super::MAX_VMS_PER_USER {
        return Ok(Assigned::TooMany);
    }
    transaction
        .prepare_cached(
            "INSERT INTO vms (vm_id, user_id, url, assigned_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (vm_id) DO UPDATE SET url = excluded.url",
        )?
        .execute(params![vm_id, user_id, url, millis(line.at)])?;
    note(&transaction, Some(user_id), line)?;
    transaction.commit()?;
    Ok(Assigned::Done)
}

pub(super) fn release(db: &mut Connection, vm_id: &str, line: &NewAudit) -> Result<Option<String>, Fault> {
    let transaction = write(db)?;
    let owner: Option<String> = transaction
        .prepare_cached("DELETE FROM vms WHERE vm_id = ?1 RETURNING user_id")?
        .query_row(params![vm_id], |row| row.get(0))
        .optional()?;
    if let Some(owner) = &owner {
        note(&transaction, Some(owner), line)?;
        transaction.commit()?;
    }
    Ok(owner)
}

fn user_row(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        user_id: row.get(0)?,
        forge_id: row.get::<_, Option<i64>>(1)?.map(positive),
        username: row.get(2)?,
        first_username: row.get(3)?,
        display_name: row.get(4)?,
        email: row.get(5)?,
        standing: Standing::of(&row.get::<_, String>(6)?),
        created_at: moment(row.get(7)?),
        password_at: row.get::<_, Option<i64>>(8)?.map(moment),
        last_activity: row.get::<_, Option<i64>>(9)?.map(moment),
        checked_at: moment(row.get(10)?),
        vm_count: positive(row.get(11)?),
    })
}

pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millis(positive(millis))
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn millis(moment: Timestamp) -> i64 {
    number(moment.millis())
}

/// SQLite counts to 2^63 - 1 only; what is more stays the most.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
