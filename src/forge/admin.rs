//! Accounts of the forge, as an operator makes them: the port, and what goes over it.
//!
//! 1. The admin's token is given with each call and kept by nobody here.
//! 2. An account that is there already is never changed by [`ForgeAdmin::create_user`].
//! 3. A first password exists in the answer that carries it, and nowhere else: no one can ask for it again.
//! 4. There is no call that deletes an account, and none that makes a token for somebody.
//!
//! Names and addresses are checked before anything is sent: see [`NewUser::parse`].
//! Source: docs/FORGEJO.md 4 and 5.

pub mod client;
pub mod error;
pub mod new_user;
pub mod password;

mod power;
mod reading;

use std::fmt::Debug;

pub use client::HttpForgeAdmin;
pub use error::{AdminError, PasswordRule, TokenFault};
pub use new_user::{Complaint, Field, NewUser, PlaceholderDomain, Problem, Username};
pub use password::PasswordKind;

use crate::base::account::UserId;
use crate::base::clock::Timestamp;
use crate::base::port::Answer;
use crate::base::secret::{AdminToken, InitialPassword};

/// What the forge says of an account at this moment. Everything but the id can change there at any time. Whether its
/// password must be changed is something that the forge tells nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// The stable id: the same as a visitor's `sub` and `X-Hero-User-Id`.
    pub id: UserId,
    /// The sign-in name, in the forge's spelling.
    pub login: String,
    /// The name for people; none when the forge has none.
    pub display_name: Option<String>,
    /// The address; none when the forge shows none.
    pub email: Option<String>,
    /// When it was made; none when the forge's time cannot be read.
    pub created: Option<Timestamp>,
    /// When they last signed in at the forge; none: never, so a first password is unused.
    pub last_sign_in: Option<Timestamp>,
    /// Whether they are a site admin of the forge.
    pub site_admin: bool,
    /// Whether they can sign in.
    pub state: AccountState,
    /// Whether the forge keeps the password. If not (LDAP and the like), nobody can set it there.
    pub local: bool,
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountState {
    /// It can.
    Active,
    /// It was never activated, or no longer is.
    Inactive,
    /// An admin of the forge forbids it to sign in.
    Suspended,
}

/// What came of [`ForgeAdmin::create_user`] and [`ForgeAdmin::reset_password`]: exactly these three.
#[derive(Debug)]
pub struct CreateUserOutput {
    /// The forge's id of the account.
    pub user_id: UserId,
    /// Its sign-in name, in the forge's spelling, which may differ in case from what was asked for.
    pub forge_username: String,
    /// The first password. None: the account was there already, and nothing was changed.
    pub initial_password: Option<InitialPassword>,
}

/// What an admin's token is good for, as far as the forge lets on: see [`ForgeAdmin::check_token`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenReport {
    /// The sign-in name of whom it belongs to; none when the token may not know (`read:user` is missing).
    pub login: Option<String>,
    /// Whether they are a site admin, without which no call here works.
    pub site_admin: bool,
    /// Scopes that it should have and has not: of `write:admin` and `read:user`.
    pub missing: Vec<&'static str>,
    /// Scopes that it has and should not have: whoever steals it can do that too.
    pub beyond: Vec<&'static str>,
}

impl TokenReport {
    /// Whether the calls here can work with it.
    pub fn works(&self) -> bool {
        self.site_admin && self.missing.is_empty()
    }

    /// What to tell the operator at the start, a sentence each; nothing if all is as it should be.
    pub fn complaints(&self) -> Vec<String> {
        let mut said = Vec::new();
        if !self.missing.is_empty() {
            said.push(format!(
                "the admin token lacks {}: nothing here works without",
                self.missing.join(" and ")
            ));
        }
        if !self.site_admin {
            said.push(
                "the admin token's owner is not a site admin of the forge: nothing here works".to_owned(),
            );
        }
        if !self.beyond.is_empty() {
            let beyond = self.beyond.join(", ");
            said.push(format!(
                "the admin token can do more than it needs ({beyond}): make one with write:admin and read:user"
            ));
        }
        said
    }
}

/// The forge's accounts. Each call carries the admin's token, takes at most a few times the forge's timeout, and is safe
/// to repeat.
///
/// # Cancel safety
/// Dropping a future frees all memory, but a request that was sent may have taken effect at the forge. Run
/// `create_user` and `reset_password` in tasks that nobody cancels: a password that nobody reads is lost.
pub trait ForgeAdmin: Debug + Send + Sync + 'static {
    /// Looks for a person by name, without regard to case. None: nobody has this name.
    ///
    /// # Errors
    /// [`AdminError::TakenByOrganization`], [`AdminError::RenamedTo`]; else what any call may meet.
    fn user_exists<'a>(
        &'a self,
        token: &'a AdminToken,
        username: &'a Username,
    ) -> Answer<'a, Result<Option<AccountInfo>, AdminError>>;

    /// Looks for a person by id: the name may have changed. None: nobody has this id (any more).
    ///
    /// # Errors
    /// What any call may meet: [`AdminError::Token`], [`AdminError::Unavailable`], [`AdminError::Garbled`].
    fn user_by_id<'a>(
        &'a self,
        token: &'a AdminToken,
        id: &'a UserId,
    ) -> Answer<'a, Result<Option<AccountInfo>, AdminError>>;

    /// Makes an account with a random first password that must be changed at the first sign-in. Somebody who is there
    /// already is returned without a password, and nothing is changed.
    ///
    /// # Errors
    /// As [`ForgeAdmin::user_exists`]; [`AdminError::EmailTaken`], [`AdminError::Refused`],
    /// [`AdminError::PasswordRule`]; [`AdminError::PasswordLost`] when the account is there and its password is not
    /// known to us; [`AdminError::Uncertain`] when nobody can tell now.
    fn create_user<'a>(
        &'a self,
        token: &'a AdminToken,
        new: &'a NewUser,
    ) -> Answer<'a, Result<CreateUserOutput, AdminError>>;

    /// Gives an account a new first password that must be changed at the next sign-in. The answer always holds it.
    /// Sessions at the forge, grants and tokens survive, and are of no use until the password was changed.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::SiteAdmin`], [`AdminError::ExternalAccount`],
    /// [`AdminError::PasswordRule`]; [`AdminError::Uncertain`]: do it again.
    fn reset_password<'a>(
        &'a self,
        token: &'a AdminToken,
        id: &'a UserId,
    ) -> Answer<'a, Result<CreateUserOutput, AdminError>>;

    /// Finds out what the token may do, by questions that change nothing. Ask at the start, and say what it says.
    ///
    /// # Errors
    /// [`AdminError::Token`] when it is none or its owner cannot act; what any call may meet.
    fn check_token<'a>(&'a self, token: &'a AdminToken) -> Answer<'a, Result<TokenReport, AdminError>>;
}
