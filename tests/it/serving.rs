//! The server alone: what a client may not do, what it costs, and how the server goes.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use hero_proxy::base::peer::Peer;
use hero_proxy::serve::settings::{Limits, Listen, Settings};
use hero_proxy::serve::{Listeners, Readiness, RequestBody};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};

use crate::support::bare::{Bare, Plain, http, settings};
use crate::support::echo::{Echo, Gate, Step, canned, ok};
use crate::support::logs::Logs;
use crate::support::raw::RawClient;
use crate::support::soon;

/// The line of the log about what is no request.
const REFUSED: &str = "a request that is none was refused";
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async fn limited(echo: &Echo, limits: Limits) -> Bare {
    Bare::limited(&settings([("/", http(echo))]), limits).await
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_and_one_that_says_half_a_head_is_told_why() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = limited(&echo, Limits { head_timeout: Duration::from_millis(700), ..Limits::default() }).await;
    let halves = ["PRI * ", "GET / HTTP/1.1\r\nHost: x\r\n"];
    for beginning in halves {
        let mut client = bare.client().await;
        client.send(beginning).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (408, "head_too_slow"), "{beginning:?}");
        assert!(client.is_closed().await, "{beginning:?}");
    }
    for beginning in halves {
        let mut client = bare.client().await;
        client.send(beginning).await;
        client.finish().await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (400, "head_broken"), "{beginning:?}");
        assert!(client.is_closed().await, "{beginning:?}");
    }
    for nothing in ["", "\r\n"] {
        let mut silent = bare.client().await;
        silent.send(nothing).await;
        assert!(silent.is_closed().await, "{nothing:?}");
    }
    let mut gone = bare.client().await;
    gone.finish().await;
    assert!(gone.is_closed().await, "came and went");
    assert!(echo.is_untouched());
    let mut kept = bare.client().await;
    assert_eq!(kept.ask(GET).await.status, 200);
    // Perhaps it was too late for its connection only; who sent it tries again.
    kept.send("GET / HTTP/1.1\r\nHost: x\r\n").await;
    assert!(kept.is_closed().await, "a kept connection without a further request");
}

#[tokio::test]
async fn a_body_that_stands_still_is_408_and_its_connection_ends() {
    let echo = Echo::tcp(|_| ok("")).await;
    let limits = Limits { client_idle_timeout: Duration::from_millis(100), ..Limits::default() };
    let mut client = limited(&echo, limits).await.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(client.answer().await.status, 408);
    assert!(client.is_closed().await);
    echo.ended(0).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_its_upstream_freed() {
    let length = 100_000_000;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let echo = Echo::tcp(move |_| vec![Step::send(&head), Step::Flood(length)]).await;
    let limits = Limits { client_idle_timeout: Duration::from_millis(100), ..Limits::default() };
    let mut client = limited(&echo, limits).await.client().await;
    client.send(GET).await;
    echo.ended(0).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_and_reaches_nobody_when_it_says_so() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = limited(&echo, Limits { max_body_bytes: 10, ..Limits::default() }).await;
    let mut client = bare.client().await;
    let answer = client.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n").await;
    assert_eq!((answer.status, answer.value("connection")), (413, Some("close")));
    assert_eq!(answer.text(), "request_body_too_large");
    assert!(client.is_closed().await);
    assert!(echo.is_untouched());

    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(bare.ask(format!("{head}a\r\n0123456789\r\n0\r\n\r\n")).await.status, 200);
    let mut client = bare.client().await;
    let answer = client.ask(format!("{head}a\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n")).await;
    assert_eq!(answer.status, 413);
    assert_eq!(echo.seen().iter().filter(|seen| seen.whole).count(), 1, "it is never whole at the backend");
}

#[tokio::test]
async fn heads_and_targets_have_a_longest_length() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = Bare::to(&echo).await;
    let target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(8192));
    assert_eq!(bare.ask(target).await.status, 414);
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(bare.ask(many).await.status, 431, "many");
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(64 * 1024));
    assert_eq!(bare.ask(long).await.status, 431, "long");
    assert!(echo.is_untouched());
    let target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(8191));
    assert_eq!(bare.ask(target).await.status, 200);
}

#[tokio::test]
async fn what_is_no_proper_request_reaches_nobody() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = Bare::to(&echo).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 405),
        ("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    ] {
        let mut client = bare.client().await;
        let answer = client.ask(request).await;
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(answer.value("allow").is_some(), status == 405);
        assert!(client.is_closed().await, "{request:?}");
    }
    assert!(echo.is_untouched());
}

#[tokio::test]
async fn what_never_becomes_a_request_gets_one_answer_that_says_why_and_a_line_that_quotes_nothing() {
    let echo = Echo::tcp(|_| ok("fine")).await;
    let bare = limited(&echo, Limits { max_head_bytes: 2000, max_headers: 20, ..Limits::default() }).await;
    let logs = Logs::listen();
    let head = |lines: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    let cases = [
        (head("canary7 : y\r\n"), 400, "bad_syntax"),
        (head("canary7\r\n"), 400, "bad_syntax"),
        (head("X: \x01canary7\r\n"), 400, "bad_syntax"),
        (head("Content-Length: canary7\r\n"), 400, "bad_syntax"),
        (head("Transfer-Encoding: canary7\r\n"), 400, "bad_syntax"),
        ("canary7\r\n\r\n".to_owned(), 400, "bad_syntax"),
        ("GET /\x01canary7 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400, "bad_syntax"),
        ("GET /canary7 HTTP/3.0\r\nHost: x\r\n\r\n".to_owned(), 400, "bad_syntax"),
        // Somebody speaks TLS.
        ("\x16\x03\x01\x02\x00\x01\x00\x01canary7".to_owned(), 400, "bad_syntax"),
        (head(&"canary7: y\r\n".repeat(20)), 431, "too_many_headers"),
        (head(&format!("X: canary7{}\r\n", "y".repeat(4000))), 431, "head_too_large"),
    ];
    for (request, status, reason) in cases {
        for is_kept in [false, true] {
            let what = format!("{request:?}, {is_kept}");
            let mut client = bare.client().await;
            if is_kept {
                assert_eq!(client.ask(GET).await.text(), "fine");
            }
            let (before, told_before) = (echo.seen().len(), logs.events(REFUSED).len());
            let answer = client.ask(&request).await;
            assert_eq!(
                (answer.status, answer.whole, answer.text().as_str()),
                (status, true, reason),
                "{what}"
            );
            assert_eq!(answer.value("connection"), Some("close"), "{what}");
            assert_eq!(answer.headers.len(), 3, "{what}: {:?}", answer.headers);
            assert!(answer.value("date").is_some(), "{what}");
            assert!(client.is_closed().await, "{what}");
            assert_eq!(echo.seen().len(), before, "{what}");
            let told = &logs.events(REFUSED)[told_before..];
            assert_eq!(told.len(), 1, "{what}: {told:?}");
            assert_eq!(
                (&told[0]["reason"], &told[0]["peer"]),
                (&reason.into(), &"127.0.0.1".into()),
                "{what}"
            );
        }
    }
    // hyper has a limit of its own for targets, where the operator lets heads be larger.
    let wide = limited(&echo, Limits { max_head_bytes: 256 * 1024, ..Limits::default() }).await;
    let target = format!("GET /canary7{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(64 * 1024));
    let answer = wide.ask(target).await;
    assert_eq!((answer.status, answer.text().as_str()), (414, "target_too_long"));
    assert_eq!(logs.events(REFUSED).pop().unwrap()["reason"], "target_too_long");
    // Who speaks HTTP/2 without asking is answered in what is spoken here: their programs know how that begins.
    let mut client = bare.client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (505, "http2"));
    assert!(client.is_closed().await);
    assert_eq!(logs.events(REFUSED).pop().unwrap()["reason"], "http2");
    assert!(echo.seen().iter().all(|seen| seen.target() == "/"), "nothing but the good ones");
    assert!(!logs.text().contains("canary7"), "{}", logs.text());
}

/// What is no request, behind one that is.
const GARBAGE: &str = "canary7\r\n\r\n";

/// Reads the answer to [`GARBAGE`], and that nothing comes behind it.
async fn explained(client: &mut RawClient, what: &str) {
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.whole),
        (400, "bad_syntax", true),
        "{what}: {answer:?}"
    );
    assert_eq!(answer.value("connection"), Some("close"), "{what}");
    assert!(client.is_closed().await, "{what}");
}

#[tokio::test]
async fn an_answer_before_what_is_no_request_comes_whole_and_as_it_is() {
    let large = "z".repeat(3_000_000);
    let length = large.len();
    let echo = Echo::tcp(move |seen| match seen.target() {
        "/empty" => canned("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        "/none" => canned("HTTP/1.1 204 No Content\r\n\r\n"),
        "/chunks" => {
            canned("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nch\r\n4\r\nunks\r\n0\r\n\r\n")
        }
        "/large" => canned(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{large}")),
        _ if seen.line().starts_with("HEAD") => canned("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
        _ => ok("fine"),
    })
    .await;
    let bare = Bare::to(&echo).await;
    for (method, path, status, length) in [
        ("GET", "/", 200, 4),
        ("HEAD", "/", 200, 0),
        ("GET", "/empty", 400, 0),
        ("GET", "/none", 204, 0),
        ("GET", "/chunks", 200, 6),
        ("GET", "/large", 200, length),
    ] {
        for times in [1, 3] {
            let what = format!("{method} {path} {times}");
            let good = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            let mut client = bare.client().await;
            client.send(format!("{}{GARBAGE}", good.repeat(times))).await;
            for _ in 0..times {
                let mut answer = client.head().await;
                if method != "HEAD" {
                    client.body(&mut answer).await;
                }
                assert_eq!((answer.status, answer.body.len()), (status, length), "{what}");
                assert_eq!(answer.value("connection"), None, "{what}");
            }
            explained(&mut client, &what).await;
        }
    }
    // In the version of the request before.
    let mut client = bare.client().await;
    let old = "GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
    client.send(format!("{old}{GARBAGE}")).await;
    assert_eq!(client.answer().await.text(), "fine");
    explained(&mut client, "1.0").await;
    // Expected to go on, and gone on.
    let mut client = bare.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.head().await.status, 100);
    client.send(format!("ab{GARBAGE}")).await;
    assert_eq!(client.answer().await.text(), "fine");
    explained(&mut client, "continue").await;
}

#[tokio::test]
async fn an_answer_that_was_there_before_its_request_had_ended_is_no_part_of_what_comes_behind() {
    let service = tower::service_fn(|request: Request<RequestBody>| async move {
        tokio::spawn(request.into_body().collect());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("early")))
    });
    let mut client = RawClient::tcp(served(service).await).await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234").await;
    assert_eq!(client.answer().await.text(), "early");
    client.send(format!("56789{GARBAGE}")).await;
    explained(&mut client, "early").await;
}

#[tokio::test]
async fn an_apps_own_bare_400_is_the_apps() {
    let service = tower::service_fn(|request: Request<RequestBody>| async move {
        let mut answer = Response::new(Full::<Bytes>::default());
        *answer.status_mut() = http::StatusCode::BAD_REQUEST;
        if request.uri().path() == "/close" {
            answer.headers_mut().insert("connection", http::HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(answer)
    });
    let address = served(service).await;
    let mut client = RawClient::tcp(address).await;
    for path in ["/", "/", "/close"] {
        let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(
            (answer.status, answer.value("content-length"), answer.text().as_str()),
            (400, Some("0"), "")
        );
        let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), if path == "/close" { 3 } else { 2 }, "{names:?}");
    }
    assert!(client.is_closed().await);
}

/// A server of this service alone.
async fn served<S>(service: S) -> std::net::SocketAddr
where
    S: tower::Service<Request<RequestBody>, Response = Response<Full<Bytes>>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    served_with(service, Limits::default()).await
}

/// The same, with limits.
async fn served_with<S>(service: S, limits: Limits) -> std::net::SocketAddr
where
    S: tower::Service<Request<RequestBody>, Response = Response<Full<Bytes>>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    serving(service, limits).await.0
}

/// The same, and the server itself.
async fn serving<S>(service: S, limits: Limits) -> (std::net::SocketAddr, hero_proxy::serve::Serve)
where
    S: tower::Service<Request<RequestBody>, Response = Response<Full<Bytes>>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let settings = Settings { listen, health: None, limits, unix_mode: 0o660 };
    let listeners = Listeners::bind(&settings).await.unwrap();
    let Listen::Tcp(address) = listeners.addresses()[0] else { panic!("a TCP address") };
    (address, listeners.serve(Plain(service), Readiness::of([])))
}

#[tokio::test]
async fn who_sends_on_behind_what_is_no_request_still_gets_all_of_the_answer() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = Bare::to(&echo).await;
    let mut client = bare.client().await;
    let line = format!("X: {}\r\n", "y".repeat(1000));
    assert!(client.send("GET / HTTP/1.1\r\nHost: x\r\nBad : x\r\n").await);
    for part in 0..900 {
        assert!(client.send(&line).await, "{part}");
    }
    explained(&mut client, "much more").await;
    // For ever is too long.
    let mut client = bare.client().await;
    client.send(GARBAGE).await;
    let more = vec![b'z'; 64 * 1024];
    soon("the end of it", async { while client.send(&more).await {} }).await;
    assert!(echo.is_untouched());
}

#[tokio::test]
async fn who_sends_on_behind_a_refused_head_still_gets_all_of_the_answer() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = limited(&echo, Limits { max_body_bytes: 10, ..Limits::default() }).await;
    let mut client = bare.client().await;
    assert!(client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n").await);
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "request_body_too_large"));
    assert!(client.is_closed().await);
    for part in 0..900 {
        assert!(client.send("z".repeat(1000)).await, "{part}");
    }
    assert!(echo.is_untouched());
}

#[tokio::test]
async fn who_sends_on_behind_an_answer_that_did_not_wait_for_the_body_still_gets_all_of_it() {
    let service = tower::service_fn(|request: Request<RequestBody>| async move {
        let said = match request.uri().path() {
            "/read" => request.into_body().collect().await.map_or("cut", |_| "whole"),
            _ => "early",
        };
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(said)))
    });
    let address = served_with(service, Limits { max_body_bytes: 10, ..Limits::default() }).await;
    let head = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (path, first, expected) in [
        ("/", "1\r\nz\r\n", "early"),
        ("/read", "b\r\nzzzzzzzzzzz\r\n", "cut"),
        ("/read", "no length\r\n", "cut"),
    ] {
        let mut client = RawClient::tcp(address).await;
        assert!(client.send(format!("{}{first}", head(path))).await);
        let part = format!("3e8\r\n{}\r\n", "z".repeat(1000));
        for number in 0..900 {
            assert!(client.send(&part).await, "{path} {first:?} {number}");
        }
        let answer = client.answer().await;
        assert_eq!((answer.text().as_str(), answer.whole), (expected, true), "{path} {first:?}");
        assert!(client.is_closed().await, "{path} {first:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_read_to_its_end_says_nothing_of_the_next_one() {
    let (ends, ended) = (Gate::closed(), Gate::closed());
    let (end, has_ended) = (ends.clone(), ended.clone());
    let service = tower::service_fn(move |request: Request<RequestBody>| {
        let (end, has_ended) = (end.clone(), has_ended.clone());
        async move {
            if request.uri().path() == "/first" {
                tokio::spawn(async move {
                    let body = request.into_body().collect();
                    end.passed().await;
                    drop(body.await);
                    has_ended.open();
                });
            } else {
                end.open();
                has_ended.passed().await;
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("early")))
        }
    });
    let mut client = RawClient::tcp(served(service).await).await;
    client.send("POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n01234").await;
    assert_eq!(client.answer().await.text(), "early");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n").await;
    let part = format!("3e8\r\n{}\r\n", "z".repeat(1000));
    for number in 0..900 {
        assert!(client.send(&part).await, "{number}");
    }
    assert_eq!(client.answer().await.text(), "early");
}

#[tokio::test]
async fn a_drain_does_not_listen_to_a_kept_connection_whose_body_was_passed_over() {
    let service = tower::service_fn(|_: Request<RequestBody>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("fine")))
    });
    let (address, serve) = serving(service, Limits::default()).await;
    let mut client = RawClient::tcp(address).await;
    for _ in 0..2 {
        assert_eq!(
            client.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").await.text(),
            "fine"
        );
    }
    assert!(serve.shutdown(Duration::from_secs(1)).await, "clean, and the client says nothing more");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn what_is_no_request_ends_no_other_connection() {
    let gate = Gate::closed();
    let held = gate.clone();
    let echo = Echo::tcp(move |_| [vec![Step::Wait(held.clone())], ok("fine")].concat()).await;
    let bare = Bare::to(&echo).await;
    let mut kept = bare.client().await;
    kept.send(GET).await;
    echo.until("the request arrives", |echo| echo.seen().len() == 1).await;
    for bytes in [GARBAGE, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00"] {
        let mut client = bare.client().await;
        client.send(bytes).await;
        assert!([400, 505].contains(&client.answer().await.status));
        assert!(client.is_closed().await);
    }
    gate.open();
    assert_eq!(kept.answer().await.text(), "fine");
    assert_eq!(kept.ask(GET).await.text(), "fine");
    assert_eq!(echo.seen().len(), 2);
}

#[tokio::test]
async fn a_host_in_the_target_counts_instead_of_the_header() {
    let echo = Echo::tcp(|_| ok("")).await;
    let bare = Bare::to(&echo).await;
    bare.ask("GET http://b.example:81/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(echo.only().target(), "/x?y");
    assert_eq!(echo.only().values("host"), ["b.example:81"]);
}

#[tokio::test]
async fn one_connection_more_than_allowed_waits_for_its_turn() {
    let gate = Gate::closed();
    let held = gate.clone();
    let echo = Echo::tcp(move |_| [vec![Step::Wait(held.clone())], ok("")].concat()).await;
    let bare = limited(&echo, Limits { max_connections: 1, ..Limits::default() }).await;
    let mut first = bare.client().await;
    first.send(GET).await;
    echo.until("the first request arrives", |echo| echo.seen().len() == 1).await;
    let mut second = bare.client().await;
    second.send("GET /second HTTP/1.1\r\nHost: x\r\n\r\n").await;
    gate.open();
    assert_eq!(first.answer().await.status, 200);
    // As long as the first connection lives, the second one is not served.
    assert_eq!(first.ask(GET).await.status, 200);
    assert_eq!(echo.seen().len(), 2);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
    assert_eq!(echo.seen().last().unwrap().target(), "/second");
}

#[tokio::test]
async fn a_request_carries_who_is_at_the_other_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let listen = vec!["127.0.0.1:0".parse().unwrap(), Listen::Unix(path.clone())];
    let settings = Settings { listen, health: None, limits: Limits::default(), unix_mode: 0o660 };
    let listeners = Listeners::bind(&settings).await.unwrap();
    let Listen::Tcp(address) = listeners.addresses()[0] else { panic!("a TCP address") };
    let service = tower::service_fn(|request: Request<RequestBody>| async move {
        let peer = match request.extensions().get::<Peer>().unwrap() {
            Peer::Ip(address) => address.ip().to_string(),
            Peer::Unix => "unix".to_owned(),
        };
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(peer)))
    });
    let serve = listeners.serve(Plain(service), Readiness::of([]));
    let by_tcp = RawClient::tcp(address).await.ask(GET).await;
    assert_eq!(by_tcp.text(), "127.0.0.1");
    assert_eq!(RawClient::unix(&path).await.ask(GET).await.text(), "unix");
    assert!(soon("shutdown", serve.shutdown(Duration::from_secs(5))).await);
    assert!(!path.exists());
}

/// Holds: V4 (the server's part: no new work, requests under way end).
#[tokio::test]
async fn a_drain_lets_requests_finish_and_takes_no_new_ones() {
    let gate = Gate::closed();
    let held = gate.clone();
    let echo = Echo::tcp(move |seen| match seen.target() {
        "/held" => vec![
            Step::send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nbeg"),
            Step::Wait(held.clone()),
            Step::send("inni"),
        ],
        _ => ok(""),
    })
    .await;
    let bare = Bare::to(&echo).await;
    let mut idle = bare.client().await;
    assert_eq!(idle.ask(GET).await.status, 200);
    let mut fresh = bare.client().await;
    let mut busy = bare.client().await;
    busy.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = busy.head().await;

    let address = bare.address;
    let drain = tokio::spawn(bare.serve.shutdown(Duration::from_secs(30)));
    assert!(idle.is_closed().await);
    fresh.send(GET).await;
    assert!(!fresh.more().await, "a connection without a request gets no answer any more");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(!drain.is_finished());
    gate.open();
    busy.body(&mut answer).await;
    assert_eq!((answer.text().as_str(), answer.whole), ("beginni", true));
    assert!(busy.is_closed().await);
    assert!(soon("the drain", drain).await.unwrap(), "all ended by itself");
}

/// Holds: V4 (the server's part: what does not end is cut).
#[tokio::test]
async fn a_drain_has_an_end() {
    let echo = Echo::tcp(|_| vec![]).await;
    let bare = Bare::to(&echo).await;
    let mut busy = bare.client().await;
    busy.send(GET).await;
    echo.until("the request arrives", |echo| echo.seen().len() == 1).await;
    let clean = soon("the drain", bare.serve.shutdown(Duration::from_millis(100))).await;
    assert!(!clean);
    assert!(busy.is_closed().await);
    echo.ended(0).await;
}

/// Holds: V6.
#[tokio::test]
async fn health_is_answered_on_its_own_listener_and_nowhere_else() {
    let echo = Echo::tcp(|seen| ok(seen.target())).await;
    let any: Listen = "127.0.0.1:0".parse().unwrap();
    let health = Some(any.clone());
    let server = Settings { listen: vec![any], health, limits: Limits::default(), unix_mode: 0o660 };
    let listeners = Listeners::bind(&server).await.unwrap();
    let (Listen::Tcp(public), Some(Listen::Tcp(health))) =
        (listeners.addresses()[0].clone(), listeners.health_address())
    else {
        panic!("TCP addresses");
    };
    let readiness = Readiness::of(["forge", "keys", "store"]);
    let forward = crate::support::bare::forward(&settings([("/", http(&echo))]));
    let serve = listeners.serve(Plain(forward), readiness.clone());
    let mut prober = RawClient::tcp(health).await;
    let live = "GET /livez HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-probe/1.30\r\n\r\n";
    let ready = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";

    let answer = prober.ask(ready).await;
    let starting = r#"{"ready":false,"reasons":{"forge":"starting","keys":"starting","store":"starting"}}"#;
    assert_eq!((answer.status, answer.text().as_str()), (503, starting));
    for part in ["forge", "keys", "store"] {
        readiness.up(part);
    }
    assert_eq!(prober.ask(ready).await.status, 200);
    readiness.down("store", "unreachable");
    let answer = prober.ask(ready).await;
    assert_eq!(answer.text(), r#"{"ready":false,"reasons":{"store":"unreachable"}}"#);
    assert_eq!(prober.ask(live).await.status, 200, "a store that is down is no reason to restart");
    assert_eq!(prober.ask("GET /livez/ HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 404);
    assert_eq!(prober.ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 404);
    let refused = RawClient::tcp(health).await.ask(GARBAGE).await;
    assert_eq!((refused.status, refused.value("content-type")), (400, Some("application/problem+json")));
    assert!(refused.text().contains(r#""reason":"bad_syntax""#), "{}", refused.text());
    assert_eq!(RawClient::tcp(public).await.ask(live).await.text(), "/livez", "it is the backend's there");

    let drain = tokio::spawn(serve.shutdown(Duration::from_secs(5)));
    assert!(soon("the drain", drain).await.unwrap());
    assert_eq!(readiness.missing().first().unwrap(), &("server", "stopping"));
}
