//! What the records hold, as values.

use crate::base::clock::Timestamp;

/// How an account stands, as the forge said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its creation was begun here, and how that ended is not written down yet.
    Creating,
    /// It can sign in.
    Active,
    /// It may not sign in.
    Suspended,
    /// The forge does not know it any more.
    Vanished,
}

impl Standing {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Vanished => "vanished",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "suspended" => Self::Suspended,
            "vanished" => Self::Vanished,
            _ => Self::Creating,
        }
    }
}

/// A user on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Our id: random, never given twice.
    pub user_id: String,
    /// The forge's number; none while the creation is under way.
    pub forge_id: Option<u64>,
    /// The forge's name of the moment.
    pub username: String,
    /// The name that the account had when it came on record.
    pub first_username: String,
    /// The display name; may be empty.
    pub display_name: String,
    /// The e-mail address at the forge.
    pub email: String,
    /// How it stands.
    pub standing: Standing,
    /// When it came on record.
    pub created_at: Timestamp,
    /// When an initial password was handed out last, if ever.
    pub password_at: Option<Timestamp>,
    /// When the person was seen last, if ever; up to a minute behind.
    pub last_activity: Option<Timestamp>,
    /// When the forge was asked last.
    pub checked_at: Timestamp,
    /// How many VMs are assigned.
    pub vm_count: u64,
}

/// What the forge says of an account, as far as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The forge's number.
    pub forge_id: u64,
    /// The name of the moment.
    pub username: String,
    /// The display name; may be empty.
    pub display_name: String,
    /// The e-mail address.
    pub email: String,
    /// Whether it may not sign in.
    pub suspended: bool,
    /// When it signed in last, if ever.
    pub last_login: Option<Timestamp>,
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// The forge's name, without regard to ASCII case.
    #[default]
    Username,
    /// The display name, likewise.
    DisplayName,
    /// How many VMs.
    VmCount,
    /// When it came on record.
    CreatedAt,
    /// When it was seen last; who was never seen comes last.
    LastActivity,
}

impl SortBy {
    /// All of them, with their names in the interface.
    pub const ALL: [(&'static str, Self); 5] = [
        ("forge_username", Self::Username),
        ("display_name", Self::DisplayName),
        ("vm_count", Self::VmCount),
        ("created_at", Self::CreatedAt),
        ("last_activity", Self::LastActivity),
    ];

    /// The column of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, sort)| *sort)
    }
}

/// Which users to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Part of a name, display name or e-mail address, without regard to ASCII case; empty: all.
    pub search: String,
    /// The order.
    pub sort: SortBy,
    /// Whether it is turned round.
    pub descending: bool,
    /// How many to leave out in front.
    pub offset: u64,
    /// How many to list, [`MAX_LIST`] at most.
    pub limit: u64,
}

/// The longest list that is given at once.
pub const MAX_LIST: u64 = 100;

impl Default for ListQuery {
    fn default() -> Self {
        Self { search: String::new(), sort: SortBy::default(), descending: false, offset: 0, limit: 50 }
    }
}

/// A line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Rises with every line.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// Who, as [`crate::admin::caller::Who`] prints it.
    pub caller: String,
    /// What.
    pub action: String,
    /// To whom: a name, or a VM's id.
    pub target: String,
    /// How it came out.
    pub outcome: String,
    /// Under which request id.
    pub request_id: String,
}

/// A line of the audit trail that is to be written.
#[derive(Clone, Debug)]
pub struct NewAudit {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub caller: String,
    /// What.
    pub action: &'static str,
    /// To whom.
    pub target: String,
    /// How it came out.
    pub outcome: &'static str,
    /// Under which request id.
    pub request_id: String,
}

/// An API key on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its public id.
    pub key_id: String,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was used last, up to a minute behind.
    pub used_at: Option<Timestamp>,
    /// Since when it counts no more.
    pub revoked_at: Option<Timestamp>,
}

/// A VM on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmRow {
    /// Its id, as the deployer names it.
    pub vm_id: String,
    /// Whose it is.
    pub user_id: String,
    /// Where it is reached.
    pub url: Option<String>,
}
