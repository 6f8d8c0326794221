//! Where a visitor lands after signing in: whatever was asked for, on our own origin. A generated corpus goes through the
//! rule alone, and line by line through the whole flow on sockets.

use std::collections::BTreeSet;

use hero_proxy::forge::fake::Endpoint;
use hero_proxy::gate::return_path::checked;
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::support::browser::{Browser, NAVIGATION, Page};
use crate::support::house::{Plan, TestHouse, password};
use crate::support::raw::RawClient;

const OURS: &str = "https://vm1.example.org";
const FORM: &str = "application/x-www-form-urlencoded";

/// Slashes as somebody writes them who wants a reader to see two of them.
const SLASHES: [&str; 14] = [
    "/",
    "//",
    "///",
    "/\\",
    "\\\\",
    "\\/",
    "/%5c",
    "/%2f",
    "%2f%2f",
    "/.//",
    "/../..//",
    "/%2e%2e//",
    "/a//",
    "/;//",
];

/// What readers skip, or take for the end of a line.
const CONTROLS: [&str; 14] = [
    "",
    "\t",
    "\n",
    "\r",
    "\u{b}",
    "\u{c}",
    "\0",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{3000}",
    " ",
    "\r\nSet-Cookie: planted=1\r\n",
    "\u{200b}",
];

const SCHEMES: [&str; 11] = [
    "https:",
    "https:/",
    "https://",
    "https:///",
    "https:\\\\",
    "HTTPS://",
    "http://",
    "ftp://",
    "javascript:",
    "data:text/html,",
    "://",
];

/// Hosts that are not ours; some look like it.
const HOSTS: [&str; 16] = [
    "evil.example",
    "evil.example:443",
    "u:p@evil.example",
    "vm1.example.org@evil.example",
    "vm1.example.org:443@evil.example",
    "vm1.example.org%40evil.example",
    "vm1.example.org.evil.example",
    "evil.example/vm1.example.org",
    "evil-vm1.example.org",
    "vm1.example.org:444",
    "vm1.example.org:",
    "vm1.example.org.",
    "u:p@vm1.example.org",
    "\u{ff56}\u{ff4d}1.example.org",
    "\u{432}m1.example.org",
    "vm1.example.org\\evil.example",
];

/// All lines, each once.
fn corpus() -> Vec<String> {
    let mut lines = BTreeSet::new();
    for slashes in SLASHES {
        for control in CONTROLS {
            let (first, rest) = slashes.split_at(1);
            for host in ["evil.example", "u:p@evil.example"] {
                lines.insert(format!("{first}{control}{rest}{host}"));
                lines.insert(format!("{slashes}{control}{host}"));
            }
        }
        for host in HOSTS {
            lines.insert(format!("{slashes}{host}/x"));
        }
    }
    for scheme in SCHEMES {
        for host in HOSTS {
            lines.insert(format!("{scheme}{host}"));
        }
        for control in CONTROLS {
            lines.insert(format!("{control}{scheme}evil.example"));
        }
    }
    lines.into_iter().collect()
}

/// A line so that a reader finds it after decoding once more.
fn encoded(line: &str) -> String {
    line.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// The same, with its slashes as they are: what is left of a path.
fn encoded_but_slashes(line: &str) -> String {
    line.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// Every line as it is, and so that decoding once or twice brings it out.
fn forms(line: &str) -> [String; 5] {
    let (once, path) = (encoded(line), encoded_but_slashes(line));
    [line.to_owned(), once.clone(), path.clone(), encoded(&once), path.replace('%', "%25")]
}

/// Every line as it is, and each fourth one in one more form, in turn: what a sign-in on sockets costs is time.
fn some_forms(at: usize, line: &str) -> Vec<String> {
    let [plain, more @ ..] = forms(line);
    let one_more = more.into_iter().nth(at / 4 % 4).filter(|_| at.is_multiple_of(4));
    [plain].into_iter().chain(one_more).collect()
}

/// By the look of it: one slash, then no second one however it is read, nothing that is not visible ASCII.
fn looks_local(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap();
    let decode = |text: &[u8]| -> Vec<u8> {
        let text = text.iter().map(|byte| char::from(*byte)).collect::<String>();
        let mut bytes = Vec::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('%') {
            bytes.extend(rest[..at].chars().map(|sign| sign as u8));
            let digits = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(digits.unwrap_or(b'%'));
            rest = &rest[at + if digits.is_some() { 3 } else { 1 }..];
        }
        bytes.extend(rest.chars().map(|sign| sign as u8));
        bytes
    };
    let once = decode(path.as_bytes());
    let twice = decode(&once);
    target.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
        && [path.as_bytes(), &once, &twice].iter().all(|path| {
            path.starts_with(b"/")
                && !path.windows(2).any(|two| two == b"//")
                && !path.iter().any(|byte| *byte < 0x20 || matches!(byte, b'\\' | 0x7f))
        })
}

/// By the rules that browsers follow, from wherever the redirect is met.
fn lands_at_home(target: &str) -> bool {
    ["/", "/_hero/auth/callback?code=c&state=s", "/a/b/c"].iter().all(|from| {
        let from = Url::parse(OURS).unwrap().join(from).unwrap();
        let landed = from.join(target).unwrap();
        landed.origin().ascii_serialization() == OURS
            && landed.username().is_empty()
            && landed.password().is_none()
            && !landed.path().starts_with("/_hero/auth")
    })
}

/// Holds: L1, L2, L3, L11 (the rule alone, judged by its look and by the WHATWG parser).
#[test]
fn no_line_of_the_corpus_leads_away() {
    let ours = OURS.parse().unwrap();
    let lines = corpus();
    assert!(lines.len() >= 800, "{}", lines.len());
    for line in &lines {
        for form in forms(line) {
            for form in [form.clone(), format!("{OURS}{form}"), format!("/x?y={form}"), format!("/x#{form}")]
            {
                let target = checked(&form, &ours, "/_hero");
                assert!(looks_local(&target) && lands_at_home(&target), "{form:?} leads to {target:?}");
            }
        }
    }
}

/// A house under a name, with a browser that is signed in at the forge and has consented: what is left of a sign-in is
/// redirects only.
async fn house() -> (TestHouse, Browser) {
    let plan = Plan { public_url: Some(OURS.to_owned()), ..Plan::default() };
    let house = TestHouse::start(plan).await;
    let browser = house.signed_in("alice").await;
    (house, browser)
}

/// From a redirect to the forge to the `Location` at the end of the sign-in.
async fn landing(house: &TestHouse, browser: &mut Browser, begun: &Page) -> String {
    assert_eq!((begun.status(), begun.answer.values("location").len()), (303, 1), "{:?}", begun.answer);
    let back = browser.at_forge(&begun.location().unwrap(), "alice", &password("alice")).await;
    let landed = browser.navigate(&back).await;
    assert_eq!(landed.status(), 303, "{}", landed.text());
    assert!(house.session(browser).is_some());
    assert!(!landed.cookies_set().iter().any(|line| line.contains("planted")));
    landed.answer.value("location").unwrap().to_owned()
}

async fn landing_of(house: &TestHouse, browser: &mut Browser, query: &str) -> String {
    let begun = browser.navigate(&house.at(&format!("/_hero/auth/login?{query}"))).await;
    landing(house, browser, &begun).await
}

fn return_to(target: &str) -> String {
    format!("return_to={}", byte_serialize(target.as_bytes()).collect::<String>())
}

/// Holds: L11 (every line through the whole flow, as a login link's target).
#[tokio::test]
async fn no_login_link_with_a_line_of_the_corpus_leads_away() {
    let (house, mut browser) = house().await;
    let mut seen = BTreeSet::new();
    for (at, line) in corpus().iter().enumerate() {
        for form in some_forms(at, line) {
            let target = landing_of(&house, &mut browser, &return_to(&form)).await;
            assert!(looks_local(&target) && lands_at_home(&target), "{form:?} leads to {target:?}");
            seen.insert(target);
        }
    }
    assert!(seen.contains("/"), "{seen:?}");
    let honest = "/app/view?x=1&y=%2F&next=https://evil.example//";
    assert_eq!(landing_of(&house, &mut browser, &return_to(honest)).await, honest);
}

/// Sends a navigation with exactly these bytes as its target; the browser keeps what cookies are set.
async fn navigate_raw(house: &TestHouse, browser: &mut Browser, target: &str) -> Page {
    let mut request =
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", house.authority());
    for (name, value) in NAVIGATION {
        request += &format!("{name}: {value}\r\n");
    }
    let answer = RawClient::tcp(house.address).await.ask(format!("{request}\r\n")).await;
    for line in answer.values("set-cookie") {
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        browser.plant(house.host(), name, value);
    }
    Page { url: house.at("/"), answer }
}

/// Holds: L6, L11 (every line as the target of a navigation, byte for byte).
#[tokio::test]
async fn no_navigation_to_a_line_of_the_corpus_leads_away() {
    let (house, mut browser) = house().await;
    let mut redirected = 0;
    for (at, line) in corpus().iter().enumerate() {
        for form in some_forms(at, line) {
            let page = navigate_raw(&house, &mut browser, &form).await;
            if page.status() != 303 {
                let refused = matches!(page.status(), 400 | 421) && page.answer.value("location").is_none();
                assert!(refused, "{form:?}: {:?}", page.answer);
                continue;
            }
            redirected += 1;
            let authorize = page.location().unwrap();
            assert_eq!(
                authorize.origin(),
                house.forge.url().origin(),
                "{form:?}: no redirect is built from it"
            );
            let target = landing(&house, &mut browser, &page).await;
            assert!(looks_local(&target) && lands_at_home(&target), "{form:?} leads to {target:?}");
        }
    }
    // The rest is refused before it reaches the gate: what is neither a path nor a whole URL is no target.
    assert!(redirected > 200, "{redirected}");
    assert_eq!(house.echo.seen().len(), 1, "nobody but the first visitor has seen the app");
    for form in ["//h/%2e%2e", "//h", "/%5ch", "/.//h"] {
        let page = navigate_raw(&house, &mut browser, form).await;
        assert_eq!(landing(&house, &mut browser, &page).await, "/", "{form}");
    }
}

/// Holds: L4, L5.
#[tokio::test]
async fn only_one_query_parameter_counts_and_no_endpoint_of_ours_is_a_target() {
    let (house, mut browser) = house().await;
    for (query, expected) in [
        ("return_to=/a", "/a"),
        ("other=/b&return_to=/a%3Fx%3D1", "/a?x=1"),
        ("return_to=/a&return_to=/a", "/"),
        ("return_to=/a&return_to=//evil.example", "/"),
        ("return_to=", "/"),
        ("", "/"),
        ("Return_To=/a", "/"),
        ("return_to=/_hero/auth/login", "/"),
        ("return_to=/_hero/auth/login?return_to=//evil.example", "/"),
        ("return_to=/_hero/auth/callback?code=c%26state=s", "/"),
        ("return_to=/_hero/auth/logout", "/"),
        ("return_to=https%3A%2F%2Fvm1.example.org%2F_hero%2Fauth%2Flogout", "/"),
        ("return_to=/x%3Fnext=https://evil.example/", "/x?next=https://evil.example/"),
    ] {
        assert_eq!(landing_of(&house, &mut browser, query).await, expected, "{query}");
    }
    let login = house.at("/_hero/auth/login");
    let headers =
        [("Sec-Fetch-Mode", "navigate"), ("X-Return-To", "/a"), ("Content-Type", FORM), ("Referer", "/a")];
    let begun = browser.send("GET", &login, &headers, "return_to=%2Fa").await;
    assert_eq!(landing(&house, &mut browser, &begun).await, "/", "neither a body nor a header counts");
}

/// Holds: L5, O2.
#[tokio::test]
async fn a_flow_that_was_tampered_with_is_refused_before_the_code_is_sent() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let back = house.callback(&mut browser, "/wanted", "alice").await;
    let prefix = house.cookies().flow_prefix;
    let (name, value) = browser.named(&prefix).pop().unwrap();
    for at in (0..value.len()).step_by(value.len() / 40) {
        let mut other = browser.clone();
        other.forget(house.host(), &name);
        let flipped = if &value[at..=at] == "A" { "B" } else { "A" };
        other.plant(house.host(), &name, &format!("{}{flipped}{}", &value[..at], &value[at + 1..]));
        let page = other.navigate(&back).await;
        assert_eq!((page.status(), page.reason().as_deref()), (400, Some("flow_unknown")), "flipped at {at}");
        assert_eq!(house.session(&other), None);
    }
    let state = back.query_pairs().find(|(key, _)| key == "state").unwrap().1.into_owned();
    for state in [format!("{state}x"), state[..state.len() - 1].to_owned(), state.to_uppercase()] {
        let mut other = browser.clone();
        let mut back = back.clone();
        back.query_pairs_mut().clear().append_pair("code", "c").append_pair("state", &state);
        assert_eq!(other.navigate(&back).await.reason().as_deref(), Some("flow_unknown"), "{state}");
    }
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    let page = browser.navigate(&back).await;
    assert_eq!(
        (page.status(), page.answer.value("location")),
        (303, Some("/wanted")),
        "untouched it is good"
    );
}

/// Holds: L7.
#[tokio::test]
async fn a_background_call_never_becomes_the_page_to_come_back_to() {
    let house = TestHouse::new().await;
    let mut browser = house.signed_in("alice").await;
    let mut elsewhere = browser.clone();
    let logout = house.at("/_hero/auth/logout");
    elsewhere.send("POST", &logout, &[("Sec-Fetch-Site", "same-origin")], "").await;
    let before = browser.cookies().to_vec();

    let image = [("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")];
    let preflight = [("Origin", "https://x.example"), ("Access-Control-Request-Method", "PUT")];
    for (method, path, headers) in [
        ("GET", "/api/poll", &[("Sec-Fetch-Mode", "cors")][..]),
        ("GET", "/logo.png", &image),
        ("OPTIONS", "/api", &preflight),
    ] {
        let page = browser.send(method, &house.at(path), headers, "").await;
        assert_eq!((page.status(), page.cookies_set().len()), (401, 0), "{path}");
        assert!(!page.text().contains(path), "{}", page.text());
    }
    assert_eq!(browser.cookies(), before);
    let form = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Content-Type", FORM)];
    let refused = browser.send("POST", &house.at("/save"), &form, "text=lost").await;
    assert_eq!(refused.status(), 401);
    let link = refused.link("sign-in").unwrap();
    assert_eq!(link, house.at("/_hero/auth/login?return_to=%2F"), "a form's target is no page");

    let landed = house.sign_in(&mut browser, "/page?x=1", "alice").await;
    assert_eq!((landed.status(), landed.url), (200, house.at("/page?x=1")));
}

/// Holds: L8, L10, S4.
#[tokio::test]
async fn a_logout_leads_home_whatever_it_is_told() {
    for target in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "/a?{id_token}", "/{id_token}"]
    {
        let house = TestHouse::new().await;
        let mut browser = house.signed_in("alice").await;
        let origin = house.url.origin().ascii_serialization();
        let headers = [
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-Site", "same-origin"),
            ("Origin", &origin),
            ("Content-Type", FORM),
            ("Referer", "https://evil.example/"),
        ];
        let named = ["return_to", "rd", "redirect", "post_logout_redirect_uri"]
            .map(|name| format!("{name}={}", byte_serialize(target.as_bytes()).collect::<String>()));
        let query = named.join("&");
        let page =
            browser.send("POST", &house.at(&format!("/_hero/auth/logout?{query}")), &headers, &query).await;
        assert_eq!((page.status(), page.answer.value("location")), (303, Some("/")), "{target}");
        assert_eq!(house.session(&browser), None);
    }
}

/// Holds: L10.
#[tokio::test]
async fn every_redirect_of_ours_is_a_303() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let begun = browser.navigate(&house.at("/")).await;
    let link = browser.navigate(&house.at("/_hero/auth/login")).await;
    let back = browser.at_forge(&begun.location().unwrap(), "alice", &password("alice")).await;
    let landed = browser.navigate(&back).await;
    let again = browser.navigate(&back).await;
    let logout = house.at("/_hero/auth/logout");
    let headers =
        [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Site", "same-origin")];
    let left = browser.send("POST", &logout, &headers, "").await;
    for (what, page) in
        [("begun", begun), ("link", link), ("landed", landed), ("again", again), ("left", left)]
    {
        assert_eq!(page.status(), 303, "{what}: {}", page.text());
        assert!(page.location().is_some(), "{what}");
    }
}
