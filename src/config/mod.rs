//! The operator's words: one TOML file becomes the settings of all rooms.
//!
//! 1. Everything that is wrong is told at once, each thing with its line, its column, its key and what to do.
//! 2. A [`Config`] has no "not set": defaults stand in the key table ([`keys`]) and nowhere else.
//! 3. Secrets stand elsewhere and are named here; nothing of a secret gets into a complaint.
//! 4. Nothing is asked over the network; hero_proc is asked over its socket for the secrets that are there.

pub mod change;
pub mod check;
pub mod complaint;
pub mod keys;
pub mod log;
pub mod render;
pub mod source;
pub mod summary;
pub mod unit;

mod hush;
mod raw;
mod statement;

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

pub use check::{Admin, Checked, KeyPlan, MayCall, Place, Route, Store, key_plan};
pub use complaint::Complaint;
pub use source::{SecretError, SecretReference, Source};

use crate::forge::http as forge;
use crate::forward::settings as forward;
use crate::gate::settings as gate;
use crate::serve::settings as serve;

/// The longest configuration file, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// A configuration without errors: the settings of all rooms.
#[derive(Clone, Debug)]
pub struct Config {
    /// For the gate.
    pub gate: gate::Settings,
    /// For the forge's client.
    pub forge: forge::Settings,
    /// For forwarding.
    pub forward: forward::Settings,
    /// For listeners.
    pub serve: serve::Settings,
    /// The routes in the order of the file; `gate` and `forward` have them as tables.
    pub routes: Vec<Route>,
    /// Where sessions are kept.
    pub store: Store,
    /// The operator's part, if there is one.
    pub admin: Option<Admin>,
    /// How to log.
    pub log: log::LogSettings,
    /// How long requests under way may take to end after SIGTERM.
    pub drain: Duration,
}

/// A configuration file that cannot be read at all.
#[derive(Debug, Error)]
enum Unreadable {
    #[error("the configuration file cannot be read: {0}")]
    Io(#[source] std::io::Error),
    #[error("the configuration file is longer than 1 MiB")]
    TooLong,
    #[error("the configuration file is not UTF-8 text")]
    NotText,
}

/// Reads and checks the configuration file at `path`. A file that cannot be read is one complaint without a place.
pub fn load(path: &Path) -> Checked {
    match read(path) {
        Ok(text) => check::check(&text, &Source::of(path)),
        Err(error) => {
            let fix = error.fix().to_owned();
            Checked { config: None, complaints: vec![Complaint::of_file(error.to_string(), fix)] }
        }
    }
}

impl Unreadable {
    /// What to do. The file's name stands before a complaint wherever one is shown.
    fn fix(&self) -> &'static str {
        match self {
            Self::Io(error) if error.kind() == ErrorKind::NotFound => "make the file, or correct its path",
            Self::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
                "let the user that runs hero_proxy read the file, and pass through the folders above it"
            }
            Self::Io(error) if error.kind() == ErrorKind::IsADirectory => "name a file in this folder",
            Self::Io(_) => "name a TOML file that the user that runs hero_proxy can read",
            Self::TooLong | Self::NotText => "name a TOML file; `proxy.example.toml` is one",
        }
    }
}

fn read(path: &Path) -> Result<String, Unreadable> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(Unreadable::Io)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unreadable::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Unreadable::NotText)
}
