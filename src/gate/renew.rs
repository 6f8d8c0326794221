//! Renewal of an account's token: one flight per account, one lease across all processes on the store, durable before use,
//! and nothing that a client does can cancel it.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::base::account::{Account, AccountKey};
use crate::base::clock::Timestamp;
use crate::base::entropy::random_bytes;
use crate::forge::api::Introspection;
use crate::forge::error::ForgeError;
use crate::forge::scope;
use crate::gate::flight::Flight;
use crate::gate::keeper::Shared;
use crate::gate::near::NearAccount;
use crate::session::record::{Freshness, GrantRecord, ScopeVerdict};
use crate::session::store::{StoreError, Swap};
use crate::session::vault::Found;

/// How long a lease lasts: longer than a call to the token endpoint may take in total.
const LEASE: Duration = Duration::from_secs(30);
/// How soon a renewal that failed for the moment is tried again, at the earliest.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// What the configuration says about renewals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Law {
    /// A token with less life left is renewed.
    pub min_ttl: Duration,
    /// The longest life of a session: a grant is kept as long as one may need it.
    pub absolute: Duration,
}

impl Law {
    /// When a grant that is stored now may be swept.
    pub(super) fn keep_until(self, shared: &Shared) -> Timestamp {
        shared.clock.now().plus(self.absolute)
    }
}

/// How a renewal ended. What is known of the account afterwards is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// The account's grant is as good as it gets: renewed here or elsewhere, or known to be dead.
    Settled,
    /// Not for now: the forge or the store is down, slow, or odd. Nobody is signed out for that.
    NotNow,
}

/// Joins or starts the renewal of an account. None: it failed a moment ago and is not tried again yet.
pub(super) fn start(shared: &Arc<Shared>, account: &Account, law: Law) -> Option<Flight<Renewal>> {
    let (now, key) = (shared.clock.now(), account.key());
    if rests(shared, key, now) {
        return None;
    }
    let (work, account) = (Arc::clone(shared), account.clone());
    Some(shared.renewals.join(&shared.tasks, key, move || async move {
        let renewal = renew(&work, &account, law).await.unwrap_or_else(|failed| {
            warn!(account = %key, error = %failed, "the session store failed during a renewal");
            Renewal::NotNow
        });
        if renewal == Renewal::NotNow {
            // A tenth of chance keeps many proxies from knocking at the same moment.
            let [chance] = random_bytes::<1>(&*work.entropy);
            let rest = TRY_AGAIN + TRY_AGAIN * u32::from(chance) / 2560;
            work.rests.insert(key, work.clock.now().plus(rest));
        }
        renewal
    }))
}

/// Whether an account's token failed or was asked about a moment ago, so that the forge is left alone for now.
pub(super) fn rests(shared: &Shared, account: AccountKey, now: Timestamp) -> bool {
    shared.rests.get(&account).is_some_and(|until| now < until)
}

async fn renew(shared: &Shared, account: &Account, law: Law) -> Result<Renewal, StoreError> {
    let Some(lease) = shared.vault.lease(account, shared.clock.now(), LEASE).await? else {
        // Another process is at it. What it stores is read on the next look at the store.
        return Ok(Renewal::NotNow);
    };
    let renewal = under_lease(shared, account, law).await;
    // A lease that cannot be given back lapses by itself.
    drop(shared.vault.release(lease).await);
    renewal
}

async fn under_lease(shared: &Shared, account: &Account, law: Law) -> Result<Renewal, StoreError> {
    let Some(grant) = read(shared, account).await? else { return Ok(Renewal::Settled) };
    let now = shared.clock.now();
    if grant.dead || matches!(grant.freshness(now, law.min_ttl), Freshness::Fresh) {
        note(shared, grant);
        return Ok(Renewal::Settled);
    }
    let Some(refresh) = grant.refresh.clone() else { return Ok(Renewal::Settled) };
    match shared.forge.refresh(&refresh).await {
        Ok(set) => {
            let seen = grant.version;
            let next = GrantRecord {
                version: seen + 1,
                access: set.access,
                access_expires_at: shared.clock.now().plus(set.life),
                access_life: set.life,
                refresh: set.refresh.or(grant.refresh),
                ..grant
            };
            store(shared, next, law).await
        }
        Err(ForgeError::Spent(code)) => {
            let seen = grant.version;
            match read(shared, account).await? {
                Some(newer) if newer.version > seen => {
                    note(shared, newer);
                    Ok(Renewal::Settled)
                }
                _ => {
                    info!(account = %account.key(), code = %code, "the forge has ended this grant: its sessions must sign in again");
                    store(shared, GrantRecord { version: seen + 1, dead: true, ..grant }, law).await
                }
            }
        }
        Err(ForgeError::Misconfigured(code)) => {
            error!(code = %code, "the forge refuses this proxy's client id or secret; nobody is signed out for that");
            Ok(Renewal::NotNow)
        }
        Err(failed) => {
            warn!(account = %account.key(), error = %failed, "a token could not be renewed for now");
            Ok(Renewal::NotNow)
        }
    }
}

/// Stores first, uses then. Somebody who wrote in between knows better.
async fn store(shared: &Shared, next: GrantRecord, law: Law) -> Result<Renewal, StoreError> {
    let next = match shared.vault.swap_grant(&next, law.keep_until(shared)).await? {
        Swap::Done => next,
        Swap::Stale => match read(shared, &next.account).await? {
            Some(newer) => newer,
            None => return Ok(Renewal::Settled),
        },
    };
    note(shared, next);
    Ok(Renewal::Settled)
}

/// From here on requests are judged by this.
pub(super) fn note(shared: &Shared, grant: GrantRecord) {
    shared.near.note_account(grant.account.key(), &Arc::new(NearAccount::new(grant)));
}

async fn read(shared: &Shared, account: &Account) -> Result<Option<GrantRecord>, StoreError> {
    Ok(match shared.vault.grant(account).await? {
        Found::Live(grant) => Some(grant),
        Found::Absent => None,
        Found::Spoilt(spoilt) => {
            error!(account = %account.key(), reason = ?spoilt.reason, "a stored grant cannot be opened; its owner signs in again");
            None
        }
    })
}

/// Asks the forge what an account's token may do, and stores the answer.
pub(super) async fn ask_scope(
    shared: &Shared,
    account: &Account,
    asked: &str,
    law: Law,
) -> Result<(), StoreError> {
    let Some(grant) = read(shared, account).await? else { return Ok(()) };
    if grant.verdict != ScopeVerdict::Unknown {
        return Ok(());
    }
    let next = judge_scope(shared, grant, asked).await;
    store(shared, next, law).await.map(|_| ())
}

/// The next version of a grant, with what introspection says of its scope.
pub(super) async fn judge_scope(shared: &Shared, grant: GrantRecord, asked: &str) -> GrantRecord {
    let (verdict, scope) = match shared.forge.introspect(&grant.access).await {
        Ok(Introspection::Active { scope }) => {
            let verdict = match scope::compare(asked, &scope) {
                scope::Comparison::Exact => ScopeVerdict::Exact,
                scope::Comparison::Narrower => ScopeVerdict::Narrower,
                scope::Comparison::Wider => ScopeVerdict::Wider,
            };
            (verdict, scope)
        }
        Ok(Introspection::Inactive) => {
            warn!(
                "the forge calls a token inactive that it has just issued; it is withheld and asked for again"
            );
            (ScopeVerdict::Unknown, String::new())
        }
        Err(failed) => {
            warn!(error = %failed, "the forge does not say what a token may do; it is withheld and asked for again");
            (ScopeVerdict::Unknown, String::new())
        }
    };
    info!(account = %grant.account.key(), verdict = ?verdict, scope = %scope, asked = %asked, "scope of a grant");
    GrantRecord { version: grant.version + 1, verdict, scope, asked_at: shared.clock.now(), ..grant }
}
