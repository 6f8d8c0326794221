//! What can go wrong with accounts, named by what whoever asked can do about it.

use std::fmt;

use thiserror::Error;

use crate::forge::admin::AccountInfo;
use crate::forge::admin::new_user::Complaint;

/// Why an account was not made, found or changed. No variant holds a token, a password or a text of the forge's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdminError {
    // --- whoever asked can correct this
    /// An organization of the forge has this name. Choose another.
    #[error("an organization of the forge has this name: choose another")]
    TakenByOrganization,
    /// Somebody had this name and is called so now. Nothing was done to them: ask for the new name, if they are meant.
    #[error("this account was renamed to {0}: ask for that name, or choose another")]
    RenamedTo(String),
    /// Another account has this e-mail address.
    #[error("another account of the forge has this e-mail address: give another, or none")]
    EmailTaken,
    /// The forge refuses a field for a reason that could not be known here.
    #[error("the forge refuses this: {0}")]
    Refused(Complaint),
    /// The forge has no such account (any more).
    #[error("the forge has no such account")]
    NoSuchUser,
    /// The account is a site admin's: their password is not reset from here, or whoever may make visitors could become
    /// an admin of the forge.
    #[error("this is a site admin of the forge: their password is reset at the forge, not here")]
    SiteAdmin,
    /// The forge does not keep this account's password (LDAP and the like): it is reset where it is kept.
    #[error("the forge does not keep this account's password: reset it where it is kept")]
    ExternalAccount,

    // --- the operator can mend this
    /// The forge wants other passwords than we make.
    #[error("the forge refuses the password that was made: {0}")]
    PasswordRule(PasswordRule),
    /// The admin's token does not serve.
    #[error("the admin token does not serve: {0}")]
    Token(TokenFault),

    // --- time mends this
    /// Down, slow, overloaded, no trust in its certificate. Nothing was changed: try again later.
    #[error("the forge cannot be reached ({0}); nothing was changed, try again later")]
    Unavailable(&'static str),
    /// An answer that is none: a page, cut JSON, too long, a redirect elsewhere. Nothing was changed.
    #[error("the forge's answer makes no sense ({0}); nothing was changed")]
    Garbled(&'static str),

    // --- something may have happened, or has
    /// The forge was asked to act, the answer was lost, and it could not be asked again. Ask for the same again later:
    /// that does no harm, and says how it is.
    #[error("the forge did not say whether it did this: ask for the same again, which does no harm")]
    Uncertain,
    /// The account is there now, and its first password is not known here: the forge's answer was lost, or somebody
    /// else made it in the same moment. Unless they have the password, reset it.
    #[error(
        "the account {} is there, but its first password was lost on the way: reset the password", .0.login
    )]
    PasswordLost(Box<AccountInfo>),
}

/// What the forge has against a random password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordRule {
    /// `PasswordComplexity`: it wants a kind of character that was missing.
    Complexity,
    /// It wants a longer one (`MIN_PASSWORD_LENGTH`).
    Length,
    /// `PasswordPwned`: found among leaked passwords, or, likelier, the forge could not ask there.
    Leaked,
}

impl fmt::Display for PasswordRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complexity => {
                "it wants other kinds of characters; set `password_symbols = true` in [admin] if it asks for symbols \
                 (PASSWORD_COMPLEXITY in its [security] section)"
            }
            Self::Length => {
                "it wants a longer one; lower MIN_PASSWORD_LENGTH in its [security] section to 32 or less"
            }
            Self::Leaked => {
                "it could not look it up among leaked passwords, or found it there; try again, or look at \
                 PASSWORD_CHECK_PWN in its [security] section"
            }
        })
    }
}

/// What is wrong with the admin's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFault {
    /// It does not look like a personal token: empty, with spaces, or an OAuth token. It was not sent.
    Form,
    /// The forge does not know it (401).
    Unknown,
    /// It lacks a scope (403).
    Scope,
    /// Its owner is not a site admin (403).
    NotAdmin,
    /// Its owner is suspended, or must change the password first (403).
    Blocked,
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "this is no personal token of the forge",
            Self::Unknown => "the forge does not know it",
            Self::Scope => "it lacks a scope: it needs write:admin and read:user",
            Self::NotAdmin => "its owner is not a site admin of the forge",
            Self::Blocked => "its owner is suspended, or must change the password first",
        })
    }
}
