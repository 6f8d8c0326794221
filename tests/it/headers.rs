//! The header law through the whole house: what a client says in our name never reaches the backend, and what we say
//! always does, once.

use hero_proxy::base::entropy::{Entropy, SeededEntropy};
use hero_proxy::wire::scrub::fold;

use crate::support::browser::Browser;
use crate::support::echo::{Echo, Seen, Step, canned, ok};
use crate::support::house::{CLIENT_ID, Plan, TestHouse};
use crate::support::raw::{RawAnswer, RawClient};

/// Answers as any app does: a `HEAD` gets no body.
fn app(seen: &Seen) -> Vec<Step> {
    if seen.line().starts_with("HEAD ") { vec![Step::send("HTTP/1.1 200 OK\r\n\r\n")] } else { ok("app") }
}

/// One backend: opted in for all, for bob alone, not at all, and with no sign-in.
const ROUTES: &str = r#"
[[routes]]
path = "/"
upstream = "ECHO"
forge_token = true
groups = true
[[routes]]
path = "/bobs"
upstream = "ECHO"
forge_token = ["user:bob"]
[[routes]]
path = "/plain"
upstream = "ECHO"
[[routes]]
path = "/open"
upstream = "ECHO"
public = true
[[routes]]
path = "/open-token"
upstream = "ECHO"
public = true
forge_token = true
"#;

fn plan() -> Plan {
    Plan { routes: Some(ROUTES.to_owned()), ..Plan::default() }
}

/// The lines that every request of a browser has.
fn lines(house: &TestHouse, browser: &Browser) -> String {
    let cookies = browser.cookie_line(house.host());
    let cookie = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    format!("Host: {}\r\n{cookie}", house.authority())
}

/// The next answer that is not an interim one.
async fn final_answer(client: &mut RawClient, to_head: bool) -> RawAnswer {
    loop {
        let mut answer = client.head().await;
        if answer.status >= 200 {
            if !to_head {
                client.body(&mut answer).await;
            }
            return answer;
        }
    }
}

/// The lines that a lenient backend may read as one of ours.
fn ours(seen: &Seen) -> Vec<String> {
    let mut names: Vec<String> =
        seen.names().into_iter().filter(|name| fold(name).starts_with("x-hero-")).collect();
    names.sort();
    names
}

/// A page that was asked for in the background, and what the backend saw of it; none if it saw nothing.
async fn fetch(house: &TestHouse, browser: &mut Browser, path: &str) -> (u16, Option<Seen>) {
    let before = house.echo.seen().len();
    let page = browser.fetch(&house.at(path)).await;
    let mut seen = house.echo.seen();
    assert!(seen.len() <= before + 1);
    (page.status(), if seen.len() > before { seen.pop() } else { None })
}

/// Asks the forge whose token this is.
async fn whose(house: &TestHouse, token: &str) -> String {
    let mut browser = Browser::default();
    let user = house.forge.url().join("/api/v1/user").unwrap();
    let page = browser.send("GET", &user, &[("Authorization", &format!("Bearer {token}"))], "").await;
    page.json()["login"].as_str().unwrap_or_default().to_owned()
}

/// Holds: H1.
#[tokio::test]
async fn the_token_header_is_written_by_us_alone_whatever_a_client_sends() {
    let forms = [
        "",
        "X-Hero-Forge-Token: forged\r\n",
        "x-hero-forge-token: forged\r\n",
        "X-HERO-FORGE-TOKEN: forged\r\nx-hero-Forge-Token: forged2\r\nX-Hero-Forge-Token: forged3\r\n",
        "X-Hero-Forge-Token: forged, forged2\r\n",
        "X-Hero-Forge-Token:\r\n",
        "X-Hero-Forge-Token: \r\nX_Hero_Forge_Token: forged\r\n",
    ];
    let shapes = [
        ("GET", "", ""),
        ("POST", "Content-Length: 3\r\n", "abc"),
        ("HEAD", "", ""),
        ("OPTIONS", "", ""),
        ("GET", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", ""),
        ("POST", "Expect: 100-continue\r\nContent-Length: 3\r\n", "abc"),
    ];
    let mut house = TestHouse::start_before(plan(), app).await;
    let alice = house.signed_in("alice").await;
    let token = house.echo.only().values("x-hero-forge-token")[0].to_owned();
    assert_eq!(whose(&house, &token).await, "alice");

    for flag in [true, false] {
        house.reload(|plan| plan.pass_through = flag);
        for (path, opted_in, public) in [
            ("/", true, false),
            ("/bobs", false, false),
            ("/plain", false, false),
            ("/open", false, true),
            ("/open-token", true, true),
        ] {
            for session in [true, false] {
                let who = if session { lines(&house, &alice) } else { lines(&house, &house.browser()) };
                for form in forms {
                    for (method, more, body) in shapes {
                        let what = format!("{flag} {path} {session} {method} {more:?} {form:?}");
                        let before = house.echo.seen().len();
                        let mut client = RawClient::tcp(house.address).await;
                        client.send(format!("{method} {path} HTTP/1.1\r\n{who}{form}{more}\r\n{body}")).await;
                        let answer = final_answer(&mut client, method == "HEAD").await;
                        let passes = session || public;
                        assert_eq!(answer.status, if passes { 200 } else { 401 }, "{what}");
                        let seen = house.echo.seen();
                        assert_eq!(seen.len(), before + usize::from(passes), "{what}");
                        if !passes {
                            continue;
                        }
                        let seen = seen.last().unwrap();
                        let wanted = session && flag && opted_in;
                        let expected = if wanted { vec![token.as_str()] } else { vec![] };
                        assert_eq!(seen.values("x-hero-forge-token"), expected, "{what}");
                        assert!(!seen.head.contains("forged"), "{what}\n{}", seen.head);
                        let mut names = match (session, wanted) {
                            (true, true) => vec![
                                "x-hero-email",
                                "x-hero-forge-scopes",
                                "x-hero-forge-token",
                                "x-hero-forge-token-expires",
                                "x-hero-user",
                                "x-hero-user-id",
                            ],
                            (true, false) => vec!["x-hero-email", "x-hero-user", "x-hero-user-id"],
                            (false, _) => vec![],
                        };
                        if session && path == "/" {
                            names.push("x-hero-groups");
                            names.sort_unstable();
                        }
                        assert_eq!(ours(seen), names, "{what}");
                    }
                }
            }
        }
    }
}

/// Names that a backend may believe: those that we set, and those that other products set.
const RESERVED: [&str; 44] = [
    "X-Hero-Forge-Token",
    "X-Hero-Forge-Token-Expires",
    "X-Hero-Forge-Scopes",
    "X-Hero-User",
    "X-Hero-User-Id",
    "X-Hero-Email",
    "X-Hero-Groups",
    "X-Request-Id",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Redirect",
    "Remote-User",
    "Remote-Email",
    "Remote-Name",
    "Remote-Groups",
    "X-Remote-User",
    "X-WEBAUTH-USER",
    "X-WEBAUTH-EMAIL",
    "X-WEBAUTH-FULLNAME",
    "X-authentik-username",
    "X-authentik-groups",
    "X-authentik-jwt",
    "Tailscale-User-Login",
    "Tailscale-User-Name",
    "Tailscale-User-Profile-Pic",
    "X-SSL-Client-Cert",
    "X-SSL-Client-S-DN",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Forwarded",
    "Sudo",
];

/// Names that follow rules of their own as they are, and that no alias may stand for.
const GUARDED: [&str; 6] = [
    "Transfer-Encoding",
    "Content-Length",
    "Content-Type",
    "Proxy-Authorization",
    "X-Request-Id",
    "Sec-Fetch-Site",
];

/// What else than a letter, a digit or `-` may stand in a name (RFC 9110 §5.6.2).
const ODD: &[u8] = b"!#$%&'*+.^_`|~";

struct Aliases(SeededEntropy);

impl Aliases {
    fn pick(&self, most: usize) -> usize {
        let mut byte = [0];
        self.0.fill(&mut byte);
        usize::from(byte[0]) % most
    }

    /// The name in some other spelling; `odd`: at least one hyphen is another sign.
    fn of(&self, name: &str, odd: bool) -> String {
        let spelt = |byte: u8| match byte {
            b'-' if self.pick(2) == 0 => char::from(ODD[self.pick(ODD.len())]),
            letter if self.pick(2) == 0 => char::from(letter.to_ascii_uppercase()),
            letter => char::from(letter.to_ascii_lowercase()),
        };
        let alias: String = name.bytes().map(spelt).collect();
        match odd && !alias.bytes().any(|byte| ODD.contains(&byte)) {
            true => alias.replacen('-', "_", 1),
            false => alias,
        }
    }
}

/// Holds: H2, P1.
#[tokio::test]
async fn no_alias_of_a_reserved_name_reaches_the_backend() {
    let house = TestHouse::start_before(plan(), app).await;
    let alice = house.signed_in("alice").await;
    let aliases = Aliases(SeededEntropy::new(20));
    let fixed = [
        "accept",
        "host",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-hero-email",
        "x-hero-forge-scopes",
        "x-hero-forge-token",
        "x-hero-forge-token-expires",
        "x-hero-groups",
        "x-hero-user",
        "x-hero-user-id",
        "x-request-id",
    ];
    let (who, nobody) = (lines(&house, &alice), lines(&house, &house.browser()));
    let mut clients = [RawClient::tcp(house.address).await, RawClient::tcp(house.address).await];
    for turn in 0..200 {
        let mut head = String::new();
        for _ in 0..10 {
            let name = RESERVED[aliases.pick(RESERVED.len())];
            // In its own spelling a request id is kept.
            head += &format!("{}: forged\r\n", aliases.of(name, name == "X-Request-Id"));
        }
        for name in GUARDED {
            head += &format!("{}: forged\r\n", aliases.of(name, true));
        }
        let signed_in = turn % 2 == 0;
        let (path, who) = if signed_in { ("/", &who) } else { ("/open-token", &nobody) };
        let request =
            format!("POST {path} HTTP/1.1\r\n{who}Accept: */*\r\n{head}Content-Length: 3\r\n\r\nabc");
        let answer = clients[turn % 2].ask(request).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "app"), "{head}");
        let seen = house.echo.seen().pop().unwrap();
        assert!(!seen.head.contains("forged"), "{head}\n{}", seen.head);
        assert_eq!((seen.body.as_slice(), seen.whole), (b"abc".as_slice(), true));
        let mut names = seen.names();
        names.retain(|name| name != "content-length");
        names.sort();
        let mut expected = fixed.to_vec();
        expected.retain(|name| signed_in || !name.starts_with("x-hero-"));
        assert_eq!(names, expected, "{head}");
    }
    assert_eq!(house.echo.connections(), 1, "no message broke the framing");
}

/// Holds: H3.
#[tokio::test]
async fn names_of_other_products_are_dropped_or_in_compat_mode_ours() {
    let more = Plan { ..plan() }.with("features", "reserved_headers = [\"X-Mine\"]");
    let mut house = TestHouse::start_before(more, app).await;
    let alice = house.signed_in("alice").await;
    let token = house.echo.only().values("x-hero-forge-token")[0].to_owned();
    let mut forged: String = RESERVED.iter().map(|name| format!("{name}: forged\r\n")).collect();
    forged += "X-Mine: forged\r\nx_mine: forged\r\nX-Minest: kept\r\n";
    let theirs = [
        "x-forwarded-user",
        "x-forwarded-preferred-username",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-access-token",
    ];
    let ask = async |house: &TestHouse, path: &str, who: &Browser| {
        let mut client = RawClient::tcp(house.address).await;
        let answer = client.ask(format!("GET {path} HTTP/1.1\r\n{}{forged}\r\n", lines(house, who))).await;
        assert_eq!(answer.status, 200);
        let seen = house.echo.seen().pop().unwrap();
        assert!(
            seen.values("x-request-id") == ["forged"],
            "short and harmless: it is the client's to choose"
        );
        assert_eq!(seen.head.matches("forged").count(), 1, "{}", seen.head);
        assert_eq!(seen.values("x-minest"), ["kept"]);
        theirs.map(|name| seen.values(name).into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    for path in ["/", "/open"] {
        assert!(ask(&house, path, &alice).await.iter().all(Vec::is_empty));
    }

    house.reload(|plan| plan.more.push(("features", "compat = \"oauth2-proxy\"".to_owned())));
    let one = |text: &str| vec![text.to_owned()];
    let who = [one("alice"), one("alice"), one("alice@example.org"), one("acme,acme:ops"), one(&token)];
    assert_eq!(ask(&house, "/", &alice).await, who);
    let without = [one("alice"), one("alice"), one("alice@example.org"), vec![], vec![]];
    assert_eq!(ask(&house, "/plain", &alice).await, without);
    assert!(ask(&house, "/open", &house.browser()).await.iter().all(Vec::is_empty), "nobody is nobody");
    house.reload(|plan| plan.pass_through = false);
    assert_eq!(ask(&house, "/", &alice).await[4], [""; 0], "the flag holds for this name too");
}

/// Holds: H4.
#[tokio::test]
async fn connection_takes_nothing_of_ours_away() {
    let house = TestHouse::start_before(plan(), app).await;
    let alice = house.signed_in("alice").await;
    let who = lines(&house, &alice);
    let set = [
        "X-Hero-Forge-Token",
        "X-Hero-Forge-Token-Expires",
        "X-Hero-Forge-Scopes",
        "X-Hero-User",
        "X-Hero-User-Id",
        "X-Hero-Email",
        "X-Hero-Groups",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Request-Id",
        "Via",
        "Host",
        "Content-Type",
    ];
    let all = set.join(", ");
    let upper = all.to_ascii_uppercase();
    let named = [
        format!("Connection: {all}, Content-Length, Transfer-Encoding, Cookie\r\n"),
        format!("connection: {}\r\nCONNECTION: close, {upper}, content-length\r\n", all.to_ascii_lowercase()),
        format!("Proxy-Connection: {all}, Content-Length, Transfer-Encoding\r\n"),
        format!("Keep-Alive: {all}, Content-Length, Transfer-Encoding\r\n"),
        format!("Connection: keep-alive,,\t{upper} ,Keep-Alive, Transfer-Encoding\r\nKeep-Alive: {all}\r\n"),
    ];
    let bodies = [
        ("Content-Length: 3\r\n\r\nabc", "abc"),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n"),
    ];
    for named in &named {
        for (sent, arrived) in bodies {
            let mut client = RawClient::tcp(house.address).await;
            let request =
                format!("POST / HTTP/1.1\r\n{who}{named}Content-Type: text/x\r\nX-Real: 1\r\n{sent}");
            assert_eq!(client.ask(request).await.status, 200, "{named}");
            let seen = house.echo.seen().pop().unwrap();
            for name in set {
                assert_eq!(seen.values(name).len(), 1, "{name} after {named}\n{}", seen.head);
            }
            assert_eq!(seen.values("host"), [house.authority()]);
            assert_eq!((seen.body.as_slice(), seen.whole), (arrived.as_bytes(), true), "{named}");
            assert_eq!(seen.values("x-real"), ["1"]);
            for hop in ["connection", "proxy-connection", "keep-alive"] {
                assert_eq!(seen.values(hop), [""; 0], "{hop} after {named}");
            }
        }
        // What is really of this hop goes, and so does what is named as such.
        let mut client = RawClient::tcp(house.address).await;
        let hop = "Connection: X-Real\r\nX-Real: 1\r\nTE: gzip\r\nProxy-Authorization: Basic eDp5\r\n";
        assert_eq!(client.ask(format!("GET / HTTP/1.1\r\n{who}{named}{hop}\r\n")).await.status, 200);
        let seen = house.echo.seen().pop().unwrap();
        for name in ["x-real", "te", "proxy-authorization"] {
            assert_eq!(seen.values(name), [""; 0], "{name} after {named}");
        }
    }
}

/// Holds: H5.
#[tokio::test]
async fn the_flag_and_the_route_decide_and_a_reload_switches_with_the_next_request() {
    let token_lines = ["x-hero-forge-token", "x-hero-forge-token-expires", "x-hero-forge-scopes"];
    let mut house = TestHouse::start(Plan { pass_through: false, ..plan() }).await;
    let mut alice = house.signed_in("alice").await;
    let session = house.session(&alice);
    let mut kept = RawClient::tcp(house.address).await;
    for flag in [false, true, false, true] {
        house.reload(|plan| plan.pass_through = flag);
        for (path, opted_in) in [("/", true), ("/plain", false), ("/bobs", false)] {
            let count = usize::from(flag && opted_in);
            let (status, seen) = fetch(&house, &mut alice, path).await;
            let seen = seen.unwrap();
            assert_eq!(status, 200);
            for name in token_lines {
                assert_eq!(seen.values(name).len(), count, "{flag} {path} {name}");
            }
            assert_eq!(seen.values("x-hero-user"), ["alice"], "all else works");
            assert_eq!(seen.values("x-hero-email"), ["alice@example.org"]);
        }
        // A connection that was there before the reload follows too.
        let answer = kept.ask(format!("GET / HTTP/1.1\r\n{}\r\n", lines(&house, &alice))).await;
        assert_eq!(answer.status, 200);
        let seen = house.echo.seen().pop().unwrap();
        assert_eq!(seen.values("x-hero-forge-token").len(), usize::from(flag));
        let (status, _) = fetch(&house, &mut alice, "/_hero/auth/whoami").await;
        assert_eq!(status, 200);
    }
    assert_eq!(house.session(&alice), session, "no session is lost");
}

/// Holds: H6.
#[tokio::test]
async fn what_a_session_lacks_is_no_line_even_if_the_client_sends_one() {
    let scopes = "scopes = [\"openid\", \"profile\", \"read:user\", \"write:issue\"]";
    let house = TestHouse::start_before(plan().with("forge", scopes), app).await;
    // An old consent of full power: the token is withheld. No `email` and no `groups` in the scope: nobody tells them.
    house.forge.set_grant_scope("bob", CLIENT_ID, "openid profile").unwrap();
    let mut bob = house.browser();
    let page = house.sign_in(&mut bob, "/", "bob").await;
    assert_eq!(page.reason().as_deref(), Some("consent_wider"));
    let lies =
        ["Forge-Token", "Forge-Token-Expires", "Forge-Scopes", "Email", "Groups", "User", "User-Id", "Role"];
    bob.extra = lies
        .iter()
        .flat_map(|name| ["lie", ""].map(|lie| (format!("X-Hero-{name}"), lie.to_owned())))
        .collect();
    for path in ["/", "/bobs", "/open", "/open-token"] {
        let (status, seen) = fetch(&house, &mut bob, path).await;
        let seen = seen.unwrap();
        assert_eq!(
            (status, ours(&seen)),
            (200, vec!["x-hero-user".to_owned(), "x-hero-user-id".to_owned()]),
            "{path}"
        );
        assert_eq!(seen.values("x-hero-user"), ["bob"]);
        assert!(
            seen.head.split("\r\n").skip(1).all(|line| !line.trim_end().ends_with(':')),
            "no empty value: {}",
            seen.head
        );
    }
}

/// Holds: H8.
#[tokio::test]
async fn our_cookies_end_here_and_the_others_arrive_as_they_were() {
    let house = TestHouse::start_before(plan(), app).await;
    let alice = house.signed_in("alice").await;
    let names = house.cookies();
    let session = house.session(&alice).unwrap();
    let ours = format!("{}={session}", names.session);
    let flow = format!("{}abcdefgh=sealed", names.flow_prefix);
    let out = format!("{}=1", names.signed_out);
    for (sent, expected) in [
        (
            format!("Cookie: a=\"1\"; {ours};b=2\r\nCookie: {flow}; c = 3 ;; d; {out}\r\n"),
            Some("a=\"1\"; b=2; c = 3; d"),
        ),
        (format!("Cookie: {ours}\r\nCookie: x=y\r\n"), Some("x=y")),
        (format!("Cookie: z=1\r\nCookie: {ours}\r\nCookie: y=2\r\n"), Some("z=1; y=2")),
        (format!("Cookie: {ours}; {flow}\r\nCookie: {out}\r\n"), None),
        (format!("Cookie: {}\r\nCookie: \r\n", ours), None),
    ] {
        let mut client = RawClient::tcp(house.address).await;
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: {}\r\n{sent}\r\n", house.authority())).await;
        assert_eq!(answer.status, 200, "{sent}");
        let seen = house.echo.seen().pop().unwrap();
        assert_eq!(seen.values("cookie"), expected.into_iter().collect::<Vec<_>>(), "{sent}");
        assert_eq!(seen.values("x-hero-user"), ["alice"]);
    }
}

/// Holds: H10.
#[tokio::test]
async fn a_token_goes_to_the_upstream_of_its_own_route_and_no_redirect_is_followed() {
    let other = Echo::tcp(|_| ok("other")).await;
    let elsewhere = format!("http://{}/taken", other.authority());
    let routes = format!(
        "{ROUTES}[[routes]]\npath = \"/other\"\nupstream = \"http://{}\"\ngroups = true\n",
        other.authority()
    );
    let location = elsewhere.clone();
    let house = TestHouse::start_before(Plan { routes: Some(routes), ..Plan::default() }, move |seen| {
        let redirect = |status: &str| {
            let answer = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            vec![Step::ReadBody, Step::send(answer)]
        };
        match seen.target() {
            "/away" => redirect("302 Found"),
            "/away-307" => redirect("307 Temporary Redirect"),
            "/refresh" => {
                let answer =
                    format!("HTTP/1.1 200 OK\r\nRefresh: 0; url={location}\r\nContent-Length: 0\r\n\r\n");
                vec![Step::ReadBody, Step::send(answer)]
            }
            _ => ok("app"),
        }
    })
    .await;
    let mut alice = house.signed_in("alice").await;
    for (path, status) in [("/away", 302), ("/away-307", 307)] {
        let page = alice.fetch(&house.at(path)).await;
        assert_eq!((page.status(), page.answer.value("location")), (status, Some(elsewhere.as_str())));
        let page = alice.send("POST", &house.at(path), &[], "form").await;
        assert_eq!((page.status(), page.answer.value("location")), (status, Some(elsewhere.as_str())));
    }
    assert_eq!(alice.fetch(&house.at("/refresh")).await.status(), 200);
    assert!(other.is_untouched());
    assert_eq!(alice.fetch(&house.at("/other/x")).await.text(), "other");
    let seen = other.only();
    assert_eq!(ours(&seen), ["x-hero-email", "x-hero-groups", "x-hero-user", "x-hero-user-id"]);
    assert_eq!(alice.fetch(&house.at("/otherwise")).await.text(), "app", "a prefix ends at a segment");
    assert_eq!(other.seen().len(), 1);
}

/// Holds: H11.
#[tokio::test]
async fn odd_names_and_groups_of_the_forge_are_one_encoded_line_each() {
    use hero_proxy::forge::fake::NewUser;
    use hero_proxy::wire::encode::{decode, decode_groups};

    let house = TestHouse::start_before(Plan { allow: vec!["any-user"], ..plan() }, app).await;
    let names = [
        "zoë",
        "a\r\nX-Hero-User-Id: 1",
        "nul\0nul",
        "quo\"te'",
        "com,ma:colon;semi",
        "%41lice",
        "\u{1f600}",
        " blank ",
        "alice\t",
        "\u{202e}ecila",
    ];
    for (at, name) in names.into_iter().enumerate() {
        let email = format!("odd{at}@example.org");
        house.forge.add_user(NewUser { email, ..NewUser::new(name, "odd password") });
        for group in [name, "x,acme", "acme:ops,root", "", "\r\n"] {
            house.forge.add_member(name, group, (at % 2 == 0).then_some(name));
        }
        let mut browser = house.browser();
        let url = house.at("/");
        // The forge's own form is filled in with what it would refuse to register.
        let page = browser.sign_in(&url, name, "odd password").await;
        assert_eq!(page.status(), 200, "{name:?}: {}", page.text());
        let seen = house.echo.seen().pop().unwrap();
        let user = seen.values("x-hero-user");
        assert_eq!(user.len(), 1, "{name:?}");
        assert_eq!(decode(user[0]).as_deref(), Some(name));
        assert_eq!(seen.values("x-hero-user-id").len(), 1, "{name:?}");
        let groups = seen.values("x-hero-groups");
        assert_eq!(groups.len(), 1, "{name:?}");
        assert!(groups[0].bytes().all(|byte| byte.is_ascii_graphic()), "{groups:?}");
        let groups = decode_groups(groups[0]).unwrap();
        assert!(
            groups.iter().all(|group| group.org != "acme"
                || group.team.as_deref().is_some_and(|team| team.starts_with("ops,root"))),
            "{groups:?}"
        );
        assert!(groups.iter().any(|group| group.org == "x,acme"), "{groups:?}");
        assert_eq!(browser.fetch(&house.at("/_hero/auth/whoami")).await.json()["user"]["login"], name);
    }
}

/// Holds: H14.
#[tokio::test]
async fn authorization_is_the_backends_affair_and_never_a_session() {
    let house = TestHouse::start_before(plan(), app).await;
    let mut alice = house.signed_in("alice").await;
    let token = house.echo.only().values("x-hero-forge-token")[0].to_owned();
    let session = house.session(&alice).unwrap();
    for value in [
        "Basic YWxpY2U6eA==".to_owned(),
        format!("Bearer {token}"),
        format!("Bearer {session}"),
        format!("token {token}"),
    ] {
        alice.extra = vec![("Authorization".to_owned(), value.clone())];
        let (status, seen) = fetch(&house, &mut alice, "/").await;
        let seen = seen.unwrap();
        assert_eq!((status, seen.values("authorization")), (200, vec![value.as_str()]));
        assert_eq!(seen.values("x-hero-forge-token"), [&token]);
        let mut nobody = house.browser();
        nobody.extra = alice.extra.clone();
        let (status, seen) = fetch(&house, &mut nobody, "/").await;
        assert_eq!((status, seen.is_none()), (401, true), "{value}");
        assert_eq!(nobody.fetch(&house.at("/_hero/auth/whoami")).await.status(), 401);
        let (_, seen) = fetch(&house, &mut nobody, "/open").await;
        let seen = seen.unwrap();
        assert_eq!((seen.values("authorization"), ours(&seen)), (vec![value.as_str()], vec![]));
    }
}

/// Holds: H7 (over HTTP/1.1, through the whole house).
#[tokio::test]
async fn a_name_of_ours_in_a_trailer_reaches_neither_the_backend_nor_the_visitor() {
    let house = TestHouse::start_before(plan(), |_| {
        canned(
            "HTTP/1.1 200 OK\r\nTrailer: X-Hero-Forge-Token, Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nX-Hero-Forge-Token: theirs\r\nSet-Cookie: planted=1\r\nX-Hero-User: theirs\r\n\r\n",
        )
    })
    .await;
    let mut alice = house.browser();
    house.sign_in(&mut alice, "/", "alice").await;
    let before = house.echo.seen().len();
    for path in ["/", "/plain", "/open"] {
        let head = lines(&house, &alice);
        let request = format!(
            "POST {path} HTTP/1.1\r\n{head}TE: trailers\r\nTrailer: X-Hero-Forge-Token\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\nX-Hero-Forge-Token: forged\r\nX_Hero_User: forged\r\nX-Other: forged\r\n\r\n"
        );
        let answer = RawClient::tcp(house.address).await.ask(request).await;
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (200, "hi", true), "{path}");
        assert_eq!(answer.trailers, [""; 0], "{path}");
    }
    for (seen, tokens) in house.echo.seen()[before..].iter().zip([1, 0, 0]) {
        assert_eq!(seen.body, b"3\r\nabc\r\n0\r\n\r\n");
        assert_eq!(seen.values("x-hero-forge-token").len(), tokens);
        assert!(!seen.head.contains("forged"), "{}", seen.head);
    }
}
