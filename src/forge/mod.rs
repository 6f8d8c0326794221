//! The other server: what is asked of the forge, and how its answers are read.

pub mod api;
pub mod error;
pub mod http;
pub mod id_token;
pub mod oauth;
pub mod scope;

#[cfg(any(feature = "demo", feature = "test-support"))]
pub mod fake;

#[cfg(feature = "test-support")]
pub mod contract;
