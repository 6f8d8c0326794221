//! Who somebody is: nouns that the gate writes and other rooms read.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The forge's numeric user id as decimal text (the `sub` of its `id_token`): stable across renames.
/// Source: docs/FORGEJO.md 1.8; OpenID Connect Core §2.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub Arc<str>);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account: one user at one client of one forge. It owns one grant, since the forge keeps one per user and application.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    /// The issuer, byte for byte as the forge's discovery document says it.
    pub issuer: Arc<str>,
    /// Our OAuth client id.
    pub client_id: Arc<str>,
    /// The user.
    pub sub: UserId,
}

/// What a store knows an account by: SHA-256 over its three parts, each with its length in front.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey(pub [u8; 32]);

impl Account {
    /// This account's key in a store.
    pub fn key(&self) -> AccountKey {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in [&*self.issuer, &*self.client_id, &*self.sub.0] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        AccountKey(key)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({self})")
    }
}

/// The first eight hexadecimal digits: enough to find an account's lines in a log.
impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An organization of the forge, or a team in one. Forgejo writes `org` and `org:team`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// The organization's name.
    pub org: String,
    /// The team's name, if a team is meant.
    pub team: Option<String>,
}

impl Group {
    /// Reads one element of the `groups` claim. An organization's name holds no colon, so the first one divides.
    /// None: an empty name; it never matches anything.
    pub fn from_claim(claim: &str) -> Option<Self> {
        let (org, team) = match claim.split_once(':') {
            None => (claim, None),
            Some((org, team)) => (org, Some(team)),
        };
        if org.is_empty() || team.is_some_and(str::is_empty) {
            return None;
        }
        Some(Self { org: org.to_owned(), team: team.map(str::to_owned) })
    }
}

/// Whether the forge lets an account act, as its API says (docs/FORGEJO.md 3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It may act.
    #[default]
    Good,
    /// It is suspended, or not active.
    Suspended,
    /// It must change its password at the forge first.
    MustChangePassword,
    /// It may not act for another reason, such as a second factor that the forge wants set up.
    Refused,
}

/// What the forge says of a user at this moment. Everything but the id can change hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The stable id.
    pub id: UserId,
    /// The login name of the moment.
    pub login: String,
    /// The display name, if the forge gave one.
    pub name: Option<String>,
    /// The e-mail address, if the forge gave one and calls it verified.
    pub email: Option<String>,
    /// The organizations and teams of the moment.
    pub groups: Vec<Group>,
}
