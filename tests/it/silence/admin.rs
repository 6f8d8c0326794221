//! The operator's part: the admin token, first passwords and API keys are canaries. Each face makes accounts and resets
//! passwords on good days and bad ones; each password stands in the one answer that it belongs to.

use std::path::Path;
use std::process::Command;

use hero_proxy::forge::fake::{Endpoint, FakeForge, FakeSettings, Fault, Gate, NewUser};
use serde_json::{Value, json};

use super::{Person, Secrets, Transcript};
use crate::support::browser::{FETCH, NAVIGATION, NEW_PASSWORD, Page};
use crate::support::desk::{ADMIN_URL, Desk, Run};
use crate::support::echo::{Echo, ok};
use crate::support::hero_proc::{Mood, StandIn};
use crate::support::house::{CLIENT_SECRET, password};
use crate::support::program::Program;
use crate::support::raw::RawClient;
use crate::support::wiretap::Wiretap;
use crate::support::{latin1, soon};

const TOKEN: &str = "the admin token";
const PASSWORD: &str = "a first password";
const KEY: &str = "an API key";
const SICK: &str = "what a sick forge said";

/// The words of a text that may be a first password; not those that the document has for examples.
fn passwords(text: &str) -> Vec<String> {
    let examples = include_str!("../../../docs/openrpc.json");
    let mut found = words_of_a_kind(text);
    found.retain(|word| !examples.contains(word));
    found
}

fn words_of_a_kind(text: &str) -> Vec<String> {
    // A form's token is one word, and longer.
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
    let is_one = |word: &&str| {
        let has = |class: fn(&char) -> bool| word.chars().any(|c| class(&c));
        let mixed =
            has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
        word.len() == 32 && mixed && word.chars().all(|c| c.is_ascii_alphanumeric())
    };
    words.filter(is_one).map(str::to_owned).collect()
}

/// Everything that goes on in the story.
struct Stage<'a> {
    root: Person<'a>,
    all: Transcript,
    secrets: Secrets,
    socket: &'a Path,
}

impl Stage<'_> {
    /// Keeps an answer, or what is left of it without the password that it brings.
    fn keep(&mut self, page: &Page, brings: bool) {
        let mut kept = Transcript::default();
        kept.keep(page, self.root.forge);
        let text = self.taken_out(kept.0, brings);
        self.all.0 += &text;
    }

    fn taken_out(&mut self, mut text: String, brings: bool) -> String {
        let found = passwords(&text);
        assert_eq!(found.len(), usize::from(brings), "{text}");
        for one in found {
            self.secrets.add(PASSWORD, &one);
            text = text.replace(&one, "");
        }
        text
    }

    async fn rpc(&mut self, method: &str, params: Value, brings: bool) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let headers: Vec<_> = FETCH
            .into_iter()
            .chain([("Content-Type", "application/json"), ("Origin", ADMIN_URL), ("Sudo", "bob")])
            .collect();
        let page = self
            .root
            .browser
            .send("POST", &self.root.base.join("/_hero/admin/rpc").unwrap(), &headers, &body)
            .await;
        self.keep(&page, brings);
        page.json()
    }

    /// Opens a page of the admin part.
    async fn open(&mut self, path: &str) -> Page {
        let page = self.root.browser.send("GET", &self.root.base.join(path).unwrap(), &NAVIGATION, "").await;
        self.keep(&page, false);
        page
    }

    /// Opens a page with a form, fills it in, and sends it; and once more, as a reload does.
    async fn fill(&mut self, path: &str, fields: &[(&str, &str)], brings: bool) -> u16 {
        let mut form = self.open(path).await.form(path).unwrap_or_else(|| panic!("a form at {path}"));
        for (name, value) in fields {
            form = form.with(name, value);
        }
        let page = self.root.browser.submit(&form).await;
        self.keep(&page, brings);
        let again = self.root.browser.submit(&form).await;
        self.keep(&again, false);
        page.status()
    }

    async fn by_socket(&mut self, method: &str, params: Value, brings: bool) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let head = format!(
            "POST /_hero/admin/rpc HTTP/1.1\r\nHost: admin\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = RawClient::unix(self.socket).await.ask(head).await;
        let text = self.taken_out(answer.text(), brings);
        self.all.0 += &format!("{:?}\n{text}\n", answer.headers);
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// Runs a command beside the process; says its outputs, and what anybody may read of it meanwhile.
async fn command(
    config: &Path,
    arguments: &[&str],
    while_it_runs: impl AsyncFnOnce(),
) -> (String, String, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_hero_proxy"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let mut seen = String::new();
    for name in ["cmdline", "environ"] {
        // It may be over already.
        seen += &latin1(&std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default());
    }
    while_it_runs().await;
    let output = soon("the end of the command", ended).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr), seen)
}

/// Answers to a creation or a reset that repeat what was sent, or hold secrets of their own.
fn faults(secrets: &mut Secrets, token: &str) -> Vec<(Endpoint, Fault)> {
    let mut said = |words: &str| {
        format!("{{\"message\":\"{words}: {} {token}\",\"url\":\"http://x/{token}\"}}", secrets.make(SICK))
    };
    let json = |status, body: String| Fault::json(status, body);
    vec![
        (Endpoint::AdminUsers, json(400, said("PasswordComplexity"))),
        (Endpoint::AdminUsers, json(400, said("password must have 40 characters"))),
        (Endpoint::AdminUsers, json(401, said("invalid username, password or token"))),
        (Endpoint::AdminUsers, json(403, said("token does not have at least one of required scope(s)"))),
        (Endpoint::AdminUsers, json(422, said("[Username]"))),
        (Endpoint::AdminUsers, json(422, said("e-mail already in use"))),
        (Endpoint::AdminUsers, json(422, said("name is reserved"))),
        (Endpoint::AdminUsers, json(422, said("something else"))),
        (Endpoint::AdminUsers, json(500, said("database is locked"))),
        (Endpoint::AdminUsers, Fault::Answer { status: 200, content_type: "text/html", body: said("html") }),
        (Endpoint::AdminUsers, Fault::LoseAnswer),
        (
            Endpoint::AdminUsers,
            Fault::AnswerInstead { status: 201, content_type: "application/json", body: said("made") },
        ),
        (Endpoint::AdminUsers, Fault::Close),
        (Endpoint::Api, json(401, said("token is required"))),
        (Endpoint::Api, json(500, said("broken"))),
        (Endpoint::Api, json(200, format!("{{\"id\":7,\"login\":\"{token}/../x\",\"email\":\"{token}\"}}"))),
        (Endpoint::Api, Fault::Answer { status: 307, content_type: "text/plain", body: said("renamed") }),
    ]
}

/// Holds: K4, A12, A13.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_part_never_tells_a_secret_whatever_happens() {
    let forge =
        FakeForge::start(FakeSettings { own_names_only: false, ..FakeSettings::default() }).await.unwrap();
    forge.add_user(NewUser { site_admin: true, ..NewUser::new("root1", &password("root1")) });
    let token = forge.add_personal_token("root1", &["write:admin", "read:user"]).unwrap().expose().to_owned();
    let hero_proc = StandIn::start();
    hero_proc.put("deployer", "FORGE_TOKEN", &token);
    let tap = Wiretap::to(([127, 0, 0, 1], forge.url().port().unwrap()).into()).await;
    let echo = Echo::tcp(|_| ok("app")).await;
    let mut desk = Desk::new(&forge, &echo.authority());
    *desk.section("forge") += &format!("internal_url = \"http://{}\"\n", tap.address);
    let socket = desk.add_admin("{ hero_proc = \"deployer/FORGE_TOKEN\" }");
    desk.sections.push(("hero_proc", format!("socket = {:?}\n", hero_proc.socket)));
    let config = desk.write();
    let program = Program::start(&["run", "--config", config.to_str().unwrap()], &[]);
    let address = program.address().await;
    let line = program.says("\"message\":\"serving the admin part\"", 1).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let admin_at = line["address"].as_str().unwrap().parse().unwrap();
    let process = Run { program, address };

    let mut secrets = Secrets::default();
    secrets.add(TOKEN, &token);
    secrets.add("the client secret", CLIENT_SECRET);
    secrets.add("a password", password("root1"));
    let mut browser = process.browser();
    browser.learn("localhost:2", admin_at);
    let root = Person { browser, forge: forge.url(), base: ADMIN_URL.parse().unwrap(), login: "root1" };
    let mut stage = Stage { root, all: Transcript::default(), secrets, socket: &socket };
    let Stage { root, all, secrets, .. } = &mut stage;
    let back = root.sign_in("/_hero/admin/users", all, secrets).await;
    assert_eq!(back.status(), 303, "{}", back.text());
    for (_, value) in root.browser.named("hero_").iter().filter(|(_, value)| value.len() >= 8) {
        secrets.add("a cookie", value);
    }

    // Good days, by each face.
    let made = stage.rpc("deployer.create_user", json!(["alice"]), true).await;
    let id = made["result"]["user_id"].as_str().unwrap().to_owned();
    assert!(stage.rpc("deployer.reset_password", json!([id]), true).await["result"].is_object());
    stage.rpc("deployer.create_user", json!({ "username": "ALICE" }), false).await;
    assert_eq!(stage.fill("/_hero/admin/users/new", &[("username", "bob")], true).await, 200);
    assert_eq!(stage.fill(&format!("/_hero/admin/users/{id}/reset"), &[], true).await, 200);
    stage.by_socket("deployer.create_user", json!(["carol"]), true).await;
    stage.by_socket("deployer.reset_password", json!([id]), true).await;
    let gate = Gate::closed();
    forge.break_next(Endpoint::AdminUsers, Fault::Wait(gate.clone()), 1);
    let at_work = async || {
        soon("the command asks the forge", gate.reached(1)).await;
        gate.open();
    };
    let (out, err, of_commands) = command(&config, &["user", "create", "dave", "--json"], at_work).await;
    let out = stage.taken_out(out, true);
    let (reset, errors, seen) = command(&config, &["user", "reset-password", "dave"], async || ()).await;
    let mut told = [out, err, of_commands, stage.taken_out(reset, true), errors, seen].concat();
    let (key, err, _) =
        command(&config, &["admin-key", "create", "--name", "deployer", "--json"], async || ()).await;
    let key: Value = serde_json::from_str(&key).unwrap();
    stage.secrets.add(KEY, key["key"].as_str().unwrap());
    told += &err;
    for arguments in [
        &["user", "show", "alice"][..],
        &["user", "list", "--json"],
        &["admin-key", "list"],
        &["user", "create", "dave"],
        &["user", "create", "a--b", "--json"],
        &["check"],
    ] {
        let (out, err, seen) = command(&config, arguments, async || ()).await;
        told += &[out, err, seen].concat();
    }

    // Looking, by each face.
    for (method, params) in [
        ("rpc.discover", json!({})),
        ("deployer.get_user", json!([id])),
        ("deployer.list_users", json!({ "search": "a" })),
        ("deployer.create_user", json!({ "username": "a--b", "email": token })),
        ("deployer.create_user", json!({ "username": "eve", "password": token })),
        ("deployer.get_user", json!([token])),
        ("deployer.no_such", json!([token])),
    ] {
        // What a caller says is theirs; it is not repeated all the same.
        stage.rpc(method, params.clone(), false).await;
        stage.by_socket(method, params, false).await;
    }
    for path in [
        "/_hero/admin/users",
        "/_hero/admin/users/new",
        "/_hero/admin/page.js",
        "/_hero/admin/page.css",
        "/nothing",
    ] {
        stage.open(path).await;
    }
    stage.open(&format!("/_hero/admin/users/{id}")).await;
    stage.open(&format!("/_hero/admin/users/{id}/reset")).await;

    // Bad days. Whatever comes of them, what was made by then must not be in an answer.
    for (count, (endpoint, fault)) in faults(&mut stage.secrets, &token).into_iter().enumerate() {
        for method in ["deployer.create_user", "deployer.reset_password"] {
            forge.break_next(endpoint, fault.clone(), 1);
            let params = if method.ends_with("user") { json!([format!("bad-{count}")]) } else { json!([id]) };
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
            let headers = [("Content-Type", "application/json"), ("Origin", ADMIN_URL)];
            let url = stage.root.base.join("/_hero/admin/rpc").unwrap();
            let page = stage.root.browser.send("POST", &url, &headers, &body).await;
            assert!(matches!(page.status(), 200 | 503), "{count} {method}: {}", page.status());
            // A second try at the forge may have worked.
            let brings = !passwords(&page.text()).is_empty();
            assert!(!brings || page.json()["result"]["initial_password"].is_string(), "{}", page.text());
            stage.keep(&page, brings);
            forge.heal();
        }
        forge.break_next(endpoint, fault, 1);
        let form = stage
            .root
            .browser
            .send("GET", &stage.root.base.join("/_hero/admin/users/new").unwrap(), &NAVIGATION, "")
            .await;
        if let Some(form) = form.form("/users/new") {
            let page = stage.root.browser.submit(&form.with("username", &format!("worse-{count}"))).await;
            let brings = !passwords(&page.text()).is_empty();
            stage.keep(&page, brings);
        }
        stage.keep(&form, false);
        forge.heal();
    }
    // A hero_proc that answers with what nobody asked for.
    for mood in [
        Mood::Says(
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{{\"code\":7,\"message\":\"{token}\"}}}}\n")
                .into(),
        ),
        Mood::Says(format!("{token}\n").into()),
        Mood::Says(format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[\"{token}\"]}}\n").into()),
        Mood::Says(format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"{token} {token}\"}}\n").into()),
    ] {
        hero_proc.set_mood(mood);
        let refused = stage.by_socket("deployer.create_user", json!(["nobody"]), false).await;
        assert_eq!(refused["error"]["data"]["reason"], "admin_token", "{refused}");
    }
    hero_proc.set_mood(Mood::Well);

    // The new visitor at the app: the password goes to the forge alone.
    let first = stage.by_socket("deployer.reset_password", json!([id]), true).await;
    let first = first["result"]["initial_password"].as_str().unwrap().to_owned();
    let page = process.browser().sign_in(&process.at("/"), "alice", &first).await;
    assert_eq!((page.status(), page.text().as_str()), (200, "app"));
    stage.secrets.add("a chosen password", NEW_PASSWORD);

    // What lies and stands about while it runs, and afterwards.
    let secrets = stage.secrets;
    let kinds: std::collections::BTreeSet<&str> = secrets.0.values().copied().collect();
    for kind in [TOKEN, PASSWORD, KEY, SICK, "a cookie", "a code", "state or nonce"] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    assert!(secrets.0.values().filter(|what| **what == PASSWORD).count() >= 10);
    for name in ["cmdline", "environ"] {
        secrets.assert_none_in(name, &process.proc(name));
    }
    let files = |when: &str| {
        for file in std::fs::read_dir(desk.folder.path()).unwrap() {
            let (name, path) = (file.as_ref().unwrap().file_name(), file.unwrap().path());
            let is_read = path.is_file() && name != "client_secret" && name != "session_key";
            if is_read {
                let text = latin1(&std::fs::read(&path).unwrap());
                secrets.assert_none_in(&format!("{} {when}", path.display()), &text);
            }
        }
    };
    assert!(desk.path("admin.db").is_file() && desk.path("proxy.toml").is_file());
    files("while it runs");
    process.stop().await;
    files("afterwards");
    let log = process.program.text();
    secrets.assert_none_in("the log", &log);
    for line in [
        "admin action",
        "the admin token has the scopes that it needs",
        "the admin token does not serve",
        "the admin token cannot be read",
    ] {
        assert!(!process.events(line).is_empty(), "{line} is told");
    }
    secrets.assert_none_in("an answer", &stage.all.0);
    secrets.assert_none_in("a command", &told);

    // The backend hears nothing of it; the forge hears it where it belongs, and acts for nobody else.
    let mut heard = String::new();
    for seen in echo.seen() {
        heard += &seen
            .head
            .split("\r\n")
            .filter(|line| !line.to_ascii_lowercase().starts_with("x-hero-forge-token:"))
            .collect::<Vec<_>>()
            .join("\n");
    }
    secrets.assert_none_in("a request to the backend", &heard);
    let mut admins = Secrets::default();
    for (secret, what) in &secrets.0 {
        if [TOKEN, PASSWORD, KEY].contains(what) {
            admins.add(what, secret);
        }
    }
    let mut with_token = 0;
    for text in tap.heard().iter().filter(|text| !text.starts_with("HTTP/1.1")) {
        assert!(!text.to_ascii_lowercase().contains("\r\nsudo:") && !text.contains("sudo="), "{text}");
        let bare = text.replace(&format!("authorization: token {token}\r\n"), "");
        with_token += usize::from(bare.len() < text.len());
        let mut bare = bare;
        for secret in admins.0.keys() {
            bare = bare.replace(&format!("\"password\":\"{secret}\",\"must_change_password\":true"), "");
        }
        // A caller said it as an address, which is refused before anything is asked.
        admins.assert_none_in("a request to the forge", &bare);
    }
    assert!(with_token > 3, "the wire was listened to");
}
