//! `hero_proxy check`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hero_proxy::config::{self, render};

use super::exit::Exit;
use super::{ConfigFile, say};

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// For people, or for programs: one JSON object with `ok`, `complaints` and `summary`.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let path = &args.file.config;
    let (name, checked) = (path.display().to_string(), config::load(path));
    say::out(&match args.format {
        Format::Text => render::text(&name, &checked),
        Format::Json => format!("{:#}\n", render::value(&name, &checked)),
    })?;
    Ok(if checked.config.is_some() { Exit::Fine } else { Exit::BadConfig }.into())
}
