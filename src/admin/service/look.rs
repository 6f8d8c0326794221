//! Looking: one user, many users, a user's trail. What the records say is compared with the forge, which is the truth.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use super::{Admin, facts, tell};
use crate::admin::caller::Caller;
use crate::admin::error::AdminError;
use crate::admin::records::{AuditRow, ListQuery, Standing, UserRow};
use crate::admin::user::User;
use crate::base::account::UserId;
use crate::forge::admin::{AdminError as ForgeRefusal, Username};

/// How old the forge's word may be in a list.
const FRESH: Duration = Duration::from_mins(1);
/// How long a list waits for the forge; then it shows what is on record.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many accounts a list asks the forge for at once.
const AT_ONCE: usize = 8;
/// How long a creation may be under way before it counts as never done, when the forge does not know the account.
const GIVEN_UP: Duration = Duration::from_mins(10);

/// A page of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserList {
    /// The users of this page.
    pub users: Vec<User>,
    /// How many there are on all pages.
    pub total: u64,
}

impl Admin {
    /// A user, as the forge says now; as it said last while it does not answer.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::Records`]
    pub async fn get_user(&self, _by: &Caller, user_id: &str) -> Result<User, AdminError> {
        let row = self.row(user_id).await?;
        let row = match self.refresh(&row).await {
            // Whom to ask, and where to write down what they say, may be out of order: what is on record is shown.
            Ok(())
            | Err(
                AdminError::ForgeUnavailable
                | AdminError::Token(_)
                | AdminError::NoToken
                | AdminError::Records,
            ) => self.row(user_id).await?,
            Err(other) => return Err(other),
        };
        Ok(self.shown(row))
    }

    /// Users by search, order and page. Those on the page were compared with the forge a minute ago at most, unless it
    /// does not answer.
    ///
    /// # Errors
    /// [`AdminError::Records`]
    pub async fn list_users(&self, _by: &Caller, query: ListQuery) -> Result<UserList, AdminError> {
        let (rows, _) = self.shared.records.list(query.clone()).await?;
        let old = rows.into_iter().filter(|row| row.checked_at.plus(FRESH) <= self.now()).collect();
        // A forge that is slow or down: what is on record is shown, and the next list asks again.
        drop(timeout(PATIENCE, self.refresh_all(old)).await);
        let (rows, total) = self.shared.records.list(query).await?;
        Ok(UserList { users: rows.into_iter().map(|row| self.shown(row)).collect(), total })
    }

    /// What was done to a user, the newest first; `before`: only lines older than the one with this id.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::Records`]
    pub async fn audit_of(
        &self,
        _by: &Caller,
        user_id: &str,
        before: Option<u64>,
    ) -> Result<Vec<AuditRow>, AdminError> {
        self.row(user_id).await?;
        Ok(self.shared.records.audit_of(user_id.to_owned(), before, 50).await?)
    }

    /// The user with this name at the forge, if one is on record: for the command line, where names are handier than ids.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::Records`]
    pub async fn user_named(&self, by: &Caller, name: &str) -> Result<User, AdminError> {
        let row = self.shared.records.by_name(name.to_owned()).await?.ok_or(AdminError::NoSuchUser)?;
        self.get_user(by, &row.user_id).await
    }

    pub(super) async fn row(&self, user_id: &str) -> Result<UserRow, AdminError> {
        self.shared.records.user(user_id.to_owned()).await?.ok_or(AdminError::NoSuchUser)
    }

    fn shown(&self, row: UserRow) -> User {
        User::of(row, self.now(), self.settings.unused_after)
    }

    async fn refresh_all(&self, rows: Vec<UserRow>) {
        for some in rows.chunks(AT_ONCE) {
            let under_way: Vec<_> = some
                .iter()
                .map(|row| {
                    let (admin, row) = (self.clone(), row.clone());
                    self.shared.tasks.spawn(async move { admin.refresh(&row).await })
                })
                .collect();
            for one in under_way {
                if !matches!(one.await, Ok(Ok(()) | Err(AdminError::NoSuchUser))) {
                    return;
                }
            }
        }
    }

    /// Compares a row with the forge and writes down what differs.
    async fn refresh(&self, row: &UserRow) -> Result<(), AdminError> {
        let (records, now) = (&self.shared.records, self.now());
        let token = self.token().await?;
        let found = match row.forge_id {
            Some(id) => self.shared.forge.user_by_id(&token, &UserId(id.to_string().into())).await,
            None => match Username::parse(&row.username) {
                Ok(name) => self.shared.forge.user_exists(&token, &name).await,
                Err(_) => Ok(None),
            },
        };
        let found = match found {
            // Somebody else's name: the account that was begun here is not there.
            Err(ForgeRefusal::TakenByOrganization | ForgeRefusal::RenamedTo(_)) => None,
            other => other?,
        };
        match found {
            Some(info) => {
                let facts = facts(&info).ok_or(AdminError::ForgeUnavailable)?;
                records.settle(row.user_id.clone(), facts, None, None, now).await?;
            }
            None if row.standing != Standing::Creating => records.vanish(row.user_id.clone(), now).await?,
            None if row.created_at.plus(GIVEN_UP) <= now => {
                let line = self.line(&Caller::ourselves(), "create_user", &row.username, "not_made");
                tell(&line);
                records.give_up(row.user_id.clone(), line).await?;
            }
            None => {}
        }
        Ok(())
    }
}
