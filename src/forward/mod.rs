//! Carry it on: from the gate to the upstream and back.
//!
//! 1. The upstream is chosen by the bytes that the gate judged; path, query and Host go on byte for byte.
//! 2. Before this room nothing of the hop is left in the request: the gate has scrubbed it and has injected last.
//!    Here nothing is taken from the request and only `Via` is added, so what was injected arrives.
//! 3. A connection to an upstream is used again only when both messages on it ended cleanly.
//! 4. Redirects of an upstream are passed on, never followed; no request is sent twice once a byte of it has left.
//! 5. All that can wait has a limit, and a [`Fault`](crate::base::fault::Fault) that says so.

mod answer;
mod dial;
mod fault;
mod hop;
mod pools;
mod service;
mod upload;

pub mod settings;

pub use answer::{AnswerCut, ForwardBody};
pub use pools::{BadUpstream, Pools};
pub use service::{Forward, Sending};
