//! The whole story on one machine: a fake forge, the reference cockpit, and the proxy between them, as an operator would
//! configure it. All of it listens on loopback, lives in one temporary folder, and leaves nothing behind.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

use crate::app::house::{House, Seams, StartError};
use crate::base::clock::SystemClock;
use crate::base::entropy::{Entropy as _, OsEntropy, random_text};
use crate::base::secret::SecretText;
use crate::base::secret_file::{self, SecretFileError};
use crate::config;
use crate::demo::cockpit::{self, Cockpit, CockpitSettings, Repository};
use crate::forge::fake::{
    FakeForge, FakeSettings, FakeVersion, NewApplication, NewRepository, NewUser, Unknown,
};
use crate::serve::settings::{Limits, Listen};
use crate::serve::{self, BindError, Listeners, Readiness, Serve};
use crate::wire::trust::Trust;

/// How the demo is to be.
#[derive(Clone, Debug)]
pub struct DemoSettings {
    /// How long the forge's access tokens live.
    pub token_lifetime: Duration,
    /// The flag.
    pub pass_through: bool,
    /// Which release line the fake forge plays.
    pub version: FakeVersion,
    /// Where the proxy listens if it can; another port is picked if not. 0: any.
    pub proxy_port: u16,
    /// Where the forge listens if it can. 0: any.
    pub forge_port: u16,
}

impl Default for DemoSettings {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_hours(1),
            pass_through: true,
            version: FakeVersion::V15,
            proxy_port: 8080,
            forge_port: 3000,
        }
    }
}

/// Somebody to sign in as.
#[derive(Clone)]
pub struct DemoAccount {
    /// Sign-in name.
    pub login: &'static str,
    /// Made at this start, for this demo.
    pub password: String,
}

impl fmt::Debug for DemoAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoAccount").field("login", &self.login).finish_non_exhaustive()
    }
}

/// The repository that feedback is filed in: owner and name.
pub const REPOSITORY: (&str, &str) = ("acme-dev", "feedback");
/// The application's client id at the fake forge.
pub const CLIENT_ID: &str = "hero-proxy-demo";

/// What keeps a demo from starting.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A file, a socket, a port.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A secret's file.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The fake forge.
    #[error(transparent)]
    Forge(#[from] Unknown),
    /// The proxy.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The configuration that the demo writes is refused: the demo and the check have parted ways.
    #[error("the demo's own configuration is refused:\n{0}")]
    Config(String),
}

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    /// The one address to open.
    pub url: Url,
    /// An account that can sign in at once, and one that must change its password first.
    pub accounts: [DemoAccount; 2],
    /// The forge.
    pub forge: FakeForge,
    /// The proxy.
    pub house: House,
    folder: TempDir,
    cockpit: Cockpit,
    serve: Serve,
    watch: JoinHandle<()>,
}

impl Demo {
    /// Starts forge, cockpit and proxy on the current runtime.
    ///
    /// # Errors
    /// [`DemoError`]; what was started is ended again.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn start(settings: &DemoSettings) -> Result<Self, DemoError> {
        // Who reaches cockpit's socket is believed to be the proxy, so nobody else on this machine may.
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("hero_proxy-demo-").permissions(private).tempdir()?;
        let (listeners, proxy_port) = listeners(settings.proxy_port).await?;
        let url = Url::parse(&format!("http://localhost:{proxy_port}/")).map_err(io::Error::other)?;
        let forge = fake_forge(settings).await?;
        let client_secret = random_text::<32>(&OsEntropy);
        let accounts = furnish(&forge, &url, &client_secret)?;

        let socket = folder.path().join("cockpit.sock");
        let (owner, name) = REPOSITORY;
        let cockpit = Cockpit::start(
            CockpitSettings {
                listen: cockpit::Listen::Unix(socket.clone()),
                forge_url: forge.url().clone(),
                repository: format!("{owner}/{name}").parse::<Repository>().map_err(io::Error::other)?,
                slot_dir: folder.path().join("slots"),
                trust: Trust::unix_peer(),
                proxy_prefix: "/_hero".to_owned(),
                hosts: vec![format!("localhost:{proxy_port}")],
                forge_timeout: Duration::from_secs(10),
            },
            Arc::new(SystemClock),
            Arc::new(OsEntropy),
        )
        .await?;

        let file = folder.path().join("proxy.toml");
        let secret = folder.path().join("client_secret");
        secret_file::create_new(&secret, &SecretText::new(client_secret))?;
        std::fs::write(&file, proxy_toml(settings.pass_through, &listeners, &url, &forge, &socket))?;
        let (house, serve, watch) = proxy(&file, listeners)?;
        Ok(Self { url, accounts, forge, house, folder, cockpit, serve, watch })
    }

    /// Where the demo keeps its files while it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends all of it and removes the folder.
    pub async fn stop(self) {
        let limit = Duration::from_secs(5);
        self.serve.shutdown(limit).await;
        self.watch.abort();
        self.house.drain(limit).await;
        self.cockpit.stop(limit).await;
        self.forge.shutdown().await;
        drop(self.folder);
    }
}

/// The ports that are tried: the wanted one, then whichever is free.
fn ports(wanted: u16) -> [u16; 4] {
    [wanted, 0, 0, 0]
}

/// Both loopbacks at one port: browsers try either first. What is bound here is served later, so nobody comes in between.
async fn listeners(wanted: u16) -> Result<(Listeners, u16), BindError> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut refused = BindError { listen: Listen::Tcp(any), source: io::ErrorKind::AddrInUse.into() };
    for port in ports(wanted) {
        let listen = vec![Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))];
        let settings =
            serve::settings::Settings { listen, health: None, limits: Limits::default(), unix_mode: 0o660 };
        let mut listeners = match Listeners::bind(&settings).await {
            Ok(listeners) => listeners,
            Err(taken) => {
                refused = taken;
                continue;
            }
        };
        let Some(Listen::Tcp(bound)) = listeners.addresses().pop() else { continue };
        let other = SocketAddr::from((Ipv6Addr::LOCALHOST, bound.port()));
        match listeners.bind_also(other).await {
            // Somebody else's: half of the browsers would go there.
            Err(taken) if taken.source.kind() == io::ErrorKind::AddrInUse => refused = taken,
            // Some machines have none.
            Ok(()) | Err(_) => return Ok((listeners, bound.port())),
        }
    }
    Err(refused)
}

async fn fake_forge(settings: &DemoSettings) -> io::Result<FakeForge> {
    let mut refused = io::ErrorKind::AddrInUse.into();
    for port in ports(settings.forge_port) {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let fake = FakeSettings {
            version: settings.version,
            token_lifetime: settings.token_lifetime,
            listen,
            ..FakeSettings::default()
        };
        match FakeForge::start(fake).await {
            Ok(forge) => return Ok(forge),
            Err(taken) => refused = taken,
        }
    }
    Err(refused)
}

fn furnish(forge: &FakeForge, url: &Url, client_secret: &str) -> Result<[DemoAccount; 2], Unknown> {
    let account = |login| DemoAccount { login, password: readable_password() };
    let accounts = [account("alice"), account("nina")];
    let [alice, nina] = &accounts;
    forge.add_user(NewUser {
        full_name: "Alice Example".to_owned(),
        ..NewUser::new(alice.login, &alice.password)
    });
    forge.add_user(NewUser {
        full_name: "Nina New".to_owned(),
        must_change_password: true,
        ..NewUser::new(nina.login, &nina.password)
    });
    let (owner, name) = REPOSITORY;
    forge.add_user(NewUser::new(owner, &readable_password()));
    forge.add_member(alice.login, "acme", Some("ops"));
    forge.add_repository(NewRepository { owner: owner.to_owned(), name: name.to_owned(), private: false })?;
    let redirect_uri = format!("{url}_hero/auth/callback");
    forge.add_application(NewApplication::new("Cockpit (demo)", CLIENT_ID, client_secret, &redirect_uri));
    Ok(accounts)
}

/// Twelve letters that nobody mistakes for each other: typed by hand, for one demo.
fn readable_password() -> String {
    const LETTERS: &[u8; 16] = b"abcdefghkmnpqrst";
    let mut chance = [0; 12];
    OsEntropy.fill(&mut chance);
    let letter = |byte: &u8| LETTERS.get(usize::from(byte & 15)).map(|letter| char::from(*letter));
    let mut password = String::new();
    for (at, byte) in chance.iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            password.push('-');
        }
        password.extend(letter(byte));
    }
    password
}

fn proxy_toml(
    pass_through: bool,
    listeners: &Listeners,
    url: &Url,
    forge: &FakeForge,
    socket: &Path,
) -> String {
    let listen: Vec<_> = listeners.addresses().iter().map(|address| format!("\"{address}\"")).collect();
    format!(
        r#"[server]
listen = [{listen}]
public_url = "{public_url}"

[forge]
url = "{forge}"
client_id = "{CLIENT_ID}"
client_secret = {{ file = "client_secret" }}

[features]
forge_token_pass_through = {pass_through}

[access]
allow = ["user:alice", "user:nina"]

[session]
store = "sqlite"
path = "sessions.db"
key = {{ file = "session_key" }}

[[routes]]
path = "/"
upstream = "unix:{socket}"
forge_token = true
groups = true
"#,
        listen = listen.join(", "),
        public_url = url.as_str().trim_end_matches('/'),
        forge = forge.url().as_str().trim_end_matches('/'),
        socket = socket.display(),
    )
}

fn proxy(file: &Path, listeners: Listeners) -> Result<(House, Serve, JoinHandle<()>), DemoError> {
    let checked = config::load(file);
    let Some(config) = checked.config else {
        let lines: Vec<String> = checked
            .complaints
            .iter()
            .map(|complaint| config::render::line("proxy.toml", complaint))
            .collect();
        return Err(DemoError::Config(lines.concat()));
    };
    let house = House::build(config, Seams::default(), Handle::current())?;
    let readiness = Readiness::of(["forge", "store"]);
    let serve = listeners.serve(house.front(), readiness.clone());
    let watch = Handle::current().spawn(house.watch(readiness).run());
    Ok((house, serve, watch))
}
