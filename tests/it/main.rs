//! The house on real sockets: one binary, a module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests and their support code")]
#![allow(clippy::indexing_slicing, clippy::missing_panics_doc, reason = "tests and their support code")]
#![allow(clippy::disallowed_methods, reason = "tests may spawn and may read what they were told")]
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "nobody imports a test binary"
)]

mod support;

mod browser;
mod config;
mod forge_client;
mod forge_story;
mod forwarding;
mod forge_exchanges;
mod raw_http;
mod reuse;
mod serving;
mod streaming;
mod upstream_tls;
