//! One flight per key: whoever asks for what is already under way joins it. The work runs on the tasks, so neither the
//! first asker nor any other can cancel it by going away.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::base::tasks::Tasks;

type UnderWay<K, V> = Arc<Mutex<HashMap<K, broadcast::Sender<V>>>>;

/// The flights under way. Clones share them. There are never more than requests under way, which the server bounds.
pub(super) struct Flights<K, V> {
    under_way: UnderWay<K, V>,
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { under_way: UnderWay::default() }
    }
}

/// A place on a flight.
pub(super) struct Flight<V>(broadcast::Receiver<V>);

impl<V: Clone> Flight<V> {
    /// What the flight brings, to all in the order of their coming; none when it crashed.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place up; the flight goes on.
    pub(super) async fn landed(mut self) -> Option<V> {
        self.0.recv().await.ok()
    }
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Copy + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the flight of `key` if there is one.
    pub(super) fn under_way(&self, key: K) -> Option<Flight<V>> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.get(&key).map(|flight| Flight(flight.subscribe()))
    }

    /// Joins the flight of `key`, starting it with `work` if there is none.
    pub(super) fn join<F>(&self, tasks: &Tasks, key: K, work: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = under_way.get(&key) {
            return Flight(flight.subscribe());
        }
        let (landing, flight) = broadcast::channel(1);
        under_way.insert(key, landing.clone());
        drop(under_way);
        // Made before the task starts, so that a flight that is dropped unstarted leaves no place behind either.
        let place = Place { under_way: Arc::clone(&self.under_way), key };
        let work = work();
        drop(tasks.spawn(async move {
            let place = place;
            let value = work.await;
            // The place goes first: whoever comes now must start anew, on what this flight has just stored.
            drop(place);
            // Nobody may be waiting any more.
            drop(landing.send(value));
        }));
        Flight(flight)
    }
}

/// Takes the flight off the list when it ends, however it ends.
struct Place<K: Eq + Hash, V> {
    under_way: UnderWay<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Place<K, V> {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::runtime::Handle;
    use tokio::sync::Notify;

    use super::*;

    /// Holds: R7.
    #[tokio::test]
    async fn a_flight_is_shared_and_nobody_who_leaves_ends_it() {
        let (tasks, flights) = (Tasks::on(Handle::current()), Flights::<u8, usize>::default());
        let (started, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let fly = || {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            move || async move {
                started.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                7
            }
        };
        drop(flights.join(&tasks, 1, fly()));
        let second = flights.join(&tasks, 1, fly());
        gate.notify_one();
        assert_eq!(second.landed().await, Some(7));
        assert_eq!(started.load(Ordering::SeqCst), 1);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_flight_that_crashes_is_told_and_can_be_started_again() {
        let (tasks, flights) = (Tasks::on(Handle::current()), Flights::<u8, usize>::default());
        let crashed = flights.join(&tasks, 1, || async { panic!("on purpose") });
        assert_eq!(crashed.landed().await, None);
        assert_eq!(flights.join(&tasks, 1, || async { 8 }).landed().await, Some(8));
    }
}
