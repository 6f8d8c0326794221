//! One story from its seed: things happen to browsers, processes, the forge, the store and the clock; then all faults
//! stop, and everything has to settle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hero_proxy::base::account::Standing;
use hero_proxy::gate::settings::WithoutToken;
use hero_proxy::session::id::SessionKey;
use tokio::task::JoinHandle;

use crate::browser::{Browser, End, Errand, Manners, Tab, run};
use crate::chance::Chance;
use crate::process::{House, LEASE, Town};
use crate::weather::Weather;
use crate::world::{World, pass};

/// How a story went.
pub struct Story {
    pub lines: Vec<String>,
    pub broken: Option<String>,
}

/// Plays the story of a seed.
pub fn play(seed: u64, telling: bool) -> Story {
    play_in(seed, || World::new(seed, telling))
}

/// Plays it, and tells it while it happens.
pub fn play_aloud(seed: u64) -> Story {
    play_in(seed, || {
        let world = World::new(seed, true);
        world.lock().aloud = true;
        world
    })
}

fn play_in(seed: u64, world: impl FnOnce() -> Arc<World>) -> Story {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut driver = Driver::begin(seed, world());
        driver.live().await;
        driver.settle().await;
        let (lines, broken) = driver.town.world.lock().end();
        Story { lines, broken }
    })
}

struct Driver {
    town: Arc<Town>,
    tabs: Vec<Tab>,
    under_way: Vec<JoinHandle<End>>,
}

/// What can happen.
#[derive(Clone, Copy)]
enum Act {
    Errand(Errand),
    /// Several tabs at once.
    Crowd,
    Weather,
    Crash,
    Restart,
    ClockSet,
    Suspend,
    Revoke,
    Rename,
    OtherUser,
    Sweep,
    LongPause,
    Bar,
    Delete,
}

/// From this seed on the world is the whole one.
const GROWN_FROM: u64 = 1_000;

/// What happens there, too.
const MORE_ACTS: [(usize, Act); 3] = [(6, Act::Errand(Errand::FetchStrict)), (4, Act::Bar), (1, Act::Delete)];

const ACTS: [(usize, Act); 17] = [
    (40, Act::Errand(Errand::Visit)),
    (14, Act::Errand(Errand::Fetch)),
    (2, Act::Errand(Errand::Public)),
    (6, Act::Errand(Errand::SignIn)),
    (3, Act::Errand(Errand::SignOut)),
    (1, Act::Errand(Errand::SignOutEverywhere)),
    (14, Act::Crowd),
    (9, Act::Weather),
    (2, Act::Crash),
    (2, Act::Restart),
    (2, Act::ClockSet),
    (1, Act::Suspend),
    (1, Act::Revoke),
    (1, Act::Rename),
    (1, Act::OtherUser),
    (1, Act::Sweep),
    (12, Act::LongPause),
];

impl Driver {
    fn begin(seed: u64, world: Arc<World>) -> Self {
        let (house, tabs) = {
            let state = &mut *world.lock();
            let chance = &mut state.chance;
            let grown = seed >= GROWN_FROM;
            let house = House {
                seed,
                grown,
                idle: chance.weighed(&[(4, 86_400), (1, 240), (1, 90)].map(secs)),
                absolute: chance.weighed(&[(4, 86_400), (1, 600), (1, 180)].map(secs)),
                without_token: chance.weighed(&[(1, WithoutToken::Forward), (1, WithoutToken::Unavailable)]),
                recheck: Duration::from_secs(if grown { chance.pick(&[20, 60, 300]) } else { 300 }),
            };
            let users = state.forge.users.len();
            let tab = |number| {
                let user = state.chance.below(users);
                Arc::new(Mutex::new(Browser { number, user, jar: BTreeMap::new() }))
            };
            let many = 2 + seed as usize % 3;
            let tabs = (0..many).map(tab).collect();
            let (rotates, life) = (state.forge.rotates, state.forge.life);
            state.tell(format_args!(
                "{users} users, {many} browsers, tokens of {life} s, {}; idle {} s, absolute {} s",
                if rotates { "refresh tokens count once" } else { "refresh tokens count for ever" },
                house.idle.as_secs(),
                house.absolute.as_secs()
            ));
            (house, tabs)
        };
        let town = Town::new(world, house);
        town.start(0);
        town.start(1);
        Self { town, tabs, under_way: Vec::new() }
    }

    fn chance<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.town.world.lock().chance)
    }

    fn is_broken(&self) -> bool {
        self.town.world.lock().is_broken()
    }

    async fn live(&mut self) {
        let mut acts = ACTS.to_vec();
        if self.town.house.grown {
            acts.extend(MORE_ACTS);
        }
        let moments = self.chance(|chance| 20 + chance.below(30));
        for _ in 0..moments {
            let act = self.chance(|chance| chance.weighed(&acts));
            self.act(act).await;
            let pause = self.chance(|chance| {
                let most = chance.weighed(&[(3, 200), (3, 2_000), (2, 12_000)]);
                chance.span(0, most)
            });
            pass(pause).await;
            self.note_time();
            self.revive(false);
            if self.is_broken() {
                return;
            }
        }
    }

    /// Starts what lies dead, after a while.
    fn revive(&self, all: bool) {
        for process in 0..2 {
            if self.town.process(process).is_none() && (all || self.chance(|chance| chance.one_in(3))) {
                self.town.start(process);
            }
        }
    }

    fn note_time(&self) {
        let state = &mut *self.town.world.lock();
        state.truth.latest = state.truth.latest.max(state.time.machine());
        let now = state.time.at_forge();
        state.truth.observe(&state.forge, now);
    }

    fn send(&mut self, errand: Errand) {
        let (tab, manners) = self.chance(|chance| {
            let leaves_after = chance.one_in(5).then(|| chance.span(0, 3_000));
            (chance.below(self.tabs.len()), Manners { leaves_after, to: None })
        });
        let tab = Arc::clone(&self.tabs[tab]);
        self.under_way.push(tokio::spawn(run(Arc::clone(&self.town), tab, errand, manners)));
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Errand(errand) => self.send(errand),
            Act::Crowd => {
                for _ in 0..self.chance(|chance| 2 + chance.below(5)) {
                    let errand = self.chance(|chance| {
                        chance.weighed(&[(6, Errand::Visit), (4, Errand::Fetch), (1, Errand::SignIn)])
                    });
                    self.send(errand);
                    pass(self.chance(|chance| chance.span(0, 60))).await;
                }
            }
            Act::Weather => {
                let state = &mut *self.town.world.lock();
                state.weather.turn(&mut state.chance);
                let weather = state.weather;
                state.tell(format_args!("weather: {weather:?}"));
            }
            Act::Crash => {
                let process = self.chance(|chance| chance.below(2));
                if let Some(process) = self.town.process(process) {
                    self.town.world.lock().died(&process.life, "a blow");
                }
            }
            Act::Restart => self.restart().await,
            Act::ClockSet => self.set_clock(),
            Act::Suspend => {
                let state = &mut *self.town.world.lock();
                let span = i64::try_from(state.chance.span(1_000, 900_000).as_millis()).unwrap();
                state.sleep_through(span);
            }
            Act::Revoke => {
                let state = &mut *self.town.world.lock();
                let user = state.chance.below(state.forge.users.len());
                let now = state.time.at_forge();
                state.truth.observe(&state.forge, now);
                state.forge.revoke(user);
                state.truth.observe(&state.forge, now);
                state.tell(format_args!("user {user} revokes the grant"));
            }
            Act::Rename => {
                let state = &mut *self.town.world.lock();
                let user = state.chance.below(state.forge.users.len());
                state.forge.users[user].login.push('x');
            }
            Act::OtherUser => {
                let (tab, user) = self.chance(|chance| (chance.below(self.tabs.len()), chance.below(3)));
                let user = {
                    let forge = &self.town.world.lock().forge;
                    let user = user % forge.users.len();
                    // Who is deleted has another account by now.
                    if forge.users[user].gone { forge.users.len() - 1 } else { user }
                };
                self.tabs[tab].lock().unwrap().user = user;
            }
            Act::Sweep => {
                if let Some(process) = self.town.process(0) {
                    let keeper = process.keeper.clone();
                    drop(tokio::spawn(async move { keeper.sweep().await }));
                }
            }
            Act::Bar => {
                let state = &mut *self.town.world.lock();
                let user = state.chance.below(state.forge.users.len());
                if state.forge.users[user].gone {
                    return;
                }
                let standing = if state.forge.users[user].standing == Standing::Good {
                    state.chance.pick(&[Standing::Suspended, Standing::MustChangePassword, Standing::Refused])
                } else {
                    Standing::Good
                };
                state.bar(user, standing);
            }
            Act::Delete => {
                let (user, next) = {
                    let state = &mut *self.town.world.lock();
                    let user = state.chance.below(state.forge.users.len());
                    if state.forge.users[user].gone {
                        return;
                    }
                    (user, state.delete(user))
                };
                for tab in &self.tabs {
                    let mut browser = tab.lock().unwrap();
                    if browser.user == user {
                        browser.user = next;
                    }
                }
            }
            Act::LongPause => {
                let life = u64::try_from(self.town.world.lock().forge.life).unwrap() * 1000;
                pass(self.chance(|chance| chance.span(0, life + life / 4))).await;
            }
        }
    }

    /// An orderly restart: what is under way comes to an end first.
    async fn restart(&self) {
        let process = self.chance(|chance| chance.below(2));
        let Some(process) = self.town.process(process) else { return };
        self.town.world.lock().tell(format_args!("P{} is told to stop", process.life.process));
        let clean = process.keeper.drain(LEASE).await;
        let (number, state) = (process.life.process, &mut *self.town.world.lock());
        if clean {
            state.tell(format_args!("P{number} has stopped"));
            let now = state.time.at_forge();
            state.truth.observe(&state.forge, now);
            state.truth.over.insert(process.life.number);
            state.truth.observe(&state.forge, now);
            process.life.end();
        } else {
            state.died(&process.life, "a stop that took too long");
        }
    }

    fn set_clock(&self) {
        let state = &mut *self.town.world.lock();
        let ahead = if state.chance.one_in(2) {
            0
        } else {
            let far = i64::try_from(state.chance.span(500, 600_000).as_millis()).unwrap();
            if state.chance.one_in(2) { far } else { -far }
        };
        state.set_clock(ahead);
    }

    /// No faults from here on.
    async fn settle(&mut self) {
        if self.is_broken() {
            return;
        }
        {
            let state = &mut *self.town.world.lock();
            state.weather = Weather::fine();
            state.calm = true;
            state.set_clock(0);
            for user in 0..state.forge.users.len() {
                if state.forge.users[user].standing != Standing::Good {
                    state.bar(user, Standing::Good);
                }
            }
            state.tell(format_args!("all faults stop"));
        }
        self.revive(true);
        for errand in std::mem::take(&mut self.under_way) {
            if tokio::time::timeout(Duration::from_secs(120), errand).await.is_err() {
                self.town.world.lock().broken(format_args!("a request never comes to an end"));
            }
        }
        // Some may have died of a blow that was dealt before.
        self.revive(true);
        pass(Duration::from_secs(70)).await;
        while self.town.world.lock().leaves_marks() {
            pass(Duration::from_secs(10)).await;
        }
        self.note_time();
        // What was lost is found out by the next renewal, and costs its account's browsers one sign-in. A token that is withheld
        // is not renewed: there the next look whether its owner is welcome finds out.
        let life = Duration::from_secs(u64::try_from(self.town.world.lock().forge.life).unwrap());
        for most in [3, 3, 3, 0, 0] {
            for tab in self.tabs.clone() {
                for process in 0..2 {
                    self.arrives(&tab, Some(process), most).await;
                }
            }
            pass(if most > 0 { life.max(self.town.house.recheck) } else { life }).await;
            self.note_time();
        }
        for process in 0..2 {
            let Some(process) = self.town.process(process) else { continue };
            if !process.keeper.drain(LEASE).await {
                self.town
                    .world
                    .lock()
                    .broken(format_args!("P{} has work without an end", process.life.process));
            }
        }
        self.count_calls();
    }

    /// A browser opens the app, and gets there with this many rounds at the forge at most.
    async fn arrives(&self, tab: &Tab, to: Option<usize>, most: u32) {
        if self.is_broken() {
            return;
        }
        let manners = Manners { to, ..Manners::PATIENT };
        let (before, session) = (self.is_up(tab), self.session_of(tab));
        let mut end = run(Arc::clone(&self.town), Arc::clone(tab), Errand::Visit, manners).await;
        // A page in between: signed out on purpose, refused by the user, or a notice about an old consent.
        for _ in 0..4 {
            if most > 0 && matches!(end, End::Refused(_)) {
                end = run(Arc::clone(&self.town), Arc::clone(tab), Errand::SignIn, manners).await;
                if let End::Refused(status) = end
                    && status.is_success()
                {
                    end = run(Arc::clone(&self.town), Arc::clone(tab), Errand::Visit, manners).await;
                }
            }
        }
        // The session it came with may have been up just then, and have another one in its place.
        let up = before || self.is_up(tab) || session.is_some_and(|key| self.is_over(key));
        let (number, state) = (tab.lock().unwrap().number, &mut *self.town.world.lock());
        match end {
            End::Served(rounds) if rounds <= most || up => {}
            // Its time was up just then.
            _ if up && most == 0 => {}
            end => state.broken(format_args!("B{number} does not settle: {end:?}")),
        }
    }

    /// Whether a browser has no session whose time is not up.
    fn is_up(&self, tab: &Tab) -> bool {
        self.session_of(tab).is_none_or(|key| self.is_over(key))
    }

    /// The session that a browser has, and has not asked to end.
    fn session_of(&self, tab: &Tab) -> Option<SessionKey> {
        let session = tab.lock().unwrap().jar.get("__Host-hero_session").cloned()?;
        let state = &*self.town.world.lock();
        state.truth.sessions.get(&session).filter(|known| known.wished == 0).map(|known| known.key)
    }

    fn is_over(&self, key: SessionKey) -> bool {
        let state = &mut *self.town.world.lock();
        state.truth.latest = state.truth.latest.max(state.time.machine());
        let idle = state.truth.house.unwrap().idle;
        state.truth.time_is_up(key, idle)
    }

    /// Calls to the forge stay within what tokens, faults and sign-ins explain.
    fn count_calls(&self) {
        let state = &mut *self.town.world.lock();
        let count = |name| state.truth.calls.get(name).copied().unwrap_or_default();
        let seconds = usize::try_from(state.time.real() / 1000).unwrap();
        let lives = state.truth.over.len() + 2;
        let users = state.forge.users.len();
        let sign_ins = state.truth.sign_ins;
        let often = usize::try_from(state.forge.life / 4).unwrap().clamp(1, 10);
        let most = users * (2 * (seconds / often) + lives + state.truth.jumps * 2 + 2) + sign_ins;
        let (refreshes, redeems, introspections) = (count("refresh"), count("redeem"), count("introspect"));
        if refreshes > most {
            state.broken(format_args!("{refreshes} renewals in {seconds} s; {most} are explained"));
        }
        if redeems > sign_ins {
            state.broken(format_args!("{redeems} codes redeemed of {sign_ins}"));
        }
        let most = sign_ins + users * 2 * (seconds / 10 + lives + state.truth.jumps);
        if introspections > most {
            state.broken(format_args!("{introspections} introspections; {most} are explained"));
        }
        state.tell(format_args!(
            "{refreshes} renewals, {redeems} codes, {introspections} introspections in {seconds} s"
        ));
    }
}

fn secs((weight, secs): (usize, u64)) -> (usize, Duration) {
    (weight, Duration::from_secs(secs))
}

/// What a violated law looks like: the end of the story, and the law.
pub fn screenful(seed: u64) -> String {
    let story = play(seed, true);
    let from = story.lines.len().saturating_sub(60);
    let head = story.lines.first().cloned().unwrap_or_default();
    format!(
        "\nseed {seed}: {}\n  {head}\n  ...\n  {}\n",
        story.broken.unwrap_or_else(|| "nothing broke this time".to_owned()),
        story.lines[from.max(1).min(story.lines.len())..].join("\n  ")
    )
}
