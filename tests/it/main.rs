//! The house on real sockets: one binary, a module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests and their support code")]
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::missing_panics_doc,
    reason = "tests and their support code"
)]
#![allow(
    clippy::pedantic,
    clippy::large_futures,
    clippy::explicit_write,
    reason = "tests may be plain, and skips are told on stderr"
)]
#![allow(clippy::disallowed_methods, reason = "tests may spawn and may read what they were told")]
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "nobody imports a test binary"
)]

mod support;

mod access;
mod admin;
mod admin_records;
mod answers;
mod browser;
mod chain;
mod checks;
mod cockpit;
mod config;
mod consuming;
mod crash;
mod demo_command;
mod events;
mod examples;
mod expiry;
mod floors;
mod forge_admin;
mod forge_client;
mod forge_contract;
mod forge_exchanges;
mod forge_fake;
mod forge_story;
mod forwarded;
mod forwarding;
mod headers;
mod id_token;
mod killing;
mod lasting;
mod layer;
mod lifecycle;
mod noback;
mod openrpc;
mod own_sessions;
mod papers;
mod process;
mod raw_http;
mod readiness;
mod return_to;
mod reuse;
mod secrets;
mod serving;
mod sessions;
mod shared;
mod sign_in;
mod signatures;
mod silence;
mod soak;
mod story;
mod streaming;
mod switches;
mod tokens;
mod traces;
mod trial;
mod upstream_tls;
mod welcome;
mod words;
