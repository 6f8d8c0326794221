//! The page of one's own sessions, for people without scripts and for programs.

use std::time::Duration;

use serde_json::Value;

use crate::support::browser::{Browser, FETCH, NAVIGATION, Page};
use crate::support::house::{Plan, TestHouse};
use crate::support::moody::{Mood, Moody};

const SESSIONS: &str = "/_hero/auth/sessions";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn list(house: &TestHouse, browser: &mut Browser) -> Vec<Value> {
    let page = browser.fetch(&house.at(SESSIONS)).await;
    assert_eq!(page.status(), 200, "{}", page.text());
    page.json()["sessions"].as_array().unwrap().clone()
}

fn id(session: &Value) -> String {
    session["id"].as_str().unwrap().to_owned()
}

/// Posts as a form of a page with `no-referrer` does.
async fn post(house: &TestHouse, browser: &mut Browser, query: &str) -> Page {
    let headers = [
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Origin", "null"),
    ];
    browser.send("POST", &house.at(&format!("{SESSIONS}{query}")), &headers, "").await
}

/// Holds: S13, K1, K8.
#[tokio::test]
async fn somebody_sees_his_own_sessions_and_ends_them_one_by_one_or_all_others() {
    let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
    let mut old = house.browser();
    old.extra.push(("User-Agent".to_owned(), FIREFOX.to_owned()));
    assert_eq!(house.sign_in(&mut old, "/", "alice").await.status(), 200);
    house.clock.advance(Duration::from_hours(3));
    let (mut here, mut third) = (house.signed_in("alice").await, house.signed_in("alice").await);
    let mut bob = house.signed_in("bob").await;

    let mine = list(&house, &mut here).await;
    assert_eq!(mine.len(), 3, "and none of bob's");
    assert_eq!(mine.iter().filter(|one| one["this"] == true).count(), 1);
    let oldest = mine.last().unwrap();
    assert_eq!(oldest["browser"], "Firefox on Linux");
    let cookies: Vec<String> =
        [&old, &here, &third].iter().filter_map(|browser| house.session(browser)).collect();
    let page = here.navigate(&house.at(SESSIONS)).await;
    let text = page.text();
    for part in ["Firefox on Linux", "3 hours ago", "just now", "this one", "in 29 days"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for cookie in &cookies {
        assert!(!text.contains(cookie.as_str()), "no id on the page");
    }
    assert!(!text.contains("Mozilla") && !text.contains("<script"));
    for (name, value) in
        [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")]
    {
        assert_eq!(page.answer.value(name), Some(value));
    }
    // A handle is no cookie.
    let mut thief = house.browser();
    thief.plant(house.host(), &house.cookies().session, &id(oldest));
    assert_eq!(thief.fetch(&house.at("/")).await.status(), 401);

    // Nobody else's, whatever he knows of it.
    let bobs = list(&house, &mut bob).await;
    let page = post(&house, &mut bob, &format!("?end={}", id(oldest))).await;
    assert_eq!((page.status(), page.reason().as_deref()), (404, Some("session_unknown")));
    assert_eq!(old.fetch(&house.at("/")).await.status(), 200);

    let page = post(&house, &mut here, &format!("?end={}", id(oldest))).await;
    assert_eq!((page.status(), page.location()), (303, Some(house.at(SESSIONS))));
    assert_eq!(old.fetch(&house.at("/")).await.status(), 401, "at once");
    assert_eq!(list(&house, &mut here).await.len(), 2);

    let headers = [FETCH.as_slice(), &[("Sec-Fetch-Site", "same-origin")]].concat();
    let page = here.send("POST", &house.at(&format!("{SESSIONS}?end=others")), &headers, "").await;
    assert_eq!((page.status(), page.json()["ended"].as_u64()), (200, Some(1)));
    assert_eq!(third.fetch(&house.at("/")).await.status(), 401);
    assert_eq!(here.fetch(&house.at("/")).await.status(), 200);
    assert_eq!(list(&house, &mut bob).await, bobs);

    // Ending the session that one sits in is signing out.
    let own = list(&house, &mut here).await.pop().unwrap();
    assert_eq!(post(&house, &mut here, &format!("?end={}", id(&own))).await.status(), 303);
    assert_eq!((house.session(&here), here.fetch(&house.at(SESSIONS)).await.status()), (None, 401));
}

/// Holds: S11, S13.
#[tokio::test]
async fn nobody_elses_page_ends_a_session_and_odd_requests_end_none() {
    let house = TestHouse::new().await;
    let (mut here, mut other) = (house.signed_in("alice").await, house.signed_in("alice").await);
    let everyone = house.at(&format!("{SESSIONS}?end=others"));
    for headers in [
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
    ] {
        let page = here.send("POST", &everyone, &headers, "").await;
        assert_eq!((page.status(), page.reason().as_deref()), (403, Some("foreign_origin")), "{headers:?}");
    }
    for method in ["PUT", "DELETE", "HEAD"] {
        let page = here.send(method, &everyone, &[], "").await;
        assert_eq!((page.status(), page.answer.value("allow")), (405, Some("GET, POST")), "{method}");
    }
    for query in [
        "",
        "?end=",
        "?end=all",
        "?end=others&end=others",
        "?end=%00",
        "?end=0123456789abcdef",
        "?END=others",
    ] {
        let page = post(&house, &mut here, query).await;
        assert_eq!((page.status(), page.reason().as_deref()), (404, Some("session_unknown")), "{query}");
    }
    assert_eq!(here.send("GET", &everyone, &NAVIGATION, "").await.status(), 200, "looking changes nothing");
    for browser in [&mut here, &mut other] {
        assert_eq!(browser.fetch(&house.at("/")).await.status(), 200);
    }
    let mut stranger = house.browser();
    assert_eq!(stranger.navigate(&house.at(SESSIONS)).await.status(), 401);
    assert_eq!(
        post(&house, &mut stranger, "?end=others").await.reason().as_deref(),
        Some("sign_in_required")
    );
}

/// Holds: S8, S13.
#[tokio::test]
async fn when_the_store_fails_nothing_has_ended() {
    let store = Moody::new();
    let house = TestHouse::start(Plan { own_store: Some(store.clone()), ..Plan::default() }).await;
    let (mut here, mut other) = (house.signed_in("alice").await, house.signed_in("alice").await);
    store.be(Mood::Down);
    for query in ["?end=others", "?end=0123456789abcdef"] {
        assert_eq!(
            post(&house, &mut here, query).await.reason().as_deref(),
            Some("store_unavailable"),
            "{query}"
        );
    }
    assert_eq!(here.navigate(&house.at(SESSIONS)).await.status(), 503);
    store.be(Mood::Well);
    assert_eq!(other.fetch(&house.at("/")).await.status(), 200);
    assert_eq!(list(&house, &mut here).await.len(), 2);
}
