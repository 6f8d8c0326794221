//! Many people for a while, with tokens that live for two seconds: two processes on one store, random sign-ins and
//! sign-outs. Every request is answered, nobody is signed out who did not ask for it, and memory stays flat.
//!
//! `HERO_TEST_SOAK` says for how many seconds, `HERO_TEST_SEED` by which seed.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hero_proxy::base::entropy::{SeededEntropy, random_bytes};
use hero_proxy::forge::fake::{Endpoint, FakeForge, FakeSettings, NewUser};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::support::browser::{Browser, Page};
use crate::support::desk::{Desk, Run};
use crate::support::house::password;
use crate::support::mirror::{Mirror, with_token};
use crate::support::{moment, number_of};

const ACCOUNTS: usize = 50;
const TOKEN_LIFE: Duration = Duration::from_secs(2);
/// How long one process may believe what another one has changed.
const BOUND: Duration = Duration::from_secs(5);
/// What a process may grow by after its warm-up.
const GROWTH_KIB: u64 = 16 * 1024;

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    sign_ins: AtomicU64,
    sign_outs: AtomicU64,
    dead_cookies: AtomicU64,
    without_token: AtomicU64,
    slowest_ms: AtomicU64,
}

/// Somebody with up to two browsers.
struct Person {
    login: String,
    runs: Arc<[Run; 2]>,
    counts: Arc<Counts>,
    chance: SeededEntropy,
    signed_in: Vec<Browser>,
    /// Browsers as they were before they signed out, and when.
    left: Vec<(Browser, Instant)>,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Person {
    fn chance(&self, below: usize) -> usize {
        usize::try_from(u64::from_le_bytes(random_bytes::<8>(&self.chance)) % below as u64).unwrap()
    }

    /// A process picked by chance, which this browser finds from now on.
    fn turn(&self, browser: &mut Browser) -> &Run {
        let run = &self.runs[self.chance(2)];
        browser.learn("localhost:1", run.address);
        run
    }

    fn story(&self) -> String {
        let last = |run: &Run| run.program.text().lines().rev().take(20).collect::<Vec<_>>().join("\n");
        format!("{}:\n{}\n---\n{}", self.login, last(&self.runs[0]), last(&self.runs[1]))
    }

    /// The app has seen who it is. A token is there too, but for one case: on a machine that is busy enough two seconds go
    /// by between a sign-in and the question what its token may do, and what nobody can know is withheld.
    fn is_served(&self, page: &Page) {
        let text = page.text();
        let known = text == self.login || text == with_token(&self.login);
        assert!(page.status() == 200 && known, "{} {text} {}", page.status(), self.story());
        if text == self.login {
            add(&self.counts.without_token);
        }
    }

    async fn ask(&mut self) {
        let which = self.chance(self.signed_in.len());
        let mut browser = self.signed_in[which].clone();
        let run = self.turn(&mut browser);
        let begun = Instant::now();
        let page = browser.fetch(&run.at("/")).await;
        self.is_served(&page);
        add(&self.counts.requests);
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap();
        self.counts.slowest_ms.fetch_max(took, Ordering::Relaxed);
    }

    async fn sign_in(&mut self) {
        let mut browser = Browser::default();
        let run = self.turn(&mut browser);
        let page = browser.sign_in(&run.at("/"), &self.login, &password(&self.login)).await;
        self.is_served(&page);
        add(&self.counts.sign_ins);
        self.signed_in.push(browser);
    }

    async fn sign_out(&mut self) {
        let which = self.chance(self.signed_in.len());
        let mut browser = self.signed_in.swap_remove(which);
        let before = browser.clone();
        let everywhere = self.chance(4) == 0;
        let run = self.turn(&mut browser);
        let path = if everywhere { "/_hero/auth/logout?everywhere=true" } else { "/_hero/auth/logout" };
        let page = browser.send("POST", &run.at(path), &[("Sec-Fetch-Site", "same-origin")], "").await;
        assert_eq!(page.status(), 200, "{}", self.story());
        add(&self.counts.sign_outs);
        self.left.push((before, Instant::now()));
        if everywhere {
            let others = self.signed_in.drain(..).map(|browser| (browser, Instant::now()));
            self.left.extend(others);
        }
    }

    /// The cookies of browsers that signed out a while ago are worth nothing, in either process.
    async fn try_old_cookies(&mut self) {
        let old: Vec<_> = self.left.extract_if(.., |(_, at)| at.elapsed() > BOUND).collect();
        for (mut browser, _) in old {
            let run = self.turn(&mut browser);
            assert_eq!(browser.fetch(&run.at("/")).await.status(), 401, "{}", self.story());
            add(&self.counts.dead_cookies);
        }
    }

    async fn live(mut self, until: Instant) {
        let mut ticks = interval(Duration::from_millis(250));
        self.sign_in().await;
        while Instant::now() < until {
            ticks.tick().await;
            match (self.chance(32), self.signed_in.len()) {
                (_, 0) | (0, 1) => self.sign_in().await,
                (1, _) => self.sign_out().await,
                (2, _) => self.try_old_cookies().await,
                _ => self.ask().await,
            }
        }
    }
}

/// Memory that a process has in use, in KiB.
fn resident(run: &Run) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", run.program.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Holds: R13, R3, R12, S4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_people_sign_in_and_out_at_two_processes_and_nobody_else_notices() {
    let (seconds, seed) = (number_of("HERO_TEST_SOAK", 8), number_of("HERO_TEST_SEED", 1));
    let fake = FakeSettings { token_lifetime: TOKEN_LIFE, ..FakeSettings::default() };
    let forge = FakeForge::start(fake).await.unwrap();
    let mirror = Mirror::start().await;
    let mut desk = Desk::new(&forge, &mirror.address.to_string());
    *desk.section("access") = "allow = [\"any-user\"]\n".to_owned();
    // A machine that does other things as well may be slow; nobody is turned away for that.
    *desk.section("limits") = "wait = \"15s\"\n".to_owned();
    *desk.section("log") = "level = \"info\"\naccess = \"off\"\n".to_owned();
    let runs = Arc::new([desk.start().await, desk.start().await]);

    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let counts = Arc::<Counts>::default();
    let mut people = JoinSet::new();
    for number in 0..ACCOUNTS {
        let login = format!("person{number}");
        forge.add_user(NewUser::new(&login, &password(&login)));
        let person = Person {
            login,
            runs: Arc::clone(&runs),
            counts: Arc::clone(&counts),
            chance: SeededEntropy::new(seed * 1000 + number as u64),
            signed_in: Vec::new(),
            left: Vec::new(),
        };
        people.spawn(person.live(until));
    }

    let mut memory = Vec::new();
    for tenth in 1..=10 {
        moment(begun + Duration::from_secs(seconds) * tenth / 10).await;
        memory.push([resident(&runs[0]), resident(&runs[1])]);
    }
    while let Some(ended) = people.join_next().await {
        ended.unwrap();
    }
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    writeln!(
        std::io::stderr(),
        "{seconds} s, seed {seed}: {} requests, {} of them without a token, {} sign-ins, {} sign-outs, {} dead cookies refused, {} calls for tokens, \
         slowest request {} ms; KiB in use at each tenth: {}",
        of(&counts.requests),
        of(&counts.without_token),
        of(&counts.sign_ins),
        of(&counts.sign_outs),
        of(&counts.dead_cookies),
        forge.count(Endpoint::Token),
        of(&counts.slowest_ms),
        memory.iter().map(|[one, two]| format!("{one} and {two}")).collect::<Vec<_>>().join(", "),
    )
    .unwrap();
    // The first three tenths are warm-up.
    for (which, (warm, end)) in memory[2].into_iter().zip(memory[9]).enumerate() {
        assert!(end <= warm + GROWTH_KIB, "process {which} grew from {warm} to {end} KiB");
    }
    let (requests, without) = (of(&counts.requests), of(&counts.without_token));
    assert!(without * 20 <= requests, "{without} of {requests} without a token");
    // A token is renewed at most once in a quarter of its life.
    let most = ACCOUNTS as u64 * (seconds * 2 + 4) + of(&counts.sign_ins);
    assert!(forge.count(Endpoint::Token) as u64 <= most, "{} calls for tokens", forge.count(Endpoint::Token));
}
