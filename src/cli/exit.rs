//! The exit codes of all commands: the one place that knows them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Fine,
    /// The configuration has errors; what runs was left alone.
    BadConfig,
    // 2 is clap's, for a command line that it does not understand.
    /// It could not start, or ended before its time.
    Failed,
    /// What was asked for was refused, and the words say why.
    Refused,
}

/// What `--help` says of them.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  the configuration has errors; whatever runs was left alone
  2  the command line is wrong
  3  it could not start, or ended before its time
  4  the forge or the records refused what was asked for";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::BadConfig => 1,
            Exit::Failed => 3,
            Exit::Refused => 4,
        })
    }
}
