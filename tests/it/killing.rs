//! `kill -9` around a renewal, again and again, on one store. The real binary: it is started, asked until it renews, killed
//! at a moment that a seed picks, and started anew. Nothing may be lost but what a lost answer takes, and that is given
//! back by a sign-in of redirects alone.
//!
//! `HERO_TEST_KILLS` says how often (a handful), `HERO_TEST_SEED` by which seed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use hero_proxy::base::entropy::{SeededEntropy, random_bytes};
use hero_proxy::forge::fake::{Endpoint, FakeForge, FakeSettings, Fault, Gate, NewUser};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::browser::Browser;
use crate::support::desk::{Desk, PUBLIC_URL, Run};
use crate::support::house::password;
use crate::support::mirror::{Mirror, with_token};
use crate::support::{moment, number_of, soon};

/// When it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Some time after a start, while requests come.
    Any,
    /// The call for tokens has arrived at the forge, which has not looked at it and never will.
    Called,
    /// The forge has made new tokens and outdated the old ones; the answer is lost.
    Outdated,
    /// The answer is on its way or has just come: it may be stored, or not.
    Answered,
    /// The app has seen a new token.
    Used,
}

const MOMENTS: [Moment; 5] = [Moment::Any, Moment::Called, Moment::Outdated, Moment::Answered, Moment::Used];

impl Moment {
    /// Whether an answer may be lost with a process that is killed now.
    fn may_lose_an_answer(self) -> bool {
        matches!(self, Self::Any | Self::Outdated | Self::Answered)
    }
}

struct Yard {
    forge: FakeForge,
    mirror: Mirror,
    desk: Desk,
    browser: Browser,
    chance: SeededEntropy,
    withheld: bool,
}

impl Yard {
    async fn new(seed: u64) -> Self {
        let fake = FakeSettings { token_lifetime: Duration::from_secs(2), ..FakeSettings::default() };
        let forge = FakeForge::start(fake).await.unwrap();
        forge.add_user(NewUser::new("alice", &password("alice")));
        let mirror = Mirror::start().await;
        let mut desk = Desk::new(&forge, &mirror.address.to_string());
        *desk.section("log") = "level = \"info\"\naccess = \"off\"\n".to_owned();
        Self {
            forge,
            mirror,
            desk,
            browser: Browser::default(),
            chance: SeededEntropy::new(seed),
            withheld: false,
        }
    }

    fn chance(&self, below: u64) -> u64 {
        u64::from_le_bytes(random_bytes::<8>(&self.chance)) % below
    }

    async fn start(&mut self) -> Run {
        let run = self.desk.start().await;
        self.browser.learn("localhost:1", run.address);
        run
    }

    /// How many pages the forge has shown that ask for something, and how many answers it got.
    fn forms(&self) -> usize {
        self.forge.count(Endpoint::Consent) + self.forge.count(Endpoint::Web)
    }

    /// Whether one of the last calls for tokens was answered with tokens.
    fn has_new_tokens(&self, before: usize) -> bool {
        let calls =
            self.forge.seen().into_iter().rev().filter(|seen| seen.path == "/login/oauth/access_token");
        calls.take(self.forge.count(Endpoint::Token) - before).any(|seen| seen.status == Some(200))
    }

    /// A new process on the old store: navigates until the forge has given new tokens. Says how many sign-ins that took,
    /// by redirects alone; each request in between is answered by the app, with a token.
    async fn settle(&mut self, run: &Run) -> usize {
        let (calls, forms) = (self.forge.count(Endpoint::Token), self.forms());
        let mut silent = 0;
        let settled = async {
            loop {
                let page = self.browser.navigate(&run.at("/settle")).await;
                let page = if page.location().is_some() {
                    silent += 1;
                    self.browser.follow(page).await
                } else {
                    page
                };
                let said = run.program.text();
                // A machine may be so busy that a token of two seconds is dead before anybody can ask what it may do.
                self.withheld |= said.contains("it is withheld and asked for again");
                let (status, text) = (page.status(), page.text());
                assert!(
                    status == 200 && (text == with_token("alice") || self.withheld),
                    "{status} {text} {said}"
                );
                if self.has_new_tokens(calls) {
                    break;
                }
            }
        };
        soon("new tokens", settled).await;
        assert_eq!(self.forms(), forms, "nobody had to fill anything in");
        silent
    }

    /// Requests, and the end of the process amidst them.
    async fn kill(&mut self, run: &Run, moment: Moment) {
        let gate = Gate::closed();
        let fault = match moment {
            Moment::Any | Moment::Used => None,
            Moment::Called => Some(Fault::Wait(gate.clone())),
            Moment::Outdated | Moment::Answered => Some(Fault::HoldAnswer(gate.clone())),
        };
        let held = fault.is_some();
        if let Some(fault) = fault {
            self.forge.break_next(Endpoint::Token, fault, 1);
        }
        let before = self.mirror.last_token();
        let pokes = poke(run.address, self.browser.cookie_line("localhost"));
        if held {
            soon("a call for tokens", gate.reached(1)).await;
        }
        let later = |micros| Instant::now() + Duration::from_micros(micros);
        match moment {
            Moment::Any => self::moment(later(self.chance(700_000))).await,
            Moment::Called | Moment::Outdated => {}
            Moment::Answered => {
                gate.open();
                self::moment(later(self.chance(8_000))).await;
            }
            Moment::Used => {
                let used = async {
                    while self.mirror.last_token() == before {
                        tokio::task::yield_now().await;
                    }
                };
                soon("a new token", used).await;
                self::moment(later(self.chance(3_000))).await;
            }
        }
        run.program.tell(Signal::KILL);
        assert_eq!(run.program.ended().await, Err(Signal::KILL.as_raw()), "{}", run.program.text());
        drop(pokes);
        // What it was called for and has not looked at goes with the connection, unless it is let in before that is seen.
        if moment != Moment::Called {
            gate.open();
        }
        self.forge.heal();
    }
}

/// Requests one after another until dropped, whatever comes of them. Most end in the middle.
fn poke(address: SocketAddr, cookies: String) -> JoinSet<()> {
    let mut pokes = JoinSet::new();
    let host = PUBLIC_URL.trim_start_matches("http://");
    let request =
        format!("GET /poke HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n");
    for _ in 0..3 {
        let request = request.clone();
        pokes.spawn(async move {
            while let Ok(mut socket) = TcpStream::connect(address).await {
                let mut answer = Vec::new();
                if socket.write_all(request.as_bytes()).await.is_ok() {
                    drop(socket.read_to_end(&mut answer).await);
                }
            }
        });
    }
    pokes
}

/// Holds: R8, R9 (the real binary; a lost answer costs one sign-in, which nobody sees).
#[tokio::test]
async fn a_process_that_is_killed_around_a_renewal_loses_nobody() {
    let (kills, seed) = (number_of("HERO_TEST_KILLS", 10), number_of("HERO_TEST_SEED", 1));
    let mut yard = Yard::new(seed).await;
    let mut run = yard.start().await;
    let page = yard.browser.sign_in(&run.at("/"), "alice", &password("alice")).await;
    assert_eq!((page.status(), page.text()), (200, with_token("alice")));

    let (mut silent, mut times) = ([0; MOMENTS.len()], [0; MOMENTS.len()]);
    for round in 0..kills {
        // Each of them in turn first, so that few rounds show all of it.
        let which = if round < 5 { round as usize } else { yard.chance(MOMENTS.len() as u64) as usize };
        let moment = MOMENTS[which];
        yard.kill(&run, moment).await;
        drop(run);
        run = yard.start().await;
        let sign_ins = yard.settle(&run).await;
        assert!(
            sign_ins <= usize::from(moment.may_lose_an_answer()),
            "seed {seed}, round {round}: {moment:?}"
        );
        assert!(
            moment != Moment::Outdated || sign_ins == 1,
            "seed {seed}, round {round}: the old ones are outdated"
        );
        times[which] += 1;
        silent[which] += sign_ins;
    }
    let mut said = format!("killed {kills} times, seed {seed}; of these one silent sign-in after:");
    for (which, moment) in MOMENTS.iter().enumerate() {
        said += &format!(" {moment:?} {} of {};", silent[which], times[which]);
    }
    writeln!(std::io::stderr(), "{said}").unwrap();
}

/// A process is killed in the middle of a renewal, and another one goes on beside it. Until the dead one's lease lapses,
/// which takes as long as a call for tokens may, nobody can know whether the forge has renewed: requests go on, with the
/// old token while it lives and then without one. After that it is as if it had been alone.
///
/// Holds: R8, R9, R13 (a lapsed lease costs no user a login but for the lost answer).
#[tokio::test]
async fn whoever_lives_on_beside_a_killed_process_answers_every_request() {
    tokio::join!(beside(Moment::Called), beside(Moment::Outdated));
}

async fn beside(when: Moment) {
    let mut yard = Yard::new(1).await;
    yard.forge.set_token_lifetime(Duration::from_secs(8));
    // A lease lasts for three times this, and ten seconds more.
    yard.desk.section("forge").push_str("timeout = \"1s\"\n");
    *yard.desk.section("limits") = "wait = \"200ms\"\n".to_owned();
    let (dies, lives) = (yard.start().await, yard.desk.start().await);
    yard.browser.learn("localhost:1", dies.address);
    let page = yard.browser.sign_in(&dies.at("/"), "alice", &password("alice")).await;
    assert_eq!((page.status(), page.text()), (200, with_token("alice")));
    let (old, forms) = (yard.mirror.last_token(), yard.forms());
    yard.forge.set_token_lifetime(Duration::from_hours(1));
    yard.kill(&dies, when).await;
    let killed = Instant::now();
    yard.browser.learn("localhost:1", lives.address);
    let (mut with_old, mut without) = (0, 0);
    loop {
        let page = yard.browser.fetch(&lives.at("/beside")).await;
        match (page.status(), page.text()) {
            (200, text) if text == with_token("alice") && yard.mirror.last_token() == old => with_old += 1,
            (200, text) if text == with_token("alice") => break,
            (200, text) if text == "alice" => without += 1,
            // The lost answer was the account's last: a sign-in that nobody sees.
            (401, _) if when == Moment::Outdated => {
                let page = yard.browser.navigate(&lives.at("/beside")).await;
                let page = yard.browser.follow(page).await;
                assert_eq!((page.status(), page.text()), (200, with_token("alice")));
                break;
            }
            (status, text) => panic!("{when:?}: {status} {text} {}", lives.program.text()),
        }
        assert!(killed.elapsed() < Duration::from_secs(40), "{when:?}: {}", lives.program.text());
        moment(Instant::now() + Duration::from_millis(50)).await;
    }
    assert_eq!(yard.forms(), forms, "nobody had to fill anything in");
    let took = killed.elapsed();
    let said = format!("{when:?}: for {took:?} {with_old} requests had the old token, {without} none");
    writeln!(std::io::stderr(), "{said}").unwrap();
}
