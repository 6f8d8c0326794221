//! Making an account: reserve, ask the forge, write down.

use tracing::warn;

use super::{Admin, BEGUN, CreateUserOutput, Late, facts, tell};
use crate::admin::caller::Caller;
use crate::admin::error::AdminError;
use crate::admin::records::{Facts, Reserved};
use crate::base::account::UserId;
use crate::base::secret::{AdminToken, InitialPassword};
use crate::forge::admin::{AdminError as ForgeRefusal, NewUser};

const ACTION: &str = "create_user";

/// What somebody filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewUserForm {
    /// The name to have at the forge.
    pub username: String,
    /// The name for people, if any.
    pub display_name: Option<String>,
    /// The address; without one a placeholder is made up.
    pub email: Option<String>,
}

impl Admin {
    /// Makes an account at the forge with a random password that must be changed at the first sign-in. An account that is
    /// there already comes on record and is returned without a password; nothing of it is changed.
    ///
    /// # Errors
    /// [`AdminError`]; its words say whether anything was done.
    ///
    /// # Cancel safety
    /// What was begun is seen through to its end, whoever waits for it. A password that nobody receives is lost.
    pub async fn create_user(&self, by: &Caller, form: NewUserForm) -> Result<CreateUserOutput, AdminError> {
        let display_name = form.display_name.as_deref();
        let placeholder = &self.settings.placeholder;
        let new = NewUser::parse(&form.username, display_name, form.email.as_deref(), placeholder)?;
        let (admin, by) = (self.clone(), by.clone());
        self.seen_through(async move { admin.create(&by, &new).await }).await
    }

    async fn create(&self, by: &Caller, new: &NewUser) -> Result<CreateUserOutput, AdminError> {
        let name = new.username().as_str();
        let _turn = self.shared.turns.take(&format!("name:{}", name.to_ascii_lowercase())).await;
        self.has_room()?;
        let token = self.token().await?;
        let spare = self.new_id('u');
        let begun = self.line(by, ACTION, name, BEGUN);
        let reserved = self.shared.records.reserve(spare.clone(), name.to_owned(), begun).await?;
        let user_id = match reserved {
            // Begun earlier, and nobody wrote down how it ended.
            Reserved::Known(row) if row.forge_id.is_none() => row.user_id,
            // Who stands there may be somebody else by now: the forge's number decides.
            Reserved::Known(_) | Reserved::Fresh => spare,
        };
        match self.shared.forge.create_user(&token, new).await {
            Ok(made) => {
                let found = self.account(&token, &made.user_id, &made.forge_username, new).await?;
                self.settle(by, user_id, found, made.initial_password, if_made).await
            }
            Err(ForgeRefusal::PasswordLost(info)) => {
                let found = facts(&info).ok_or(AdminError::ForgeUnavailable)?;
                let known = self.settle(by, user_id, found, None, |_| "password_lost").await?;
                let CreateUserOutput { user_id, forge_username, .. } = known;
                Err(AdminError::PasswordLost { user_id, forge_username })
            }
            Err(refused) => {
                let refused = AdminError::from(refused);
                let line = self.line(by, ACTION, name, refused.reason());
                if refused == AdminError::Uncertain {
                    // It may be there: the reservation stays, and is looked into later.
                    self.note(Some(user_id), line).await;
                    return Err(refused);
                }
                tell(&line);
                if let Err(failed) = self.shared.records.give_up(user_id, line).await {
                    warn!(cause = %failed.cause(), "a refusal could not be put on record");
                }
                Err(refused)
            }
        }
    }

    /// What is known of the account that the forge has just made, or had. What we have just made is as we asked for it;
    /// of another one the forge is asked, since the name may be all that fits.
    async fn account(
        &self,
        token: &AdminToken,
        id: &UserId,
        username: &str,
        new: &NewUser,
    ) -> Result<Facts, AdminError> {
        if let Ok(Some(info)) = self.shared.forge.user_by_id(token, id).await
            && let Some(facts) = facts(&info)
        {
            return Ok(facts);
        }
        Ok(Facts {
            forge_id: id.0.parse().map_err(|_| AdminError::ForgeUnavailable)?,
            username: username.to_owned(),
            display_name: new.display_name().unwrap_or_default().to_owned(),
            email: new.email().to_owned(),
            suspended: false,
            last_login: None,
        })
    }

    /// Writes an account down. With a password in hand nothing keeps it from whoever asked: not even a full disk.
    async fn settle(
        &self,
        by: &Caller,
        user_id: String,
        found: Facts,
        initial_password: Option<InitialPassword>,
        outcome: impl Fn(bool) -> &'static str,
    ) -> Result<CreateUserOutput, AdminError> {
        let made = initial_password.is_some();
        let line = self.line(by, ACTION, &found.username, outcome(made));
        tell(&line);
        let password_at = made.then_some(line.at);
        let records = &self.shared.records;
        let written =
            records.settle(user_id.clone(), found.clone(), password_at, Some(line.clone()), line.at).await;
        let (user_id, forge_username) = match written {
            Ok(row) => (row.user_id, row.username),
            Err(failed) if made => {
                let forge_username = found.username.clone();
                self.keep(
                    Late::Settle { user_id: user_id.clone(), facts: found, password_at, line },
                    &failed,
                );
                (user_id, forge_username)
            }
            Err(failed) => return Err(failed.into()),
        };
        Ok(CreateUserOutput { user_id, forge_username, initial_password })
    }
}

fn if_made(made: bool) -> &'static str {
    if made { "created" } else { "existed" }
}
