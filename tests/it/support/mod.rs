//! What the tests on real sockets share.
#![allow(dead_code, reason = "not each helper is used by each test")]

pub mod bare;
pub mod browser;
pub mod canned;
pub mod desk;
pub mod echo;
pub mod hero_proc;
pub mod house;
pub mod logs;
pub mod mirror;
pub mod moody;
pub mod program;
pub mod raw;
pub mod recording;
pub mod replay;
pub mod schema;
pub mod sources;
pub mod tls;
pub mod wiretap;

use std::time::Duration;

/// The longest that a test waits for anything that ought to happen at once.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// Waits for `event` under the deadline.
pub async fn soon<F: Future>(what: &str, event: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, event).await {
        Ok(output) => output,
        Err(_) => panic!("waited {DEADLINE:?} in vain: {what}"),
    }
}

/// Waits for a moment of the real clock: a process of its own has no other.
pub async fn moment(at: tokio::time::Instant) {
    tokio::time::interval_at(at, DEADLINE).tick().await;
}

/// Bytes as text, byte for byte (ISO 8859-1), so that odd bytes show in an assertion.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The place of `needle` in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// A number that whoever runs the test may set.
pub fn number_of(variable: &str, default: u64) -> u64 {
    let Some(text) = std::env::var_os(variable) else { return default };
    text.to_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{variable} is no number"))
}
