//! What the forge has given out and no store knows yet: token sets that are held until they are stored, and codes whose
//! exchange is under way. Either may be all that an account lives by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::error;

use crate::base::account::AccountKey;
use crate::gate::keep::NewSet;

/// Sets held at most; a set beyond has the tries of its own flight only.
const MAX_HELD: usize = 10_000;

/// Exchanges under way at most. Anybody can begin a sign-in and send a code that he made up: each costs a call to the forge.
const MAX_EXCHANGES: usize = 64;

/// A set in somebody's hands.
pub(super) type Held = Arc<NewSet>;

/// Sets that are not stored yet, by account and in the order of their coming. None replaces another: answers overtake each
/// other, and only the forge knows which one it gave out last. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsaved(Arc<Mutex<BTreeMap<AccountKey, Waiting>>>);

/// What waits of one account; never nothing at all.
#[derive(Debug, Default)]
struct Waiting {
    sets: Vec<Held>,
    /// Whether somebody stores them behind everybody's back.
    has_saver: bool,
}

impl Unsaved {
    /// Holds a set.
    pub(super) fn hold(&self, set: NewSet) -> Held {
        let (key, held) = (set.account.key(), Arc::new(set));
        let mut all = self.lock();
        if all.values().map(|waiting| waiting.sets.len()).sum::<usize>() < MAX_HELD {
            all.entry(key).or_default().sets.push(Arc::clone(&held));
        } else {
            error!(account = %key, "too many token sets wait for the store; this one is tried for a moment only");
        }
        held
    }

    /// The first set of an account that waits to be stored.
    pub(super) fn of(&self, account: AccountKey) -> Option<Held> {
        self.lock().get(&account)?.sets.first().cloned()
    }

    /// Who stores what waits of an account; none if nothing does, or somebody is at it.
    pub(super) fn saver(&self, account: AccountKey) -> Option<Saver> {
        let mut all = self.lock();
        let waiting = all.get_mut(&account).filter(|waiting| !waiting.has_saver)?;
        waiting.has_saver = true;
        Some(Saver { unsaved: self.clone(), account, ended: false })
    }

    /// Lets a set go that is stored, or of no use any more.
    pub(super) fn forget(&self, held: &Held) {
        let (key, mut all) = (held.account.key(), self.lock());
        if let Some(waiting) = all.get_mut(&key) {
            waiting.sets.retain(|one| !Arc::ptr_eq(one, held));
            if waiting.sets.is_empty() && !waiting.has_saver {
                all.remove(&key);
            }
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Held> {
        self.lock().values().flat_map(|waiting| &waiting.sets).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<AccountKey, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever stores what waits of an account. There is one at a time.
#[derive(Debug)]
pub(super) struct Saver {
    unsaved: Unsaved,
    account: AccountKey,
    ended: bool,
}

impl Saver {
    /// The next set to be stored. None: nothing waits, and what comes from here on is for another saver.
    pub(super) fn next(&mut self) -> Option<Held> {
        let mut all = self.unsaved.lock();
        let next = all.get(&self.account).and_then(|waiting| waiting.sets.first().cloned());
        if next.is_none() && !self.ended {
            self.ended = true;
            all.remove(&self.account);
        }
        next
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut all = self.unsaved.lock();
        if let Some(waiting) = all.get_mut(&self.account) {
            waiting.has_saver = false;
            if waiting.sets.is_empty() {
                all.remove(&self.account);
            }
        }
    }
}

/// Exchanges between the state that is claimed and the session that is there: whose account they touch is not known at first,
/// and what is stored of it is not theirs alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchanges(Arc<Mutex<Numbers>>);

#[derive(Debug, Default)]
struct Numbers {
    next: u64,
    under_way: BTreeSet<u64>,
}

impl Exchanges {
    /// An exchange begins; it is under way until what is returned is dropped. None: too many are.
    pub(super) fn begin(&self) -> Option<Exchange> {
        let mut numbers = self.lock();
        if numbers.under_way.len() >= MAX_EXCHANGES {
            return None;
        }
        let number = numbers.next;
        numbers.next += 1;
        numbers.under_way.insert(number);
        Some(Exchange { all: self.clone(), number })
    }

    /// A mark: exchanges that begin from here on come after it.
    pub(super) fn mark(&self) -> u64 {
        self.lock().next
    }

    /// Whether an exchange from before a mark is still under way.
    pub(super) fn any_before(&self, mark: u64) -> bool {
        self.lock().under_way.first().is_some_and(|first| *first < mark)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    all: Exchanges,
    number: u64,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.all.lock().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::asking::Asking;
    use crate::gate::keep::Source;
    use crate::gate::lab::{Lab, account, set};

    fn held(unsaved: &Unsaved, lab: &Lab, number: u32) -> Held {
        let (set, account) = (set(number), account());
        let source = Source::SignIn(lab.grant(1, 1).identity);
        let obtained = lab.shared().steady.obtained(Asking::now(&lab.clock), &lab.clock);
        let (access, life, refresh) = (set.access, set.life, set.refresh);
        unsaved.hold(NewSet { account, access, obtained, life, refresh, source })
    }

    /// Holds: R12.
    #[tokio::test]
    async fn what_is_held_has_one_saver_until_nothing_is_left() {
        let (unsaved, lab, key) = (Unsaved::default(), Lab::new(), account().key());
        assert!(unsaved.saver(key).is_none(), "nothing waits");
        let first = held(&unsaved, &lab, 1);
        let mut saver = unsaved.saver(key).unwrap();
        assert!(unsaved.saver(key).is_none(), "one at a time");
        assert!(Arc::ptr_eq(&saver.next().unwrap(), &first));
        unsaved.forget(&first);
        assert!(saver.next().is_none());
        // What comes once it has found nothing is another one's, whatever it still does.
        held(&unsaved, &lab, 2);
        let other = unsaved.saver(key);
        assert!(other.is_some());
        drop(saver);
        assert!(unsaved.saver(key).is_none(), "the other one is at it");
        // One that ends for whatever reason makes room.
        drop(other);
        assert!(unsaved.saver(key).is_some());
        assert_eq!(unsaved.all().len(), 1);
    }
}
