//! A document of the forge, kept once it is read: one caller asks, the others wait for that answer; a failure is
//! remembered for a short while, so that a thousand visitors at a forge that is down make a handful of calls.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::base::clock::{Clock, Timestamp};
use crate::forge::error::ForgeError;

/// A document that may have changed is asked for again at most once in this time.
pub(crate) const AGAIN: Duration = Duration::from_mins(1);

/// How long the first, second, ... failure in a row is remembered, in seconds; the last counts for all that follow.
const BACK_OFF: [u64; 5] = [1, 2, 4, 8, 15];

/// A document, once it is known.
pub(crate) struct Cached<T> {
    clock: Arc<dyn Clock>,
    state: RwLock<State<T>>,
    /// Held by the caller who asks. A caller who goes away gives it up, and the next one asks.
    turn: Mutex<()>,
}

struct State<T> {
    value: Option<Arc<T>>,
    asked_again: Option<Span>,
    failure: Option<(ForgeError, Span)>,
    failures: usize,
}

/// A time that something holds for. Both ends are kept: after a jump of the clock, either way, it holds no more.
#[derive(Clone, Copy)]
struct Span {
    from: Timestamp,
    until: Timestamp,
}

impl Span {
    fn holds(self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

impl<T> Cached<T> {
    /// Nothing known yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { value: None, asked_again: None, failure: None, failures: 0 };
        Self { clock, state: RwLock::new(state), turn: Mutex::new(()) }
    }

    /// The document, if it is known.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).value.clone()
    }

    /// The document; `ask` is awaited only if it is not known.
    ///
    /// # Errors
    /// What `ask` said, now or a moment ago.
    pub(crate) async fn get(
        &self,
        ask: impl Future<Output = Result<T, ForgeError>> + Send,
    ) -> Result<Arc<T>, ForgeError> {
        self.newer_than(None, ask).await
    }

    /// A document newer than `seen`, which did not serve; `seen` itself when that was asked a short while ago.
    ///
    /// # Errors
    /// What `ask` said, now or a moment ago. What was known stays known.
    pub(crate) async fn again(
        &self,
        seen: &Arc<T>,
        ask: impl Future<Output = Result<T, ForgeError>> + Send,
    ) -> Result<Arc<T>, ForgeError> {
        self.newer_than(Some(seen), ask).await
    }

    async fn newer_than(
        &self,
        seen: Option<&Arc<T>>,
        ask: impl Future<Output = Result<T, ForgeError>> + Send,
    ) -> Result<Arc<T>, ForgeError> {
        if let Some(settled) = self.settled(seen) {
            return settled;
        }
        let _turn = self.turn.lock().await;
        if let Some(settled) = self.settled(seen) {
            return settled;
        }
        let answer = ask.await;
        self.note(seen.is_some(), answer)
    }

    /// What can be said without asking.
    fn settled(&self, seen: Option<&Arc<T>>) -> Option<Result<Arc<T>, ForgeError>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if let Some(value) = &state.value {
            let serves = match seen {
                None => true,
                Some(seen) => {
                    !Arc::ptr_eq(seen, value) || state.asked_again.is_some_and(|span| span.holds(now))
                }
            };
            if serves {
                return Some(Ok(Arc::clone(value)));
            }
        }
        let (error, span) = state.failure.as_ref()?;
        span.holds(now).then(|| Err(error.clone()))
    }

    fn note(&self, again: bool, answer: Result<T, ForgeError>) -> Result<Arc<T>, ForgeError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        match answer {
            Ok(value) => {
                let value = Arc::new(value);
                state.value = Some(Arc::clone(&value));
                state.asked_again = again.then(|| Span { from: now, until: now.plus(AGAIN) });
                state.failure = None;
                state.failures = 0;
                Ok(value)
            }
            Err(error) => {
                let secs = BACK_OFF.get(state.failures).or(BACK_OFF.last()).copied().unwrap_or(1);
                state.failures = state.failures.saturating_add(1);
                let span = Span { from: now, until: now.plus(Duration::from_secs(secs)) };
                state.failure = Some((error.clone(), span));
                Err(error)
            }
        }
    }
}

impl<T> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cached(known: {})", self.peek().is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::clock::ManualClock;

    struct House {
        clock: ManualClock,
        cached: Cached<usize>,
        calls: AtomicUsize,
    }

    impl House {
        fn new() -> Self {
            let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
            Self { cached: Cached::new(Arc::new(clock.clone())), clock, calls: AtomicUsize::new(0) }
        }

        async fn ask(&self, up: bool) -> Result<usize, ForgeError> {
            tokio::task::yield_now().await;
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            if up { Ok(call) } else { Err(ForgeError::Unavailable("down")) }
        }

        async fn get(&self, up: bool) -> Option<usize> {
            self.cached.get(self.ask(up)).await.ok().map(|value| *value)
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn a_thousand_callers_make_one_call_while_the_forge_is_up_and_one_while_it_is_down() {
        for up in [true, false] {
            let house = Arc::new(House::new());
            let mut callers = tokio::task::JoinSet::new();
            for _ in 0..1000 {
                let house = Arc::clone(&house);
                callers.spawn(async move { house.get(up).await });
            }
            while let Some(answer) = callers.join_next().await {
                assert_eq!(answer.unwrap().is_some(), up);
            }
            assert_eq!(house.calls(), 1);
        }
    }

    #[tokio::test]
    async fn failures_are_asked_after_more_and_more_rarely_and_a_success_ends_that() {
        let house = House::new();
        for secs in [1, 2, 4, 8, 15, 15] {
            let before = house.calls();
            assert_eq!(house.get(false).await, None);
            assert_eq!(house.calls(), before + 1);
            house.clock.advance(Duration::from_millis(secs * 1000 - 1));
            assert_eq!(house.get(true).await, None, "still remembered");
            house.clock.advance(Duration::from_millis(1));
        }
        assert_eq!(house.get(true).await, Some(6));
        assert_eq!(house.get(false).await, Some(6), "known: not asked");
    }

    #[tokio::test]
    async fn a_clock_that_jumps_back_does_not_keep_a_failure_alive() {
        let house = House::new();
        assert_eq!(house.get(false).await, None);
        house.clock.set(Timestamp::from_secs(10));
        assert_eq!(house.get(true).await, Some(1));
    }

    #[tokio::test]
    async fn asking_again_is_throttled_and_a_failure_keeps_what_was_known() {
        let house = House::new();
        let first = house.cached.get(house.ask(true)).await.unwrap();
        let second = house.cached.again(&first, house.ask(true)).await.unwrap();
        assert_eq!((*second, house.calls()), (1, 2));
        assert_eq!(
            *house.cached.again(&first, house.ask(true)).await.unwrap(),
            1,
            "newer than the first already"
        );
        assert_eq!(*house.cached.again(&second, house.ask(true)).await.unwrap(), 1, "throttled");
        assert_eq!(house.calls(), 2);
        house.clock.advance(AGAIN);
        assert!(house.cached.again(&second, house.ask(false)).await.is_err());
        assert_eq!(house.get(true).await, Some(1));
        assert_eq!(house.calls(), 3);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_leaves_the_turn_to_the_next() {
        let house = House::new();
        {
            let asking = house.cached.get(std::future::pending());
            tokio::pin!(asking);
            assert!(tokio::time::timeout(Duration::ZERO, asking).await.is_err());
        }
        assert_eq!(house.get(true).await, Some(0));
    }
}
