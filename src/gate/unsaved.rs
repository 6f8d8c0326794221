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
/// other, and only the forge knows which one it gave out last.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<BTreeMap<AccountKey, Vec<Held>>>);

impl Unsaved {
    /// Holds a set.
    pub(super) fn hold(&self, set: NewSet) -> Held {
        let (key, held) = (set.account.key(), Arc::new(set));
        let mut all = self.lock();
        if all.values().map(Vec::len).sum::<usize>() < MAX_HELD {
            all.entry(key).or_default().push(Arc::clone(&held));
        } else {
            error!(account = %key, "too many token sets wait for the store; this one is tried for a moment only");
        }
        held
    }

    /// The first set of an account that waits to be stored.
    pub(super) fn of(&self, account: AccountKey) -> Option<Held> {
        self.lock().get(&account)?.first().cloned()
    }

    /// Lets a set go that is stored, or of no use any more.
    pub(super) fn forget(&self, held: &Held) {
        let (key, mut all) = (held.account.key(), self.lock());
        if let Some(sets) = all.get_mut(&key) {
            sets.retain(|one| !Arc::ptr_eq(one, held));
            if sets.is_empty() {
                all.remove(&key);
            }
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Held> {
        self.lock().values().flatten().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<AccountKey, Vec<Held>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
