//! Listeners, limits, drain, health.
//!
//! 1. Each address is bound once, and a failure to bind is said before anything is served.
//! 2. A client that is too slow, too long or too large gets a status or a closed connection, and costs nobody else
//!    anything.
//! 3. On shutdown no new connection is accepted, requests under way finish, and after the limit all is cut.
//! 4. Health is answered on a listener of its own; there is nothing else, and it is nowhere else.

mod accept;
mod admit;
mod body;
mod connection;
mod edge;
mod health;
mod linger;
mod listen;
mod patience;
mod turn;
mod unread;

pub mod settings;

pub use accept::{Listeners, Serve, Serves};
pub use body::{RequestBody, RequestCut};
pub use edge::Answers;
pub use health::Readiness;
pub use listen::BindError;
