//! The composition root: settings in, a stack out.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::runtime::Handle;
use tower_layer::Layer;

use crate::app::admin::{self, Admin, SocketService};
use crate::app::front::{AdminPart, Front, Generation, Takes};
use crate::app::vault::{self, VaultError};
use crate::app::watch::{ForgeHealth, Watch};
use crate::base::clock::{Clock, SystemClock};
use crate::base::entropy::{Entropy, OsEntropy};
use crate::base::seal::KeyRing;
use crate::config::change::{self, NeedsRestart};
use crate::config::{self, Config, Place};
use crate::forge::api::ForgeOauth;
use crate::forge::http::BadSettings;
use crate::forge::oauth::HttpForge;
use crate::forward::{BadUpstream, Pools};
use crate::gate::body::Untrailed;
use crate::gate::keeper::Ports;
use crate::gate::{ForgeAuthLayer, ForgeKeeper};
use crate::serve::{Readiness, RequestBody};
use crate::session::cookie::UnsafeOrigin;
use crate::session::store::SessionStore;

/// Time and chance, as the house is to know them.
#[derive(Clone, Debug)]
pub struct Seams {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for Seams {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(OsEntropy) }
    }
}

/// What keeps a house from being built, or a new configuration from taking effect.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store or its key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The forge's client.
    #[error(transparent)]
    Forge(#[from] BadSettings),
    /// An upstream.
    #[error(transparent)]
    Upstream(#[from] BadUpstream),
    /// The public URL.
    #[error(transparent)]
    Origin(#[from] UnsafeOrigin),
    /// The admin part's records.
    #[cfg(feature = "admin")]
    #[error("admin.path")]
    Records(#[source] crate::base::sqlite::OpenError),
}

/// The house: what lives as long as the process, and the stack of the moment.
#[derive(Debug)]
pub struct House {
    config: Config,
    keeper: ForgeKeeper,
    pools: Pools<Untrailed<RequestBody>>,
    admin: Option<Admin>,
    now: Arc<ArcSwap<Generation>>,
    forge: Arc<dyn ForgeOauth>,
    store: Arc<dyn SessionStore>,
}

impl House {
    /// Builds the house. Nothing is asked over the network; work on store and forge runs on `handle`.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn build(config: Config, seams: Seams, handle: Handle) -> Result<Self, StartError> {
        let (store, keys) = vault::open(&config.store, &seams.entropy)?;
        Self::with_store(config, seams, handle, store, keys)
    }

    /// Builds the house on a store that is open already, instead of the one that the configuration names.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn with_store(
        config: Config,
        seams: Seams,
        handle: Handle,
        store: Arc<dyn SessionStore>,
        keys: KeyRing,
    ) -> Result<Self, StartError> {
        let admin = admin::build(&config, &seams, &handle)?;
        let forge: Arc<dyn ForgeOauth> =
            Arc::new(HttpForge::new(config.forge.clone(), Arc::clone(&seams.clock))?);
        let pools = Pools::new(&*seams.entropy);
        let ports = Ports {
            forge: Arc::clone(&forge),
            store: Arc::clone(&store),
            keys,
            clock: seams.clock,
            entropy: seams.entropy,
            handle,
        };
        let keeper = ForgeKeeper::new(config.gate.clone(), ports)?;
        if let Some(admin) = &admin {
            admin::listen_to(&keeper, admin);
        }
        let now = Arc::new(ArcSwap::from_pointee(generation(&keeper, &pools, admin.as_ref(), &config)?));
        Ok(Self { config, keeper, pools, admin, now, forge, store })
    }

    /// The service to serve at the app's addresses.
    pub fn front(&self) -> Front {
        Front { now: Arc::clone(&self.now), is_admins: false }
    }

    /// The service to serve at the admin part's own addresses.
    pub fn admin_front(&self) -> Front {
        Front { now: Arc::clone(&self.now), is_admins: true }
    }

    /// The service to serve at the admin part's Unix socket, if there is an admin part.
    pub fn socket_service(&self) -> Option<SocketService> {
        self.admin.as_ref().map(|admin| admin::socket(admin, &self.config))
    }

    /// The admin part, if there is one.
    pub fn admin(&self) -> Option<&Admin> {
        self.admin.as_ref()
    }

    /// Takes a new configuration from the next request on. No session and no connection is lost. What needs a restart
    /// keeps its old value, and is named.
    ///
    /// # Errors
    /// [`StartError`]: the old configuration stays.
    pub fn reload(&mut self, next: Config) -> Result<Vec<NeedsRestart>, StartError> {
        let waiting = change::diff(&self.config, &next);
        // What was built at the start stays as it is: a half-changed origin or client would serve nobody.
        let next = self.config.reloaded(next);
        let keeper = self.keeper.with(next.gate.clone())?;
        let admin = self.admin.as_ref().map(|admin| admin::reloaded(admin, &next));
        self.now.store(Arc::new(generation(&keeper, &self.pools, admin.as_ref(), &next)?));
        (self.keeper, self.admin) = (keeper, admin);
        self.config = next;
        Ok(waiting)
    }

    /// The configuration of the moment.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Looks whether forge and store answer, tells the readiness, and sweeps the store: once a minute while all is well,
    /// sooner while it is not.
    pub fn watch(&self, readiness: Readiness) -> Watch {
        Watch {
            forge: Arc::clone(&self.forge),
            store: Arc::clone(&self.store),
            keeper: self.keeper.clone(),
            readiness,
            health: ForgeHealth::Unknown,
            admin: self.admin.clone(),
            token_works: false,
        }
    }

    /// Waits for renewals, sign-ins and store writes under way, `limit` at most; says whether they have ended.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the work.
    pub async fn drain(&self, limit: Duration) -> bool {
        let settled = self.keeper.drain(limit).await;
        match &self.admin {
            Some(admin) => admin::drain(admin, limit).await && settled,
            None => settled,
        }
    }
}

fn generation(
    keeper: &ForgeKeeper,
    pools: &Pools<Untrailed<RequestBody>>,
    admin: Option<&Admin>,
    config: &Config,
) -> Result<Generation, StartError> {
    let app = ForgeAuthLayer::new(keeper.clone()).layer(pools.forward(&config.forward)?);
    let stack = match admin {
        Some(admin) => admin::stack(admin, keeper, config)?,
        None => None,
    };
    let below = format!("{}/admin/", config.gate.prefix);
    let takes = config.admin.as_ref().map(takes);
    Ok(Generation { app, admin: stack.zip(takes).map(|(stack, takes)| AdminPart { stack, takes, below }) })
}

/// Which requests at the app's addresses are the admin part's.
fn takes(admin: &config::Admin) -> Takes {
    match admin.place {
        Place::Alone => Takes::All,
        Place::Own(_) => Takes::Nothing,
        Place::AppsOrigin => Takes::Below,
        Place::Host => {
            let url = admin.public_url.origin();
            let bare = url.split_once("://").map_or(url.as_str(), |(_, host)| host).to_owned();
            let usual = if url.starts_with("https") { 443 } else { 80 };
            let has_port = bare.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            Takes::Host([if has_port { bare.clone() } else { format!("{bare}:{usual}") }, bare])
        }
    }
}
