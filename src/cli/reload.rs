//! `hero_proxy reload`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use hero_proxy::config;
use rustix::process::{Pid, Signal, kill_process};

use super::exit::Exit;
use super::{ConfigFile, run, say};

#[derive(Args, Debug)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// The process that runs with this configuration; in a systemd unit: $MAINPID.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,
}

pub(crate) fn reload(args: &ReloadArgs) -> anyhow::Result<ExitCode> {
    let checked = config::load(&args.file.config);
    run::tell(&args.file.config, &checked);
    if checked.config.is_none() {
        say::error("hero_proxy: the configuration has errors; the running proxy was left alone\n");
        return Ok(Exit::BadConfig.into());
    }
    let pid = Pid::from_raw(args.pid).context("not a process id")?;
    if !is_one_of_us(args.pid) {
        bail!("process {} is not a hero_proxy: nothing was done", args.pid);
    }
    kill_process(pid, Signal::HUP).with_context(|| format!("process {} cannot be told", args.pid))?;
    say::out(&format!(
        "process {} reads the configuration again; its log says what took effect\n",
        args.pid
    ))?;
    Ok(Exit::Fine.into())
}

/// Whether a process runs a program of our name: the signal would end most others. Where there is no `/proc` we cannot
/// know, and believe the caller.
fn is_one_of_us(pid: i32) -> bool {
    let name = |whose: &str| fs::read_to_string(format!("/proc/{whose}/comm")).ok();
    match name("self") {
        None => true,
        ours => name(&pid.to_string()) == ours,
    }
}
