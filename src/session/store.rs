//! The port of every store. A store keeps rows it cannot read: what matters in a row is sealed (`vault`).

use std::fmt::Debug;

use thiserror::Error;

use crate::base::account::AccountKey;
use crate::base::clock::Timestamp;
use crate::base::port::Answer;
use crate::session::id::SessionKey;

/// How many sessions one account may have; with one more, the one that was used least recently ends.
pub const MAX_SESSIONS_PER_ACCOUNT: usize = 1000;

/// How many rows of each kind one [`SessionStore::sweep`] drops at most.
pub const SWEEP_ROWS: usize = 1000;

/// A session as a store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Whose it is: an index for "all sessions of this account"; the sealed part says it too, and that one counts.
    pub account: AccountKey,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, at most a minute behind.
    pub seen_at: Timestamp,
    /// Its absolute end.
    pub expires_at: Timestamp,
    /// The sealed record.
    pub sealed: Vec<u8>,
}

/// An account's grant as a store sees it. Versions only rise; what begins anew after a drop or a sweep begins higher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// Rises with every write.
    pub version: u64,
    /// When the row may be swept: the account has had no use for so long that nothing in it can be alive.
    pub expires_at: Timestamp,
    /// The sealed record.
    pub sealed: Vec<u8>,
}

/// The outcome of a compare-and-swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Written, and durable.
    Done,
    /// Somebody wrote in between: read again.
    Stale,
}

/// The right to refresh one account's grant until `until`, across all processes on the store. Other rights have names that no
/// account has: to exchange a code, and to look at an account, whose rows stay until they are swept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which account.
    pub account: AccountKey,
    /// Who holds it: random, so that a lapsed holder cannot give back what is no longer his.
    pub holder: [u8; 16],
    /// When it lapses by itself.
    pub until: Timestamp,
}

impl Lease {
    /// The announcement of an exchange of a code, under a key that no account has: whose it is, is not known yet.
    pub fn of_exchange(holder: [u8; 16], until: Timestamp) -> Self {
        let mut key = [0; 32];
        key[16..].copy_from_slice(&holder);
        Self { account: AccountKey(key), holder, until }
    }

    /// The first key behind all those of exchanges.
    pub const FIRST_ACCOUNT: AccountKey = AccountKey([
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);

    /// How late a lease that somebody else holds at `now` may end and still be one: twice as long as this one lasts. What
    /// ends later was taken before the clock was set back.
    pub fn latest_other(&self, now: Timestamp) -> Timestamp {
        latest_other(self.until, now)
    }
}

/// The same for a claim until `until`.
pub fn latest_other(until: Timestamp, now: Timestamp) -> Timestamp {
    until.plus(until.since(now))
}

/// What went wrong in a store. None of it says anything about who is signed in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot answer now: locked, full, gone, too slow, or its queue is full. Try again later.
    #[error("the session store cannot answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store was written by a newer program, or is not ours.
    #[error("the session store has a format that this program does not know")]
    Foreign,
}

/// What all stores can do. Absent and expired are both `None`; `now` is always the caller's. Every method may be called
/// from any task, and a dropped future leaves the write either whole or undone. A store that keeps rows on disk has
/// them safe from the death of this process when the future completes; grants, and the end of a session, from power loss
/// too.
///
/// # Errors
/// Each method: [`StoreError`]; "cannot know" is never "not there".
pub trait SessionStore: Debug + Send + Sync + 'static {
    /// Adds a session. Of more than [`MAX_SESSIONS_PER_ACCOUNT`] the one that was used least recently ends.
    fn insert_session(&self, key: SessionKey, row: SessionRow) -> Answer<'_, Result<(), StoreError>>;
    /// Reads a session that has not reached its absolute end.
    fn session(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Result<Option<SessionRow>, StoreError>>;
    /// Notes that a session was used; never brings a removed session back, never moves `seen_at` backwards.
    /// Says whether the session was there.
    fn touch_session(&self, key: SessionKey, seen_at: Timestamp) -> Answer<'_, Result<bool, StoreError>>;
    /// Ends a session; says whether it was there.
    fn remove_session(&self, key: SessionKey) -> Answer<'_, Result<bool, StoreError>>;
    /// An account's sessions that have not reached their absolute end, newest first.
    fn sessions_of(
        &self,
        account: AccountKey,
        now: Timestamp,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>>;
    /// Ends all of an account's sessions but one, if one is to stay; says how many ended.
    fn remove_sessions_of(
        &self,
        account: AccountKey,
        except: Option<SessionKey>,
    ) -> Answer<'_, Result<u64, StoreError>>;
    /// Everybody's sessions that have not reached their absolute end, by key: the first `most` behind `after`. For who
    /// looks after the store; no request asks for it.
    fn sessions_after(
        &self,
        after: Option<SessionKey>,
        now: Timestamp,
        most: usize,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>>;

    /// Reads an account's grant, whatever its age.
    fn grant(&self, account: AccountKey) -> Answer<'_, Result<Option<GrantRow>, StoreError>>;
    /// Writes a grant if the stored version is still `seen` (`None`: there is none) and the next one is higher. The end of
    /// its keeping is never brought forward.
    fn swap_grant(
        &self,
        account: AccountKey,
        seen: Option<u64>,
        next: GrantRow,
    ) -> Answer<'_, Result<Swap, StoreError>>;
    /// Drops an account's grant unless one of its sessions still has a use for it: one that has not reached its absolute
    /// end at `now` and was seen after `seen_after`. Says whether a grant went. A swap at a version from before finds
    /// nothing to replace.
    fn drop_grant(
        &self,
        account: AccountKey,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>>;

    /// Takes the lease of an account if nobody else holds one that has not lapsed at `now` and ends by
    /// [`Lease::latest_other`]; whoever holds it holds it longer.
    fn lease(&self, lease: Lease, now: Timestamp) -> Answer<'_, Result<bool, StoreError>>;
    /// Gives a lease back; without effect when it lapsed and somebody else holds it.
    fn release(&self, lease: Lease) -> Answer<'_, Result<(), StoreError>>;
    /// Whether there is a lease of an exchange ([`Lease::of_exchange`]) that ends after `now` and not after `latest`.
    fn exchange_under_way(&self, now: Timestamp, latest: Timestamp) -> Answer<'_, Result<bool, StoreError>>;

    /// Marks a one-time thing (the hash of a sign-in's `state`) as used until `until`. False: it was used before, by a mark
    /// that has not ended at `now` and ends by [`latest_other`].
    fn claim(&self, once: [u8; 32], now: Timestamp, until: Timestamp)
    -> Answer<'_, Result<bool, StoreError>>;

    /// Drops what has expired, at most [`SWEEP_ROWS`] of each kind; says how many went. As many or more: there may be
    /// others.
    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<u64, StoreError>>;
    /// Whether the store can read and write now.
    fn ping(&self) -> Answer<'_, Result<(), StoreError>>;
}
