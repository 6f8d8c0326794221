//! What takes its time hangs on the session that it was asked for with: events, long downloads.

use std::time::Duration;

use crate::support::browser::{Browser, Page};
use crate::support::echo::{Gate, Seen, Step, ok};
use crate::support::house::{Plan, TestHouse};
use crate::support::raw::{RawAnswer, RawClient};
use crate::support::soon;

const EVENT: &str = "7\r\ndata: \n\r\n";
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: \n\r\n";
/// More than all buffers on the way hold.
const LENGTH: u64 = 64 * 1024 * 1024;

/// Events, the second one when the test says so; a download; anything else is a page.
fn app(second: &Gate) -> impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static {
    let second = second.clone();
    move |seen| match seen.target() {
        "/events" | "/public/events" => {
            vec![Step::send(EVENTS), Step::Wait(second.clone()), Step::send(EVENT)]
        }
        "/download" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            vec![Step::send(head), Step::Flood(LENGTH)]
        }
        _ => ok("app"),
    }
}

/// An answer under way.
struct Lasting {
    client: RawClient,
    answer: RawAnswer,
}

impl Lasting {
    /// Asks as this browser does, and reads up to the first piece.
    async fn begin(house: &TestHouse, browser: &Browser, path: &str) -> Self {
        let (name, session) = (house.cookies().session, house.session(browser).unwrap_or_default());
        let mut client = RawClient::tcp(house.address).await;
        let host = house.authority();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {name}={session}\r\n\r\n")).await;
        let answer = client.head().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut lasting = Self { client, answer };
        if path.ends_with("/events") {
            assert!(lasting.goes_on().await);
        }
        lasting
    }

    /// Whether there is one more event; else the connection has ended without the answer's end.
    async fn goes_on(&mut self) -> bool {
        let more = soon("an event or the end", self.client.chunk(&mut self.answer)).await.is_some();
        assert!(!self.answer.whole, "cut off is not done");
        more
    }
}

async fn sign_out(house: &TestHouse, browser: &mut Browser) -> Page {
    browser.send("POST", &house.at("/_hero/auth/logout"), &[("Sec-Fetch-Site", "same-origin")], "").await
}

async fn house(plan: Plan) -> (TestHouse, Gate) {
    let second = Gate::closed();
    let routes = "[[routes]]\npath = \"/\"\nupstream = \"ECHO\"\nforge_token = true\n\
                  [[routes]]\npath = \"/public/\"\nupstream = \"ECHO\"\npublic = true\n";
    let plan = Plan { routes: Some(routes.to_owned()), ..plan };
    (TestHouse::start_before(plan, app(&second)).await, second)
}

/// Holds: S13 (an answer under way, of this session alone).
#[tokio::test]
async fn an_answer_under_way_breaks_off_when_its_session_is_ended_and_no_other_does() {
    let (house, second) = house(Plan::default()).await;
    let (mut here, there, bob) =
        (house.signed_in("alice").await, house.signed_in("alice").await, house.signed_in("bob").await);
    let mut mine =
        [Lasting::begin(&house, &here, "/events").await, Lasting::begin(&house, &here, "/events").await];
    let mut others = [
        Lasting::begin(&house, &there, "/events").await,
        Lasting::begin(&house, &bob, "/events").await,
        Lasting::begin(&house, &house.browser(), "/public/events").await,
    ];
    assert_eq!(sign_out(&house, &mut here).await.status(), 200);
    for lasting in &mut mine {
        assert!(!lasting.goes_on().await);
    }
    second.open();
    for lasting in &mut others {
        assert!(lasting.goes_on().await);
    }
    let asked = house.echo.seen().into_iter().filter(|seen| seen.target() == "/events");
    for seen in asked.take(mine.len()) {
        soon("the app is let go", house.echo.ended(seen.connection)).await;
    }
}

/// Holds: S13 (a download, read and not read).
#[tokio::test]
async fn a_download_is_cut_short_and_does_not_look_complete() {
    let (house, _) = house(Plan::default()).await;
    let mut here = house.signed_in("alice").await;
    let mut read = Lasting::begin(&house, &here, "/download").await;
    let unread = Lasting::begin(&house, &here, "/download").await;
    assert_eq!(sign_out(&house, &mut here).await.status(), 200);
    for seen in house.echo.seen().into_iter().filter(|seen| seen.target() == "/download") {
        soon("the app is let go", house.echo.ended(seen.connection)).await;
    }
    read.client.body(&mut read.answer).await;
    assert!(!read.answer.whole && (read.answer.body.len() as u64) < LENGTH);
    drop(unread);
}

/// Holds: S13, S5, R16 (of another process; of a session's time; of an account that may not act any more).
#[tokio::test]
async fn an_end_that_no_request_of_this_process_made_breaks_it_off_as_well() {
    let (house, _) = house(Plan { store: "sqlite", ..Plan::default() }).await;
    let twin = house.twin().await;

    let mut here = house.signed_in("alice").await;
    let mut lasting = Lasting::begin(&house, &here, "/events").await;
    here.learn(&house.authority(), twin.address);
    assert_eq!(sign_out(&house, &mut here).await.status(), 200);
    house.pass_near();
    assert!(!lasting.goes_on().await, "at another process");

    let bob = house.signed_in("bob").await;
    let mut lasting = Lasting::begin(&house, &bob, "/events").await;
    house.forge.suspend("bob", true).unwrap();
    house.clock.advance(Duration::from_mins(5));
    assert!(!lasting.goes_on().await, "suspended");

    let here = house.signed_in("alice").await;
    let mut lasting = Lasting::begin(&house, &here, "/events").await;
    house.clock.advance(Duration::from_hours(24 * 7));
    assert!(!lasting.goes_on().await, "not used for too long");
}

/// Holds: S13 (the token's end is not the session's).
#[tokio::test]
async fn an_answer_goes_on_while_tokens_come_and_go() {
    let (house, second) = house(Plan::default()).await;
    let mut here = house.signed_in("alice").await;
    let mut lasting = Lasting::begin(&house, &here, "/events").await;
    for _ in 0..5 {
        house.clock.advance(Duration::from_mins(50));
        assert_eq!(here.fetch(&house.at("/")).await.status(), 200);
        house.settle().await;
    }
    second.open();
    assert!(lasting.goes_on().await);
}
