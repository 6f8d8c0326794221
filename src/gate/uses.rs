//! Uses of sessions that the store has not taken note of yet. A session that somebody uses does not idle out because the
//! store takes no writes, however long that lasts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, warn};

use crate::base::account::AccountKey;
use crate::base::clock::Timestamp;
use crate::gate::keeper::Shared;
use crate::gate::near::NearSession;
use crate::session::id::SessionKey;
use crate::session::store::StoreError;

/// Sessions whose use is held at most; that of others is tried once.
const MAX_HELD: usize = 100_000;

/// How soon the store is asked again to take them, and how often.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;

/// What the store is to be told, by session.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<HashMap<SessionKey, Use>>);

#[derive(Clone, Copy, Debug)]
struct Use {
    account: AccountKey,
    at: Timestamp,
}

impl Uses {
    /// When a session was used last that the store does not know of; the beginning of time if there is no such use.
    pub(super) fn last(&self, key: SessionKey) -> Timestamp {
        self.lock().get(&key).map(|used| used.at).unwrap_or_default()
    }

    fn hold(&self, key: SessionKey, used: Use) {
        let mut all = self.lock();
        if all.len() < MAX_HELD || all.contains_key(&key) {
            all.insert(key, used);
        } else {
            warn!("too many uses of sessions wait for the store; this one is told once");
        }
    }

    fn told(&self, key: SessionKey, at: Timestamp) {
        let mut all = self.lock();
        if all.get(&key).is_some_and(|used| used.at <= at) {
            all.remove(&key);
        }
    }

    /// Those of an account, or all.
    pub(super) fn of(&self, account: Option<AccountKey>) -> Vec<(SessionKey, Timestamp)> {
        let all = self.lock();
        let wanted = all.iter().filter(|(_, used)| account.is_none_or(|account| used.account == account));
        wanted.map(|(key, used)| (*key, used.at)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionKey, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that a session was used: here at once, in the store as soon as it takes it.
pub(super) fn note(shared: &Arc<Shared>, session: &NearSession, at: Timestamp) {
    let (key, account) = (session.key, session.account);
    shared.uses.hold(key, Use { account, at });
    let shared = Arc::clone(shared);
    drop(shared.tasks.clone().spawn(async move {
        if let Err(failed) = tell_one(&shared, key, at).await {
            debug!(error = %failed, "the use of a session could not be noted; it is tried again");
        }
    }));
}

/// Goes on telling the store what it has not taken yet, for a while and behind everybody's back.
pub(super) fn tell_behind(shared: &Arc<Shared>) {
    if shared.uses.of(None).is_empty() {
        return;
    }
    let work = Arc::clone(shared);
    drop(shared.tellings.join(&shared.tasks, (), || async move {
        for _ in 0..TRIES {
            if tell(&work, None).await.is_ok() {
                return;
            }
            sleep(PAUSE).await;
        }
    }));
}

/// Tells the store what it has not taken yet, of one account or of all.
pub(super) async fn tell(shared: &Shared, account: Option<AccountKey>) -> Result<(), StoreError> {
    for (key, at) in shared.uses.of(account) {
        tell_one(shared, key, at).await?;
    }
    Ok(())
}

async fn tell_one(shared: &Shared, key: SessionKey, at: Timestamp) -> Result<(), StoreError> {
    // A session that is not there any more needs no note either.
    shared.vault.touch_session(key, at).await?;
    shared.uses.told(key, at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::base::clock::Clock as _;
    use crate::gate::end;
    use crate::gate::lab::{Lab, account, settings};
    use crate::gate::settings::{SessionSettings, Settings};

    const IDLE: Duration = Duration::from_mins(10);

    /// What was spawned before has had its turn.
    async fn all_tried(lab: &Lab) {
        lab.shared().tasks.spawn(async {}).await.unwrap();
    }

    /// Holds: S8.
    #[tokio::test(start_paused = true)]
    async fn a_session_in_use_outlives_a_store_that_takes_no_writes_and_so_do_its_tokens() {
        let lab = Lab::new();
        let session = SessionSettings { idle: IDLE, ..settings().session };
        let keeper = lab.keeper.with(Settings { session, ..settings() }).unwrap();
        let key = lab.exchange(1).await.unwrap().known.session.key;
        let other = lab.exchange(2).await.unwrap().known.session.key;
        let load = async || keeper.load(key).landed().await.unwrap().unwrap();
        let stored = async || lab.shared().vault.session(key, lab.clock.now()).await.unwrap().live().unwrap();
        let begun = stored().await.seen_at;
        lab.store.deaf.store(true, Ordering::SeqCst);
        for _ in 0..30 {
            lab.clock.advance(IDLE * 99 / 100);
            let used = load().await.expect("still signed in").session;
            note(lab.shared(), &used, lab.clock.now());
        }
        let used_at = lab.clock.now();
        all_tried(&lab).await;
        assert_eq!(stored().await.seen_at, begun);

        // It takes them again, and the account's last other session ends before anybody has told it.
        lab.store.deaf.store(false, Ordering::SeqCst);
        assert!(keeper.end(other, end::SIGNED_OUT).await);
        assert!(keeper.drain(Duration::from_mins(1)).await);
        assert!(lab.shared().vault.grant(&account()).await.unwrap().live().is_some());
        assert_eq!(stored().await.seen_at, used_at, "other processes know too");
        assert_eq!(lab.shared().uses.of(None).len(), 0);

        lab.clock.advance(IDLE);
        assert!(load().await.is_none(), "unused");
    }

    /// Holds: S8.
    #[tokio::test(start_paused = true)]
    async fn a_session_whose_end_the_store_did_not_take_goes_on_if_it_was_used_elsewhere() {
        let lab = Lab::new();
        let session = SessionSettings { idle: IDLE, ..settings().session };
        let keeper = lab.keeper.with(Settings { session, ..settings() }).unwrap();
        let key = lab.exchange(1).await.unwrap().known.session.key;
        lab.clock.advance(IDLE);
        lab.store.deaf.store(true, Ordering::SeqCst);
        assert!(keeper.load(key).landed().await.unwrap().is_err());
        lab.store.deaf.store(false, Ordering::SeqCst);
        // What another process held.
        lab.shared().vault.touch_session(key, lab.clock.now()).await.unwrap();
        assert!(keeper.load(key).landed().await.unwrap().unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_store_did_not_take_it_is_told_at_the_next_sweep_and_at_the_end() {
        for at_the_end in [false, true] {
            let lab = Lab::new();
            let used = lab.exchange(1).await.unwrap().known.session;
            lab.store.deaf.store(true, Ordering::SeqCst);
            lab.clock.advance(IDLE);
            let at = lab.clock.now();
            note(lab.shared(), &used, at);
            all_tried(&lab).await;
            lab.store.deaf.store(false, Ordering::SeqCst);
            assert_eq!(lab.shared().uses.last(used.key), at);
            if at_the_end {
                assert!(lab.keeper.drain(IDLE).await);
            } else {
                lab.keeper.sweep().await.unwrap();
                all_tried(&lab).await;
            }
            let stored = lab.shared().vault.session(used.key, at).await.unwrap().live();
            assert_eq!(stored.map(|stored| stored.seen_at), Some(at));
        }
    }

    #[test]
    fn what_is_held_has_a_most_and_a_later_use_replaces_an_earlier_one() {
        let (uses, account) = (Uses::default(), account().key());
        let at = |secs| Timestamp::default().plus(Duration::from_secs(secs));
        let key = |number: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            SessionKey(key)
        };
        for number in 0..=MAX_HELD {
            uses.hold(key(number), Use { account, at: at(1) });
        }
        assert_eq!(uses.of(Some(account)).len(), MAX_HELD);
        uses.hold(key(0), Use { account, at: at(2) });
        uses.told(key(0), at(1));
        assert_eq!(uses.last(key(0)), at(2), "told of an earlier one");
        uses.told(key(0), at(2));
        assert_eq!(uses.last(key(0)), Timestamp::default());
    }
}
