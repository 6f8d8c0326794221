//! `hero_proxy user` and `admin-key` in a build without the admin part: they say so.

use std::process::ExitCode;

use clap::Args;

use super::exit::Exit;
use super::say;

#[derive(Args, Debug)]
#[command(trailing_var_arg = true, disable_help_flag = true)]
pub(crate) struct UserArgs {
    #[arg(hide = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) type KeyArgs = UserArgs;

#[expect(clippy::unnecessary_wraps, reason = "the same shape as the command itself")]
pub(crate) fn user(args: UserArgs) -> anyhow::Result<ExitCode> {
    drop(args.rest);
    say::error("hero_proxy: this program was built without the admin part (feature `admin`)\n");
    Ok(Exit::Refused.into())
}

pub(crate) fn key(args: KeyArgs) -> anyhow::Result<ExitCode> {
    user(args)
}
