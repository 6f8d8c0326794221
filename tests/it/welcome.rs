//! Whoever the forge does not let act any more has no access here within the interval, is told why, and goes straight on
//! once that is over; and nobody loses anything because a forge has bad days.

use std::time::Duration;

use hero_proxy::forge::fake::{Endpoint, Fault, Gate, Seen, Shown};

use crate::support::browser::Browser;
use crate::support::house::{CLIENT_ID, Plan, TestHouse};
use crate::support::logs::Logs;
use crate::support::soon;

const FIVE: Duration = Duration::from_mins(5);

/// How often the forge was asked whether somebody may act.
fn looks(house: &TestHouse) -> usize {
    let is_look = |seen: &Seen| seen.path == "/api/v1/version" && seen.shown == Shown::OauthToken;
    house.forge.seen().iter().filter(|seen| is_look(seen)).count()
}

async fn status(house: &TestHouse, browser: &mut Browser) -> (u16, Option<String>) {
    let page = browser.fetch(&house.at("/")).await;
    (page.status(), (page.status() != 200).then(|| page.reason().unwrap()))
}

fn refused(code: &str) -> (u16, Option<String>) {
    (403, Some(code.to_owned()))
}

/// Holds: R16.
#[tokio::test]
async fn whoever_is_barred_at_the_forge_is_stopped_in_time_told_why_and_goes_straight_on_afterwards() {
    for (code, link) in [
        ("account_suspended", ""),
        ("password_change_required", "user/settings/change_password"),
        ("account_refused", ""),
    ] {
        let house = TestHouse::new().await;
        let (mut one, mut two, mut bob) =
            (house.signed_in("alice").await, house.signed_in("alice").await, house.signed_in("bob").await);
        assert_eq!(looks(&house), 3, "at each sign-in");
        let bar = |on| match code {
            "account_suspended" => house.forge.suspend("alice", on).unwrap(),
            "password_change_required" => house.forge.set_must_change_password("alice", on).unwrap(),
            _ => house.forge.set_needs_second_factor("alice", on).unwrap(),
        };
        house.clock.advance(FIVE - Duration::from_secs(1));
        assert_eq!(status(&house, &mut bob).await.0, 200);
        assert_eq!(looks(&house), 3, "not asked before its time");
        bar(true);
        let logs = Logs::listen();
        house.clock.advance(Duration::from_secs(1));
        let untouched = house.echo.seen().len();
        let page = one.navigate(&house.at("/some/page")).await;
        assert_eq!((page.status(), page.reason().as_deref()), (403, Some(code)));
        assert!(page.text().contains("alice"), "it says who");
        assert_eq!(page.link("forge").unwrap(), house.forge.url().join(link).unwrap());
        assert_eq!(page.link("again").unwrap(), page.url, "the way on is the page itself");
        assert!(page.form("/auth/logout").is_some() && page.cookies_set().is_empty(), "the session stays");
        for browser in [&mut one, &mut two] {
            assert_eq!(status(&house, browser).await, refused(code));
            let whoami = browser.fetch(&house.at("/_hero/auth/whoami")).await;
            assert_eq!((whoami.status(), whoami.reason().as_deref()), (403, Some(code)));
        }
        assert_eq!(looks(&house), 4, "one look for all of them");
        assert_eq!(house.echo.seen().len(), untouched, "nothing reaches the app");
        let told = logs.events("the forge does not let an account act: its requests are refused");
        assert_eq!(told.len(), 1, "told once");
        assert_eq!((&told[0]["reason"], &told[0]["level"]), (&code.into(), &"WARN".into()));
        drop(logs);
        assert_eq!(status(&house, &mut bob).await.0, 200, "nobody else");
        // A script does not ask any sooner; a page does, once it has been a moment.
        let before = looks(&house);
        house.clock.advance(Duration::from_secs(4));
        assert_eq!(status(&house, &mut two).await, refused(code));
        assert_eq!(looks(&house), before);
        bar(false);
        let tokens = house.forge.count(Endpoint::Token);
        let page = one.navigate(&house.at("/some/page")).await;
        assert_eq!((page.status(), page.text().as_str()), (200, "app"), "{code}: straight on");
        assert_eq!(status(&house, &mut two).await.0, 200);
        assert_eq!((looks(&house), house.forge.count(Endpoint::Token)), (before + 1, tokens), "no sign-in");
    }
}

/// Holds: R4, R16.
#[tokio::test]
async fn whoever_is_deleted_or_revoked_signs_in_again_and_that_heals_a_revocation() {
    for deleted in [true, false] {
        let house = TestHouse::new().await;
        let (mut one, mut two, mut bob) =
            (house.signed_in("alice").await, house.signed_in("alice").await, house.signed_in("bob").await);
        if deleted {
            house.forge.delete_user("alice").unwrap();
        } else {
            house.forge.revoke_grant("alice", CLIENT_ID).unwrap();
        }
        house.clock.advance(FIVE);
        let (untouched, tokens) = (house.echo.seen().len(), house.forge.count(Endpoint::Token));
        for browser in [&mut one, &mut two] {
            assert_eq!(status(&house, browser).await, (401, Some("sign_in_required".to_owned())));
        }
        assert_eq!(house.echo.seen().len(), untouched);
        assert_eq!(
            house.forge.count(Endpoint::Token),
            tokens + 2,
            "both sign-ins' tokens are tried, and refused"
        );
        assert_eq!(one.navigate(&house.at("/")).await.status(), 303, "to the forge");
        assert_eq!(status(&house, &mut bob).await.0, 200);
        if !deleted {
            assert_eq!(house.sign_in(&mut one, "/", "alice").await.text(), "app");
            house.pass_near();
            assert_eq!(status(&house, &mut two).await.0, 200, "the account's other browser lives on by it");
        }
    }
}

/// Holds: R16.
#[tokio::test]
async fn one_look_in_the_interval_however_many_sessions_requests_and_hours() {
    let house = TestHouse::new().await;
    let browsers =
        [house.signed_in("alice").await, house.signed_in("alice").await, house.signed_in("alice").await];
    let (looks_before, names) = (looks(&house), house.forge.count(Endpoint::Userinfo));
    for _ in 0..12 {
        house.clock.advance(FIVE);
        let mut visits = tokio::task::JoinSet::new();
        for number in 0..30 {
            let (mut browser, url) = (browsers[number % 3].clone(), house.at("/"));
            visits.spawn(async move { browser.fetch(&url).await.status() });
        }
        while let Some(status) = visits.join_next().await {
            assert_eq!(status.unwrap(), 200);
        }
    }
    assert_eq!(looks(&house), looks_before + 12);
    assert_eq!(house.forge.count(Endpoint::Userinfo), names + 12);
    // An account that nobody uses costs nothing.
    house.clock.advance(FIVE * 50);
    house.settle().await;
    assert_eq!(looks(&house), looks_before + 12);
}

/// Holds: R13, R16.
#[tokio::test]
async fn two_processes_on_one_store_look_once_and_both_know() {
    let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
    let twin = house.twin().await;
    let mut at_one = house.signed_in("alice").await;
    let mut at_two = at_one.clone();
    at_two.learn(&house.authority(), twin.address);
    assert_eq!(status(&house, &mut at_two).await.0, 200);
    for round in 1..=3 {
        house.clock.advance(FIVE);
        let (one, two) = tokio::join!(status(&house, &mut at_one), status(&house, &mut at_two));
        assert_eq!((one.0, two.0), (200, 200));
        assert_eq!(looks(&house), 1 + round);
    }
    house.forge.suspend("alice", true).unwrap();
    house.clock.advance(FIVE);
    assert_eq!(status(&house, &mut at_one).await, refused("account_suspended"));
    house.pass_near();
    assert_eq!(status(&house, &mut at_two).await, refused("account_suspended"));
    assert_eq!(looks(&house), 5, "what one has learnt the other knows");
    // And after a restart.
    let house = house.restart().await;
    at_one.learn(&house.authority(), house.address);
    assert_eq!(status(&house, &mut at_one).await, refused("account_suspended"));
    assert_eq!(looks(&house), 5);
}

/// What a look can meet that says nothing about anybody.
fn bad_days() -> Vec<Fault> {
    vec![
        Fault::html(200),
        Fault::html(401),
        Fault::html(403),
        Fault::html(429),
        Fault::html(502),
        Fault::json(403, r#"{"message":"x","url":"y"}"#),
        Fault::json(403, r#"{"message":"Only signed in user is allowed to call APIs."}"#),
        // As a gateway before the forge says it, to everybody.
        Fault::json(403, r#"{"message":"Forbidden"}"#),
        Fault::json(200, "{\"version\":"),
        Fault::json(404, r#"{"message":"not found"}"#),
        Fault::Huge { bytes: 10 << 20 },
        Fault::Close,
    ]
}

/// Holds: R6, R16.
#[tokio::test]
async fn a_forge_that_does_not_say_proves_nothing_and_is_asked_again_at_rest() {
    for fault in bad_days() {
        let house = TestHouse::new().await;
        let mut alice = house.signed_in("alice").await;
        house.forge.break_next(Endpoint::Api, fault.clone(), usize::MAX);
        house.clock.advance(FIVE);
        for _ in 0..3 {
            let page = alice.navigate(&house.at("/")).await;
            assert_eq!((page.status(), page.text().as_str()), (200, "app"), "{fault:?}");
            assert_eq!(house.echo.seen().pop().unwrap().values("x-hero-user"), ["alice"]);
        }
        assert_eq!(looks(&house), 2, "not asked again at once: {fault:?}");
        for (secs, expected) in [(9, 2), (2, 3), (19, 3), (2, 4)] {
            house.clock.advance(Duration::from_secs(secs));
            assert_eq!(status(&house, &mut alice).await.0, 200);
            house.settle().await;
            assert_eq!(looks(&house), expected, "{fault:?}");
        }
        house.forge.heal();
        house.forge.suspend("alice", true).unwrap();
        house.clock.advance(Duration::from_mins(1));
        // The look is behind this one.
        assert_eq!(status(&house, &mut alice).await.0, 200);
        house.settle().await;
        assert_eq!(status(&house, &mut alice).await, refused("account_suspended"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_page_of_somebody_who_is_barred_has_the_forge_asked_behind_it_once_it_could_not_be_asked() {
    let house = TestHouse::new().await;
    let mut alice = house.signed_in("alice").await;
    house.forge.suspend("alice", true).unwrap();
    house.clock.advance(FIVE);
    assert_eq!(alice.navigate(&house.at("/")).await.status(), 403);
    house.forge.break_next(Endpoint::Api, Fault::html(403), usize::MAX);
    house.clock.advance(Duration::from_secs(4));
    assert_eq!(alice.navigate(&house.at("/")).await.status(), 403);
    house.forge.heal();
    house.forge.suspend("alice", false).unwrap();
    house.clock.advance(Duration::from_secs(11));
    // The look is behind this one.
    assert_eq!(alice.navigate(&house.at("/")).await.status(), 403);
    house.settle().await;
    assert_eq!(alice.navigate(&house.at("/")).await.status(), 200);
}

/// Holds: R7, R16.
#[tokio::test]
async fn a_slow_look_is_waited_for_once_and_no_client_ends_it() {
    let house = TestHouse::start(Plan::default().with("limits", "wait = \"100ms\"")).await;
    let mut alice = house.signed_in("alice").await;
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Api, Fault::HoldAnswer(gate.clone()), 1);
    house.forge.suspend("alice", true).unwrap();
    house.clock.advance(FIVE);
    assert_eq!(soon("a page", alice.navigate(&house.at("/"))).await.status(), 200);
    soon("the look", gate.reached(1)).await;
    for _ in 0..5 {
        assert_eq!(soon("a page", alice.navigate(&house.at("/"))).await.status(), 200);
    }
    assert_eq!(looks(&house), 2, "all of them look at one flight");
    gate.open();
    house.settle().await;
    assert_eq!(status(&house, &mut alice).await, refused("account_suspended"));
}

/// Holds: G12, O20.
#[tokio::test]
async fn groups_and_names_are_those_of_the_forge_within_the_interval() {
    let plan = Plan { allow: vec!["team:acme/ops", "user:bob"], ..Plan::default() };
    let house = TestHouse::start(plan).await;
    let (mut alice, mut bob) = (house.signed_in("alice").await, house.signed_in("bob").await);
    house.forge.rename_user("bob", "robert").unwrap();
    house.clock.advance(FIVE - Duration::from_secs(1));
    assert_eq!(status(&house, &mut alice).await.0, 200);
    assert_eq!(status(&house, &mut bob).await.0, 200);
    house.clock.advance(Duration::from_secs(1));
    // Names are not known for now: what was known goes on.
    house.forge.break_next(Endpoint::Userinfo, Fault::html(502), 1);
    assert_eq!(status(&house, &mut alice).await.0, 200);
    house.forge.clear_groups("alice").unwrap();
    house.clock.advance(Duration::from_secs(11));
    assert_eq!(status(&house, &mut alice).await.0, 200);
    house.settle().await;
    assert_eq!(status(&house, &mut alice).await, refused("not_allowed"));
    assert_eq!(status(&house, &mut bob).await, refused("not_allowed"), "a rule by name holds for the name");
    house.forge.rename_user("robert", "bob").unwrap();
    house.forge.add_member("alice", "acme", Some("ops"));
    house.clock.advance(FIVE);
    for (browser, login) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        assert_eq!(status(&house, browser).await.0, 200);
        assert_eq!(house.echo.seen().pop().unwrap().values("x-hero-user"), [login]);
    }
    assert_eq!(house.forge.count(Endpoint::Token), 2, "nobody signed in again");
}

/// Holds: R16.
#[tokio::test]
async fn a_sign_in_of_somebody_who_is_barred_meanwhile_opens_nothing() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let callback = house.callback(&mut browser, "/wanted", "alice").await;
    house.forge.suspend("alice", true).unwrap();
    let page = browser.navigate(&callback).await;
    let page = browser.navigate(&page.location().unwrap()).await;
    assert_eq!((page.status(), page.reason().as_deref()), (403, Some("account_suspended")));
    assert!(house.echo.is_untouched());
    house.forge.suspend("alice", false).unwrap();
    house.clock.advance(Duration::from_secs(3));
    assert_eq!(browser.navigate(&house.at("/wanted")).await.text(), "app");
}

/// Holds: R16.
#[tokio::test]
async fn somebody_who_is_barred_is_nobody_where_nobody_needs_to_sign_in() {
    let routes = "[[routes]]\npath = \"/\"\nupstream = \"ECHO\"\nforge_token = true\n\
                  [[routes]]\npath = \"/open\"\nupstream = \"ECHO\"\npublic = true\n";
    let plan =
        Plan { routes: Some(routes.to_owned()), ..Plan::default() }.with("session", "recheck = \"1m\"");
    let house = TestHouse::start(plan).await;
    let mut alice = house.signed_in("alice").await;
    house.forge.suspend("alice", true).unwrap();
    assert_eq!(alice.fetch(&house.at("/open")).await.status(), 200);
    assert_eq!(house.echo.seen().pop().unwrap().values("x-hero-user"), ["alice"]);
    house.clock.advance(Duration::from_mins(1));
    assert_eq!(alice.fetch(&house.at("/open")).await.status(), 200);
    assert!(house.echo.seen().pop().unwrap().values("x-hero-user").is_empty());
    assert_eq!(
        status(&house, &mut alice).await,
        refused("account_suspended"),
        "the interval is the operator's"
    );
}

/// What is granted is known: in the log at the sign-in, in whoami, on the visitor's page; and the way that the page shows
/// heals it, for a session that was there already too.
///
/// Holds: O14.
#[tokio::test]
async fn the_state_of_an_old_consent_and_its_reason_are_told_everywhere_and_the_next_sign_in_heals_it() {
    let asked = "openid profile email groups read:user write:issue";
    for (granted, code, state) in [
        (
            "openid profile email groups read:user write:issue write:repository",
            "consent_wider",
            "withheld_wider_consent",
        ),
        ("openid profile email read:user", "consent_narrower", "passed"),
    ] {
        let house = TestHouse::new().await;
        house.forge.set_grant_scope("alice", CLIENT_ID, granted).unwrap();
        let logs = Logs::listen();
        let mut alice = house.browser();
        let page = house.sign_in(&mut alice, "/", "alice").await;
        assert_eq!(page.reason().as_deref(), Some(code));
        assert!(page.text().contains(granted), "it says what was granted");
        assert_eq!(
            page.link("revoke").unwrap(),
            house.forge.url().join("user/settings/applications").unwrap()
        );
        let told = logs.events("scope of a grant");
        assert_eq!(told.len(), 1);
        for (name, value) in [("reason", code), ("scope", granted), ("asked", asked), ("level", "INFO")] {
            assert_eq!(told[0][name], value);
        }
        let whoami = alice.fetch(&house.at("/_hero/auth/whoami")).await.json();
        let token = &whoami["forge_token"];
        assert_eq!(
            (&token["state"], &token["reason"], &token["scopes"]),
            (&state.into(), &code.into(), &granted.into())
        );
        assert!(token["revoke_at"].as_str().unwrap().ends_with("/user/settings/applications"));
        // Revoked as the page says: the old session finds that out by itself, and the sign-in brings what is asked for.
        house.forge.revoke_grant("alice", CLIENT_ID).unwrap();
        house.clock.advance(FIVE);
        assert_eq!(house.sign_in(&mut alice, "/", "alice").await.text(), "app");
        let whoami = alice.fetch(&house.at("/_hero/auth/whoami")).await.json();
        assert_eq!(
            (&whoami["forge_token"]["reason"], &whoami["forge_token"]["state"]),
            (&"as_asked".into(), &"passed".into())
        );
        assert_eq!(status(&house, &mut alice).await.0, 200);
        assert_eq!(house.echo.seen().pop().unwrap().values("x-hero-forge-scopes"), [asked]);
        assert_eq!(logs.events("scope of a grant").pop().unwrap()["reason"], "as_asked");
    }
}
