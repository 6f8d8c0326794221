//! The examples under docs/examples do what they say. They are the same files that `cargo run --example` builds.
#![allow(clippy::duplicate_mod, reason = "each example is a program of its own")]
#![allow(dead_code, clippy::print_stdout, clippy::print_stderr, reason = "the examples' own main functions")]

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use url::Url;

use crate::support::browser::Browser;
use crate::support::raw::{RawAnswer, RawClient};
use crate::support::soon;

#[path = "../../docs/examples/axum.rs"]
mod in_axum;
#[path = "../../docs/examples/hyper_local.rs"]
mod on_one_thread;
#[path = "../../docs/examples/hyper_multi.rs"]
mod on_threads;
#[path = "../../docs/examples/plain.rs"]
mod plain;
#[path = "../../docs/examples/stream.rs"]
mod stream;

const SPOOFED: &str = "X-Hero-User: mallory\r\nx_hero_user: mallory\r\nX-Hero-Forge-Token: stolen\r\n";

async fn get(port: u16, target: &str, more: &str) -> RawAnswer {
    let mut client = RawClient::tcp(([127, 0, 0, 1], port).into()).await;
    let head = format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n{more}\r\n");
    soon("an answer", client.ask(head)).await
}

/// What the gate does for every server that it is mounted in.
async fn gate_is_shut_and_open_where_it_should_be(port: u16, forge: &str) {
    let page = get(port, "/", "Accept: text/html\r\n").await;
    let location = page.value("location").unwrap_or_default();
    assert_eq!(page.status, 303);
    assert!(location.starts_with(&format!("{forge}login/oauth/authorize?")), "{}", location);
    let program = get(port, "/", SPOOFED).await;
    assert_eq!((program.status, program.value("content-type")), (401, Some("application/problem+json")));
    let own = get(port, "/_hero/auth/whoami", "").await;
    assert_eq!(own.status, 401, "the gate's own endpoints answer below any router");
    let open = get(port, "/open", SPOOFED).await;
    assert!(open.status == 200 && open.text().starts_with("hello, nobody"), "{}", open.text());
}

#[tokio::test]
async fn the_layer_mounts_in_a_plain_service_builder() {
    let fake = plain::fake::start("http://localhost:8080").await.unwrap();
    let keeper = fake.section.keeper().unwrap();
    let ask = |path: &str| {
        let request =
            Request::get(path).header(header::HOST, "localhost:8080").header("x-hero-user", "mallory");
        plain::ask(keeper.clone(), request.header(header::ACCEPT, "text/html").body(Full::default()).unwrap())
    };
    assert_eq!(ask("/").await.status(), StatusCode::SEE_OTHER);
    let open = ask("/open").await.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(open, "hello, nobody");
}

#[tokio::test]
async fn the_layer_mounts_around_an_axum_router() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let fake = in_axum::fake::start(&format!("http://localhost:{port}")).await.unwrap();
    let server = tokio::spawn(in_axum::serve(listener, fake.section.keeper().unwrap()));
    gate_is_shut_and_open_where_it_should_be(port, fake.forge.url().as_str()).await;
    let open = get(port, "/open", "X-Forwarded-For: 203.0.113.9\r\n").await;
    assert_eq!(
        open.text(),
        "hello, nobody from 127.0.0.1",
        "the peer is the connection's, not the client's word"
    );
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_layer_mounts_under_hyper_on_several_threads() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let fake = on_threads::fake::start(&format!("http://localhost:{port}")).await.unwrap();
    let server = tokio::spawn(on_threads::serve(listener, fake.section.keeper().unwrap()));
    gate_is_shut_and_open_where_it_should_be(port, fake.forge.url().as_str()).await;
    server.abort();
}

/// Neither the gatekeeper nor the service behind the gate is `Send`.
#[tokio::test]
async fn the_layer_mounts_on_one_thread_before_a_service_that_cannot_leave_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asking = async {
        assert_eq!(get(port, "/", SPOOFED).await.status, 401);
        assert_eq!(get(port, "/", "Cookie: toy=mallory\r\n").await.status, 403);
        let answer = get(port, "/", &format!("Cookie: toy=alice\r\n{SPOOFED}")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "[\"alice\"], visit 1"));
        assert_eq!(answer.value("cache-control"), Some("private"));
    };
    let both = async {
        tokio::select! {
            ended = on_one_thread::serve(listener) => panic!("the server ended: {ended:?}"),
            () = asking => {}
        }
    };
    LocalSet::new().run_until(both).await;
}

/// Holds: S13 (what hangs on a session ends with it, over a real connection).
#[tokio::test]
async fn an_answer_that_goes_on_ends_with_its_session() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = Url::parse(&format!("http://localhost:{}", address.port())).unwrap();
    let fake = stream::fake::start(url.as_str().trim_end_matches('/')).await.unwrap();
    let server = tokio::spawn(stream::serve(listener, fake.section.keeper().unwrap()));
    let authority = format!("localhost:{}", address.port());
    let mut watching = Browser::knowing(&authority, address);
    let at_forge = watching.navigate(&url).await.location().unwrap();
    let callback = watching.at_forge(&at_forge, "alice", "wonderland-1865").await;
    assert_eq!(watching.navigate(&callback).await.status(), 303);
    let mut client = RawClient::tcp(address).await;
    let cookies = watching.cookie_line("localhost");
    let head = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nCookie: {cookies}\r\n\r\n");
    assert!(client.send(head).await);
    let mut answer = soon("the head", client.head()).await;
    let piece = soon("the first piece", client.chunk(&mut answer)).await;
    assert_eq!(piece.as_deref(), Some(b"it begins\n".as_slice()));
    let logout = url.join("/_hero/auth/logout").unwrap();
    assert_eq!(watching.send("POST", &logout, &[("Sec-Fetch-Site", "same-origin")], "").await.status(), 200);
    let piece = soon("the last piece", client.chunk(&mut answer)).await;
    assert_eq!(piece.as_deref(), Some(b"your session has ended\n".as_slice()));
    assert_eq!(soon("the end", client.chunk(&mut answer)).await, None);
    // Nobody waits where nobody is signed in.
    assert_eq!(get(address.port(), "/open", "").await.text(), "it begins\n");
    server.abort();
}
