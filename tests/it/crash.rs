//! A fault of the program's own: a panic ends the request that it happens in, and nothing else.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::support::browser::{FETCH, NAVIGATION};
use crate::support::echo::{Gate, Step, ok};
use crate::support::house::{Plan, TestHouse};
use crate::support::logs::Logs;
use crate::support::raw::RawClient;

/// Holds: K10.
#[tokio::test]
async fn a_panic_is_a_500_of_that_request_and_nobody_elses_affair() {
    let gate = Gate::closed();
    let held = gate.clone();
    let house = TestHouse::start_before(Plan::default(), move |seen| {
        let wait = seen.target().starts_with("/slow");
        [if wait { vec![Step::Wait(held.clone())] } else { Vec::new() }, ok("app")].concat()
    })
    .await;
    let (fuse, door) = (house.plan.fuse.clone(), house.address);
    let alice = house.signed_in("alice").await;
    let cookies = alice.cookie_line(house.host());
    let head = format!("Host: {}\r\nCookie: {cookies}\r\n", house.authority());

    // Somebody else's request is under way, and one's own connection has served before.
    let mut other = RawClient::tcp(door).await;
    other.send(format!("GET /slow HTTP/1.1\r\n{head}\r\n")).await;
    house
        .echo
        .until("the other request arrives", |echo| echo.seen().iter().any(|seen| seen.target() == "/slow"))
        .await;
    let mut client = RawClient::tcp(door).await;
    assert_eq!(client.ask(format!("GET /before HTTP/1.1\r\n{head}\r\n")).await.status, 200);

    let logs = Logs::listen();
    let asked_before = house.echo.seen().len();
    // At once, where the request is decided; and later, in the work that a request waits for.
    for (path, reader) in [("/x", &FETCH[..]), ("/x", &NAVIGATION), ("/_hero/auth/whoami", &FETCH)] {
        fuse.store(true, Ordering::SeqCst);
        let lines: String = reader.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let answer =
            client.ask(format!("GET {path} HTTP/1.1\r\n{head}{lines}X-Request-Id: mine-1\r\n\r\n")).await;
        let text = answer.text();
        assert_eq!(answer.status, 500, "{path}: {text}");
        assert_eq!(answer.value("x-request-id"), Some("mine-1"));
        assert_eq!(answer.value("cache-control"), Some("no-store"));
        assert!(text.contains("mine-1") && text.contains("internal_error"), "{text}");
        let kind = if reader == NAVIGATION { "text/html; charset=utf-8" } else { "application/problem+json" };
        assert_eq!(answer.value("content-type"), Some(kind));
        assert!(!text.contains("hush") && !text.contains(".rs") && !text.contains("panic"), "{text}");
        assert!(!fuse.load(Ordering::SeqCst), "it did panic");
    }
    assert_eq!(house.echo.seen().len(), asked_before, "what crashed went nowhere");
    let told = logs.events("a panic ended this request");
    assert_eq!(told.len(), 3, "{}", logs.text());
    assert!(
        told.iter().all(|event| event["request_id"] == "mine-1" && event["level"] == "ERROR"),
        "{told:?}"
    );
    let lines: Vec<Value> = logs.events("request");
    assert!(lines.iter().all(|line| line["status"] == 500), "{lines:?}");
    assert!(!logs.text().contains("hush"), "{}", logs.text());

    // The same connection goes on, and so does the other request.
    assert_eq!(client.ask(format!("GET /after HTTP/1.1\r\n{head}\r\n")).await.status, 200);
    gate.open();
    assert_eq!(other.answer().await.status, 200);
}
