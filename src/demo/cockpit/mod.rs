//! The reference cockpit: a small app behind hero_proxy that files feedback on the forge as the visitor. It shows all of
//! the consumer's part ([`wire`](crate::wire)), and it is what the demo and the end-to-end tests open.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | who I am, where my token came from, the feedback form |
//! | `POST /feedback` | files an issue; the same form twice files it once |
//! | `GET /settings` | the pasted token's state |
//! | `POST /settings/token`, `POST /settings/token/remove` | paste, replace, remove |
//! | `GET /app/…` | says which path and query were asked for |
//! | `GET /assets/cockpit.css` | the style |
//!
//! It never shows a token, never logs one, and never shows the forge's own words.

mod answer;
mod filing;
mod forge_calls;
mod guard;
mod handlers;
mod once;
mod pages;
mod serve;
mod settings;
mod words;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_http::csrf::CsrfLayer;

use crate::base::byo::ByoSlot;
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::secret_file::SecretFolder;
use crate::base::tasks::Tasks;
use crate::wire::consume::ConsumeForgeTokenLayer;

pub use settings::{BadRepository, CockpitSettings, Listen, Repository};

/// A form's largest body in bytes: 64 KiB of text take three times as much in a form, and something for the rest.
const MAX_FORM_BYTES: usize = 256 * 1024;

/// A running cockpit. Dropping it stops it: what is under way is finished, nothing new is taken.
#[derive(Debug)]
pub struct Cockpit {
    address: Listen,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    tasks: Tasks,
}

impl Cockpit {
    /// Starts a cockpit on the current runtime. It listens when this returns.
    ///
    /// # Errors
    /// It cannot listen there, or the machine's TLS set-up is broken.
    pub async fn start(
        settings: CockpitSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> io::Result<Self> {
        let bound = serve::Bound::new(&settings.listen).await?;
        let address = bound.address()?;
        let tasks = Tasks::on(Handle::current());
        let forge =
            forge_calls::ForgeIssues::new(&settings.forge_url, &settings.repository, settings.forge_timeout)
                .map_err(io::Error::other)?;
        let (owner, name) = (settings.repository.owner(), settings.repository.name());
        let cockpit = handlers::Cockpit {
            forge,
            slot: Arc::new(ByoSlot::new(SecretFolder::new(&settings.slot_dir))),
            forms: once::Forms::new(entropy.as_ref()),
            places: words::Places::new(settings.forge_url.clone(), owner, name, &settings.proxy_prefix),
            repository: format!("{owner}/{name}"),
            sign_out: format!("{}/auth/logout", settings.proxy_prefix),
            clock,
            tasks: tasks.clone(),
        };
        let stop = CancellationToken::new();
        let server = serve::serve(bound, router(Arc::new(cockpit), &settings), stop.clone());
        let server = Handle::current().spawn(server);
        Ok(Self { address, stop, server: Some(server), tasks })
    }

    /// Where it listens, the port filled in.
    pub fn address(&self) -> &Listen {
        &self.address
    }

    /// Stops it, and waits until what is under way has ended, `limit` at most for each of server and filings.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting; the cockpit stops all the same.
    pub async fn stop(mut self, limit: Duration) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            drop(tokio::time::timeout(limit, server).await);
        }
        self.tasks.drain(limit).await;
    }
}

impl Drop for Cockpit {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The routes, and what every request passes on its way to them; the last layer is the outermost.
fn router(cockpit: handlers::Shared, settings: &CockpitSettings) -> Router {
    let guard = guard::Guard::new(settings.hosts.clone(), settings.forge_timeout);
    Router::new()
        .route("/", get(handlers::home))
        .route("/feedback", post(handlers::feedback))
        .route("/settings", get(handlers::settings))
        .route("/settings/token", post(handlers::save_token))
        .route("/settings/token/remove", post(handlers::remove_token))
        .route("/app/{*rest}", get(handlers::view))
        .route("/assets/cockpit.css", get(handlers::style))
        .fallback(handlers::nothing_here)
        .with_state(cockpit)
        // Forms have an end.
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        // What did not count is said in the log.
        .layer(middleware::from_fn(guard::log_refusals))
        // Headers become a visitor and a token, or nothing.
        .layer(ConsumeForgeTokenLayer::new(settings.trust.clone()))
        // No other site may send cockpit's forms.
        .layer(CsrfLayer::new())
        // No request is for another host, none takes for ever, and every answer has its security headers.
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::guard))
}
