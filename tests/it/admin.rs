//! The admin part on real sockets: its own origin and gate, the Unix socket, the command line, and the fake forge's accounts.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use hero_proxy::app::{Doors, House, Seams, Serving};
use hero_proxy::base::clock::{Clock, ManualClock, Timestamp};
use hero_proxy::base::entropy::OsEntropy;
use hero_proxy::config::{self, Config};
use hero_proxy::forge::fake::{
    Endpoint, FakeForge, FakeSettings, Fault, Gate, NewApplication, NewUser, Seen, Shown,
};
use hero_proxy::serve::Readiness;
use hero_proxy::serve::settings::Listen;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;
use url::Url;

use crate::support::browser::{Browser, NEW_PASSWORD, Page};
use crate::support::echo::{Echo, ok};
use crate::support::house::{CLIENT_ID, CLIENT_SECRET, password};
use crate::support::logs::Logs;
use crate::support::raw::RawClient;
use crate::support::{DEADLINE, soon};

/// Where the admin part is.
#[derive(Clone, Copy, PartialEq)]
enum Placed {
    Own,
    Alone,
    Host,
    AppsOrigin,
}

struct Rig {
    forge: FakeForge,
    echo: Echo,
    house: House,
    serving: Serving,
    clock: ManualClock,
    app: Url,
    admin: Url,
    app_at: SocketAddr,
    admin_at: SocketAddr,
    token: String,
    folder: TempDir,
}

fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn toml(placed: Placed, forge: &str, echo: &str, app: &str, admin: &str, listen: [&str; 2]) -> String {
    let [app_at, admin_at] = listen;
    let mut text = format!(
        "[forge]\nurl = {forge:?}\nclient_id = {CLIENT_ID:?}\nclient_secret = {{ file = \"client_secret\" }}\n\
         [session]\nstore = \"memory\"\n\
         [admin]\npublic_url = {admin:?}\nallow = [\"site-admin\"]\ntoken = {{ file = \"admin_token\" }}\n\
         socket = \"unix:FOLDER/admin.sock\"\n"
    );
    match placed {
        Placed::Own | Placed::Alone => text += &format!("listen = [{admin_at:?}]\n"),
        Placed::AppsOrigin => text += "allow_same_origin = true\n",
        Placed::Host => {}
    }
    if placed != Placed::Alone {
        text += &format!(
            "[server]\nlisten = [{app_at:?}]\npublic_url = {app:?}\n[access]\nallow = [\"any-user\"]\n\
             [[routes]]\npath = \"/\"\nupstream = \"http://{echo}\"\n"
        );
    }
    text
}

impl Rig {
    async fn new() -> Self {
        Self::start(Placed::Own).await
    }

    async fn start(placed: Placed) -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
        let fake = FakeSettings { clock: Arc::new(clock.clone()), ..FakeSettings::default() };
        let forge = FakeForge::start(fake).await.unwrap();
        forge.add_user(NewUser { site_admin: true, ..NewUser::new("root1", &password("root1")) });
        forge.add_user(NewUser::new("bob", &password("bob")));
        let token = forge.add_personal_token("root1", &["write:admin", "read:user"]).unwrap();
        let token = token.expose().to_owned();
        let echo = Echo::tcp(|_| ok("app")).await;
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("client_secret"), CLIENT_SECRET);
        put(&folder.path().join("admin_token"), &token);
        let forge_url = forge.url().as_str().trim_end_matches('/').to_owned();
        let read = |app: &str, admin: &str, listen: [&str; 2]| -> Config {
            let text = toml(placed, &forge_url, &echo.authority(), app, admin, listen);
            let file = folder.path().join("proxy.toml");
            std::fs::write(&file, text.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
            let checked = config::load(&file);
            checked.config.unwrap_or_else(|| panic!("{:#?}", checked.complaints))
        };
        let any = "127.0.0.1:0";
        let same = if placed == Placed::AppsOrigin { "http://localhost:1" } else { "http://localhost:2" };
        let doors = Doors::bind(&read("http://localhost:1", same, [any, any])).await.unwrap();
        let tcp = |all: Vec<Listen>| match all.first() {
            Some(Listen::Tcp(address)) => *address,
            other => panic!("a TCP address: {other:?}"),
        };
        let app_at = tcp(doors.addresses());
        let admin_at = if placed == Placed::Own { tcp(doors.admin_addresses()) } else { app_at };
        let app = format!("http://localhost:{}", app_at.port());
        let admin = match placed {
            Placed::Own => format!("http://localhost:{}", admin_at.port()),
            Placed::Host => format!("http://127.0.0.2:{}", app_at.port()),
            Placed::AppsOrigin | Placed::Alone => app.clone(),
        };
        let mut application =
            NewApplication::new("hero", CLIENT_ID, CLIENT_SECRET, &format!("{app}/_hero/auth/callback"));
        application.redirect_uris.push(format!("{admin}/_hero/auth/callback"));
        forge.add_application(application);
        let config = read(&app, &admin, [&app_at.to_string(), &admin_at.to_string()]);
        let seams = Seams { clock: Arc::new(clock.clone()) as Arc<dyn Clock>, entropy: Arc::new(OsEntropy) };
        let house = House::build(config, seams, Handle::current()).unwrap();
        let serving = doors.serve(&house, &Readiness::of(["forge", "store"]));
        let [app, admin] = [app, admin].map(|url| Url::parse(&url).unwrap());
        Self { forge, echo, house, serving, clock, app, admin, app_at, admin_at, token, folder }
    }

    fn browser(&self) -> Browser {
        let authority = |url: &Url| format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let mut browser = Browser::knowing(&authority(&self.app), self.app_at);
        browser.learn(&authority(&self.admin), self.admin_at);
        browser
    }

    /// A browser in which somebody is signed in at the admin origin.
    async fn signed_in(&self, login: &str) -> Browser {
        let mut browser = self.browser();
        let page =
            browser.sign_in(&self.admin.join("/_hero/admin/users").unwrap(), login, &password(login)).await;
        assert_eq!(page.url.host_str(), self.admin.host_str(), "back at the admin origin");
        browser
    }

    async fn rpc(&self, browser: &mut Browser, method: &str, params: Value) -> Page {
        let origin = self.admin.origin().ascii_serialization();
        let headers = [
            ("Content-Type", "application/json"),
            ("Origin", origin.as_str()),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        browser.send("POST", &self.admin.join("/_hero/admin/rpc").unwrap(), &headers, &body).await
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// A call through the Unix socket.
    async fn by_socket(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let head = format!(
            "POST /_hero/admin/rpc HTTP/1.1\r\nHost: admin\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             X-Hero-User: root1\r\nX-Hero-User-Id: 1\r\nX-Request-Id: mine\r\n\r\n{body}",
            body.len()
        );
        let answer = RawClient::unix(&self.socket()).await.ask(head).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_ne!(answer.value("x-request-id"), Some("mine"), "no id from outside");
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn stop(self) {
        assert!(self.serving.shutdown(DEADLINE).await && self.house.drain(DEADLINE).await);
    }
}

/// Whether the forge takes this password.
async fn opens(rig: &Rig, login: &str, password: &str) -> bool {
    let mut browser = rig.browser();
    let page = browser.visit(&rig.forge.url().join("/user/login").unwrap()).await;
    let form = page.form("/user/login").expect("the sign-in page");
    browser.submit(&form.with("user_name", login).with("password", password)).await.location().is_some()
}

/// Holds: A2, A13, A18.
#[tokio::test]
async fn an_operator_makes_an_account_and_its_owner_signs_in() {
    let rig = Rig::new().await;
    let mut root = rig.signed_in("root1").await;
    let made = rig.rpc(&mut root, "deployer.create_user", json!({ "username": "alice" })).await;
    assert_eq!(made.status(), 200, "{}", made.text());
    assert_eq!(made.answer.value("cache-control"), Some("no-store"));
    let made = made.json()["result"].clone();
    let initial = made["initial_password"].as_str().unwrap().to_owned();
    assert_eq!((initial.len(), initial.chars().all(|c| c.is_ascii_alphanumeric())), (32, true));
    // Once: a second look and a second asking bring none.
    let user = rig.rpc(&mut root, "deployer.get_user", json!([made["user_id"]])).await;
    assert!(!user.text().contains(&initial));
    let again = rig.rpc(&mut root, "deployer.create_user", json!(["alice"])).await.json();
    assert_eq!(
        again["result"],
        json!({ "user_id": made["user_id"], "forge_username": "alice", "initial_password": null })
    );
    // Its owner signs in at the app: a new password is demanded on the way, and the first one opens nothing any more.
    let mut alice = rig.browser();
    let page = alice.sign_in(&rig.app, "alice", &initial).await;
    assert_eq!((page.status(), page.text().as_str(), &page.url), (200, "app", &rig.app));
    let changed = |seen: &Seen| seen.method == "POST" && seen.path == "/user/settings/change_password";
    assert_eq!(rig.forge.seen().iter().filter(|seen| changed(seen)).count(), 1);
    assert!(!opens(&rig, "alice", &initial).await && opens(&rig, "alice", NEW_PASSWORD).await);
    // After a reset the same once more: the password that was chosen is dead, and the session at the app does not care.
    let reset = rig.rpc(&mut root, "deployer.reset_password", json!([made["user_id"]])).await.json();
    let second = reset["result"]["initial_password"].as_str().unwrap().to_owned();
    assert!(second != initial && !opens(&rig, "alice", NEW_PASSWORD).await);
    let page = rig.browser().sign_in(&rig.app, "alice", &second).await;
    assert_eq!((page.status(), page.text().as_str()), (200, "app"));
    assert_eq!(rig.forge.seen().iter().filter(|seen| changed(seen)).count(), 2);
    assert!(!opens(&rig, "alice", &second).await);
    // A session of the admin origin is none at the app's, and the other way round.
    let mut other = rig.browser();
    other.sign_in(&rig.app, "root1", &password("root1")).await;
    let unknown = rig.rpc(&mut other, "deployer.list_users", json!({})).await;
    assert_eq!(unknown.status(), 401);
    // At the app's origin there is nothing of it, and the backend is not asked.
    let before = rig.echo.seen().len();
    for path in ["/_hero/admin/rpc", "/_hero/admin/users"] {
        let nothing = other
            .send("POST", &rig.app.join(path).unwrap(), &[("Content-Type", "application/json")], "{}")
            .await;
        assert_eq!((nothing.status(), nothing.answer.value("cache-control")), (404, Some("no-store")));
    }
    assert_eq!(rig.echo.seen().len(), before);
    // Somebody who is no site admin is signed in and may not.
    let mut bob = rig.signed_in("bob").await;
    assert_eq!(rig.rpc(&mut bob, "deployer.list_users", json!({})).await.status(), 403);
    rig.stop().await;
}

/// Holds: A1.
#[tokio::test]
async fn another_sites_page_does_nothing_with_an_admins_session() {
    let rig = Rig::new().await;
    let mut root = rig.signed_in("root1").await;
    let url = rig.admin.join("/_hero/admin/rpc").unwrap();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "deployer.create_user", "params": ["mallory"] })
        .to_string();
    for (headers, expected) in [
        (vec![("Origin", "https://evil.example"), ("Content-Type", "application/json")], 403),
        (vec![("Sec-Fetch-Site", "same-site"), ("Content-Type", "application/json")], 403),
        (vec![("Origin", "https://evil.example"), ("Content-Type", "text/plain")], 415),
        (vec![("Content-Type", "application/x-www-form-urlencoded")], 415),
        (vec![], 415),
    ] {
        let page = root.send("POST", &url, &headers, &body).await;
        assert_eq!(page.status(), expected, "{headers:?}: {}", page.text());
    }
    assert_eq!(root.send("GET", &url, &[], "").await.status(), 405);
    assert!(
        !rig.forge.seen().iter().any(|seen| seen.path.contains("/admin/users")),
        "the forge was not asked"
    );
    rig.stop().await;
}

/// Holds: A3.
#[tokio::test]
async fn a_demoted_admin_is_out_within_a_minute_whatever_the_session_says() {
    let rig = Rig::new().await;
    let mut root = rig.signed_in("root1").await;
    let status = async |root: &mut Browser| rig.rpc(root, "deployer.list_users", json!({})).await.status();
    // Another operator, whose right goes while the admin token's owner keeps theirs.
    rig.forge.set_site_admin("bob", true).unwrap();
    let mut bob = rig.signed_in("bob").await;
    assert_eq!([status(&mut root).await, status(&mut bob).await], [200, 200]);
    rig.forge.set_site_admin("bob", false).unwrap();
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!([status(&mut root).await, status(&mut bob).await], [200, 403]);
    let made = rig.rpc(&mut bob, "deployer.create_user", json!(["mallory"])).await;
    assert_eq!(made.status(), 403);
    assert!(
        !rig.forge.seen().iter().any(|seen| seen.method == "POST" && seen.path.ends_with("/admin/users"))
    );
    // Back again within a minute too, in the same session.
    rig.forge.set_site_admin("bob", true).unwrap();
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!(status(&mut bob).await, 200);
    rig.forge.suspend("bob", true).unwrap();
    rig.clock.advance(Duration::from_secs(61));
    assert!(matches!(status(&mut bob).await, 401 | 403));
    rig.stop().await;
}

/// Holds: A12.
#[tokio::test]
async fn at_the_start_the_log_says_what_is_wrong_with_the_admin_token() {
    const LITTLE: &str = "the admin token cannot do its work";
    const MUCH: &str =
        "the admin token can do more than it needs: make one with write:admin and read:user only";
    const WELL: &str = "the admin token has the scopes that it needs";
    let logs = Logs::listen();
    let rig = Rig::new().await;
    let mut watch = rig.house.watch(Readiness::of(["forge", "store"]));
    let counts = || [LITTLE, MUCH, WELL].map(|line| logs.events(line).len());
    // The forge is down at the start: that is no reason not to start, and nothing is known of the token.
    rig.forge.break_next(Endpoint::Discovery, Fault::Close, 1);
    rig.clock.advance(Duration::from_mins(1));
    watch.look().await;
    assert_eq!(counts(), [0, 0, 0]);
    // Its accounts cannot be asked about: the same.
    rig.forge.break_next(Endpoint::Api, Fault::html(502), 1);
    rig.clock.advance(Duration::from_mins(1));
    watch.look().await;
    assert_eq!(counts(), [0, 0, 0]);
    assert_eq!(logs.events("the forge cannot be asked about accounts").len(), 1);
    let put_token = |owner: &str, scopes: &[&str]| {
        let token = rig.forge.add_personal_token(owner, scopes).unwrap();
        put(&rig.folder.path().join("admin_token"), token.expose());
    };
    put_token("root1", &["read:admin", "read:user"]);
    rig.clock.advance(Duration::from_mins(1));
    watch.look().await;
    assert_eq!(counts(), [1, 0, 0]);
    let said = logs.events(LITTLE).remove(0);
    assert_eq!((&said["level"], &said["missing"]), (&json!("ERROR"), &json!("write:admin")));
    put_token("bob", &["write:admin", "read:user"]);
    rig.clock.advance(Duration::from_mins(1));
    watch.look().await;
    assert_eq!(counts(), [2, 0, 0]);
    assert_eq!(logs.events(LITTLE)[1]["site_admin"], false);
    put(&rig.folder.path().join("admin_token"), "0123456789abcdef0123456789abcdef01234567");
    rig.clock.advance(Duration::from_mins(1));
    watch.look().await;
    assert_eq!(logs.events("the admin token does not serve").len(), 1);
    // Too little and too much at once: both are said.
    put_token("root1", &["write:user"]);
    rig.clock.advance(Duration::from_mins(1));
    watch.look().await;
    assert_eq!(counts(), [3, 1, 0]);
    put_token("root1", &["all"]);
    rig.clock.advance(Duration::from_mins(1));
    watch.look().await;
    assert_eq!(counts(), [3, 2, 0]);
    let said = logs.events(MUCH).remove(1);
    assert_eq!(said["level"], "WARN");
    for scope in ["write:user", "issue", "repository", "organization", "notification"] {
        assert!(said["beyond"].as_str().unwrap().contains(scope), "{said}");
    }
    // It can do its work: that is known from now on, and not asked again.
    let asked = rig.forge.seen().len();
    rig.clock.advance(Duration::from_mins(1));
    watch.look().await;
    assert!(rig.forge.seen()[asked..].iter().all(|seen| !seen.path.starts_with("/api/v1/")));
    put_token("root1", &["write:admin", "read:user"]);
    rig.house.watch(Readiness::of(["forge", "store"])).look().await;
    assert_eq!(counts(), [3, 2, 1], "the next start");
    rig.stop().await;
}

/// Holds: A2, A17.
#[tokio::test]
async fn programs_come_in_by_the_socket_and_the_kernel_says_who_they_are() {
    let rig = Rig::new().await;
    let mode = std::fs::metadata(rig.socket()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let made = rig.by_socket("deployer.create_user", json!({ "username": "alice" })).await;
    let id = made["result"]["user_id"].clone();
    assert!(made["result"]["initial_password"].is_string());
    let caller = hero_proxy::admin::Caller::shell(0, "r");
    let admin = rig.house.admin().unwrap();
    let trail = admin.audit_of(&caller, id.as_str().unwrap(), None).await.unwrap();
    let uid = rustix::process::getuid().as_raw();
    assert!(trail.iter().all(|line| line.caller.starts_with(&format!("socket:uid={uid} "))), "{trail:?}");
    assert!(trail.iter().all(|line| line.request_id.starts_with('r') && line.request_id.len() == 21));
    rig.stop().await;
}

/// Holds: A2, A17.
#[tokio::test]
async fn a_program_with_a_key_comes_in_by_the_front_door() {
    let logs = Logs::listen();
    let rig = Rig::new().await;
    let caller = hero_proxy::admin::Caller::shell(0, "r");
    let (row, key) = rig.house.admin().unwrap().create_key(&caller, "deployer").await.unwrap();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "deployer.list_users" }).to_string();
    let authority = format!("localhost:{}", rig.admin_at.port());
    let ask = async |key: &str| {
        let head = format!(
            "POST /_hero/admin/rpc HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {key}\r\nContent-Length: {}\r\nX-Hero-User-Id: 1\r\nX-Hero-User: root1\r\n\r\n{body}",
            body.len()
        );
        RawClient::tcp(rig.admin_at).await.ask(head).await.status
    };
    assert_eq!(ask(key.expose()).await, 200);
    assert_eq!(logs.events("admin access refused").len(), 0);
    assert_eq!(ask("hpk_nothing").await, 401);
    let told = logs.events("admin access refused").remove(0);
    assert_eq!((&told["reason"], &told["peer"]), (&json!("admin_key_refused"), &json!("127.0.0.1")));
    assert_eq!(told["request_id"].as_str().map(str::is_empty), Some(false));
    assert!(rig.house.admin().unwrap().revoke_key(&caller, &row.key_id).await.unwrap());
    assert_eq!(ask(key.expose()).await, 401);
    rig.stop().await;
}

/// Holds: A10, A6.
#[tokio::test]
async fn a_name_that_is_made_to_reach_another_endpoint_reaches_none() {
    let rig = Rig::new().await;
    let mut root = rig.signed_in("root1").await;
    rig.rpc(&mut root, "deployer.list_users", json!({})).await;
    let asked = rig.forge.seen().len();
    let long = "x".repeat(300);
    for name in [
        "../orgs/x",
        "..",
        ".",
        "a/b",
        "a%2fb",
        "a%2Fb",
        "a%00b",
        "a\0b",
        "?",
        "#",
        "a?b",
        "a#b",
        "a\\b",
        "a;b",
        "a b",
        "a\r\nSudo: root1",
        "a--b",
        "a-",
        "-a",
        "admin",
        "API",
        "user",
        "x.keys",
        "\u{fc}nal",
        "\u{430}dmin",
        "a\u{202e}b",
        "a\u{200b}b",
        "\u{ff41}",
        &long,
    ] {
        let refused = rig.rpc(&mut root, "deployer.create_user", json!([name])).await.json();
        assert_eq!(refused["error"]["code"], -32010, "{name:?}: {refused}");
        assert_eq!(refused["error"]["data"]["complaints"][0]["param"], "username");
    }
    for (name, value) in [("is_admin", json!(true)), ("sudo", json!("root1")), ("source_id", json!(1))] {
        let refused =
            rig.rpc(&mut root, "deployer.create_user", json!({ "username": "alice", name: value })).await;
        assert_eq!(refused.json()["error"]["code"], -32602, "{name}");
    }
    assert_eq!(rig.forge.seen().len(), asked, "the forge heard nothing of it");
    rig.stop().await;
}

/// Holds: A19, A12.
#[tokio::test]
async fn the_forge_was_asked_for_accounts_with_the_admins_token_and_for_nothing_else() {
    let rig = Rig::new().await;
    let mut root = rig.signed_in("root1").await;
    let made = rig.rpc(&mut root, "deployer.create_user", json!(["alice"])).await.json();
    let id = made["result"]["user_id"].clone();
    let headers = json!({ "user_id": id });
    assert!(rig.rpc(&mut root, "deployer.reset_password", headers).await.json()["result"].is_object());
    rig.rpc(&mut root, "deployer.list_users", json!({})).await;
    let api: Vec<_> = rig.forge.seen().into_iter().filter(|seen| seen.path.starts_with("/api/v1/")).collect();
    assert!(api.iter().any(|seen| seen.method == "POST" && seen.path == "/api/v1/admin/users"));
    for seen in &api {
        assert!(!seen.path.ends_with("/tokens") && seen.method != "DELETE", "{seen:?}");
        let is_admins = seen.path.starts_with("/api/v1/admin/") || seen.path.starts_with("/api/v1/users/");
        assert!(!is_admins || seen.shown == Shown::PersonalToken, "{seen:?}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn the_last_activity_comes_from_the_gate() {
    let rig = Rig::new().await;
    let made = rig.by_socket("deployer.create_user", json!(["bob"])).await;
    let id = made["result"]["user_id"].clone();
    assert_eq!(made["result"]["initial_password"], Value::Null, "bob was there before");
    let seen =
        async || rig.by_socket("deployer.get_user", json!([id])).await["result"]["last_activity"].clone();
    let before = seen().await;
    rig.clock.advance(Duration::from_secs(3600));
    let mut bob = rig.browser();
    bob.sign_in(&rig.app, "bob", &password("bob")).await;
    rig.clock.advance(Duration::from_secs(90));
    assert_eq!(bob.navigate(&rig.app).await.status(), 200);
    assert!(rig.house.drain(DEADLINE).await);
    let after = seen().await;
    assert_ne!(before, after);
    assert_eq!(after, json!("2027-01-15T09:01:30Z"));
    rig.stop().await;
}

/// Holds: A18.
#[tokio::test]
async fn wherever_it_is_placed_it_is_found_there_and_nowhere_else() {
    for placed in [Placed::Alone, Placed::Host, Placed::AppsOrigin] {
        let rig = Rig::start(placed).await;
        let mut root = rig.signed_in("root1").await;
        let list = rig.rpc(&mut root, "deployer.list_users", json!({})).await;
        assert_eq!(list.status(), 200, "{}", list.text());
        let app = root.navigate(&rig.app.join("/app").unwrap()).await;
        match placed {
            Placed::Alone => assert_eq!(app.status(), 404, "there is no app"),
            Placed::AppsOrigin => assert_eq!(app.text(), "app"),
            // Another host has another session.
            Placed::Host | Placed::Own => assert_eq!(app.status(), 303),
        }
        rig.stop().await;
    }
}

/// Holds: A12, K4.
#[tokio::test]
async fn neither_the_admin_token_nor_a_first_password_is_ever_told() {
    let logs = Logs::listen();
    let rig = Rig::new().await;
    let mut root = rig.signed_in("root1").await;
    let made = rig.rpc(&mut root, "deployer.create_user", json!(["alice"])).await;
    let first = made.json()["result"]["initial_password"].as_str().unwrap().to_owned();
    let id = made.json()["result"]["user_id"].clone();
    let reset = rig.rpc(&mut root, "deployer.reset_password", json!([id])).await;
    let second = reset.json()["result"]["initial_password"].as_str().unwrap().to_owned();
    let mut shown = rig.rpc(&mut root, "rpc.discover", json!({})).await.text();
    shown += &rig.rpc(&mut root, "deployer.get_user", json!([id])).await.text();
    shown += &rig.rpc(&mut root, "deployer.list_users", json!({})).await.text();
    shown += &rig.rpc(&mut root, "deployer.create_user", json!(["a--b"])).await.text();
    shown += &rig.by_socket("deployer.create_user", json!(["alice"])).await.to_string();
    shown += &format!("{:?} {:?}", rig.house, rig.house.config());
    assert!(rig.house.drain(DEADLINE).await);
    let told = logs.text();
    assert!(logs.events("admin action").len() >= 3, "it was told of");
    for file in std::fs::read_dir(rig.folder.path()).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() && file.file_name() != "admin_token" {
            shown += &String::from_utf8_lossy(&std::fs::read(file.path()).unwrap());
        }
    }
    for secret in [&rig.token, &first, &second] {
        assert!(!told.contains(secret.as_str()) && !shown.contains(secret.as_str()));
        assert!(!format!("{:?}", rig.echo.seen()).contains(secret.as_str()));
    }
    rig.stop().await;
}

async fn command(rig: &Rig, arguments: &[&str]) -> (Output, String, String) {
    let config = rig.folder.path().join("proxy.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hero_proxy"));
    command.args(arguments).arg("--config").arg(config).env_remove("CREDENTIALS_DIRECTORY");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// Two programs on one file of records: the house, and a command beside it.
///
/// Holds: A9.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_that_make_one_account_at_once_make_one_with_one_password() {
    let rig = Rig::new().await;
    let gate = Gate::closed();
    // Both have looked and found nobody before either asks for it.
    rig.forge.break_next(Endpoint::AdminUsers, Fault::Wait(gate.clone()), usize::MAX);
    let opening = async {
        soon("both ask for it", gate.reached(2)).await;
        gate.open();
    };
    let (house, (output, out, err), ()) = tokio::join!(
        rig.by_socket("deployer.create_user", json!(["alice"])),
        command(&rig, &["user", "create", "alice", "--json"]),
        opening
    );
    assert_eq!(output.status.code(), Some(0), "{err}");
    let both = [house["result"].clone(), serde_json::from_str(&out).unwrap()];
    assert_eq!(both.iter().filter(|made| made["initial_password"].is_string()).count(), 1, "{both:?}");
    assert_eq!(both[0]["user_id"], both[1]["user_id"]);
    let list = rig.by_socket("deployer.list_users", json!({})).await;
    assert_eq!(list["result"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(
        (&list["result"][0]["user_id"], list["result"][0]["forge_id"].is_u64()),
        (&both[0]["user_id"], true)
    );
    rig.stop().await;
}

/// Holds: A9.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_does_not_reset_what_the_house_is_resetting() {
    let rig = Rig::new().await;
    let made = rig.by_socket("deployer.create_user", json!(["alice"])).await;
    // The command knows the time of day only; the house is taken along.
    let now = hero_proxy::base::clock::SystemClock.now();
    rig.clock.set(now);
    let gate = Gate::closed();
    rig.forge.break_next(Endpoint::AdminUsers, Fault::Wait(gate.clone()), 1);
    let second = async {
        soon("the house asks the forge", gate.reached(1)).await;
        let (output, out, _) = command(&rig, &["user", "reset-password", "alice", "--json"]).await;
        gate.open();
        let refused: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((output.status.code(), &refused["error"]["reason"]), (Some(4), &json!("busy")), "{out}");
    };
    let params = json!([made["result"]["user_id"]]);
    let (reset, ()) = tokio::join!(rig.by_socket("deployer.reset_password", params), second);
    assert!(opens(&rig, "alice", reset["result"]["initial_password"].as_str().unwrap()).await);
    let (output, ..) = command(&rig, &["user", "reset-password", "alice"]).await;
    assert_eq!(output.status.code(), Some(0));
    rig.stop().await;
}

/// Holds: A9, A13.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_does_the_same_beside_a_running_house() {
    let rig = Rig::new().await;
    let (output, out, err) = command(&rig, &["user", "create", "alice", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{err}");
    let made: Value = serde_json::from_str(&out).unwrap();
    let first = made["initial_password"].as_str().unwrap().to_owned();
    assert_eq!(first.len(), 32);
    assert!(!err.contains(&first) && err.contains("no terminal"), "{err}");
    let (_, out, _) = command(&rig, &["user", "create", "Alice"]).await;
    assert!(out.contains("was there already; nothing was changed"), "{out}");
    let (output, out, err) = command(&rig, &["user", "create", "a--b", "--email", "x", "--json"]).await;
    assert_eq!(output.status.code(), Some(4));
    let refused: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(refused["error"]["reason"], "invalid_fields");
    assert!(err.contains("username") && err.contains("email"), "{err}");
    let (_, out, _) = command(&rig, &["user", "list", "--search", "ALI", "--json"]).await;
    let list: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&list["total"], &list["users"][0]["forge_username"]), (&json!(1), &json!("alice")));
    let (output, ..) = command(&rig, &["user", "assign-vm", "alice", "vm-1"]).await;
    assert_eq!(output.status.code(), Some(0));
    let (_, out, _) = command(&rig, &["user", "reset-password", "alice"]).await;
    assert!(out.contains("It is shown this once") && !out.contains(&first), "{out}");
    let (_, out, _) = command(&rig, &["user", "show", "alice", "--json"]).await;
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["user"]["vm_count"], 1);
    assert_eq!(shown["audit"][0]["action"], "reset_password");
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(shown["audit"][0]["caller"], format!("shell:uid={uid}"));
    let (output, ..) = command(&rig, &["user", "show", "nobody"]).await;
    assert_eq!(output.status.code(), Some(4));

    let (_, out, _) = command(&rig, &["admin-key", "create", "--name", "deployer", "--json"]).await;
    let key: Value = serde_json::from_str(&out).unwrap();
    let (_, out, _) = command(&rig, &["admin-key", "list"]).await;
    assert!(out.contains("deployer") && !out.contains(key["key"].as_str().unwrap()));
    let (output, ..) = command(&rig, &["admin-key", "revoke", key["key_id"].as_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0));
    let (output, ..) = command(&rig, &["admin-key", "revoke", "k0"]).await;
    assert_eq!(output.status.code(), Some(3));
    rig.stop().await;
}
