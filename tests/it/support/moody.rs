//! A store that fails on command, and counts what it is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hero_proxy::base::account::AccountKey;
use hero_proxy::base::clock::Timestamp;
use hero_proxy::base::port::Answer;
use hero_proxy::session::id::SessionKey;
use hero_proxy::session::memory::MemoryStore;
use hero_proxy::session::store::{GrantRow, Lease, SessionRow, SessionStore, StoreError, Swap};

use super::echo::Gate;

/// How a store is today.
#[derive(Clone, Debug)]
pub enum Mood {
    Well,
    /// Locked, full, gone: every call fails.
    Down,
    /// Every call waits for this.
    Slow(Gate),
    /// What is read of sessions has a flipped bit in it.
    Spoilt,
}

/// A memory store with moods.
#[derive(Debug)]
pub struct Moody {
    inner: MemoryStore,
    mood: Mutex<Mood>,
    asked: Mutex<HashMap<&'static str, usize>>,
}

impl Moody {
    pub fn new() -> Arc<Self> {
        let (mood, asked) = (Mutex::new(Mood::Well), Mutex::default());
        Arc::new(Self { inner: MemoryStore::new(1000), mood, asked })
    }

    pub fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How often a method was called.
    pub fn asked(&self, method: &str) -> usize {
        self.asked.lock().unwrap().get(method).copied().unwrap_or_default()
    }

    /// How often any method was called.
    pub fn asked_in_all(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }

    async fn feel(&self, method: &'static str) -> Result<Mood, StoreError> {
        *self.asked.lock().unwrap().entry(method).or_default() += 1;
        let mood = self.mood.lock().unwrap().clone();
        match &mood {
            Mood::Down => return Err(StoreError::Unavailable("down on purpose".into())),
            Mood::Slow(gate) => gate.passed().await,
            Mood::Well | Mood::Spoilt => {}
        }
        Ok(mood)
    }
}

/// Feels first, then does what the memory store does.
macro_rules! moody {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $kind),*) -> Answer<'_, Result<$out, StoreError>> {
            Box::pin(async move {
                self.feel(stringify!($name)).await?;
                self.inner.$name($($arg),*).await
            })
        })*
    };
}

impl SessionStore for Moody {
    fn session(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Result<Option<SessionRow>, StoreError>> {
        Box::pin(async move {
            let mood = self.feel("session").await?;
            let mut row = self.inner.session(key, now).await?;
            if let (Mood::Spoilt, Some(row)) = (mood, &mut row) {
                *row.sealed.last_mut().unwrap() ^= 1;
            }
            Ok(row)
        })
    }

    moody! {
        insert_session(key: SessionKey, row: SessionRow) -> ();
        touch_session(key: SessionKey, seen_at: Timestamp) -> bool;
        remove_session(key: SessionKey) -> bool;
        sessions_of(account: AccountKey, now: Timestamp) -> Vec<(SessionKey, SessionRow)>;
        remove_sessions_of(account: AccountKey, except: Option<SessionKey>) -> u64;
        sessions_after(after: Option<SessionKey>, now: Timestamp, most: usize) -> Vec<(SessionKey, SessionRow)>;
        drop_grant(account: AccountKey, now: Timestamp, seen_after: Timestamp) -> bool;
        grant(account: AccountKey) -> Option<GrantRow>;
        swap_grant(account: AccountKey, seen: Option<u64>, next: GrantRow) -> Swap;
        lease(lease: Lease, now: Timestamp) -> bool;
        release(lease: Lease) -> ();
        exchange_under_way(now: Timestamp, latest: Timestamp) -> bool;
        claim(once: [u8; 32], now: Timestamp, until: Timestamp) -> bool;
        sweep(now: Timestamp) -> u64;
        ping() -> ();
    }
}
