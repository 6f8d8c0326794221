//! The life of the process: start, reload, drain.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::app::doors::{Doors, Serving};
use crate::app::house::{House, Seams};
use crate::config::{self, Config};
use crate::log;
use crate::serve::Readiness;

/// The process before it serves: its runtime, and its ears.
#[derive(Debug)]
pub struct Process {
    runtime: Runtime,
    signals: Signals,
}

impl Process {
    /// To be called first of all: from here on a hang-up means "read the file again" and never the end.
    ///
    /// # Errors
    /// The system gives no threads, or no signals.
    pub fn begin() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")?;
        let entered = runtime.enter();
        let signals = Signals::listen().context("signals cannot be listened to")?;
        drop(entered);
        Ok(Self { runtime, signals })
    }

    /// Runs the proxy until SIGTERM or SIGINT; a second one cuts the requests that the first one lets finish. SIGHUP reads
    /// `file` again.
    ///
    /// # Errors
    /// What keeps it from starting, or a listener that dies.
    pub fn run(self, config: Config, file: &Path) -> anyhow::Result<ExitCode> {
        // Two callers may both be the first; either provider is the same.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let ended = self.runtime.block_on(live(self.signals, config, file));
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        ended
    }
}

/// What tells the process what to do.
#[derive(Debug)]
struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

enum Told {
    Reload,
    End,
    ListenerGone,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self, serve: &Serving) -> Told {
        tokio::select! {
            _ = self.hang_up.recv() => Told::Reload,
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            () = serve.failed() => Told::ListenerGone,
        }
    }

    /// Ready after `limit`, or as soon as somebody asks for the end once more.
    async fn patience(&mut self, limit: Duration) {
        tokio::select! {
            () = tokio::time::sleep(limit) => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn live(mut signals: Signals, config: Config, file: &Path) -> anyhow::Result<ExitCode> {
    let doors = Doors::bind(&config).await?;
    // After the last request renewals and store writes may take as long as a lease lasts.
    let (drain, back_drain) = (config.drain, config.gate.lease());
    let public_url = config.gate.public_url.clone();
    let mut house = House::build(config, Seams::default(), Handle::current())?;
    let readiness = Readiness::of(["forge", "store"]);
    for address in doors.addresses() {
        info!(address = %address, public_url = %public_url, "serving");
    }
    let serve = doors.serve(&house, &readiness);
    let watch = Handle::current().spawn(house.watch(readiness).run());
    let counts = Handle::current().spawn(log::tell_left_out_each_minute());
    let ended = loop {
        match signals.next(&serve).await {
            Told::Reload => reload(&mut house, file),
            Told::End => break Ok(ExitCode::SUCCESS),
            Told::ListenerGone => break Err(anyhow::anyhow!("a listener has ended by itself")),
        }
    };
    info!("stopping: requests under way may finish");
    let clean = serve.shutdown_until(signals.patience(drain)).await;
    watch.abort();
    // Requests first, then what they started: the other way round they would meet cancelled work.
    let settled = house.drain(back_drain).await;
    counts.abort();
    log::tell_left_out();
    if clean && settled {
        info!("stopped");
    } else {
        warn!(requests_cut = !clean, work_cut = !settled, "stopped at the limit");
    }
    ended
}

/// A good file takes effect on the next request; a bad one is refused whole.
fn reload(house: &mut House, file: &Path) {
    let checked = config::load(file);
    let name = file.display().to_string();
    for complaint in &checked.complaints {
        warn!(complaint = %config::render::line(&name, complaint).trim_end(), "configuration");
    }
    let Some(next) = checked.config else {
        error!("reload refused: the configuration has errors; the old one stays in force");
        return;
    };
    match house.reload(next) {
        Ok(waiting) => {
            for key in waiting {
                warn!(key = key.0, "this change needs a restart; the old value stays in force");
            }
            info!("reload done: the new configuration is in force");
        }
        Err(failed) => error!(error = %failed, "reload refused; the old configuration stays in force"),
    }
}
