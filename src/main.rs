//! The command line of hero_proxy: arguments in, exit code out; everything else lies in the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
