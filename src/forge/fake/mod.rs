//! A little Forgejo on loopback, for the demo and for tests: it keeps state, and it has Forgejo's oddities.
//!
//! It plays what a proxy meets at a forge (`docs/FORGEJO.md` 1 to 6, and of 8 what those need): one grant per
//! user and application with a frozen scope, one counter and one nonce; token errors that are all 400; codes that never
//! expire; introspection that answers a form with 401 and a JSON body with JSON. `tests/it/forge_exchanges.rs` plays what
//! real servers answered to it, `forge::contract` holds laws on both.
//!
//! 1. Time and chance are handed in; only the signing key is made by the crypto library itself.
//! 2. One lock, no handler awaits while it holds it: what one request does is one step for all others.
//! 3. It listens on loopback only and answers only to its own name there.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use hero_proxy::forge::fake::{FakeForge, FakeSettings, NewApplication, NewUser};
//!
//! let forge = FakeForge::start(FakeSettings::default()).await.unwrap();
//! forge.add_user(NewUser::new("ada", "Lovelace-1815"));
//! forge.add_application(NewApplication::new("proxy", "client", "secret", "http://127.0.0.1:8080/cb"));
//! assert!(forge.url().as_str().starts_with("http://127.0.0.1:"));
//! # });
//! ```
//!
//! Never put it where strangers reach it: its passwords are a demo's, and its answers tell tests what they ask.

mod account_pages;
mod admin;
mod api;
mod api_json;
mod applications;
mod ask;
mod authorize;
mod caller;
mod faults;
mod front;
mod introspect;
mod issues;
mod json_body;
mod keys;
mod names;
mod operate;
mod page;
mod password_rule;
mod power;
mod record;
mod reply;
mod repositories;
mod routes;
mod rows;
mod seed;
mod server;
mod settings;
mod sign_in;
mod texts;
mod token_endpoint;
mod tokens;
mod users;
mod visitor;
mod well_known;
mod world;

pub use self::faults::{Endpoint, Fault, Gate};
pub use self::password_rule::PasswordPolicy;
pub use self::record::{Seen, Shown};
pub use self::seed::{NewApplication, NewRepository, NewUser, Unknown};
pub use self::server::FakeForge;
pub use self::settings::{FakeSettings, FakeVersion};
