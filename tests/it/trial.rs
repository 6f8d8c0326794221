//! An app that is trusted to say that a token is invalid: one renewal and one second try, and no more than that whatever
//! it says.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hero_proxy::forge::fake::{Endpoint, Fault};

use crate::support::browser::{Browser, FETCH};
use crate::support::echo::{Seen, canned, ok};
use crate::support::house::{CLIENT_ID, Plan, TestHouse};

const REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"app\", error=\"invalid_token\"\r\n\
                       Content-Length: 4\r\n\r\ndead";

const ROUTES: &str = "[[routes]]\npath = \"/\"\nupstream = \"ECHO\"\nforge_token = true\nrenew_on_401 = true\n\
                      [[routes]]\npath = \"/doubted\"\nupstream = \"ECHO\"\nforge_token = true\n";

/// A house before an app that refuses these tokens, or all of them while `*` is among them.
struct Stage {
    house: TestHouse,
    dead: Arc<Mutex<HashSet<String>>>,
    alice: Browser,
}

impl Stage {
    async fn new() -> Self {
        Self::on("memory").await
    }

    async fn on(store: &'static str) -> Self {
        let dead: Arc<Mutex<HashSet<String>>> = Arc::default();
        let known = Arc::clone(&dead);
        let script = move |seen: &Seen| {
            let dead = known.lock().unwrap();
            let refused = seen.values("x-hero-forge-token").iter().any(|token| dead.contains(*token));
            if refused || dead.contains("*") { canned(REFUSAL) } else { ok("app") }
        };
        let plan = Plan { routes: Some(ROUTES.to_owned()), store, ..Plan::default() };
        let house = TestHouse::start_before(plan, script).await;
        let alice = house.signed_in("alice").await;
        // Tokens of one second may be the same bytes.
        house.clock.advance(Duration::from_secs(1));
        Self { house, dead, alice }
    }

    /// The app takes the token of the moment no more.
    fn kill_token(&self) -> String {
        let last = self.house.echo.seen().pop().unwrap();
        let token = last.values("x-hero-forge-token")[0].to_owned();
        self.dead.lock().unwrap().insert(token.clone());
        token
    }

    fn refuse_all(&self) {
        self.dead.lock().unwrap().insert("*".to_owned());
    }

    /// What the app sees, and how often the token endpoint is asked, while somebody sends this.
    async fn send(&mut self, method: &str, path: &str, body: &str) -> (u16, Vec<Seen>, usize) {
        let before = (self.house.echo.seen().len(), self.house.forge.count(Endpoint::Token));
        let page = self.alice.send(method, &self.house.at(path), &FETCH, body).await;
        self.house.settle().await;
        let seen = self.house.echo.seen().split_off(before.0);
        (page.status(), seen, self.house.forge.count(Endpoint::Token) - before.1)
    }
}

/// Holds: R15.
#[tokio::test]
async fn a_token_that_a_trusted_app_calls_invalid_is_renewed_once_and_the_request_sent_once_more() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let mut stage = Stage::new().await;
        let old = stage.kill_token();
        let (status, seen, calls) = stage.send(method, "/x?y=z", "").await;
        assert_eq!((status, seen.len(), calls), (200, 2, 1), "{method}");
        assert_eq!(seen[0].values("x-hero-forge-token"), [old.as_str()]);
        assert_ne!(seen[1].values("x-hero-forge-token"), [old.as_str()]);
        // Apart from the token it is the same request, with the same id.
        assert_eq!((seen[0].line(), seen[0].names()), (seen[1].line(), seen[1].names()));
        assert_eq!(seen[0].values("x-request-id"), seen[1].values("x-request-id"));
        let (status, seen, calls) = stage.send("GET", "/", "").await;
        assert_eq!((status, seen.len(), calls), (200, 1, 0), "the new one serves");
    }
}

/// Holds: R15.
#[tokio::test]
async fn a_request_that_cannot_be_sent_twice_is_sent_once_and_its_token_renewed_behind() {
    for (method, body) in [("POST", "x"), ("POST", ""), ("PATCH", ""), ("PUT", "x"), ("DELETE", "x")] {
        let mut stage = Stage::new().await;
        let old = stage.kill_token();
        let (status, seen, calls) = stage.send(method, "/", body).await;
        assert_eq!((status, seen.len(), calls), (401, 1, 1), "{method} {body:?}");
        let (status, seen, calls) = stage.send(method, "/", body).await;
        assert_eq!((status, seen.len(), calls), (200, 1, 0), "{method} {body:?}");
        assert_ne!(seen[0].values("x-hero-forge-token"), [old.as_str()]);
    }
}

/// Holds: R4, R15.
#[tokio::test]
async fn a_grant_that_was_revoked_at_the_forge_leads_to_a_sign_in() {
    let mut stage = Stage::new().await;
    stage.kill_token();
    stage.house.forge.revoke_grant("alice", CLIENT_ID).unwrap();
    let (status, seen, calls) = stage.send("GET", "/", "").await;
    assert_eq!((status, seen.len(), calls), (401, 1, 1));
    let page = stage.alice.fetch(&stage.house.at("/")).await;
    assert_eq!(page.reason().as_deref(), Some("sign_in_required"), "ours, and not the app's");
    let page = stage.alice.navigate(&stage.house.at("/")).await;
    assert_eq!((page.status(), stage.house.echo.seen().len()), (303, 2), "to the forge");
}

/// Holds: R15.
#[tokio::test]
async fn an_app_that_refuses_every_token_costs_one_renewal_in_a_minute_and_no_loop() {
    let mut stage = Stage::new().await;
    stage.refuse_all();
    for minute in 0..3 {
        let page = stage.alice.fetch(&stage.house.at("/doubted")).await;
        assert_eq!((page.status(), page.text().as_str()), (401, "dead"));
        let (status, seen, calls) = stage.send("GET", "/", "").await;
        assert_eq!((status, seen.len(), calls), (401, 2, 1), "minute {minute}");
        for _ in 0..10 {
            let (status, seen, calls) = stage.send("GET", "/", "").await;
            assert_eq!((status, seen.len(), calls), (401, 1, 0), "minute {minute}");
            stage.house.clock.advance(Duration::from_secs(5));
        }
        let page = stage.alice.fetch(&stage.house.at("/")).await;
        assert_eq!(page.text(), "dead", "the app's own answer");
        assert!(page.answer.value("www-authenticate").unwrap().contains("invalid_token"));
        stage.house.clock.advance(Duration::from_secs(10));
    }
}

/// Holds: R2, R15.
#[tokio::test]
async fn many_requests_with_one_refused_token_cost_one_renewal() {
    let stage = Stage::new().await;
    stage.kill_token();
    let before = stage.house.forge.count(Endpoint::Token);
    let mut visits = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (mut browser, url) = (stage.alice.clone(), stage.house.at("/"));
        visits.spawn(async move { browser.fetch(&url).await.status() });
    }
    while let Some(status) = visits.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(stage.house.forge.count(Endpoint::Token), before + 1);
}

/// Holds: R6, R15.
#[tokio::test]
async fn where_nobody_is_believed_or_the_forge_does_not_answer_the_apps_word_is_passed_on() {
    let mut stage = Stage::new().await;
    stage.kill_token();
    let (status, seen, calls) = stage.send("GET", "/doubted", "").await;
    assert_eq!((status, seen.len(), calls), (401, 1, 0), "off unless the route says so");
    stage.house.forge.break_next(Endpoint::Token, Fault::html(502), usize::MAX);
    let (status, seen, calls) = stage.send("GET", "/", "").await;
    assert_eq!((status, seen.len(), calls), (401, 1, 1));
    let (status, _, calls) = stage.send("GET", "/", "").await;
    assert_eq!((status, calls), (401, 0), "at rest");
    stage.house.forge.heal();
    stage.dead.lock().unwrap().clear();
    assert_eq!(stage.send("GET", "/", "").await.0, 200, "nobody was signed out");
}

/// Holds: R13, R15 (what an app says is said to all processes on the store).
#[tokio::test]
async fn an_app_that_refuses_every_token_costs_one_renewal_in_a_minute_over_all_processes() {
    let stage = Stage::on("sqlite").await;
    let twin = stage.house.twin().await;
    stage.refuse_all();
    let before = stage.house.forge.count(Endpoint::Token);
    for minute in 1..=3 {
        for second in 0..20 {
            let mut browser = stage.alice.clone();
            let address = if second % 2 == 0 { twin.address } else { stage.house.address };
            browser.learn(&stage.house.authority(), address);
            assert_eq!(browser.fetch(&stage.house.at("/")).await.text(), "dead", "the app's own answer");
            stage.house.clock.advance(Duration::from_secs(3));
        }
        assert_eq!(stage.house.forge.count(Endpoint::Token), before + minute);
    }
}
