//! Who is signed in: session ids, what is kept of a session and of an account's grant, and where it is kept.

pub mod cookie;
mod format;
pub mod id;
pub mod memory;
pub mod record;
pub mod store;
pub mod vault;

#[cfg(feature = "store-sqlite")]
pub mod sqlite;

#[cfg(feature = "test-support")]
pub mod contract;
