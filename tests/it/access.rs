//! Who may pass, and on which path: an open prefix, protected ones, one for somebody else, and what lies in between.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::support::browser::{Browser, FETCH, NAVIGATION};
use crate::support::echo::Seen;
use crate::support::house::{Plan, TestHouse};
use crate::support::raw::{RawAnswer, RawClient};

const FORM: &str = "application/x-www-form-urlencoded";

const ROUTES: &str = r#"
[[routes]]
path = "/"
upstream = "ECHO"
forge_token = true

[[routes]]
path = "/public"
upstream = "ECHO"
public = true

[[routes]]
path = "/admin"
upstream = "ECHO"
forge_token = true
allow = ["user:alice"]

[[routes]]
path = "/api/private"
upstream = "ECHO"
forge_token = true

[[routes]]
path = "/hook"
upstream = "ECHO"
forge_token = true
cross_origin = true
"#;

fn plan() -> Plan {
    Plan { routes: Some(ROUTES.to_owned()), ..Plan::default() }
}

/// One request with exactly this target, and these headers.
async fn raw(house: &TestHouse, method: &str, target: &str, headers: &str) -> RawAnswer {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
        house.authority()
    );
    RawClient::tcp(house.address).await.ask(request).await
}

fn cookie(house: &TestHouse, browser: &Browser) -> String {
    format!("Cookie: {}\r\n", browser.cookie_line(house.host()))
}

/// What reached the backend since `before`.
fn since(house: &TestHouse, before: usize) -> Vec<Seen> {
    house.echo.seen().split_off(before)
}

fn lines(headers: &[(&str, &str)]) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// The sign-in answer that a program gets.
fn assert_sign_in_required(house: &TestHouse, answer: &RawAnswer, what: &str) {
    let text = answer.text();
    assert_eq!(answer.status, 401, "{what}: {text}");
    assert_eq!(answer.value("content-type"), Some("application/problem+json"), "{what}");
    let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["reason"], "sign_in_required", "{what}");
    assert_eq!(problem["login_url"], house.at("/_hero/auth/login").as_str(), "{what}");
    assert_eq!(problem["request_id"].as_str(), answer.value("x-request-id"), "{what}");
    let challenge = answer.value("www-authenticate").unwrap();
    assert!(challenge.contains("/_hero/auth/login"), "{what}: {challenge}");
    assert_eq!(answer.values("set-cookie"), [""; 0], "{what}");
    assert_eq!(answer.values("location"), [""; 0], "{what}");
    assert_eq!(answer.value("cache-control"), Some("no-store"), "{what}");
    assert!(!answer.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control")));
}

/// Holds: G1, G13.
#[tokio::test]
async fn only_a_page_load_is_sent_to_a_sign_in_and_everything_else_is_told() {
    let house = TestHouse::start(plan()).await;
    let cookies = house.cookies();
    let unknown = "A".repeat(43);
    let stale = format!("Cookie: {}={unknown}\r\n", cookies.session);
    let garbled = format!("Cookie: {}=x; theme=dark\r\n", cookies.session);
    for session in ["", stale.as_str(), garbled.as_str()] {
        for headers in [
            &NAVIGATION[..],
            &[("Sec-Fetch-Mode", "navigate"), ("Accept", "*/*")],
            &[("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")],
        ] {
            let answer = raw(&house, "GET", "/api/private", &(lines(headers) + session)).await;
            assert_eq!(answer.status, 303, "{headers:?}");
            let location = answer.value("location").unwrap();
            let authorize = house.forge.url().join("/login/oauth/authorize?").unwrap();
            assert!(location.starts_with(authorize.as_str()), "{location}");
        }
        for headers in [
            &FETCH[..],
            &[("Accept", "application/json; q=1")],
            &[("Accept", "application/json")],
            &[("Accept", "*/*")],
            &[("Accept", "text/html"), ("X-Requested-With", "XMLHttpRequest")],
            &[("Sec-Fetch-Mode", "cors"), ("Accept", "text/html")],
            &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")],
            &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Sec-Purpose", "prefetch")],
            &[("Origin", "https://evil.example"), ("Sec-Fetch-Mode", "cors")],
            &[],
        ] {
            let answer = raw(&house, "GET", "/api/private", &(lines(headers) + session)).await;
            assert_sign_in_required(&house, &answer, &format!("{headers:?} {session}"));
        }
    }
    assert!(house.echo.is_untouched());
}

/// Holds: G2, G13.
#[tokio::test]
async fn a_form_without_a_session_gets_a_page_and_goes_nowhere() {
    let house = TestHouse::start(plan()).await;
    let origin = house.url.origin().ascii_serialization();
    let navigates =
        [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Site", "same-origin")];
    for headers in [&navigates[..], &[("Accept", "text/html")]] {
        for body in ["", "text=much+work"] {
            let head = lines(headers)
                + &format!("Origin: {origin}\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n", body.len());
            let answer = raw(&house, "POST", "/api/private", &format!("{head}\r\n{body}")).await;
            assert_eq!((answer.status, answer.value("location")), (401, None), "{headers:?}");
            assert_eq!(answer.value("content-type"), Some("text/html; charset=utf-8"));
            assert!(
                answer.text().contains("sign_in_required") && answer.text().contains("/_hero/auth/login")
            );
        }
        // Announced and not sent, and without a length at all.
        for framing in
            ["Content-Length: 10\r\nExpect: 100-continue\r\n", "Transfer-Encoding: chunked\r\n", ""]
        {
            let answer = raw(&house, "POST", "/api/private", &(lines(headers) + framing)).await;
            assert_eq!((answer.status, answer.value("location")), (401, None), "{framing}");
        }
    }
    assert!(house.echo.is_untouched());
}

/// Holds: G3, G13.
#[tokio::test]
async fn query_and_fragment_take_no_part_in_a_decision() {
    let house = TestHouse::start(plan()).await;
    for target in [
        "/api/private?x=/public/",
        "/api/private?/public",
        "/api/private?x=/../public/",
        "/admin%23/public",
        "/admin%3f/public",
        "/admin%3F/../public",
        "/admin#/public",
        "/admin?#/public",
        "/?/public",
        "/%3f/public/",
        "/admin;/public",
        "/api/private/public",
        "/x/public/",
    ] {
        let answer = raw(&house, "GET", target, "").await;
        assert_eq!(answer.status, 401, "{target}");
        let answer = raw(&house, "GET", target, &lines(&NAVIGATION)).await;
        assert_eq!(answer.status, 303, "{target}");
    }
    assert!(house.echo.is_untouched());
}

/// Paths under the open prefix that somebody may read as another path.
const ODD: [&str; 40] = [
    "/public/../admin",
    "/public/%2e%2e/admin",
    "/public/%2E%2E/admin",
    "/public/%2e./admin",
    "/public/..%2fadmin",
    "/public/..%2Fadmin",
    "/public%2f..%2fadmin",
    "/public%2fx",
    "/public/..\\admin",
    "/public\\..\\admin",
    "/public/..%5cadmin",
    "/public%5cx",
    "/public/%252e%252e/admin",
    "/public/%252f",
    "/public/%25",
    "/public//admin",
    "/public//",
    "//public/x",
    "///public",
    "/public/x;y",
    "/public;x/admin",
    "/public/..;/admin",
    "/public/%3b",
    "/public/%c0%ae%c0%ae/admin",
    "/public/%c0%af",
    "/public/%e0%80%af",
    "/public/%ff",
    "/public/.",
    "/public/./x",
    "/public/x/.",
    "/public/..",
    "/public/x%20",
    "/public/%20",
    "/public/x.",
    "/public/x%2e",
    "/public/%09x",
    "/public/%0d%0ax",
    "/public/%7f",
    "/public/%3fx",
    "/public/%23x",
];

/// Holds: G4, G6, P14, M22.
#[tokio::test]
async fn an_odd_path_opens_nothing_and_reaches_the_backend_of_a_visitor_unchanged() {
    let house = TestHouse::start(plan()).await;
    for path in
        ODD.iter().chain(&["/Public", "/PUBLIC/x", "/pUblic", "/%50ublic", "/public%20", "/publi%63/x"])
    {
        let answer = raw(&house, "GET", path, "").await;
        assert_eq!(answer.status, 401, "{path}");
        let answer = raw(&house, "GET", path, &lines(&NAVIGATION)).await;
        assert_eq!(answer.status, 303, "{path}");
    }
    assert!(house.echo.is_untouched());
    let alice = house.signed_in("alice").await;
    for path in
        ODD.iter().chain(&["/Public", "/admin/%41", "/a+b", "/a?b=%2e&c=%zz", "/a?", "/%41%2e%2E?%2f"])
    {
        let before = house.echo.seen().len();
        let answer = raw(&house, "GET", path, &cookie(&house, &alice)).await;
        assert_eq!(answer.status, 200, "{path}");
        let seen = since(&house, before);
        assert_eq!((seen.len(), seen[0].target()), (1, *path));
        assert_eq!(seen[0].values("x-hero-user"), ["alice"], "{path}");
    }
    // Nobody knows where the backend takes such a path to, so a visitor who may not go everywhere may not go there.
    let bob = house.signed_in("bob").await;
    let before = house.echo.seen().len();
    for path in ODD {
        assert_eq!(raw(&house, "GET", path, &cookie(&house, &bob)).await.status, 403, "{path}");
    }
    assert_eq!(since(&house, before).len(), 0);
}

/// Holds: G4, M21, G13.
#[tokio::test]
async fn a_broken_path_is_a_400_for_everybody() {
    let house = TestHouse::start(plan()).await;
    let alice = house.signed_in("alice").await;
    let before = house.echo.seen().len();
    for path in [
        "/public/%",
        "/public/%2",
        "/public/%zz",
        "/public/%%41",
        "/%",
        "/public/%00",
        "/public/%00.css",
        "/%u0041",
        "/admin/%2",
        "/public/\u{e9}",
        "/public/\u{85}",
    ] {
        for session in ["", cookie(&house, &alice).as_str()] {
            let answer = raw(&house, "GET", path, session).await;
            assert_eq!(answer.status, 400, "{path:?} {session}");
        }
    }
    for path in ["/public/\0", "/public/\u{7f}", "/public/\t", "/public x", "/public\u{b}"] {
        let answer = raw(&house, "GET", path, "").await;
        assert_eq!(answer.status, 400, "{path:?}");
    }
    assert_eq!(since(&house, before).len(), 0);
}

/// Holds: G5.
#[tokio::test]
async fn an_open_prefix_ends_at_a_segment() {
    let house = TestHouse::start(plan()).await;
    for path in ["/publicity", "/public-secret", "/public.html", "/public%2d", "/publi", "/", "/x/public"] {
        assert_eq!(raw(&house, "GET", path, "").await.status, 401, "{path}");
    }
    assert!(house.echo.is_untouched());
    for path in ["/public", "/public/", "/public/x", "/public?x", "/public/x/y.css"] {
        assert_eq!(raw(&house, "GET", path, "").await.status, 200, "{path}");
        let seen = house.echo.seen().pop().unwrap();
        assert_eq!(seen.target(), path);
        assert!(!seen.names().iter().any(|name| name.starts_with("x-hero")), "{}", seen.head);
    }
}

/// How lenient backends read a path: decoded so often, backslashes folded, parameters dropped, dots resolved, case folded.
fn leniently(path: &str, decodings: usize) -> String {
    let mut bytes = path.split(['?', '#']).next().unwrap().as_bytes().to_vec();
    for _ in 0..decodings {
        let mut next = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let digits = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
            match digits.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| bytes[at] == b'%') {
                Some(byte) => {
                    next.push(byte);
                    at += 3;
                }
                None => {
                    next.push(bytes[at]);
                    at += 1;
                }
            }
        }
        bytes = next;
    }
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace("\u{c0}\u{ae}", ".").replace("\u{c0}\u{af}", "/").replace('\\', "/");
    let mut out = Vec::new();
    for segment in text.split('/') {
        match segment.split([';', '?', '#', '\0']).next().unwrap().trim().trim_end_matches(' ') {
            "" | "." => {}
            ".." => drop(out.pop()),
            segment => out.push(segment.trim_end_matches('.').to_ascii_lowercase()),
        }
    }
    format!("/{}", out.join("/"))
}

/// Holds: G6 (on sockets: what is judged is what is sent).
#[tokio::test]
async fn no_random_path_brings_a_stranger_to_a_protected_one() {
    let parts = prop::collection::vec(
        prop::sample::select(vec![
            "/", "public", "admin", "..", ".", "%2e", "%2E%2e", "%2f", "%5c", "\\", ";x", "%252e", "%252f",
            "%c0%ae", "%c0%af", "%20", "a", "%41dmin", "ADMIN", "%61", "%3b", "%09", "?", "#", "%3f",
            "/public/", "/admin",
        ]),
        0..10,
    );
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let paths: Vec<String> = (0..600)
        .map(|at| {
            let parts = parts.new_tree(&mut runner).unwrap().current().concat();
            if at % 2 == 0 { format!("/public/{parts}") } else { format!("/{parts}") }
        })
        .collect();
    let house = TestHouse::start(plan()).await;
    let mut passed = 0;
    for path in &paths {
        let before = house.echo.seen().len();
        let answer = raw(&house, "GET", path, "").await;
        let seen = since(&house, before);
        if answer.status != 200 {
            assert!(matches!(answer.status, 400 | 401) && seen.is_empty(), "{path}: {}", answer.status);
            continue;
        }
        passed += 1;
        assert_eq!(seen[0].target(), path.split('#').next().unwrap());
        for decodings in 0..3 {
            let read = leniently(path, decodings);
            assert!(read == "/public" || read.starts_with("/public/"), "{path} is read as {read}");
        }
    }
    assert!((20..400).contains(&passed), "{passed} passed: the generator makes both kinds");
}

/// Holds: G8.
#[tokio::test]
async fn a_preflight_to_a_protected_path_is_not_sent_on() {
    let house = TestHouse::start(plan()).await;
    let headers = "Origin: https://other.example\r\nAccess-Control-Request-Method: PUT\r\n\
                   Access-Control-Request-Headers: X-Hero-Forge-Token\r\nSec-Fetch-Mode: cors\r\n";
    for path in ["/api/private", "/", "/hook"] {
        let answer = raw(&house, "OPTIONS", path, headers).await;
        assert_sign_in_required(&house, &answer, path);
    }
    assert!(house.echo.is_untouched());
}

/// Holds: G9.
#[tokio::test]
async fn only_the_exact_path_is_an_endpoint_of_ours() {
    let house = TestHouse::start(plan()).await;
    let alice = house.signed_in("alice").await;
    for path in [
        "/_hero%2fauth/login",
        "/_hero/auth%2flogin",
        "/_hero/../_hero/auth/login",
        "/x/../_hero/auth/logout",
        "/_hero/./auth/logout",
        "/_hero//auth/logout",
        "//_hero/auth/logout",
        "/_hero/auth/logout.",
        "/_hero/auth/logout/",
        "/_hero/auth/logout%20",
        "/_hero/auth/logout;x",
        "/_hero/auth/%6cogout",
        "/_HERO/auth/logout",
        "/_hero/Auth/logout",
        "/_hero/auth/LOGOUT",
        "/_hero/auth",
        "/_hero/auth/",
        "/_hero",
        "/_hero/auth/callback/",
        "/_hero/auth/whoami/x",
        "/public/../_hero/auth/whoami",
    ] {
        for method in ["GET", "POST"] {
            let answer = raw(&house, method, path, "Content-Length: 0\r\n").await;
            assert_sign_in_required(&house, &answer, path);
            let before = house.echo.seen().len();
            let headers = cookie(&house, &alice) + "Content-Length: 0\r\n";
            let answer = raw(&house, method, path, &headers).await;
            assert_eq!((answer.status, answer.values("set-cookie").len()), (200, 0), "{method} {path}");
            assert_eq!(since(&house, before)[0].target(), path);
        }
    }
}

/// Holds: G7, G10 (rules name no methods: a route is open or it is not, for every method alike).
#[tokio::test]
async fn no_header_agent_method_or_query_alters_a_decision() {
    for trusted in ["[]", "[\"127.0.0.0/8\"]"] {
        let plan = plan().with("server", &format!("trusted_proxies = {trusted}"));
        let house = TestHouse::start(plan).await;
        let bob = house.signed_in("bob").await;
        let before = house.echo.seen().len();
        for header in [
            "X-Forwarded-Uri: /public",
            "X-Original-URL: /public",
            "X-Original-Uri: /public/",
            "X-Rewrite-URL: /public",
            "X-Forwarded-Path: /public",
            "X-Forwarded-Prefix: /public",
            "X-Forwarded-Host: evil.example",
            "X-Forwarded-Method: GET",
            "X-Forwarded-For: 127.0.0.1",
            "X-Real-IP: 127.0.0.1",
            "Forwarded: for=127.0.0.1;host=evil.example",
            "X-Forwarded-User: alice",
            "X-Auth-Request-User: alice",
            "X-Hero-User: alice",
            "X-Hero-Groups: acme",
            "Remote-User: alice",
            "User-Agent: kube-probe/1.30",
            "User-Agent: GoogleHC/1.0",
            "User-Agent: ELB-HealthChecker/2.0",
            "X-HTTP-Method-Override: OPTIONS",
            "X-Method-Override: GET",
            "Authorization: Bearer x",
            "Authorization: Basic YWxpY2U6eA==",
        ] {
            for target in ["/admin", "/admin?allowed_groups=acme&allow=any-user&_method=GET&public=true"] {
                for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "get", "PURGE"] {
                    let headers = format!("{header}\r\nContent-Length: 0\r\n");
                    let answer = raw(&house, method, target, &headers).await;
                    assert_eq!(answer.status, 401, "{method} {target} {header} (trusted: {trusted})");
                    let answer = raw(&house, method, target, &(headers + &cookie(&house, &bob))).await;
                    assert_eq!(answer.status, 403, "{method} {target} {header} as bob (trusted: {trusted})");
                }
            }
        }
        assert_eq!(since(&house, before).len(), 0);
    }
}

/// Holds: G11, G13.
#[tokio::test]
async fn a_group_is_met_by_a_whole_element_of_the_claim_and_by_nothing_else() {
    let allow = vec!["team:acme/ops", "org:umbrella"];
    let house = TestHouse::start(Plan { allow, ..plan() }).await;
    // `acme` alone, names around it, empty ones, separators.
    for (organization, team) in [
        ("acme", None),
        ("acme", Some("op")),
        ("acme", Some("opsx")),
        ("acm", Some("ops")),
        ("ops", None),
        ("", None),
        ("", Some("ops")),
        (":", None),
        ("acme:", None),
        (":ops", None),
        ("x,umbrella", None),
        ("umbrella,x", None),
        ("umbrella umbrella", None),
        ("umbrellas", None),
        ("y", Some("umbrella")),
    ] {
        house.forge.add_member("bob", organization, team);
    }
    // mallory has no groups at all.
    for login in ["bob", "mallory"] {
        let mut browser = house.browser();
        let page = house.sign_in(&mut browser, "/", login).await;
        assert_eq!((page.status(), page.reason().as_deref()), (403, Some("not_allowed")), "{login}");
    }
    assert!(house.echo.is_untouched());
    house.forge.add_member("nina", "Umbrella", None);
    house.signed_in("nina").await;
    house.signed_in("alice").await;
}

/// Holds: G14, G13.
#[tokio::test]
async fn who_may_not_pass_is_told_who_he_is_why_and_how_to_leave() {
    let house = TestHouse::start(plan()).await;
    let mut browser = house.browser();
    let page = house.sign_in(&mut browser, "/api/private", "mallory").await;
    assert_eq!((page.status(), page.reason().as_deref()), (403, Some("not_allowed")));
    assert_eq!(page.answer.value("location"), None);
    assert_eq!(page.answer.value("cache-control"), Some("no-store"));
    let text = page.text();
    let id = page.answer.value("x-request-id").unwrap();
    assert!(text.contains("mallory") && text.contains(id), "{text}");
    let way_out = page.form("/_hero/auth/logout").unwrap();

    let fetched = browser.fetch(&house.at("/api/private")).await;
    assert_eq!(fetched.status(), 403);
    assert_eq!(fetched.answer.value("content-type"), Some("application/problem+json"));
    let problem = fetched.json();
    assert_eq!((&problem["reason"], &problem["status"]), (&"not_allowed".into(), &403.into()));
    assert_eq!(problem["request_id"].as_str(), fetched.answer.value("x-request-id"));
    assert!(fetched.cookies_set().is_empty());
    for method in ["POST", "HEAD", "OPTIONS", "PUT"] {
        let page = browser.send(method, &house.at("/api/private"), &[], "").await;
        assert_eq!((page.status(), page.answer.value("location")), (403, None), "{method}");
    }
    assert!(house.echo.is_untouched());

    assert_eq!(browser.submit(&way_out).await.status(), 303);
    assert_eq!(house.session(&browser), None);
}

/// Holds: G12 (a route's own list, and a reload that changes it: the next request is judged by it).
#[tokio::test]
async fn rules_are_asked_at_every_request() {
    let mut house = TestHouse::start(plan()).await;
    let mut bob = house.signed_in("bob").await;
    assert_eq!(bob.fetch(&house.at("/api/private")).await.status(), 200);
    assert_eq!(bob.fetch(&house.at("/admin")).await.status(), 403);
    house.reload(|plan| plan.routes = Some(ROUTES.replace("user:alice", "user:bob")));
    assert_eq!(bob.fetch(&house.at("/admin")).await.status(), 200);
    house.reload(|plan| plan.allow = vec!["user:alice"]);
    assert_eq!(bob.fetch(&house.at("/api/private")).await.status(), 403);
    assert_eq!(bob.fetch(&house.at("/admin")).await.status(), 200);
}

/// What a browser says of another site's doing.
const FOREIGN: [&[(&str, &str)]; 10] = [
    &[("Origin", "https://evil.example")],
    &[("Origin", "null")],
    &[("Origin", "")],
    &[("Origin", "http://localhost")],
    &[("Origin", "https://localhost:1")],
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "same-site")],
    &[("Sec-Fetch-Site", "something-new")],
    &[("Sec-Fetch-Site", "same-origin"), ("Origin", "https://evil.example")],
    &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
];

#[tokio::test]
async fn another_site_changes_nothing_in_a_visitors_name() {
    let house = TestHouse::start(plan()).await;
    let mut alice = house.signed_in("alice").await;
    let mut stranger = house.browser();
    let before = house.echo.seen().len();
    for headers in FOREIGN {
        for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE", "post"] {
            for browser in [&mut alice, &mut stranger] {
                let page = browser.send(method, &house.at("/api/private"), headers, "x").await;
                let told = (page.status(), page.reason());
                assert_eq!(told, (403, Some("foreign_origin".to_owned())), "{method} {headers:?}");
            }
        }
    }
    assert_eq!(since(&house, before).len(), 0);

    // Reading is not changing; a route may ask for more; an open one has nobody's name to act in.
    for headers in FOREIGN {
        for (method, path, status) in [
            ("GET", "/api/private", 200),
            ("HEAD", "/api/private", 200),
            ("OPTIONS", "/api/private", 200),
            ("POST", "/hook", 200),
            ("DELETE", "/hook/x", 200),
            ("POST", "/public", 200),
        ] {
            let page = alice.send(method, &house.at(path), headers, "").await;
            assert_eq!(page.status(), status, "{method} {path} {headers:?}");
        }
        let page = stranger.send("POST", &house.at("/hook"), headers, "").await;
        assert_eq!(page.status(), 401, "cross_origin opens the door to visitors only");
    }
    let origin = house.url.origin().ascii_serialization();
    let ours: [&[(&str, &str)]; 4] = [
        &[],
        &[("Origin", &origin)],
        &[("Origin", &origin), ("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
    ];
    for headers in ours {
        let page = alice.send("POST", &house.at("/api/private"), headers, "").await;
        assert_eq!(page.status(), 200, "{headers:?}");
    }
}

/// Holds: M14, M15, M16, P6, G13.
#[tokio::test]
async fn a_request_for_another_host_or_for_none_is_not_served() {
    let house = TestHouse::start(plan()).await;
    let alice = house.signed_in("alice").await;
    let before = house.echo.seen().len();
    let ask = async |line: &str, hosts: &[&str]| -> RawAnswer {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let request = format!("{line}\r\n{hosts}{}\r\n", cookie(&house, &alice));
        RawClient::tcp(house.address).await.ask(request).await
    };
    let (ours, port) = (house.authority(), house.url.port().unwrap());
    let (trailing, number, name) =
        (format!("localhost.:{port}"), format!("127.0.0.1:{port}"), format!("vm.localhost:{port}"));
    let user = format!("x@{ours}");
    let (ours, trailing, number, name) = (ours.as_str(), trailing.as_str(), number.as_str(), name.as_str());
    for (line, hosts, status) in [
        ("GET /public HTTP/1.1", &[][..], 400),
        ("GET /public HTTP/1.0", &[], 400),
        ("GET /public HTTP/1.1", &[ours, ours], 400),
        ("GET /public HTTP/1.1", &[ours, "evil.example"], 400),
        ("GET /public HTTP/1.1", &["evil.example", ours], 400),
        ("GET /public HTTP/1.1", &[""], 421),
        ("GET /public HTTP/1.1", &["evil.example"], 421),
        ("GET /public HTTP/1.1", &["localhost"], 421),
        ("GET /public HTTP/1.1", &["localhost:1"], 421),
        ("GET /public HTTP/1.1", &["localhost:"], 421),
        ("GET /public HTTP/1.1", &[trailing], 421),
        ("GET /public HTTP/1.1", &[number], 421),
        ("GET /public HTTP/1.1", &[name], 421),
        ("GET /public HTTP/1.1", &[user.as_str()], 421),
        ("GET http://evil.example/public HTTP/1.1", &[ours], 421),
        ("GET https://evil.example:443/ HTTP/1.1", &[ours], 421),
        (&format!("GET http://{trailing}/ HTTP/1.1"), &[ours], 421),
        (&format!("GET http://u:p@{ours}/ HTTP/1.1"), &[ours], 400),
        (&format!("GET http://{ours}/ HTTP/1.1"), &[], 400),
    ] {
        let answer = ask(line, hosts).await;
        assert_eq!(answer.status, status, "{line} {hosts:?}: {}", answer.text());
        if status == 400 && line.ends_with("1.1") {
            assert_eq!(answer.value("connection"), Some("close"), "{line} {hosts:?}");
        }
    }
    assert_eq!(since(&house, before).len(), 0);

    let upper = format!("LOCALHOST:{port}");
    for (line, host) in [
        ("GET /x HTTP/1.1".to_owned(), upper.as_str()),
        (format!("GET http://{ours}/x HTTP/1.1"), "evil.example"),
        (format!("GET http://{upper}/x HTTP/1.1"), "evil.example"),
    ] {
        let before = house.echo.seen().len();
        assert_eq!(ask(&line, &[host]).await.status, 200, "{line} {host}");
        let seen = &since(&house, before)[0];
        assert_eq!((seen.target(), seen.values("host").len()), ("/x", 1));
        assert!(seen.values("host")[0].eq_ignore_ascii_case(ours), "{}", seen.head);
    }
}

/// Holds: P6.
#[tokio::test]
async fn a_default_port_may_be_named_or_not() {
    let public_url = Some("https://vm1.example.org".to_owned());
    let house = TestHouse::start(Plan { public_url, ..plan() }).await;
    for (host, status) in [
        ("vm1.example.org", 200),
        ("VM1.Example.ORG", 200),
        ("vm1.example.org:443", 200),
        ("vm1.example.org:80", 421),
        ("vm1.example.org:8443", 421),
        ("vm1.example.org.", 421),
        ("vm1.example.org.:443", 421),
        ("vm1.example.org.evil.example", 421),
        ("example.org", 421),
        ("x.vm1.example.org", 421),
    ] {
        let request = format!("GET /public HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(RawClient::tcp(house.address).await.ask(request).await.status, status, "{host}");
    }
}

/// Holds: P4 (methods and targets; Max-Forwards is not built), G13.
#[tokio::test]
async fn methods_and_targets_that_are_not_for_us_are_refused() {
    let house = TestHouse::start(plan()).await;
    let alice = house.signed_in("alice").await;
    let before = house.echo.seen().len();
    let ours = house.authority();
    for (method, target, status) in [
        ("CONNECT", ours.as_str(), 405),
        ("CONNECT", "evil.example:443", 405),
        ("TRACE", "/public", 405),
        ("TRACE", "/", 405),
        ("OPTIONS", "*", 405),
        ("GET", "*", 400),
        ("GET", "admin", 400),
        ("GET", &ours, 400),
        ("GET", "public", 400),
        ("POST", "evil.example:443", 400),
    ] {
        for session in ["", cookie(&house, &alice).as_str()] {
            let answer = raw(&house, method, target, session).await;
            assert_eq!(answer.status, status, "{method} {target} {session}");
            assert_eq!(answer.value("allow").is_some(), status == 405, "{method} {target}");
        }
    }
    assert_eq!(since(&house, before).len(), 0);
}
