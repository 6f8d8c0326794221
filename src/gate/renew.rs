//! Renewal of an account's token: one flight per account, one lease across all processes on the store, durable before use,
//! and nothing that a client does can cancel it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::base::account::{Account, AccountKey};
use crate::base::clock::Timestamp;
use crate::base::entropy::random_bytes;
use crate::base::secret::{RefreshToken, same};
use crate::forge::error::ForgeError;
use crate::gate::asking::Asking;
use crate::gate::flight::Flight;
use crate::gate::keep::{self, Kept, NewSet, Source};
use crate::gate::keeper::Shared;
use crate::gate::leases::{give_back, give_back_behind};
use crate::gate::unsaved::Held;
use crate::session::record::{Freshness, GrantRecord};
use crate::session::store::StoreError;
use crate::wire::ForgeToken;

/// How often one looks whether another holder of the lease, or an exchange under way, is through.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// How long a refresh token that the forge calls spent stays a mere suspect at least: whoever held the lease before may be
/// about to store what it has got. Exchanges of codes, in whatever process, are announced in the store and waited for to
/// their end.
const SUSPECT: Duration = Duration::from_secs(1);
/// How soon a renewal that failed for the moment is tried again, at the earliest.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(10);

/// What the configuration says about renewals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Law {
    /// A token with less life left is renewed.
    pub min_ttl: Duration,
    /// How long a session lasts that nobody uses: then it needs no grant.
    pub idle: Duration,
    /// The longest life of a session: a grant is kept as long as one may need it.
    pub absolute: Duration,
    /// How long a request waits, and so how long another holder of the lease is waited for.
    pub wait: Duration,
    /// How long a call to the token endpoint may take in total.
    pub call: Duration,
    /// How long a lease lasts: longer than that.
    pub lease: Duration,
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
    /// Somebody else is still at it. That is no failure, and nobody rests for it.
    Elsewhere,
}

/// Joins or starts the renewal of an account. None: it failed a moment ago and is not tried again yet.
pub(super) fn start(shared: &Arc<Shared>, account: &Account, law: Law) -> Option<Flight<Renewal>> {
    fly(shared, account, law, None)
}

/// The same for an access token that somebody calls dead before its time: renewed while it still is the stored one.
pub(super) fn force(
    shared: &Arc<Shared>,
    account: &Account,
    law: Law,
    refused: ForgeToken,
) -> Option<Flight<Renewal>> {
    fly(shared, account, law, Some(refused))
}

/// The grant with another access token than this one, or dead; none if that cannot be had for now.
pub(super) async fn another(
    shared: &Arc<Shared>,
    grant: &GrantRecord,
    law: Law,
) -> Result<Option<GrantRecord>, StoreError> {
    let flight = force(shared, &grant.account, law, grant.access.clone());
    let Some(flight) = flight.filter(|_| grant.refresh.is_some()) else { return Ok(None) };
    if flight.landed().await != Some(Renewal::Settled) {
        return Ok(None);
    }
    let stored = keep::read(shared, &grant.account).await?;
    Ok(stored.filter(|stored| stored.dead || !same(stored.access.expose(), grant.access.expose())))
}

fn fly(
    shared: &Arc<Shared>,
    account: &Account,
    law: Law,
    refused: Option<ForgeToken>,
) -> Option<Flight<Renewal>> {
    let key = account.key();
    if rests(shared, key) {
        return None;
    }
    let (work, account) = (Arc::clone(shared), account.clone());
    Some(shared.renewals.join(&shared.tasks, key, move || async move {
        let renewal = renew(&work, &account, law, refused.as_ref()).await.unwrap_or_else(|failed| {
            warn!(account = %key, error = %failed, "the session store failed during a renewal");
            save_behind(&work, key, law);
            Renewal::NotNow
        });
        if renewal == Renewal::NotNow {
            // A tenth of chance keeps many proxies from knocking at the same moment.
            let [chance] = random_bytes::<1>(&*work.entropy);
            let rest = TRY_AGAIN + TRY_AGAIN * u32::from(chance) / 2560;
            work.rests.insert(key, Rest { since: work.clock.now(), long: rest });
        } else {
            // One from before the clock was set back would begin again when its time comes.
            work.rests.invalidate(&key);
        }
        renewal
    }))
}

/// How an account is left alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    since: Timestamp,
    long: Duration,
}

/// Whether an account's token failed or was asked about a moment ago, so that the forge is left alone for now.
pub(super) fn rests(shared: &Shared, account: AccountKey) -> bool {
    let now = shared.clock.now();
    // A beginning to come is no reason to rest: the clock was set back.
    shared.rests.get(&account).is_some_and(|rest| rest.since <= now && now.since(rest.since) < rest.long)
}

async fn renew(
    shared: &Arc<Shared>,
    account: &Account,
    law: Law,
    refused: Option<&ForgeToken>,
) -> Result<Renewal, StoreError> {
    shared.steady.look(&*shared.clock);
    let patience = Instant::now() + law.wait;
    // What flights before this one could not store comes first: the forge takes the stored refresh token no more.
    while let Some(held) = shared.unsaved.of(account.key()) {
        save(shared, law, &held, patience).await?;
    }
    let mut seen: Option<GrantRecord> = None;
    loop {
        let (until, now) = (Instant::now() + law.lease, shared.clock.now());
        let lease = shared.vault.renewal_lease(account, now.plus(law.lease));
        match shared.vault.take(&lease, now).await {
            Ok(true) => {
                let renewal = under_lease(shared, account, law, refused, until).await;
                give_back(shared, lease).await;
                return renewal;
            }
            Ok(false) => {}
            Err(failed) => {
                give_back_behind(shared, lease);
                return Err(failed);
            }
        }
        let Some(grant) = keep::read(shared, account).await? else { return Ok(Renewal::Settled) };
        // A new one may seem to have ended too, if the clock was set back: then it is for us to renew it.
        let changed = seen.as_ref().is_some_and(|seen| !same(seen.access.expose(), grant.access.expose()))
            && shared.freshness(&grant, law.min_ttl) != Freshness::Expired;
        if changed || is_settled(&grant, shared, law, refused) {
            note(shared, grant);
            return Ok(Renewal::Settled);
        }
        if Instant::now() >= patience {
            return Ok(Renewal::Elsewhere);
        }
        seen = seen.or(Some(grant));
        sleep(POLL).await;
    }
}

fn is_settled(grant: &GrantRecord, shared: &Shared, law: Law, refused: Option<&ForgeToken>) -> bool {
    let is_refused = refused.is_some_and(|refused| same(refused.expose(), grant.access.expose()));
    grant.dead || !is_refused && shared.freshness(grant, law.min_ttl) == Freshness::Fresh
}

async fn under_lease(
    shared: &Shared,
    account: &Account,
    law: Law,
    refused: Option<&ForgeToken>,
    until: Instant,
) -> Result<Renewal, StoreError> {
    loop {
        let Some(grant) = keep::read(shared, account).await? else { return Ok(Renewal::Settled) };
        if is_settled(&grant, shared, law, refused) {
            note(shared, grant);
            return Ok(Renewal::Settled);
        }
        let Some(refresh) = grant.refresh else { return Ok(Renewal::Settled) };
        let asking = Asking::now(&*shared.clock);
        match shared.forge.refresh(&refresh).await {
            Ok(set) => {
                let (obtained, ours) = (shared.steady.obtained(asking, &*shared.clock), set.access.clone());
                shared.steady.remember(account.key(), obtained, &set.access);
                let held = shared.unsaved.hold(NewSet {
                    account: account.clone(),
                    access: set.access,
                    obtained,
                    life: set.life,
                    refresh: set.refresh,
                    source: Source::Renewal { spent: refresh, spares: grant.spares },
                });
                let stored = save(shared, law, &held, until).await?;
                // Another set may stand in its place by now, and want to be renewed in its turn.
                let is_done = |stored: GrantRecord| {
                    same(stored.access.expose(), ours.expose()) || is_settled(&stored, shared, law, None)
                };
                if stored.is_none_or(is_done) {
                    return Ok(Renewal::Settled);
                }
            }
            Err(ForgeError::Spent(code)) => {
                info!(account = %account.key(), code = %code, "the forge calls a refresh token spent");
                if let Some(renewal) = suspect(shared, account, law, &refresh, until).await? {
                    return Ok(renewal);
                }
            }
            Err(ForgeError::Misconfigured(code)) => {
                error!(code = %code, "the forge refuses this proxy's client id or secret; nobody is signed out for that");
                return Ok(Renewal::NotNow);
            }
            Err(failed) => {
                warn!(account = %account.key(), error = %failed, "a token could not be renewed for now");
                return Ok(Renewal::NotNow);
            }
        }
        // Another call to the forge has to fit into the lease.
        if Instant::now() + law.call > until {
            return Ok(Renewal::NotNow);
        }
    }
}

/// Stores first, uses then.
async fn save(
    shared: &Shared,
    law: Law,
    held: &Held,
    until: Instant,
) -> Result<Option<GrantRecord>, StoreError> {
    let kept = keep::save(shared, law, held, until).await?;
    if let Some(kept) = &kept {
        note_kept(shared, kept);
    }
    Ok(kept.map(|kept| kept.grant))
}

/// The forge calls a refresh token spent. That is the end of the grant only if nobody has a newer set in hand: a sign-in
/// elsewhere makes the stored token worthless before it has stored its own. None: there is another token to be tried.
async fn suspect(
    shared: &Shared,
    account: &Account,
    law: Law,
    spent: &RefreshToken,
    until: Instant,
) -> Result<Option<Renewal>, StoreError> {
    let patience = Instant::now() + SUSPECT;
    // Exchanges that begin from here on are not why. Here they are counted; elsewhere their announcements end later.
    let mark = shared.under_way.mark();
    let latest = keep::last_announced(shared, law).await?;
    loop {
        if let Some(held) = shared.unsaved.of(account.key()) {
            // It may be an older one, so what is stored then is looked at once more.
            save(shared, law, &held, until).await?;
            return Ok(None);
        }
        let Some(stored) = keep::read(shared, account).await? else { return Ok(Some(Renewal::Settled)) };
        if stored.dead || !keep::holds(&stored, spent) {
            note(shared, stored);
            return Ok(Some(Renewal::Settled));
        }
        if !stored.spares.is_empty() {
            break;
        }
        let busy = keep::is_busy(shared, mark, latest).await?;
        let now = Instant::now();
        if !busy && now >= patience {
            break;
        }
        if now >= until {
            // Cannot know: an exchange still hangs at the forge.
            return Ok(Some(Renewal::NotNow));
        }
        sleep(POLL).await;
    }
    let still = |stored: &GrantRecord| keep::holds(stored, spent);
    let Some(stored) = keep::amend(shared, law, account, still, keep::promoted).await? else {
        return Ok(Some(Renewal::Settled));
    };
    if !stored.dead {
        return Ok(None);
    }
    info!(account = %account.key(), "the forge has ended this grant: its sessions must sign in again");
    note(shared, stored);
    Ok(Some(Renewal::Settled))
}

/// From here on requests are judged by this.
pub(super) fn note(shared: &Shared, grant: GrantRecord) {
    shared.near.note_account(grant.account.key(), &Arc::new(shared.judged(grant)));
}

/// The same for what was just written; versions that have begun anew count from here.
pub(super) fn note_kept(shared: &Shared, kept: &Kept) {
    if kept.anew {
        shared.near.forget_account(kept.grant.account.key());
    }
    note(shared, kept.grant.clone());
}

/// Goes on storing what is held of an account, until the store has it and behind everybody's back. Nobody may come to this
/// process for that account again, and another one would take the stored refresh token, which the forge has replaced, for
/// the end of the grant. One task an account.
pub(super) fn save_behind(shared: &Arc<Shared>, account: AccountKey, law: Law) {
    let Some(mut saver) = shared.unsaved.saver(account) else { return };
    let work = Arc::clone(shared);
    drop(shared.tasks.spawn(async move {
        while let Some(held) = saver.next() {
            if let Err(failed) = save(&work, law, &held, Instant::now() + law.lease).await {
                error!(account = %account, error = %failed, "a new token set is still not stored; it is held and tried again");
            }
        }
        // Whose sessions have all been signed out meanwhile needs it no more.
        keep::drop_unused(&work, account, law).await;
    }));
}

#[cfg(test)]
mod tests;
