use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::account::AccountKey;
use crate::base::clock::Timestamp;
use crate::base::port::Answer;
use crate::session::id::SessionKey;
use crate::session::sqlite::SqliteStore;
use crate::session::store::{GrantRow, Lease, SessionRow, SessionStore, StoreError, Swap};

/// Two processes on one file, as far as SQLite can tell: each call goes to the other one.
#[derive(Debug)]
pub(super) struct Twins([SqliteStore; 2], AtomicUsize);

impl Twins {
    pub(super) fn of(stores: [SqliteStore; 2]) -> Self {
        Self(stores, AtomicUsize::new(0))
    }

    fn next(&self) -> &SqliteStore {
        &self.0[self.1.fetch_add(1, Ordering::Relaxed) % 2]
    }
}

impl SessionStore for Twins {
    fn insert_session(&self, key: SessionKey, row: SessionRow) -> Answer<'_, Result<(), StoreError>> {
        self.next().insert_session(key, row)
    }
    fn session(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Result<Option<SessionRow>, StoreError>> {
        self.next().session(key, now)
    }
    fn touch_session(&self, key: SessionKey, seen_at: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        self.next().touch_session(key, seen_at)
    }
    fn remove_session(&self, key: SessionKey) -> Answer<'_, Result<bool, StoreError>> {
        self.next().remove_session(key)
    }
    fn sessions_of(
        &self,
        account: AccountKey,
        now: Timestamp,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        self.next().sessions_of(account, now)
    }
    fn remove_sessions_of(
        &self,
        account: AccountKey,
        except: Option<SessionKey>,
    ) -> Answer<'_, Result<u64, StoreError>> {
        self.next().remove_sessions_of(account, except)
    }
    fn sessions_after(
        &self,
        after: Option<SessionKey>,
        now: Timestamp,
        most: usize,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        self.next().sessions_after(after, now, most)
    }
    fn drop_grant(
        &self,
        account: AccountKey,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        self.next().drop_grant(account, now, seen_after)
    }
    fn grant(&self, account: AccountKey) -> Answer<'_, Result<Option<GrantRow>, StoreError>> {
        self.next().grant(account)
    }
    fn swap_grant(
        &self,
        account: AccountKey,
        seen: Option<u64>,
        next: GrantRow,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        self.next().swap_grant(account, seen, next)
    }
    fn lease(&self, lease: Lease, now: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        self.next().lease(lease, now)
    }
    fn release(&self, lease: Lease) -> Answer<'_, Result<(), StoreError>> {
        self.next().release(lease)
    }
    fn exchange_under_way(&self, now: Timestamp, latest: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        self.next().exchange_under_way(now, latest)
    }
    fn claim(
        &self,
        once: [u8; 32],
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        self.next().claim(once, now, until)
    }
    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<u64, StoreError>> {
        self.next().sweep(now)
    }
    fn ping(&self) -> Answer<'_, Result<(), StoreError>> {
        self.next().ping()
    }
}
