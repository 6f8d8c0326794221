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
use crate::base::crash::Caught;
use crate::base::port::Answer;
use crate::base::session_end::TellsEnds;
use crate::gate::asking::Asking;
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

/// The sessions that somebody waits for.
#[derive(Default)]
pub(super) struct Watch(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    sessions: HashMap<SessionKey, Entry>,
    is_running: bool,
}

struct Entry {
    end: Sender<bool>,
    /// By which it is judged whether the session is over.
    terms: Arc<Terms>,
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

    /// A place among those who wait; and whether the task has to be started.
    fn join(&self, key: SessionKey, terms: &Arc<Terms>) -> (Receiver<bool>, bool) {
        let mut watched = self.lock();
        let entry = watched
            .sessions
            .entry(key)
            .or_insert_with(|| Entry { end: Sender::new(false), terms: Arc::clone(terms) });
        // The newest configuration counts.
        entry.terms = Arc::clone(terms);
        let place = entry.end.subscribe();
        (place, !std::mem::replace(&mut watched.is_running, true))
    }

    /// Tells those who wait that a session is over.
    pub(super) fn tell(&self, key: SessionKey) {
        let Some(entry) = self.lock().sessions.remove(&key) else { return };
        let under_way = entry.end.receiver_count();
        if under_way > 0 {
            info!(session = %key, under_way, "what hangs on a session ends with it");
        }
        entry.end.send_replace(true);
    }

    /// Who is waited for, once those have gone whom nobody waits for any more; none: the task ends.
    fn present(&self) -> Option<Vec<(SessionKey, Arc<Terms>)>> {
        let mut watched = self.lock();
        watched.sessions.retain(|_, entry| entry.end.receiver_count() > 0);
        if watched.sessions.is_empty() {
            // What many connections took is given back.
            watched.sessions = HashMap::new();
            watched.is_running = false;
            return None;
        }
        Some(watched.sessions.iter().map(|(key, entry)| (*key, Arc::clone(&entry.terms))).collect())
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
    loop {
        tokio::time::sleep(TICK).await;
        let Some(shared) = shared.upgrade() else { return };
        let Some(present) = shared.watch.present() else { return };
        for some in present.chunks(AT_ONCE) {
            // Those who wait are told by the next look.
            if let Err(crash) = Caught::new(look_at(&shared, some)).await {
                error!(place = %crash, "a panic ended a look at sessions");
            }
        }
    }
}

async fn look_at(shared: &Arc<Shared>, some: &[(SessionKey, Arc<Terms>)]) {
    let mut asked = Vec::new();
    for (key, terms) in some {
        // Told already since the list was made, if a sign-out was quicker: telling it again does nothing.
        let keeper = ForgeKeeper::of(Arc::clone(terms), Arc::clone(shared));
        let now = Asking::now(&*shared.clock);
        match shared.near.look(*key, now, &terms.origin) {
            Look::Known(known, _) if known.session.is_young(now) => keeper.judge_watched(*key, &known),
            _ => asked.push((*key, keeper.load(*key), keeper)),
        }
    }
    for (key, flight, keeper) in asked {
        // A crash is no answer, and neither is a store that cannot say.
        match tokio::time::timeout(keeper.terms.settings.wait, flight.landed()).await {
            Ok(Some(Ok(Some(known)))) => keeper.judge_watched(key, &known),
            Ok(Some(Ok(None))) => shared.watch.tell(key),
            Ok(Some(Err(())) | None) | Err(_) => {}
        }
    }
}

impl ForgeKeeper {
    /// Tells the end of a session that is over, and looks after its account, since no request of it may ever come.
    fn judge_watched(&self, key: SessionKey, known: &Known) {
        let (now, grant) = (self.shared.clock.now(), &known.account.grant);
        let ended = known.session.has_ended(now, self.terms.settings.session.idle);
        if ended || grant.dead || grant.standing != Standing::Good {
            self.shared.watch.tell(key);
        } else if self.is_due(known, Reader::Program, now) != Due::No {
            drop(round::start(&self.shared, grant, self.law()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::session_end::SessionEnd;
    use crate::gate::end;
    use crate::gate::lab::Lab;

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
        let teller = Teller { terms: Arc::clone(&lab.keeper.terms), shared: Arc::clone(lab.shared()) };
        (key, SessionEnd::new(Arc::new(teller), key.0))
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
        lab.write(crate::session::record::GrantRecord { version, dead, ..grant }).await;
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
}
