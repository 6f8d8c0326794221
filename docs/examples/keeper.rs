//! A section of one's own configuration, and the keeper that is made of it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hero_proxy::base::clock::SystemClock;
use hero_proxy::base::entropy::OsEntropy;
use hero_proxy::base::path::RouteTable;
use hero_proxy::base::peer::TrustedPeers;
use hero_proxy::base::seal::{KeyRing, SealKey};
use hero_proxy::base::secret::ClientSecret;
use hero_proxy::base::secret_file;
use hero_proxy::base::url::WebUrl;
use hero_proxy::forge::http;
use hero_proxy::forge::oauth::HttpForge;
use hero_proxy::gate::ForgeKeeper;
use hero_proxy::gate::keeper::Ports;
use hero_proxy::gate::settings::{
    Allow, ForgeTokenFor, GroupsFor, RouteRule, SessionSettings, Settings, WithoutToken,
};
use hero_proxy::session::memory::MemoryStore;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::runtime::Handle;

/// `[sign_in]` in the configuration of a proxy that is not hero_proxy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// What the browser sees: `https://app.example.org`. Plain http is for loopback only.
    #[serde(deserialize_with = "web_url")]
    pub public_url: WebUrl,
    /// The forge as the browser sees it.
    #[serde(deserialize_with = "web_url")]
    pub forge_url: WebUrl,
    /// The application registered there; its redirect URI is `public_url` and `/_hero/auth/callback`.
    pub client_id: String,
    /// Its secret, in a file of mode 0600.
    pub client_secret_file: PathBuf,
    /// Who may pass, by login name.
    pub allow: Vec<String>,
    /// Whether the app behind may have the visitor's forge token.
    #[serde(default)]
    pub pass_token: bool,
    /// Path prefixes that need no sign-in.
    #[serde(default)]
    pub open: Vec<String>,
}

/// Addresses are parsed here once; what is wrong with one is told with its line.
fn web_url<'de, D: Deserializer<'de>>(input: D) -> Result<WebUrl, D::Error> {
    String::deserialize(input)?.parse().map_err(D::Error::custom)
}

impl SignIn {
    /// What the gate must be told.
    fn settings(&self) -> Settings {
        let rule = |public| RouteRule {
            public,
            allow: None,
            forge_token: if self.pass_token { ForgeTokenFor::Everybody } else { ForgeTokenFor::Nobody },
            groups: GroupsFor::None,
            cross_origin: false,
            renew_on_401: false,
        };
        let open = self.open.iter().map(|prefix| (prefix.clone(), true, rule(true)));
        let words = ["openid", "profile", "email", "groups", "read:user", "write:issue"];
        Settings {
            public_url: self.public_url.clone(),
            prefix: "/_hero".to_owned(),
            forge_url: self.forge_url.clone(),
            client_id: self.client_id.clone(),
            // At least one API scope: without one the forge gives a token of full power.
            scopes: words.map(str::to_owned).to_vec(),
            forge_token_pass_through: self.pass_token,
            allow: self.allow.iter().cloned().map(Allow::User).collect(),
            routes: RouteTable::new(open.chain([("/".to_owned(), false, rule(false))])),
            session: SessionSettings {
                idle: Duration::from_hours(24),
                absolute: Duration::from_hours(24 * 30),
                recheck: Duration::from_mins(5),
            },
            min_ttl: Duration::from_mins(1),
            wait: Duration::from_secs(5),
            forge_timeout: Duration::from_secs(10),
            without_token: WithoutToken::Forward,
            trusted_proxies: TrustedPeers::default(),
            extra_reserved: Vec::new(),
            compat_oauth2_proxy: false,
        }
    }

    /// The gatekeeper. It asks nothing over the network yet; what it asks later runs on the current runtime.
    ///
    /// # Errors
    /// The secret's file, the forge's URL, or a public URL that no cookie is safe at.
    pub fn keeper(&self) -> Result<ForgeKeeper, Box<dyn Error + Send + Sync>> {
        let secret = secret_file::read(&self.client_secret_file)?;
        let forge = http::Settings {
            url: self.forge_url.clone(),
            internal_url: None,
            ca_pem: None,
            client_id: self.client_id.clone(),
            client_secret: ClientSecret::new(secret.expose().trim_ascii()),
            timeout: Duration::from_secs(10),
        };
        let clock = Arc::new(SystemClock);
        let ports = Ports {
            forge: Arc::new(HttpForge::new(forge, clock.clone())?),
            // Sessions end with the process. To keep them: SqliteStore, and a key from a file (KeyRing::from_text).
            store: Arc::new(MemoryStore::new(100_000)),
            keys: KeyRing::of(SealKey::random(&OsEntropy)),
            clock,
            entropy: Arc::new(OsEntropy),
            handle: Handle::current(),
        };
        Ok(ForgeKeeper::new(self.settings(), ports)?)
    }
}
