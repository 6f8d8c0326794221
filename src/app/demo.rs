//! The whole story on one machine: a fake forge, the reference cockpit, and the proxy between them with its operator's part,
//! as an operator would configure it. All of it listens on loopback, lives in one temporary folder, and leaves nothing behind.
//!
//! Cookies know no ports, so what must not share any has a host of its own: the app is at `localhost`, the operator's part
//! and the forge at `127.0.0.1`. Else an operator's session would travel to the app.

mod stage;

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

use crate::app::doors::{Doors, Serving};
use crate::app::house::{House, Seams, StartError};
use crate::base::clock::SystemClock;
use crate::base::entropy::{OsEntropy, random_text};
use crate::base::secret::SecretText;
use crate::base::secret_file::{self, SecretFileError};
use crate::config;
use crate::demo::cockpit::{self, Cockpit, CockpitSettings, Repository};
use crate::forge::fake::{FakeForge, FakeVersion, Unknown};
use crate::serve::{BindError, Readiness};
use crate::wire::trust::Trust;
use stage::{People, Written};

/// How the demo is to be.
#[derive(Clone, Debug)]
pub struct DemoSettings {
    /// How long the forge's access tokens live.
    pub token_lifetime: Duration,
    /// The flag.
    pub pass_through: bool,
    /// Whether the first account once allowed the app more than it asks for today.
    pub old_consent: bool,
    /// Which release line the fake forge plays.
    pub version: FakeVersion,
    /// Where the proxy listens if it can; another port is picked if not. 0: any.
    pub proxy_port: u16,
    /// Where the operator's part listens if it can. 0: any.
    pub admin_port: u16,
    /// Where the forge listens if it can. 0: any.
    pub forge_port: u16,
    /// Who may use the app, as in `[access] allow`: everybody at the forge, so that a new account can sign in at once.
    pub allow: Vec<String>,
}

impl Default for DemoSettings {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_hours(1),
            pass_through: true,
            old_consent: false,
            version: FakeVersion::V15,
            proxy_port: 8080,
            admin_port: 8081,
            forge_port: 3000,
            allow: vec!["any-user".to_owned()],
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

/// What an account allowed the app long ago, where that is to be tried.
const OLD_CONSENT: &str = "openid profile email groups read:user write:issue write:repository";

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
    /// Where the operator's page is; it leads there by itself.
    pub admin_url: Url,
    /// A site admin of the forge.
    pub operator: DemoAccount,
    /// The forge.
    pub forge: FakeForge,
    /// The proxy.
    pub house: House,
    folder: TempDir,
    cockpit: Cockpit,
    serving: Serving,
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
        let (app, app_port) = stage::app_listeners(settings.proxy_port).await?;
        let (admin, admin_port) = stage::admin_listeners(settings.admin_port).await?;
        let address = |host, port| Url::parse(&format!("http://{host}:{port}/")).map_err(io::Error::other);
        let (url, admin_url) = (address("localhost", app_port)?, address("127.0.0.1", admin_port)?);
        let forge = stage::fake_forge(settings).await?;
        let client_secret = random_text::<32>(&OsEntropy);
        let People { accounts, operator, admin_token } =
            stage::furnish(&forge, [&url, &admin_url], &client_secret)?;
        if settings.old_consent {
            let [first, _] = &accounts;
            forge.set_grant_scope(first.login, CLIENT_ID, OLD_CONSENT)?;
        }

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
                hosts: vec![format!("localhost:{app_port}")],
                forge_timeout: Duration::from_secs(10),
            },
            Arc::new(SystemClock),
            Arc::new(OsEntropy),
        )
        .await?;

        let file = folder.path().join("proxy.toml");
        secret_file::create_new(&folder.path().join("client_secret"), &SecretText::new(client_secret))?;
        secret_file::create_new(&folder.path().join("admin_token"), &admin_token)?;
        let toml = stage::proxy_toml(&Written {
            settings,
            app: (&app, &url),
            admin: (&admin, &admin_url),
            forge: forge.url(),
            upstream: &socket,
        });
        std::fs::write(&file, toml)?;
        let house = house(&file)?;
        let readiness = Readiness::of(["forge", "store"]);
        let serving = Doors { app, admin: Some(admin), socket: None }.serve(&house, &readiness);
        let watch = Handle::current().spawn(house.watch(readiness).run());
        Ok(Self { url, accounts, admin_url, operator, forge, house, folder, cockpit, serving, watch })
    }

    /// Where the demo keeps its files while it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends all of it and removes the folder.
    pub async fn stop(self) {
        let limit = Duration::from_secs(5);
        self.serving.shutdown(limit).await;
        self.watch.abort();
        self.house.drain(limit).await;
        self.cockpit.stop(limit).await;
        self.forge.shutdown().await;
        drop(self.folder);
    }
}

fn house(file: &Path) -> Result<House, DemoError> {
    let checked = config::load(file);
    let Some(config) = checked.config else {
        let lines: Vec<String> = checked
            .complaints
            .iter()
            .map(|complaint| config::render::line("proxy.toml", complaint))
            .collect();
        return Err(DemoError::Config(lines.concat()));
    };
    Ok(House::build(config, Seams::default(), Handle::current())?)
}
