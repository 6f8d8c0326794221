//! Records in, rows out: what a store may know is in clear, all else is sealed to the row's own key.
//!
//! 1. Whoever can write the store can end sessions and keep them from idling out, and nothing more: account, origin,
//!    beginning and end of a session count only as sealed, and a sealed row opens under its own key only.
//! 2. A row that does not open, was written by a newer program or contradicts itself is [`Found::Spoilt`]: to be logged,
//!    and else like [`Found::Absent`]. The visitor signs in again, and that replaces it.
//! 3. A store that cannot answer is an error, never "absent".

use std::sync::Arc;

use crate::base::account::{Account, AccountKey};
use crate::base::clock::Timestamp;
use crate::base::entropy::{Entropy, random_bytes};
use crate::base::seal::{KeyRing, Sealer};
use crate::base::secret::State;
use crate::session::format::{self, Unreadable};
use crate::session::id::SessionKey;
use crate::session::record::{GrantRecord, SessionRecord};
use crate::session::store::{GrantRow, Lease, SessionRow, SessionStore, StoreError, Swap};

/// What a look into the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// It is there and can be believed.
    Live(T),
    /// Nothing there, or its time is up.
    Absent,
    /// Something is there that cannot be believed.
    Spoilt(Spoilt),
}

/// A row that cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoilt {
    /// Why, for the log.
    pub reason: SpoiltReason,
    /// A grant row's version in clear, for the swap that replaces it; zero for a session.
    pub version: u64,
}

/// Why a row cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoiltReason {
    /// No key of ours opens it here: the key left the ring, the row was damaged, or it was moved.
    Sealed,
    /// A newer program wrote it.
    Newer,
    /// What is inside is no record.
    Garbled,
    /// What stands in clear is not what was sealed.
    Contradicts,
}

impl From<Unreadable> for SpoiltReason {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Newer => Self::Newer,
            Unreadable::Garbled => Self::Garbled,
        }
    }
}

impl<T> Found<T> {
    /// What can be believed, if anything.
    pub fn live(self) -> Option<T> {
        match self {
            Self::Live(record) => Some(record),
            Self::Absent | Self::Spoilt(_) => None,
        }
    }

    fn from_opened(opened: Result<T, SpoiltReason>, version: u64) -> Self {
        match opened {
            Ok(record) => Self::Live(record),
            Err(reason) => Self::Spoilt(Spoilt { reason, version }),
        }
    }
}

impl Found<GrantRecord> {
    /// The version that the next grant of this account has.
    pub fn next_version(&self) -> u64 {
        match self {
            Self::Live(record) => record.version.saturating_add(1),
            Self::Absent => 1,
            Self::Spoilt(spoilt) => spoilt.version.saturating_add(1),
        }
    }
}

/// A store of records, on top of a store of rows.
///
/// # Cancel safety
/// As [`SessionStore`]: a dropped future leaves each write whole or undone.
///
/// # Errors
/// Each method: [`StoreError`], when the store cannot answer.
#[derive(Debug)]
pub struct Vault {
    store: Arc<dyn SessionStore>,
    sessions: Sealer,
    grants: Sealer,
    entropy: Arc<dyn Entropy>,
}

#[expect(clippy::missing_errors_doc, reason = "said once, at the type")]
impl Vault {
    /// A vault whose rows are sealed by `ring`'s first key and opened by all of them.
    pub fn new(store: Arc<dyn SessionStore>, ring: &KeyRing, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            store,
            sessions: Sealer::new(ring, "session row", entropy.clone()),
            grants: Sealer::new(ring, "grant row", entropy.clone()),
            entropy,
        }
    }

    /// Adds a session.
    pub async fn insert_session(&self, key: SessionKey, record: &SessionRecord) -> Result<(), StoreError> {
        let row = SessionRow {
            account: record.account.key(),
            created_at: record.created_at,
            seen_at: record.seen_at,
            expires_at: record.expires_at,
            sealed: self.sessions.seal(&key.0, &format::write_session(record)),
        };
        self.store.insert_session(key, row).await
    }

    /// Reads a session that has not reached its absolute end; whether it idled out is the caller's to judge.
    pub async fn session(&self, key: SessionKey, now: Timestamp) -> Result<Found<SessionRecord>, StoreError> {
        let row = self.store.session(key, now).await?;
        Ok(row.map_or(Found::Absent, |row| Found::from_opened(self.open_session(key, &row), 0)))
    }

    /// Notes that a session was used; says whether it was there.
    pub async fn touch_session(&self, key: SessionKey, seen_at: Timestamp) -> Result<bool, StoreError> {
        self.store.touch_session(key, seen_at).await
    }

    /// Ends a session; says whether it was there.
    pub async fn remove_session(&self, key: SessionKey) -> Result<bool, StoreError> {
        self.store.remove_session(key).await
    }

    /// An account's sessions that have not reached their absolute end, newest first.
    pub async fn sessions_of(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Found<SessionRecord>)>, StoreError> {
        let rows = self.store.sessions_of(account.key(), now).await?;
        let open = |(key, row)| (key, Found::from_opened(self.open_session(key, &row), 0));
        Ok(rows.into_iter().map(open).collect())
    }

    /// Ends all of an account's sessions but one, if one is to stay; says how many ended.
    pub async fn remove_sessions_of(
        &self,
        account: AccountKey,
        except: Option<SessionKey>,
    ) -> Result<u64, StoreError> {
        self.store.remove_sessions_of(account, except).await
    }

    /// Everybody's sessions that have not reached their absolute end: the first `most` behind `after`, with the account
    /// that the row names.
    pub async fn sessions_after(
        &self,
        after: Option<SessionKey>,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<(SessionKey, AccountKey, Found<SessionRecord>)>, StoreError> {
        let rows = self.store.sessions_after(after, now, most).await?;
        let open = |(key, row): (_, SessionRow)| {
            (key, row.account, Found::from_opened(self.open_session(key, &row), 0))
        };
        Ok(rows.into_iter().map(open).collect())
    }

    /// Reads an account's grant, whatever its age.
    pub async fn grant(&self, account: &Account) -> Result<Found<GrantRecord>, StoreError> {
        let row = self.store.grant(account.key()).await?;
        Ok(row.map_or(Found::Absent, |row| Found::from_opened(self.open_grant(account, &row), row.version)))
    }

    /// Writes a grant whose version follows the stored one (see [`Found::next_version`]). It survives power loss when this
    /// says [`Swap::Done`]. `keep_until`: when the row may be swept; no session that needs it may live longer.
    pub async fn swap_grant(&self, next: &GrantRecord, keep_until: Timestamp) -> Result<Swap, StoreError> {
        let key = next.account.key();
        let seen = next.version.checked_sub(1).filter(|version| *version > 0);
        let sealed = self.grants.seal(&key.0, &format::write_grant(next));
        self.store
            .swap_grant(key, seen, GrantRow { version: next.version, expires_at: keep_until, sealed })
            .await
    }

    /// Writes the first grant of an account that has none. Its version is the time in milliseconds or higher, so that no
    /// version of a grant that was dropped before is ever given again: who read that one cannot write over this one.
    pub async fn begin_grant(&self, first: &GrantRecord, keep_until: Timestamp) -> Result<Swap, StoreError> {
        let key = first.account.key();
        let sealed = self.grants.seal(&key.0, &format::write_grant(first));
        let row = GrantRow { version: first.version, expires_at: keep_until, sealed };
        self.store.swap_grant(key, None, row).await
    }

    /// Drops an account's grant unless it has a session that still needs it: not at its absolute end, and seen after
    /// `seen_after`. Says whether a grant went.
    pub async fn drop_grant(
        &self,
        account: AccountKey,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.drop_grant(account, now, seen_after).await
    }

    /// A lease of the right to refresh an account's grant, until `until`; nobody has it yet.
    pub fn renewal_lease(&self, account: &Account, until: Timestamp) -> Lease {
        Lease { account: account.key(), holder: random_bytes(&*self.entropy), until }
    }

    /// A lease that announces that a code is about to be exchanged; nobody knows of it yet.
    pub fn exchange_lease(&self, until: Timestamp) -> Lease {
        Lease::of_exchange(random_bytes(&*self.entropy), until)
    }

    /// A lease of the right to the next look at an account, which was looked at last at `seen`; nobody has it yet. After
    /// a look that told something nobody asks for it any more.
    pub fn look_lease(&self, account: &Account, seen: Timestamp, until: Timestamp) -> Lease {
        let name = AccountKey(once("look", account, &seen.millis().to_be_bytes()));
        Lease { account: name, holder: random_bytes(&*self.entropy), until }
    }

    /// Takes a lease, or goes on holding it until another moment. False: somebody else has it. After an error it may be
    /// taken all the same, and is to be given back.
    pub async fn take(&self, lease: &Lease, now: Timestamp) -> Result<bool, StoreError> {
        self.store.lease(lease.clone(), now).await
    }

    /// Whether an exchange is under way, in whatever process, whose announcement ends after `now` and not after `latest`.
    pub async fn exchange_under_way(&self, now: Timestamp, latest: Timestamp) -> Result<bool, StoreError> {
        self.store.exchange_under_way(now, latest).await
    }

    /// Gives a lease back.
    pub async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.store.release(lease).await
    }

    /// Uses up the `state` of a sign-in, which nobody may use again before `until`. False: it was used before.
    pub async fn claim(&self, state: &State, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, state.expose().as_bytes());
        let mut once = [0; 32];
        once.copy_from_slice(digest.as_ref());
        self.store.claim(once, now, until).await
    }

    /// Takes the right to renew an account's token on an app's word; nobody else has it before `until`. False: somebody has
    /// it.
    pub async fn claim_word(
        &self,
        account: &Account,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.claim(once("word", account, &[]), now, until).await
    }

    /// Whether an account's owner is to be told about this scope: once until `until`.
    pub async fn claim_notice(
        &self,
        account: &Account,
        scope: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.claim(once("notice", account, scope.as_bytes()), now, until).await
    }

    /// Drops what has expired, at most a bounded number of rows; says how many went.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.store.sweep(now).await
    }

    /// Whether the store can read and write now.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    fn open_session(&self, key: SessionKey, row: &SessionRow) -> Result<SessionRecord, SpoiltReason> {
        let plain = self.sessions.open(&key.0, &row.sealed).map_err(|_| SpoiltReason::Sealed)?;
        let record = format::read_session(&plain, row.seen_at)?;
        let said = (row.account, row.created_at, row.expires_at);
        let agrees = said == (record.account.key(), record.created_at, record.expires_at);
        agrees.then_some(record).ok_or(SpoiltReason::Contradicts)
    }

    fn open_grant(&self, account: &Account, row: &GrantRow) -> Result<GrantRecord, SpoiltReason> {
        let plain = self.grants.open(&account.key().0, &row.sealed).map_err(|_| SpoiltReason::Sealed)?;
        let record = format::read_grant(&plain)?;
        let agrees = record.account == *account && record.version == row.version;
        agrees.then_some(record).ok_or(SpoiltReason::Contradicts)
    }
}

/// The name of something of an account that counts once.
fn once(what: &str, account: &Account, which: &[u8]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in [what.as_bytes(), &account.key().0, which] {
        context.update(part);
    }
    let mut name = [0; 32];
    name.copy_from_slice(context.finish().as_ref());
    name
}

#[cfg(test)]
mod tests;
