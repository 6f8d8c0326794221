//! The whole house on real sockets: fake forge, the proxy from a real configuration file, and ECHO behind it. The clock
//! is turned by hand, for proxy and forge alike.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hero_proxy::app::{House, Seams};
use hero_proxy::base::clock::{Clock, ManualClock, Timestamp};
use hero_proxy::base::entropy::{Entropy, OsEntropy};
use hero_proxy::base::seal::{KeyRing, SealKey};
use hero_proxy::config::change::NeedsRestart;
use hero_proxy::config::{self, Config};
use hero_proxy::forge::fake::{FakeForge, FakeSettings, NewApplication, NewUser};
use hero_proxy::serve::settings::Listen;
use hero_proxy::serve::{Listeners, Readiness, Serve};
use hero_proxy::session::cookie::CookieNames;
use hero_proxy::session::store::SessionStore;
use hero_proxy::wire::scrub::OwnCookies;
use tempfile::TempDir;
use tokio::runtime::Handle;
use url::Url;

use super::DEADLINE;
use super::browser::{Browser, Page};
use super::echo::{Echo, Seen, Step, ok};

/// The proxy's registration at the forge. The secret has what Basic and forms encode differently.
pub const CLIENT_ID: &str = "vm-1";
pub const CLIENT_SECRET: &str = "s3cret:%+&= 0123456789";

/// Who can sign in, and with which password. `alice` is in `acme` and its team `ops`; `nina` must change her password;
/// `mallory` is on no list.
pub const PEOPLE: [&str; 4] = ["alice", "bob", "nina", "mallory"];

/// The password of one of [`PEOPLE`].
pub fn password(login: &str) -> String {
    format!("password-of-{login}")
}

/// How a house is to be. Everything has a default; sections take further lines of TOML.
#[derive(Clone)]
pub struct Plan {
    /// The forge; its clock becomes the house's.
    pub fake: FakeSettings,
    /// What the browser sees; none: `http://localhost:PORT` with the port that is really listened on. Requests find the
    /// house under any name (see [`Browser::knowing`]).
    pub public_url: Option<String>,
    /// The flag.
    pub pass_through: bool,
    /// The list of `[access]`.
    pub allow: Vec<&'static str>,
    /// `memory` or `sqlite`.
    pub store: &'static str,
    /// A store of the test's own, instead.
    pub own_store: Option<Arc<dyn SessionStore>>,
    /// All `[[routes]]`, `ECHO` standing for the backend's address; none: one route to it for all that there is.
    pub routes: Option<String>,
    /// `forge.url`; none: where the fake is.
    pub forge_url: Option<String>,
    /// Set, the house's clock panics the next time that it is asked, and is whole again.
    pub fuse: Arc<AtomicBool>,
    /// More lines for a section, by its name: `("session", "idle = \"1h\"")`; `FORGE` stands for where the fake is.
    pub more: Vec<(&'static str, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            fake: FakeSettings::default(),
            public_url: None,
            pass_through: true,
            allow: vec!["user:alice", "user:bob", "user:nina"],
            store: "memory",
            own_store: None,
            routes: None,
            forge_url: None,
            fuse: Arc::default(),
            more: Vec::new(),
        }
    }
}

impl Plan {
    /// Adds a line to a section.
    #[must_use]
    pub fn with(mut self, section: &'static str, line: &str) -> Self {
        self.more.push((section, line.to_owned()));
        self
    }

    /// The configuration file.
    fn toml(&self, listen: &str, public_url: &str, forge: &str, echo: &str) -> String {
        let more = |section: &str| -> String {
            let lines = self.more.iter().filter(|(name, _)| *name == section);
            lines.map(|(_, line)| format!("{line}\n")).collect()
        };
        let allow: Vec<_> = self.allow.iter().map(|who| format!("{who:?}")).collect();
        let store = match self.store {
            "sqlite" => "store = \"sqlite\"\npath = \"sessions.db\"\nkey = { file = \"session_key\" }\n",
            _ => "store = \"memory\"\n",
        };
        let default_route =
            "[[routes]]\npath = \"/\"\nupstream = \"ECHO\"\nforge_token = true\ngroups = true\n";
        let routes = self.routes.as_deref().unwrap_or(default_route).replace("ECHO", echo);
        let sections = [
            ("server", format!("listen = [{listen:?}]\npublic_url = {public_url:?}\n")),
            (
                "forge",
                format!(
                    "url = {:?}\nclient_id = {CLIENT_ID:?}\nclient_secret = {{ file = \"client_secret\" }}\n",
                    self.forge_url.as_deref().unwrap_or(forge)
                ),
            ),
            ("features", format!("forge_token_pass_through = {}\n", self.pass_through)),
            ("access", format!("allow = [{}]\n", allow.join(", "))),
            ("session", store.to_owned()),
            ("limits", String::new()),
        ];
        let text: String =
            sections.iter().map(|(name, lines)| format!("[{name}]\n{lines}{}\n", more(name))).collect();
        text.replace("FORGE", forge) + &routes
    }
}

/// A running house.
pub struct TestHouse {
    pub forge: FakeForge,
    pub echo: Echo,
    pub house: House,
    pub clock: ManualClock,
    /// What the browser sees.
    pub url: Url,
    /// Where the house really listens.
    pub address: SocketAddr,
    /// Where health is answered, if the plan says `health = "127.0.0.1:0"`.
    pub health: Option<SocketAddr>,
    pub readiness: Readiness,
    /// What the house was built from. [`TestHouse::reload`] changes it.
    pub plan: Plan,
    folder: TempDir,
    serve: Serve,
}

impl TestHouse {
    /// A house by the default plan: Forgejo 15, flag on, sessions in memory.
    pub async fn new() -> Self {
        Self::start(Plan::default()).await
    }

    /// A house by a plan, with a backend that says `app` to everything.
    pub async fn start(plan: Plan) -> Self {
        Self::start_before(plan, |_| ok("app")).await
    }

    /// A house in front of a backend with a script.
    pub async fn start_before(
        mut plan: Plan,
        script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        // Some round moment; tokens and sessions are made and judged by it alone.
        let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
        plan.fake.clock = Arc::new(clock.clone());
        let forge = FakeForge::start(plan.fake.clone()).await.unwrap();
        let echo = Echo::tcp(script).await;
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join("client_secret"), CLIENT_SECRET);
        let built = build(&plan, &folder, &forge, &echo, &clock).await;
        for login in PEOPLE {
            let must_change_password = login == "nina";
            forge.add_user(NewUser { must_change_password, ..NewUser::new(login, &password(login)) });
        }
        forge.add_member("alice", "acme", Some("ops"));
        let callback = built.url.join("/_hero/auth/callback").unwrap();
        forge.add_application(NewApplication::new("The VM", CLIENT_ID, CLIENT_SECRET, callback.as_str()));
        let Built { house, url, address, health, readiness, serve } = built;
        Self { forge, echo, house, clock, url, address, health, readiness, plan, folder, serve }
    }

    /// Ends the house and builds it again from the same folder, as a restart of the process does. Forge and backend go on.
    /// It keeps its name and listens elsewhere: browsers of before have to [`Browser::learn`] that.
    pub async fn restart(self) -> Self {
        let Self { forge, echo, house, clock, url, mut plan, folder, serve, .. } = self;
        assert!(serve.shutdown(DEADLINE).await && house.drain(DEADLINE).await);
        drop(house);
        plan.public_url = Some(url.as_str().trim_end_matches('/').to_owned());
        let Built { house, url, address, health, readiness, serve } =
            build(&plan, &folder, &forge, &echo, &clock).await;
        Self { forge, echo, house, clock, url, address, health, readiness, plan, folder, serve }
    }

    /// A second process of the same installation: the same folder and forge, the same backend, a house and a listener of
    /// its own. It is found under the same name.
    pub async fn twin(&self) -> Twin {
        self.twin_named(self.url.as_str().trim_end_matches('/')).await
    }

    /// The same, under a name of its own.
    pub async fn twin_named(&self, public_url: &str) -> Twin {
        let plan = Plan { public_url: Some(public_url.to_owned()), ..self.plan.clone() };
        let Built { house, address, serve, .. } =
            build(&plan, &self.folder, &self.forge, &self.echo, &self.clock).await;
        Twin { house, address, _serve: serve }
    }

    /// Changes the plan, and lets the house read its file again.
    pub fn reload(&mut self, change: impl FnOnce(&mut Plan)) -> Vec<NeedsRestart> {
        change(&mut self.plan);
        let config = read(&self.plan, &self.folder, self.address, &self.url, &self.forge, &self.echo);
        self.house.reload(config).unwrap()
    }

    /// A URL of the house.
    pub fn at(&self, path_and_query: &str) -> Url {
        self.url.join(path_and_query).unwrap()
    }

    /// `host:port` as browsers write it.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The host that the house's cookies belong to.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap()
    }

    /// The names of the house's cookies.
    pub fn cookies(&self) -> OwnCookies {
        CookieNames::for_origin(&self.url.as_str().parse().unwrap()).unwrap().names().clone()
    }

    /// A new browser.
    pub fn browser(&self) -> Browser {
        Browser::knowing(&self.authority(), self.address)
    }

    /// A new browser in which somebody has signed in at `/`; ECHO has seen that page.
    pub async fn signed_in(&self, login: &str) -> Browser {
        let mut browser = self.browser();
        let page = self.sign_in(&mut browser, "/", login).await;
        assert_eq!((page.status(), page.text().as_str()), (200, "app"), "{login}");
        browser
    }

    /// Opens a page of the house and signs somebody in on the way; says where that ends.
    pub async fn sign_in(&self, browser: &mut Browser, path: &str, login: &str) -> Page {
        browser.sign_in(&self.at(path), login, &password(login)).await
    }

    /// Begins a sign-in at a page and goes through the forge; says the callback's address, which is not opened yet.
    pub async fn callback(&self, browser: &mut Browser, path: &str, login: &str) -> Url {
        let authorize = browser.navigate(&self.at(path)).await.location().unwrap();
        browser.at_forge(&authorize, login, &password(login)).await
    }

    /// What this browser's session cookie says.
    pub fn session(&self, browser: &Browser) -> Option<String> {
        browser.named(&self.cookies().session).pop().map(|(_, value)| value)
    }

    /// Waits for all work that no request waits for: renewals, notes in the store. The house goes on.
    pub async fn settle(&self) {
        assert!(self.house.drain(DEADLINE).await);
    }

    /// The file that sessions are in, by a plan with `sqlite`.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("sessions.db")
    }

    /// Turns the clock on, so far that what is near is looked up in the store again.
    pub fn pass_near(&self) {
        self.clock.advance(Duration::from_secs(6));
    }
}

/// The clock of a house: it can be made to panic, with something on its lips that nobody may hear.
#[derive(Debug)]
struct Fused {
    clock: ManualClock,
    fuse: Arc<AtomicBool>,
}

impl Clock for Fused {
    fn now(&self) -> Timestamp {
        assert!(!self.fuse.swap(false, Ordering::SeqCst), "hush-hush");
        self.clock.now()
    }

    fn running(&self) -> Duration {
        self.clock.running()
    }
}

/// Another house on the same store; browsers [`Browser::learn`] where it is.
pub struct Twin {
    pub house: House,
    pub address: SocketAddr,
    _serve: Serve,
}

struct Built {
    house: House,
    url: Url,
    address: SocketAddr,
    health: Option<SocketAddr>,
    readiness: Readiness,
    serve: Serve,
}

async fn build(plan: &Plan, folder: &TempDir, forge: &FakeForge, echo: &Echo, clock: &ManualClock) -> Built {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    // Read once for what the listeners need; the port that they get belongs into the file.
    let before = Url::parse(plan.public_url.as_deref().unwrap_or("http://localhost:1")).unwrap();
    let first = read(plan, folder, any, &before, forge, echo);
    let listeners = Listeners::bind(&first.serve).await.unwrap();
    let Some(Listen::Tcp(address)) = listeners.addresses().pop() else { panic!("a TCP address") };
    let health = match listeners.health_address() {
        Some(Listen::Tcp(health)) => Some(health),
        _ => None,
    };
    let url = plan.public_url.clone().unwrap_or_else(|| format!("http://localhost:{}", address.port()));
    let url = Url::parse(&url).unwrap();
    let config = read(plan, folder, address, &url, forge, echo);
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let fused = Fused { clock: clock.clone(), fuse: Arc::clone(&plan.fuse) };
    let seams = Seams { clock: Arc::new(fused), entropy: Arc::clone(&entropy) };
    let house = match &plan.own_store {
        None => House::build(config, seams, Handle::current()).unwrap(),
        Some(store) => {
            let keys = KeyRing::of(SealKey::random(&*entropy));
            House::with_store(config, seams, Handle::current(), Arc::clone(store), keys).unwrap()
        }
    };
    let readiness = Readiness::of(["forge", "store"]);
    let serve = listeners.serve(house.front(), readiness.clone());
    Built { house, url, address, health, readiness, serve }
}

/// Writes the file as an operator would, and reads it as the program does.
fn read(
    plan: &Plan,
    folder: &TempDir,
    listen: SocketAddr,
    url: &Url,
    forge: &FakeForge,
    echo: &Echo,
) -> Config {
    let file = folder.path().join("proxy.toml");
    let public_url = url.as_str().trim_end_matches('/');
    let forge = forge.url().as_str().trim_end_matches('/');
    let text = plan.toml(&listen.to_string(), public_url, forge, &format!("http://{}", echo.authority()));
    std::fs::write(&file, text).unwrap();
    let checked = config::load(&file);
    let lines: Vec<_> =
        checked.complaints.iter().map(|one| config::render::line("proxy.toml", one)).collect();
    checked.config.unwrap_or_else(|| panic!("{}", lines.concat()))
}

fn write_secret(path: &std::path::Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
