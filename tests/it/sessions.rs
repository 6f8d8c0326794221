//! Sessions over real sockets: their cookies, their ends, and what a store does to them.

use std::sync::Arc;
use std::time::Duration;

use hero_proxy::forge::fake::{Endpoint, FakeSettings, Fault};
use url::Url;

use crate::support::browser::{Browser, FETCH, NAVIGATION, Page};
use crate::support::echo::Gate;
use crate::support::house::{Plan, TestHouse};
use crate::support::moody::{Mood, Moody};
use crate::support::raw::RawClient;
use crate::support::soon;

const LOGOUT: &str = "/_hero/auth/logout";
const WHOAMI: &str = "/_hero/auth/whoami";

/// Asks in the background with this session cookie and nothing else.
async fn status_with(house: &TestHouse, session: &str) -> u16 {
    let mut browser = house.browser();
    browser.plant(house.host(), &house.cookies().session, session);
    browser.fetch(&house.at("/")).await.status()
}

/// Posts a sign-out, as the page's button does.
async fn sign_out(house: &TestHouse, browser: &mut Browser) -> Page {
    let origin = house.url.origin().ascii_serialization();
    let headers = [
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Origin", &origin),
    ];
    browser.send("POST", &house.at(LOGOUT), &headers, "").await
}

fn forged_cookies(known: &str) -> Vec<String> {
    let mut flipped = known.to_owned();
    flipped.replace_range(0..1, if known.starts_with('A') { "B" } else { "A" });
    vec![
        String::new(),
        "x".to_owned(),
        "A".repeat(43),
        known.chars().skip(1).collect(),
        known.chars().take(42).collect(),
        format!("{known}A"),
        format!("{known}="),
        format!("{known}%00"),
        format!("\"{known}\""),
        flipped,
        known.to_lowercase(),
        "A".repeat(4000),
    ]
}

/// Holds: S1.
#[tokio::test]
async fn every_cookie_is_bound_to_its_host_and_hidden_from_scripts_at_its_birth_and_at_its_end() {
    for public_url in [Some("https://vm1.example.org"), Some("https://vm1.example.org:8443"), None] {
        let house =
            TestHouse::start(Plan { public_url: public_url.map(str::to_owned), ..Plan::default() }).await;
        let mut browser = house.browser();
        browser.extra.push(("X-Forwarded-Proto".to_owned(), "http".to_owned()));
        let mut lines = Vec::new();
        let mut keep = |page: &Page| lines.extend(page.cookies_set().iter().map(|line| (*line).to_owned()));
        for _ in 0..11 {
            house.clock.advance(Duration::from_secs(1));
            keep(&browser.navigate(&house.at("/")).await);
        }
        let callback = house.callback(&mut browser, "/", "alice").await;
        keep(&browser.navigate(&callback).await);
        keep(&sign_out(&house, &mut browser).await);
        // A second sign-in clears the mark of the sign-out; a cookie that is none is cleared.
        let callback = house.callback(&mut browser, "/_hero/auth/login", "alice").await;
        keep(&browser.navigate(&callback).await);
        browser.plant(house.host(), &house.cookies().session, "twice");
        keep(&browser.navigate(&house.at("/")).await);

        let ends = lines.iter().filter(|line| line.contains("Max-Age=0")).count();
        assert!(lines.len() >= 16 && ends >= 5, "{lines:#?}");
        for line in &lines {
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: Vec<_> = parts.collect();
            assert_eq!(name.starts_with("__Host-hero_"), public_url.is_some(), "{line}");
            assert!(name.contains("hero_") && name.len() + value.len() <= 4096, "{line}");
            for forges in ["session", "persistent", "redirect_to", "lang", "flash", "i_like_gitea", "_csrf"] {
                assert_ne!(name, forges);
            }
            for wanted in ["Path=/", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.contains(&wanted), "{line}");
            }
            assert_eq!(attributes.contains(&"Secure"), public_url.is_some(), "{line}");
            assert!(!line.to_ascii_lowercase().contains("domain"), "{line}");
        }
    }
}

/// Holds: S2.
#[tokio::test]
async fn whoever_reads_the_database_learns_neither_a_cookie_nor_a_token() {
    let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
    let browser = house.signed_in("alice").await;
    house.settle().await;
    let session = house.session(&browser).unwrap();
    assert_eq!(session.len(), 43, "256 bits as base64url");
    let token = house.echo.only().values("x-hero-forge-token")[0].to_owned();
    let mut bytes = Vec::new();
    for end in ["", "-wal", "-shm"] {
        let mut file = house.database().into_os_string();
        file.push(end);
        bytes.extend(std::fs::read(file).unwrap_or_default());
    }
    assert!(bytes.len() > 4096);
    let raw = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &session).unwrap();
    for secret in [session.as_bytes(), &raw, token.as_bytes(), b"alice", b"example.org", b"write:issue"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", secret.escape_ascii());
    }
}

/// Holds: S3.
#[tokio::test]
async fn a_sign_in_makes_a_new_session_and_ends_the_one_before() {
    let house = TestHouse::new().await;
    let invented = "A".repeat(43);
    let mut browser = house.browser();
    browser.plant(house.host(), &house.cookies().session, &invented);
    assert_eq!(house.sign_in(&mut browser, "/", "alice").await.text(), "app");
    let first = house.session(&browser).unwrap();
    assert_ne!(first, invented);
    // Somebody else signs in in the same browser.
    browser.forget_all("127.0.0.1");
    let page = browser.navigate(&house.at("/_hero/auth/login")).await;
    let page = browser.sign_in_from(page, "bob", &crate::support::house::password("bob")).await;
    assert_eq!(page.text(), "app");
    let second = house.session(&browser).unwrap();
    assert_ne!(second, first);
    assert_eq!(house.echo.seen().pop().unwrap().values("x-hero-user"), ["bob"]);
    let seen = house.echo.seen().len();
    for dead in [&invented, &first] {
        assert_eq!(status_with(&house, dead).await, 401);
    }
    assert_eq!(house.echo.seen().len(), seen);
    assert_eq!(status_with(&house, &second).await, 200);
}

/// Holds: S4, S12.
#[tokio::test]
async fn a_sign_out_ends_the_session_for_good_and_a_button_signs_in_again() {
    let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
    let mut browser = house.signed_in("alice").await;
    browser.clone().navigate(&house.at("/other-tab")).await;
    let copied = house.session(&browser).unwrap();
    let page = sign_out(&house, &mut browser).await;
    assert_eq!((page.status(), page.location()), (303, Some(house.at("/"))));
    assert_eq!(page.answer.value("cache-control"), Some("no-store"));
    assert_eq!(house.session(&browser), None);
    assert_eq!(status_with(&house, &copied).await, 401, "at once");

    // What the visitor sees: signed out here, not at the forge, and nothing begins by itself.
    let seen = (house.echo.seen().len(), house.forge.count(Endpoint::Authorize));
    for path in ["/", "/other-tab"] {
        let page = browser.visit(&house.at(path)).await;
        assert_eq!((page.status(), page.reason().as_deref()), (401, Some("signed_out")));
        assert!(page.text().contains("session at the forge goes on"), "{}", page.text());
        assert!(page.text().contains(house.forge.url().as_str()));
        assert_eq!(page.link("forge"), Some(house.forge.url().join("user/settings/applications").unwrap()));
        assert_eq!(page.answer.value("cache-control"), Some("no-store"));
    }
    assert_eq!((house.echo.seen().len(), house.forge.count(Endpoint::Authorize)), seen);

    let mut house = house.restart().await;
    assert_eq!(status_with(&house, &copied).await, 401, "after a restart");
    house.pass_near();
    assert_eq!(status_with(&house, &copied).await, 401);

    browser.learn(&house.authority(), house.address);
    let page = browser.visit(&house.at("/wanted?x=1")).await;
    let button = page.link("sign-in").unwrap();
    let page = browser.sign_in(&button, "alice", "not asked for: the forge knows this browser").await;
    assert_eq!((page.status(), page.url), (200, house.at("/wanted?x=1")));
    assert!(browser.named(&house.cookies().signed_out).is_empty());
    house.reload(|_| {});
}

/// Holds: S4.
#[tokio::test]
async fn a_sign_out_everywhere_ends_all_sessions_of_the_account_and_nobody_elses() {
    let house = TestHouse::new().await;
    let (one, mut two, bob) =
        (house.signed_in("alice").await, house.signed_in("alice").await, house.signed_in("bob").await);
    let headers = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"), ("Accept", "*/*")];
    let page = two.send("POST", &house.at(&format!("{LOGOUT}?everywhere=true")), &headers, "").await;
    assert_eq!((page.status(), page.json()["signed_out"].as_bool()), (200, Some(true)));
    assert_eq!(status_with(&house, &house.session(&one).unwrap()).await, 401);
    assert_eq!(house.session(&two), None);
    assert_eq!(status_with(&house, &house.session(&bob).unwrap()).await, 200);
}

/// Holds: S4.
#[tokio::test]
async fn a_sign_out_everywhere_from_a_session_that_has_ended_is_carried_out_or_says_that_it_was_not() {
    let house = TestHouse::new().await;
    let everywhere = house.at(&format!("{LOGOUT}?everywhere=true"));
    let script = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"), ("Accept", "*/*")];
    let (other, mut tab) = (house.signed_in("alice").await, house.signed_in("alice").await);
    // Another tab has signed out, and its answer is on its way yet.
    let mut late = tab.clone();
    sign_out(&house, &mut tab).await;
    let others = house.session(&other).unwrap();
    assert_eq!(status_with(&house, &others).await, 200);
    for _ in 0..2 {
        let page = late.clone().send("POST", &everywhere, &script, "").await;
        assert_eq!((page.status(), page.json()["signed_out"].as_bool()), (200, Some(true)));
        assert_eq!(status_with(&house, &others).await, 401);
    }

    // Nobody knows any more whose it was: the answer says so, and leads to where it can be done.
    let other = house.signed_in("alice").await;
    let others = house.session(&other).unwrap();
    house.pass_near();
    let origin = house.url.origin().ascii_serialization();
    let button = [NAVIGATION.as_slice(), &[("Origin", &origin)]].concat();
    for browser in [&mut late, &mut house.browser()] {
        let page = browser.clone().send("POST", &everywhere, &script, "").await;
        assert_eq!((page.status(), page.reason().as_deref()), (401, Some("perhaps_signed_in_elsewhere")));
        let page = browser.send("POST", &everywhere, &button, "").await;
        assert_eq!((page.status(), page.reason().as_deref()), (401, Some("perhaps_signed_in_elsewhere")));
        assert!(page.text().contains("Some may still be signed in"), "{}", page.text());
        assert_eq!(house.session(browser), None);
        assert_eq!(status_with(&house, &others).await, 200);
        let link = page.link("sign-in").unwrap();
        let page = browser.sign_in(&link, "alice", &crate::support::house::password("alice")).await;
        assert_eq!((page.status(), page.url.path()), (200, "/_hero/auth/sessions"));
    }
}

/// Holds: S5.
#[tokio::test]
async fn a_session_ends_unused_after_its_idle_time_and_used_at_its_absolute_end() {
    let fake = FakeSettings { token_lifetime: Duration::from_mins(30), ..FakeSettings::default() };
    let plan = Plan { fake, ..Plan::default() }.with("session", "idle = \"1h\"\nabsolute = \"5h\"");
    let house = TestHouse::start(plan).await;
    let (mut busy, mut idle) = (house.signed_in("alice").await, house.signed_in("bob").await);
    let minutes = |count: u64| Duration::from_secs(60 * count);
    // Used each 50 minutes: the token is renewed five times on the way, and the end stays where it is.
    for round in 1..=5 {
        house.clock.advance(minutes(50));
        assert_eq!(busy.navigate(&house.at("/")).await.text(), "app", "{}", 50 * round);
        house.settle().await;
    }
    assert_eq!(house.forge.count(Endpoint::Token), 2 + 5);
    let seen = house.echo.seen().len();
    assert_eq!(idle.fetch(&house.at("/")).await.status(), 401, "unused for an hour");
    house.clock.advance(minutes(50) - Duration::from_millis(1));
    assert_eq!(busy.navigate(&house.at("/")).await.text(), "app");
    house.clock.advance(Duration::from_millis(1));
    assert_eq!(busy.fetch(&house.at("/")).await.status(), 401, "five hours old");
    assert_eq!(house.echo.seen().len(), seen + 1);
    // Ended is ended, whoever turns the clock back.
    house.clock.set(hero_proxy::base::clock::Timestamp::from_secs(1_800_000_000));
    for browser in [&mut busy, &mut idle] {
        assert_eq!(browser.fetch(&house.at("/")).await.status(), 401);
        assert_eq!(browser.navigate(&house.at("/")).await.status(), 303);
        assert_eq!(house.session(browser), None, "cleared");
    }
}

/// Holds: S6.
#[tokio::test]
async fn two_session_cookies_are_no_session_in_either_order() {
    let house = TestHouse::new().await;
    let good = house.session(&house.signed_in("alice").await).unwrap();
    let bobs = house.session(&house.signed_in("bob").await).unwrap();
    let (name, seen) = (house.cookies().session, house.echo.seen().len());
    let planted = "A".repeat(43);
    let lines = [
        format!("{name}={good}; {name}={planted}"),
        format!("{name}={planted}; {name}={good}"),
        format!("{name}={good}; {name}={good}"),
        format!("{name}={bobs}; {name}={good}"),
        format!("{name}={good}; other=1; {name}="),
        format!("$Version=1; {name}=\"{good}\"; $Path=/"),
        format!("{name}=\"{good}\""),
        format!("{name} = {good};{name}= {planted}"),
        format!("{name}={good}\r\nCookie: {name}={planted}"),
    ];
    for line in &lines {
        let headers = [NAVIGATION.as_slice(), &[("Cookie", line)]].concat();
        let page = house.browser().send("GET", &house.at("/"), &headers, "").await;
        assert_eq!(page.status(), 303, "{line}");
        let cleared = page.cookies_set().iter().any(|set| set.starts_with(&format!("{name}=;")));
        assert!(cleared, "{line}: {:?}", page.cookies_set());
        let headers = [FETCH.as_slice(), &[("Cookie", line)]].concat();
        let page = house.browser().send("GET", &house.at("/"), &headers, "").await;
        assert_eq!((page.status(), page.cookies_set().len()), (401, 0), "{line}");
    }
    assert_eq!(house.echo.seen().len(), seen);
    // Odd, and still one cookie: browsers tell names apart by case.
    let shouted = format!("{name}={good}; {}={bobs}", name.to_ascii_uppercase());
    for line in [format!("a=b;;  {name}={good} ;"), format!("a; {name}={good}"), shouted] {
        let headers = [FETCH.as_slice(), &[("Cookie", &line)]].concat();
        assert_eq!(house.browser().send("GET", &house.at("/"), &headers, "").await.status(), 200, "{line}");
    }
}

/// Holds: S7.
#[tokio::test]
async fn a_cookie_that_is_none_is_answered_like_no_cookie() {
    let plan = Plan::default().with("session", "idle = \"1h\"");
    let house = TestHouse::start(plan).await;
    let mut expired = house.signed_in("alice").await;
    house.clock.advance(Duration::from_hours(2));
    let good = house.signed_in("alice").await;
    let known = house.session(&good).unwrap();
    let (names, seen) = (house.cookies(), house.echo.seen().len());
    let mut stranger = house.browser();
    stranger.navigate(&house.at("/")).await;
    let (flow_name, flow) = stranger.named(&names.flow_prefix).pop().unwrap();
    let same_as = |page: &Page| {
        let mut problem = page.json();
        problem["request_id"] = "".into();
        let mut headers = page.answer.headers.clone();
        headers.retain(|(name, _)| !matches!(name.to_ascii_lowercase().as_str(), "x-request-id" | "date"));
        (page.status(), problem, headers)
    };
    let expected = same_as(&house.browser().fetch(&house.at("/")).await);
    assert_eq!(expected.0, 401);
    assert_eq!(same_as(&expired.fetch(&house.at("/")).await), expected, "expired");
    let mut cookies = forged_cookies(&known);
    cookies.push(flow.clone());
    for value in &cookies {
        for name in [&names.session, &flow_name, &format!("{}_0", names.session)] {
            let mut browser = house.browser();
            browser.plant(house.host(), name, value);
            assert_eq!(same_as(&browser.fetch(&house.at("/")).await), expected, "{name}={value}");
            assert_eq!(browser.navigate(&house.at("/")).await.status(), 303, "{name}={value}");
        }
    }
    // The session's id as a flow, at the callback.
    let mut browser = house.browser();
    browser.plant(house.host(), &flow_name, &known);
    let state = flow_name.strip_prefix(&names.flow_prefix).unwrap();
    let callback = house.at(&format!("/_hero/auth/callback?code=x&state={state}aaaaaaaa"));
    assert_eq!(browser.navigate(&callback).await.reason().as_deref(), Some("flow_unknown"));
    // A thousand parts of a cookie that does not come in parts.
    let parts: Vec<_> = (0..1000).map(|number| format!("{}_{number}=A", names.session)).collect();
    let parts = parts.join("; ");
    let headers = [FETCH.as_slice(), &[("Cookie", &parts)]].concat();
    let page = house.browser().send("GET", &house.at("/"), &headers, "").await;
    assert_eq!(same_as(&page), expected);
    // Beyond what a head may have, and beyond what a header may say.
    let long = format!("{}={}", names.session, "A".repeat(1 << 20));
    let page = house.browser().send("GET", &house.at("/"), &[("Cookie", &long)], "").await;
    assert_eq!(page.status(), 431);
    let nul = format!("{}={known}\0", names.session);
    assert_eq!(house.browser().send("GET", &house.at("/"), &[("Cookie", &nul)], "").await.status(), 400);
    assert_eq!(house.forge.count(Endpoint::Token), 2);
    assert_eq!(house.echo.seen().len(), seen);
}

/// However many cookies come, and whatever is in them: one look at the store at most, no cookie is put together from
/// parts, and an answer clears a handful. Holds: S7.
#[tokio::test]
async fn the_work_for_cookies_does_not_grow_with_their_number() {
    let store = Moody::new();
    let plan = Plan { own_store: Some(store.clone()), ..Plan::default() };
    let house = TestHouse::start(plan.with("limits", "max_head_size = \"1MiB\"")).await;
    let names = house.cookies();
    let asked = || store.asked_in_all();
    let ask = async |headers: &[(&str, &str)], cookies: &str| {
        let headers = [headers, &[("Cookie", cookies)]].concat();
        house.browser().send("GET", &house.at("/"), &headers, "").await
    };
    let many = |name: &str, value: &str| -> String {
        (0..10_000).map(|number| format!("{name}{number}={value}; ")).collect::<String>() + "end=1"
    };
    let reason = |page: &Page| (page.status(), page.reason());
    let expected = reason(&house.browser().fetch(&house.at("/")).await);
    assert_eq!(expected, (401, Some("sign_in_required".to_owned())));
    let before = asked();
    for (name, value) in [
        (format!("{}_", names.session), "A".repeat(43)),
        (names.flow_prefix.clone(), "A".to_owned()),
        (names.flow_prefix.clone(), "A".repeat(50)),
        (format!("{}a", names.signed_out), "1".to_owned()),
    ] {
        let cookies = many(&name, &value);
        assert_eq!(reason(&ask(&FETCH, &cookies).await), expected, "{name}");
        let page = ask(&NAVIGATION, &cookies).await;
        assert_eq!(page.status(), 303, "{name}");
        assert!(page.cookies_set().len() <= 40, "{name}: {}", page.cookies_set().len());
    }
    for value in ["", "x", "A".repeat(44).as_str(), "A".repeat(900_000).as_str(), "\u{e4}"] {
        assert_eq!(reason(&ask(&FETCH, &format!("{}={value}", names.session)).await), expected);
    }
    assert_eq!(asked(), before, "what can be no id is looked up nowhere");
    // What can be one is looked up once, and ten thousand of them not at all: two are none.
    assert_eq!(reason(&ask(&FETCH, &format!("{}={}", names.session, "A".repeat(43))).await), expected);
    assert_eq!(asked(), before + 1);
    let ids: String = (0..10_000).map(|number| format!("{}={number:0>42}A; ", names.session)).collect();
    assert_eq!(reason(&ask(&FETCH, ids.trim_end_matches("; ")).await), expected);
    assert_eq!(asked(), before + 1);
    assert!(house.echo.is_untouched());
    // A whole session in parts is none.
    let browser = house.signed_in("alice").await;
    let id = house.session(&browser).unwrap();
    let (head, tail) = id.split_at(20);
    for parts in [
        format!("{0}_0={head}; {0}_1={tail}", names.session),
        format!("{0}={head}; {0}_1={tail}", names.session),
        format!("{0}-0={id}", names.session),
    ] {
        assert_eq!(reason(&ask(&FETCH, &parts).await), expected, "{parts}");
    }
}

async fn moody() -> (Arc<Moody>, TestHouse) {
    let store = Moody::new();
    let plan = Plan { own_store: Some(store.clone()), ..Plan::default() };
    let plan = plan.with("server", "health = \"127.0.0.1:0\"").with("limits", "wait = \"200ms\"");
    (store, TestHouse::start(plan).await)
}

/// Readiness after one look at forge and store.
async fn readiness(house: &TestHouse, expected: u16) -> String {
    let url: Url = format!("http://{}/readyz", house.health.unwrap()).parse().unwrap();
    let watch = tokio::spawn(house.house.watch(house.readiness.clone()).run());
    let page = soon("readiness", async {
        loop {
            let page = Browser::default().navigate(&url).await;
            if page.status() == expected {
                return page;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    watch.abort();
    page.text()
}

/// Holds: S8.
#[tokio::test]
async fn a_store_that_fails_signs_nobody_out() {
    for slow in [false, true] {
        let (store, house) = moody().await;
        let mut browser = house.signed_in("alice").await;
        let cookie = house.session(&browser).unwrap();
        readiness(&house, 200).await;
        house.pass_near();
        let gate = Gate::closed();
        store.be(if slow { Mood::Slow(gate.clone()) } else { Mood::Down });
        let seen = house.echo.seen().len();
        for _ in 0..2 {
            let page = browser.navigate(&house.at("/")).await;
            assert_eq!((page.status(), page.reason().as_deref()), (503, Some("store_unavailable")));
            assert!(page.answer.value("retry-after").is_some() && page.cookies_set().is_empty());
            let page = browser.fetch(&house.at("/")).await;
            assert_eq!((page.status(), page.reason().as_deref()), (503, Some("store_unavailable")));
            assert!(page.answer.value("retry-after").is_some() && page.cookies_set().is_empty());
            let page = browser.fetch(&house.at(WHOAMI)).await;
            assert_eq!(page.status(), 503);
        }
        assert_eq!(house.echo.seen().len(), seen, "not one byte");
        if !slow {
            assert!(readiness(&house, 503).await.contains("store_unavailable"));
        }
        gate.open();
        store.be(Mood::Well);
        assert_eq!(browser.navigate(&house.at("/")).await.text(), "app");
        assert_eq!(house.session(&browser).unwrap(), cookie, "the same session as before");
        readiness(&house, 200).await;
    }
}

/// Holds: S8.
#[tokio::test]
async fn what_the_store_said_a_moment_ago_is_served_while_it_fails() {
    let (store, house) = moody().await;
    let mut browser = house.signed_in("alice").await;
    store.be(Mood::Down);
    house.clock.advance(Duration::from_secs(4));
    assert_eq!(browser.navigate(&house.at("/")).await.text(), "app");
    house.settle().await;
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(browser.navigate(&house.at("/")).await.status(), 503);
}

/// Holds: S8.
#[tokio::test]
async fn a_sign_in_that_the_store_cannot_take_sends_no_code_and_a_sign_out_keeps_the_cookie() {
    let (store, house) = moody().await;
    let mut browser = house.browser();
    let callback = house.callback(&mut browser, "/wanted", "alice").await;
    store.be(Mood::Down);
    let page = browser.navigate(&callback).await;
    assert_eq!((page.status(), page.reason().as_deref()), (503, Some("store_unavailable")));
    assert!(page.answer.value("retry-after").is_some() && house.session(&browser).is_none());
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    store.be(Mood::Well);
    assert_eq!(browser.visit(&callback).await.url, house.at("/wanted"), "trying again works");

    for path in [LOGOUT.to_owned(), format!("{LOGOUT}?everywhere=true")] {
        let session = house.session(&browser);
        store.be(Mood::Down);
        house.pass_near();
        let headers = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin")];
        let page = browser.send("POST", &house.at(&path), &headers, "").await;
        assert_eq!((page.status(), page.reason().as_deref()), (503, Some("store_unavailable")), "{path}");
        assert!(page.cookies_set().is_empty() && page.answer.value("retry-after").is_some());
        store.be(Mood::Well);
        // Nothing has happened: still signed in, and the next try works.
        assert_eq!(browser.navigate(&house.at("/")).await.text(), "app", "{path}");
        assert_eq!(house.session(&browser), session);
    }
    let copied = house.session(&browser).unwrap();
    assert_eq!(sign_out(&house, &mut browser).await.status(), 303);
    assert_eq!((house.session(&browser), status_with(&house, &copied).await), (None, 401));
}

/// Holds: S8.
#[tokio::test]
async fn a_row_that_cannot_be_read_leads_to_one_clean_sign_in() {
    let (store, house) = moody().await;
    let mut browser = house.signed_in("alice").await;
    house.pass_near();
    store.be(Mood::Spoilt);
    let seen = house.echo.seen().len();
    assert_eq!(browser.fetch(&house.at("/")).await.status(), 401);
    let page = browser.navigate(&house.at("/wanted")).await;
    assert_eq!(page.status(), 303);
    assert_eq!(house.session(&browser), None, "cleared, so that nothing loops");
    assert_eq!(house.echo.seen().len(), seen);
    let page = browser.sign_in_from(page, "alice", "not asked for").await;
    assert_eq!((page.status(), page.url), (200, house.at("/wanted")));
}

/// Holds: S9 (there is one format so far).
#[tokio::test]
async fn a_restart_keeps_everybody_signed_in_and_a_sign_in_under_way_alive() {
    let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
    let (mut alice, mut bob, mut third) =
        (house.signed_in("alice").await, house.signed_in("bob").await, house.browser());
    let token = house.echo.seen()[0].values("x-hero-forge-token")[0].to_owned();
    let callback = house.callback(&mut third, "/wanted", "alice").await;
    let house = house.restart().await;
    for browser in [&mut alice, &mut bob, &mut third] {
        browser.learn(&house.authority(), house.address);
    }
    assert_eq!(alice.navigate(&house.at("/")).await.text(), "app");
    let seen = house.echo.seen().pop().unwrap();
    assert_eq!(
        (seen.values("x-hero-user"), seen.values("x-hero-forge-token")),
        (vec!["alice"], vec![token.as_str()])
    );
    assert_eq!(bob.navigate(&house.at("/")).await.text(), "app");
    assert_eq!(house.forge.count(Endpoint::Token), 2, "nobody had to sign in again");
    assert_eq!(third.visit(&callback).await.url, house.at("/wanted"));
    // And the forge may be down meanwhile.
    let house = house.restart().await;
    house.forge.break_next(Endpoint::Discovery, Fault::Close, usize::MAX);
    alice.learn(&house.authority(), house.address);
    assert_eq!(alice.navigate(&house.at("/")).await.text(), "app");
}

/// Holds: S11.
#[tokio::test]
async fn nobody_elses_page_signs_a_visitor_out() {
    let house = TestHouse::new().await;
    let mut browser = house.signed_in("alice").await;
    let kept = browser.cookies().to_vec();
    for (method, headers) in [
        ("GET", vec![("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "cross-site")]),
        ("GET", vec![("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")]),
        ("HEAD", vec![]),
        ("GET", NAVIGATION.to_vec()),
    ] {
        let page = browser.send(method, &house.at(LOGOUT), &headers, "").await;
        assert_eq!((page.status(), page.answer.value("allow")), (405, Some("POST")), "{method} {headers:?}");
    }
    for headers in [
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Origin", "http://localhost")],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
    ] {
        let page = browser.send("POST", &house.at(LOGOUT), &headers, "").await;
        assert_eq!((page.status(), page.reason().as_deref()), (403, Some("foreign_origin")), "{headers:?}");
    }
    assert_eq!(browser.cookies(), kept);
    assert_eq!(browser.navigate(&house.at("/")).await.text(), "app");
}

/// Holds: S14.
#[tokio::test]
async fn a_thousand_requests_in_a_minute_write_to_the_store_once() {
    let (store, house) = moody().await;
    let browser = house.signed_in("alice").await;
    let others =
        ["insert_session", "remove_session", "swap_grant", "drop_grant", "lease", "release", "claim"];
    let writes = || (store.asked("touch_session"), others.map(|method| store.asked(method)));
    let (touches, before) = writes();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
        house.authority(),
        browser.cookie_line(house.host())
    );
    let mut client = RawClient::tcp(house.address).await;
    for _ in 0..1000 {
        assert_eq!(client.ask(&head).await.status, 200);
        house.clock.advance(Duration::from_millis(60));
    }
    assert_eq!(client.ask(&head).await.status, 200);
    house.settle().await;
    assert_eq!(writes(), (touches + 1, before));
    assert!(store.asked("session") < 60, "and it is read each few seconds only");
}

/// Holds: H5.
#[tokio::test]
async fn the_flag_is_switched_by_a_reload_and_no_session_is_lost() {
    let mut house = TestHouse::start(Plan { pass_through: false, ..Plan::default() }).await;
    let mut browser = house.signed_in("alice").await;
    let names = ["x-hero-forge-token", "x-hero-forge-token-expires", "x-hero-forge-scopes"];
    for on in [false, true, false, true] {
        assert!(house.reload(|plan| plan.pass_through = on).is_empty(), "no restart is needed");
        assert_eq!(browser.navigate(&house.at("/")).await.text(), "app");
        let seen = house.echo.seen().pop().unwrap();
        for name in names {
            assert_eq!(seen.values(name).len(), usize::from(on), "{name}");
        }
        assert_eq!(seen.values("x-hero-user"), ["alice"]);
    }
    // Who may pass follows the file as well.
    house.reload(|plan| plan.allow = vec!["user:bob"]);
    let page = browser.navigate(&house.at("/")).await;
    assert_eq!((page.status(), page.reason().as_deref()), (403, Some("not_allowed")));
    house.reload(|plan| plan.allow = vec!["user:alice"]);
    assert_eq!(browser.navigate(&house.at("/")).await.text(), "app");
    assert_eq!(house.forge.count(Endpoint::Token), 1, "nobody signed in again");
}
