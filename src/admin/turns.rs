//! One after the other: what concerns one name or one account does not overlap in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

/// Turns by key. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<String, Waiting>>>);

#[derive(Debug)]
struct Waiting {
    queue: Arc<Queue<()>>,
    whose: String,
    people: usize,
}

/// Somebody else is at it.
#[derive(Debug)]
pub(super) struct Taken;

/// A turn; dropped, the next one has it.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    key: String,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the turn.
    pub(super) async fn take(&self, key: &str) -> Turn {
        let queue = stand(&mut self.lock(), key, "");
        self.wait(key, queue).await
    }

    /// Waits for the turn behind one's own, and not behind anybody else's.
    pub(super) async fn take_unless_anothers(&self, key: &str, whose: &str) -> Result<Turn, Taken> {
        let queue = {
            // Looked and stood in line under one lock, or two who come at once would both find nobody there.
            let mut all = self.lock();
            if all.get(key).is_some_and(|one| one.whose != whose) {
                return Err(Taken);
            }
            stand(&mut all, key, whose)
        };
        Ok(self.wait(key, queue).await)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self, key: &str, queue: Arc<Queue<()>>) -> Turn {
        // Made before the wait, so that whoever goes away in the queue is counted out.
        let mut turn = Turn { turns: self.clone(), key: key.to_owned(), held: None };
        turn.held = Some(queue.lock_owned().await);
        turn
    }
}

fn stand(all: &mut HashMap<String, Waiting>, key: &str, whose: &str) -> Arc<Queue<()>> {
    let waiting = all.entry(key.to_owned()).or_insert_with(|| Waiting {
        queue: Arc::default(),
        whose: whose.to_owned(),
        people: 0,
    });
    waiting.people += 1;
    Arc::clone(&waiting.queue)
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut all = self.turns.lock();
        if let Some(waiting) = all.get_mut(&self.key) {
            waiting.people = waiting.people.saturating_sub(1);
            if waiting.people == 0 {
                all.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_are_taken_one_by_one_and_nothing_is_left_behind() {
        let turns = Turns::default();
        let first = turns.take_unless_anothers("a", "me").await.unwrap();
        assert!(turns.take_unless_anothers("a", "you").await.is_err());
        let mut second = Box::pin(turns.take_unless_anothers("a", "me"));
        assert!(futures_poll(second.as_mut()).is_none(), "it waits");
        drop(first);
        drop(second.await.unwrap());
        drop(turns.take_unless_anothers("a", "you").await.unwrap());
        // Somebody who goes away while waiting is counted out, too.
        let first = turns.take("b").await;
        let mut gone = Box::pin(turns.take("b"));
        assert!(futures_poll(gone.as_mut()).is_none());
        drop((gone, first));
        assert!(turns.0.lock().unwrap().is_empty());
    }

    #[test]
    fn of_two_who_come_in_the_same_moment_one_is_sent_away() {
        let (turns, start) = (Turns::default(), std::sync::Barrier::new(2));
        for round in 0..2000 {
            let key = format!("{round}");
            let ask = |whose: &'static str| {
                let mut asking = Box::pin(turns.take_unless_anothers(&key, whose));
                start.wait();
                let turn = futures_poll(asking.as_mut()).expect("nobody waits behind somebody else");
                // Whoever has it keeps it until both have asked.
                start.wait();
                turn.is_ok()
            };
            let both = std::thread::scope(|scope| {
                let one = scope.spawn(|| ask("me"));
                (ask("you"), one.join().unwrap())
            });
            assert!(both.0 != both.1, "{both:?}");
        }
    }

    fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(&mut future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
