//! To come.

use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;

/// Runs the proxy until it is told to end.
///
/// # Errors
/// What keeps it from starting, or ends it before its time.
pub fn run(config: Config, file: &Path) -> anyhow::Result<ExitCode> {
    drop((config, file));
    anyhow::bail!("the rooms of this program are not joined yet")
}
