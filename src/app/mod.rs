//! Where the rooms meet: one configuration becomes one stack, and a new one takes its place between two requests.
//!
//! ```text
//! serve -> front -> gate -> forward
//!               \-> gate -> admin      (at its own origin)
//! serve ----------------> admin        (at its Unix socket)
//! ```
//!
//! 1. A request sees one generation of the configuration from beginning to end: what judges it and what forwards it were
//!    built from the same file, so a token cannot reach an upstream that another generation names.
//! 2. All generations share sessions, tokens, connections and work under way.

#[cfg(feature = "demo")]
pub mod demo;

pub mod sessions;

#[cfg(feature = "admin")]
pub mod admin;
#[cfg(not(feature = "admin"))]
#[path = "no_admin.rs"]
pub mod admin;

mod doors;
mod front;
mod house;
mod run;
mod vault;
mod watch;

pub use doors::{Doors, Serving};
pub use front::Front;
pub use house::{House, Seams, StartError};
pub use run::Process;
pub use watch::Watch;
