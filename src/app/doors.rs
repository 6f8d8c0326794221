//! All listeners of the process: the app's, the admin part's own, and its Unix socket.

use std::time::Duration;

use tracing::info;

use crate::app::house::House;
use crate::config::{Config, Place};
use crate::serve::settings::{Listen, Settings};
use crate::serve::{BindError, Listeners, Readiness, Serve};

/// The mode of the admin socket: its owner's alone.
const OWNERS_ONLY: u32 = 0o600;

/// Sockets that are bound and do not serve yet.
#[derive(Debug)]
pub struct Doors {
    pub(super) app: Listeners,
    pub(super) admin: Option<Listeners>,
    pub(super) socket: Option<Listeners>,
}

impl Doors {
    /// Binds every address of the configuration.
    ///
    /// # Errors
    /// An address is taken or not to be had; none is bound then.
    ///
    /// # Cancel safety
    /// Dropping the future unbinds all.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        let beside = |listen: Vec<Listen>, unix_mode| Settings {
            listen,
            health: None,
            limits: config.serve.limits.clone(),
            unix_mode,
        };
        let admin = match config.admin.as_ref().map(|admin| &admin.place) {
            Some(Place::Own(listen)) => {
                Some(Listeners::bind(&beside(listen.clone(), config.serve.unix_mode)).await?)
            }
            _ => None,
        };
        let socket = match config.admin.as_ref().and_then(|admin| admin.socket.clone()) {
            Some(socket) => Some(Listeners::bind(&beside(vec![socket], OWNERS_ONLY)).await?),
            None => None,
        };
        Ok(Self { app: Listeners::bind(&config.serve).await?, admin, socket })
    }

    /// Where the app's visitors come in; a port 0 has become a number.
    pub fn addresses(&self) -> Vec<Listen> {
        self.app.addresses()
    }

    /// Where operators come in, if that is elsewhere.
    pub fn admin_addresses(&self) -> Vec<Listen> {
        self.admin.as_ref().map(Listeners::addresses).unwrap_or_default()
    }

    /// Where health is answered.
    pub fn health_address(&self) -> Option<Listen> {
        self.app.health_address()
    }

    /// Serves the house.
    pub fn serve(self, house: &House, readiness: &Readiness) -> Serving {
        let mut beside = Vec::new();
        if let Some(admin) = self.admin {
            for address in admin.addresses() {
                info!(address = %address, "serving the admin part");
            }
            beside.push(admin.serve(house.admin_front(), readiness.clone()));
        }
        if let Some((socket, service)) = self.socket.zip(house.socket_service()) {
            for address in socket.addresses() {
                info!(address = %address, "serving programs on the admin socket");
            }
            beside.push(socket.serve(service, readiness.clone()));
        }
        Serving { app: self.app.serve(house.front(), readiness.clone()), beside }
    }
}

/// What is served. Dropping it leaves it running.
#[derive(Debug)]
pub struct Serving {
    app: Serve,
    beside: Vec<Serve>,
}

impl Serving {
    /// Ready when a listener no longer accepts although nobody asked for it.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn failed(&self) {
        let mut all: Vec<_> =
            self.beside.iter().chain([&self.app]).map(|serve| Box::pin(serve.failed())).collect();
        std::future::poll_fn(|context| {
            let is_over = all.iter_mut().any(|failed| failed.as_mut().poll(context).is_ready());
            if is_over { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    /// Accepts nobody any more, lets requests under way finish, and cuts what is left when `limit` is ready; says whether
    /// all finished by themselves.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the listeners in their drain.
    pub async fn shutdown_until(self, limit: impl Future<Output = ()>) -> bool {
        let cut = tokio_util::sync::CancellationToken::new();
        let mut clean = true;
        let all = async {
            // The admin part's requests end beside the app's, under the same limit.
            let mut beside = tokio::task::JoinSet::new();
            for serve in self.beside {
                let cut = cut.clone();
                beside.spawn(async move { serve.shutdown_until(cut.cancelled_owned()).await });
            }
            let mut clean = self.app.shutdown_until(cut.clone().cancelled_owned()).await;
            while let Some(one) = beside.join_next().await {
                clean &= one.unwrap_or(false);
            }
            clean
        };
        let mut all = std::pin::pin!(all);
        tokio::select! {
            done = all.as_mut() => clean &= done,
            () = limit => {
                cut.cancel();
                clean &= all.await;
            }
        }
        clean
    }

    /// The same, with a time.
    ///
    /// # Cancel safety
    /// As [`Serving::shutdown_until`].
    pub async fn shutdown(self, limit: Duration) -> bool {
        self.shutdown_until(tokio::time::sleep(limit)).await
    }
}
