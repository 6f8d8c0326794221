//! May you pass? The layer, what it asks, and the keeper that answers by the forge.
//!
//! ```text
//! request -> service: scrub -> keeper.decide -> Now(Pass)   -> inject -> the app
//!                                            -> Now(Answer) -> a page, a redirect, problem+json
//!                                            -> Later       -> store or forge, then Pass or Answer
//! answer  <- service: our cookies and names taken out, `private` where somebody is signed in
//! ```

pub mod answer;
mod asking;
pub mod body;
pub mod end;
pub mod keeper;
pub mod layer;
mod leases;
pub mod reason;
pub mod return_path;
pub mod settings;
pub mod verdict;

mod barred;
mod browser;
mod challenge;
mod exchange;
mod flight;
mod flow;
mod judge;
mod keep;
mod near;
mod own;
mod own_sessions;
mod pages;
mod reader;
mod recheck;
mod renew;
mod request_id;
mod round;
mod rules;
mod scope;
mod sessions;
mod siblings;
mod sign_in;
mod steady;
mod stranger;
mod terms;
mod tie;
mod trial;
mod unsaved;
mod uses;
mod watch;

#[cfg(test)]
mod lab;

pub use keeper::ForgeKeeper;
pub use layer::{ForgeAuth, ForgeAuthLayer};
pub use settings::Settings;
