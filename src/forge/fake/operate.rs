//! What an operator of the forge does behind a client's back, and what a test wants to know afterwards.

use std::time::Duration;

use super::faults::{Endpoint, Fault};
use super::keys::SigningKey;
use super::record::Seen;
use super::rows::{Hashed, Kind, User};
use super::seed::Unknown;
use super::server::FakeForge;

impl FakeForge {
    /// Suspends an account (`prohibit_login`), or lifts that.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn suspend(&self, login: &str, suspended: bool) -> Result<(), Unknown> {
        self.change(login, |user| user.prohibit_login = suspended)
    }

    /// Makes an account a site admin, or no longer lets it be one.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn set_site_admin(&self, login: &str, site_admin: bool) -> Result<(), Unknown> {
        let kind = if site_admin { Kind::SiteAdmin } else { Kind::Person };
        self.change(login, |user| user.kind = kind)
    }

    /// Demands a new password, or no longer does.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn set_must_change_password(&self, login: &str, must: bool) -> Result<(), Unknown> {
        self.change(login, |user| user.must_change_password = must)
    }

    /// Demands a second factor of an account that has none, or no longer does. Only its API calls are refused, in a text
    /// that follows the reader's language.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn set_needs_second_factor(&self, login: &str, needs: bool) -> Result<(), Unknown> {
        self.change(login, |user| user.needs_second_factor = needs)
    }

    /// Sets a password.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn set_password(&self, login: &str, password: &str) -> Result<(), Unknown> {
        self.change(login, |user| user.password = Hashed::of(password))
    }

    /// Lets another system keep an account's password (LDAP and the like), or the forge itself again (0).
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn set_login_source(&self, login: &str, source: u64) -> Result<(), Unknown> {
        self.change(login, |user| user.source_id = source)
    }

    /// Takes a user out of all organizations and teams.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn clear_groups(&self, login: &str) -> Result<(), Unknown> {
        self.change(login, |user| user.groups.clear())
    }

    fn change(&self, login: &str, change: impl FnOnce(&mut User)) -> Result<(), Unknown> {
        self.forge.world().user_named_mut(login).map(change).ok_or(Unknown)
    }

    /// Renames a user; id, tokens and grants stay.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn rename_user(&self, login: &str, new_login: &str) -> Result<(), Unknown> {
        let mut world = self.forge.world();
        let id = world.user_named(login).ok_or(Unknown)?.id;
        world.rename_user(id, new_login);
        Ok(())
    }

    /// Deletes a user with grants, tokens, repositories and the applications they own.
    ///
    /// # Errors
    /// [`Unknown`] without such a user.
    pub fn delete_user(&self, login: &str) -> Result<(), Unknown> {
        let mut world = self.forge.world();
        let id = world.user_named(login).ok_or(Unknown)?.id;
        world.remove_user(id);
        Ok(())
    }

    /// Renames a repository; the old name redirects.
    ///
    /// # Errors
    /// [`Unknown`] without such a repository.
    pub fn rename_repository(&self, owner: &str, name: &str, new_name: &str) -> Result<(), Unknown> {
        let mut world = self.forge.world();
        let owner = world.user_named(owner).ok_or(Unknown)?.id;
        let id = world.repository_of(owner, name).ok_or(Unknown)?.id;
        world.rename_repository(id, new_name);
        Ok(())
    }

    /// Deletes an OAuth application with its grants.
    ///
    /// # Errors
    /// [`Unknown`] without such a client.
    pub fn delete_application(&self, client_id: &str) -> Result<(), Unknown> {
        let mut world = self.forge.world();
        let id = world.application_of_client(client_id).ok_or(Unknown)?.id;
        world.remove_application(id);
        Ok(())
    }

    /// Revokes what a user granted an application: its codes and tokens die at once.
    ///
    /// # Errors
    /// [`Unknown`] without such a grant.
    pub fn revoke_grant(&self, login: &str, client_id: &str) -> Result<(), Unknown> {
        let id = self.grant_id(login, client_id)?;
        self.forge.world().remove_grant(id);
        Ok(())
    }

    /// Gives a grant another scope, as if the user had consented to that long ago; live tokens change at once. Makes the
    /// grant when there is none.
    ///
    /// # Errors
    /// [`Unknown`] without such a user or client.
    pub fn set_grant_scope(&self, login: &str, client_id: &str, scope: &str) -> Result<(), Unknown> {
        let mut world = self.forge.world();
        let user = world.user_named(login).ok_or(Unknown)?.id;
        let application = world.application_of_client(client_id).ok_or(Unknown)?.id;
        let id = match world.grant_of(user, application) {
            Some(grant) => grant.id,
            None => world.add_grant(user, application, scope),
        };
        if let Some(grant) = world.grants.get_mut(&id) {
            scope.clone_into(&mut grant.scope);
        }
        Ok(())
    }

    /// The scope of a grant, byte for byte.
    pub fn grant_scope(&self, login: &str, client_id: &str) -> Option<String> {
        let id = self.grant_id(login, client_id).ok()?;
        self.forge.world().grants.get(&id).map(|grant| grant.scope.clone())
    }

    fn grant_id(&self, login: &str, client_id: &str) -> Result<u64, Unknown> {
        let world = self.forge.world();
        let user = world.user_named(login).ok_or(Unknown)?.id;
        let application = world.application_of_client(client_id).ok_or(Unknown)?.id;
        world.grant_of(user, application).map(|grant| grant.id).ok_or(Unknown)
    }

    /// Gives the tokens that are made from now on another life (`ACCESS_TOKEN_EXPIRATION_TIME`).
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.forge.set_token_lifetime(lifetime);
    }

    /// Makes a new signing key: the JWKS changes, and all tokens of before are void.
    pub fn rotate_key(&self) {
        self.forge.set_key(SigningKey::make());
    }

    /// The titles of a repository's issues with the logins of their authors, oldest first.
    pub fn issues(&self, owner: &str, name: &str) -> Vec<(String, String)> {
        let world = self.forge.world();
        let owner = world.user_named(owner).map(|user| user.id).unwrap_or_default();
        let login = |id: &u64| world.users.get(id).map(|user| user.login.clone()).unwrap_or_default();
        let issues = world.repository_of(owner, name).map(|repository| repository.issues.as_slice());
        issues.unwrap_or_default().iter().map(|issue| (issue.title.clone(), login(&issue.author))).collect()
    }

    /// Breaks an endpoint for the next `times` requests (`usize::MAX`: until [`FakeForge::heal`]).
    pub fn break_next(&self, endpoint: Endpoint, fault: Fault, times: usize) {
        self.forge.faults.set(endpoint, fault, times);
    }

    /// Mends all endpoints. Requests that wait at a gate go on waiting.
    pub fn heal(&self) {
        self.forge.faults.clear();
    }

    /// The last 10,000 requests in the order of their arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.forge.record.seen()
    }

    /// How many requests an endpoint got since the start.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.forge.record.count(endpoint)
    }
}
