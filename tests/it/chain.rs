//! More than one hero_proxy on a request's way: two in a row are two hops, and one twice is a loop.

use std::net::SocketAddr;

use crate::support::echo::Seen;
use crate::support::house::{Plan, TestHouse};
use crate::support::raw::RawClient;

fn public(upstream: &str) -> Plan {
    let route = format!("[[routes]]\npath = \"/\"\nupstream = {upstream:?}\npublic = true\n");
    Plan { routes: Some(route), public_url: Some("http://localhost:1".to_owned()), ..Plan::default() }
}

async fn ask(address: SocketAddr, accept: &str) -> (u16, String) {
    let request = format!("GET /x HTTP/1.1\r\nHost: localhost:1\r\nAccept: {accept}\r\n\r\n");
    let answer = RawClient::tcp(address).await.ask(request).await;
    (answer.status, answer.text())
}

fn hops(seen: &Seen) -> Vec<String> {
    seen.values("via").iter().flat_map(|line| line.split(", ")).map(str::to_owned).collect()
}

/// Holds: P5.
#[tokio::test]
async fn two_in_a_row_are_no_loop_and_a_way_back_to_oneself_is_one() {
    let mut last = TestHouse::start(public("ECHO")).await;
    let middle = TestHouse::start(public(&format!("http://{}", last.address))).await;
    let first = TestHouse::start(public(&format!("http://{}", middle.address))).await;
    assert_eq!(ask(first.address, "*/*").await, (200, "app".to_owned()));
    let way = hops(&last.echo.only());
    assert_eq!(way.len(), 3, "{way:?}");
    assert!(way.iter().all(|hop| hop.starts_with("1.1 hero_proxy-")), "{way:?}");
    assert!(way[0] != way[1] && way[1] != way[2] && way[0] != way[2], "each has a name of its own: {way:?}");

    // The last one is told to send everything to the first: round and round, but not for long.
    let first_address = first.address;
    last.reload(|plan| *plan = public(&format!("http://{first_address}")));
    for house in [&first, &middle, &last] {
        let (status, text) = ask(house.address, "*/*").await;
        assert!(status == 508 && text.contains("proxy_loop"), "{status} {text}");
    }
    // And one that leads to itself at once; a person gets a page about it.
    let own = last.address;
    last.reload(|plan| *plan = public(&format!("http://{own}")));
    let (status, text) = ask(last.address, "text/html").await;
    assert!(status == 508 && text.contains("<title>") && text.contains("proxy_loop"), "{status} {text}");
    assert_eq!(last.echo.seen().len(), 1);
}
