//! Rows: what the fake forge keeps of each kind of thing.

use crate::base::clock::Timestamp;

/// SHA-256 of a password, client secret or personal token: what is compared instead of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hashed([u8; 32]);

impl Hashed {
    pub(super) fn of(secret: &str) -> Self {
        let mut out = [0; 32];
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
        out.copy_from_slice(digest.as_ref());
        Self(out)
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of a Forgejo account")]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) full_name: String,
    pub(super) email: String,
    pub(super) password: Hashed,
    pub(super) kind: Kind,
    pub(super) must_change_password: bool,
    pub(super) active: bool,
    pub(super) prohibit_login: bool,
    /// The forge wants a second factor, and the account has none.
    pub(super) needs_second_factor: bool,
    pub(super) restricted: bool,
    pub(super) visibility: String,
    pub(super) description: String,
    pub(super) website: String,
    pub(super) location: String,
    pub(super) language: String,
    pub(super) login_name: String,
    pub(super) source_id: u64,
    pub(super) created: Timestamp,
    pub(super) last_login: Timestamp,
    /// Memberships as the groups claim says them: `org` and `org:team`.
    pub(super) groups: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Person,
    SiteAdmin,
    Organization,
}

impl User {
    pub(super) fn is_admin(&self) -> bool {
        self.kind == Kind::SiteAdmin
    }

    pub(super) fn is_person(&self) -> bool {
        self.kind != Kind::Organization
    }

    pub(super) fn display_name(&self) -> &str {
        if self.full_name.is_empty() { &self.login } else { &self.full_name }
    }
}

pub(super) struct Application {
    pub(super) id: u64,
    /// None: an application of the instance.
    pub(super) owner: Option<u64>,
    pub(super) name: String,
    pub(super) client_id: String,
    pub(super) secret: Hashed,
    pub(super) confidential: bool,
    pub(super) redirect_uris: Vec<String>,
    pub(super) created: Timestamp,
}

/// One per user and application.
pub(super) struct Grant {
    pub(super) id: u64,
    pub(super) user: u64,
    pub(super) application: u64,
    pub(super) scope: String,
    pub(super) nonce: String,
    pub(super) counter: u64,
}

impl Grant {
    /// Forgejo's test: the scope split on single spaces holds the word.
    pub(super) fn scope_has(&self, word: &str) -> bool {
        self.scope.split(' ').any(|one| one == word)
    }
}

#[derive(Clone)]
pub(super) struct Code {
    pub(super) grant: u64,
    pub(super) redirect_uri: String,
    pub(super) challenge: Challenge,
}

#[derive(Clone, Default)]
pub(super) struct Challenge {
    pub(super) method: String,
    pub(super) value: String,
}

/// A browser's session; consent keeps its state here, one for all tabs.
#[derive(Clone, Default)]
pub(super) struct WebSession {
    pub(super) user: u64,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) challenge: Challenge,
}

pub(super) struct PersonalToken {
    pub(super) user: u64,
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
}

pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) owner: u64,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) private: bool,
    pub(super) archived_at: Option<Timestamp>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) issues: Vec<Issue>,
}

pub(super) struct Issue {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) author: u64,
    pub(super) title: String,
    pub(super) body: String,
    pub(super) closed: bool,
    pub(super) created: Timestamp,
}
