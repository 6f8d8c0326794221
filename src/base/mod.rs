//! Nouns and nature: what every room above speaks of. No HTTP client here, and tokio in `tasks`, `stall` and `sqlite` only.

pub mod secret;
pub mod secret_file;

#[cfg(feature = "byo")]
pub mod byo;

#[cfg(any(feature = "byo", feature = "server"))]
pub mod hero_proc;

#[cfg(feature = "gate")]
pub mod account;
#[cfg(feature = "gate")]
pub mod activity;
#[cfg(feature = "gate")]
pub mod clock;
#[cfg(feature = "gate")]
pub mod crash;
#[cfg(feature = "gate")]
pub mod entropy;
#[cfg(feature = "gate")]
pub mod fault;
#[cfg(feature = "gate")]
pub mod foreign;
#[cfg(feature = "gate")]
pub mod path;
#[cfg(feature = "gate")]
pub mod peer;
#[cfg(feature = "gate")]
pub mod port;
#[cfg(feature = "gate")]
pub mod seal;
#[cfg(feature = "gate")]
pub mod session_end;
#[cfg(feature = "store-sqlite")]
pub(crate) mod sqlite;
#[cfg(feature = "server")]
pub mod stall;
#[cfg(feature = "gate")]
pub(crate) mod tasks;
#[cfg(feature = "gate")]
pub mod url;
