//! What the fake forge remembers: rows and how they hang together. No HTTP here.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::rows::{Application, Code, Grant, Hashed, PersonalToken, Repository, User, WebSession};

/// Rows of any one kind that fit; a full forge answers 507 (`server`).
pub(super) const MOST_ROWS: usize = 20_000;
/// Web sessions and unused codes that fit; the oldest go.
const MOST_SHORT_LIVED: usize = 4096;

/// What is gone under a name and lives on under another.
pub(super) enum Moved {
    To(u64),
    Never,
}

#[derive(Default)]
pub(super) struct World {
    last_id: HashMap<&'static str, u64>,
    pub(super) users: BTreeMap<u64, User>,
    pub(super) applications: BTreeMap<u64, Application>,
    pub(super) grants: BTreeMap<u64, Grant>,
    pub(super) tokens: HashMap<Hashed, PersonalToken>,
    pub(super) repositories: BTreeMap<u64, Repository>,
    old_logins: HashMap<String, u64>,
    old_repositories: HashMap<(u64, String), u64>,
    codes: HashMap<String, Code>,
    code_order: VecDeque<String>,
    sessions: HashMap<String, WebSession>,
    session_order: VecDeque<String>,
}

impl World {
    /// The next number of one kind of row.
    pub(super) fn next_id(&mut self, kind: &'static str) -> u64 {
        let last = self.last_id.entry(kind).or_default();
        *last += 1;
        *last
    }

    pub(super) fn is_full(&self) -> bool {
        let issues: usize = self.repositories.values().map(|repository| repository.issues.len()).sum();
        [self.users.len(), self.applications.len(), self.tokens.len(), self.repositories.len(), issues]
            .iter()
            .any(|rows| *rows >= MOST_ROWS)
    }

    pub(super) fn user_named(&self, login: &str) -> Option<&User> {
        self.users.values().find(|user| user.login.eq_ignore_ascii_case(login))
    }

    pub(super) fn user_named_mut(&mut self, login: &str) -> Option<&mut User> {
        self.users.values_mut().find(|user| user.login.eq_ignore_ascii_case(login))
    }

    pub(super) fn user_with_email(&self, email: &str) -> Option<&User> {
        self.users.values().find(|user| user.is_person() && user.email.eq_ignore_ascii_case(email))
    }

    /// Where the user went who had this login.
    pub(super) fn user_moved(&self, login: &str) -> Moved {
        match self.old_logins.get(&login.to_ascii_lowercase()) {
            Some(id) if self.users.contains_key(id) => Moved::To(*id),
            _ => Moved::Never,
        }
    }

    pub(super) fn add_user(&mut self, user: User) {
        self.old_logins.remove(&user.login.to_ascii_lowercase());
        self.users.insert(user.id, user);
    }

    pub(super) fn rename_user(&mut self, id: u64, login: &str) {
        self.old_logins.remove(&login.to_ascii_lowercase());
        if let Some(user) = self.users.get_mut(&id) {
            let old = std::mem::replace(&mut user.login, login.to_owned());
            self.old_logins.insert(old.to_ascii_lowercase(), id);
        }
    }

    /// Deletes a user with grants, tokens, sessions and the applications they own.
    pub(super) fn remove_user(&mut self, id: u64) {
        self.users.remove(&id);
        let applications: Vec<u64> =
            self.applications.values().filter(|app| app.owner == Some(id)).map(|app| app.id).collect();
        for application in applications {
            self.remove_application(application);
        }
        let grants: Vec<u64> =
            self.grants.values().filter(|grant| grant.user == id).map(|grant| grant.id).collect();
        for grant in grants {
            self.remove_grant(grant);
        }
        self.tokens.retain(|_, token| token.user != id);
        self.repositories.retain(|_, repository| repository.owner != id);
        self.sessions.retain(|_, session| session.user != id);
    }

    pub(super) fn application_of_client(&self, client_id: &str) -> Option<&Application> {
        self.applications.values().find(|app| app.client_id == client_id)
    }

    pub(super) fn remove_application(&mut self, id: u64) {
        self.applications.remove(&id);
        let grants: Vec<u64> =
            self.grants.values().filter(|grant| grant.application == id).map(|grant| grant.id).collect();
        for grant in grants {
            self.remove_grant(grant);
        }
    }

    pub(super) fn grant_of(&self, user: u64, application: u64) -> Option<&Grant> {
        self.grants.values().find(|grant| grant.user == user && grant.application == application)
    }

    /// A first consent.
    pub(super) fn add_grant(&mut self, user: u64, application: u64, scope: &str) -> u64 {
        let id = self.next_id("grant");
        let (scope, nonce) = (scope.to_owned(), String::new());
        self.grants.insert(id, Grant { id, user, application, scope, nonce, counter: 0 });
        id
    }

    /// Keeps a login's nonce; a login without one leaves the last.
    pub(super) fn set_nonce(&mut self, grant: u64, nonce: &str) {
        if let Some(grant) = self.grants.get_mut(&grant).filter(|_| !nonce.is_empty()) {
            nonce.clone_into(&mut grant.nonce);
        }
    }

    /// Revokes a grant; its codes and tokens are dead at once.
    pub(super) fn remove_grant(&mut self, id: u64) -> bool {
        self.codes.retain(|_, code| code.grant != id);
        self.grants.remove(&id).is_some()
    }

    pub(super) fn add_code(&mut self, text: String, code: Code) {
        self.code_order.push_back(text.clone());
        self.codes.insert(text, code);
        if self.code_order.len() > MOST_SHORT_LIVED
            && let Some(oldest) = self.code_order.pop_front()
        {
            self.codes.remove(&oldest);
        }
    }

    pub(super) fn code(&self, text: &str) -> Option<&Code> {
        self.codes.get(text)
    }

    pub(super) fn burn_code(&mut self, text: &str) {
        self.codes.remove(text);
    }

    pub(super) fn add_session(&mut self, id: String, session: WebSession) {
        self.session_order.push_back(id.clone());
        self.sessions.insert(id, session);
        if self.session_order.len() > MOST_SHORT_LIVED
            && let Some(oldest) = self.session_order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }

    pub(super) fn session(&self, id: &str) -> Option<&WebSession> {
        self.sessions.get(id)
    }

    pub(super) fn session_mut(&mut self, id: &str) -> Option<&mut WebSession> {
        self.sessions.get_mut(id)
    }

    pub(super) fn end_session(&mut self, id: &str) {
        self.sessions.remove(id);
    }

    pub(super) fn repository_of(&self, owner: u64, name: &str) -> Option<&Repository> {
        self.repositories
            .values()
            .find(|repository| repository.owner == owner && repository.name.eq_ignore_ascii_case(name))
    }

    /// Where the repository went that this owner had under this name.
    pub(super) fn repository_moved(&self, owner: u64, name: &str) -> Moved {
        match self.old_repositories.get(&(owner, name.to_ascii_lowercase())) {
            Some(id) if self.repositories.contains_key(id) => Moved::To(*id),
            _ => Moved::Never,
        }
    }

    pub(super) fn add_repository(&mut self, repository: Repository) {
        self.old_repositories.remove(&(repository.owner, repository.name.to_ascii_lowercase()));
        self.repositories.insert(repository.id, repository);
    }

    pub(super) fn rename_repository(&mut self, id: u64, name: &str) {
        let Some(repository) = self.repositories.get_mut(&id) else { return };
        let owner = repository.owner;
        let old = std::mem::replace(&mut repository.name, name.to_owned());
        self.old_repositories.insert((owner, old.to_ascii_lowercase()), id);
        self.old_repositories.remove(&(owner, name.to_ascii_lowercase()));
    }
}
