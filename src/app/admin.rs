//! The operator's part in the house: the room behind its own gate, and at its Unix socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body_util::Full;
use tokio::runtime::Handle;
use tower_layer::Layer as _;
use tracing::{error, warn};

use crate::admin::access::Door;
use crate::admin::http::AdminService;
use crate::admin::records::Records;
use crate::admin::service::{NoToken, Ports, TokenSource};
use crate::admin::settings::{MayCall, Settings};
use crate::app::house::{Seams, StartError};
use crate::base::fault::Fault;
use crate::base::port::Answer;
use crate::base::secret::AdminToken;
use crate::base::sqlite::SqliteSettings;
use crate::config::{self, Config, SecretReference};
use crate::forge::admin::{ForgeAdmin, HttpForgeAdmin, PasswordKind, PlaceholderDomain};
use crate::gate::{ForgeAuth, ForgeAuthLayer, ForgeKeeper};
use crate::serve::Answers;

/// The room behind its gate.
pub(super) type AdminStack = ForgeAuth<AdminService, ForgeKeeper>;
/// The room at its socket.
pub(super) type SocketService = AdminService;
pub use crate::admin::Admin;

/// A secret that is read anew each time, on a thread that may wait for the disk.
#[derive(Debug)]
struct Token(SecretReference);

impl TokenSource for Token {
    fn token(&self) -> Answer<'_, Result<AdminToken, NoToken>> {
        let reference = self.0.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || reference.read()).await;
            match read {
                Ok(Ok(secret)) => Ok(AdminToken::new(secret.expose())),
                Ok(Err(failed)) => {
                    error!(error = %failed, "the admin token cannot be read");
                    Err(NoToken)
                }
                Err(_) => Err(NoToken),
            }
        })
    }
}

impl Answers for SocketService {
    type Answer = Full<Bytes>;

    fn refuse(&self, _: Option<&Parts>, fault: Fault) -> Response<Full<Bytes>> {
        fault.problem().map(Full::from)
    }
}

/// Builds the room by the configuration, if it asks for one. Nothing is asked over the network.
///
/// # Errors
/// [`StartError`]: the records' file does not serve, or the forge's settings.
pub fn build(config: &Config, seams: &Seams, handle: &Handle) -> Result<Option<Admin>, StartError> {
    let Some(words) = &config.admin else { return Ok(None) };
    let passwords =
        if words.password_symbols { PasswordKind::WithSymbols } else { PasswordKind::Alphanumeric };
    let forge = HttpForgeAdmin::new(&config.forge, passwords, Arc::clone(&seams.entropy))?;
    let records = Records::open(&SqliteSettings::at(&words.path)).map_err(StartError::Records)?;
    let ports = Ports {
        forge: Arc::new(forge) as Arc<dyn ForgeAdmin>,
        token: Arc::new(Token(words.token.clone())),
        records,
        clock: Arc::clone(&seams.clock),
        entropy: Arc::clone(&seams.entropy),
        handle: handle.clone(),
    };
    Ok(Some(Admin::new(settings(words), ports)))
}

fn settings(words: &config::Admin) -> Settings {
    let allow = words.allow.iter().map(|rule| match rule {
        config::MayCall::SiteAdmin => MayCall::SiteAdmin,
        config::MayCall::User(login) => MayCall::User(login.clone()),
        config::MayCall::UserId(id) => MayCall::UserId(id.clone()),
    });
    Settings {
        allow: allow.collect(),
        // The check has read it before.
        placeholder: PlaceholderDomain::parse(&words.placeholder_domain).unwrap_or_default(),
        calls_per_minute: words.calls_per_minute,
        unused_after: words.unused_after,
    }
}

/// The room under another configuration.
pub(super) fn reloaded(admin: &Admin, config: &Config) -> Admin {
    config.admin.as_ref().map_or_else(|| admin.clone(), |words| admin.with(settings(words)))
}

/// The room behind a gate of its own origin.
pub(super) fn stack(
    admin: &Admin,
    keeper: &ForgeKeeper,
    config: &Config,
) -> Result<Option<AdminStack>, StartError> {
    let Some(words) = &config.admin else { return Ok(None) };
    let keeper = keeper.with(config.admin_gate(words))?;
    let origin = words.public_url.origin();
    let service = AdminService::new(admin.clone(), Door::Front, origin, &*config.gate.prefix);
    Ok(Some(ForgeAuthLayer::new(keeper).layer(service)))
}

/// The room as it is at its socket: there is no gate, and no header says who somebody is.
pub(super) fn socket(admin: &Admin, config: &Config) -> SocketService {
    // No browser comes in here: whatever says that it comes from a page is refused.
    AdminService::new(admin.clone(), Door::Socket, "unix:", &*config.gate.prefix)
}

/// From now on the gate's visitors are noted as seen.
pub(super) fn listen_to(keeper: &ForgeKeeper, admin: &Admin) {
    keeper.tell(Arc::new(admin.clone()));
}

/// Writes down what is late: now and then.
pub(super) async fn look_after(admin: &Admin) {
    if !admin.catch_up().await {
        warn!("the admin records are behind");
    }
}

/// Asks the forge what the admin token is good for; says whether it can do its work.
pub(super) async fn look_at_token(admin: &Admin) -> bool {
    admin.look_at_token().await
}

/// Waits for the room's work under way.
pub(super) async fn drain(admin: &Admin, limit: Duration) -> bool {
    admin.drain(limit).await
}
