//! `hero_proxy demo`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hero_proxy::config::unit::{self, UnitError};

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How long the forge's access tokens live, with its unit: a short life shows how they are renewed.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
    pub(crate) token_lifetime: Duration,
    /// Whether the proxy passes visitors' tokens on; off: the app falls back to a pasted one.
    #[arg(long, value_enum, default_value = "on")]
    pub(crate) flag: Flag,
    /// Open the address in a browser.
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flag {
    On,
    Off,
}

/// Reads a lifetime of whole seconds, as the forge announces them.
fn lifetime(text: &str) -> Result<Duration, UnitError> {
    let span = unit::duration(text)?;
    if span.is_zero() || span.subsec_millis() != 0 { Err(UnitError::Form) } else { Ok(span) }
}

pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let _ = (args.token_lifetime, args.flag == Flag::On, args.open);
    anyhow::bail!("the rooms of this program are not joined yet")
}
