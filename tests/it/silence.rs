//! The silence test: everything that is secret is known to the test, the house is driven through its stories, good and
//! hostile, and then all that it wrote, answered, asked and printed is searched for any of it.

mod admin;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fmt::Write as _;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hero_proxy::admin::service::CreateUserOutput;
use hero_proxy::app::demo::{Demo, DemoSettings, REPOSITORY};
use hero_proxy::base::account::{Account, Identity, Standing, UserId};
use hero_proxy::base::clock::Timestamp;
use hero_proxy::base::entropy::{OsEntropy, random_text};
use hero_proxy::base::seal::{KeyRing, SealKey};
use hero_proxy::base::secret::{
    AdminToken, AuthCode, ClientSecret, IdToken, InitialPassword, Nonce, PkceVerifier, RefreshToken,
    SecretText, State,
};
use hero_proxy::forge::admin as forge_admin;
use hero_proxy::forge::api::TokenSet;
use hero_proxy::forge::fake::{Endpoint, FakeForge, FakeSettings, Fault, NewUser};
use hero_proxy::session::id::SessionId;
use hero_proxy::session::record::{GrantRecord, ScopeVerdict};
use hero_proxy::wire::ForgeToken;
use hero_proxy::wire::inject::{Injection, TokenHeaders};
use hero_proxy::wire::scrub::{OwnCookies, ScrubRules, scrub};
use http::{HeaderMap, HeaderValue};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

use crate::support::DEADLINE;
use crate::support::browser::{Browser, FETCH, NAVIGATION, Page};
use crate::support::desk::{Desk, PUBLIC_URL, Run};
use crate::support::echo::{Echo, Step, ok};
use crate::support::house::{CLIENT_SECRET, TestHouse, password};
use crate::support::logs::Logs;
use crate::support::program::Program;
use crate::support::wiretap::Wiretap;

/// What nobody may see, and what it is.
#[derive(Default)]
struct Secrets(BTreeMap<String, &'static str>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl AsRef<str>) {
        let secret = secret.as_ref();
        assert!(secret.len() >= 8, "{what} is too short to be searched for: {secret}");
        self.0.insert(secret.to_owned(), what);
        // Of a JWT the head is no secret; the rest is, in parts too.
        if let [_, payload, signature] = secret.split('.').collect::<Vec<_>>()[..] {
            for part in [payload, signature].into_iter().filter(|part| part.len() >= 8) {
                self.0.insert(part.to_owned(), what);
            }
        }
    }

    /// A new secret of that kind.
    fn make(&mut self, what: &'static str) -> String {
        let secret = random_text::<32>(&OsEntropy);
        self.add(what, &secret);
        secret
    }

    /// What stands in a query or form after `name=`.
    fn add_parameter(&mut self, what: &'static str, query: &str, name: &str) {
        for (found, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if found == name {
                self.add(what, value);
            }
        }
    }

    /// What stands in texts between a mark and any of these ends.
    fn add_between(&mut self, what: &'static str, texts: &[String], mark: &str, ends: &[char]) {
        for text in texts {
            for (at, _) in text.match_indices(mark) {
                let rest = &text[at + mark.len()..];
                self.add(what, rest.split(ends).next().unwrap());
            }
        }
    }

    /// Which of them stand in a text: as they are, escaped, in base64, or in a large part.
    fn in_text(&self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (secret, what) in &self.0 {
            let escaped: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let mut forms =
                vec![secret.clone(), escaped, STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)];
            if secret.len() >= 32 {
                forms.push(secret[..16].to_owned());
                forms.push(secret[secret.len() - 16..].to_owned());
            }
            if forms.iter().any(|form| text.contains(form)) {
                found.push(format!("{what}: {secret}"));
            }
        }
        found
    }

    fn assert_none_in(&self, place: &str, text: &str) {
        let found = self.in_text(text);
        if found.is_empty() {
            return;
        }
        let lines: Vec<&str> = text.lines().filter(|line| !self.in_text(line).is_empty()).collect();
        panic!("{place} tells {found:#?}\n{}", lines.join("\n"));
    }
}

/// All that a house answered.
#[derive(Default)]
struct Transcript(String);

impl Transcript {
    /// Keeps an answer, but for the two places where a secret belongs: our cookies, and the way to the forge.
    fn keep(&mut self, page: &Page, forge: &Url) {
        writeln!(self.0, "== {} ==", page.status()).unwrap();
        for (name, value) in &page.answer.headers {
            let to_forge = name.eq_ignore_ascii_case("location")
                && page.url.join(value).is_ok_and(|to| to.origin() == forge.origin());
            if !to_forge && !name.eq_ignore_ascii_case("set-cookie") {
                writeln!(self.0, "{name}: {value}").unwrap();
            }
        }
        self.0 += &page.text();
    }
}

/// A person at a browser whose every step is kept.
struct Person<'a> {
    browser: Browser,
    forge: &'a Url,
    base: Url,
    login: &'static str,
}

impl Person<'_> {
    async fn open(&mut self, path: &str, all: &mut Transcript, secrets: &mut Secrets) -> Page {
        self.ask("GET", path, &NAVIGATION, all, secrets).await
    }

    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        all: &mut Transcript,
        secrets: &mut Secrets,
    ) -> Page {
        let page = self.browser.send(method, &self.base.join(path).unwrap(), headers, "").await;
        all.keep(&page, self.forge);
        if let Some(to) = page.location().filter(|to| to.origin() == self.forge.origin()) {
            for name in ["state", "nonce"] {
                secrets.add_parameter("state or nonce", to.query().unwrap(), name);
            }
        }
        for cookie in self.browser.named("hero_").iter().filter(|(_, value)| value.len() >= 8) {
            secrets.add("a cookie", &cookie.1);
        }
        page
    }

    /// Begins a sign-in and goes through the forge; says the callback, as path and query.
    async fn until_callback(&mut self, path: &str, all: &mut Transcript, secrets: &mut Secrets) -> String {
        let page = self.open(path, all, secrets).await;
        let to = page.location().unwrap_or_else(|| panic!("no sign-in: {}", page.text()));
        let back = self.browser.at_forge(&to, self.login, &password(self.login)).await;
        secrets.add_parameter("a code", back.query().unwrap(), "code");
        back[url::Position::BeforePath..].to_owned()
    }

    async fn sign_in(&mut self, path: &str, all: &mut Transcript, secrets: &mut Secrets) -> Page {
        let back = self.until_callback(path, all, secrets).await;
        self.open(&back, all, secrets).await
    }
}

/// What went between proxy and forge.
fn overhear(tap: &Wiretap, secrets: &mut Secrets) {
    let heard = tap.heard();
    for name in ["access_token", "refresh_token", "id_token"] {
        secrets.add_between("a token of the forge", &heard, &format!("\"{name}\":\""), &['"']);
    }
    for name in ["code_verifier=", "refresh_token=", "client_secret="] {
        secrets.add_between("what the forge was told", &heard, name, &['&', ' ', '\r']);
    }
    secrets.add_between("the client's credentials", &heard, "asic ", &['\r']);
}

/// The newest refresh token that the forge gave.
fn newest_refresh(tap: &Wiretap) -> String {
    let mut secrets = Secrets::default();
    secrets.add_between("", &tap.heard(), "\"refresh_token\":\"", &['"']);
    secrets.0.into_keys().find(|token| token.matches('.').count() == 2).unwrap()
}

/// Callbacks, cookies and headers that nobody means well with; all have secrets in them.
async fn hostilities(person: &mut Person<'_>, all: &mut Transcript, secrets: &mut Secrets) {
    let mut own = || secrets.make("what a stranger said");
    let queries = [
        format!("code={}&state={}", own(), own()),
        format!("code={0}&code={0}&state={1}", own(), own()),
        format!("error=server_error&error_description={}&state={}", own(), own()),
        format!("error={}&state={}", own(), own()),
        format!("code={}&error={}&state={}", own(), own(), own()),
        format!("access_token={}&id_token={}", own(), own()),
        format!("code={}&state={}&iss={}", own(), own(), own()),
        format!("code={}{}&state={}", own(), "x".repeat(4000), own()),
    ];
    let (spoofed, bearer, cookie, session) = (own(), own(), own(), own());
    let bearer = format!("Bearer {bearer}");
    let kept = person.browser.clone();
    person.browser.plant("localhost", "theirs", &cookie);
    let strangers =
        [("X-Hero-Forge-Token", spoofed.as_str()), ("Authorization", &bearer), ("X_Hero_User", &spoofed)];
    for query in &queries {
        for reader in [NAVIGATION, FETCH] {
            let headers: Vec<_> = reader.into_iter().chain(strangers).collect();
            let page =
                person.ask("GET", &format!("/_hero/auth/callback?{query}"), &headers, all, secrets).await;
            assert_eq!(page.status(), 400, "{}", page.text());
        }
    }
    // Cookies under our names, which nobody here has made.
    let (session_name, flow_name) = names();
    person.browser = kept.clone();
    person.browser.forget_all("localhost");
    person.browser.plant("localhost", &session_name, &session);
    person.browser.plant("localhost", &format!("{flow_name}{}", &session[..8]), &session);
    for path in ["/", "/_hero/auth/whoami", "/_hero/auth/login"] {
        person.ask("GET", path, &FETCH, all, secrets).await;
    }
    person.browser = kept;
}

fn names() -> (String, String) {
    let names = hero_proxy::session::cookie::CookieNames::for_origin(&PUBLIC_URL.parse().unwrap()).unwrap();
    (names.names().session.clone(), names.names().flow_prefix.clone())
}

/// Answers of the forge that repeat secrets, or hold new ones where they do not belong.
fn faults(secrets: &mut Secrets, repeated: &str) -> Vec<(Endpoint, Fault)> {
    let mut own = || secrets.make("what a sick forge said");
    let text = |status: u16, body: String| Fault::Answer { status, content_type: "text/plain", body };
    let tokens = |access: &str, kind: &str, id: &str| {
        format!(
            "{{\"access_token\":\"{access}\",\"token_type\":\"{kind}\",\"expires_in\":3600,\"refresh_token\":\"{access}r\",\"id_token\":\"{id}\"}}"
        )
    };
    let error = |code: &str, words: &str| {
        format!("{{\"error\":\"{code}\",\"error_description\":\"{words} {repeated}\"}}")
    };
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"), URL_SAFE_NO_PAD.encode(own()));
    vec![
        (Endpoint::Token, Fault::json(400, error("invalid_grant", &own()))),
        (Endpoint::Token, Fault::json(400, error("unauthorized_client", &own()))),
        (Endpoint::Token, Fault::json(400, error("invalid_client", &own()))),
        (Endpoint::Token, Fault::json(400, error(&own(), &own()))),
        (Endpoint::Token, Fault::json(200, tokens(&own(), "bearer", &own()))),
        (Endpoint::Token, Fault::json(200, tokens(&own(), &own(), &own()))),
        (Endpoint::Token, Fault::json(200, tokens(&own(), "bearer", &unsigned))),
        (Endpoint::Token, Fault::json(200, format!("{{\"access_token\":\"{}", own()))),
        (Endpoint::Token, text(500, format!("<html>{} {repeated}", own()))),
        (Endpoint::Token, text(302, own())),
        (Endpoint::Token, Fault::Close),
        (Endpoint::Introspect, text(401, format!("token {repeated} of {}", own()))),
        (
            Endpoint::Introspect,
            Fault::json(200, format!("{{\"active\":true,\"scope\":5,\"x\":\"{}\"}}", own())),
        ),
        (Endpoint::Introspect, Fault::LoseAnswer),
    ]
}

const DEAD_PORT: &str = "127.0.0.1:9";

/// Holds: K4, K5, K7.
#[tokio::test]
async fn the_program_never_tells_a_secret_whatever_happens() {
    let fake = FakeSettings {
        own_names_only: false,
        // So short that renewals come while the test looks on.
        token_lifetime: Duration::from_secs(2),
        ..FakeSettings::default()
    };
    let forge = FakeForge::start(fake).await.unwrap();
    let mut secrets = Secrets::default();
    for login in ["alice", "bob"] {
        forge.add_user(NewUser::new(login, &password(login)));
        secrets.add("a password", password(login));
    }
    secrets.add("the client secret", CLIENT_SECRET);
    let at = SocketAddr::from(([127, 0, 0, 1], forge.url().port().unwrap()));
    let tap = Wiretap::to(at).await;
    let echo = Echo::tcp(|seen| match seen.target() {
        "/broken" => vec![Step::send("HTTQ/9\r\n\r\n")],
        _ => ok("app"),
    })
    .await;
    let mut desk = Desk::new(&forge, &echo.authority());
    *desk.section("forge") += &format!("internal_url = \"http://{}\"\n", tap.address);
    desk.routes +=
        &format!("[[routes]]\npath = \"/dead\"\nupstream = \"http://{DEAD_PORT}\"\nforge_token = true\n");
    let process = desk.start().await;
    let key = std::fs::read_to_string(desk.path("session_key")).unwrap();
    secrets.add("the session key", key.split_whitespace().max_by_key(|word| word.len()).unwrap());

    let mut all = Transcript::default();
    let person = |process: &Run, login| Person {
        browser: process.browser(),
        forge: forge.url(),
        base: process.at("/"),
        login,
    };
    let mut alice = person(&process, "alice");

    // A sign-in with hostilities on the way; the callback twice, and by somebody else.
    let back = alice.until_callback("/a", &mut all, &mut secrets).await;
    hostilities(&mut alice, &mut all, &mut secrets).await;
    let page = alice.open(&back, &mut all, &mut secrets).await;
    assert_eq!(page.status(), 303, "{}", page.text());
    assert_eq!(alice.open(&back, &mut all, &mut secrets).await.status(), 303);
    assert_eq!(person(&process, "bob").open(&back, &mut all, &mut secrets).await.status(), 400);

    // The app, whoami, backends that fail.
    for (path, status) in
        [("/a", 200), ("/_hero/auth/whoami", 200), ("/dead", 502), ("/broken", 502), ("/%zz", 400)]
    {
        let page = alice.ask("GET", path, &FETCH, &mut all, &mut secrets).await;
        assert_eq!(page.status(), status, "{path}: {}", page.text());
    }
    // Renewals, good and bad. The token grows old while it is looked on.
    let begun = std::time::Instant::now();
    while forge.count(Endpoint::Token) < 3 {
        assert!(begun.elapsed() < DEADLINE, "no renewal");
        assert_eq!(alice.ask("GET", "/a", &FETCH, &mut all, &mut secrets).await.status(), 200);
    }
    overhear(&tap, &mut secrets);

    // Sign-ins at a sick forge.
    let repeated = newest_refresh(&tap);
    for (endpoint, fault) in faults(&mut secrets, &repeated) {
        let mut bob = person(&process, "bob");
        let back = bob.until_callback("/b", &mut all, &mut secrets).await;
        forge.break_next(endpoint, fault, 1);
        let page = bob.open(&back, &mut all, &mut secrets).await;
        let expected: &[u16] = if endpoint == Endpoint::Token { &[502, 503] } else { &[303] };
        assert!(expected.contains(&page.status()), "{endpoint:?} {}: {}", page.status(), page.text());
        bob.ask("GET", "/b", &FETCH, &mut all, &mut secrets).await;
    }
    // Renewals at a sick forge: alice's token has to be renewed, whatever comes back.
    for (endpoint, fault) in faults(&mut secrets, &repeated).into_iter().take(4) {
        let mut visitor = person(&process, "alice");
        visitor.sign_in("/a", &mut all, &mut secrets).await;
        let (begun, before) = (std::time::Instant::now(), forge.count(endpoint));
        forge.break_next(endpoint, fault, 1);
        while forge.count(endpoint) == before {
            assert!(begun.elapsed() < DEADLINE, "no renewal");
            visitor.ask("GET", "/a", &FETCH, &mut all, &mut secrets).await;
        }
        forge.heal();
    }

    // A configuration with secrets where they do not belong: refused, and not repeated.
    let good = desk.sections.clone();
    let misplaced = secrets.make("a secret in the configuration");
    for (section, line) in [
        ("forge", format!("client_secret = \"{misplaced}\"\n")),
        ("forge", format!("client_secret = {{ fil = \"{misplaced}\" }}\n")),
        ("forge", format!("client_secrte = \"{misplaced}\"\n")),
        ("session", format!("key = \"{misplaced}\"\n")),
        ("session", format!("password = \"{misplaced}\" \"\n")),
        ("forge", format!("internal_url = \"http://us:{misplaced}@[::1\"\n")),
        ("session", format!("store = \"redis://:{misplaced}@10.0.0.1/0\"\n")),
    ] {
        desk.sections = good.clone();
        let lines = desk.section(section);
        *lines = lines
            .lines()
            .filter(|old| old.split(' ').next() != line.split(' ').next())
            .collect::<Vec<_>>()
            .join("\n");
        *lines += &format!("\n{line}");
        let config = desk.write().display().to_string();
        let refused =
            process.events("reload refused: the configuration has errors; the old one stays in force").len();
        process.program.tell(Signal::HUP);
        process
            .event("reload refused: the configuration has errors; the old one stays in force", refused + 1)
            .await;
        for arguments in [
            vec!["check", "--config", &config],
            vec!["check", "--config", &config, "--format", "json"],
            vec!["run", "--config", &config],
        ] {
            let program = Program::start(&arguments, &[]);
            assert_eq!(program.ended().await, Ok(1), "{arguments:?} {line}");
            secrets.assert_none_in("a command", &program.text());
        }
    }
    desk.sections = good;

    // Out, and in again.
    let mut out = person(&process, "alice");
    out.sign_in("/a", &mut all, &mut secrets).await;
    let page =
        out.ask("POST", "/_hero/auth/logout?everywhere=true", &NAVIGATION, &mut all, &mut secrets).await;
    assert_eq!(page.status(), 303);
    assert_eq!(out.open("/a", &mut all, &mut secrets).await.status(), 401);
    out.sign_in("/_hero/auth/login?return_to=%2Fa", &mut all, &mut secrets).await;
    overhear(&tap, &mut secrets);
    for name in ["cmdline", "environ"] {
        secrets.assert_none_in(name, &process.proc(name));
    }
    process.stop().await;

    // The same store after a restart: a row that somebody bent, then none that can be read.
    let second = desk.start().await;
    let mut after = person(&second, "alice");
    after.browser.plant("localhost", &names().0, &out.browser.named(&names().0)[0].1);
    let database = rusqlite::Connection::open(desk.path("sessions.db")).unwrap();
    database.busy_timeout(DEADLINE).unwrap();
    database.execute("UPDATE sessions SET sealed = randomblob(length(sealed))", []).unwrap();
    assert_eq!(after.ask("GET", "/a", &FETCH, &mut all, &mut secrets).await.status(), 401);
    database.execute_batch("DROP TABLE sessions; DROP TABLE grants; DROP TABLE claims;").unwrap();
    after.browser.forget_all("localhost");
    let back = after.until_callback("/a", &mut all, &mut secrets).await;
    assert_eq!(after.open(&back, &mut all, &mut secrets).await.status(), 503);
    assert_eq!(after.ask("GET", "/a", &FETCH, &mut all, &mut secrets).await.status(), 401);
    overhear(&tap, &mut secrets);
    second.stop().await;

    // Each kind of secret was there to be told.
    let kinds: std::collections::BTreeSet<&str> = secrets.0.values().copied().collect();
    assert_eq!(kinds.len(), 12, "{kinds:?}");
    for run in [&process, &second] {
        secrets.assert_none_in("the log", &run.program.text());
    }
    for message in [
        "signed in",
        "signed out",
        "spoofed_headers_dropped",
        "a callback without its sign-in",
        "no answer",
        "reload refused: the configuration has errors; the old one stays in force",
    ] {
        assert!(!process.events(message).is_empty(), "{message} is told");
    }
    secrets.assert_none_in("an answer", &all.0);
    // The backend learns the tokens of its visitors where they belong, and nothing else.
    let mut told = String::new();
    for seen in echo.seen() {
        told.extend(
            seen.head
                .split("\r\n")
                .filter(|line| !line.to_ascii_lowercase().starts_with("x-hero-forge-token:")),
        );
        told.push('\n');
    }
    secrets.0.retain(|_, what| *what != "what a stranger said");
    secrets.assert_none_in("a request to the backend", &told);
    assert!(!std::fs::read(desk.path("sessions.db")).unwrap().is_empty());
}

/// Holds: K4, K7, K8.
#[tokio::test]
async fn a_pasted_token_is_told_to_nobody_but_the_forge() {
    for pass_through in [true, false] {
        let logs = Logs::listen();
        let settings = DemoSettings {
            pass_through,
            proxy_port: 0,
            admin_port: 0,
            forge_port: 0,
            ..DemoSettings::default()
        };
        let demo = Demo::start(&settings).await.unwrap();
        let mut secrets = Secrets::default();
        let account = &demo.accounts[0];
        secrets.add("a password", &account.password);
        let pasted =
            demo.forge.add_personal_token(account.login, &["write:issue"]).unwrap().expose().to_owned();
        secrets.add("the pasted token", &pasted);
        secrets.add(
            "the client secret",
            std::fs::read_to_string(demo.folder().join("client_secret")).unwrap().trim(),
        );
        let address = SocketAddr::from(([127, 0, 0, 1], demo.url.port().unwrap()));
        let mut browser = Browser::knowing(&format!("localhost:{}", address.port()), address);
        let mut all = Transcript::default();
        let home = browser.sign_in(&demo.url, account.login, &account.password).await;
        assert_eq!(home.status(), 200);
        for (_, value) in browser.named("hero_").iter().filter(|(_, value)| value.len() >= 8) {
            secrets.add("a cookie", value);
        }
        let mut keep = |page: Page| {
            all.keep(&page, demo.forge.url());
            page
        };
        keep(home);
        let settings_page = keep(browser.visit(&demo.url.join("/settings").unwrap()).await);
        let form = settings_page.form("/settings/token").unwrap();
        for token in [pasted.as_str(), "not a token", "\u{e4}\u{1f600}", &format!("{pasted} {pasted}")] {
            let page = keep(browser.submit(&form.clone().with("token", token)).await);
            keep(browser.follow(page).await);
        }
        let page = keep(browser.submit(&form.with("token", &pasted)).await);
        assert_eq!(page.location().map(|to| to.path().to_owned()), Some("/settings".to_owned()));
        // Filed once; then a forge that repeats the token, one that is down, and one that has lost it.
        let echoed = format!("{{\"message\":\"token {pasted} is bad\",\"url\":\"http://x\"}}");
        for fault in [
            None,
            Some(Fault::json(401, &*echoed)),
            Some(Fault::json(403, &*echoed)),
            Some(Fault::json(422, &*echoed)),
            Some(Fault::json(500, &*echoed)),
            Some(Fault::Answer { status: 200, content_type: "text/html", body: echoed.clone() }),
            Some(Fault::Close),
        ] {
            demo.forge.heal();
            let home = keep(browser.visit(&demo.url).await);
            if let Some(fault) = fault {
                demo.forge.break_next(Endpoint::Issues, fault, 2);
            }
            let form = home.form("/feedback").unwrap().with("title", "It works").with("body", "well");
            let page = keep(browser.submit(&form).await);
            keep(browser.follow(page).await);
        }
        demo.forge.heal();
        assert!(!demo.forge.issues(REPOSITORY.0, REPOSITORY.1).is_empty());
        let page = keep(browser.visit(&demo.url.join("/settings").unwrap()).await);
        let page = keep(browser.submit(&page.form("/settings/token/remove").unwrap()).await);
        keep(browser.follow(page).await);
        keep(browser.fetch(&demo.url.join("/_hero/auth/whoami").unwrap()).await);
        secrets.assert_none_in("a debug view", &format!("{demo:?} {demo:#?}"));
        demo.stop().await;
        secrets.assert_none_in("an answer", &all.0);
        let told = logs.text();
        assert!(told.contains("signed in"), "the log was listened to: {told}");
        secrets.assert_none_in("the log", &told);
    }
}

/// Everything that can be printed for debugging prints no secret.
///
/// Holds: K4, X7.
#[tokio::test]
async fn nothing_prints_a_secret_for_debugging() {
    let mut secrets = Secrets::default();
    let house = TestHouse::new().await;
    let alice = house.signed_in("alice").await;
    let token = house.echo.only().values("x-hero-forge-token")[0].to_owned();
    secrets.add("the token", &token);
    secrets.add("the session", house.session(&alice).unwrap());
    secrets.add("the client secret", CLIENT_SECRET);
    let mut printed = String::new();
    let mut print = |value: &dyn Debug| printed += &[format!("{value:?}"), format!("{value:#?}")].join("\n");
    print(&house.house);
    print(house.house.config());
    print(&house.house.front());
    print(&house.forge);
    print(&house.readiness);

    // Each type by itself, with a secret in it.
    let mut own = || secrets.make("a value");
    let forge_token = ForgeToken::new(own()).unwrap();
    let session = SessionId::random(&OsEntropy);
    print(&session);
    let session = session.text();
    let account = Account { issuer: "i".into(), client_id: "c".into(), sub: UserId("1".into()) };
    let grant = GrantRecord {
        version: 1,
        begun: 1,
        account: account.clone(),
        identity: Identity {
            id: UserId("1".into()),
            login: "a".to_owned(),
            name: None,
            email: None,
            groups: Vec::new(),
        },
        access: forge_token.clone(),
        access_expires_at: Timestamp::from_secs(1),
        access_life: Duration::from_secs(1),
        refresh: Some(RefreshToken::new(own())),
        dead: false,
        scope: String::new(),
        verdict: ScopeVerdict::Exact,
        asked_at: Timestamp::from_secs(1),
        standing: Standing::Good,
        checked_at: Timestamp::from_secs(1),
        spares: Vec::new(),
    };
    print(&grant);
    print(&TokenSet {
        access: ForgeToken::new(own()).unwrap(),
        life: Duration::from_secs(1),
        refresh: Some(RefreshToken::new(own())),
        id_token: Some(IdToken::new(own())),
    });
    print(&(
        AuthCode::new(own()),
        PkceVerifier::new(own()),
        State::new(own()),
        Nonce::new(own()),
        ClientSecret::new(own()),
    ));
    // The operator's part.
    let output = |password: String| Some(InitialPassword::new(password));
    let (user_id, forge_username) = (UserId("1".into()), "a".to_owned());
    let made = forge_admin::CreateUserOutput { user_id, forge_username, initial_password: output(own()) };
    let (user_id, forge_username) = ("u1".to_owned(), "a".to_owned());
    let told = CreateUserOutput { user_id, forge_username, initial_password: output(own()) };
    print(&(made, told, AdminToken::new(own()), InitialPassword::new(own()), SecretText::new(own())));
    let key = SealKey::random(&OsEntropy);
    let line = key.line().expose().to_owned();
    print(&key);
    print(&KeyRing::of(key));
    let headers = TokenHeaders {
        token: forge_token.header_value(),
        expires: HeaderValue::from_static("1"),
        scopes: None,
    };
    print(&Injection { token: Some(Arc::new(headers)), ..Injection::default() });
    // What a scrubbed request still knows of its cookies.
    let cookies = OwnCookies {
        session: "session".to_owned(),
        flow_prefix: "flow_".to_owned(),
        signed_out: "out".to_owned(),
    };
    let rules = ScrubRules { cookies, extra: Vec::new() };
    let mut request = HeaderMap::new();
    let (flow, theirs, spoofed) = (own(), own(), own());
    let line_of_cookies = format!("session={session}; flow_abc={flow}; theirs={theirs}");
    request.append("cookie", HeaderValue::from_str(&line_of_cookies).unwrap());
    request.append("x-hero-forge-token", HeaderValue::from_str(&spoofed).unwrap());
    print(&scrub(&mut request, &rules, false));
    print(&request);

    // Errors about secrets.
    let bad = own();
    let errors: Vec<Box<dyn std::error::Error>> = vec![
        Box::new(ForgeToken::new(format!("{bad}\n")).unwrap_err()),
        Box::new(ForgeToken::new(bad.repeat(1000)).unwrap_err()),
        Box::new(KeyRing::from_text(&format!("{bad}!")).unwrap_err()),
        Box::new(KeyRing::from_text(&format!("{line}x")).unwrap_err()),
    ];
    for error in &errors {
        print(error);
        print(&error.to_string());
    }
    secrets.add("a session", session);
    secrets.add("a key", line);
    secrets.assert_none_in("a debug view", &printed);
    for sign in ["Sensitive", "redacted"] {
        assert!(printed.contains(sign), "{sign}");
    }
}
