//! `hero_proxy run`.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use hero_proxy::config::{self, Checked, render};
use hero_proxy::{app, log};

use super::exit::Exit;
use super::say;

pub(crate) fn run(file: &Path) -> anyhow::Result<ExitCode> {
    let process = app::Process::begin()?;
    let checked = config::load(file);
    tell(file, &checked);
    let Some(config) = checked.config else { return Ok(Exit::BadConfig.into()) };
    log::init(&config.log)?;
    process.run(config, file)
}

/// Tells all complaints: with their source lines on a terminal, without them else, since a log must not quote the file.
pub(crate) fn tell(file: &Path, checked: &Checked) {
    let name = file.display().to_string();
    let is_terminal = io::stderr().is_terminal();
    for complaint in &checked.complaints {
        let tell = if is_terminal { render::frame } else { render::line };
        say::error(&tell(&name, complaint));
    }
}
