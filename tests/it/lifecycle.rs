//! The life of an account: an operator makes it, its owner signs in with the first password, is made to change it, lands
//! in cockpit and files an issue; the operator resets the password, and its owner signs in again. On the fake forge
//! always; on a real one when `HERO_TEST_FORGE_URL` and `HERO_TEST_FORGE_ADMIN_TOKEN_FILE` name it. Alone:
//! `cargo test lifecycle`.
//!
//! The accounts are made and reset through the admin part of a house that is built for it, as an operator's program does.
//!
//! All accounts are named `deployer_test_*` with a random part, so it can run again at any time. Accounts are left at the
//! server, since nothing here deletes any; the application and the repository are taken away again. What is left is said,
//! however it ends.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hero_proxy::app::{Doors, House, Seams, Serving};
use hero_proxy::base::clock::SystemClock;
use hero_proxy::base::entropy::{OsEntropy, random_bytes};
use hero_proxy::base::secret::{AdminToken, ClientSecret};
use hero_proxy::base::secret_file;
use hero_proxy::config::{self, Config};
use hero_proxy::demo::cockpit::{Cockpit, CockpitSettings, Listen as CockpitListen};
use hero_proxy::forge::admin::{ForgeAdmin as _, HttpForgeAdmin, PasswordKind};
use hero_proxy::forge::fake::{FakeForge, FakeSettings, FakeVersion, NewUser, Shown};
use hero_proxy::forge::http::Settings;
use hero_proxy::serve::Readiness;
use hero_proxy::serve::settings::Listen;
use hero_proxy::wire::trust::Trust;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;
use url::Url;

use crate::support::DEADLINE;
use crate::support::browser::{Browser, Page};
use crate::support::raw::RawClient;

/// More steps than any way through the forge has.
const MOST_STEPS: usize = 20;

/// The forge, and the names of this run.
struct Stage {
    forge: Url,
    token: AdminToken,
    run: String,
    left: Left,
}

/// What is at the server that was not there before.
type Left = Arc<Mutex<Vec<String>>>;

/// Cockpit behind the proxy, for one visitor, and the admin part.
struct Stack {
    url: Url,
    address: std::net::SocketAddr,
    house: House,
    serving: Serving,
    cockpit: Cockpit,
    application: u64,
    folder: TempDir,
}

impl Stage {
    fn new(forge: Url, token: AdminToken) -> Self {
        let run = random_bytes::<4>(&OsEntropy).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { forge, token, run, left: Left::default() }
    }

    fn leave(&self, what: String) {
        self.left.lock().unwrap().push(what);
    }

    fn as_admin(&self) -> String {
        format!("token {}", self.token.expose())
    }

    /// What can be known before anything is made: it is the server that it is called, and the token serves.
    async fn look_first(&self) {
        let version = self.api("GET", "api/v1/version", &self.as_admin(), None).await;
        writeln!(std::io::stderr(), "lifecycle {} at {}: {version}", self.run, self.forge).unwrap();
        let discovery = self.api("GET", ".well-known/openid-configuration", "", None).await;
        let (issuer, url) = (discovery["issuer"].as_str().unwrap_or_default(), self.forge.as_str());
        assert_eq!(
            issuer.trim_end_matches('/'),
            url.trim_end_matches('/'),
            "the server has another name for itself (ROOT_URL) than it is called by here"
        );
        let settings = Settings {
            url: url.parse().unwrap(),
            internal_url: None,
            ca_pem: None,
            client_id: String::new(),
            client_secret: ClientSecret::new(""),
            timeout: DEADLINE,
        };
        let client = HttpForgeAdmin::new(&settings, PasswordKind::default(), Arc::new(OsEntropy)).unwrap();
        let report = client.check_token(&self.token).await.unwrap();
        assert!(report.works(), "the admin's token does not serve: {:?}", report.complaints());
    }

    fn login(&self, part: &str) -> String {
        format!("deployer_test_{}_{part}", self.run)
    }

    /// A call to the forge's API that the test itself needs.
    async fn api(&self, method: &str, path: &str, authorization: &str, body: Option<&Value>) -> Value {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let http = http.timeout(DEADLINE).build().unwrap();
        let mut request = http.request(method.parse().unwrap(), self.forge.join(path).unwrap());
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text:.200}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    /// Somebody who owns the application and the repository; says how they prove who they are.
    async fn owner(&self) -> (String, String) {
        let (login, password) = (self.login("owner"), format!("Lifecycle-1-{}", self.run));
        let body = json!({
            "username": login, "email": format!("{login}@example.org"), "password": password,
            "must_change_password": false,
        });
        self.api("POST", "api/v1/admin/users", &self.as_admin(), Some(&body)).await;
        self.leave(login.clone());
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{login}:{password}"));
        (login, format!("Basic {pair}"))
    }

    /// A proxy and a cockpit that this visitor may use; the application is registered with the port that is listened on.
    async fn stack(&self, visitor: &str, owner: &str, authorization: &str) -> Stack {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("cockpit.sock");
        let cockpit_settings = CockpitSettings {
            listen: CockpitListen::Unix(socket.clone()),
            forge_url: self.forge.clone(),
            repository: format!("{owner}/feedback").parse().unwrap(),
            slot_dir: folder.path().join("slots"),
            trust: Trust::unix_peer(),
            proxy_prefix: "/_hero".to_owned(),
            hosts: Vec::new(),
            forge_timeout: DEADLINE,
        };
        let cockpit =
            Cockpit::start(cockpit_settings, Arc::new(SystemClock), Arc::new(OsEntropy)).await.unwrap();
        write_private(&folder.path().join("client_secret"), "gto_q3vw7ixb2d5jslmu4phyz6tkfaeoc3n7");
        write_private(&folder.path().join("admin_token"), self.token.expose());
        let admins = folder.path().join("admin.sock");
        let toml = |listen: &str, url: &str, client_id: &str| {
            let forge = self.forge.as_str().trim_end_matches('/');
            // Symbols do no harm where none are asked for.
            format!(
                "[admin]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"http://localhost:2\"\nallow = [\"site-admin\"]\n\
                 token = {{ file = \"admin_token\" }}\npassword_symbols = true\nsocket = \"unix:{}\"\n\
                 [server]\nlisten = [{listen:?}]\npublic_url = {url:?}\n\
                 [forge]\nurl = {forge:?}\nclient_id = {client_id:?}\nclient_secret = {{ file = \"client_secret\" }}\n\
                 allow_plaintext = true\n\
                 [features]\nforge_token_pass_through = true\n[access]\nallow = [\"user:{visitor}\"]\n\
                 [session]\nstore = \"memory\"\n\
                 [[routes]]\npath = \"/\"\nupstream = \"unix:{}\"\nforge_token = true\n",
                admins.display(),
                socket.display()
            )
        };
        // Read once for the listener, whose port belongs into the registration and the file.
        let first = read(&folder, &toml("127.0.0.1:0", "http://localhost:1", "none"));
        let doors = Doors::bind(&first).await.unwrap();
        let Some(Listen::Tcp(address)) = doors.addresses().pop() else { panic!("a TCP address") };
        let url = format!("http://localhost:{}", address.port());
        let body = json!({
            "name": format!("lifecycle {}", self.run), "confidential_client": true,
            "redirect_uris": [format!("{url}/_hero/auth/callback")],
        });
        let path = "api/v1/user/applications/oauth2";
        let application = self.api("POST", path, authorization, Some(&body)).await;
        let word = |name: &str| application[name].as_str().unwrap().to_owned();
        std::fs::remove_file(folder.path().join("client_secret")).unwrap();
        write_private(&folder.path().join("client_secret"), &word("client_secret"));
        let config = read(&folder, &toml(&address.to_string(), &url, &word("client_id")));
        let house = House::build(config, Seams::default(), Handle::current()).unwrap();
        let serving = doors.serve(&house, &Readiness::of(["forge", "store"]));
        let application = application["id"].as_u64().unwrap();
        Stack { url: Url::parse(&url).unwrap(), address, house, serving, cockpit, application, folder }
    }
}

impl Stack {
    fn browser(&self) -> Browser {
        let authority = format!("localhost:{}", self.address.port());
        Browser::knowing(&authority, self.address).reaching_far()
    }

    /// A call of the admin part, as a program of the operator's makes it; its result.
    async fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let head = format!(
            "POST /_hero/admin/rpc HTTP/1.1\r\nHost: admin\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = RawClient::unix(&self.folder.path().join("admin.sock")).await.ask(head).await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(answer["result"].is_object(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    async fn stop(self) {
        self.serving.shutdown(DEADLINE).await;
        self.house.drain(DEADLINE).await;
        self.cockpit.stop(DEADLINE).await;
        drop(self.folder);
    }

    /// Opens cockpit and signs in on the way. Says the page at the end, and whether a new password was demanded.
    async fn sign_in(
        &self,
        browser: &mut Browser,
        login: &str,
        password: &str,
        chosen: &str,
    ) -> (Page, bool) {
        let authorize = browser.navigate(&self.url).await.location().expect("to the forge");
        let forge = authorize.origin();
        let (mut page, mut changed) = (browser.navigate(&authorize).await, false);
        for _ in 0..MOST_STEPS {
            page = match page.location() {
                Some(back) if back.origin() != forge => return (browser.visit(&back).await, changed),
                Some(next) => browser.navigate(&next).await,
                None => {
                    let form = if let Some(form) = page.form("/user/login") {
                        form.with("user_name", login).with("password", password)
                    } else if let Some(form) = page.form("/user/settings/change_password") {
                        changed = true;
                        form.with("password", chosen).with("retype", chosen)
                    } else {
                        let form = page.form("/login/oauth/grant");
                        let lost = || {
                            panic!("lost at {} ({}): {:.500}", page.url.path(), page.status(), page.text())
                        };
                        form.unwrap_or_else(lost).with("granted", "true")
                    };
                    browser.submit(&form).await
                }
            };
        }
        panic!("the forge loops at {}", page.url);
    }

    /// Whether the forge takes this password, without going on from there.
    async fn opens(&self, login: &str, password: &str) -> bool {
        let mut browser = self.browser();
        let authorize = browser.navigate(&self.url).await.location().expect("to the forge");
        let form = browser.visit(&authorize).await.form("/user/login").expect("the sign-in page");
        browser.submit(&form.with("user_name", login).with("password", password)).await.location().is_some()
    }
}

fn read(folder: &TempDir, text: &str) -> Config {
    let file = folder.path().join("proxy.toml");
    std::fs::write(&file, text).unwrap();
    let checked = config::load(&file);
    let lines: Vec<_> =
        checked.complaints.iter().map(|one| config::render::line("proxy.toml", one)).collect();
    checked.config.unwrap_or_else(|| panic!("{}", lines.concat()))
}

fn write_private(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The whole life, once.
async fn live(stage: &Stage) {
    stage.look_first().await;
    let login = stage.login("visitor");
    let (owner, authorization) = stage.owner().await;
    let repository = json!({"name": "feedback", "private": false});
    stage.api("POST", "api/v1/user/repos", &authorization, Some(&repository)).await;
    let stack = stage.stack(&login, &owner, &authorization).await;

    // Made, and made again.
    let new = json!({ "username": login, "display_name": "Lifecycle Visitor" });
    let made = stack.rpc("deployer.create_user", new.clone()).await;
    stage.leave(login.clone());
    let (id, first) = (made["user_id"].clone(), text(&made, "initial_password"));
    assert_eq!((text(&made, "forge_username"), first.len()), (login.clone(), 32));
    let again = stack.rpc("deployer.create_user", new).await;
    assert_eq!(again, json!({ "user_id": id, "forge_username": login, "initial_password": null }));
    let user = stack.rpc("deployer.get_user", json!([id])).await;
    assert_eq!((&user["state"], &user["last_activity"]), (&json!("active"), &Value::Null), "unused: {user}");
    assert_eq!(user["email"], format!("{login}@nomail.demo.ourworld.tf"));

    // The first sign-in: the password must be changed on the way, and the way ends in cockpit all the same.
    let mut browser = stack.browser();
    let chosen = format!("Chosen-1-{}", stage.run);
    let (page, changed) = stack.sign_in(&mut browser, &login, &first, &chosen).await;
    assert!(changed, "the forge demands a new password");
    assert_eq!((page.status(), &page.url), (200, &stack.url), "{}", page.text());
    assert!(
        page.text().contains(&format!("You are signed in as <strong>{login}</strong>")),
        "{}",
        page.text()
    );
    assert!(!stack.opens(&login, &first).await, "the first password is used up");
    let user = stack.rpc("deployer.get_user", json!([id])).await;
    assert!(user["last_activity"].is_string(), "used: {user}");

    // An issue, under their own name.
    let form = page.form("/feedback").expect("cockpit's form");
    let title = format!("Lifecycle {}", stage.run);
    let filed = browser.submit(&form.with("title", &title).with("body", "It works.")).await;
    assert!(filed.text().contains("data-code=\"filed\""), "{}", filed.text());
    let path = format!("api/v1/repos/{owner}/feedback/issues");
    let issues = stage.api("GET", &path, &authorization, None).await;
    assert_eq!((&issues[0]["title"], &issues[0]["user"]["login"]), (&json!(title), &json!(login)));
    assert_eq!(issues.as_array().map(Vec::len), Some(1));

    // A reset: another password, to be changed again; the account and what it did stay.
    let reset = stack.rpc("deployer.reset_password", json!([id])).await;
    let second = text(&reset, "initial_password");
    assert_eq!((&reset["user_id"], text(&reset, "forge_username")), (&id, login.clone()));
    assert!(second != first && !stack.opens(&login, &chosen).await, "the chosen password is dead");
    let mut other = stack.browser();
    let (page, changed) = stack.sign_in(&mut other, &login, &second, &format!("{chosen}-again")).await;
    assert!(changed, "the forge demands a new password again");
    assert_eq!((page.status(), &page.url), (200, &stack.url), "{}", page.text());

    // What is no account goes again.
    let application = format!("api/v1/user/applications/oauth2/{}", stack.application);
    stack.stop().await;
    for path in [application, format!("api/v1/repos/{owner}/feedback")] {
        stage.api("DELETE", &path, &authorization, None).await;
    }
}

fn text(result: &Value, name: &str) -> String {
    result[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// Holds: A9, A13, A19.
#[tokio::test]
async fn an_account_lives_on_the_fake_forge() {
    for version in [FakeVersion::V15, FakeVersion::V11] {
        let forge = FakeForge::start(FakeSettings { version, ..FakeSettings::default() }).await.unwrap();
        forge.add_user(NewUser { site_admin: true, ..NewUser::new("root1", "Root-password-1") });
        let token = forge.add_personal_token("root1", &["write:admin", "read:user"]).unwrap();
        // Twice on one server: nothing of the first run is in the second one's way.
        for _ in 0..2 {
            let stage = Stage::new(forge.url().clone(), AdminToken::new(token.expose()));
            live(&stage).await;
            assert_eq!(stage.left.lock().unwrap().len(), 2);
        }
        for one in forge.seen() {
            let no_user_deleted = one.method != "DELETE" || one.shown == Shown::Password;
            let no_token_made = !(one.path.starts_with("/api/v1/users/") && one.path.ends_with("/tokens"));
            assert!(no_user_deleted && no_token_made, "{one:?}");
            let of_an_admin = one.path.starts_with("/api/v1/admin/");
            assert!(
                !of_an_admin || one.shown == Shown::PersonalToken,
                "no admin call with a user's token: {one:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_account_lives_on_a_real_forge() {
    let told = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = told("HERO_TEST_FORGE_URL").zip(told("HERO_TEST_FORGE_ADMIN_TOKEN_FILE"));
    let Some((url, file)) = named else {
        let words = "SKIPPED: the lifecycle on a real forge; set HERO_TEST_FORGE_URL and HERO_TEST_FORGE_ADMIN_TOKEN_FILE";
        writeln!(std::io::stderr(), "{words}").unwrap();
        return;
    };
    let token = secret_file::read(Path::new(&file)).expect("the admin token's file");
    let url: Url = format!("{}/", url.trim_end_matches('/')).parse().expect("HERO_TEST_FORGE_URL is a URL");
    let stage = Stage::new(url.clone(), AdminToken::new(token.expose().trim()));
    let left = Arc::clone(&stage.left);
    let done = tokio::spawn(async move { live(&stage).await }).await;
    let left = left.lock().unwrap().join(" ");
    match done {
        Ok(()) => writeln!(std::io::stderr(), "left at {url}: the accounts {left}").unwrap(),
        Err(broken) => {
            let words = "and what belongs to them: an application, the repository feedback";
            writeln!(std::io::stderr(), "left at {url}: the accounts {left}, {words}").unwrap();
            std::panic::resume_unwind(broken.into_panic());
        }
    }
}
