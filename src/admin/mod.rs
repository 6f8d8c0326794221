//! An operator makes a visitor's account at the forge: one service, and its faces.
//!
//! ```text
//! person  -> gate -+
//! API key -> gate -+-> http -> admit -> rpc, methods -+
//! socket ----------+                                  +-> service -> the forge's accounts
//! command line ---------------------------------------+           -> records
//! ```
//!
//! The room lies behind a gate and believes its identity headers as any app does: it knows no gate. What it must never do
//! is in [`service`].

pub mod access;
pub mod caller;
pub mod discover;
pub mod error;
pub mod http;
pub mod methods;
pub mod records;
pub mod rpc;
pub mod service;
pub mod settings;
pub mod user;

mod form;
mod page;
mod rate;
mod refusal;
mod turns;

#[cfg(test)]
mod lab;

pub use caller::Caller;
pub use error::AdminError;
pub use service::Admin;
pub use settings::Settings;
