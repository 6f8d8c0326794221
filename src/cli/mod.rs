//! Arguments, and what each command does with them.

mod check;
#[cfg(feature = "demo")]
mod demo;
#[cfg(not(feature = "demo"))]
#[path = "no_demo.rs"]
mod demo;
mod exit;
mod reload;
mod run;
mod say;
mod session;
#[cfg(feature = "admin")]
mod user;
#[cfg(not(feature = "admin"))]
#[path = "no_user.rs"]
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, setrlimit};

use exit::Exit;

/// A forge-authenticated proxy: signs visitors in at Forgejo and hands their token to the app behind.
#[derive(Debug, Parser)]
#[command(name = "hero_proxy", version, after_help = exit::HELP, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until it is told to end.
    ///
    /// SIGTERM and Ctrl-C drain it: requests under way may end (limits.drain); a second one cuts them. SIGHUP reads the
    /// configuration again.
    #[command(after_help = exit::HELP)]
    Run(ConfigFile),
    /// Check a configuration: everything that is wrong with it, and what it means.
    ///
    /// Tells all complaints at once, each with its place and what to do. It reads the secrets that the configuration
    /// names, to see whether they are there and any good, and never prints them. It asks nothing over the network.
    #[command(after_help = exit::HELP)]
    Check(check::CheckArgs),
    /// Make a running hero_proxy read its configuration again.
    ///
    /// Checks the file first: a bad one is told and the running proxy left alone. A good one takes effect on the next
    /// request, and no session is lost. The running proxy's log names the keys that wait for a restart.
    #[command(after_help = exit::HELP)]
    Reload(reload::ReloadArgs),
    /// List the sessions in the store, or end some.
    ///
    /// It works beside a running proxy, on the same file, as the user that the proxy runs as. No id, cookie or token is
    /// ever printed: a handle opens nothing.
    #[command(subcommand, after_help = exit::HELP)]
    Session(session::SessionCommand),
    /// Make accounts at the forge, look at them, reset their passwords.
    ///
    /// Needs [admin] in the configuration. It works on the forge and the records itself, whether a hero_proxy runs or not.
    #[command(after_help = exit::HELP)]
    User(user::UserArgs),
    /// Make, list and revoke API keys for programs that call the admin part.
    #[command(after_help = exit::HELP)]
    AdminKey(user::KeyArgs),
    /// Show it all on this machine: a forge, an app and the proxy between them.
    ///
    /// Everything listens on loopback and is gone at the end (Ctrl-C). It prints the address to open, two accounts to
    /// sign in with, and what to click.
    #[command(after_help = exit::HELP)]
    Demo(demo::DemoArgs),
}

/// Which configuration.
#[derive(Args, Debug)]
struct ConfigFile {
    /// The configuration file; `proxy.example.toml` shows every key.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

/// No core file: it would hold tokens and keys. A limit can always be lowered; where there is none, there is no core either.
fn leave_no_core_file() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).ok();
}

/// Reads the arguments and does what they say. A usage error ends it with status 2 and a hint.
pub(crate) fn main() -> ExitCode {
    leave_no_core_file();
    let done = match Cli::parse().command {
        Command::Run(file) => run::run(&file.config),
        Command::Check(args) => check::check(&args),
        Command::Reload(args) => reload::reload(&args),
        Command::Session(command) => session::session(&command),
        Command::User(args) => user::user(args),
        Command::AdminKey(args) => user::key(args),
        Command::Demo(args) => demo::demo(&args),
    };
    done.unwrap_or_else(|error| {
        say::error(&format!("hero_proxy: {error:#}\n"));
        Exit::Failed.into()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
