//! What an operator is told when something was not done: one code each, and what to do.

use thiserror::Error;

use crate::admin::records::RecordsError;
use crate::forge::admin::error::{AdminError as ForgeRefusal, PasswordRule, TokenFault};
use crate::forge::admin::{Complaint, Field};

/// Why something was not done. No variant holds a token or a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Fields that the forge would not take, or has not taken: all of them.
    #[error("the account cannot be made like this")]
    Fields(Vec<(Field, String)>),
    /// An organization has this name.
    #[error("this name is taken by an organization")]
    TakenByOrganization,
    /// The account has another name by now.
    #[error("this account was renamed to {0}")]
    RenamedTo(String),
    /// There is no such user on record, or the forge has none any more.
    #[error("there is no such user")]
    NoSuchUser,
    /// The VM is nobody's.
    #[error("this VM is assigned to nobody")]
    NoSuchVm,
    /// The VM is somebody else's.
    #[error("this VM is assigned to another user")]
    VmTaken,
    /// The user has as many VMs as one may have.
    #[error("this user has too many VMs")]
    TooManyVms,
    /// A site admin of the forge.
    #[error("this is a site admin of the forge")]
    SiteAdmin,
    /// The forge does not keep this account's password.
    #[error("the forge does not keep this account's password")]
    ExternalAccount,
    /// Somebody else is at it.
    #[error("somebody else is resetting this password right now")]
    Busy,
    /// The forge wants other passwords.
    #[error("the forge refuses the password that was made: {0}")]
    PasswordRule(PasswordRule),
    /// The admin token does not serve.
    #[error("the admin token does not serve: {0}")]
    Token(TokenFault),
    /// The admin token cannot be had from where it is kept.
    #[error("the admin token cannot be read from where it is kept")]
    NoToken,
    /// The forge does not answer, or not in its words.
    #[error("the forge does not answer")]
    ForgeUnavailable,
    /// The forge was asked, and nobody knows what it did.
    #[error("the forge did not say whether it did this")]
    Uncertain,
    /// The account is there, its first password is not known.
    #[error("the account {forge_username} is there, but its first password was lost on the way")]
    PasswordLost {
        /// Our id of it.
        user_id: String,
        /// Its name.
        forge_username: String,
    },
    /// The records cannot be read or written.
    #[error("the records cannot be read or written now")]
    Records,
    /// The process is about to end.
    #[error("the process is stopping")]
    Stopping,
}

/// How an error shows: the same code and words on every face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Face {
    /// The code in JSON-RPC.
    pub code: i64,
    /// A stable word.
    pub reason: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// All of them; docs/RPC.md lists them in this order.
pub const FACES: [Face; 17] = [
    face(-32010, "invalid_fields", "Correct the fields that `complaints` names; nothing was done."),
    face(
        -32011,
        "admin_token",
        "The operator mends it: `[admin] token` must be a personal token of a site admin with the scopes write:admin and read:user.",
    ),
    face(-32012, "forge_unavailable", "Nothing was done. Try the same again later."),
    face(-32013, "taken_by_organization", "Choose another name; nothing was done."),
    face(
        -32014,
        "renamed",
        "Ask for the new name if that person is meant, else choose another; nothing was done.",
    ),
    face(-32015, "no_such_user", "Look the user_id up with deployer.list_users."),
    face(-32016, "no_such_vm", "It is released already, or was never assigned."),
    face(-32017, "vm_taken", "Release it first with deployer.release_vm."),
    face(-32018, "site_admin", "The password of a site admin is reset at the forge, not here."),
    face(
        -32019,
        "external_account",
        "Reset the password where it is kept; the forge only looks it up there.",
    ),
    face(
        -32020,
        "password_rule",
        "The operator mends it: set password_symbols = true in [admin], or ease the forge's password rules.",
    ),
    face(
        -32021,
        "password_lost",
        "The account is there. Call deployer.reset_password with the user_id for a password to hand over.",
    ),
    face(-32022, "uncertain", "Ask for the same again: that does no harm, and says how it is."),
    face(
        -32023,
        "records_unavailable",
        "Nothing was done that is not on record. The operator looks whether the disk is full; then try again.",
    ),
    face(-32024, "too_many_vms", "Release VMs that are not used any more."),
    face(-32025, "busy", "Somebody else has just asked for the same: ask them before you reset it again."),
    face(-32026, "stopping", "Ask for the same again in a moment: that does no harm."),
];

const fn face(code: i64, reason: &'static str, advice: &'static str) -> Face {
    Face { code, reason, advice }
}

impl AdminError {
    /// A stable word for it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Fields(_) => "invalid_fields",
            Self::Token(_) | Self::NoToken => "admin_token",
            Self::ForgeUnavailable => "forge_unavailable",
            Self::TakenByOrganization => "taken_by_organization",
            Self::RenamedTo(_) => "renamed",
            Self::NoSuchUser => "no_such_user",
            Self::NoSuchVm => "no_such_vm",
            Self::VmTaken => "vm_taken",
            Self::SiteAdmin => "site_admin",
            Self::ExternalAccount => "external_account",
            Self::PasswordRule(_) => "password_rule",
            Self::PasswordLost { .. } => "password_lost",
            Self::Uncertain => "uncertain",
            Self::Records => "records_unavailable",
            Self::TooManyVms => "too_many_vms",
            Self::Busy => "busy",
            Self::Stopping => "stopping",
        }
    }

    /// How it shows.
    pub fn face(&self) -> Face {
        let reason = self.reason();
        let found = FACES.into_iter().find(|face| face.reason == reason);
        found.unwrap_or(face(crate::admin::rpc::INTERNAL_ERROR, reason, ""))
    }

    /// What is wrong with which field, in whole sentences.
    pub fn complaints(&self) -> &[(Field, String)] {
        match self {
            Self::Fields(complaints) => complaints,
            _ => &[],
        }
    }
}

impl From<RecordsError> for AdminError {
    fn from(error: RecordsError) -> Self {
        tracing::error!(cause = %error.cause(), "the admin records cannot be read or written");
        Self::Records
    }
}

impl From<Vec<Complaint>> for AdminError {
    fn from(complaints: Vec<Complaint>) -> Self {
        Self::Fields(complaints.into_iter().map(|one| (one.field, one.problem.to_string())).collect())
    }
}

/// The forge's refusals; [`ForgeRefusal::PasswordLost`] is not among them, since the records have to be told of it.
impl From<ForgeRefusal> for AdminError {
    fn from(error: ForgeRefusal) -> Self {
        match error {
            ForgeRefusal::TakenByOrganization => Self::TakenByOrganization,
            ForgeRefusal::RenamedTo(name) => Self::RenamedTo(name),
            ForgeRefusal::EmailTaken => Self::Fields(vec![(
                Field::Email,
                "is another account's at the forge: give another, or none".to_owned(),
            )]),
            ForgeRefusal::Refused(complaint) => vec![complaint].into(),
            ForgeRefusal::NoSuchUser => Self::NoSuchUser,
            ForgeRefusal::SiteAdmin => Self::SiteAdmin,
            ForgeRefusal::ExternalAccount => Self::ExternalAccount,
            ForgeRefusal::PasswordRule(rule) => Self::PasswordRule(rule),
            ForgeRefusal::Token(fault) => {
                tracing::error!(cause = %fault, "the admin token does not serve");
                Self::Token(fault)
            }
            ForgeRefusal::Unavailable(_) | ForgeRefusal::Garbled(_) => {
                tracing::warn!(cause = %error, "the forge cannot be asked about accounts");
                Self::ForgeUnavailable
            }
            // What else there may be some day: nobody knows what was done.
            _ => Self::Uncertain,
        }
    }
}
