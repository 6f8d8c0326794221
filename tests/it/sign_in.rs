//! Signing in, the whole way over real sockets: what is sent, what is believed of what comes back, where it lands, and
//! that nothing else opens a session.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hero_proxy::forge::fake::{Endpoint, FakeSettings, FakeVersion, Fault, Gate};
use tokio::task::JoinSet;
use url::Url;

use crate::support::browser::{Browser, FETCH, NAVIGATION, NEW_PASSWORD, Page};
use crate::support::canned::Canned;
use crate::support::house::{CLIENT_ID, Plan, TestHouse, password};
use crate::support::logs::Logs;
use crate::support::soon;

const SCOPE: &str = "openid profile email groups read:user write:issue";

fn pairs(url: &Url) -> HashMap<String, String> {
    let all: Vec<_> = url.query_pairs().into_owned().collect();
    let map: HashMap<_, _> = all.iter().cloned().collect();
    assert_eq!(map.len(), all.len(), "nothing stands twice: {url}");
    map
}

fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut changed = url.clone();
    let others: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    changed.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    changed
}

fn flows(house: &TestHouse, browser: &Browser) -> usize {
    browser.named(&house.cookies().flow_prefix).len()
}

/// A page of ours that says no: the status and the reason, no session, nothing to keep, a way out.
fn assert_refused(page: &Page, house: &TestHouse, browser: &Browser, status: u16, reason: &str) {
    assert_eq!((page.status(), page.reason().as_deref()), (status, Some(reason)), "{}", page.text());
    assert_eq!(page.answer.value("cache-control"), Some("no-store"));
    let sign_in = page.link("sign-in").expect("a button");
    assert!(sign_in.as_str().starts_with(house.at("/_hero/auth/login?return_to=").as_str()), "{sign_in}");
    assert_eq!(house.session(browser), None);
}

/// No browser keeps two answers to one name.
fn assert_each_cookie_once(page: &Page) {
    let names: Vec<_> =
        page.cookies_set().iter().map(|line| line.split('=').next().unwrap().to_owned()).collect();
    assert_eq!(names.len(), names.iter().collect::<HashSet<_>>().len(), "{names:?}");
}

/// Holds: I1, I8.
#[tokio::test]
async fn a_visitor_signs_in_and_lands_on_the_page_first_asked_for() {
    for version in [FakeVersion::V15, FakeVersion::V11] {
        let fake = FakeSettings { version, ..FakeSettings::default() };
        let house = TestHouse::start(Plan { fake, ..Plan::default() }).await;
        let mut browser = house.browser();
        let page = house.sign_in(&mut browser, "/a/b?c=d&e=%2F", "alice").await;
        assert_eq!((page.status(), page.text().as_str()), (200, "app"), "{version:?}");
        assert_eq!(page.url, house.at("/a/b?c=d&e=%2F"));
        let seen = house.echo.only();
        assert_eq!(seen.target(), "/a/b?c=d&e=%2F");
        assert_eq!(seen.values("x-hero-user"), ["alice"]);
        assert_eq!(seen.values("x-hero-forge-token").len(), 1);
        assert_eq!(house.forge.count(Endpoint::Token), 1);
        assert_eq!(flows(&house, &browser), 0, "what has served is cleared");
    }
}

/// Holds: O1, O17.
#[tokio::test]
async fn a_sign_in_asks_for_a_code_with_new_secrets_each_time() {
    let house = TestHouse::new().await;
    let callback = house.at("/_hero/auth/callback");
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let mut browser = house.browser();
        let page = browser.navigate(&house.at("/x")).await;
        assert_eq!((page.status(), page.answer.value("cache-control")), (303, Some("no-store")));
        let authorize = page.location().unwrap();
        assert!(authorize.as_str().len() < 2048, "the forge keeps it in a cookie");
        assert_eq!(authorize.path(), "/login/oauth/authorize");
        let said = pairs(&authorize);
        let expected = [
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("scope", SCOPE),
            ("redirect_uri", callback.as_str()),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in expected {
            assert_eq!(said[name], value, "{name}");
        }
        // Base64url: six bits a character.
        assert!(said["state"].len() * 6 >= 128 && said["nonce"].len() * 6 >= 128);
        assert_eq!(said["code_challenge"].len(), 43);
        assert_eq!(said.len(), expected.len() + 3, "and nothing else: {authorize}");
        for name in ["state", "nonce", "code_challenge"] {
            assert!(seen.insert(said[name].clone()), "{name} is new each time");
        }
        let (_, kept) = browser.named(&house.cookies().flow_prefix).pop().unwrap();
        assert!(!kept.contains(&said["state"]) && !kept.contains(&said["nonce"]), "sealed");
    }
    assert!(house.echo.is_untouched());
}

/// Holds: O2.
#[tokio::test]
async fn a_callback_without_its_flow_sends_no_code_and_opens_no_session() {
    let house = TestHouse::new().await;
    {
        let mut browser = house.browser();
        let callback = house.callback(&mut browser, "/", "alice").await;
        let page = browser.navigate(&with(&callback, "state", "of-somebody-else")).await;
        assert_refused(&page, &house, &browser, 400, "flow_unknown");
        let near = format!("{}x", pairs(&callback)["state"]);
        let page = browser.navigate(&with(&callback, "state", &near)).await;
        assert_refused(&page, &house, &browser, 400, "flow_unknown");
        assert_eq!(flows(&house, &browser), 1, "a guess ends nobody's sign-in");
    }
    {
        let mut browser = house.browser();
        let callback = house.callback(&mut browser, "/", "alice").await;
        let without: String = callback.as_str().split("&state=").next().unwrap().to_owned();
        let page = browser.navigate(&without.parse().unwrap()).await;
        assert_refused(&page, &house, &browser, 400, "callback_malformed");
    }
    {
        let mut browser = house.browser();
        let callback = house.callback(&mut browser, "/", "alice").await;
        house.clock.advance(Duration::from_mins(15));
        let page = browser.navigate(&callback).await;
        assert_refused(&page, &house, &browser, 400, "flow_unknown");
        assert_eq!(flows(&house, &browser), 0, "cleared");
    }
    {
        let (mut browser, mut other) = (house.browser(), house.browser());
        let callback = house.callback(&mut browser, "/", "alice").await;
        let page = other.navigate(&callback).await;
        assert_refused(&page, &house, &other, 400, "flow_unknown");
        // Another browser with a flow of its own is another browser still.
        other.navigate(&house.at("/")).await;
        let page = other.navigate(&callback).await;
        assert_refused(&page, &house, &other, 400, "flow_unknown");
        assert_eq!(flows(&house, &other), 1, "and its own flow is not disturbed");
    }
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    assert!(house.echo.is_untouched());
}

/// Holds: O2, O3.
#[tokio::test]
async fn a_callback_counts_once() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let callback = house.callback(&mut browser, "/wanted?x=1", "alice").await;
    let mut thief = browser.clone();
    let page = browser.navigate(&callback).await;
    assert_eq!(page.location(), Some(house.at("/wanted?x=1")));
    assert_each_cookie_once(&page);

    // Reload and back button, with the session.
    let again = browser.navigate(&callback).await;
    assert_eq!((again.status(), again.location()), (303, Some(house.at("/"))));
    // A copy of the browser of before, flow cookie and all.
    let page = thief.navigate(&callback).await;
    assert_refused(&page, &house, &thief, 400, "flow_unknown");
    assert_each_cookie_once(&page);
    assert_eq!(flows(&house, &thief), 0);
    // The same after a sign-out.
    browser.forget_all(house.host());
    let page = browser.navigate(&callback).await;
    assert_refused(&page, &house, &browser, 400, "flow_unknown");

    assert_eq!(house.forge.count(Endpoint::Token), 1);
    assert!(house.echo.is_untouched());
}

/// Holds: O3.
#[tokio::test]
async fn a_double_click_is_one_sign_in() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let callback = house.callback(&mut browser, "/wanted", "alice").await;
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Token, Fault::HoldAnswer(gate.clone()), 1);
    let mut second = browser.clone();
    let (first, second_page, ()) =
        tokio::join!(browser.navigate(&callback), second.navigate(&callback), async {
            soon("the code arrives", gate.reached(1)).await;
            gate.open();
        });
    // Whoever came late has found the state used; whoever came in time has the very same session.
    assert_eq!(first.location(), Some(house.at("/wanted")));
    let joined = second_page.location() == Some(house.at("/wanted"));
    assert!(joined || second_page.reason().as_deref() == Some("flow_unknown"), "{}", second_page.text());
    if joined {
        assert_eq!(house.session(&browser), house.session(&second));
    }
    assert_eq!(house.forge.count(Endpoint::Token), 1);
}

/// Holds: D4 (callbacks with codes that are made up).
#[tokio::test]
async fn a_flood_of_callbacks_piles_up_no_calls_and_costs_an_honest_one_a_moment() {
    let house = TestHouse::new().await;
    let mut honest = house.browser();
    let callback = house.callback(&mut honest, "/wanted", "alice").await;
    let gate = Gate::closed();
    house.forge.break_next(Endpoint::Token, Fault::Wait(gate.clone()), 1000);
    let mut flood = JoinSet::new();
    for _ in 0..64 {
        let mut browser = house.browser();
        let authorize = browser.navigate(&house.at("/")).await.location().unwrap();
        let state = pairs(&authorize)["state"].clone();
        let made_up = house.at(&format!("/_hero/auth/callback?code=made-up&state={state}"));
        flood.spawn(async move { browser.navigate(&made_up).await.status() });
    }
    soon("all codes arrive", gate.reached(64)).await;
    for _ in 0..3 {
        let page = honest.navigate(&callback).await;
        assert_eq!((page.status(), page.reason().as_deref()), (503, Some("sign_ins_busy")));
        assert!(page.answer.value("retry-after").is_some());
        assert_eq!(flows(&house, &honest), 1, "the sign-in is not used up");
    }
    assert_eq!(house.forge.count(Endpoint::Token), 64);
    gate.open();
    while let Some(status) = soon("the flood ends", flood.join_next()).await {
        assert_eq!(status.unwrap(), 502, "the forge refuses what is made up");
    }
    let page = honest.navigate(&callback).await;
    assert_eq!(page.location(), Some(house.at("/wanted")));
    assert!(house.session(&honest).is_some());
}

/// Holds: O4.
#[tokio::test]
async fn a_callback_that_no_forge_would_make_is_refused_whole() {
    let plan = Plan::default().with("limits", "max_target_size = \"64KiB\"");
    let house = TestHouse::start(plan).await;
    let mut browser = house.browser();
    let callback = house.callback(&mut browser, "/", "alice").await;
    let said = pairs(&callback);
    let (code, state, long) = (&said["code"], &said["state"], "a".repeat(50 * 1024));
    for query in [
        format!("code={code}&state={state}&state={state}"),
        format!("code={code}&code={code}&state={state}"),
        format!("code={code}&state={state}&iss=x&iss=x"),
        format!("error=access_denied&error=access_denied&state={state}"),
        format!("code={code}&error=access_denied&state={state}"),
        format!("code={long}&state={state}"),
        format!("code={code}&state={long}"),
        format!("error={long}&state={state}"),
        "code=&state=".to_owned(),
        format!("state={state}"),
        String::new(),
    ] {
        let page = browser.navigate(&house.at(&format!("/_hero/auth/callback?{query}"))).await;
        assert_refused(&page, &house, &browser, 400, "callback_malformed");
    }
    let huge = "a".repeat(63 * 1024);
    let page =
        browser.navigate(&house.at(&format!("/_hero/auth/callback?state={state}&code={huge}{huge}"))).await;
    assert!(matches!(page.status(), 414 | 431), "beyond the limit of all targets: {}", page.status());
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let page = browser.send(method, &callback, &NAVIGATION, "").await;
        assert_eq!((page.status(), page.answer.value("allow")), (405, Some("GET")), "{method}");
    }
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    let page = browser.visit(&callback).await;
    assert_eq!(page.text(), "app", "all of that has not hurt the sign-in under way");
}

/// Begins a sign-in in a tab of its own and goes through the forge.
async fn tab(house: &TestHouse, browser: &mut Browser, number: usize) -> (String, Url) {
    house.clock.advance(Duration::from_secs(1));
    let wanted = format!("/tab?number={number}");
    let callback = house.callback(browser, &wanted, "alice").await;
    (wanted, callback)
}

/// Holds: O5.
#[tokio::test]
async fn ten_tabs_of_a_browser_sign_in_in_any_order() {
    let house = TestHouse::new().await;
    let orders: [[usize; 10]; 3] =
        [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [4, 9, 0, 7, 2, 8, 1, 6, 3, 5]];
    for order in orders {
        let mut browser = house.browser();
        let mut tabs = Vec::new();
        for number in 0..10 {
            tabs.push(tab(&house, &mut browser, number).await);
        }
        assert_eq!(flows(&house, &browser), 10);
        assert!(browser.cookie_line(house.host()).len() < 8 * 1024, "bounded");
        for number in order {
            let (wanted, callback) = &tabs[number];
            let page = browser.visit(callback).await;
            assert_eq!((page.status(), page.url), (200, house.at(wanted)), "tab {number} of {order:?}");
        }
        assert_eq!(flows(&house, &browser), 0);
    }
    let landed = house.echo.seen();
    assert_eq!(landed.len(), 30);
    assert!(landed.iter().all(|seen| seen.values("x-hero-user") == ["alice"]));
}

/// Holds: O5.
#[tokio::test]
async fn an_eleventh_tab_ends_the_oldest_sign_in_and_no_other() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let mut tabs = Vec::new();
    for number in 0..11 {
        tabs.push(tab(&house, &mut browser, number).await);
    }
    assert_eq!(flows(&house, &browser), 10);
    let page = browser.navigate(&tabs[0].1).await;
    assert_refused(&page, &house, &browser, 400, "flow_unknown");
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    for (wanted, callback) in &tabs[1..] {
        assert_eq!(browser.visit(callback).await.url, house.at(wanted));
    }
}

/// Holds: O6, I12.
#[tokio::test]
async fn a_sign_in_that_another_one_crossed_starts_over_once_and_no_more() {
    let house = TestHouse::new().await;
    let (mut browser, mut other) = (house.browser(), house.browser());
    house.callback(&mut other, "/", "alice").await;
    let callback = house.callback(&mut browser, "/wanted?x=1", "alice").await;
    // The other browser moves the grant's nonce on.
    house.callback(&mut other, "/", "alice").await;
    let page = browser.navigate(&callback).await;
    let authorize = page.location().expect("a silent restart");
    assert_eq!(authorize.path(), "/login/oauth/authorize");
    assert_ne!(pairs(&authorize)["state"], pairs(&callback)["state"]);
    assert_eq!((house.session(&browser), flows(&house, &browser)), (None, 1));
    assert_each_cookie_once(&page);

    let again = browser.at_forge(&authorize, "alice", &password("alice")).await;
    house.callback(&mut other, "/", "alice").await;
    let page = browser.navigate(&again).await;
    assert_refused(&page, &house, &browser, 409, "sign_in_crossed");
    assert_eq!(house.forge.count(Endpoint::Token), 2, "one for each code");
    assert!(house.echo.is_untouched());

    // Crossed once only: it lands.
    let callback = house.callback(&mut browser, "/wanted?x=1", "alice").await;
    house.callback(&mut other, "/", "alice").await;
    let page = browser.navigate(&callback).await;
    let page = browser.sign_in_from(page, "alice", &password("alice")).await;
    assert_eq!((page.status(), page.url), (200, house.at("/wanted?x=1")));
}

/// Holds: O6.
#[tokio::test]
async fn a_crossed_sign_in_of_a_browser_that_is_signed_in_meanwhile_goes_on_to_its_page() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let crossed = house.callback(&mut browser, "/first", "alice").await;
    let second = house.callback(&mut browser, "/second", "alice").await;
    assert_eq!(browser.visit(&second).await.url, house.at("/second"));
    let session = house.session(&browser);
    assert_eq!(browser.visit(&crossed).await.url, house.at("/first"));
    assert_eq!(house.session(&browser), session);
}

/// Holds: R17.
#[tokio::test]
async fn a_sign_in_that_is_refused_takes_nothing_from_the_accounts_other_sessions() {
    let house = TestHouse::new().await;
    let mut alice = house.signed_in("alice").await;
    let (mut crossed, mut other) = (house.browser(), house.browser());
    let callback = house.callback(&mut crossed, "/", "alice").await;
    house.callback(&mut other, "/", "alice").await;
    // This exchange outdates the refresh token that is stored.
    assert_eq!(crossed.navigate(&callback).await.status(), 303);
    for wait in [0, 6, 3600] {
        house.clock.advance(Duration::from_secs(wait));
        let before = house.echo.seen().len();
        assert_eq!(alice.navigate(&house.at("/")).await.status(), 200, "after {wait} s");
        let seen = &house.echo.seen()[before];
        assert_eq!(seen.values("x-hero-forge-token").len(), 1, "after {wait} s");
    }
}

/// Holds: O7.
#[tokio::test]
async fn an_answer_of_another_issuer_is_refused_before_its_code_is_sent() {
    let house = TestHouse::new().await;
    let ours = house.forge.url().as_str().trim_end_matches('/').to_owned();
    for other in ["https://evil.example", "", house.forge.url().as_str()] {
        let mut browser = house.browser();
        let callback = house.callback(&mut browser, "/", "alice").await;
        let page = browser.navigate(&with(&callback, "iss", other)).await;
        assert_refused(&page, &house, &browser, 400, "callback_malformed");
    }
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    // The very issuer, also right after a restart, when nothing of the forge is known yet.
    let mut browser = house.browser();
    let callback = house.callback(&mut browser, "/", "alice").await;
    assert_eq!(browser.visit(&with(&callback, "iss", &ours)).await.text(), "app");
}

/// Holds: O7.
#[tokio::test]
async fn an_issuer_that_is_announced_and_missing_is_refused() {
    let house = TestHouse::new().await;
    let forge = house.forge.url().as_str().trim_end_matches('/').to_owned();
    let document = serde_json::json!({
        "issuer": forge,
        "authorization_endpoint": format!("{forge}/login/oauth/authorize"),
        "token_endpoint": format!("{forge}/login/oauth/access_token"),
        "jwks_uri": format!("{forge}/login/oauth/keys"),
        "introspection_endpoint": format!("{forge}/login/oauth/introspect"),
        "id_token_signing_alg_values_supported": ["RS256"],
        "authorization_response_iss_parameter_supported": true,
    });
    house.forge.break_next(Endpoint::Discovery, Fault::json(200, document.to_string()), 1);
    let mut browser = house.browser();
    let callback = house.callback(&mut browser, "/", "alice").await;
    let mut honest = browser.clone();
    let page = browser.navigate(&callback).await;
    assert_refused(&page, &house, &browser, 400, "callback_malformed");
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    assert_eq!(honest.visit(&with(&callback, "iss", &forge)).await.text(), "app");
}

/// Holds: O8.
#[tokio::test]
async fn the_forges_no_is_told_in_our_words_and_never_tried_again() {
    let house = TestHouse::new().await;
    let refuse = async |browser: &mut Browser, code: &str, callback: &Url| {
        let page = browser.navigate(callback).await;
        assert_refused(&page, &house, browser, 403, "forge_refused");
        assert!(page.text().contains(code), "{}", page.text());
        assert_eq!(flows(&house, browser), 0);
        page.text()
    };
    // "Cancel" on the consent page.
    let mut browser = house.browser();
    let authorize = browser.navigate(&house.at("/x")).await.location().unwrap();
    let callback = browser.decide_at_forge(&authorize, "alice", &password("alice"), false).await;
    refuse(&mut browser, "access_denied", &callback).await;
    // A grant with another scope appears while the consent page is open.
    let mut browser = house.browser();
    let authorize = browser.navigate(&house.at("/x")).await.location().unwrap();
    let form = browser.visit(&authorize).await.form("/user/login").unwrap();
    let page = browser.submit(&form.with("user_name", "alice").with("password", &password("alice"))).await;
    let consent = browser.follow(page).await.form("/login/oauth/grant").unwrap();
    house.forge.set_grant_scope("alice", CLIENT_ID, "read:user").unwrap();
    let callback = browser.submit(&consent.with("granted", "true")).await.location().unwrap();
    let words = refuse(&mut browser, "server_error", &callback).await;
    assert!(words.contains("revoke"), "it says what to do");

    let hostile = "%3Cscript%3Ealert(1)%3C/script%3E%0d%0aSet-Cookie:%20x=1";
    for (error, shown) in [("made_up_code", "made_up_code"), (hostile, "(not shown)")] {
        let mut browser = house.browser();
        let authorize = browser.navigate(&house.at("/x")).await.location().unwrap();
        let state = &pairs(&authorize)["state"];
        let callback = house.at(&format!(
            "/_hero/auth/callback?error={error}&error_description={hostile}&error_uri=https://evil.example&state={state}"
        ));
        let words = refuse(&mut browser, shown, &callback).await;
        assert!(!words.contains("alert(1)") && !words.contains("evil.example"), "{words}");
    }
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    assert!(house.echo.is_untouched());
}

/// Holds: O9.
#[tokio::test]
async fn no_request_has_a_say_in_what_the_forge_is_asked() {
    let house = TestHouse::new().await;
    let login = "/_hero/auth/login?return_to=/wanted&redirect_uri=https://evil.example/&scope=all&client_id=evil\
                 &prompt=none&state=mine&nonce=mine&code_challenge=mine&response_type=token";
    let mut browser = house.browser();
    let foreign = [("Forwarded", "host=evil.example"), ("X-Forwarded-Host", "evil.example")];
    browser.extra = foreign.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    browser.extra.push(("X-Forwarded-Proto".to_owned(), "https".to_owned()));
    let authorize = browser.navigate(&house.at(login)).await.location().unwrap();
    let said = pairs(&authorize);
    assert!(!authorize.as_str().contains("evil") && !authorize.as_str().contains("mine"), "{authorize}");
    assert_eq!(said["redirect_uri"], house.at("/_hero/auth/callback").as_str());
    assert_eq!((said["scope"].as_str(), said["response_type"].as_str()), (SCOPE, "code"));
    // The fake compares the redirect URI of both endpoints byte for byte, as Forgejo does.
    let callback = browser.at_forge(&authorize, "alice", &password("alice")).await;
    assert_eq!(browser.visit(&callback).await.url, house.at("/wanted"));

    let mut stranger = Browser::knowing("evil.example", house.address);
    let page = stranger.navigate(&"http://evil.example/".parse().unwrap()).await;
    assert_eq!((page.status(), page.reason().as_deref()), (421, Some("unknown_host")));
}

/// Holds: O10.
#[tokio::test]
async fn a_token_endpoint_that_misbehaves_opens_no_session_and_is_asked_once() {
    let house = TestHouse::start(Plan::default().with("forge", "timeout = \"1s\"")).await;
    let stuck = Gate::closed();
    let elsewhere = Canned::start().await;
    let faults = [
        // With the code, the verifier and the client's secret in the body that a 307 asks to be sent again.
        Fault::Redirect { to: format!("{}/login/oauth/access_token", elsewhere.url()) },
        Fault::Redirect { to: "/login/oauth/access_token".to_owned() },
        Fault::html(200),
        Fault::html(502),
        Fault::html(307),
        Fault::json(200, "{\"access_token\":"),
        Fault::json(200, "[]"),
        Fault::Huge { bytes: 10 << 20 },
        Fault::Close,
        Fault::LoseAnswer,
        Fault::HoldAnswer(stuck.clone()),
    ];
    for (calls, fault) in faults.into_iter().enumerate() {
        let mut browser = house.browser();
        let callback = house.callback(&mut browser, "/", "alice").await;
        house.forge.break_next(Endpoint::Token, fault.clone(), 1);
        let page = browser.navigate(&callback).await;
        assert_refused(&page, &house, &browser, 503, "forge_unavailable");
        assert!(page.answer.value("retry-after").is_some(), "{fault:?}");
        assert_eq!(house.forge.count(Endpoint::Token), calls + 1, "{fault:?}");
    }
    stuck.open();
    assert_eq!(elsewhere.count(), 0, "a redirect is not followed");
    assert!(house.echo.is_untouched());
    house.signed_in("alice").await;
}

/// Holds: R5.
#[tokio::test]
async fn a_refused_code_is_told_apart_from_a_refused_registration() {
    let house = TestHouse::new().await;
    let perhaps_the_secret = "the forge refuses a code; if all sign-ins fail so, the client secret is wrong";
    for (code, status, reason, told) in [
        ("unauthorized_client", 502, "sign_in_failed", perhaps_the_secret),
        ("invalid_grant", 502, "sign_in_failed", perhaps_the_secret),
        ("invalid_client", 503, "forge_misconfigured", "the forge refuses this proxy's registration"),
    ] {
        let mut browser = house.browser();
        let callback = house.callback(&mut browser, "/", "alice").await;
        let refusal = serde_json::json!({"error": code, "error_description": "CANARY"}).to_string();
        house.forge.break_next(Endpoint::Token, Fault::json(400, refusal), 1);
        let logs = Logs::listen();
        let page = browser.navigate(&callback).await;
        assert_refused(&page, &house, &browser, status, reason);
        assert!(!page.text().contains("CANARY"));
        let told = logs.events(told);
        assert_eq!(told.len(), 1, "{code}: told to the operator\n{}", logs.text());
        assert_eq!(told[0]["level"], "ERROR");
        assert!(!logs.text().contains("CANARY"));
    }
}

/// Holds: O11.
#[tokio::test]
async fn a_forge_that_calls_itself_otherwise_signs_nobody_in() {
    let fake =
        FakeSettings { root_url: Some("http://forge.example/".parse().unwrap()), ..FakeSettings::default() };
    let house = TestHouse::start(Plan { fake, ..Plan::default() }).await;
    let mut browser = house.browser();
    let page = browser.navigate(&house.at("/")).await;
    assert_eq!((page.status(), page.reason().as_deref()), (503, Some("forge_misconfigured")));
    assert!(page.answer.value("retry-after").is_some() && browser.cookies().is_empty());
    assert!(house.echo.is_untouched());
}

/// Holds: O13.
#[tokio::test]
async fn the_browser_goes_to_the_public_forge_and_the_proxy_to_the_internal_one() {
    let public: Url = "http://forge.localhost:3000/".parse().unwrap();
    let fake =
        FakeSettings { root_url: Some(public.clone()), own_names_only: false, ..FakeSettings::default() };
    let plan = Plan { fake, forge_url: Some("http://forge.localhost:3000".to_owned()), ..Plan::default() };
    let house =
        TestHouse::start(plan.with("forge", "internal_url = \"FORGE\"\nallow_plaintext = true")).await;
    let mut browser = house.browser();
    let forge = house.forge.url();
    browser.learn("forge.localhost:3000", format!("127.0.0.1:{}", forge.port().unwrap()).parse().unwrap());
    let page = house.sign_in(&mut browser, "/wanted", "alice").await;
    assert_eq!((page.status(), page.url), (200, house.at("/wanted")));
    assert_eq!(house.echo.only().values("x-hero-forge-token").len(), 1);
}

/// Holds: O12.
#[tokio::test]
async fn a_forge_that_is_down_keeps_nobody_who_is_signed_in_out_and_heals_by_itself() {
    let house = TestHouse::start(Plan::default().with("server", "health = \"127.0.0.1:0\"")).await;
    let down = || {
        for endpoint in [Endpoint::Discovery, Endpoint::Token, Endpoint::Keys, Endpoint::Introspect] {
            house.forge.break_next(endpoint, Fault::Close, usize::MAX);
        }
    };
    let health = house.health.unwrap();
    let ready: Url = format!("http://{health}/readyz").parse().unwrap();
    down();
    let mut browser = house.browser();
    for (url, kind) in [("/", "text/html; charset=utf-8"), ("/_hero/auth/login", "text/html; charset=utf-8")]
    {
        let page = browser.navigate(&house.at(url)).await;
        assert_eq!((page.status(), page.reason().as_deref()), (503, Some("forge_unavailable")), "{url}");
        assert!(
            page.answer.value("retry-after").is_some() && page.answer.value("content-type") == Some(kind)
        );
        assert!(browser.cookies().is_empty());
    }
    let watch = tokio::spawn(house.house.watch(house.readiness.clone()).run());
    let red = soon("readiness", async {
        loop {
            let page = browser.navigate(&ready).await;
            if page.text().contains("forge_unavailable") {
                return page;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(red.status(), 503);
    watch.abort();

    house.forge.heal();
    // What failed is remembered for a few seconds, so that a crowd makes a handful of calls.
    house.clock.advance(Duration::from_secs(15));
    let page = house.sign_in(&mut browser, "/", "alice").await;
    assert_eq!(page.text(), "app");

    down();
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.navigate(&house.at("/later")).await.text(), "app");
    // What was learnt of the forge stays known: strangers are still sent there.
    assert_eq!(house.browser().navigate(&house.at("/")).await.status(), 303);
}

/// Holds: O14.
#[tokio::test]
async fn an_old_wider_consent_is_told_once_and_its_token_withheld() {
    let house = TestHouse::new().await;
    for wider in
        ["openid profile email groups read:user write:issue write:repository", "openid profile", "all"]
    {
        house.forge.set_grant_scope("alice", CLIENT_ID, wider).unwrap();
        let mut browser = house.browser();
        // Without `openid` the forge gives no id_token, so such a grant cannot be recognized: nobody signs in by it.
        if !wider.contains("openid") {
            let page = house.sign_in(&mut browser, "/wanted", "alice").await;
            assert_refused(&page, &house, &browser, 502, "sign_in_failed");
            continue;
        }
        let page = house.sign_in(&mut browser, "/wanted?x=1", "alice").await;
        assert_eq!((page.status(), page.reason().as_deref()), (200, Some("consent_wider")), "{wider}");
        assert!(page.text().contains("revoke"));
        let applications = house.forge.url().join("user/settings/applications").unwrap();
        assert_eq!(page.link("revoke"), Some(applications));
        assert_eq!(page.link("continue"), Some(house.at("/wanted?x=1")));
        let before = house.echo.seen().len();
        assert_eq!(browser.navigate(&house.at("/wanted?x=1")).await.text(), "app");
        let seen = &house.echo.seen()[before];
        assert_eq!(seen.values("x-hero-user"), ["alice"]);
        for name in ["x-hero-forge-token", "x-hero-forge-token-expires", "x-hero-forge-scopes"] {
            assert!(seen.values(name).is_empty(), "{name}");
        }
        let whoami = browser.fetch(&house.at("/_hero/auth/whoami")).await.json();
        assert_eq!(whoami["forge_token"]["state"], "withheld_wider_consent");
        // Read once: the next sign-in goes straight on.
        let page = house.sign_in(&mut house.browser(), "/again", "alice").await;
        assert_eq!((page.status(), page.url), (200, house.at("/again")));
    }
    // Revoked as the notice says: the token comes.
    house.forge.revoke_grant("alice", CLIENT_ID).unwrap();
    house.signed_in("alice").await;
    assert_eq!(house.echo.seen().pop().unwrap().values("x-hero-forge-scopes"), [SCOPE]);
}

/// Holds: O14.
#[tokio::test]
async fn an_old_narrower_consent_is_told_once_and_passed_with_its_true_scopes() {
    let house = TestHouse::new().await;
    let narrow = "openid profile email read:user";
    house.forge.set_grant_scope("alice", CLIENT_ID, narrow).unwrap();
    let mut browser = house.browser();
    let page = house.sign_in(&mut browser, "/wanted", "alice").await;
    assert_eq!(page.reason().as_deref(), Some("consent_narrower"));
    browser.navigate(&page.link("continue").unwrap()).await;
    let seen = house.echo.only();
    assert_eq!(seen.values("x-hero-forge-scopes"), [narrow]);
    assert_eq!(seen.values("x-hero-forge-token").len(), 1);
    assert_eq!(house.sign_in(&mut house.browser(), "/", "alice").await.text(), "app");
}

/// Holds: O14 (once, whichever process and however long ago the account's last session has ended).
#[tokio::test]
async fn who_has_read_about_an_old_consent_is_not_told_again_after_signing_out_or_a_restart() {
    let house = TestHouse::start(Plan { store: "sqlite", ..Plan::default() }).await;
    house.forge.set_grant_scope("alice", CLIENT_ID, "openid profile email read:user").unwrap();
    let mut alice = house.browser();
    let page = house.sign_in(&mut alice, "/", "alice").await;
    assert_eq!(page.reason().as_deref(), Some("consent_narrower"));
    let out = [("Sec-Fetch-Site", "same-origin")];
    assert_eq!(alice.send("POST", &house.at("/_hero/auth/logout"), &out, "").await.status(), 200);
    let twin = house.twin().await;
    let mut elsewhere = house.browser();
    elsewhere.learn(&house.authority(), twin.address);
    assert_eq!(house.sign_in(&mut elsewhere, "/", "alice").await.text(), "app");
    assert_eq!(elsewhere.send("POST", &house.at("/_hero/auth/logout"), &out, "").await.status(), 200);
    drop(twin);
    let house = house.restart().await;
    let mut later = house.browser();
    assert_eq!(house.sign_in(&mut later, "/", "alice").await.text(), "app");
    // Another scope is another notice.
    house.forge.set_grant_scope("alice", CLIENT_ID, "openid profile read:user").unwrap();
    let page = house.sign_in(&mut house.browser(), "/", "alice").await;
    assert_eq!(page.reason().as_deref(), Some("consent_narrower"));
}

/// Holds: O14.
#[tokio::test]
async fn a_scope_that_the_forge_does_not_tell_is_withheld_and_asked_for_again() {
    for odd in [
        Fault::Answer { status: 401, content_type: "text/plain", body: "no valid authorization".to_owned() },
        Fault::html(303),
        Fault::html(200),
        Fault::json(200, r#"{"active":false}"#),
        Fault::Close,
    ] {
        let house = TestHouse::new().await;
        house.forge.break_next(Endpoint::Introspect, odd.clone(), 2);
        let mut browser = house.signed_in("alice").await;
        let token = async |browser: &mut Browser| {
            assert_eq!(browser.navigate(&house.at("/")).await.text(), "app", "{odd:?}");
            house.settle().await;
            house.echo.seen().pop().unwrap().values("x-hero-forge-token").len()
        };
        assert_eq!(token(&mut browser).await, 0, "{odd:?}");
        assert_eq!(house.forge.count(Endpoint::Introspect), 1, "not asked again at once: {odd:?}");
        let whoami = browser.fetch(&house.at("/_hero/auth/whoami")).await.json();
        assert_eq!(whoami["forge_token"]["state"], "withheld_scope_unknown");
        // Asked twice more, ten seconds apart: odd again, then well.
        for expected in [2, 3] {
            house.clock.advance(Duration::from_secs(11));
            assert_eq!(token(&mut browser).await, 0, "{odd:?}");
            assert_eq!(house.forge.count(Endpoint::Introspect), expected, "{odd:?}");
        }
        assert_eq!(token(&mut browser).await, 1, "{odd:?}");
        assert_eq!(house.forge.count(Endpoint::Token), 1);
    }
}

/// Holds: O15.
#[test]
fn scopes_that_would_make_a_full_power_token_are_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    for scopes in [
        r#"["openid", "profile"]"#,
        r#"["openid,profile,write:issue"]"#,
        r#"["openid", "profile", "write:isue"]"#,
        r#"["openid profile write:issue"]"#,
        r#"["openid", "profile", "all"]"#,
    ] {
        let text = format!(
            "[server]\npublic_url = \"http://localhost:1\"\n[forge]\nurl = \"http://127.0.0.1:1\"\nclient_id = \"x\"\n\
             scopes = {scopes}\n[access]\nallow = [\"user:alice\"]\n[session]\nstore = \"memory\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let checked = hero_proxy::config::load(&file);
        assert!(checked.config.is_none(), "{scopes}");
        let about = |complaint: &hero_proxy::config::Complaint| {
            hero_proxy::config::render::line("proxy.toml", complaint).contains("scopes")
        };
        assert!(checked.complaints.iter().any(about), "{scopes}: {:?}", checked.complaints);
    }
}

/// Holds: O16.
#[tokio::test]
async fn a_token_from_elsewhere_is_no_session() {
    let house = TestHouse::new().await;
    house.signed_in("alice").await;
    let token = house.echo.only().values("x-hero-forge-token")[0].to_owned();
    let personal = house.forge.add_personal_token("alice", &["write:issue"]).unwrap();
    let calls = house.forge.seen().len();
    for token in [token.as_str(), personal.expose()] {
        let bearer = format!("Bearer {token}");
        let (as_token, as_basic) = (format!("token {token}"), format!("Basic {token}"));
        for value in [bearer.as_str(), as_token.as_str(), as_basic.as_str()] {
            let headers = [FETCH.as_slice(), &[("Authorization", value)]].concat();
            let page = house.browser().send("GET", &house.at("/"), &headers, "").await;
            assert_eq!((page.status(), page.reason().as_deref()), (401, Some("sign_in_required")));
        }
        let headers = [FETCH.as_slice(), &[("X-Hero-Forge-Token", token), ("X-Hero-User", "alice")]].concat();
        assert_eq!(house.browser().send("GET", &house.at("/"), &headers, "").await.status(), 401);
        for path in ["/?access_token=", "/?token=", "/_hero/auth/callback?access_token="] {
            let page = house.browser().fetch(&house.at(&format!("{path}{token}"))).await;
            assert!(matches!(page.status(), 400 | 401), "{path}: {}", page.status());
            assert!(page.cookies_set().is_empty());
        }
        let mut browser = house.browser();
        let callback = house.callback(&mut browser, "/", "bob").await;
        let bare = format!("/_hero/auth/callback?access_token={token}&state={}", pairs(&callback)["state"]);
        let page = browser.navigate(&house.at(&bare)).await;
        assert_refused(&page, &house, &browser, 400, "callback_malformed");
    }
    assert_eq!(house.echo.seen().len(), 1);
    assert_eq!(house.forge.count(Endpoint::Token), 1);
    assert_eq!(house.forge.count(Endpoint::Introspect), 1, "nobody is asked about such tokens");
    assert!(house.forge.seen().len() > calls, "only bob's browser was at the forge");
}

/// Holds: O17.
#[tokio::test]
async fn a_first_sign_in_outlives_a_change_of_the_password() {
    for version in [FakeVersion::V15, FakeVersion::V11] {
        let fake = FakeSettings { version, ..FakeSettings::default() };
        let house = TestHouse::start(Plan { fake, ..Plan::default() }).await;
        let mut browser = house.browser();
        let authorize = browser.navigate(&house.at("/wanted?x=1")).await.location().unwrap();
        // Up to the page that demands a new password, which then stays open for ten minutes.
        let login = browser.visit(&authorize).await;
        let form = login.form("/user/login").unwrap();
        let form = form.with("user_name", "nina").with("password", &password("nina"));
        let page = browser.submit(&form).await;
        let change = browser.follow(page).await;
        house.clock.advance(Duration::from_mins(10));
        let form = change.form("/user/settings/change_password").expect("a demand");
        let page = browser.submit(&form.with("password", NEW_PASSWORD).with("retype", NEW_PASSWORD)).await;
        let next = page.location().expect("back to what the browser was sent for");
        let callback = browser.at_forge(&next, "nina", NEW_PASSWORD).await;
        let page = browser.visit(&callback).await;
        assert_eq!((page.status(), page.url), (200, house.at("/wanted?x=1")), "{version:?}");
        assert_eq!(house.echo.only().values("x-hero-user"), ["nina"]);
    }
}

/// Holds: O17.
#[tokio::test]
async fn a_sign_in_that_the_forge_has_lost_starts_again_from_the_root() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let authorize = browser.navigate(&house.at("/wanted")).await.location().unwrap();
    let login = browser.visit(&authorize).await;
    // A forced second factor drops the cookie that remembers the way back: the visitor ends on the forge's own page.
    browser.forget("127.0.0.1", "redirect_to");
    let form = login.form("/user/login").unwrap();
    let page = browser.submit(&form.with("user_name", "alice").with("password", &password("alice"))).await;
    assert_eq!(browser.follow(page).await.url, *house.forge.url());
    let page = house.sign_in(&mut browser, "/", "alice").await;
    assert_eq!((page.status(), page.url), (200, house.at("/")));
}

/// Holds: O20.
#[tokio::test]
async fn somebody_is_who_their_id_says_whatever_their_name_and_address() {
    let house = TestHouse::start(Plan { allow: vec!["any-user"], ..Plan::default() }).await;
    let mut old_session = house.signed_in("alice").await;
    let id = house.echo.only().values("x-hero-user-id")[0].to_owned();
    house.forge.rename_user("alice", "alice-new").unwrap();
    // The old name is free: somebody else takes it, with the same address.
    let newcomer = hero_proxy::forge::fake::NewUser::new("alice", &password("alice"));
    house.forge.add_user(newcomer);
    let mut theirs = house.signed_in("alice").await;
    let seen = house.echo.seen().pop().unwrap();
    let their_id = seen.values("x-hero-user-id")[0].to_owned();
    assert_eq!(seen.values("x-hero-user"), ["alice"]);
    assert_ne!(their_id, id);
    assert!(seen.values("x-hero-groups").is_empty(), "nothing is inherited");

    let mut renamed = house.browser();
    let page = renamed.sign_in(&house.at("/"), "alice-new", &password("alice")).await;
    assert_eq!(page.text(), "app");
    house.pass_near();
    for (browser, name, id) in [
        (&mut renamed, "alice-new", &id),
        (&mut old_session, "alice-new", &id),
        (&mut theirs, "alice", &their_id),
    ] {
        browser.navigate(&house.at("/")).await;
        let seen = house.echo.seen().pop().unwrap();
        assert_eq!(
            (seen.values("x-hero-user"), seen.values("x-hero-user-id")),
            (vec![name], vec![id.as_str()])
        );
    }
    // Addresses that look like others, and addresses that nobody has verified.
    let look_alikes =
        [("eve", "alice@example.org@evil"), ("eva", "ALICE@example.org"), ("evi", "alice@ex\u{430}mple.org")];
    let mut ids = HashSet::from([id, their_id]);
    for (login, email) in look_alikes {
        let mut user = hero_proxy::forge::fake::NewUser::new(login, &password(login));
        user.email = email.to_owned();
        house.forge.add_user(user);
        house.signed_in(login).await;
        let seen = house.echo.seen().pop().unwrap();
        assert_eq!(seen.values("x-hero-user"), [login]);
        assert!(ids.insert(seen.values("x-hero-user-id")[0].to_owned()));
    }
}

/// Holds: L7.
#[tokio::test]
async fn a_background_request_neither_begins_nor_disturbs_a_sign_in() {
    let house = TestHouse::new().await;
    let mut browser = house.browser();
    let callback = house.callback(&mut browser, "/wanted?x=1", "alice").await;
    let kept = browser.cookies().to_vec();
    let image =
        [("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Site", "cross-site")];
    let prefetch = [NAVIGATION.as_slice(), &[("Sec-Purpose", "prefetch")]].concat();
    let preflight = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "PUT")];
    let frame = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe"), ("Accept", "text/html")];
    for path in ["/", "/api/poll", "/_hero/auth/login?return_to=/evil", "/_hero/auth/callback?state=x&code=y"]
    {
        for headers in [FETCH.as_slice(), &image, &prefetch, &frame] {
            for _ in 0..3 {
                let page = browser.send("GET", &house.at(path), headers, "").await;
                assert!(matches!(page.status(), 400 | 401), "{path} {headers:?}: {}", page.status());
                assert!(page.cookies_set().is_empty(), "{path} {headers:?}: {:?}", page.cookies_set());
            }
        }
        let page = browser.send("OPTIONS", &house.at(path), &preflight, "").await;
        assert!(matches!(page.status(), 401 | 405) && page.cookies_set().is_empty(), "{path}");
        let page = browser.send("POST", &house.at("/api/save"), &NAVIGATION, "a=b").await;
        assert_eq!((page.status(), page.reason().as_deref()), (401, Some("sign_in_required")));
    }
    assert_eq!(browser.cookies(), kept);
    assert_eq!(house.forge.count(Endpoint::Token), 0);
    assert!(house.echo.is_untouched());
    assert_eq!(browser.visit(&callback).await.url, house.at("/wanted?x=1"));
}
