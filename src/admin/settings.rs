//! What the room must be told. The app makes it out of the configuration.

use std::time::Duration;

use crate::forge::admin::PlaceholderDomain;

/// All that the room needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which persons may call.
    pub allow: Vec<MayCall>,
    /// Where the e-mail addresses of those lie who have none.
    pub placeholder: PlaceholderDomain,
    /// Calls a minute that one caller may make.
    pub calls_per_minute: u32,
    /// After how long a first password that was never used shows.
    pub unused_after: Duration,
}

/// One line of `[admin] allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayCall {
    /// `site-admin`: whoever is a site admin of the forge at that moment.
    SiteAdmin,
    /// `user:root1`, by the forge's name of that moment, without regard to ASCII case.
    User(String),
    /// `user-id:1`
    UserId(String),
}
