//! A new first password for somebody who has lost theirs.

use super::{Admin, BEGUN, CreateUserOutput, Late, tell};
use crate::admin::caller::Caller;
use crate::admin::error::AdminError;
use crate::base::account::UserId;
use crate::forge::admin::AdminError as ForgeRefusal;

const ACTION: &str = "reset_password";

impl Admin {
    /// Gives a user a new random password that must be changed at the next sign-in.
    ///
    /// Two at once by one caller: one after the other, and the later answer holds what counts. By two callers: the second
    /// one is refused, or the first one would hand over a password that is none any more.
    ///
    /// # Errors
    /// [`AdminError`]; its words say whether anything was done.
    ///
    /// # Cancel safety
    /// As [`Admin::create_user`].
    pub async fn reset_password(&self, by: &Caller, user_id: &str) -> Result<CreateUserOutput, AdminError> {
        let (admin, by, user_id) = (self.clone(), by.clone(), user_id.to_owned());
        self.seen_through(async move { admin.reset(&by, user_id).await }).await
    }

    async fn reset(&self, by: &Caller, user_id: String) -> Result<CreateUserOutput, AdminError> {
        let (key, whose) = (format!("id:{user_id}"), by.who.to_string());
        let turn = self.shared.turns.take_unless_anothers(&key, &whose).await;
        let _turn = turn.map_err(|_| AdminError::Busy)?;
        self.has_room()?;
        let row = self.row(&user_id).await?;
        let forge_id = row.forge_id.ok_or(AdminError::NoSuchUser)?;
        let token = self.token().await?;
        // Before anything is changed: what cannot be written down is not done.
        let begun = self.line(by, ACTION, &row.username, BEGUN);
        if !self.shared.records.begin_reset(user_id.clone(), begun).await? {
            // In another process, where our turns count for nothing.
            return Err(AdminError::Busy);
        }
        let id = UserId(forge_id.to_string().into());
        match self.shared.forge.reset_password(&token, &id).await {
            Ok(made) => {
                let line = self.line(by, ACTION, &made.forge_username, "done");
                tell(&line);
                if let Err(failed) = self.shared.records.handed_over(user_id.clone(), line.clone()).await {
                    self.keep(Late::HandedOver { user_id: user_id.clone(), line }, &failed);
                }
                let initial_password = made.initial_password;
                Ok(CreateUserOutput { user_id, forge_username: made.forge_username, initial_password })
            }
            Err(refused) => {
                let has_vanished = refused == ForgeRefusal::NoSuchUser;
                let refused = AdminError::from(refused);
                let line = self.line(by, ACTION, &row.username, refused.reason());
                self.note(Some(user_id.clone()), line).await;
                if has_vanished {
                    self.shared.records.vanish(user_id, self.now()).await?;
                }
                Err(refused)
            }
        }
    }
}
