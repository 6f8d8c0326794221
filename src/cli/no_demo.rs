//! `hero_proxy demo` in a build without the demo.

use std::process::ExitCode;

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {}

pub(crate) fn demo(_: &DemoArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this program was built without the demo (feature `demo`)")
}
