//! Two houses on one SQLite file, as two processes of one installation are.

use std::time::Duration;

use hero_proxy::forge::fake::Endpoint;

use crate::support::browser::{Browser, Page};
use crate::support::house::{Plan, TestHouse, Twin};
use crate::support::raw::RawClient;

/// How long one process may believe what another one has changed.
const BOUND: Duration = Duration::from_secs(5);

struct Pair {
    house: TestHouse,
    twin: Twin,
}

impl Pair {
    async fn new() -> Self {
        let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
        let twin = house.twin().await;
        Self { house, twin }
    }

    /// Asks one of the two, the second one first.
    async fn ask(&self, browser: &Browser, second: bool) -> Page {
        let mut browser = browser.clone();
        let address = if second { self.twin.address } else { self.house.address };
        browser.learn(&self.house.authority(), address);
        browser.fetch(&self.house.at("/")).await
    }
}

/// Holds: S4, S13 (of two processes on one store: both know of a sign-in at once, and of its end within 5 s).
#[tokio::test]
async fn a_sign_out_in_one_process_is_seen_by_the_other_within_five_seconds() {
    for everywhere in ["", "?everywhere=true"] {
        let pair = Pair::new().await;
        let (alice, bob) = (pair.house.signed_in("alice").await, pair.house.signed_in("bob").await);
        let other = pair.house.signed_in("alice").await;
        for browser in [&alice, &other, &bob] {
            assert_eq!(
                pair.ask(browser, true).await.status(),
                200,
                "a session of one is a session of the other"
            );
        }
        // Kept busy, so that it never leaves what is near by itself.
        for _ in 0..20 {
            pair.house.clock.advance(Duration::from_secs(1));
            assert_eq!(pair.ask(&alice, true).await.status(), 200);
        }
        let logout = pair.house.at(&format!("/_hero/auth/logout{everywhere}"));
        let left = alice.clone().send("POST", &logout, &[("Sec-Fetch-Site", "same-origin")], "").await;
        assert_eq!(left.status(), 200);
        assert_eq!(pair.ask(&alice, false).await.status(), 401, "where it happened it is seen at once");
        pair.house.clock.advance(BOUND);
        assert_eq!(pair.ask(&alice, true).await.status(), 401);
        let expected = if everywhere.is_empty() { 200 } else { 401 };
        assert_eq!(pair.ask(&other, true).await.status(), expected, "{everywhere}");
        assert_eq!(pair.ask(&bob, true).await.status(), 200);
        // And it stays so, whatever the busy one still does behind.
        pair.house.settle().await;
        assert!(pair.twin.house.drain(BOUND).await);
        for second in [true, false] {
            assert_eq!(pair.ask(&alice, second).await.status(), 401);
        }
    }
}

/// Holds: R3, R13 (one account signed in at two processes: the newest token set serves both).
#[tokio::test]
async fn a_sign_in_at_one_process_brings_the_newest_token_to_the_other() {
    let pair = Pair::new().await;
    let at_first = pair.house.signed_in("alice").await;
    let mut at_second = pair.house.browser();
    at_second.learn(&pair.house.authority(), pair.twin.address);
    pair.house.clock.advance(Duration::from_secs(60));
    let page = pair.house.sign_in(&mut at_second, "/", "alice").await;
    assert_eq!(page.status(), 200);
    let newest = pair.house.echo.seen().pop().unwrap();
    let newest = newest.values("x-hero-forge-token")[0];
    pair.house.clock.advance(BOUND);
    for (browser, second) in [(&at_first, false), (&at_first, true), (&at_second, false)] {
        assert_eq!(pair.ask(browser, second).await.status(), 200);
        let seen = pair.house.echo.seen().pop().unwrap();
        assert_eq!(seen.values("x-hero-forge-token"), [newest]);
    }
    // Past the hour: the renewal of one is the other's.
    pair.house.clock.advance(Duration::from_secs(3600));
    let before = pair.house.forge.count(Endpoint::Token);
    for (browser, second) in [(&at_first, false), (&at_second, true), (&at_second, false), (&at_first, true)]
    {
        assert_eq!(pair.ask(browser, second).await.status(), 200);
        assert_eq!(pair.house.echo.seen().pop().unwrap().values("x-hero-forge-token").len(), 1);
    }
    assert_eq!(pair.house.forge.count(Endpoint::Token), before + 1);
}

/// Holds: S3, S7 (a session counts at the origin that it was made at).
#[tokio::test]
async fn a_session_of_one_origin_is_none_at_another_on_the_same_store() {
    let public_url = Some("https://vm1.example.org".to_owned());
    let house = TestHouse::start(Plan { store: "sqlite", public_url, ..Plan::default() }).await;
    let sibling = house.twin_named("https://vm2.example.org").await;
    let alice = house.signed_in("alice").await;
    let ask = async |authority: &str, address| {
        let cookie = alice.cookie_line(house.host());
        let request = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nCookie: {cookie}\r\n\r\n");
        RawClient::tcp(address).await.ask(request).await.status
    };
    assert_eq!(ask("vm2.example.org", sibling.address).await, 401);
    assert_eq!(ask("vm1.example.org", house.address).await, 200);
}
