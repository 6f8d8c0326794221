//! Who is let in.
//!
//! 1. Through the front door: a person whom the gate has signed in, if the forge says *now* (a minute ago at most) that
//!    they are still there, and a site admin or on the list. What the session remembers of them does not count.
//! 2. Through the front door too: a program with an API key. Only the key's hash is kept, and a revoked key counts no more
//!    from the next request on.
//! 3. Through the Unix socket: whoever the file's permissions let connect. Who that is, the kernel says.
//! 4. Everybody else: no. So is everybody while the forge or the records cannot answer.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use moka::sync::Cache;
use tracing::warn;

use crate::admin::caller::{Caller, Who};
use crate::admin::error::AdminError;
use crate::admin::records::{KeyRow, NewAudit};
use crate::admin::service::{Admin, tell};
use crate::admin::settings::MayCall;
use crate::base::account::UserId;
use crate::base::clock::Timestamp;
use crate::base::entropy::random_text;
use crate::base::peer::{Peer, PeerCredentials};
use crate::base::secret::SecretText;
use crate::forge::admin::{AccountInfo, AccountState, Username};
use crate::wire::name;

/// How long the forge's word about a person counts.
const FRESH: Duration = Duration::from_mins(1);
/// What every API key begins with, so that one that was pasted somewhere is recognised.
const KEY_PREFIX: &str = "hpk_";
/// How many refusals a minute one address is told of; then it is told to wait.
const REFUSALS_PER_MINUTE: u32 = 60;

/// Which way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Behind the gate: the identity headers are the gate's.
    Front,
    /// The Unix socket: no header says who it is.
    Socket,
}

/// Why somebody was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody is signed in, and there is no key: 401.
    Nobody,
    /// The key does not count: 401.
    BadKey,
    /// Signed in, and neither a site admin nor on the list: 403.
    NotAllowed,
    /// The forge cannot say whether they may: 503.
    ForgeUnavailable,
    /// The records cannot say whether the key counts: 503.
    Records,
    /// Too often: 429.
    TooOften(Duration),
}

/// What the forge said of people a moment ago: whether they may call.
#[derive(Debug)]
pub(super) struct Rights(Cache<UserId, (Timestamp, AccountInfo)>);

impl Default for Rights {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(10_000).time_to_live(2 * FRESH).build())
    }
}

/// Whether a person whom the forge describes like this may call.
fn may_call(allow: &[MayCall], person: &AccountInfo) -> bool {
    person.state == AccountState::Active
        && allow.iter().any(|rule| match rule {
            MayCall::SiteAdmin => person.site_admin,
            MayCall::User(login) => person.login.eq_ignore_ascii_case(login),
            MayCall::UserId(id) => *person.id.0 == **id,
        })
}

/// The one value of a header, if it stands there once and is text.
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.to_owned();
    values.next().is_none().then_some(value)
}

/// A key that was sent along, as `Authorization: Bearer hpk_...`.
fn bearer(headers: &HeaderMap) -> Option<SecretText> {
    let line = only(headers, &header::AUTHORIZATION)?;
    let (scheme, key) = line.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| SecretText::new(key.trim()))
}

fn hash_of(key: &SecretText) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, key.expose().as_bytes()).as_ref());
    hash
}

impl Admin {
    /// Says who sends a request, if they may call at all. `calls`: how many calls it is.
    ///
    /// # Errors
    /// [`Denied`]
    pub async fn admit(&self, door: Door, head: &Parts, calls: u32) -> Result<Caller, Denied> {
        let request_id = only(&head.headers, &name::REQUEST_ID).unwrap_or_else(|| self.new_id('r'));
        let found = match door {
            Door::Socket => process(head),
            Door::Front if head.headers.contains_key(header::AUTHORIZATION) => self.program(head).await,
            Door::Front => self.person(&head.headers).await,
        };
        let who = match found {
            Ok(who) => who,
            Err(denied) => {
                let address = address(head);
                self.shared
                    .rates
                    .take(&address, 1, REFUSALS_PER_MINUTE, self.now())
                    .map_err(Denied::TooOften)?;
                warn!(reason = denied.reason(), %request_id, peer = %address, "admin access refused");
                return Err(denied);
            }
        };
        let caller = Caller { who, request_id };
        self.pay(&caller, calls)?;
        Ok(caller)
    }

    /// Takes so many calls from what a caller has left of this minute.
    ///
    /// # Errors
    /// [`Denied::TooOften`]; nothing was taken.
    pub fn pay(&self, by: &Caller, calls: u32) -> Result<(), Denied> {
        let key = match by.who() {
            // A process is another one after each restart.
            Who::Process { uid, .. } => format!("socket:{uid}"),
            who => who.to_string(),
        };
        let taken = self.shared.rates.take(&key, calls, self.settings.calls_per_minute, self.now());
        taken.map_err(Denied::TooOften)
    }

    async fn person(&self, headers: &HeaderMap) -> Result<Who, Denied> {
        let id = only(headers, &name::USER_ID).ok_or(Denied::Nobody)?;
        let login = only(headers, &name::USER).ok_or(Denied::Nobody)?;
        let person = self.described(UserId(id.into()), &login).await?.ok_or(Denied::NotAllowed)?;
        if !may_call(&self.settings.allow, &person) {
            return Err(Denied::NotAllowed);
        }
        Ok(Who::Person { id: person.id.0.to_string(), login: person.login })
    }

    /// What the forge says of a person, a minute ago at most.
    async fn described(&self, id: UserId, login: &str) -> Result<Option<AccountInfo>, Denied> {
        // Many requests of one person at once ask the forge once.
        let _turn = self.shared.turns.take(&format!("right:{id}")).await;
        let is_fresh = |at: Timestamp| at <= self.now() && self.now().since(at) < FRESH;
        if let Some((at, person)) = self.shared.rights.0.get(&id)
            && is_fresh(at)
        {
            return Ok(Some(person));
        }
        let asked_at = self.now();
        let token = self.shared.token.token().await.map_err(|_| Denied::ForgeUnavailable)?;
        // By name is one question, and right nearly always; by id is what counts.
        let by_name = match Username::parse(login) {
            Ok(name) => self.shared.forge.user_exists(&token, &name).await.ok().flatten(),
            Err(_) => None,
        };
        let person = match by_name.filter(|person| person.id == id) {
            Some(person) => Some(person),
            None => self
                .shared
                .forge
                .user_by_id(&token, &id)
                .await
                .map_err(|failed| {
                    drop(AdminError::from(failed));
                    Denied::ForgeUnavailable
                })?
                .filter(|person| person.id == id),
        };
        match &person {
            Some(person) => self.shared.rights.0.insert(id, (asked_at, person.clone())),
            None => self.shared.rights.0.invalidate(&id),
        }
        Ok(person)
    }

    async fn program(&self, head: &Parts) -> Result<Who, Denied> {
        let key = bearer(&head.headers).ok_or(Denied::BadKey)?;
        if !key.expose().starts_with(KEY_PREFIX) {
            return Err(Denied::BadKey);
        }
        // The hash of 256 random bits is looked up: how long that takes says nothing about the key.
        let found = self.shared.records.key(hash_of(&key)).await;
        let found = found.map_err(|failed| {
            drop(AdminError::from(failed));
            Denied::Records
        })?;
        let row = found.ok_or(Denied::BadKey)?;
        self.note_key(&row.key_id);
        Ok(Who::Key { key_id: row.key_id, name: row.name })
    }

    /// Notes that a key was used, once a minute at most, behind the request.
    fn note_key(&self, key_id: &str) {
        let now = self.now();
        let used = &self.shared.keys_used;
        if used.get(key_id).is_some_and(|last| now.since(last) < FRESH) {
            return;
        }
        used.insert(key_id.to_owned(), now);
        let (admin, key_id) = (self.clone(), key_id.to_owned());
        drop(self.shared.tasks.spawn(async move { admin.shared.records.key_used(key_id, now).await }));
    }

    /// Makes an API key; the key itself is in the answer, and nowhere else.
    ///
    /// # Errors
    /// [`AdminError::Records`]
    pub async fn create_key(&self, by: &Caller, name: &str) -> Result<(KeyRow, SecretText), AdminError> {
        let key = SecretText::new(format!("{KEY_PREFIX}{}", random_text::<32>(&*self.shared.entropy)));
        let row = KeyRow {
            key_id: self.new_id('k'),
            name: name.to_owned(),
            created_at: self.now(),
            used_at: None,
            revoked_at: None,
        };
        let line = self.key_line(by, "create_key", &row.key_id);
        self.shared.records.add_key(row.clone(), hash_of(&key), line.clone()).await?;
        tell(&line);
        Ok((row, key))
    }

    /// Ends an API key; says whether there is one with this id.
    ///
    /// # Errors
    /// [`AdminError::Records`]
    pub async fn revoke_key(&self, by: &Caller, key_id: &str) -> Result<bool, AdminError> {
        let line = self.key_line(by, "revoke_key", key_id);
        let found = self.shared.records.revoke_key(key_id.to_owned(), line.clone()).await?;
        if found {
            tell(&line);
        }
        Ok(found)
    }

    fn key_line(&self, by: &Caller, action: &'static str, key_id: &str) -> NewAudit {
        NewAudit {
            at: self.now(),
            caller: by.who.to_string(),
            action,
            target: key_id.to_owned(),
            outcome: "done",
            request_id: by.request_id.clone(),
        }
    }
}

fn process(head: &Parts) -> Result<Who, Denied> {
    let PeerCredentials { uid, gid, pid } =
        *head.extensions.get::<PeerCredentials>().ok_or(Denied::Nobody)?;
    Ok(Who::Process { uid, gid, pid })
}

fn address(head: &Parts) -> String {
    match head.extensions.get::<Peer>() {
        Some(Peer::Ip(address)) => address.ip().to_canonical().to_string(),
        Some(Peer::Unix) => "unix".to_owned(),
        None => "-".to_owned(),
    }
}

impl Denied {
    /// A stable word for it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Nobody => "admin_sign_in_required",
            Self::BadKey => "admin_key_refused",
            Self::NotAllowed => "admin_not_allowed",
            Self::ForgeUnavailable => "admin_forge_unavailable",
            Self::Records => "admin_records_unavailable",
            Self::TooOften(_) => "admin_too_often",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds: A2.
    #[test]
    fn the_list_is_judged_by_what_the_forge_says_now() {
        let person = |login: &str, site_admin, state| AccountInfo {
            id: UserId("7".into()),
            login: login.to_owned(),
            display_name: None,
            email: None,
            created: None,
            last_sign_in: None,
            site_admin,
            state,
            local: true,
        };
        let root = person("root1", true, AccountState::Active);
        let alice = person("alice", false, AccountState::Active);
        for (allow, who, expected) in [
            (vec![], &root, false),
            (vec![MayCall::SiteAdmin], &root, true),
            (vec![MayCall::SiteAdmin], &alice, false),
            (vec![MayCall::User("Alice".to_owned())], &alice, true),
            (vec![MayCall::User("alic".to_owned())], &alice, false),
            (vec![MayCall::UserId("7".to_owned())], &alice, true),
            (vec![MayCall::UserId("77".to_owned())], &alice, false),
        ] {
            assert_eq!(may_call(&allow, who), expected, "{allow:?} {}", who.login);
        }
        for state in [AccountState::Suspended, AccountState::Inactive] {
            assert!(!may_call(&[MayCall::SiteAdmin], &person("root1", true, state)));
        }
    }
}
