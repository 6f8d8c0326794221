//! Is this account still welcome at the forge? When that is asked, and what follows from the answer (pure).
//!
//! 1. What the forge said of an account counts for an interval. After it the next request asks first, so that whoever is
//!    suspended has no access beyond it; of a person who is barred a page asks again sooner, so that they go straight on.
//! 2. A forge that does not say so proves nothing: what was known goes on, and is asked for behind requests, at rest
//!    between tries.

use std::time::Duration;

use crate::base::account::{Identity, Standing};
use crate::base::clock::Timestamp;
use crate::forge::api::Profile;
use crate::gate::reason::{self, Reason};
use crate::gate::verdict::Reader;
use crate::session::record::GrantRecord;

/// How soon a page of somebody who is barred asks again.
const BARRED_AGAIN: Duration = Duration::from_secs(3);
/// How long the forge is left alone after a first, second, ... look that told nothing, in seconds; the last counts for
/// all that follow.
const RESTS: [u64; 4] = [10, 20, 40, 60];

/// Looks at one account that told nothing, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failing {
    /// When a look last told something: a later one ends the row.
    after: Timestamp,
    /// How many told nothing.
    times: usize,
    /// When the last of them ended.
    since: Timestamp,
}

impl Failing {
    /// One more, of an account that was looked at with success at `after`.
    pub(super) fn again(before: Option<Self>, after: Timestamp, now: Timestamp) -> Self {
        let times = before.filter(|before| before.after == after).map_or(0, |before| before.times);
        Self { after, times: times.saturating_add(1), since: now }
    }

    /// A look that takes its time: it counts as one that told nothing, until it has ended.
    pub(super) fn late(before: Option<Self>, after: Timestamp, now: Timestamp) -> Self {
        before.filter(|before| before.after == after).unwrap_or_else(|| Self::again(None, after, now))
    }

    /// Whether it is so fresh that the next request goes on without waiting for a look.
    fn counts(self, now: Timestamp) -> bool {
        now.since(self.since) < COUNTS
    }

    /// Whether the forge is left alone at `now`. A clock that was set back ends a rest.
    fn rests(self, now: Timestamp) -> bool {
        let secs = RESTS.get(self.times.saturating_sub(1)).or(RESTS.last()).copied().unwrap_or_default();
        self.since <= now && now.since(self.since) < Duration::from_secs(secs)
    }
}

/// How long a look that told nothing tells something of the next one: longer than any rest.
const COUNTS: Duration = Duration::from_mins(2);

/// Whether the forge is to be asked about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// No: what is known counts.
    No,
    /// Behind the request.
    Behind,
    /// Before the request goes on.
    First,
}

/// How long what is known of an account counts for this reader.
pub(super) fn counts_for(standing: Standing, reader: Reader, interval: Duration) -> Duration {
    match (standing, reader) {
        (Standing::Good, _) | (_, Reader::Program) => interval,
        (_, Reader::Navigation | Reader::Page) => interval.min(BARRED_AGAIN),
    }
}

/// Whether it is time to ask, of an account whose standing counts for `interval`.
pub(super) fn due(
    grant: &GrantRecord,
    now: Timestamp,
    interval: Duration,
    failing: impl FnOnce() -> Option<Failing>,
) -> Due {
    let at = grant.checked_at;
    // A moment to come is no reason to wait: the clock was set back.
    if grant.dead || at <= now && now.since(at) < interval {
        return Due::No;
    }
    match failing().filter(|failing| failing.after == at && failing.counts(now)) {
        None => Due::First,
        Some(failing) if failing.rests(now) => Due::No,
        Some(_) => Due::Behind,
    }
}

/// What the forge said.
#[derive(Debug)]
pub(super) struct Learnt {
    pub standing: Standing,
    /// Who the account is now, where it may act and the forge said it.
    pub profile: Option<Profile>,
    /// When; none if a part is missing, which is asked for again.
    pub whole_at: Option<Timestamp>,
}

impl Learnt {
    /// The grant with that.
    pub(super) fn put_on(&self, stored: GrantRecord) -> GrantRecord {
        GrantRecord {
            standing: self.standing,
            identity: self
                .profile
                .as_ref()
                .map_or_else(|| stored.identity.clone(), |profile| identity(&stored.identity, profile)),
            checked_at: self.whole_at.unwrap_or(stored.checked_at),
            ..stored
        }
    }
}

/// Who somebody is now. Userinfo tells the address whatever the scope, so one that was not granted stays unknown; an
/// account that may act has a verified one.
fn identity(known: &Identity, profile: &Profile) -> Identity {
    Identity {
        id: known.id.clone(),
        login: profile.login.clone(),
        name: known.name.as_ref().and(profile.name.clone()),
        email: known.email.as_ref().and(profile.email.clone()),
        groups: profile.groups.clone(),
    }
}

/// Why a barred account is refused; none if it is not.
pub(super) fn reason(standing: Standing) -> Option<Reason> {
    match standing {
        Standing::Good => None,
        Standing::Suspended => Some(reason::ACCOUNT_SUSPENDED),
        Standing::MustChangePassword => Some(reason::PASSWORD_CHANGE_REQUIRED),
        Standing::Refused => Some(reason::ACCOUNT_REFUSED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::account::Group;
    use crate::base::clock::Clock as _;
    use crate::gate::lab::{Lab, profile};

    const FIVE: Duration = Duration::from_mins(5);

    /// Holds: R16.
    #[tokio::test]
    async fn an_account_is_asked_about_once_in_the_interval_and_at_rest_after_a_look_that_told_nothing() {
        let lab = Lab::new();
        let (grant, start) = (lab.grant(1, 1), lab.clock.now());
        let secs = |secs| start.plus(Duration::from_secs(secs));
        let check = |at, failing: Option<Failing>, expected| {
            assert_eq!(due(&grant, at, FIVE, || failing), expected, "{at:?} {failing:?}");
        };
        check(start, None, Due::No);
        check(secs(300).minus(Duration::from_millis(1)), None, Due::No);
        check(secs(300), None, Due::First);
        check(start.minus(Duration::from_millis(1)), None, Due::First);
        let once = Failing::again(None, start, secs(300));
        check(secs(309), Some(once), Due::No);
        check(secs(310), Some(once), Due::Behind);
        let twice = Failing::again(Some(once), start, secs(310));
        check(secs(329), Some(twice), Due::No);
        check(secs(330), Some(twice), Due::Behind);
        let often = (0..9).fold(twice, |failing, _| Failing::again(Some(failing), start, secs(400)));
        check(secs(459), Some(often), Due::No);
        check(secs(460), Some(often), Due::Behind);
        check(secs(399), Some(often), Due::Behind);
        // One of long ago, since when nobody came, tells nothing of the next.
        check(secs(519), Some(often), Due::Behind);
        check(secs(520), Some(often), Due::First);
        assert_eq!(Failing::late(Some(often), start, secs(500)), often, "many wait for one look");
        // A look that told something since: the row has ended.
        let other = Failing::again(None, start.minus(FIVE), secs(299));
        check(secs(300), Some(other), Due::First);
        assert_eq!(Failing::again(Some(often), secs(1), secs(301)).times, 1);
        let dead = GrantRecord { dead: true, ..grant.clone() };
        assert_eq!(due(&dead, secs(900), FIVE, || None), Due::No, "nobody is asked about what is over");
    }

    #[test]
    fn only_a_page_of_somebody_who_is_barred_asks_sooner() {
        for reader in [Reader::Navigation, Reader::Page, Reader::Program] {
            assert_eq!(counts_for(Standing::Good, reader, FIVE), FIVE);
        }
        assert_eq!(counts_for(Standing::Suspended, Reader::Program, FIVE), FIVE);
        assert_eq!(counts_for(Standing::MustChangePassword, Reader::Navigation, FIVE), BARRED_AGAIN);
        let second = Duration::from_secs(1);
        assert_eq!(counts_for(Standing::Refused, Reader::Navigation, second), second);
    }

    /// Holds: O20.
    #[tokio::test]
    async fn a_profile_brings_the_names_of_now_and_nothing_that_was_not_granted() {
        let lab = Lab::new();
        let mut known = lab.grant(1, 1).identity;
        let groups: Vec<_> = ["acme"].into_iter().filter_map(Group::from_claim).collect();
        let (name, email) = (Some("New".to_owned()), Some("new@h".to_owned()));
        let said = Profile { login: "new".to_owned(), name, email, groups, ..profile() };
        let now = identity(&known, &said);
        assert_eq!((&*now.login, &now.id, now.groups.len()), ("new", &known.id, 1));
        assert_eq!((now.name, now.email), (None, None), "neither was known before");
        (known.name, known.email) = (Some("Old".to_owned()), Some("old@h".to_owned()));
        let now = identity(&known, &said);
        assert_eq!((now.name.as_deref(), now.email.as_deref()), (Some("New"), Some("new@h")));
    }
}
