//! A user as all faces show them.

use std::time::Duration;

use serde::Serialize;

use crate::admin::records::{Standing, UserRow};
use crate::base::clock::Timestamp;

/// How an account stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was begun to be made here, and the forge has not said yet that it is there.
    Creating,
    /// It can sign in.
    Active,
    /// It can sign in; its first password was handed out a good while ago and never used.
    Unused,
    /// It can sign in, under another name than it came on record with.
    Renamed,
    /// The forge does not let it sign in.
    Suspended,
    /// The forge does not know it any more.
    Vanished,
}

impl State {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Self); 6] = [
        ("creating", Self::Creating),
        ("active", Self::Active),
        ("unused", Self::Unused),
        ("renamed", Self::Renamed),
        ("suspended", Self::Suspended),
        ("vanished", Self::Vanished),
    ];
}

/// A user: spec'd to have exactly these members, in this order. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Our id.
    pub user_id: String,
    /// The forge's number; none while the account is being made.
    pub forge_id: Option<u64>,
    /// The forge's name of the moment.
    pub forge_username: String,
    /// The display name; may be empty.
    pub display_name: String,
    /// The e-mail address; may be a placeholder.
    pub email: String,
    /// How many VMs are assigned.
    pub vm_count: u64,
    /// When the account came on record.
    pub created_at: String,
    /// When the person was seen last, if ever.
    pub last_activity: Option<String>,
    /// How the account stands.
    pub state: State,
}

impl User {
    /// A row as it is shown at this moment. `unused_after`: how long a first password may lie about.
    pub(super) fn of(row: UserRow, now: Timestamp, unused_after: Duration) -> Self {
        let state = state(&row, now, unused_after);
        Self {
            user_id: row.user_id,
            forge_id: row.forge_id,
            forge_username: row.username,
            display_name: row.display_name,
            email: row.email,
            vm_count: row.vm_count,
            created_at: rfc3339(row.created_at),
            last_activity: row.last_activity.map(rfc3339),
            state,
        }
    }
}

fn state(row: &UserRow, now: Timestamp, unused_after: Duration) -> State {
    let is_unused = row.password_at.is_some_and(|given| {
        given.plus(unused_after) <= now && row.last_activity.is_none_or(|seen| seen < given)
    });
    match row.standing {
        Standing::Creating => State::Creating,
        Standing::Suspended => State::Suspended,
        Standing::Vanished => State::Vanished,
        Standing::Active if is_unused => State::Unused,
        Standing::Active if row.username != row.first_username => State::Renamed,
        Standing::Active => State::Active,
    }
}

/// A moment as RFC 3339 in UTC, to the second.
pub fn rfc3339(moment: Timestamp) -> String {
    let (days, second) = (moment.secs() / 86_400, moment.secs() % 86_400);
    // Days since 0000-03-01, in eras of 400 years: leap days come at the end of such a year.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (secs, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_secs(secs)), expected);
        }
    }

    /// Holds: A14.
    #[test]
    fn a_password_that_nobody_used_shows() {
        let day = Duration::from_hours(24);
        let given = Timestamp::from_secs(1_800_000_000);
        let row = |standing, last_activity| UserRow {
            user_id: "u1".to_owned(),
            forge_id: Some(1),
            username: "alicia".to_owned(),
            first_username: "alice".to_owned(),
            display_name: String::new(),
            email: String::new(),
            standing,
            created_at: given,
            password_at: Some(given),
            last_activity,
            checked_at: given,
            vm_count: 0,
        };
        let of = |standing, seen, after: Duration| state(&row(standing, seen), given.plus(after), 7 * day);
        assert_eq!(of(Standing::Active, None, 6 * day), State::Renamed);
        assert_eq!(of(Standing::Active, None, 7 * day), State::Unused);
        assert_eq!(
            of(Standing::Active, Some(given.minus(day)), 7 * day),
            State::Unused,
            "used before a reset"
        );
        assert_eq!(of(Standing::Active, Some(given.plus(day)), 7 * day), State::Renamed);
        assert_eq!(of(Standing::Suspended, None, 7 * day), State::Suspended);
        assert_eq!(of(Standing::Vanished, None, 7 * day), State::Vanished);
    }
}
