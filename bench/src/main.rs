//! What the proxy costs. The first argument says what is measured; the scripts beside `src` build the proxy and start this.
//!
//! What all measurements share: a forge and a backend in this process, the proxy in one of its own, people who sign in,
//! and requests of a browser's size.

#![allow(clippy::disallowed_methods, reason = "a measurement may spawn, and reads what its scripts tell it")]

mod browser;
mod compare;
mod instructions;
mod load;
mod memory;
mod proxy;
mod refreshes;
mod table;

use std::error::Error;
use std::time::Duration;

use hero_proxy::forge::fake::{FakeForge, FakeSettings, NewApplication, NewUser};

/// Whatever goes wrong ends the measurement, and is said.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Our registration at the forge.
pub const CLIENT_ID: &str = "bench";
/// Its secret.
pub const CLIENT_SECRET: &str = "gT7vQx29LmZk41RwPb83NsYd56HcJf";
/// Everybody's password.
pub const PASSWORD: &str = "Password-of-nobody-1";

/// A forge that knows `people` people, and the proxy that will listen on `port`.
pub async fn forge(people: usize, port: u16, token_life: Duration) -> Outcome<FakeForge> {
    let settings = FakeSettings { token_lifetime: token_life, ..FakeSettings::default() };
    let forge = FakeForge::start(settings).await?;
    for number in 0..people {
        forge.add_user(NewUser::new(&login(number), PASSWORD));
    }
    let callback = format!("http://localhost:{port}/_hero/auth/callback");
    forge.add_application(NewApplication::new("bench", CLIENT_ID, CLIENT_SECRET, &callback));
    Ok(forge)
}

/// The sign-in name of somebody.
pub fn login(number: usize) -> String {
    format!("person{number}")
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((what, more)) if what == "instructions" => instructions::measure_all(more).await,
        Some((what, more)) if what == "compare" => compare::measure_all(more).await,
        Some((what, more)) if what == "refreshes" => refreshes::measure_all(more).await,
        Some((what, more)) if what == "memory" => memory::measure_all(more).await,
        _ => Err("instructions, compare, refreshes or memory".into()),
    }
}
