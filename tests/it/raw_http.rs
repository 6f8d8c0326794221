//! The tools themselves: what ECHO keeps and what the raw client reads is what stood on the wire.

use crate::support::echo::{Echo, Gate, Step, canned, ok};
use crate::support::raw::RawClient;

#[tokio::test]
async fn echo_keeps_the_bytes_of_each_request() {
    let echo = Echo::tcp(|seen| ok(seen.target())).await;
    let mut client = RawClient::tcp(echo.address.unwrap()).await;
    let first = "GET /a?b=%2F HTTP/1.1\r\nhost: x\r\nX-Two: 1\r\nx-TWO:2\r\nX_Two: 3\r\n\r\n";
    let second = "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = "3\r\nabc\r\n0\r\nX-Trailer: t\r\n\r\n";

    assert_eq!(client.ask(first).await.text(), "/a?b=%2F");
    assert_eq!(client.ask(format!("{second}{chunks}")).await.text(), "/up");

    let seen = echo.seen();
    assert_eq!(seen[0].head, first);
    assert_eq!(seen[0].values("x-two"), ["1", "2"]);
    assert_eq!(seen[0].names(), ["host", "x-two", "x-two", "x_two"]);
    assert_eq!((seen[1].head.as_str(), seen[1].body.as_slice()), (second, chunks.as_bytes()));
    assert_eq!(echo.connections(), 1);
    assert_eq!(echo.bytes(0), format!("{first}{second}{chunks}"));
}

#[tokio::test]
async fn the_raw_client_tells_a_whole_body_from_a_cut_one() {
    let gate = Gate::closed();
    let held = gate.clone();
    let echo = Echo::tcp(move |seen| match seen.target() {
        "/chunked" => {
            canned("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n")
        }
        "/held" => vec![Step::Wait(held.clone()), Step::send("HTTP/1.1 204 No Content\r\n\r\n")],
        _ => vec![Step::send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"), Step::Close],
    })
    .await;
    let mut client = RawClient::tcp(echo.address.unwrap()).await;

    let chunked = client.ask("GET /chunked HTTP/1.1\r\n\r\n").await;
    assert_eq!((chunked.text().as_str(), chunked.whole, chunked.trailers.len()), ("hi", true, 1));
    client.send("GET /held HTTP/1.1\r\n\r\n").await;
    echo.until("the request arrives", |echo| echo.seen().len() == 2).await;
    gate.open();
    assert_eq!(client.answer().await.status, 204);
    let cut = client.ask("GET /cut HTTP/1.1\r\n\r\n").await;
    assert_eq!((cut.text().as_str(), cut.whole), ("cut", false));
    assert!(client.is_closed().await);
}
