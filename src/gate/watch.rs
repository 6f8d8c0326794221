//! Sessions that somebody waits for the end of. One entry per session, however many connections hang on it; one task
//! looks at all of them each second, and only while there are any. What is near counts for half of its time here, so that
//! an end made anywhere is told within the five seconds that are promised.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender};
use tracing::{error, info};

use crate::base::account::Standing;
use crate::base::clock::Timestamp;
use crate::base::crash::Caught;
use crate::base::port::Answer;
use crate::base::session_end::TellsEnds;
use crate::gate::asking::Asking;
use crate::gate::end;
use crate::gate::keeper::{ForgeKeeper, Shared};
use crate::gate::near::{Known, Look};
use crate::gate::recheck::Due;
use crate::gate::round;
use crate::gate::terms::Terms;
use crate::gate::verdict::Reader;
use crate::session::id::SessionKey;

/// How often the sessions are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How many are looked up in the store at once.
const AT_ONCE: usize = 64;
/// How many accounts the forge is asked about in one look, those that still are asked about not counted: streams that
/// began together are due together. It is enough for 19,000 accounts in five minutes.
const ROUNDS: usize = 64;

/// The sessions that somebody waits for.
#[derive(Default)]
pub(super) struct Watch(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    sessions: HashMap<SessionKey, Entry>,
    /// The newest configuration of each origin; there are as many as an installation has had.
    newest: HashMap<String, Arc<Terms>>,
    is_running: bool,
}

struct Entry {
    end: Sender<bool>,
    /// Of the request that hangs on it. By its origin's newest ones it is judged whether the session is over.
    terms: Arc<Terms>,
    /// Its absolute end, once that is known: it never moves, so that no store has to say it again.
    expires_at: Option<Timestamp>,
}

/// A session that somebody waits for, and by which terms it is judged.
struct Waiting {
    key: SessionKey,
    terms: Arc<Terms>,
    expires_at: Option<Timestamp>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on sessions of this origin are judged by these terms.
    pub(super) fn judge_by(&self, terms: &Arc<Terms>) {
        self.lock().newest.insert(terms.origin.clone(), Arc::clone(terms));
    }

    /// A place among those who wait; and whether the task has to be started.
    fn join(&self, key: SessionKey, terms: &Arc<Terms>) -> (Receiver<bool>, bool) {
        let mut watched = self.lock();
        let new = || Entry { end: Sender::new(false), terms: Arc::clone(terms), expires_at: None };
        let place = watched.sessions.entry(key).or_insert_with(new).end.subscribe();
        (place, !std::mem::replace(&mut watched.is_running, true))
    }

    /// Tells those who wait that a session is over.
    pub(super) fn tell(&self, key: SessionKey) {
        let Some(entry) = self.lock().sessions.remove(&key) else { return };
        if entry.end.receiver_count() > 0 {
            info!(session = %key, "what hangs on a session ends with it");
        }
        entry.end.send_replace(true);
    }

    /// Notes absolute ends.
    fn note_ends(&self, ends: &[(SessionKey, Timestamp)]) {
        let mut watched = self.lock();
        for (key, expires_at) in ends {
            if let Some(entry) = watched.sessions.get_mut(key) {
                entry.expires_at = Some(*expires_at);
            }
        }
    }

    /// Who is waited for, once those have gone whom nobody waits for any more; none: the task ends.
    fn present(&self) -> Option<Vec<Waiting>> {
        let mut watched = self.lock();
        watched.sessions.retain(|_, entry| entry.end.receiver_count() > 0);
        if watched.sessions.is_empty() {
            // What many connections took is given back.
            watched.sessions = HashMap::new();
            watched.is_running = false;
            return None;
        }
        let waiting = |(key, entry): (&SessionKey, &Entry)| Waiting {
            key: *key,
            terms: Arc::clone(watched.newest.get(&entry.terms.origin).unwrap_or(&entry.terms)),
            expires_at: entry.expires_at,
        };
        Some(watched.sessions.iter().map(waiting).collect())
    }

    /// How many sessions are waited for.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().sessions.len()
    }
}

/// Hands out places, by one configuration.
#[derive(Debug)]
pub(super) struct Teller {
    pub terms: Arc<Terms>,
    pub shared: Arc<Shared>,
}

impl TellsEnds for Teller {
    fn ended(&self, session: [u8; 32]) -> Answer<'static, ()> {
        let (mut place, first) = self.shared.watch.join(SessionKey(session), &self.terms);
        if first {
            self.shared.tasks.aside(look_on(Arc::downgrade(&self.shared)));
        }
        Box::pin(async move {
            if place.wait_for(|ended| *ended).await.is_err() {
                // The keeper is gone, and with it whoever could know.
                std::future::pending::<()>().await;
            }
        })
    }
}

async fn look_on(shared: Weak<Shared>) {
    let mut store_answers = true;
    loop {
        tokio::time::sleep(TICK).await;
        let Some(waiting) = shared.upgrade().map(|shared| present(&shared)) else { return };
        let Some(waiting) = waiting else { return };
        let (mut rest, mut rounds) = (waiting.as_slice(), ROUNDS);
        while !rest.is_empty() {
            let Some(shared) = shared.upgrade() else { return };
            // A store that fails is tried with one session in a look, until it answers.
            let (some, later) = rest.split_at(rest.len().min(if store_answers { AT_ONCE } else { 1 }));
            rest = later;
            match Caught::new(look_at(&shared, some, &mut rounds)).await {
                Ok(answers) => store_answers = answers,
                // Those who wait are told by the next look.
                Err(crash) => error!(place = %crash, "a panic ended a look at sessions"),
            }
            if !store_answers {
                break;
            }
            // However many are near, others have their turn.
            drop(shared);
            tokio::task::yield_now().await;
        }
    }
}

/// Who is waited for still. Whose absolute end has come is told so, whether or not the store can answer.
fn present(shared: &Shared) -> Option<Vec<Waiting>> {
    let now = shared.clock.now();
    let (over, rest): (Vec<_>, Vec<_>) =
        shared.watch.present()?.into_iter().partition(|one| one.expires_at.is_some_and(|end| end <= now));
    for one in over {
        end::tell(one.key, end::TOO_OLD);
        shared.watch.tell(one.key);
    }
    Some(rest)
}

/// Says whether the store has answered, if it was asked at all.
async fn look_at(shared: &Arc<Shared>, some: &[Waiting], rounds: &mut usize) -> bool {
    let (mut asked, mut ends) = (Vec::new(), Vec::new());
    let mut judge = |keeper: &ForgeKeeper, one: &Waiting, known: &Known| {
        ends.extend(one.expires_at.is_none().then_some((one.key, known.session.record.expires_at)));
        keeper.judge_watched(known, rounds);
    };
    for one in some {
        let keeper = ForgeKeeper::of(Arc::clone(&one.terms), Arc::clone(shared));
        let now = Asking::now(&*shared.clock);
        match shared.near.look(one.key, now, &one.terms.origin) {
            // One that seems to be over may have been used in another process: the store knows.
            Look::Known(known, _)
                if known.session.is_young(now)
                    && !known.session.has_ended(now.at, one.terms.settings.session.idle) =>
            {
                judge(&keeper, one, &known);
            }
            _ => asked.push((one, keeper.load(one.key), keeper)),
        }
    }
    let mut answers = asked.is_empty();
    for (one, flight, keeper) in asked {
        // A crash is no answer, and neither is a store that cannot say. Whoever finds a session over tells it.
        if let Ok(Some(Ok(known))) = tokio::time::timeout(keeper.terms.settings.wait, flight.landed()).await {
            answers = true;
            if let Some(known) = known {
                judge(&keeper, one, &known);
            }
        }
    }
    if !ends.is_empty() {
        shared.watch.note_ends(&ends);
    }
    answers
}

impl ForgeKeeper {
    /// Tells the end of a session whose account may not go on, and looks after the account, since no request of it may ever
    /// come.
    fn judge_watched(&self, known: &Known, rounds: &mut usize) {
        let (key, grant) = (known.session.key, &known.account.grant);
        if grant.dead {
            end::tell(key, end::GRANT_ENDED);
            self.shared.watch.tell(key);
        } else if grant.standing != Standing::Good {
            info!(session = %key, account = %grant.account.key(), "an account may not act");
            self.shared.watch.tell(key);
        } else if *rounds > 0 && self.is_due(known, Reader::Program, self.shared.clock.now()) != Due::No {
            *rounds -= 1;
            drop(round::start(&self.shared, grant, self.law()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::base::account::{Account, UserId};
    use crate::base::clock::Clock as _;
    use crate::base::session_end::SessionEnd;
    use crate::gate::lab::{self, Lab};
    use crate::gate::settings::{SessionSettings, Settings};
    use crate::session::record::GrantRecord;
    use crate::session::store::StoreError;

    const MOMENT: Duration = Duration::from_millis(1);

    /// Lets both clocks run; says whether the end was told meanwhile.
    async fn told_within(lab: &Lab, ended: &mut Answer<'static, ()>, span: Duration) -> bool {
        let mut left = span;
        while !left.is_zero() {
            let step = left.min(Duration::from_millis(100));
            lab.clock.advance(step);
            if tokio::time::timeout(step, &mut *ended).await.is_ok() {
                return true;
            }
            left -= step;
        }
        false
    }

    async fn opened(lab: &Lab) -> (SessionKey, SessionEnd) {
        let key = lab.exchange(1).await.unwrap().known.session.key;
        (key, lab.keeper.end_of(key).unwrap())
    }

    /// The keeper after a reload: whoever uses no session for so long is signed out.
    fn with_idle(lab: &Lab, idle: Duration) -> ForgeKeeper {
        let session = SessionSettings { idle, ..lab::settings().session };
        lab.keeper.with(Settings { session, ..lab::settings() }).unwrap()
    }

    async fn lives(lab: &Lab, key: SessionKey) -> bool {
        lab.keeper.load(key).landed().await.unwrap().unwrap().is_some()
    }

    /// Holds: S13.
    #[tokio::test(start_paused = true)]
    async fn an_end_made_here_is_told_at_once_and_to_everybody_who_waits() {
        let lab = Lab::new();
        let (key, session) = opened(&lab).await;
        let (mut first, mut second) = (session.ended(), session.ended());
        assert!(!told_within(&lab, &mut first, Duration::from_secs(30)).await, "it goes on");
        assert!(lab.keeper.end(key, end::SIGNED_OUT).await);
        for ended in [&mut first, &mut second] {
            assert!(tokio::time::timeout(MOMENT, ended).await.is_ok());
        }
        // Whoever asks when it is over is told, too.
        assert!(told_within(&lab, &mut session.ended(), Duration::from_secs(2)).await);
    }

    /// Holds: S13.
    #[tokio::test(start_paused = true)]
    async fn an_end_made_elsewhere_is_told_within_five_seconds() {
        for offset in 0..30 {
            let lab = Lab::new();
            let (key, session) = opened(&lab).await;
            let mut ended = session.ended();
            assert!(!told_within(&lab, &mut ended, Duration::from_millis(10_000 + offset * 100)).await);
            // Another process ends it: this one hears of it from the store only.
            assert!(lab.shared().vault.remove_session(key).await.unwrap());
            assert!(told_within(&lab, &mut ended, Duration::from_secs(5)).await, "{offset}");
        }
    }

    /// Holds: S5, S13.
    #[tokio::test(start_paused = true)]
    async fn the_end_of_its_time_and_of_its_grant_are_told() {
        let lab = Lab::new();
        let (_, session) = opened(&lab).await;
        let mut ended = session.ended();
        lab.clock.advance(Duration::from_hours(24));
        assert!(told_within(&lab, &mut ended, Duration::from_secs(5)).await, "nobody used it");

        let lab = Lab::new();
        let (_, session) = opened(&lab).await;
        let mut ended = session.ended();
        let grant = lab.stored().await;
        let (version, dead) = (grant.version + 1, true);
        lab.write(GrantRecord { version, dead, ..grant }).await;
        assert!(told_within(&lab, &mut ended, Duration::from_secs(5)).await, "the forge has ended the grant");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_leaves_nothing_behind() {
        let lab = Lab::new();
        let (_, session) = opened(&lab).await;
        let all: Vec<_> = (0..1000).map(|_| session.ended()).collect();
        assert_eq!(lab.shared().watch.len(), 1, "one entry, however many wait");
        drop(all);
        assert!(
            !told_within(&lab, &mut (Box::pin(std::future::pending()) as Answer<'static, ()>), TICK * 2)
                .await
        );
        assert_eq!(lab.shared().watch.len(), 0);
        assert!(!lab.shared().watch.lock().is_running, "nobody looks where nobody waits");
        // And it begins again when somebody does.
        drop(session.ended());
        assert!(lab.shared().watch.lock().is_running);
        let weak = Arc::downgrade(lab.shared());
        drop((lab, session));
        assert!(tokio::time::timeout(TICK * 2, std::future::pending::<()>()).await.is_err());
        assert!(weak.upgrade().is_none(), "waiting keeps no keeper alive");
    }

    /// Holds: S13, H5.
    #[tokio::test(start_paused = true)]
    async fn what_was_asked_for_before_a_reload_is_judged_as_it_says_now() {
        let (short, long) = (Duration::from_mins(10), Duration::from_hours(24));
        for (before, after) in [(short, long), (long, short)] {
            let lab = Lab::new();
            let (key, _) = opened(&lab).await;
            let other = lab.exchange(2).await.unwrap().known.session.key;
            let old = with_idle(&lab, before);
            let mut ended = old.end_of(key).unwrap().ended();
            let new = with_idle(&lab, after);
            // The second piece of an answer that began before.
            let mut late = old.end_of(key).unwrap().ended();
            lab.clock.advance(Duration::from_mins(20));
            for ended in [&mut ended, &mut late] {
                assert_eq!(told_within(&lab, ended, Duration::from_secs(5)).await, after == short);
            }
            let alive = async |key| new.load(key).landed().await.unwrap().unwrap().is_some();
            assert_eq!((alive(key).await, alive(other).await), (after == long, after == long));
            assert_eq!(
                lab.shared().vault.grant(&lab::account()).await.unwrap().live().is_some(),
                after == long
            );
        }
    }

    /// Holds: S5, S13.
    #[tokio::test(start_paused = true)]
    async fn what_is_used_in_another_process_goes_on() {
        let lab = Lab::new();
        let (key, _) = opened(&lab).await;
        let idle = Duration::from_mins(10);
        let keeper = with_idle(&lab, idle);
        // It is looked at a moment before its end, and used elsewhere after that.
        lab.clock.advance(Duration::from_millis(10 * 60 * 1000 - 1500));
        assert!(lives(&lab, key).await);
        let mut ended = keeper.end_of(key).unwrap().ended();
        lab.clock.advance(Duration::from_millis(500));
        assert!(lab.shared().vault.touch_session(key, lab.clock.now()).await.unwrap());
        assert!(!told_within(&lab, &mut ended, Duration::from_secs(5)).await);
        assert!(told_within(&lab, &mut ended, idle + Duration::from_secs(5)).await);
    }

    /// Holds: S13.
    #[tokio::test(start_paused = true)]
    async fn what_goes_on_at_its_own_origin_goes_on() {
        let lab = Lab::new();
        let (key, session) = opened(&lab).await;
        let mut ended = session.ended();
        let elsewhere = "http://localhost:9".parse().unwrap();
        let other = lab.keeper.with(Settings { public_url: elsewhere, ..lab::settings() }).unwrap();
        for _ in 0..10 {
            // Somebody shows the cookie there; whoever looks it up here may join that look.
            let look = other.load(key);
            assert!(!told_within(&lab, &mut ended, Duration::from_secs(1)).await);
            assert!(look.landed().await.unwrap().unwrap().is_none());
        }
    }

    /// Holds: S8, S13.
    #[tokio::test(start_paused = true)]
    async fn an_end_that_the_store_does_not_take_is_none() {
        let lab = Lab::new();
        let (key, session) = opened(&lab).await;
        let mut ended = session.ended();
        let refused = async {
            // For long enough to be looked at meanwhile.
            assert!(!told_within(&lab, &mut ended, Duration::from_secs(10)).await);
            Err(StoreError::Unavailable("locked on purpose".into()))
        };
        let all = lab.keeper.end_all(&[key], Some(lab::account()), refused, end::SIGNED_OUT).await;
        assert!(all.is_err() && lives(&lab, key).await);
        assert!(!told_within(&lab, &mut ended, Duration::from_secs(5)).await);
    }

    /// Holds: S5, S8, S13.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_is_hardly_asked_and_ends_nothing_but_what_is_known_to_end() {
        let lab = Lab::new();
        let (_, session) = opened(&lab).await;
        let mut all = vec![session.ended()];
        for _ in 0..50 {
            let key = lab.open_session().await;
            all.push(lab.keeper.end_of(key).unwrap().ended());
        }
        assert!(!told_within(&lab, &mut all[0], Duration::from_secs(3)).await);
        lab.store.blind.store(true, Ordering::SeqCst);
        assert!(!told_within(&lab, &mut all[0], Duration::from_secs(30)).await);
        let looks = lab.store.blind_looks.swap(0, Ordering::SeqCst);
        assert!((25..=51 + 30).contains(&looks), "{looks} in thirty seconds");
        lab.clock.advance(Duration::from_hours(24));
        for ended in &mut all {
            assert!(told_within(&lab, ended, Duration::from_secs(2)).await, "its time is up");
        }
    }

    /// Holds: R16.
    #[tokio::test(start_paused = true)]
    async fn accounts_that_are_due_together_are_asked_about_by_and_by() {
        const MANY: usize = ROUNDS + 20;
        let lab = Lab::new();
        let mut all = Vec::new();
        for number in 0..MANY {
            let sub = UserId(number.to_string().into());
            let account = Account { sub, ..lab::account() };
            lab.write(GrantRecord { account: account.clone(), ..lab.grant(1, 1) }).await;
            let key = lab.open_session_of(account).await;
            all.push(lab.keeper.end_of(key).unwrap().ended());
        }
        lab.clock.advance(Duration::from_mins(5));
        let looked = || lab.forge.looked.lock().unwrap().len();
        assert!(!told_within(&lab, &mut all[0], TICK + Duration::from_millis(500)).await);
        assert_eq!(looked(), ROUNDS);
        assert!(!told_within(&lab, &mut all[0], TICK).await);
        assert_eq!(looked(), MANY);
    }
}
