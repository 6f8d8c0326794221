//! What is told of the things that an operator must be able to look up: one event each, with the request's id.

use hero_proxy::forge::fake::{Endpoint, Fault};

use crate::support::browser::FETCH;
use crate::support::house::{Plan, TestHouse};
use crate::support::logs::Logs;
use crate::support::moody::{Mood, Moody};
use crate::support::raw::RawClient;

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

/// Holds: K9, K11.
#[tokio::test]
async fn a_refusal_is_told_with_its_code_under_the_id_that_the_client_got() {
    let plan = Plan::default().with("limits", "max_target_size = \"1KiB\"\nmax_body_size = \"1KiB\"");
    let house = TestHouse::start(plan).await;
    let ours = format!("Host: {}\r\n", house.authority());
    let long = "x".repeat(2000);
    let cases = [
        // At the server's edge.
        ("GET / HTTP/1.1\r\n".to_owned(), 400, "bad_host"),
        (format!("GET / HTTP/1.1\r\n{ours}{ours}"), 400, "bad_host"),
        (format!("GET admin HTTP/1.1\r\n{ours}"), 400, "bad_target"),
        (format!("TRACE / HTTP/1.1\r\n{ours}"), 405, "method_not_allowed"),
        (format!("GET /{long} HTTP/1.1\r\n{ours}"), 414, "target_too_long"),
        (format!("GET / HTTP/1.1\r\n{ours}Cookie: a={}\r\n", "y".repeat(64 * 1024)), 431, "head_too_large"),
        (format!("POST / HTTP/1.1\r\n{ours}Content-Length: 2000\r\n"), 413, "request_body_too_large"),
        // At the gate.
        ("GET / HTTP/1.1\r\nHost: elsewhere.example\r\n".to_owned(), 421, "unknown_host"),
        (format!("GET /%zz HTTP/1.1\r\n{ours}"), 400, "bad_path"),
        (format!("POST /x HTTP/1.1\r\n{ours}"), 401, "sign_in_required"),
        (format!("GET /_hero/auth/callback?state=x HTTP/1.1\r\n{ours}"), 400, "callback_malformed"),
    ];
    let logs = Logs::listen();
    for (head, status, reason) in cases {
        for (accept, kind) in
            [("text/html", "text/html; charset=utf-8"), ("application/json", "application/problem+json")]
        {
            for sent in ["", "X-Request-Id: mine-1\r\n", "X-Request-Id: not mine\r\n"] {
                let told_before = logs.events("request").len();
                let mut client = RawClient::tcp(house.address).await;
                let answer = client.ask(format!("{head}Accept: {accept}\r\n{sent}\r\n")).await;
                let what = format!("{head} {accept} {sent} {}", answer.text());
                assert_eq!((answer.status, answer.value("content-type")), (status, Some(kind)), "{what}");
                let id = answer.value("x-request-id").unwrap();
                assert_eq!(id == "mine-1", sent.contains("mine-1"), "{what}");
                assert!(id == "mine-1" || id.len() == 32, "{what}");
                assert!(answer.text().contains(id) && answer.text().contains(reason), "{what}");
                assert_eq!(answer.value("cache-control"), Some("no-store"), "{what}");
                let line = &logs.events("request")[told_before..];
                assert_eq!(line.len(), 1, "{what}: {line:?}");
                assert_eq!(
                    (&line[0]["request_id"], &line[0]["status"], &line[0]["reason"], &line[0]["peer"]),
                    (&id.into(), &status.into(), &reason.into(), &"127.0.0.1".into()),
                    "{what}"
                );
            }
        }
    }
    assert!(house.echo.is_untouched());
    // What the app says is the app's, and has no code of ours.
    let mut alice = house.signed_in("alice").await;
    assert_eq!(alice.fetch(&house.at("/")).await.status(), 200);
    assert_eq!(logs.events("request").pop().unwrap().get("reason"), None);
}

/// Holds: K9, K11.
#[tokio::test]
async fn what_never_became_a_request_is_explained_like_everything_else_and_is_no_access() {
    let house = TestHouse::start(Plan::default()).await;
    let ours = format!("Host: {}\r\n", house.authority());
    let logs = Logs::listen();
    let (as_it_is, cookies) = ("as it is will not help", "this site's cookies");
    for (bytes, status, reason, advice) in [
        (format!("GET / HTTP/1.1\r\n{ours}Bad : x\r\n\r\n"), 400, "bad_syntax", as_it_is),
        (
            format!("GET / HTTP/1.1\r\n{ours}{}\r\n", "X: y\r\n".repeat(100)),
            431,
            "too_many_headers",
            as_it_is,
        ),
        (
            format!("GET / HTTP/1.1\r\n{ours}X: {}\r\n", "y".repeat(128 * 1024)),
            431,
            "head_too_large",
            cookies,
        ),
        (format!("GET /{} HTTP/1.1\r\n{ours}\r\n", "x".repeat(65 * 1024)), 414, "target_too_long", as_it_is),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505, "http2", as_it_is),
    ] {
        let mut client = RawClient::tcp(house.address).await;
        let answer = client.ask(&bytes).await;
        assert!(client.is_closed().await, "{reason}");
        let id = answer.value("x-request-id").unwrap();
        assert_eq!(id.len(), 32, "{reason}");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (&problem["reason"], &problem["status"], &problem["request_id"], &problem["type"]),
            (&reason.into(), &status.into(), &id.into(), &format!("urn:hero-proxy:{reason}").into())
        );
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(advice)), "{problem}");
        for (name, value) in [
            ("content-type", "application/problem+json"),
            ("connection", "close"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-length", &answer.body.len().to_string()),
        ] {
            assert_eq!(answer.value(name), Some(value), "{reason}");
        }
        assert_eq!((answer.status, answer.whole, answer.value("date").is_some()), (status, true, true));
        let told = logs.events("a request that is none was refused").pop().unwrap();
        assert_eq!(
            (&told["reason"], &told["request_id"], &told["status"], &told["peer"], &told["level"]),
            (&reason.into(), &id.into(), &status.into(), &"127.0.0.1".into(), &"INFO".into())
        );
    }
    assert_eq!(logs.events("a request that is none was refused").len(), 5);
    assert_eq!(logs.events("request").len(), 0, "there was none");
    assert!(house.echo.is_untouched());
}
