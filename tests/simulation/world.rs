//! What all parts of a story share: time, chance, the forge, the weather, the truth, and the story as it is told.

use std::fmt::Arguments;
use std::future::{Future, pending};
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hero_proxy::base::clock::{Clock, Timestamp};
use tokio::time::{Instant, timeout};

use crate::chance::Chance;
use crate::forge::Forge;
use crate::truth::Truth;
use crate::weather::Weather;

/// When stories begin.
const EPOCH: i64 = 1_800_000_000_000;

/// Lets time pass: nobody really waits.
pub async fn pass(span: Duration) {
    if !span.is_zero() {
        timeout(span, pending::<()>()).await.unwrap_err();
    }
}

/// What a future that never waits brings.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// The time that passes for everybody, and by how much the proxies' machine misjudges it.
#[derive(Clone, Debug)]
pub struct Time {
    start: Instant,
    /// What the machine slept through while the world went on.
    slept: Arc<AtomicI64>,
    /// How far its clock is ahead.
    skew: Arc<AtomicI64>,
}

impl Time {
    fn begin() -> Self {
        Self { start: Instant::now(), slept: Arc::default(), skew: Arc::default() }
    }

    /// True milliseconds since the story began.
    pub fn real(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap() + self.slept.load(Ordering::Relaxed)
    }

    /// The forge's clock is right.
    pub fn at_forge(&self) -> i64 {
        EPOCH + self.real()
    }

    pub fn machine(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.at_forge() + self.skew()).unwrap())
    }

    pub fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    pub fn set_skew(&self, ahead: i64) {
        self.skew.store(ahead, Ordering::Relaxed);
    }

    pub fn sleep_through(&self, millis: i64) {
        self.slept.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.machine()
    }

    fn running(&self) -> Duration {
        self.start.elapsed()
    }
}

/// All that a story is about.
pub struct State {
    pub time: Time,
    pub chance: Chance,
    pub weather: Weather,
    pub forge: Forge,
    pub truth: Truth,
    /// All faults have stopped.
    pub calm: bool,
    telling: bool,
    /// Tells while it happens, so that the proxy's own log stands in between.
    pub aloud: bool,
    lines: Vec<String>,
    broken: Option<String>,
}

pub struct World(Mutex<State>);

impl World {
    pub fn new(seed: u64, telling: bool) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let forge = Forge::new(&mut chance);
        Arc::new(Self(Mutex::new(State {
            time: Time::begin(),
            weather: Weather::fine(),
            truth: Truth::new(&forge),
            forge,
            chance,
            calm: false,
            telling,
            aloud: false,
            lines: Vec::new(),
            broken: None,
        })))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// One more line of the story.
    pub fn tell(&mut self, words: Arguments<'_>) {
        if self.telling {
            let (now, skew) = (self.time.real(), self.time.skew());
            let skew = if skew == 0 { String::new() } else { format!(" ({:+} s)", skew / 1000) };
            let line = format!("{:>5}.{:03}{skew} {words}", now / 1000, now % 1000);
            if self.aloud {
                drop(writeln!(std::io::stdout(), "{line}"));
            }
            self.lines.push(line);
        }
    }

    /// An invariant does not hold: the first one counts.
    pub fn broken(&mut self, words: Arguments<'_>) {
        self.tell(format_args!("*** {words}"));
        let now = self.time.real();
        self.broken.get_or_insert_with(|| format!("{}.{:03}: {words}", now / 1000, now % 1000));
    }

    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The end of the story: what was told, and which invariant broke.
    pub fn end(&mut self) -> (Vec<String>, Option<String>) {
        (std::mem::take(&mut self.lines), self.broken.take())
    }
}
