//! The command line of hero_proxy: arguments in, exit code out; everything else lies in the library.

mod cli;

use std::process::ExitCode;

/// Five percent less CPU per request for 8 KiB more per idle connection; builds for many idle clients leave it out.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
