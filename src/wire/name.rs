//! The names on the wire, and which names are reserved.

use http::HeaderName;

/// The visitor's forge access token, raw, no `Bearer `.
pub const FORGE_TOKEN: HeaderName = HeaderName::from_static("x-hero-forge-token");
/// When that token ends: unix seconds.
pub const FORGE_TOKEN_EXPIRES: HeaderName = HeaderName::from_static("x-hero-forge-token-expires");
/// The scopes that the forge really granted, separated by spaces.
pub const FORGE_SCOPES: HeaderName = HeaderName::from_static("x-hero-forge-scopes");
/// The visitor's login name on the forge.
pub const USER: HeaderName = HeaderName::from_static("x-hero-user");
/// The visitor's numeric id on the forge: stable across renames.
pub const USER_ID: HeaderName = HeaderName::from_static("x-hero-user-id");
/// The visitor's verified e-mail address.
pub const EMAIL: HeaderName = HeaderName::from_static("x-hero-email");
/// The visitor's organizations (`org`) and teams (`org:team`), separated by commas.
pub const GROUPS: HeaderName = HeaderName::from_static("x-hero-groups");
/// The request's id, the same in the log, on error pages and at the app.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The addresses that a request came through.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme that the visitor used.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that the visitor asked for.
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
