//! Sessions in this process's memory: for a trial, for tests, and where a restart may sign everybody out.
//!
//! One lock over plain maps, not a concurrent cache: a compare-and-swap, a lease and "all sessions of this account" each
//! need several maps at one moment, no call holds the lock for longer than a few lookups, and it is never held across an
//! await. When it is full, the session that was used least recently gives way, as does the grant that was written least
//! recently and the one-time mark or lease that is nearest to its end: a flood may sign people out, never take the memory.

mod shelf;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::account::AccountKey;
use crate::base::clock::Timestamp;
use crate::base::port::Answer;
use crate::session::id::SessionKey;
use crate::session::store::{
    GrantRow, Lease, MAX_SESSIONS_PER_ACCOUNT, SWEEP_ROWS, SessionRow, SessionStore, StoreError, Swap,
    latest_other,
};
use shelf::Shelf;

/// How many one-time marks are kept. Their end is minutes away, and the forge takes each code once only, too.
const MAX_CLAIMS: usize = 65_536;

/// A store in memory. What it holds is gone with it.
pub struct MemoryStore(Mutex<Rows>);

struct Rows {
    /// By last use.
    sessions: Shelf<SessionKey, SessionRow>,
    /// The same sessions by absolute end.
    ends: BTreeSet<(Timestamp, SessionKey)>,
    /// The same by account and last use.
    accounts: HashMap<AccountKey, BTreeSet<(Timestamp, SessionKey)>>,
    /// By the end of their keeping, which is as far from each writing, unless the clock was set back.
    grants: Shelf<AccountKey, GrantRow>,
    leases: Shelf<AccountKey, [u8; 16]>,
    claims: Shelf<[u8; 32], ()>,
}

impl MemoryStore {
    /// A store for `max_sessions` sessions, and as many accounts.
    pub fn new(max_sessions: usize) -> Self {
        Self(Mutex::new(Rows {
            sessions: Shelf::with_room(max_sessions),
            ends: BTreeSet::new(),
            accounts: HashMap::new(),
            grants: Shelf::with_room(max_sessions),
            leases: Shelf::with_room(max_sessions),
            claims: Shelf::with_room(MAX_CLAIMS),
        }))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Nothing in here panics half-way; should it, a session store that still answers is the better one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn insert(&mut self, key: SessionKey, row: SessionRow) {
        self.remove(key);
        let (account, seen_at) = (row.account, row.seen_at);
        self.ends.insert((row.expires_at, key));
        if let Some((displaced, row)) = self.sessions.put(key, seen_at, row) {
            self.forget(displaced, &row);
        }
        let of_account = self.accounts.entry(account).or_default();
        let crowded_out =
            if of_account.len() < MAX_SESSIONS_PER_ACCOUNT { None } else { of_account.first().copied() };
        of_account.insert((seen_at, key));
        if let Some((_, oldest)) = crowded_out {
            self.remove(oldest);
        }
    }

    fn touch(&mut self, key: SessionKey, seen_at: Timestamp) -> bool {
        let Some(row) = self.sessions.advance(key, seen_at) else { return false };
        if seen_at > row.seen_at {
            let of_account = self.accounts.entry(row.account).or_default();
            of_account.remove(&(row.seen_at, key));
            of_account.insert((seen_at, key));
            row.seen_at = seen_at;
        }
        true
    }

    fn remove(&mut self, key: SessionKey) -> bool {
        let removed = self.sessions.remove(key);
        if let Some(row) = &removed {
            self.forget(key, row);
        }
        removed.is_some()
    }

    /// Takes a session that is gone out of the other orders.
    fn forget(&mut self, key: SessionKey, row: &SessionRow) {
        self.ends.remove(&(row.expires_at, key));
        if let Some(of_account) = self.accounts.get_mut(&row.account) {
            of_account.remove(&(row.seen_at, key));
            if of_account.is_empty() {
                self.accounts.remove(&row.account);
            }
        }
    }

    fn sessions_of(&self, account: AccountKey) -> Vec<SessionKey> {
        self.accounts.get(&account).into_iter().flatten().map(|(_, key)| *key).collect()
    }

    fn sweep(&mut self, now: Timestamp) -> usize {
        let ended = self.ends.iter().take_while(|(end, _)| *end <= now).take(SWEEP_ROWS);
        let ended: Vec<SessionKey> = ended.map(|(_, key)| *key).collect();
        for key in &ended {
            self.remove(*key);
        }
        ended.len()
            + self.grants.drop_due(now, SWEEP_ROWS)
            + self.leases.drop_due(now, SWEEP_ROWS)
            + self.claims.drop_due(now, SWEEP_ROWS)
    }
}

/// What was done under the lock, as a future that is ready.
fn done<'a, T: Send + 'a>(value: T) -> Answer<'a, Result<T, StoreError>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl SessionStore for MemoryStore {
    fn insert_session(&self, key: SessionKey, row: SessionRow) -> Answer<'_, Result<(), StoreError>> {
        self.rows().insert(key, row);
        done(())
    }

    fn session(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Result<Option<SessionRow>, StoreError>> {
        done(self.rows().sessions.get(key).filter(|row| row.expires_at > now).cloned())
    }

    fn touch_session(&self, key: SessionKey, seen_at: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        done(self.rows().touch(key, seen_at))
    }

    fn remove_session(&self, key: SessionKey) -> Answer<'_, Result<bool, StoreError>> {
        done(self.rows().remove(key))
    }

    fn sessions_of(
        &self,
        account: AccountKey,
        now: Timestamp,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        let rows = self.rows();
        let row =
            |key| rows.sessions.get(key).filter(|row| row.expires_at > now).map(|row| (key, row.clone()));
        let mut sessions: Vec<_> = rows.sessions_of(account).into_iter().filter_map(row).collect();
        sessions.sort_by_key(|(key, row)| std::cmp::Reverse((row.created_at, *key)));
        done(sessions)
    }

    fn remove_sessions_of(
        &self,
        account: AccountKey,
        except: Option<SessionKey>,
    ) -> Answer<'_, Result<u64, StoreError>> {
        let mut rows = self.rows();
        let keys = rows.sessions_of(account).into_iter().filter(|key| except != Some(*key));
        done(keys.map(|key| u64::from(rows.remove(key))).sum())
    }

    fn sessions_after(
        &self,
        after: Option<SessionKey>,
        now: Timestamp,
        most: usize,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        let rows = self.rows();
        let live = rows.ends.iter().rev().take_while(|(end, _)| *end > now).map(|(_, key)| *key);
        let behind: BTreeSet<SessionKey> =
            live.filter(|key| after.is_none_or(|after| *key > after)).collect();
        let row = |key| rows.sessions.get(key).map(|row| (key, row.clone()));
        done(behind.into_iter().take(most).filter_map(row).collect())
    }

    fn grant(&self, account: AccountKey) -> Answer<'_, Result<Option<GrantRow>, StoreError>> {
        done(self.rows().grants.get(account).cloned())
    }

    fn swap_grant(
        &self,
        account: AccountKey,
        seen: Option<u64>,
        next: GrantRow,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        let mut rows = self.rows();
        let stored = rows.grants.get(account);
        if stored.map(|row| row.version) != seen || seen.is_some_and(|version| next.version <= version) {
            return done(Swap::Stale);
        }
        let expires_at = stored.map_or(next.expires_at, |row| row.expires_at.max(next.expires_at));
        rows.grants.put(account, expires_at, GrantRow { expires_at, ..next });
        done(Swap::Done)
    }

    fn drop_grant(
        &self,
        account: AccountKey,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        let mut rows = self.rows();
        let used = rows.sessions_of(account).into_iter().any(|key| {
            rows.sessions.get(key).is_some_and(|row| row.expires_at > now && row.seen_at > seen_after)
        });
        done(!used && rows.grants.remove(account).is_some())
    }

    fn lease(&self, lease: Lease, now: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        let mut rows = self.rows();
        let latest = lease.latest_other(now);
        let free = rows.leases.moment(lease.account).is_none_or(|until| until <= now || until > latest)
            || rows.leases.get(lease.account) == Some(&lease.holder);
        if free {
            rows.leases.put(lease.account, lease.until, lease.holder);
        }
        done(free)
    }

    fn release(&self, lease: Lease) -> Answer<'_, Result<(), StoreError>> {
        let mut rows = self.rows();
        if rows.leases.get(lease.account) == Some(&lease.holder) {
            rows.leases.remove(lease.account);
        }
        done(())
    }

    fn exchange_under_way(&self, now: Timestamp, latest: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        let rows = self.rows();
        let mut between = rows.leases.between(now, latest);
        done(between.any(|account| account < Lease::FIRST_ACCOUNT))
    }

    fn claim(
        &self,
        once: [u8; 32],
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        let mut rows = self.rows();
        let latest = latest_other(until, now);
        let new = rows.claims.moment(once).is_none_or(|until| until <= now || until > latest);
        if new {
            rows.claims.put(once, until, ());
        }
        done(new)
    }

    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<u64, StoreError>> {
        done(self.rows().sweep(now) as u64)
    }

    fn ping(&self) -> Answer<'_, Result<(), StoreError>> {
        done(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::session::contract;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn session(number: u8) -> (SessionKey, SessionRow) {
        let row = SessionRow {
            account: AccountKey([number; 32]),
            created_at: START,
            seen_at: START.plus(Duration::from_secs(number.into())),
            expires_at: START.plus(Duration::from_hours(1)),
            sealed: Vec::new(),
        };
        (SessionKey([number; 32]), row)
    }

    /// Holds: S5, R12.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_memory_store_keeps_the_laws() {
        contract::all(async || Arc::new(MemoryStore::new(10_000)) as Arc<dyn SessionStore>).await;
    }

    #[tokio::test]
    async fn when_it_is_full_the_session_used_least_recently_gives_way() {
        let store = MemoryStore::new(3);
        for number in 1..=3 {
            let (key, row) = session(number);
            store.insert_session(key, row).await.unwrap();
        }
        store.touch_session(session(1).0, START.plus(Duration::from_mins(1))).await.unwrap();
        store.insert_session(session(0).0, session(0).1).await.unwrap();
        let mut left = Vec::new();
        for number in 0..=3 {
            if store.session(session(number).0, START).await.unwrap().is_some() {
                left.push(number);
            }
        }
        assert_eq!(left, [0, 1, 3], "2 was used least recently, but for the new one");
        assert_eq!(store.rows().accounts.len(), 3);
        assert_eq!(store.rows().ends.len(), 3);
    }

    #[tokio::test]
    async fn grants_and_claims_are_bounded_too() {
        let store = MemoryStore::new(2);
        for number in 0..5 {
            let expires_at = START.plus(Duration::from_secs(number.into()));
            let next = GrantRow { version: 1, expires_at, sealed: Vec::new() };
            assert_eq!(store.swap_grant(AccountKey([number; 32]), None, next).await.unwrap(), Swap::Done);
        }
        assert!(store.grant(AccountKey([2; 32])).await.unwrap().is_none());
        assert!(store.grant(AccountKey([3; 32])).await.unwrap().is_some());
        for number in 0..=MAX_CLAIMS as u64 {
            let mut once = [0; 32];
            once[..8].copy_from_slice(&number.to_be_bytes());
            assert!(store.claim(once, START, START.plus(Duration::from_millis(number))).await.unwrap());
        }
        assert_eq!(store.sweep(START.plus(Duration::from_hours(1))).await.unwrap(), 2 + SWEEP_ROWS as u64);
    }
}
