//! A connection to the backend is used again only when both messages on it ended cleanly: else the next visitor would
//! read somebody else's answer, or speak with somebody else's words.

use crate::support::bare::Bare;
use crate::support::echo::{Echo, Seen, Step, canned, ok};

/// Answers each visitor with their own token, and misbehaves where it is told to.
fn script(seen: &Seen) -> Vec<Step> {
    let junk = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    match seen.target() {
        "/bad-chunk" => canned(format!("{chunked}3\r\nabc\r\nzz\r\n{junk}")),
        "/junk-after-chunks" => canned(format!("{chunked}3\r\nabc\r\n0\r\n\r\n{junk}")),
        "/junk-after-length" => canned(format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc{junk}")),
        // The body is not read: what comes after the head is taken for the next request.
        "/early" => vec![Step::send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")],
        "/large" => {
            vec![Step::send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"), Step::Flood(100_000_000)]
        }
        "/smuggled" => ok("poison"),
        _ => ok(&format!("for {}", seen.values("x-hero-forge-token").join("+"))),
    }
}

/// Two visitors come after what was done to connection 0: each gets their own answer.
async fn visitors_get_their_own(bare: &Bare, echo: &Echo, dirty: bool) {
    if dirty {
        echo.ended(0).await;
    }
    for visitor in ["alice", "bob"] {
        let head = format!("GET /mine HTTP/1.1\r\nHost: x\r\nX-Hero-Forge-Token: {visitor}\r\n\r\n");
        let answer = bare.ask(head).await;
        assert_eq!((answer.status, answer.text()), (200, format!("for {visitor}")));
        let seen = echo.seen().pop().unwrap();
        assert_eq!(seen.target(), "/mine");
        assert_eq!(seen.connection, usize::from(dirty), "whether the first connection was used again");
    }
    let smuggled = echo.seen().iter().filter(|seen| seen.target() == "/smuggled").count();
    assert_eq!(smuggled, 0, "{:?}", echo.seen());
}

/// Holds: P2.
#[tokio::test]
async fn a_clean_exchange_leaves_its_connection_for_the_next_visitor() {
    let echo = Echo::tcp(script).await;
    let bare = Bare::to(&echo).await;
    let chunked =
        "POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(bare.ask(chunked).await.status, 200);
    visitors_get_their_own(&bare, &echo, false).await;
}

/// Holds: P2.
#[tokio::test]
async fn an_answer_that_is_broken_or_has_junk_behind_it_spoils_its_connection() {
    for (path, whole) in [("/bad-chunk", false), ("/junk-after-chunks", true), ("/junk-after-length", true)] {
        let echo = Echo::tcp(script).await;
        let bare = Bare::to(&echo).await;
        let answer = bare.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!((answer.text().as_str(), answer.whole), ("abc", whole), "{path}");
        visitors_get_their_own(&bare, &echo, true).await;
    }
}

/// Holds: P2.
#[tokio::test]
async fn a_request_whose_chunks_are_malformed_spoils_its_connection() {
    let echo = Echo::tcp(script).await;
    let bare = Bare::to(&echo).await;
    let mut client = bare.client().await;
    client.send("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    echo.until("the first chunk arrives", |echo| echo.bytes(0).ends_with("3\r\nabc\r\n")).await;
    client.send("zz\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    assert!(client.is_closed().await);
    visitors_get_their_own(&bare, &echo, true).await;
}

/// Holds: P2.
#[tokio::test]
async fn junk_behind_a_request_reaches_no_backend() {
    let echo = Echo::tcp(script).await;
    let bare = Bare::to(&echo).await;
    let mut client = bare.client().await;
    let request = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(client.ask(format!("{request}\u{1}junk\r\n\r\n")).await.status, 200);
    assert_eq!(client.answer().await.status, 400);
    assert!(client.is_closed().await);
    assert!(!echo.bytes(0).contains("junk"));
    visitors_get_their_own(&bare, &echo, false).await;
}

/// Holds: P2.
#[tokio::test]
async fn an_early_answer_reaches_the_client_and_the_rest_of_the_body_nobody() {
    let echo = Echo::tcp(script).await;
    let bare = Bare::to(&echo).await;
    let mut client = bare.client().await;
    client.send("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    client.send("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(client.is_closed().await);
    visitors_get_their_own(&bare, &echo, true).await;
}

/// Holds: P2.
#[tokio::test]
async fn a_client_that_breaks_off_its_body_spoils_the_connection() {
    for framing in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n9\r\nabc"] {
        let echo = Echo::tcp(script).await;
        let bare = Bare::to(&echo).await;
        let mut client = bare.client().await;
        client.send(format!("POST /x HTTP/1.1\r\nHost: x\r\n{framing}")).await;
        echo.until("the beginning arrives", |echo| echo.bytes(0).contains("abc")).await;
        drop(client);
        visitors_get_their_own(&bare, &echo, true).await;
        assert!(!echo.seen()[0].whole);
    }
}

/// Holds: P2.
#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_spoils_its_connection() {
    let echo = Echo::tcp(script).await;
    let bare = Bare::to(&echo).await;
    let mut client = bare.client().await;
    client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    drop(client);
    visitors_get_their_own(&bare, &echo, true).await;
}
