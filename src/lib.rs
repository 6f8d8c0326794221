//! # hero_proxy
//!
//! A visitor opens an app, is sent to the forge to sign in, and lands in the app: with the forge's own access
//! token for that visitor beside the request, in the header `X-Hero-Forge-Token`.
//!
//! The crate is a house of rooms on floors; a room imports rooms of lower floors only (`tests/it/floors.rs`
//! holds that).
//!
//! | floor | rooms | feature |
//! |---|---|---|
//! | 0 | [`wire`]: what crosses the hop to the app behind | always |
//! | 1 | `base`: nouns, time, chance, secrets | `gate` or `byo` |
//! | 2 | `session`: who is signed in; `forge`: the other server | `gate` |
//! | 3 | `gate`: may you pass?; `forward`: carry it on; `serve`: listeners; `admin`: accounts at the forge; `demo` | `gate`, `server`, `admin`, `demo` |
//! | 4 | `config`: the operator's words | `server` |
//! | 5 | `log`: how the process tells what it does | `server` |
//! | 6 | `app`: where things meet | `server` |

pub mod wire;

#[cfg(any(feature = "gate", feature = "byo"))]
pub mod base;

#[cfg(feature = "gate")]
pub mod forge;
#[cfg(feature = "gate")]
pub mod gate;
#[cfg(feature = "gate")]
pub mod session;

#[cfg(feature = "admin")]
pub mod admin;
#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod forward;
#[cfg(feature = "server")]
pub mod log;
#[cfg(feature = "server")]
pub mod serve;

#[cfg(feature = "demo")]
pub mod demo;
