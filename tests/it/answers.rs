//! The way back: what a backend may not send, what caches may not keep, and the answers that are our own.

use hero_proxy::forge::fake::{Endpoint, Fault};

use crate::support::browser::{Browser, FETCH, NAVIGATION, Page};
use crate::support::echo::{Echo, Gate, Step, canned, ok};
use crate::support::house::{CLIENT_ID, Plan, TestHouse};
use crate::support::logs::Logs;
use crate::support::raw::RawClient;

/// An answer without a body, and with these lines.
fn answer(lines: &str) -> Vec<Step> {
    canned(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n"))
}

/// Holds: H9.
#[tokio::test]
async fn a_backend_neither_sets_nor_clears_what_is_ours() {
    let house = TestHouse::start_before(Plan::default(), |seen| {
        let Some(name) = seen.values("x-session-name").pop().map(str::to_owned) else { return ok("app") };
        let flow = seen.values("x-flow-prefix")[0];
        let upper = name.to_ascii_uppercase();
        answer(&format!(
            "Set-Cookie: a=1; Path=/; HttpOnly\r\nSet-Cookie: {name}=evil; Path=/\r\nSet-Cookie: {upper}=evil\r\n\
             Set-Cookie:  {name} = evil\r\nSet-Cookie: {flow}abcdefgh=evil\r\nSet-Cookie: b=\"2, 3\"\r\n\
             Set-Cookie: ={name}=evil\r\nSet-Cookie: = {name}=evil\r\nSet-Cookie: {name}\r\n\
             X-Hero-Forge-Token: evil\r\nX-Hero-Forge-Token: evil\r\nx_hero_user: evil\r\nX.Hero.Forge.Token: evil\r\n\
             Clear-Site-Data: \"cache\"\r\nClear-Site-Data: \"storage\" , \"cookies\"\r\nSet-Cookie: a=4; evil={name}\r\n\
             X-Kept: 1\r\n",
        ))
    })
    .await;
    let mut alice = house.signed_in("alice").await;
    let session = house.session(&alice);
    let logs = Logs::listen();
    alice.extra = vec![
        ("X-Session-Name".to_owned(), house.cookies().session),
        ("X-Flow-Prefix".to_owned(), house.cookies().flow_prefix),
    ];
    let page = alice.fetch(&house.at("/")).await;
    let kept = format!("a=4; evil={}", house.cookies().session);
    assert_eq!(page.cookies_set(), ["a=1; Path=/; HttpOnly", "b=\"2, 3\"", &kept]);
    assert_eq!(page.answer.values("clear-site-data"), [""; 0]);
    assert_eq!(page.answer.values("x-kept"), ["1"]);
    assert!(!page.answer.headers.iter().any(|(name, _)| name.to_ascii_lowercase().contains("hero")));
    assert_eq!(house.session(&alice), session);
    let told = logs.events("backend_headers_dropped");
    assert_eq!(told.len(), 1, "{}", logs.text());
    assert_eq!(told[0]["lines"], 13);
    assert!(told[0]["request_id"].is_string() && !logs.text().contains("evil"), "{}", logs.text());
}

#[tokio::test]
async fn a_backend_may_clear_what_is_its_own() {
    let house = TestHouse::start_before(Plan::default(), |seen| match seen.target() {
        "/all" => answer("Clear-Site-Data: \"*\"\r\n"),
        _ => answer("Clear-Site-Data: \"cache\", \"storage\"\r\n"),
    })
    .await;
    let mut alice = house.browser();
    house.sign_in(&mut alice, "/", "alice").await;
    let page = alice.fetch(&house.at("/")).await;
    assert_eq!(page.answer.value("clear-site-data"), Some("\"cache\", \"storage\""));
    assert_eq!(alice.fetch(&house.at("/all")).await.answer.value("clear-site-data"), None);
}

/// Holds: K2, K3.
#[tokio::test]
async fn no_shared_cache_keeps_an_answer_to_somebody_who_is_signed_in() {
    let routes = "[[routes]]\npath = \"/\"\nupstream = \"ECHO\"\n\
                  [[routes]]\npath = \"/open\"\nupstream = \"ECHO\"\npublic = true\n";
    let plan = Plan { routes: Some(routes.to_owned()), ..Plan::default() };
    let house = TestHouse::start_before(plan, |seen| {
        let control = seen
            .values("x-control")
            .first()
            .map_or(String::new(), |said| format!("Cache-Control: {said}\r\n"));
        let status = match seen.target() {
            "/304" => "304 Not Modified",
            "/404" => "404 Not Found",
            _ => "200 OK",
        };
        let body = seen.values("x-hero-user").concat();
        let length = if seen.target() == "/304" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        canned(format!(
            "HTTP/1.1 {status}\r\n{control}{length}\r\n{}",
            if length.is_empty() { "" } else { &body }
        ))
    })
    .await;
    let [mut alice, mut bob] = [house.browser(), house.browser()];
    house.sign_in(&mut alice, "/", "alice").await;
    house.sign_in(&mut bob, "/", "bob").await;
    let ask = async |browser: &mut Browser, path: &str, control: &str| {
        browser.extra = Some(control)
            .filter(|said| !said.is_empty())
            .map(|said| ("X-Control".to_owned(), said.to_owned()))
            .into_iter()
            .collect();
        let page = browser.fetch(&house.at(path)).await;
        // Else an answer that a shared cache may keep would bring somebody's cookie to others.
        assert!(page.cookies_set().is_empty(), "{path}: no cookie of ours on a backend's answer");
        (page.answer.values("cache-control").join(" | "), page.text())
    };
    for (control, expected) in [
        ("", "private"),
        ("private", "private"),
        ("public, max-age=60", "public, max-age=60"),
        ("no-store", "no-store"),
        ("max-age=0", "max-age=0"),
    ] {
        for path in ["/", "/404", "/304", "/open"] {
            assert_eq!(ask(&mut alice, path, control).await.0, expected, "{path} {control}");
        }
    }
    let mut nobody = house.browser();
    assert_eq!(
        ask(&mut nobody, "/open", "").await.0,
        "",
        "an answer for everybody is the backend's to judge"
    );
    // One URL, two visitors; names that a careless cache takes for a file's.
    for path in
        ["/account", "/account/x.css", "/account;x.css", "/account%0ax.js", "/account%2fx.png", "/x.js?a"]
    {
        for (browser, login) in [(&mut alice, "alice"), (&mut bob, "bob")] {
            assert_eq!(ask(browser, path, "").await, ("private".to_owned(), login.to_owned()), "{path}");
        }
    }
}

/// Holds: P7.
#[tokio::test]
async fn what_ends_at_this_hop_ends_behind_the_gate_too() {
    let house = TestHouse::start_before(Plan::default(), |_| {
        canned(
            "HTTP/1.1 203 Somehow\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nSet-Cookie: a=1; Path=/\r\nX-Kept: 1\r\nX-Kept: 2\r\n\
             Set-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi",
        )
    })
    .await;
    let mut alice = house.browser();
    house.sign_in(&mut alice, "/", "alice").await;
    let mut client = RawClient::tcp(house.address).await;
    let cookies = alice.cookie_line(house.host());
    let answer = client
        .ask(format!("GET / HTTP/1.1\r\nHost: {}\r\nCookie: {cookies}\r\n\r\n", house.authority()))
        .await;
    assert_eq!((answer.status, answer.text().as_str()), (203, "hi"));
    for gone in ["connection", "x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(answer.value(gone), None, "{gone}");
    }
    assert_eq!(answer.values("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(answer.values("x-kept"), ["1", "2"]);
}

/// Holds: P2.
#[tokio::test]
async fn the_next_visitor_gets_their_own_answer_and_token_after_a_broken_exchange() {
    let junk = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    for broken in ["3\r\nabc\r\nzz\r\n", "3\r\nabc\r\n0\r\n\r\n"] {
        let house = TestHouse::start_before(Plan::default(), move |seen| match seen.target() {
            "/broken" => {
                canned(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{broken}{junk}"))
            }
            "/early" => vec![Step::send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")],
            "/smuggled" => ok("poison"),
            _ => ok(&format!(
                "{} {}",
                seen.values("x-hero-user").concat(),
                seen.values("x-hero-forge-token").concat()
            )),
        })
        .await;
        let [mut alice, mut bob] = [house.browser(), house.browser()];
        let mut own = Vec::new();
        for (browser, login) in [(&mut alice, "alice"), (&mut bob, "bob")] {
            let page = house.sign_in(browser, "/", login).await;
            assert!(page.text().starts_with(login), "{}", page.text());
            own.push(page.text());
        }
        assert_ne!(own[0].split(' ').nth(1), own[1].split(' ').nth(1));
        for harm in ["/broken", "/early"] {
            let mut client = RawClient::tcp(house.address).await;
            let cookies = alice.cookie_line(house.host());
            let head =
                format!("Host: {}\r\nCookie: {cookies}\r\nContent-Length: 1000\r\n\r\n", house.authority());
            client.send(format!("POST {harm} HTTP/1.1\r\n{head}")).await;
            if harm == "/early" {
                assert_eq!(client.answer().await.status, 413);
                client.send("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n").await;
            } else {
                client.send("x".repeat(1000)).await;
                assert_eq!(client.answer().await.text(), "abc");
            }
            drop(client);
            for (browser, own) in [(&bob, &own[1]), (&alice, &own[0]), (&bob, &own[1])] {
                assert_eq!(browser.clone().fetch(&house.at("/mine")).await.text(), *own, "{harm}");
            }
        }
        assert!(house.echo.seen().iter().all(|seen| seen.target() != "/smuggled"));
    }
}

/// All that an answer of ours has, whatever it says.
fn is_ours(what: &str, page: &Page) {
    let header = |name: &str| page.answer.value(name).unwrap_or_default().to_owned();
    assert_eq!(page.answer.values("cache-control"), ["no-store"], "{what}");
    assert_eq!(header("referrer-policy"), "no-referrer", "{what}");
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{what}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    let length: usize = header("content-length").parse().unwrap_or(0);
    let text = page.text();
    assert_eq!(text.len(), length, "{what}");
    if header("content-type").starts_with("text/html") {
        for part in [
            "<script",
            "<link",
            "<img",
            "<iframe",
            "<object",
            "<embed",
            " src=",
            "url(",
            "@import",
            "<base",
            "http-equiv",
        ] {
            assert!(!text.contains(part), "{what}: {part}\n{text}");
        }
    }
    for part in ["Set-Cookie", "panicked", "/src/", ".rs:", "hyper", "tokio"] {
        assert!(!text.contains(part), "{what}: {part}\n{text}");
    }
}

/// What a program reads: problem+json in full (RFC 9457 §3), with these values.
fn is_problem(what: &str, page: &Page, status: u16, reason: &str) {
    is_ours(what, page);
    assert_eq!(page.answer.value("content-type"), Some("application/problem+json"), "{what}");
    let problem = page.json();
    assert_eq!(problem["type"], format!("urn:hero-proxy:{reason}"), "{what}");
    assert_eq!(
        (page.status(), &problem["status"], &problem["reason"]),
        (status, &status.into(), &reason.into()),
        "{what}"
    );
    for member in ["title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {member}\n{problem}");
    }
    assert_eq!(page.answer.values("location"), [""; 0], "{what}");
    assert_eq!(page.cookies_set(), [""; 0], "{what}: a program gets no cookie");
    if let Some(id) = problem.get("request_id") {
        assert_eq!(id.as_str(), page.answer.value("x-request-id"), "{what}");
    }
}

/// Asks as a browser's page load and as a program, and says the page; both name the same reason.
async fn both(
    house: &TestHouse,
    browser: &Browser,
    method: &str,
    path: &str,
    status: u16,
    reason: &str,
) -> Page {
    both_with(house, browser, method, path, &[], status, reason).await
}

async fn both_with(
    house: &TestHouse,
    browser: &Browser,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
    status: u16,
    reason: &str,
) -> Page {
    let what = format!("{method} {path} {more:?}");
    let mut url = house.at("/");
    let (path_only, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    url.set_path(path_only);
    url.set_query(query);
    let program: Vec<_> = FETCH.iter().chain(more).copied().collect();
    let problem = browser.clone().send(method, &url, &program, "").await;
    is_problem(&what, &problem, status, reason);
    assert!(problem.answer.value("x-request-id").is_some(), "{what}");
    let navigation: Vec<_> = NAVIGATION.iter().chain(more).copied().collect();
    let page = browser.clone().send(method, &url, &navigation, "").await;
    is_ours(&what, &page);
    assert_eq!((page.status(), page.reason().as_deref()), (status, Some(reason)), "{what}\n{}", page.text());
    assert_eq!(page.answer.value("content-type"), Some("text/html; charset=utf-8"), "{what}");
    assert!(page.text().contains(page.answer.value("x-request-id").unwrap()), "{what}");
    assert!(page.text().replace("&#39;", "'").contains(problem.json()["title"].as_str().unwrap()), "{what}");
    page
}

/// Holds: K1, K8, K9.
#[tokio::test]
async fn every_answer_of_ours_is_private_complete_and_tells_nothing_of_the_inside() {
    let routes = "[[routes]]\npath = \"/app\"\nupstream = \"ECHO\"\nforge_token = true\n";
    let plan = Plan { routes: Some(routes.to_owned()), ..Plan::default() };
    let house = TestHouse::start(plan.with("limits", "max_body_size = \"1KiB\"")).await;
    let mut alice = house.browser();
    let login = house.at("/_hero/auth/login");

    // Off to the forge and back.
    let off = alice.navigate(&house.at("/app")).await;
    is_ours("off to the forge", &off);
    assert_eq!((off.status(), off.text().as_str()), (303, ""));
    is_ours("login", &alice.clone().navigate(&login).await);
    let back = alice.at_forge(&off.location().unwrap(), "alice", "password-of-alice").await;
    let landed = alice.navigate(&back).await;
    is_ours("callback", &landed);
    assert_eq!((landed.status(), landed.location()), (303, Some(house.at("/app"))));
    let token = {
        alice.fetch(&house.at("/app")).await;
        house.echo.only().values("x-hero-forge-token")[0].to_owned()
    };
    let whoami = alice.fetch(&house.at("/_hero/auth/whoami")).await;
    is_ours("whoami", &whoami);
    assert_eq!((whoami.status(), whoami.answer.value("content-type")), (200, Some("application/json")));
    assert!(!whoami.text().contains(&token) && whoami.text().contains("\"alice\""));
    for (name, value) in &whoami.answer.headers {
        assert!(
            !name.to_ascii_lowercase().starts_with("x-hero") && !value.contains("alice"),
            "{name}: {value}"
        );
    }

    let nobody = house.browser();
    let mut framed = house.browser();
    framed.extra = vec![("Sec-Fetch-Dest".to_owned(), "iframe".to_owned())];
    let frame = framed.send("GET", &house.at("/app"), &[("Sec-Fetch-Mode", "navigate")], "").await;
    is_ours("in a frame", &frame);
    assert_eq!((frame.status(), frame.reason().as_deref()), (401, Some("sign_in_required")));
    assert!(!frame.text().contains("has not reached the app"), "nothing was sent: {}", frame.text());
    let form =
        house.browser().send("POST", &house.at("/app"), &[("Sec-Fetch-Mode", "navigate")], "a=1").await;
    is_ours("a form", &form);
    assert_eq!((form.status(), form.reason().as_deref()), (401, Some("sign_in_required")));
    assert!(form.text().contains("What you sent has not reached the app."), "{}", form.text());
    is_problem("a script", &nobody.clone().fetch(&house.at("/app")).await, 401, "sign_in_required");
    is_problem(
        "whoami of nobody",
        &nobody.clone().fetch(&house.at("/_hero/auth/whoami")).await,
        401,
        "sign_in_required",
    );

    both(&house, &alice, "GET", "/elsewhere", 404, "no_route").await;
    both(&house, &alice, "GET", "/app/%zz", 400, "bad_path").await;
    both(&house, &alice, "DELETE", "/_hero/auth/login", 405, "bad_method").await;
    both(&house, &alice, "GET", "/_hero/auth/logout", 405, "bad_method").await;
    both_with(&house, &alice, "POST", "/app", &[("Origin", "https://evil.example")], 403, "foreign_origin")
        .await;
    both_with(
        &house,
        &alice,
        "POST",
        "/_hero/auth/logout",
        &[("Origin", "http://localhost")],
        403,
        "foreign_origin",
    )
    .await;
    both(&house, &nobody, "GET", "/_hero/auth/callback", 400, "callback_malformed").await;
    both(&house, &nobody, "GET", "/_hero/auth/callback?code=a&state=b", 400, "flow_unknown").await;
    both(&house, &nobody, "GET", "/_hero/auth/callback?error=access_denied&state=b", 400, "flow_unknown")
        .await;
    let via = house.echo.seen()[0].values("via")[0].to_owned();
    both_with(&house, &alice, "GET", "/app", &[("Via", &via)], 508, "proxy_loop").await;

    let mut mallory = house.browser();
    let refused = house.sign_in(&mut mallory, "/app", "mallory").await;
    is_ours("not allowed", &refused);
    let page = both(&house, &mallory, "GET", "/app", 403, "not_allowed").await;
    assert!(page.text().contains("mallory"));
    // Its button, as a browser presses it: a page with `no-referrer` posts with `Origin: null`.
    let form = page.form("/_hero/auth/logout").unwrap();
    let pressed = [("Sec-Fetch-Site", "same-origin"), ("Origin", "null"), ("Sec-Fetch-Mode", "navigate")];
    let out = mallory.clone().send("POST", &form.action, &pressed, &form.body()).await;
    is_ours("signed out by the button", &out);
    assert_eq!((out.status(), out.location()), (303, Some(house.at("/"))));

    // Reflected text is text.
    let evil = "/_hero/auth/callback?error=%3Cscript%3Ealert(1)%3C/script%3E&error_description=%3Cscript%3E&state=%3Cscript%3E";
    both(&house, &nobody, "GET", evil, 400, "flow_unknown").await;

    // The door: what is refused before it is looked at.
    for (request, status, reason) in [
        ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n".to_owned(), 405, "method_not_allowed"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(9000)), 414, "target_too_long"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "bad_host"),
        (
            "POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n".to_owned(),
            413,
            "request_body_too_large",
        ),
    ] {
        let answer = RawClient::tcp(house.address).await.ask(request).await;
        is_problem(reason, &Page { url: house.at("/"), answer }, status, reason);
    }
    let mut elsewhere = RawClient::tcp(house.address).await;
    let answer = elsewhere.ask("GET /app HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    is_problem("another host", &Page { url: house.at("/"), answer }, 421, "unknown_host");

    // A forge that is gone.
    house.forge.break_next(Endpoint::Token, Fault::html(502), 1);
    let mut newcomer = house.browser();
    let back = house.callback(&mut newcomer, "/app", "bob").await;
    let down = newcomer.navigate(&back).await;
    is_ours("the forge is down", &down);
    assert_eq!((down.status(), down.reason().as_deref()), (503, Some("forge_unavailable")));
    house.forge.set_grant_scope("bob", CLIENT_ID, "openid profile").unwrap();
    let notice = house.sign_in(&mut newcomer, "/app", "bob").await;
    is_ours("the notice", &notice);
    assert_eq!((notice.status(), notice.reason().as_deref()), (200, Some("consent_wider")));

    // Out again.
    let mut out = alice.clone();
    let answer = out.send("POST", &house.at("/_hero/auth/logout"), &FETCH, "").await;
    is_ours("signed out by a script", &answer);
    assert_eq!((answer.status(), answer.json()["signed_out"].as_bool()), (200, Some(true)));
    let page = out.navigate(&house.at("/app")).await;
    is_ours("signed out", &page);
    assert_eq!((page.status(), page.reason().as_deref()), (401, Some("signed_out")));
}

/// Holds: K9, P13.
#[tokio::test]
async fn a_backend_that_fails_is_a_page_for_people_a_problem_for_programs_and_no_address_for_anybody() {
    let silent = Gate::closed();
    let waits = silent.clone();
    let sick = Echo::tcp(move |seen| match seen.target() {
        "/sick/silent" => vec![Step::Wait(waits.clone())],
        "/sick/broken" => canned("HTTQ/9 what\r\n\r\n"),
        "/sick/closed" => vec![Step::ReadBody, Step::Close],
        "/sick/upgrade" => {
            canned("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        }
        "/sick/401" => {
            canned("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 4\r\n\r\nmine")
        }
        "/sick/403" => canned("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nmine"),
        _ => ok("well"),
    })
    .await;
    // A port that nobody listens on any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let route = |path: &str, upstream: &str| {
        format!("[[routes]]\npath = \"{path}\"\nupstream = \"{upstream}\"\nforge_token = true\n")
    };
    let sick_address = format!("http://{}", sick.authority());
    let routes = [
        route("/", "ECHO"),
        route("/sick", &sick_address),
        route("/gone", &format!("http://{gone}")),
        route("/socket", "unix:/nowhere/app.sock"),
    ]
    .concat();
    let plan = Plan { routes: Some(routes), ..Plan::default() }.with("limits", "response_timeout = \"1s\"");
    let house = TestHouse::start(plan).await;
    let mut alice = house.signed_in("alice").await;
    let logs = Logs::listen();
    for (path, status, reason) in [
        ("/gone", 502, "upstream_unreachable"),
        ("/socket", 502, "upstream_unreachable"),
        ("/sick/broken", 502, "upstream_broken"),
        ("/sick/closed", 502, "upstream_broken"),
        ("/sick/upgrade", 502, "upstream_broken"),
        ("/sick/silent", 504, "upstream_silent"),
    ] {
        for browser in [&alice, &alice.clone()] {
            let page = both(&house, browser, "GET", path, status, reason).await;
            for inside in
                [gone.port().to_string(), sick.authority(), "nowhere".to_owned(), "upstream".to_owned()]
            {
                let text = page.text().replace(reason, "");
                assert!(!text.contains(&inside), "{path}: {inside}\n{text}");
            }
        }
        assert_eq!(alice.fetch(&house.at("/")).await.text(), "app", "other routes are well");
        assert_eq!(alice.fetch(&house.at("/sick/well")).await.text(), "well");
    }
    assert!(!logs.events("no answer").is_empty(), "the operator is told");
    // A backend's own refusal is the backend's, with a token or without: it starts no sign-in.
    let before = house.forge.seen().len();
    for (path, status) in [("/sick/401", 401), ("/sick/403", 403)] {
        for page in [alice.fetch(&house.at(path)).await, alice.navigate(&house.at(path)).await] {
            assert_eq!((page.status(), page.text().as_str()), (status, "mine"));
            assert_eq!((page.location(), page.cookies_set()), (None, vec![]));
        }
    }
    assert_eq!(house.forge.seen().len(), before);
    silent.open();
}
