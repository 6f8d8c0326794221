//! The token on its way to the backend: fresh, one for all of an account's sessions, and nobody signed out for the
//! forge's bad days.

mod answers;

use std::time::Duration;

use hero_proxy::base::clock::Clock as _;
use hero_proxy::forge::fake::{Endpoint, FakeSettings, Fault, Gate};
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::echo::Seen;
use crate::support::house::{CLIENT_ID, Plan, TestHouse};
use crate::support::raw::RawClient;
use crate::support::soon;

/// Opens a page and says what the backend saw; what was begun behind it has ended then.
async fn seen(house: &TestHouse, browser: &mut Browser) -> Seen {
    let before = house.echo.seen().len();
    let page = browser.navigate(&house.at("/")).await;
    assert_eq!((page.status(), page.text().as_str()), (200, "app"));
    house.settle().await;
    house.echo.seen().remove(before)
}

fn token(seen: &Seen) -> Option<String> {
    let values = seen.values("x-hero-forge-token");
    assert!(values.len() <= 1);
    assert_eq!(seen.values("x-hero-forge-token-expires").len(), values.len());
    assert_eq!(seen.values("x-hero-forge-scopes").len(), values.len());
    values.first().map(|token| (*token).to_owned())
}

/// The life that the backend is told that its token has.
fn life(house: &TestHouse, seen: &Seen) -> Duration {
    let expires: u64 = seen.values("x-hero-forge-token-expires")[0].parse().unwrap();
    Duration::from_secs(expires.saturating_sub(house.clock.now().secs()))
}

async fn house_with_life(token_lifetime: Duration) -> TestHouse {
    let fake = FakeSettings { token_lifetime, ..FakeSettings::default() };
    TestHouse::start(Plan { fake, ..Plan::default() }).await
}

/// Holds: R1, I21.
#[tokio::test]
async fn a_token_that_leaves_has_a_minute_left_and_is_renewed_behind_before() {
    let house = TestHouse::new().await;
    let mut browser = house.signed_in("alice").await;
    let first = token(&house.echo.only()).unwrap();
    let minute = Duration::from_secs(60);
    // Old enough to be renewed, young enough to be passed on: nobody waits.
    house.clock.advance(Duration::from_secs(3600 - 100));
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Token, Fault::HoldAnswer(gate.clone()), 1);
    let page = soon("a page that does not wait", browser.navigate(&house.at("/"))).await;
    assert_eq!(page.text(), "app");
    assert_eq!(token(&house.echo.seen().pop().unwrap()).unwrap(), first);
    soon("a renewal behind it", gate.reached(1)).await;
    gate.open();
    house.settle().await;
    let second = seen(&house, &mut browser).await;
    assert_ne!(token(&second).unwrap(), first);
    assert_eq!((life(&house, &second), house.forge.count(Endpoint::Token)), (Duration::from_secs(3600), 2));

    for left in [59, 1, 0] {
        house.clock.advance(Duration::from_secs(3600 - left));
        let next = seen(&house, &mut browser).await;
        assert!(life(&house, &next) >= minute, "renewed first, with {left} s left");
        assert_eq!(next.values("x-hero-user"), ["alice"]);
    }
    assert_eq!(house.forge.count(Endpoint::Token), 5);
    // What left last works at the forge.
    let last = token(&house.echo.seen().pop().unwrap()).unwrap();
    let headers = [("Authorization", format!("Bearer {last}"))];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let version = house.forge.url().join("api/v1/version").unwrap();
    assert_eq!(Browser::default().send("GET", &version, &headers, "").await.status(), 200);
}

/// Holds: R1.
#[tokio::test]
async fn a_short_lived_token_is_renewed_at_half_its_life_and_not_with_each_request() {
    for life_secs in [5, 20, 90] {
        let house = house_with_life(Duration::from_secs(life_secs)).await;
        let mut browser = house.signed_in("alice").await;
        for _ in 0..5 {
            seen(&house, &mut browser).await;
        }
        assert_eq!(house.forge.count(Endpoint::Token), 1, "{life_secs} s: a new token is fresh");
        house.clock.advance(Duration::from_secs(life_secs / 2 + 1));
        for _ in 0..5 {
            let seen = seen(&house, &mut browser).await;
            assert!(life(&house, &seen) * 2 >= Duration::from_secs(life_secs), "{life_secs} s");
        }
        assert_eq!(house.forge.count(Endpoint::Token), 2, "{life_secs} s: one renewal, no more");
        // A busy minute costs as many renewals as it has half lives, at most twice over.
        for _ in 0..120 {
            house.clock.advance(Duration::from_millis(500));
            seen(&house, &mut browser).await;
        }
        let renewals = house.forge.count(Endpoint::Token) as u64 - 2;
        assert!(renewals <= 4 * 60 / life_secs + 1, "{life_secs} s: {renewals} renewals in a minute");
    }
}

/// Holds: R3.
#[tokio::test]
async fn two_browsers_of_one_account_share_one_token_past_the_hour() {
    for invalidate_refresh_tokens in [true, false] {
        let fake = FakeSettings { invalidate_refresh_tokens, ..FakeSettings::default() };
        let house = TestHouse::start(Plan { fake, ..Plan::default() }).await;
        let (mut one, mut two) = (house.signed_in("alice").await, house.signed_in("alice").await);
        for round in 1..=3 {
            house.clock.advance(Duration::from_hours(1));
            let (first, second) = (seen(&house, &mut one).await, seen(&house, &mut two).await);
            assert_eq!(token(&first).unwrap(), token(&second).unwrap(), "round {round}");
            assert!(life(&house, &second) > Duration::from_mins(59));
            assert_eq!(house.forge.count(Endpoint::Token), 2 + round, "one renewal for both");
        }
    }
}

/// Holds: R2 (its core).
#[tokio::test]
async fn many_requests_at_expiry_cost_one_renewal_and_carry_its_token() {
    let house = TestHouse::new().await;
    let (one, two) = (house.signed_in("alice").await, house.signed_in("alice").await);
    let old = token(&house.echo.seen()[1]).unwrap();
    house.clock.advance(Duration::from_hours(1));
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Token, Fault::HoldAnswer(gate.clone()), 1);
    let mut visits = tokio::task::JoinSet::new();
    for number in 0..40 {
        let mut browser = if number % 2 == 0 { one.clone() } else { two.clone() };
        let url = house.at("/");
        visits.spawn(async move { browser.navigate(&url).await.status() });
    }
    soon("the renewal", gate.reached(1)).await;
    gate.open();
    while let Some(status) = visits.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(house.forge.count(Endpoint::Token), 3);
    let after: Vec<_> = house.echo.seen().split_off(2).iter().map(|seen| token(seen).unwrap()).collect();
    assert_eq!(after.len(), 40);
    assert!(after.iter().all(|token| *token == after[0] && *token != old));
}

/// Holds: R4.
#[tokio::test]
async fn a_grant_that_the_forge_has_ended_leads_to_a_sign_in_and_is_never_tried_again() {
    for code in ["unauthorized_client", "invalid_grant", "revoked"] {
        let house = TestHouse::new().await;
        let (mut one, mut two, mut bob) =
            (house.signed_in("alice").await, house.signed_in("alice").await, house.signed_in("bob").await);
        if code == "revoked" {
            house.forge.revoke_grant("alice", CLIENT_ID).unwrap();
        } else {
            let refusal = json!({"error": code, "error_description": "x"}).to_string();
            house.forge.break_next(Endpoint::Token, Fault::json(400, refusal), 1);
        }
        house.clock.advance(Duration::from_hours(1));
        let before = (house.echo.seen().len(), house.forge.count(Endpoint::Token));
        for browser in [&mut one, &mut two] {
            for _ in 0..2 {
                let page = browser.fetch(&house.at("/")).await;
                assert_eq!(
                    (page.status(), page.reason().as_deref()),
                    (401, Some("sign_in_required")),
                    "{code}"
                );
            }
            assert_eq!(browser.fetch(&house.at("/_hero/auth/whoami")).await.status(), 401);
        }
        // Two sign-ins brought two tokens, and either may have been the forge's last word.
        assert_eq!(
            (house.echo.seen().len(), house.forge.count(Endpoint::Token)),
            (before.0, before.1 + 2),
            "{code}"
        );
        assert!(token(&seen(&house, &mut bob).await).is_some(), "nobody else's grant");
        // One silent sign-in heals it, for the account's other browser too.
        let page = house.sign_in(&mut one, "/wanted", "alice").await;
        assert_eq!((page.status(), page.url), (200, house.at("/wanted")), "{code}");
        assert!(token(&seen(&house, &mut one).await).is_some());
        house.pass_near();
        assert!(token(&seen(&house, &mut two).await).is_some(), "{code}");
    }
}

/// Holds: R4.
#[tokio::test]
async fn a_renewal_that_a_sign_in_has_overtaken_uses_what_the_sign_in_brought() {
    let house = TestHouse::new().await;
    let (mut one, mut two) = (house.signed_in("alice").await, house.browser());
    house.clock.advance(Duration::from_hours(1));
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Token, Fault::Wait(gate.clone()), 1);
    let url = house.at("/");
    let mut waiting = one.clone();
    let visit = tokio::spawn(async move { waiting.navigate(&url).await.status() });
    soon("the renewal", gate.reached(1)).await;
    // While the forge has not looked at it yet, a sign-in elsewhere makes its refresh token worthless.
    assert_eq!(house.sign_in(&mut two, "/", "alice").await.text(), "app");
    let new = token(&house.echo.seen()[1]).unwrap();
    gate.open();
    assert_eq!(visit.await.unwrap(), 200);
    let refused = house.forge.seen().iter().filter(|seen| seen.status == Some(400)).count();
    assert_eq!((refused, house.forge.count(Endpoint::Token)), (1, 3));
    assert_eq!(token(&house.echo.seen()[2]).unwrap(), new);
    assert_eq!(token(&seen(&house, &mut one).await).unwrap(), new);
}

/// What a renewal can meet that says nothing about the grant: no answer of a token endpoint, an error code that is not
/// about the grant, a final one under a status that is not the token endpoint's. The last two are R5's: the operator's fault.
fn bad_days() -> Vec<Fault> {
    vec![
        Fault::html(200),
        Fault::html(429),
        Fault::html(400),
        Fault::html(401),
        Fault::html(403),
        Fault::html(500),
        Fault::html(502),
        Fault::html(504),
        Fault::json(503, "{}"),
        Fault::json(200, "{\"access_token\":"),
        Fault::json(400, "{\"error\":"),
        Fault::json(400, "{\"error\":\"invalid_request\"}"),
        Fault::json(400, "{\"error\":\"unsupported_grant_type\"}"),
        Fault::json(400, "{\"error\":\"invalid_scope\"}"),
        Fault::json(400, "{\"error\":\"server_error\"}"),
        Fault::json(400, "{\"error\":\"temporarily_unavailable\"}"),
        Fault::json(400, "{\"error\":\"temporarily_odd\"}"),
        Fault::json(200, "{\"error\":\"invalid_grant\"}"),
        Fault::json(429, "{\"error\":\"invalid_grant\"}"),
        Fault::json(503, "{\"error\":\"unauthorized_client\"}"),
        Fault::Huge { bytes: 10 << 20 },
        Fault::Close,
        Fault::json(400, "{\"error\":\"invalid_client\"}"),
        Fault::json(401, "{\"error\":\"invalid_client\"}"),
    ]
}

/// Holds: R5, R6.
#[tokio::test]
async fn a_renewal_that_fails_for_now_ends_nobodys_session() {
    for fault in bad_days() {
        let house = TestHouse::new().await;
        let mut browser = house.signed_in("alice").await;
        let first = token(&house.echo.only()).unwrap();
        house.forge.break_next(Endpoint::Token, fault.clone(), usize::MAX);
        house.clock.advance(Duration::from_secs(3600 - 40));
        // The old one serves while it lives, and the backend is told how long.
        for _ in 0..3 {
            let seen = seen(&house, &mut browser).await;
            assert_eq!(
                (token(&seen), life(&house, &seen)),
                (Some(first.clone()), Duration::from_secs(40)),
                "{fault:?}"
            );
        }
        assert_eq!(house.forge.count(Endpoint::Token), 2, "not tried again at once: {fault:?}");
        house.clock.advance(Duration::from_secs(9));
        seen(&house, &mut browser).await;
        assert_eq!(house.forge.count(Endpoint::Token), 2, "nor within ten seconds: {fault:?}");
        house.clock.advance(Duration::from_secs(3));
        seen(&house, &mut browser).await;
        assert_eq!(house.forge.count(Endpoint::Token), 3, "{fault:?}");
        // None alive: the identity goes on without it, and the app falls back to the pasted one.
        house.clock.advance(Duration::from_secs(60));
        let without = seen(&house, &mut browser).await;
        assert_eq!((token(&without), without.values("x-hero-user")), (None, vec!["alice"]), "{fault:?}");
        house.forge.heal();
        house.clock.advance(Duration::from_secs(12));
        assert!(token(&seen(&house, &mut browser).await).is_some(), "it heals by itself: {fault:?}");
    }
}

/// Holds: R6.
#[tokio::test]
async fn without_a_live_token_the_operator_may_want_a_503() {
    let plan = Plan::default().with("features", "without_token = \"unavailable\"");
    let house = TestHouse::start(plan).await;
    let mut browser = house.signed_in("alice").await;
    let before = house.echo.seen().len();
    house.forge.break_next(Endpoint::Token, Fault::Close, usize::MAX);
    house.clock.advance(Duration::from_hours(1));
    for _ in 0..2 {
        let page = browser.navigate(&house.at("/")).await;
        assert_eq!((page.status(), page.reason().as_deref()), (503, Some("token_unavailable")));
        assert!(page.answer.value("retry-after").is_some() && page.cookies_set().is_empty());
    }
    assert_eq!(house.echo.seen().len(), before);
    house.forge.heal();
    house.clock.advance(Duration::from_secs(12));
    assert!(token(&seen(&house, &mut browser).await).is_some());
}

/// Opens a connection, asks, and goes away without an answer once the forge has the question.
async fn ask_and_leave(house: &TestHouse, browser: &Browser, target: &str) {
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Token, Fault::HoldAnswer(gate.clone()), 1);
    let mut client = RawClient::tcp(house.address).await;
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\nCookie: {}\r\n\r\n",
        house.authority(),
        browser.cookie_line(house.host())
    );
    assert!(client.send(head).await);
    soon("the question arrives at the forge", gate.reached(1)).await;
    drop(client);
    gate.open();
    house.settle().await;
}

/// Holds: R7.
#[tokio::test]
async fn a_renewal_goes_on_when_the_only_client_that_waits_for_it_leaves() {
    let house = TestHouse::new().await;
    let mut browser = house.signed_in("alice").await;
    let first = token(&house.echo.only()).unwrap();
    house.clock.advance(Duration::from_hours(1));
    ask_and_leave(&house, &browser, "/").await;
    assert_eq!(house.forge.count(Endpoint::Token), 2);
    let next = seen(&house, &mut browser).await;
    assert_ne!(token(&next).unwrap(), first);
    assert_eq!(house.forge.count(Endpoint::Token), 2, "what it brought was kept");
}

/// Holds: R7.
#[tokio::test]
async fn an_exchange_goes_on_when_its_client_leaves() {
    let house = TestHouse::new().await;
    let (mut alice, mut leaves) = (house.signed_in("alice").await, house.browser());
    let callback = house.callback(&mut leaves, "/", "alice").await;
    let target = format!("{}?{}", callback.path(), callback.query().unwrap());
    ask_and_leave(&house, &leaves, &target).await;
    assert_eq!(house.forge.count(Endpoint::Token), 2);
    // That exchange has outdated the refresh token of before: the account lives on by what it brought.
    house.clock.advance(Duration::from_hours(1));
    assert!(token(&seen(&house, &mut alice).await).is_some());
    assert_eq!(house.forge.count(Endpoint::Token), 3);
}

/// Holds: R11.
#[tokio::test]
async fn a_session_that_signs_out_during_a_renewal_stays_gone_and_its_tokens_with_it() {
    let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
    let browser = house.signed_in("alice").await;
    let _bob = house.signed_in("bob").await;
    assert_eq!(grants(&house), 2);
    house.clock.advance(Duration::from_hours(1));
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Token, Fault::HoldAnswer(gate.clone()), 1);
    let (mut waiting, mut leaving, mut copy) = (browser.clone(), browser.clone(), browser.clone());
    let url = house.at("/");
    let visit = tokio::spawn(async move { waiting.navigate(&url).await.status() });
    soon("the renewal", gate.reached(1)).await;
    let headers = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin")];
    let page = leaving.send("POST", &house.at("/_hero/auth/logout"), &headers, "").await;
    assert_eq!(page.status(), 303);
    assert_eq!(grants(&house), 1, "gone at once");
    gate.open();
    let before = house.echo.seen().len();
    let late = visit.await.unwrap();
    house.settle().await;
    assert_eq!(late, 303, "the request that waited has no session any more");
    for _ in 0..2 {
        assert_eq!(copy.fetch(&house.at("/")).await.status(), 401);
        house.pass_near();
    }
    assert_eq!(house.echo.seen().len(), before);
    assert_eq!(house.forge.count(Endpoint::Token), 3, "the forge has renewed");
    assert_eq!(grants(&house), 1, "and what it said is dropped");
    // Signing in again starts afresh.
    let again = house.signed_in("alice").await;
    assert_eq!(grants(&house), 2);
    assert!(token(&seen(&house, &mut again.clone()).await).is_some());
}

/// How many accounts' tokens are in the store.
fn grants(house: &TestHouse) -> i64 {
    let rows = rusqlite::Connection::open(house.database()).unwrap();
    rows.query_row("SELECT count(*) FROM grants", [], |row| row.get(0)).unwrap()
}

/// Holds: R11.
#[tokio::test]
async fn tokens_that_were_renewed_during_a_sign_out_are_kept_for_the_other_sessions() {
    let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
    let mut stays = house.signed_in("alice").await;
    let browser = house.signed_in("alice").await;
    let old = token(&seen(&house, &mut stays).await);
    house.clock.advance(Duration::from_hours(1));
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Token, Fault::HoldAnswer(gate.clone()), 1);
    let (mut waiting, mut leaving) = (browser.clone(), browser);
    let url = house.at("/");
    let visit = tokio::spawn(async move { waiting.navigate(&url).await.status() });
    soon("the renewal", gate.reached(1)).await;
    let headers = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin")];
    let page = leaving.send("POST", &house.at("/_hero/auth/logout"), &headers, "").await;
    assert_eq!((page.status(), grants(&house)), (303, 1));
    gate.open();
    assert_eq!(visit.await.unwrap(), 303);
    house.settle().await;
    let calls = house.forge.count(Endpoint::Token);
    let new = token(&seen(&house, &mut stays).await);
    assert!(new.is_some() && new != old);
    assert_eq!(house.forge.count(Endpoint::Token), calls, "nothing had to be renewed again");
    // The last one takes them along, wherever it ends.
    let page = stays.send("POST", &house.at("/_hero/auth/logout?everywhere=true"), &headers, "").await;
    assert_eq!((page.status(), grants(&house)), (303, 0));
}
