//! The other server: what is asked of the forge, and how its answers are read.

pub mod admin;
pub mod api;
pub mod error;
pub mod http;
pub mod oauth;
pub mod scope;

mod cached;
mod discovery;
mod id_token;
mod introspect;
mod keys;
mod standing;
mod token;

#[cfg(any(feature = "demo", feature = "test-support"))]
pub mod fake;

#[cfg(feature = "test-support")]
pub mod contract;
