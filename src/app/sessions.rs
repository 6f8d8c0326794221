//! Sessions as the operator sees them: listed and ended in the store, whether or not the proxy runs. A running proxy
//! looks at the store again each few seconds, so that an end made here holds there without a word between the two.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::app::house::Seams;
use crate::app::vault::{self, VaultError};
use crate::base::account::{Account, AccountKey};
use crate::base::clock::Timestamp;
use crate::config::{Config, Store};
use crate::session::id::{SessionHandle, SessionKey};
use crate::session::record::SessionRecord;
use crate::session::store::StoreError;
use crate::session::vault::Vault;

/// How many rows are read at once.
const PAGE: usize = 500;

/// Why nothing could be listed or ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeskError {
    /// The configuration keeps sessions in the memory of the running process.
    #[error(
        "session.store = \"memory\": the sessions live in the running process alone. A restart ends them all; each visitor ends their own at {0}"
    )]
    Memory(String),
    /// There is no store yet.
    #[error("there is no store at {}: no proxy has run with this configuration yet", .0.display())]
    NoStore(PathBuf),
    /// The store or its key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store does not answer.
    #[error("the session store cannot answer; what was asked may be done in part")]
    Store(#[from] StoreError),
    /// A name that no session has.
    #[error("{0}: no session has this name; nothing was ended")]
    Unknown(String),
    /// A beginning of several names.
    #[error("{0}: several sessions begin so; nothing was ended. Give more digits")]
    Several(String),
}

/// A session, as far as it may be shown: never its id, its key or a token.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it is called here, in the log (its first eight digits) and on its owner's page.
    pub handle: SessionHandle,
    /// The forge's id of its user; none if the row cannot be opened.
    pub user_id: Option<String>,
    /// Its user's login name; none if the account has no tokens in the store.
    pub login: Option<String>,
    /// What kind of browser.
    pub browser: Option<String>,
    /// The origin that it was made at.
    pub origin: Option<String>,
    /// When it was made; none if the row cannot be opened.
    pub signed_in_at: Option<Timestamp>,
    /// When it was last used, at most a minute behind.
    pub last_seen_at: Option<Timestamp>,
    /// Its absolute end.
    pub expires_at: Option<Timestamp>,
    key: SessionKey,
    account: AccountKey,
}

/// Which sessions are to end.
#[derive(Clone, Debug)]
pub enum Which {
    /// These, by handle or by its first digits, eight at least.
    Handles(Vec<String>),
    /// All of whoever has this login name.
    User(String),
    /// All of whoever has this id at the forge.
    UserId(String),
    /// All.
    All,
}

/// The operator's view of a store.
#[derive(Debug)]
pub struct Desk {
    vault: Vault,
    seams: Seams,
    idle: Duration,
}

impl Desk {
    /// Opens the store that a configuration names. It blocks, and makes nothing.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn open(config: &Config, seams: Seams) -> Result<Self, DeskError> {
        match &config.store {
            Store::Memory => {
                let gate = &config.gate;
                let page = format!(
                    "{}{}/auth/sessions",
                    gate.public_url.as_str().trim_end_matches('/'),
                    gate.prefix
                );
                return Err(DeskError::Memory(page));
            }
            Store::Sqlite { path, .. } if !path.exists() => return Err(DeskError::NoStore(path.clone())),
            Store::Sqlite { .. } => {}
        }
        let (store, keys) = vault::open(&config.store, &seams.entropy)?;
        let vault = Vault::new(store, &keys, Arc::clone(&seams.entropy));
        Ok(Self { vault, seams, idle: config.gate.session.idle })
    }

    /// All sessions that count, the one used last first.
    ///
    /// # Errors
    /// [`DeskError::Store`]
    pub async fn list(&self) -> Result<Vec<Listed>, DeskError> {
        let now = self.seams.clock.now();
        let mut all = self.rows(now).await?;
        // What idled out is over, though nobody has come to find out.
        all.retain(|listed| listed.last_seen_at.is_none_or(|seen_at| seen_at.plus(self.idle) > now));
        all.sort_by_key(|listed| std::cmp::Reverse((listed.last_seen_at, listed.handle)));
        Ok(all)
    }

    /// Ends sessions, and says which. Their accounts' tokens go with the last one.
    ///
    /// # Errors
    /// [`DeskError`]; by handle it is all of them or none, unless the store fails half-way.
    pub async fn revoke(&self, which: &Which) -> Result<Vec<Listed>, DeskError> {
        let now = self.seams.clock.now();
        let all = self.rows(now).await?;
        let meant: Vec<Listed> = match which {
            Which::All => all,
            Which::User(login) => {
                let is_theirs = |listed: &Listed| {
                    listed.login.as_deref().is_some_and(|theirs| theirs.eq_ignore_ascii_case(login))
                };
                all.into_iter().filter(is_theirs).collect()
            }
            Which::UserId(id) => {
                all.into_iter().filter(|listed| listed.user_id.as_deref() == Some(id.as_str())).collect()
            }
            Which::Handles(names) => {
                let mut meant = Vec::with_capacity(names.len());
                for name in names {
                    let mut found = all.iter().filter(|listed| listed.handle.is_meant_by(name));
                    let (Some(one), more) = (found.next(), found.next()) else {
                        return Err(DeskError::Unknown(name.clone()));
                    };
                    if more.is_some() {
                        return Err(DeskError::Several(name.clone()));
                    }
                    meant.push(one.clone());
                }
                meant
            }
        };
        let mut ended = Vec::with_capacity(meant.len());
        for listed in meant {
            if self.vault.remove_session(listed.key).await? {
                self.vault.drop_grant(listed.account, now, now.minus(self.idle)).await?;
                ended.push(listed);
            }
        }
        Ok(ended)
    }

    async fn rows(&self, now: Timestamp) -> Result<Vec<Listed>, DeskError> {
        let mut logins: HashMap<AccountKey, Option<String>> = HashMap::new();
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.vault.sessions_after(after, now, PAGE).await?;
            let Some((last, ..)) = page.last() else { return Ok(all) };
            after = Some(*last);
            for (key, account, found) in page {
                let record = found.live();
                let login = match (logins.get(&account), &record) {
                    (Some(known), _) => known.clone(),
                    (None, Some(record)) => {
                        let login = self.login(&record.account).await?;
                        logins.insert(account, login.clone());
                        login
                    }
                    (None, None) => None,
                };
                all.push(listed(key, account, record, login));
            }
        }
    }

    async fn login(&self, account: &Account) -> Result<Option<String>, StoreError> {
        Ok(self.vault.grant(account).await?.live().map(|grant| grant.identity.login))
    }
}

fn listed(
    key: SessionKey,
    account: AccountKey,
    record: Option<SessionRecord>,
    login: Option<String>,
) -> Listed {
    let moments = record.as_ref().map(|record| (record.created_at, record.seen_at, record.expires_at));
    Listed {
        handle: key.handle(),
        user_id: record.as_ref().map(|record| record.account.sub.0.to_string()),
        login,
        browser: record.as_ref().and_then(|record| record.browser.clone()),
        origin: record.map(|record| record.origin),
        signed_in_at: moments.map(|(created_at, ..)| created_at),
        last_seen_at: moments.map(|(_, seen_at, _)| seen_at),
        expires_at: moments.map(|(.., expires_at)| expires_at),
        key,
        account,
    }
}
