//! By how much the clock was set back, so that no token is believed to live longer for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache;

use crate::base::account::AccountKey;
use crate::base::clock::{Clock, Timestamp};
use crate::gate::asking::Asking;
use crate::session::record::GrantRecord;
use crate::wire::ForgeToken;

/// How far the clock may fall behind time that passes, in one step or in many; more is a set-back.
const SLACK: Duration = Duration::from_secs(1);

/// Set-backs remembered at most; the oldest are forgotten.
const MOST: usize = 16;

/// Accounts of which it is remembered that their token is of since, at most. A forgotten one is renewed once more.
const ACCOUNTS: u64 = 100_000;

/// Tokens of one account known again at most: as many as a browser has sign-ins under way.
const TOKENS: usize = 10;

/// For how long: few tokens live longer.
const KEPT: Duration = Duration::from_hours(24);

/// Compares the clock with time that passes, each time that somebody looks. What was before the process began, nobody knows.
#[derive(Debug)]
pub(super) struct Steady {
    seen: Mutex<Seen>,
    /// Tokens that were obtained since the clock was set back, at a time that it shows for the second time.
    since: Cache<AccountKey, Arc<Since>>,
}

/// By which a token is known again: it is not kept for that.
type Print = [u8; 32];

/// What is known of an account's tokens of since.
#[derive(Clone, Debug, Default)]
struct Since {
    /// Those that this process was given, the newest last.
    ours: VecDeque<(Print, Obtained)>,
    /// The first one that is stored: what is written over it is of since, too.
    stored: Option<Stored>,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    begun: u64,
    version: u64,
    obtained: Obtained,
}

#[derive(Debug)]
struct Seen {
    /// The last look at which the clock had not fallen behind.
    last: Asking,
    /// How many set-backs are forgotten.
    forgotten: usize,
    set_backs: VecDeque<SetBack>,
}

#[derive(Clone, Copy, Debug)]
struct SetBack {
    /// The clock had not shown more before it.
    until: Timestamp,
    by: Duration,
}

/// When the forge was asked for a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Obtained {
    pub at: Timestamp,
    /// How many set-backs came before it.
    after: usize,
}

impl Steady {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        let seen = Seen { last: Asking::now(clock), forgotten: 0, set_backs: VecDeque::new() };
        let since = Cache::builder().max_capacity(ACCOUNTS).time_to_live(KEPT).build();
        Self { seen: Mutex::new(seen), since }
    }

    /// Looks.
    pub(super) fn look(&self, clock: &dyn Clock) {
        drop(self.looked(clock));
    }

    fn looked(&self, clock: &dyn Clock) -> std::sync::MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Asking::now(clock);
        let expected = seen.last.at.plus(seen.last.passed(now));
        let behind = expected.since(now.at);
        if !behind.is_zero() && behind <= SLACK {
            return seen;
        }
        if behind > SLACK {
            if seen.set_backs.len() == MOST {
                seen.set_backs.pop_front();
                seen.forgotten += 1;
            }
            seen.set_backs.push_back(SetBack { until: expected, by: behind });
        }
        seen.last = now;
        seen
    }

    /// A token is there that the forge was asked for.
    pub(super) fn obtained(&self, asking: Asking, clock: &dyn Clock) -> Obtained {
        let seen = self.looked(clock);
        Obtained { at: asking.asked_at(clock), after: seen.forgotten + seen.set_backs.len() }
    }

    /// Whose it is is known too.
    pub(super) fn remember(&self, account: AccountKey, obtained: Obtained, access: &ForgeToken) {
        // Seldom: the clock has to show a time for the second time.
        if self.hidden(obtained.at, 0).is_zero() {
            return;
        }
        self.change(account, |since| {
            if since.ours.len() == TOKENS {
                since.ours.pop_front();
            }
            since.ours.push_back((print(access), obtained));
        });
    }

    /// It is stored: what was stored before is older, whatever the clock showed then.
    pub(super) fn stored(&self, grant: &GrantRecord, obtained: Obtained) {
        if self.hidden(obtained.at, 0).is_zero() {
            return;
        }
        let (begun, version) = (grant.begun, grant.version);
        let is_first = |known: &Stored| known.begun == begun && known.obtained.after == obtained.after;
        self.change(grant.account.key(), |since| {
            since.stored = since.stored.filter(is_first).or(Some(Stored { begun, version, obtained }));
        });
    }

    fn change(&self, account: AccountKey, change: impl FnOnce(&mut Since)) {
        self.since.entry(account).and_upsert_with(|known| {
            let mut since = known.map(|known| Since::clone(known.value())).unwrap_or_default();
            change(&mut since);
            Arc::new(since)
        });
    }

    /// By how much more time has passed than the clock shows since a token was obtained, at the most: one that another process
    /// has obtained since seems older than it is.
    pub(super) fn hidden_since(&self, grant: &GrantRecord) -> Duration {
        let then = grant.obtained_at();
        let hidden = self.hidden(then, 0);
        if hidden.is_zero() {
            return hidden;
        }
        match self.since.get(&grant.account.key()).and_then(|since| since.of(grant, then)) {
            Some(obtained) => self.hidden(then, obtained.after),
            None => hidden,
        }
    }

    fn hidden(&self, then: Timestamp, after: usize) -> Duration {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.set_backs.iter().skip(after.saturating_sub(seen.forgotten));
        // What was before one was before those that followed, too.
        known.skip_while(|set_back| then > set_back.until).map(|set_back| set_back.by).sum()
    }
}

impl Since {
    /// When a token was obtained, or what is stored before it, if it is of since.
    fn of(&self, grant: &GrantRecord, then: Timestamp) -> Option<Obtained> {
        // The forge gives two who ask in one second the same token; the first to ask has stored it.
        let print = print(&grant.access);
        let ours = self.ours.iter().find(|(known, _)| *known == print).map(|(_, obtained)| *obtained);
        // One that began anew took the place of what was stored before it, too.
        let over = |stored: &Stored| {
            (grant.begun != stored.begun || grant.version > stored.version) && then >= stored.obtained.at
        };
        ours.or_else(|| self.stored.filter(over).map(|stored| stored.obtained))
    }
}

fn print(token: &ForgeToken) -> Print {
    let mut print = Print::default();
    print.copy_from_slice(digest(&SHA256, token.expose().as_bytes()).as_ref());
    print
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::lab::Lab;

    const TEN: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn what_was_before_the_clock_was_set_back_is_older_than_it_shows_and_what_came_since_is_not() {
        let lab = Lab::new();
        let (clock, begun) = (&lab.clock, lab.grant(1, 1));
        let steady = Steady::new(clock);
        clock.advance(TEN * 2);
        steady.look(clock);
        assert_eq!(steady.hidden_since(&begun), Duration::ZERO, "time passes");
        clock.set(clock.now().minus(SLACK));
        steady.look(clock);
        assert_eq!(steady.hidden_since(&begun), Duration::ZERO, "it is made right now and then");
        clock.set(clock.now().plus(SLACK));
        steady.look(clock);
        let before = clock.now();
        clock.set(before.minus(TEN));
        steady.look(clock);
        clock.advance(TEN / 2);
        let doubtful = lab.grant(1, 1);
        clock.set(before.plus(SLACK));
        let later = lab.grant(1, 1);
        assert_eq!((steady.hidden_since(&begun), steady.hidden_since(&doubtful)), (TEN, TEN));
        assert_eq!(steady.hidden_since(&later), Duration::ZERO, "the clock had not shown it before");
        // Once more, and then right again.
        clock.advance(TEN);
        steady.look(clock);
        clock.set(clock.now().minus(TEN / 2));
        steady.look(clock);
        assert_eq!((steady.hidden_since(&begun), steady.hidden_since(&later)), (TEN * 3 / 2, TEN / 2));
        clock.set(clock.now().plus(TEN * 2));
        steady.look(clock);
        assert_eq!(steady.hidden_since(&later), TEN / 2);
    }

    #[tokio::test]
    async fn many_small_steps_back_are_one_large_one() {
        let lab = Lab::new();
        let (clock, begun) = (&lab.clock, lab.grant(1, 1));
        let steady = Steady::new(clock);
        let step = SLACK * 2 / 5;
        for _ in 0..6 {
            clock.advance(SLACK * 5);
            clock.set(clock.now().minus(step));
            steady.look(clock);
        }
        assert_eq!(steady.hidden_since(&begun), step * 6);
    }

    #[tokio::test]
    async fn what_was_before_one_set_back_was_before_the_next_one_too() {
        let lab = Lab::new();
        let (clock, begun) = (&lab.clock, lab.grant(1, 1));
        let steady = Steady::new(clock);
        for by in [TEN * 3, TEN] {
            clock.set(clock.now().minus(by));
            steady.look(clock);
            clock.advance(SLACK);
            steady.look(clock);
        }
        assert_eq!(steady.hidden_since(&begun), TEN * 4);
    }

    #[tokio::test]
    async fn a_token_of_since_is_known_until_the_clock_is_set_back_again() {
        let lab = Lab::new();
        let clock = &lab.clock;
        let steady = Steady::new(clock);
        clock.set(clock.now().minus(TEN));
        let earlier = lab.grant(1, 2);
        clock.advance(SLACK);
        let (obtained, ours) = (steady.obtained(Asking::now(clock), clock), lab.grant(1, 1));
        assert_eq!(steady.hidden_since(&ours), TEN, "whose it is is not known");
        steady.remember(ours.account.key(), obtained, &ours.access);
        assert_eq!(steady.hidden_since(&ours), Duration::ZERO);
        assert_eq!(steady.hidden_since(&earlier), TEN, "another one");
        let shared = GrantRecord { access: ours.access.clone(), ..earlier };
        assert_eq!(steady.hidden_since(&shared), Duration::ZERO, "the same one, asked for before");
        clock.advance(TEN * 2);
        steady.look(clock);
        clock.set(clock.now().minus(SLACK * 2));
        steady.look(clock);
        assert_eq!(steady.hidden_since(&ours), SLACK * 2);
    }

    #[tokio::test]
    async fn what_was_stored_before_a_token_of_since_is_older_and_what_is_written_over_that_is_not() {
        let lab = Lab::new();
        let clock = &lab.clock;
        let steady = Steady::new(clock);
        clock.advance(TEN * 2);
        let before = lab.grant(7, 1);
        clock.set(clock.now().minus(TEN));
        let (obtained, ours) = (steady.obtained(Asking::now(clock), clock), lab.grant(8, 2));
        steady.remember(ours.account.key(), obtained, &ours.access);
        assert_eq!(steady.hidden_since(&before), TEN, "the clock showed more then");
        steady.stored(&ours, obtained);
        let second = GrantRecord { version: 9, ..lab.grant(9, 3) };
        steady.stored(&second, obtained);
        clock.advance(SLACK);
        let others = lab.grant(9, 4);
        let anew = GrantRecord { begun: 5, ..lab.grant(9, 4) };
        let hidden = [&before, &ours, &others, &anew].map(|grant| steady.hidden_since(grant));
        assert_eq!(hidden, [TEN, Duration::ZERO, Duration::ZERO, Duration::ZERO]);
    }

    #[tokio::test]
    async fn a_grant_is_judged_by_the_clock_of_the_moment() {
        let lab = Lab::new();
        let grant = lab.grant(1, 1);
        let ends_at = grant.access_expires_at;
        lab.clock.advance(TEN);
        lab.clock.set(lab.clock.now().minus(TEN));
        assert_eq!(lab.shared().judged(grant).grant.access_expires_at, ends_at.minus(TEN));
    }

    #[tokio::test]
    async fn what_is_remembered_has_a_most() {
        let lab = Lab::new();
        let (clock, begun) = (&lab.clock, lab.grant(1, 1));
        clock.advance(TEN * 20);
        let steady = Steady::new(clock);
        let set_back = || {
            clock.set(clock.now().minus(TEN));
            steady.look(clock);
        };
        (0..MOST).for_each(|_| set_back());
        let (obtained, ours) = (steady.obtained(Asking::now(clock), clock), lab.grant(1, 2));
        steady.remember(ours.account.key(), obtained, &ours.access);
        assert_eq!(steady.hidden_since(&ours), Duration::ZERO);
        for number in 3..3 + u32::try_from(TOKENS).unwrap() {
            steady.remember(ours.account.key(), obtained, &lab.grant(1, number).access);
            let is_known = number - 2 < u32::try_from(TOKENS).unwrap();
            assert_eq!(steady.hidden_since(&ours).is_zero(), is_known, "{number}");
        }
        steady.remember(ours.account.key(), obtained, &ours.access);
        set_back();
        assert_eq!(steady.hidden_since(&ours), TEN);
        assert_eq!(steady.hidden_since(&begun), TEN * u32::try_from(MOST).unwrap(), "the first is forgotten");
    }
}
