//! What is told of the things that an operator must be able to look up: one event each, with the request's id.

use hero_proxy::forge::fake::{Endpoint, Fault};

use crate::support::browser::FETCH;
use crate::support::house::{Plan, TestHouse};
use crate::support::logs::Logs;
use crate::support::moody::{Mood, Moody};

/// Each event is there, once. That nobody can fill the disk with them is not shown here.
///
/// Holds: K11.
#[tokio::test]
async fn what_happens_is_told_once() {
    let store = Moody::new();
    let house = TestHouse::start(Plan { own_store: Some(store.clone()), ..Plan::default() }).await;
    let logs = Logs::listen();
    let mut told_before: Vec<serde_json::Value> = Vec::new();
    // The events from `warn` on, and those about sessions, that came since the last look.
    let mut news = || {
        let all: Vec<serde_json::Value> =
            logs.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let new = all[told_before.len()..].to_vec();
        told_before = all;
        let worth = |event: &serde_json::Value| event["level"] != "DEBUG" && event["level"] != "TRACE";
        let new: Vec<_> =
            new.into_iter().filter(|event| worth(event) && event["message"] != "request").collect();
        for event in &new {
            assert!(event["timestamp"].as_str().unwrap().ends_with('Z'), "{event}");
        }
        new
    };
    let messages = |events: &[serde_json::Value]| -> Vec<String> {
        events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    };

    let mut alice = house.signed_in("alice").await;
    assert_eq!(messages(&news()), ["scope of a grant", "signed in"]);

    let back = house.callback(&mut house.browser(), "/", "bob").await;
    house.forge.break_next(Endpoint::Token, Fault::html(502), 1);
    let mut bob = house.browser();
    assert_eq!(bob.navigate(&back).await.status(), 400);
    let told = news();
    assert_eq!(messages(&told), ["a callback without its sign-in"], "the state is another browser's");
    assert_eq!(told[0]["request_id"].as_str().unwrap().len(), 32);

    let back = house.callback(&mut bob, "/", "bob").await;
    assert_eq!(bob.navigate(&back).await.status(), 503);
    assert_eq!(messages(&news()), ["the forge failed during a sign-in"]);

    alice.extra =
        vec![("X-Hero-User".to_owned(), "root".to_owned()), ("X-Request-Id".to_owned(), "mine-1".to_owned())];
    assert_eq!(alice.fetch(&house.at("/")).await.status(), 200);
    let told = news();
    assert_eq!(messages(&told), ["spoofed_headers_dropped"]);
    assert_eq!((&told[0]["lines"], &told[0]["request_id"]), (&1.into(), &"mine-1".into()));
    alice.extra.clear();

    store.be(Mood::Down);
    house.pass_near();
    assert_eq!(alice.fetch(&house.at("/")).await.status(), 503);
    assert_eq!(messages(&news()), ["the session store cannot answer"]);
    store.be(Mood::Well);

    assert_eq!(alice.send("POST", &house.at("/_hero/auth/logout"), &FETCH, "").await.status(), 200);
    let told = news();
    assert_eq!(messages(&told), ["signed out"]);
    assert_eq!(told[0]["session"].as_str().unwrap().len(), 8);
}
