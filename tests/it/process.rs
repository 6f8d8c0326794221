//! The real binary: what keeps it from starting, what signals do to it, what it tells about its health.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hero_proxy::forge::fake::{Endpoint, FakeForge, FakeSettings, Fault, Gate, NewApplication, NewUser};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_blocking};
use url::Url;

use crate::support::browser::{Browser, Page};
use crate::support::echo::{self, Echo, Step, ok};
use crate::support::house::{CLIENT_ID, CLIENT_SECRET, password};
use crate::support::program::Program;
use crate::support::raw::RawClient;
use crate::support::tls::{Authority, TlsFront, certificate};
use crate::support::{DEADLINE, soon};

/// Where the browser thinks the proxy is; it listens on another port.
const NAME: &str = "localhost:4180";

/// All that one proxy needs: a folder with its file and its secrets, a forge, and a backend.
struct Yard {
    folder: TempDir,
    forge: FakeForge,
    echo: Echo,
}

impl Yard {
    async fn new() -> Self {
        Self::with(FakeSettings::default(), |_| ok("app")).await
    }

    async fn with(
        fake: FakeSettings,
        script: impl Fn(&echo::Seen) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let forge = FakeForge::start(fake).await.unwrap();
        for login in ["alice", "bob"] {
            forge.add_user(NewUser::new(login, &password(login)));
        }
        let callback = format!("http://{NAME}/_hero/auth/callback");
        forge.add_application(NewApplication::new("The VM", CLIENT_ID, CLIENT_SECRET, &callback));
        let yard = Self { folder: tempfile::tempdir().unwrap(), forge, echo: Echo::tcp(script).await };
        yard.put("client_secret", CLIENT_SECRET, 0o600);
        yard.configure(&yard.toml());
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, mode);
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A good configuration.
    fn toml(&self) -> String {
        format!(
            r#"[server]
listen = ["127.0.0.1:0"]
public_url = "http://{NAME}"
health = "unix:{health}"

[forge]
url = "{forge}"
client_id = "{CLIENT_ID}"
client_secret = {{ file = "client_secret" }}

[features]
forge_token_pass_through = true

[access]
allow = ["user:alice", "user:bob"]

[session]
path = "sessions.db"
key = {{ file = "session_key" }}

[limits]
drain = "30s"

[log]
level = "info"
format = "json"
access = "off"

[[routes]]
path = "/"
upstream = "http://{echo}"
forge_token = true
"#,
            health = self.path("health.sock").display(),
            forge = self.forge.url().as_str().trim_end_matches('/'),
            echo = self.echo.authority(),
        )
    }

    fn configure(&self, text: &str) {
        self.put("proxy.toml", text, 0o644);
    }

    fn run(&self) -> Program {
        Program::start(&["run", "--config", self.path("proxy.toml").to_str().unwrap()], &[])
    }

    fn at(&self, path: &str) -> Url {
        Url::parse(&format!("http://{NAME}{path}")).unwrap()
    }

    /// A browser that is signed in.
    async fn sign_in(&self, program: &Program, login: &str) -> Browser {
        let mut browser = Browser::knowing(NAME, program.address().await);
        let page = browser.sign_in(&self.at("/"), login, &password(login)).await;
        assert_eq!(page.status(), 200, "{}", page.text());
        browser
    }

    /// What health says on its own socket.
    async fn health(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = RawClient::unix(&self.path("health.sock")).await.ask(request).await;
        (answer.status, answer.text())
    }

    async fn until_ready(&self) {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let ready = async {
            while self.health("/readyz").await.0 != 200 {
                looks.tick().await;
            }
        };
        soon("readiness", ready).await;
    }

    /// Starts it, and expects that this comes to nothing.
    async fn assert_refused(&self, code: i32, words: &[&str]) {
        let program = self.run();
        assert_eq!(program.ended().await, Ok(code), "{words:?}: {}", program.text());
        let said = program.text();
        for words in words {
            assert!(said.contains(words), "{words}\n{said}");
        }
        assert!(!said.contains("canary7") && !said.contains(CLIENT_SECRET), "{said}");
        assert!(!said.contains("\"serving\""), "{said}");
    }
}

/// Holds: X5.
#[tokio::test]
async fn with_a_secret_store_or_ca_that_does_not_serve_nothing_starts() {
    let yard = Yard::new().await;
    let good = yard.toml();
    let with = |old: &str, new: &str| {
        assert!(good.contains(old), "{old}");
        yard.configure(&good.replace(old, new));
    };
    yard.put("open", "gto_canary7q3vw7ixb2d5jslmu4phyz6tkfaeoc3n7", 0o640);
    yard.put("short", "canary7", 0o600);
    yard.put("not.pem", "canary7", 0o644);
    for (reference, words) in [
        ("{ file = \"none\" }", "there is no such file"),
        ("{ file = \"open\" }", "others than its owner may use it"),
        ("{ file = \"short\" }", "short or a sample"),
        ("\"canary7\"", "a secret may not stand in this file"),
        ("{ credential = \"none\" }", "forge.client_secret"),
    ] {
        with("{ file = \"client_secret\" }", reference);
        yard.assert_refused(1, &["forge.client_secret", words]).await;
    }
    for file in ["none.pem", "not.pem"] {
        with("[features]", &format!("ca = \"{file}\"\n[features]"));
        yard.assert_refused(1, &["forge.ca"]).await;
    }
    for key in ["short", "open", "not.pem"] {
        with("{ file = \"session_key\" }", &format!("{{ file = \"{key}\" }}"));
        yard.assert_refused(1, &["session.key"]).await;
    }
    assert!(!yard.path("sessions.db").exists(), "nothing was made on the way");
}

/// Holds: X5, S9.
#[tokio::test]
async fn a_store_that_others_can_read_or_whose_key_is_lost_stops_the_start_and_loses_nobody() {
    let yard = Yard::new().await;
    let program = yard.run();
    let mut alice = yard.sign_in(&program, "alice").await;
    for name in ["sessions.db", "session_key"] {
        assert_eq!(fs::metadata(yard.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    program.tell(Signal::TERM);
    assert_eq!(program.ended().await, Ok(0), "{}", program.text());

    for mode in [0o640, 0o604, 0o660] {
        yard.chmod("sessions.db", mode);
        yard.assert_refused(1, &["session.path", "others than its owner"]).await;
    }
    yard.chmod("sessions.db", 0o600);
    // A file beside it is looked at when the store is opened.
    fs::OpenOptions::new().create(true).append(true).open(yard.path("sessions.db-wal")).unwrap();
    yard.chmod("sessions.db-wal", 0o640);
    yard.assert_refused(3, &["session.path", "others than its owner"]).await;
    yard.chmod("sessions.db-wal", 0o600);

    fs::rename(yard.path("session_key"), yard.path("put_away")).unwrap();
    yard.assert_refused(3, &["session.key", "session_key", "put the key back"]).await;
    assert!(!yard.path("session_key").exists(), "no new key takes the place of a lost one");
    fs::rename(yard.path("put_away"), yard.path("session_key")).unwrap();

    let program = yard.run();
    alice.learn(NAME, program.address().await);
    assert_eq!(alice.fetch(&yard.at("/")).await.status(), 200, "and the visitor is still signed in");
}

/// Holds: X6 (the forge, through the binary).
#[tokio::test]
async fn a_forge_of_the_operators_own_authority_signs_in_and_a_strangers_does_not() {
    let (ours, other) = (Authority::new(), Authority::new());
    let front = TlsFront::bind(certificate("127.0.0.1"), Some(&ours)).await;
    let authority = format!("127.0.0.1:{}", front.port());
    let root_url = Some(Url::parse(&format!("https://{authority}/")).unwrap());
    let fake = FakeSettings { root_url, own_names_only: false, ..FakeSettings::default() };
    let yard = Yard::with(fake, |_| ok("app")).await;
    let plain = yard.forge.url().socket_addrs(|| None).unwrap()[0];
    let _front = front.before(plain);
    let plain_url = yard.forge.url().as_str().trim_end_matches('/').to_owned();
    let toml = yard.toml().replace(&plain_url, &format!("https://{authority}"));
    let with_ca = toml.replace("[features]", "ca = \"ca.pem\"\n[features]");

    for (pem, config) in [(other.pem(), &with_ca), (other.pem(), &toml)] {
        yard.put("ca.pem", &String::from_utf8(pem).unwrap(), 0o644);
        yard.configure(config);
        let program = yard.run();
        let mut browser = Browser::knowing(NAME, program.address().await);
        let page = browser.navigate(&yard.at("/")).await;
        assert_eq!((page.status(), page.reason().as_deref()), (503, Some("forge_unavailable")));
        assert!(page.answer.value("retry-after").is_some());
        assert!(!page.text().contains("certificate"), "the visitor cannot mend it: {}", page.text());
        program.says("its certificate is not trusted", 1).await;
        assert!(yard.forge.seen().is_empty() && yard.echo.is_untouched(), "nobody was told anything");
    }
    yard.put("ca.pem", &String::from_utf8(ours.pem()).unwrap(), 0o644);
    yard.configure(&with_ca);
    let program = yard.run();
    let mut browser = Browser::knowing(NAME, program.address().await);
    // The browser trusts that authority too: it finds the forge behind its TLS.
    browser.learn(&authority, plain);
    let page = browser.sign_in(&yard.at("/"), "alice", &password("alice")).await;
    assert_eq!((page.status(), page.text().as_str()), (200, "app"));
    assert_eq!(yard.echo.only().values("x-hero-forge-token").len(), 1);
}

/// Requests over one kept connection, until told to stop; each must be answered 200.
async fn keep_asking(
    address: std::net::SocketAddr,
    cookies: String,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
) {
    let mut client = RawClient::tcp(address).await;
    let request = format!("GET /load HTTP/1.1\r\nHost: {NAME}\r\nCookie: {cookies}\r\n\r\n");
    while !stop.load(Ordering::Relaxed) {
        let answer = client.ask(&request).await;
        assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
        assert_eq!(answer.value("connection"), None);
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// Holds: V2, H5, H10.
#[tokio::test]
async fn fifty_reloads_under_load_lose_no_request_and_bring_no_token_to_the_wrong_upstream() {
    let yard = Yard::new().await;
    let other = Echo::tcp(|_| ok("other")).await;
    let good = yard.toml();
    let without_token = good
        .replace(&yard.echo.authority(), &other.authority())
        .replace("forge_token = true\n", "forge_token = false\n");
    assert!(without_token.contains(&other.authority()) && without_token.contains("forge_token = false"));
    let program = yard.run();
    let address = program.address().await;
    let mut alice = yard.sign_in(&program, "alice").await;

    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let cookies = alice.cookie_line("localhost");
        load.spawn(keep_asking(address, cookies, Arc::clone(&stop), Arc::clone(&asked)));
    }
    let (mut done, mut refused) = (0, 0);
    for round in 0..50 {
        let to_other = round % 2 == 0;
        if round % 5 == 4 {
            yard.configure(&good.replace("allow = [\"user:alice\", \"user:bob\"]", "allow = []"));
            program.tell(Signal::HUP);
            refused += 1;
            program.says("reload refused", refused).await;
            continue;
        }
        yard.configure(if to_other { &without_token } else { &good });
        program.tell(Signal::HUP);
        done += 1;
        program.says("reload done", done).await;
        let page = alice.fetch(&yard.at("/next")).await;
        assert_eq!(page.text(), if to_other { "other" } else { "app" }, "the next request follows");
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = soon("the load", load.join_next()).await {
        ended.unwrap();
    }
    assert!(asked.load(Ordering::Relaxed) >= 50, "{asked:?}");
    for seen in other.seen() {
        assert!(!seen.names().iter().any(|name| name.contains("forge")), "{}", seen.head);
        assert_eq!(seen.values("x-hero-user"), ["alice"]);
    }
    for seen in yard.echo.seen() {
        assert_eq!(seen.values("x-hero-forge-token").len(), 1, "{}", seen.head);
    }
    assert!(!program.has_ended());
}

/// Holds: V2.
#[tokio::test]
async fn a_reload_names_each_time_what_waits_for_a_restart() {
    let yard = Yard::new().await;
    let program = yard.run();
    let mut alice = yard.sign_in(&program, "alice").await;
    let changed = yard
        .toml()
        .replace("drain = \"30s\"", "drain = \"20s\"")
        .replace("level = \"info\"", "level = \"warn\"")
        .replace("127.0.0.1:0", "127.0.0.1:1")
        .replace("\"user:alice\", ", "");
    yard.configure(&changed);
    for times in 1..=3 {
        program.tell(Signal::HUP);
        program.says("reload done", times).await;
        for key in ["server.listen", "limits.drain", "log.level"] {
            let named = program.lines("needs a restart").iter().filter(|line| line.contains(key)).count();
            assert_eq!(named, times, "{key}: {}", program.text());
        }
    }
    assert_eq!(alice.fetch(&yard.at("/")).await.status(), 403, "what needs none is in force");
}

/// Holds: V2 (a hang-up never ends the process).
#[tokio::test]
async fn a_hang_up_does_not_end_it_even_while_it_reads_its_configuration() {
    let yard = Yard::new().await;
    let (file, good) = (yard.path("proxy.toml"), yard.toml());
    fs::remove_file(&file).unwrap();
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let program = yard.run();
    // Opens once the program has opened it to read.
    let opening = file.clone();
    let writing = spawn_blocking(move || fs::OpenOptions::new().write(true).open(opening).unwrap());
    let mut pipe = soon("the program reads its file", writing).await.unwrap();
    fs::remove_file(&file).unwrap();
    yard.configure(&good);
    for _ in 0..20 {
        program.tell(Signal::HUP);
    }
    std::io::Write::write_all(&mut pipe, good.as_bytes()).unwrap();
    drop(pipe);
    program.says("reload done", 1).await;
    yard.sign_in(&program, "alice").await;
    for _ in 0..20 {
        program.tell(Signal::HUP);
    }
    program.says("reload done", 2).await;
    assert!(!program.has_ended());
    program.tell(Signal::INT);
    assert_eq!(program.ended().await, Ok(0));
}

/// A yard whose tokens are soon due for renewal, and whose backend holds `/held`.
async fn busy_yard() -> (Yard, echo::Gate) {
    let held = echo::Gate::closed();
    let gate = held.clone();
    // Renewed behind as soon as a quarter of it has passed.
    let fake = FakeSettings { token_lifetime: Duration::from_secs(6), ..FakeSettings::default() };
    let yard = Yard::with(fake, move |seen| match seen.target() {
        "/held" => vec![
            Step::send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nbeg"),
            Step::Wait(gate.clone()),
            Step::send("inni"),
        ],
        _ => ok("app"),
    })
    .await;
    (yard, held)
}

/// Signs somebody in and has a renewal of his token begin that ends when the gate opens.
async fn renewal_under_way(yard: &Yard, program: &Program) -> (Browser, Gate) {
    let mut alice = Browser::knowing(NAME, program.address().await);
    let authorize = alice.navigate(&yard.at("/")).await.location().unwrap();
    let back = alice.at_forge(&authorize, "alice", &password("alice")).await;
    assert_eq!(alice.navigate(&back).await.status(), 303);
    assert_eq!(yard.forge.count(Endpoint::Token), 1);
    let answer = Gate::closed();
    yard.forge.break_next(Endpoint::Token, Fault::HoldAnswer(answer.clone()), 1);
    until_asked(yard, &mut alice, 2).await;
    soon("a renewal begins", answer.reached(1)).await;
    (alice, answer)
}

/// Asks until the forge has been asked for a token so often.
async fn until_asked(yard: &Yard, browser: &mut Browser, times: usize) {
    let asked = async {
        while yard.forge.count(Endpoint::Token) < times {
            assert_eq!(browser.fetch(&yard.at("/")).await.status(), 200);
        }
    };
    soon("a renewal", asked).await;
}

/// Holds: V4, R7.
#[tokio::test]
async fn a_termination_takes_nobody_new_lets_requests_end_and_stores_the_renewal_under_way() {
    let (yard, held) = busy_yard().await;
    let program = yard.run();
    let address = program.address().await;
    let (mut alice, answer) = renewal_under_way(&yard, &program).await;
    let mut client = RawClient::tcp(address).await;
    let cookies = alice.cookie_line("localhost");
    client.send(format!("GET /held HTTP/1.1\r\nHost: {NAME}\r\nCookie: {cookies}\r\n\r\n")).await;
    let mut begun = client.head().await;

    program.tell(Signal::TERM);
    program.says("stopping", 1).await;
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    soon("nobody is let in any more", refused).await;
    held.open();
    client.body(&mut begun).await;
    assert_eq!((begun.text().as_str(), begun.whole), ("beginni", true));
    assert!(client.is_closed().await);
    assert!(!program.has_ended(), "it waits for what must be stored");
    answer.open();
    assert_eq!(program.ended().await, Ok(0), "{}", program.text());
    assert!(program.text().contains("\"stopped\""), "{}", program.text());

    // The forge has outdated the first refresh token: only if the second one was stored does the next renewal work.
    let program = yard.run();
    alice.learn(NAME, program.address().await);
    until_asked(&yard, &mut alice, 3).await;
    program.tell(Signal::TERM);
    assert_eq!(program.ended().await, Ok(0));
    let tokens = yard.forge.seen().into_iter().filter(|seen| seen.path == "/login/oauth/access_token");
    assert_eq!(tokens.map(|seen| seen.status).collect::<Vec<_>>(), [Some(200); 3]);
}

/// Holds: V4 (whoever insists: requests are cut at once, and what must be stored is stored all the same).
#[tokio::test]
async fn a_second_termination_cuts_requests_and_not_the_renewal() {
    let (yard, held) = busy_yard().await;
    let program = yard.run();
    let address = program.address().await;
    let (alice, answer) = renewal_under_way(&yard, &program).await;
    let mut client = RawClient::tcp(address).await;
    let cookies = alice.cookie_line("localhost");
    client.send(format!("GET /held HTTP/1.1\r\nHost: {NAME}\r\nCookie: {cookies}\r\n\r\n")).await;
    let mut begun = client.head().await;
    program.tell(Signal::TERM);
    program.says("stopping", 1).await;
    program.tell(Signal::TERM);
    client.body(&mut begun).await;
    assert!(!begun.whole, "cut");
    assert!(!program.has_ended());
    answer.open();
    assert_eq!(program.ended().await, Ok(0), "{}", program.text());
    held.open();
}

/// Holds: V6, O12.
#[tokio::test]
async fn health_has_a_socket_of_its_own_and_says_what_is_missing() {
    let yard = Yard::new().await;
    yard.forge.break_next(Endpoint::Discovery, Fault::Close, usize::MAX);
    let program = yard.run();
    let address = program.address().await;
    program.says("the forge does not answer", 1).await;
    assert_eq!(yard.health("/livez").await, (200, r#"{"alive":true}"#.to_owned()));
    let reasons = r#"{"ready":false,"reasons":{"forge":"forge_unavailable"}}"#;
    let told = async {
        loop {
            let (status, text) = yard.health("/readyz").await;
            if !text.contains("starting") {
                return (status, text);
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(soon("the store answers", told).await, (503, reasons.to_owned()));
    for path in ["/livez/", "/LIVEZ", "/livez%20", "//livez", "/", "/_hero/auth/whoami"] {
        assert_eq!(yard.health(path).await.0, 404, "{path}");
    }

    // In public the same paths are the app's, whoever asks.
    for path in ["/livez", "/readyz", "/healthz", "/metrics", "/ping"] {
        for agent in ["kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: {agent}\r\n\r\n");
            let answer = RawClient::tcp(address).await.ask(request).await;
            assert_eq!(answer.status, 401, "{path} {agent}");
        }
    }
    let mut browser = Browser::knowing(NAME, address);
    let page: Page = browser.navigate(&yard.at("/")).await;
    assert_eq!((page.status(), page.reason().as_deref()), (503, Some("forge_unavailable")));
    assert!(yard.echo.is_untouched());

    yard.forge.heal();
    yard.until_ready().await;
    let mut alice = yard.sign_in(&program, "alice").await;
    assert_eq!(alice.fetch(&yard.at("/livez")).await.text(), "app");
    program.tell(Signal::TERM);
    assert_eq!(program.ended().await, Ok(0));
    assert!(!yard.path("health.sock").exists(), "nothing stays behind");
}

/// Holds: V6 (the store, through the binary: somebody holds its file).
#[tokio::test]
async fn a_store_that_is_held_by_somebody_else_is_told_and_signs_nobody_out() {
    let yard = Yard::new().await;
    yard.forge.break_next(Endpoint::Discovery, Fault::Close, usize::MAX);
    let program = yard.run();
    // While something is missing it looks every few seconds.
    program.says("the forge does not answer", 1).await;
    let database = yard.path("sessions.db");
    let holder = rusqlite::Connection::open(&database).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    program.says("the session store does not answer", 1).await;
    let (status, text) = yard.health("/readyz").await;
    let both = r#"{"ready":false,"reasons":{"forge":"forge_unavailable","store":"store_unavailable"}}"#;
    assert_eq!((status, text.as_str()), (503, both));
    assert_eq!(yard.health("/livez").await.0, 200);
    holder.execute_batch("ROLLBACK").unwrap();
    yard.forge.heal();
    tokio::time::timeout(DEADLINE, yard.until_ready()).await.unwrap();
}

/// Holds: V4, X5 (a port that somebody else has).
#[tokio::test]
async fn a_port_that_is_taken_stops_the_start() {
    let yard = Yard::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    yard.configure(&yard.toml().replace("127.0.0.1:0", &address));
    yard.assert_refused(3, &[&address]).await;
}

/// Runs a command to its end: its exit code and what it said.
async fn command(arguments: &[&str]) -> (i32, String) {
    let program = Program::start(arguments, &[]);
    let code = program.ended().await.unwrap();
    (code, program.text())
}

/// Holds: S13 (an operator lists and ends sessions beside the running proxy, which honours it within 5 s).
#[tokio::test]
async fn an_operator_lists_and_ends_sessions_while_the_proxy_runs() {
    let yard = Yard::new().await;
    let file = yard.path("proxy.toml");
    let file = file.to_str().unwrap();
    let session = async |what: &str, more: &[&str]| {
        command(&[&["session", what, "--config", file], more].concat()).await
    };
    let (code, said) = session("list", &[]).await;
    assert!(code == 3 && said.contains("there is no store at"), "{code} {said}");

    let program = yard.run();
    let (mut alice, mut second) =
        (yard.sign_in(&program, "alice").await, yard.sign_in(&program, "alice").await);
    let mut bob = yard.sign_in(&program, "bob").await;
    let (code, said) = session("list", &["--json"]).await;
    assert_eq!(code, 0, "{said}");
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    let users: Vec<_> = told["sessions"].as_array().unwrap().iter().map(|one| one["user"].clone()).collect();
    assert_eq!(users.len(), 3);
    let (code, table) = session("list", &[]).await;
    assert!(code == 0 && table.contains("alice") && table.contains("3 sessions"), "{table}");
    for secret in [&said, &table] {
        for browser in [&alice, &second, &bob] {
            for cookie in browser.cookies() {
                assert!(!secret.contains(&cookie.value), "no cookie is printed");
            }
        }
        assert!(!secret.contains("eyJ"), "no token is printed");
    }

    // One of alice's, by the digits that the log shows.
    let one = told["sessions"].as_array().unwrap().iter().find(|one| one["user"] == "alice").unwrap();
    let digits = one["handle"].as_str().unwrap().get(..8).unwrap();
    let (code, said) = session("revoke", &[digits]).await;
    assert!(code == 0 && said.contains("1 session ended"), "{said}");
    let gone = async |browsers: &mut [&mut Browser], wanted: usize| {
        let began = std::time::Instant::now();
        loop {
            let mut left = 0;
            for browser in browsers.iter_mut() {
                left += usize::from(browser.fetch(&yard.at("/")).await.status() == 200);
            }
            if left == wanted {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(5), "it is honoured within five seconds");
            tokio::task::yield_now().await;
        }
    };
    gone(&mut [&mut alice, &mut second], 1).await;
    // Who ended it the running proxy does not know: its log has the same digits, and that there is no such session.
    let told: serde_json::Value =
        serde_json::from_str(&program.says("a session counts no more", 1).await).unwrap();
    assert_eq!((&told["session"], &told["reason"]), (&digits.into(), &"unknown_session".into()));
    assert_eq!(bob.fetch(&yard.at("/")).await.status(), 200);
    let (code, said) = session("revoke", &["--user", "Alice", "--json"]).await;
    let ended: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, ended["revoked"].as_array().unwrap().len()), (0, 1), "{said}");
    gone(&mut [&mut alice, &mut second], 0).await;
    let (code, said) = session("revoke", &["--all"]).await;
    assert!(code == 0 && said.contains("1 session ended"), "{said}");
    gone(&mut [&mut bob], 0).await;
    let (code, said) = session("list", &[]).await;
    assert!(code == 0 && said.contains("0 sessions"), "{said}");
    assert!(!program.has_ended());

    // Bad input is told, and ends nothing.
    for (arguments, expected, words) in [
        (vec!["0123456789abcdef"], 3, "no session has this name"),
        (vec!["--user", "nobody"], 0, "0 sessions ended"),
        (vec!["--user-id", "999"], 0, "0 sessions ended"),
        (vec!["xyz"], 2, "8 to 16 hexadecimal digits"),
        (vec![], 2, "required"),
        (vec!["--all", "--user", "bob"], 2, "cannot be used with"),
    ] {
        let (code, said) = session("revoke", &arguments).await;
        assert!(code == expected && said.contains(words), "{arguments:?}: {code} {said}");
    }
    // Sessions in memory are the running process's alone.
    let toml =
        yard.toml().replace("path = \"sessions.db\"\nkey = { file = \"session_key\" }", "store = \"memory\"");
    yard.configure(&toml);
    let (code, said) = session("list", &[]).await;
    assert!(code == 3 && said.contains("memory") && said.contains("/_hero/auth/sessions"), "{code} {said}");
    yard.configure("nonsense = 1");
    assert_eq!(session("revoke", &["--all"]).await.0, 1);
}
