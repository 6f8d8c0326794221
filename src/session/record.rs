//! What is known of a session and of a grant, in clear: pure values, judged at a given time.

use std::time::Duration;

use crate::base::account::{Account, Identity, Standing};
use crate::base::clock::Timestamp;
use crate::base::secret::RefreshToken;
use crate::wire::ForgeToken;

/// A session: one browser, signed in as one account at one of our origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Whose it is.
    pub account: Account,
    /// The origin (`public_url`) that it was made at; it counts there only.
    pub origin: String,
    /// What kind of browser that was, in our own words ("Firefox on Linux"); none if it did not say.
    pub browser: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub seen_at: Timestamp,
    /// Its absolute end; use does not move it.
    pub expires_at: Timestamp,
}

impl SessionRecord {
    /// Whether it is over at `now`: at its absolute end, or unused for `idle`.
    pub fn has_ended(&self, now: Timestamp, idle: Duration) -> bool {
        self.expires_at <= now || self.seen_at.plus(idle) <= now
    }
}

/// What a grant's scope allows, beside what was asked for; judged by effective power (docs/FORGEJO.md 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeVerdict {
    /// Not known yet, or the forge could not be asked: withheld, asked again.
    Unknown,
    /// The power that was asked for.
    Exact,
    /// Less than was asked for: passed on with its true scopes.
    Narrower,
    /// More than was asked for (an old consent): withheld.
    Wider,
}

/// An account's grant: the one token set that all its sessions share, and who the account is.
#[derive(Clone, Debug)]
pub struct GrantRecord {
    /// Rises with every write.
    pub version: u64,
    /// The version that it began with. Tokens that were dropped, and others put in their place, begin anew.
    pub begun: u64,
    /// Whose it is.
    pub account: Account,
    /// Who that is, as the forge said last.
    pub identity: Identity,
    /// The access token.
    pub access: ForgeToken,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
    /// The life that the forge announced for it.
    pub access_life: Duration,
    /// The refresh token, if the forge gave one.
    pub refresh: Option<RefreshToken>,
    /// Whether the forge has said that the refresh token of this version is spent.
    pub dead: bool,
    /// The granted scopes as introspected (a space-separated list); empty while unknown.
    pub scope: String,
    /// What that means.
    pub verdict: ScopeVerdict,
    /// When the scope was last asked for.
    pub asked_at: Timestamp,
    /// Whether the forge lets the account act, as it said last.
    pub standing: Standing,
    /// When that, and who the account is, was last learnt from the forge's API; zero: never.
    pub checked_at: Timestamp,
    /// Refresh tokens of sign-ins that ran beside the one whose token is above: the forge takes the last one that it gave
    /// out, and answers come in any order. Tried when the one above is spent; the likeliest last.
    pub spares: Vec<RefreshToken>,
}

/// How a token stands at a moment (spec: a margin m = min(`min_ttl`, half of the announced life)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// More than 2m left: pass.
    Fresh,
    /// Between m and 2m (of a short-lived token: m and a quarter of its life): pass, renew behind.
    Ageing,
    /// Less than m: wait for a renewal; if that fails for now, pass while it lives.
    Stale,
    /// Its time is up; or it would live for longer than it was given, so that the clock was set back and nobody knows.
    Expired,
}

impl GrantRecord {
    /// When the forge was asked for the access token.
    pub fn obtained_at(&self) -> Timestamp {
        self.access_expires_at.minus(self.access_life)
    }

    /// How the access token stands at `now`.
    pub fn freshness(&self, now: Timestamp, min_ttl: Duration) -> Freshness {
        freshness(self.access_expires_at.since(now), self.access_life, min_ttl)
    }
}

/// A token with `left` of its announced `life` to go. Renewal behind begins at 2m, but a quarter of the life above m at
/// most: of a token that lives for 2m or less, 2m would be all its life, and every request would renew it.
fn freshness(left: Duration, life: Duration, min_ttl: Duration) -> Freshness {
    let margin = min_ttl.min(life / 2);
    if left.is_zero() || left > life {
        Freshness::Expired
    } else if left < margin {
        Freshness::Stale
    } else if left <= margin + margin.min(life / 4) {
        Freshness::Ageing
    } else {
        Freshness::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::account::UserId;

    /// Holds: R1, R14.
    #[test]
    fn a_token_ages_by_its_announced_life_and_a_new_one_is_always_fresh() {
        let check = |left_ms, life_ms, expected| {
            let (left, life) = (Duration::from_millis(left_ms), Duration::from_millis(life_ms));
            assert_eq!(freshness(left, life, Duration::from_mins(1)), expected, "{left_ms} of {life_ms} ms");
        };
        for life in [2, 1_000, 5_000, 20_000, 60_000, 119_000, 120_000, 300_000, 3_600_000] {
            check(life, life, Freshness::Fresh);
            check(life + 1, life, Freshness::Expired);
            check(0, life, Freshness::Expired);
        }
        for (left, expected) in [
            (120_001, Freshness::Fresh),
            (120_000, Freshness::Ageing),
            (60_000, Freshness::Ageing),
            (59_999, Freshness::Stale),
            (1, Freshness::Stale),
        ] {
            check(left, 3_600_000, expected);
        }
        for (left, expected) in [
            (3_751, Freshness::Fresh),
            (3_750, Freshness::Ageing),
            (2_500, Freshness::Ageing),
            (2_499, Freshness::Stale),
        ] {
            check(left, 5_000, expected);
        }
    }

    /// Holds: S5.
    #[test]
    fn a_session_ends_when_unused_and_at_its_absolute_end() {
        const HOUR: Duration = Duration::from_hours(1);
        let (start, end) = (Timestamp::from_secs(1_000), Timestamp::from_secs(1_000).plus(HOUR * 8));
        let account =
            Account { issuer: "https://forge".into(), client_id: "c".into(), sub: UserId("7".into()) };
        let seen = |seen_at| SessionRecord {
            account: account.clone(),
            origin: "https://vm1".to_owned(),
            browser: None,
            created_at: start,
            seen_at,
            expires_at: end,
        };
        let moment = Duration::from_millis(1);
        assert!(!seen(start).has_ended(start.plus(HOUR).minus(moment), HOUR));
        assert!(seen(start).has_ended(start.plus(HOUR), HOUR), "idle");
        // Used all the time, and refreshed all the time: the absolute end stays where it was.
        assert!(!seen(end.minus(moment)).has_ended(end.minus(moment), HOUR));
        assert!(seen(end.minus(moment)).has_ended(end, HOUR), "absolute");
        // A clock that was set back ends no session.
        assert!(!seen(start.plus(HOUR)).has_ended(start, HOUR));
    }
}
