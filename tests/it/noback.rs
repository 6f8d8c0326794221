//! Whatever goes wrong in front of the backend, the backend gets not one byte of it: one table of all the ways.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hero_proxy::base::clock::Clock;
use hero_proxy::base::entropy::{Entropy, OsEntropy};
use hero_proxy::base::seal::{KeyRing, SealKey};
use hero_proxy::forge::fake::{Endpoint, FakeSettings, Fault};
use hero_proxy::forge::oauth::HttpForge;
use hero_proxy::gate::body::Untrailed;
use hero_proxy::gate::keeper::Ports;
use hero_proxy::gate::{ForgeAuthLayer, ForgeKeeper};
use http::{Request, Response};
use http_body_util::Empty;
use tokio::runtime::Handle;
use tower::{Layer as _, ServiceExt as _, service_fn};
use url::Url;

use crate::support::browser::{Browser, FETCH, NAVIGATION};
use crate::support::house::{Plan, TestHouse};
use crate::support::moody::{Mood, Moody};
use crate::support::raw::RawClient;

const ROUTES: &str = r#"
[[routes]]
path = "/app"
upstream = "ECHO"
forge_token = true

[[routes]]
path = "/alice"
upstream = "ECHO"
allow = ["user:alice"]

[[routes]]
path = "/public"
upstream = "ECHO"
public = true
"#;

/// A house that nothing has passed yet, and its store.
struct Closed {
    house: TestHouse,
    store: Arc<Moody>,
}

impl Closed {
    async fn start() -> Self {
        Self::start_by(Plan::default()).await
    }

    async fn start_by(plan: Plan) -> Self {
        let store = Moody::new();
        let plan = Plan { routes: Some(ROUTES.to_owned()), own_store: Some(store.clone()), ..plan }
            .with("features", "without_token = \"unavailable\"")
            .with("limits", "max_body_size = \"1KiB\"\nmax_target_size = \"1KiB\"\nmax_headers = 30");
        Self { house: TestHouse::start(plan).await, store }
    }

    fn at(&self, path: &str) -> Url {
        self.house.at(path)
    }

    /// Somebody who has signed in and seen nothing yet; what is near is forgotten.
    async fn visitor(&self, login: &str) -> Browser {
        let mut browser = self.house.browser();
        let back = self.house.callback(&mut browser, "/app", login).await;
        assert_eq!(browser.navigate(&back).await.status(), 303);
        assert!(self.house.session(&browser).is_some());
        self.house.pass_near();
        browser
    }

    fn assert_no_byte(&self, what: &str) {
        assert!(self.house.echo.is_untouched(), "{what}: {:?}", self.house.echo.seen());
    }

    /// A request that comes to nothing, for this reason.
    async fn refused(&self, browser: &mut Browser, method: &str, path: &str, expected: (u16, &str)) {
        for headers in [&NAVIGATION[..], &FETCH] {
            let page = browser.send(method, &self.at(path), headers, "").await;
            let what = format!("{method} {path} {headers:?}");
            let told =
                if page.status() == 303 { "forge".to_owned() } else { page.reason().unwrap_or_default() };
            let (status, reason) = expected;
            let sent_to_forge = page.status() == 303 && reason == "sign_in_required" && headers == NAVIGATION;
            assert!(
                sent_to_forge || (page.status(), told.as_str()) == (status, reason),
                "{what}: {told} {page:?}"
            );
            self.assert_no_byte(&what);
        }
    }

    /// The same with bytes of one's own.
    async fn refused_raw(&self, request: &str, status: u16) {
        let answer = RawClient::tcp(self.house.address).await.ask(request).await;
        assert_eq!(answer.status, status, "{request:?}: {}", answer.text());
        self.assert_no_byte(request);
    }
}

/// Holds: G13 (what is malformed or misdirected).
#[tokio::test]
async fn nothing_malformed_or_misdirected_reaches_the_backend() {
    let closed = Closed::start().await;
    let visitor = closed.visitor("alice").await;
    let ours = closed.house.authority();
    let cookies = visitor.cookie_line(closed.house.host());
    let head = format!("Host: {ours}\r\nCookie: {cookies}\r\n");
    let (long, many) = ("x".repeat(2000), "X-A: b\r\n".repeat(40));
    let wide = format!("X-A: {}\r\n", "x".repeat(80_000));
    for (request, status) in [
        (format!("CONNECT {ours} HTTP/1.1\r\n{head}\r\n"), 405),
        (format!("TRACE /public HTTP/1.1\r\n{head}\r\n"), 405),
        (format!("OPTIONS * HTTP/1.1\r\n{head}\r\n"), 405),
        (format!("GET app HTTP/1.1\r\n{head}\r\n"), 400),
        (format!("GET /app%zz HTTP/1.1\r\n{head}\r\n"), 400),
        (format!("GET /public/%00 HTTP/1.1\r\n{head}\r\n"), 400),
        (format!("GET /app HTTP/1.1\r\nCookie: {cookies}\r\n\r\n"), 400),
        (format!("GET /app HTTP/1.0\r\nCookie: {cookies}\r\n\r\n"), 400),
        (format!("GET /app HTTP/1.1\r\nHost: {ours}\r\n{head}\r\n"), 400),
        (format!("GET /app HTTP/1.1\r\nHost: evil.example\r\nCookie: {cookies}\r\n\r\n"), 421),
        (format!("GET http://evil.example/app HTTP/1.1\r\n{head}\r\n"), 421),
        (format!("GET http://u@{ours}/app HTTP/1.1\r\n{head}\r\n"), 400),
        (format!("GET /nothing/here HTTP/1.1\r\n{head}\r\n"), 404),
        (format!("GET /appendix HTTP/1.1\r\n{head}\r\n"), 404),
        (format!("GET /app/{long} HTTP/1.1\r\n{head}\r\n"), 414),
        (format!("GET /app HTTP/1.1\r\n{head}{many}\r\n"), 431),
        (format!("GET /app HTTP/1.1\r\n{head}{wide}\r\n"), 431),
        (format!("POST /app HTTP/1.1\r\n{head}Content-Length: 2000\r\n\r\n"), 413),
        (
            format!("POST /app HTTP/1.1\r\n{head}Origin: https://evil.example\r\nContent-Length: 0\r\n\r\n"),
            403,
        ),
        (format!("POST /app HTTP/1.1\r\n{head}Sec-Fetch-Site: same-site\r\nContent-Length: 0\r\n\r\n"), 403),
        (format!("POST /app HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"), 400),
        (format!("POST /app HTTP/1.1\r\n{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("GET /app HTTP/1.1\r\n{head}X-A : b\r\n\r\n"), 400),
        (format!("GET /app HTTP/1.1\r\n{head}X-A: \0\r\n\r\n"), 400),
        (format!("GET /app HTTP/1.1\r\n{head} folded\r\n\r\n"), 400),
        (format!("GET /app\x01 HTTP/1.1\r\n{head}\r\n"), 400),
        (format!("GET /app HTTP/1.32\r\n{head}\r\n"), 400),
        (format!("nonsense\r\n{head}\r\n"), 400),
    ] {
        closed.refused_raw(&request, status).await;
    }
}

/// Holds: G13 (cookies, sessions, rules).
#[tokio::test]
async fn nobody_who_is_not_known_and_allowed_reaches_the_backend() {
    let closed = Closed::start().await;
    let names = closed.house.cookies();
    let host = closed.house.host().to_owned();
    let mut alice = closed.visitor("alice").await;
    let good = closed.house.session(&alice).unwrap();
    let flow = format!("{}abcdefgh", names.flow_prefix);
    for jar in [
        &[][..],
        &[(names.session.as_str(), "")],
        &[(&names.session, "x")],
        &[(&names.session, &good[1..])],
        &[(&names.session, &good), (&names.session, &good)],
        &[(&names.session, &good), (&names.session, "x")],
        &[(&names.session, &format!("\"{good}\""))],
        &[(&names.session, &"A".repeat(43))],
        &[(&names.session.to_uppercase(), &good)],
        &[(&flow, &good)],
        &[(&names.signed_out, &good)],
    ] {
        let mut browser = closed.house.browser();
        for (name, value) in jar {
            browser.plant(&host, name, value);
        }
        if jar.iter().any(|(name, _)| *name == names.signed_out) {
            let page = browser.navigate(&closed.at("/app")).await;
            assert_eq!((page.status(), page.reason().as_deref()), (401, Some("signed_out")));
        } else {
            closed.refused(&mut browser.clone(), "GET", "/app", (401, "sign_in_required")).await;
        }
        for method in ["POST", "HEAD", "OPTIONS", "DELETE"] {
            let page = browser.send(method, &closed.at("/app"), &[], "").await;
            assert_eq!(page.status(), 401, "{method} {jar:?}");
        }
        closed.assert_no_byte(&format!("{jar:?}"));
    }

    let mut bob = closed.visitor("bob").await;
    closed.refused(&mut bob, "GET", "/alice", (403, "not_allowed")).await;
    closed.refused(&mut bob, "GET", "/app/..;/alice", (403, "not_allowed")).await;
    let mut mallory = closed.visitor("mallory").await;
    closed.refused(&mut mallory, "GET", "/app", (403, "not_allowed")).await;

    // Signed out here; signed out elsewhere; idle for too long; as old as can be.
    let logout = closed.at("/_hero/auth/logout");
    let before = bob.clone();
    assert_eq!(bob.send("POST", &logout, &[], "").await.status(), 200);
    closed.refused(&mut before.clone(), "GET", "/app", (401, "sign_in_required")).await;
    closed.house.clock.advance(Duration::from_secs(7 * 24 * 3600));
    closed.refused(&mut alice, "GET", "/app", (401, "sign_in_required")).await;
}

/// Holds: G13, S8 (every store call that fails).
#[tokio::test]
async fn a_store_that_cannot_answer_lets_nobody_pass() {
    let closed = Closed::start().await;
    let mut alice = closed.visitor("alice").await;
    let mut tab = alice.clone();
    let back = closed.house.callback(&mut tab, "/_hero/auth/login?return_to=/app", "alice").await;
    closed.store.be(Mood::Down);
    for method in ["GET", "OPTIONS", "POST"] {
        closed.refused(&mut alice, method, "/app", (503, "store_unavailable")).await;
    }
    let down = (503, "store_unavailable");
    closed.refused(&mut alice, "GET", "/app//odd", down).await;
    closed.refused(&mut alice, "GET", "/_hero/auth/whoami", down).await;
    closed.refused(&mut alice.clone(), "POST", "/_hero/auth/logout", down).await;
    closed.refused(&mut alice.clone(), "POST", "/_hero/auth/logout?everywhere=true", down).await;
    closed.refused(&mut tab.clone(), "GET", back.as_str(), down).await;

    closed.store.be(Mood::Spoilt);
    closed.refused(&mut alice.clone(), "GET", "/app", (401, "sign_in_required")).await;
    closed.store.be(Mood::Well);
    closed.house.pass_near();
    assert_eq!(alice.fetch(&closed.at("/app")).await.status(), 200, "and then all is as it was");
}

/// How a forge answers on a bad day.
fn bad_days() -> Vec<Fault> {
    let json = |status, body: &str| Fault::json(status, body);
    vec![
        Fault::Close,
        Fault::html(200),
        Fault::html(502),
        json(200, ""),
        json(200, "{"),
        json(200, "null"),
        json(200, "{}"),
        json(400, r#"{"error":"invalid_client"}"#),
        json(400, r#"{"error":"unauthorized_client"}"#),
        json(400, r#"{"error":"invalid_grant"}"#),
        json(401, "{}"),
        json(429, "{}"),
        json(500, "{}"),
        Fault::Huge { bytes: 3 << 20 },
    ]
}

/// Holds: G13 (the forge at each step of a sign-in).
#[tokio::test]
async fn a_forge_that_fails_at_any_step_of_a_sign_in_lets_nobody_pass() {
    for endpoint in [Endpoint::Discovery, Endpoint::Token, Endpoint::Keys] {
        for fault in bad_days() {
            let closed = Closed::start().await;
            let what = format!("{endpoint:?} {fault:?}");
            let mut browser = closed.house.browser();
            if matches!(endpoint, Endpoint::Discovery) {
                closed.house.forge.break_next(endpoint, fault, usize::MAX);
                let page = browser.navigate(&closed.at("/app")).await;
                assert_eq!(page.status(), 503, "{what}");
                let link = browser.navigate(&closed.at("/_hero/auth/login")).await;
                assert_eq!(link.status(), 503, "{what}");
            } else {
                let back = closed.house.callback(&mut browser, "/app", "alice").await;
                closed.house.forge.break_next(endpoint, fault, usize::MAX);
                let page = browser.navigate(&back).await;
                assert!(matches!(page.status(), 502 | 503), "{what}: {}", page.text());
                assert_eq!(browser.navigate(&closed.at("/app")).await.status(), 303, "{what}");
            }
            assert_eq!(closed.house.session(&browser), None, "{what}");
            assert_eq!(browser.fetch(&closed.at("/app")).await.status(), 401, "{what}");
            closed.assert_no_byte(&what);
        }
    }
}

/// Holds: G13 (callbacks that are none).
#[tokio::test]
async fn no_odd_callback_lets_anybody_pass() {
    let closed = Closed::start().await;
    let mut browser = closed.house.browser();
    let back = closed.house.callback(&mut browser, "/app", "alice").await;
    let state = back.query_pairs().find(|(key, _)| key == "state").unwrap().1.into_owned();
    let long = "x".repeat(900);
    for query in [
        String::new(),
        "code=c".to_owned(),
        format!("state={state}"),
        format!("code=&state={state}"),
        format!("code=c&code=c&state={state}"),
        format!("code=c&state={state}&state={state}"),
        format!("code=c&error=access_denied&state={state}"),
        format!("error=access_denied&state={state}"),
        format!("error=%3Cscript%3E&state={state}&error_description=%3Cscript%3E"),
        format!("code=c&state={state}x"),
        "code=c&state=x".to_owned(),
        format!("code=c&state={state}&iss=https%3A%2F%2Fevil.example"),
        format!("code={long}&state={state}"),
        "access_token=x&token_type=bearer".to_owned(),
        "%zz=%".to_owned(),
    ] {
        let mut other = browser.clone();
        let page = other.navigate(&closed.at(&format!("/_hero/auth/callback?{query}"))).await;
        assert!((400..=503).contains(&page.status()), "{query}: {}", page.status());
        assert_eq!(closed.house.session(&other), None, "{query}");
        assert_eq!(other.fetch(&closed.at("/app")).await.status(), 401, "{query}");
        closed.assert_no_byte(&query);
    }
    // Two flow cookies of one name, in either order: somebody planted one.
    let name = browser.named(&closed.house.cookies().flow_prefix).pop().unwrap().0;
    for first in [false, true] {
        let mut other = if first { closed.house.browser() } else { browser.clone() };
        other.plant(closed.house.host(), &name, "planted");
        if first {
            let (name, value) = browser.named(&name).pop().unwrap();
            other.plant(closed.house.host(), &name, &value);
        }
        let page = other.navigate(&back).await;
        assert_eq!(
            (page.status(), page.reason().as_deref()),
            (400, Some("flow_unknown")),
            "planted first: {first}"
        );
        assert_eq!(closed.house.session(&other), None);
    }
    for method in ["POST", "HEAD", "PUT", "OPTIONS"] {
        for own in ["login", "callback", "whoami"] {
            let page = browser.send(method, &closed.at(&format!("/_hero/auth/{own}")), &[], "").await;
            assert_eq!((page.status(), page.answer.value("allow")), (405, Some("GET")), "{method} {own}");
        }
    }
    closed.assert_no_byte("methods");
}

/// Holds: G13 (tokens that cannot be had, where the operator wants a 503; a grant that has ended).
#[tokio::test]
async fn no_request_passes_without_the_token_that_its_operator_demands() {
    let fake = FakeSettings { token_lifetime: Duration::from_secs(300), ..FakeSettings::default() };
    let closed = Closed::start_by(Plan { fake, ..Plan::default() }).await;
    let mut alice = closed.visitor("alice").await;
    closed.house.clock.advance(Duration::from_secs(301));
    for fault in [Fault::Close, Fault::html(200), Fault::json(400, r#"{"error":"invalid_client"}"#)] {
        closed.house.forge.break_next(Endpoint::Token, fault, usize::MAX);
        closed.refused(&mut alice, "GET", "/app", (503, "token_unavailable")).await;
        closed.house.clock.advance(Duration::from_secs(20));
    }
    closed.store.be(Mood::Down);
    closed.house.clock.advance(Duration::from_secs(20));
    closed.refused(&mut alice, "GET", "/app", (503, "store_unavailable")).await;
    closed.store.be(Mood::Well);
    closed.house.forge.break_next(
        Endpoint::Token,
        Fault::json(400, r#"{"error":"invalid_grant"}"#),
        usize::MAX,
    );
    closed.refused(&mut alice, "GET", "/app", (401, "sign_in_required")).await;
}

/// The gate alone, behind somebody else's server, which may let more through than ours.
///
/// Holds: G13, M15, P4 (the layer by itself).
#[tokio::test]
async fn the_gate_relies_on_no_server_in_front_of_it() {
    let closed = Closed::start().await;
    let config = closed.house.house.config();
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let clock: Arc<dyn Clock> = Arc::new(closed.house.clock.clone());
    let ports = Ports {
        forge: Arc::new(HttpForge::new(config.forge.clone(), Arc::clone(&clock)).unwrap()),
        store: closed.store.clone(),
        keys: KeyRing::of(SealKey::random(&*entropy)),
        clock,
        entropy,
        handle: Handle::current(),
    };
    let passed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed);
    let backend = service_fn(move |_: Request<Untrailed<Empty<Bytes>>>| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let gate = ForgeAuthLayer::new(ForgeKeeper::new(config.gate.clone(), ports).unwrap()).layer(backend);
    let authority = closed.house.authority();
    let ours = authority.as_str();
    let absolute = format!("http://{ours}/public");
    for (method, target, hosts, status) in [
        ("CONNECT", "/public", &[ours][..], 405),
        ("TRACE", "/public", &[ours], 405),
        ("GET", "/public", &[], 400),
        ("GET", "/public", &[ours, ours], 400),
        ("GET", "/public", &[ours, "evil.example"], 400),
        ("GET", absolute.as_str(), &[ours, "evil.example"], 400),
        ("GET", "/public", &["evil.example"], 421),
        ("GET", "http://evil.example/public", &[ours], 421),
        ("GET", "http://u@evil.example/public", &[], 421),
        ("GET", "/public/%zz", &[ours], 400),
        ("OPTIONS", "*", &[ours], 400),
        ("GET", "/app", &[ours], 401),
        ("GET", "/public/../app", &[ours], 404),
    ] {
        let mut request = Request::builder().method(method).uri(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        let answer = gate.clone().oneshot(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {target} {hosts:?}");
        assert_eq!(passed.load(Ordering::SeqCst), 0, "{method} {target} {hosts:?}");
    }
    let request = Request::get("/public").header("host", ours).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(gate.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(passed.load(Ordering::SeqCst), 1);
}
