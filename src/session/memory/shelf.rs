//! A bounded map whose entries have a moment each; the earliest gives way when it is full.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::base::clock::Timestamp;

#[derive(Debug)]
pub(super) struct Shelf<K, V> {
    entries: HashMap<K, (Timestamp, V)>,
    order: BTreeSet<(Timestamp, K)>,
    room: usize,
}

impl<K: Copy + Eq + Hash + Ord, V> Shelf<K, V> {
    /// An empty shelf for `room` entries, one at least.
    pub(super) fn with_room(room: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeSet::new(), room: room.max(1) }
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.entries.get(&key).map(|(_, value)| value)
    }

    pub(super) fn moment(&self, key: K) -> Option<Timestamp> {
        self.entries.get(&key).map(|(moment, _)| *moment)
    }

    /// The keys whose moment is after the first and not after the second of these.
    pub(super) fn between(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = K> {
        let later = self.order.iter().skip_while(move |(moment, _)| *moment <= after);
        later.take_while(move |(moment, _)| *moment <= until).map(|(_, key)| *key)
    }

    /// Puts an entry in, in place of the one under this key; returns what gave way to it.
    pub(super) fn put(&mut self, key: K, moment: Timestamp, value: V) -> Option<(K, V)> {
        if let Some((old, _)) = self.entries.insert(key, (moment, value)) {
            self.order.remove(&(old, key));
        }
        // Before the new entry joins the order, so that it is never the one that gives way.
        let displaced = if self.entries.len() > self.room { self.pop_first() } else { None };
        self.order.insert((moment, key));
        displaced
    }

    /// Moves an entry to a later moment; an earlier one has no effect. Hands the value out to be changed.
    pub(super) fn advance(&mut self, key: K, moment: Timestamp) -> Option<&mut V> {
        let (old, value) = self.entries.get_mut(&key)?;
        if moment > *old {
            self.order.remove(&(*old, key));
            self.order.insert((moment, key));
            *old = moment;
        }
        Some(value)
    }

    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        let (moment, value) = self.entries.remove(&key)?;
        self.order.remove(&(moment, key));
        Some(value)
    }

    fn pop_first(&mut self) -> Option<(K, V)> {
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key).map(|(_, value)| (key, value))
    }

    /// Drops entries whose moment has come, `most` at most; says how many.
    pub(super) fn drop_due(&mut self, now: Timestamp, most: usize) -> usize {
        let mut dropped = 0;
        while dropped < most && self.order.first().is_some_and(|(moment, _)| *moment <= now) {
            self.pop_first();
            dropped += 1;
        }
        dropped
    }
}
