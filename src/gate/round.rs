//! A round: the forge is asked, with the account's own token, whether the account may still act and who it is, and the
//! answer is stored beside the token. One round per account at a time, in one process of all on the store, and nothing that a
//! client does can cancel it.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::base::account::{Account, Standing};
use crate::base::clock::Timestamp;
use crate::forge::error::ForgeError;
use crate::gate::asking::Asking;
use crate::gate::flight::Flight;
use crate::gate::keep;
use crate::gate::keeper::Shared;
use crate::gate::leases::{give_back, give_back_behind};
use crate::gate::recheck::{self, Failing, Learnt};
use crate::gate::renew::{self, Law, POLL, TRY_AGAIN, note};
use crate::session::record::{Freshness, GrantRecord};
use crate::session::store::{Lease, StoreError};

/// How a round ended. What is known of the account afterwards is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// The forge has said it, here or elsewhere, or the grant is known to be dead.
    Settled,
    /// Not for now: the forge or the store is down, slow, or odd. It proves nothing about anybody.
    NotNow,
    /// Somebody else is still at it.
    Elsewhere,
}

/// Joins or starts the round of an account, of which was known what stands in `seen`.
pub(super) fn start(shared: &Arc<Shared>, seen: &GrantRecord, law: Law) -> Flight<Round> {
    let (account, key) = (seen.account.clone(), seen.account.key());
    let (work, seen_at) = (Arc::clone(shared), seen.checked_at);
    shared.rounds.join(&shared.tasks, key, move || async move {
        let begun = Begun { account, seen_at };
        let round = round(&work, &begun, law).await.unwrap_or_else(|failed| {
            warn!(account = %key, error = %failed, "the session store failed while an account was looked at");
            Round::NotNow
        });
        if round != Round::Settled {
            // From here on requests do not wait for the next look.
            let failing = Failing::again(work.failing.get(&key), seen_at, work.clock.now());
            work.failing.insert(key, failing);
        }
        round
    })
}

/// Notes that a look takes its time: from here on requests do not wait for it.
pub(super) fn is_late(shared: &Shared, seen: &GrantRecord) {
    let key = seen.account.key();
    let failing = Failing::late(shared.failing.get(&key), seen.checked_at, shared.clock.now());
    shared.failing.insert(key, failing);
}

/// Whose round it is, and when the account was looked at last as far as its first asker knew.
struct Begun {
    account: Account,
    seen_at: Timestamp,
}

async fn round(shared: &Arc<Shared>, begun: &Begun, law: Law) -> Result<Round, StoreError> {
    let patience = Instant::now() + law.wait;
    let (grant, lease) = loop {
        let Some(grant) = keep::read(shared, &begun.account).await? else { return Ok(Round::Settled) };
        // Looked at meanwhile, by another process or the flight before this one.
        if grant.dead || grant.checked_at != begun.seen_at {
            note(shared, grant);
            return Ok(Round::Settled);
        }
        let now = shared.clock.now();
        let lease = shared.vault.look_lease(&begun.account, grant.checked_at, now.plus(TRY_AGAIN));
        match shared.vault.take(&lease, now).await {
            Ok(true) => break (grant, lease),
            Ok(false) => {}
            Err(failed) => {
                give_back_behind(shared, lease);
                return Err(failed);
            }
        }
        if Instant::now() >= patience {
            return Ok(Round::Elsewhere);
        }
        sleep(POLL).await;
    };
    let ended = tokio::select! {
        biased;
        ended = look(shared, begun, grant, law) => ended,
        never = hold(shared, &lease) => match never {},
    };
    // What was told is known by what is stored: nobody asks for this lease again.
    if !matches!(ended, Ok(Round::Settled)) {
        give_back(shared, lease).await;
    }
    ended
}

/// Goes on holding a lease. However slow the forge is: while this process lives and the store takes it, nobody asks beside it.
async fn hold(shared: &Shared, lease: &Lease) -> Infallible {
    loop {
        sleep(TRY_AGAIN / 3).await;
        let now = shared.clock.now();
        let longer = Lease { until: now.plus(TRY_AGAIN), ..lease.clone() };
        if let Err(failed) = shared.vault.take(&longer, now).await {
            debug!(error = %failed, "a lease was not extended");
        }
    }
}

async fn look(
    shared: &Arc<Shared>,
    begun: &Begun,
    mut grant: GrantRecord,
    law: Law,
) -> Result<Round, StoreError> {
    for last in [false, true] {
        let Some((asked, standing)) = ask(shared, grant, law).await? else { return Ok(Round::NotNow) };
        grant = asked;
        let Some((standing, asked_at)) = standing else {
            // The grant is dead: that is told where it was found out.
            note(shared, grant);
            return Ok(Round::Settled);
        };
        let Some(learnt) = learn(shared, &grant, standing, asked_at, last).await else { continue };
        let Some(stored) =
            keep::amend(shared, law, &begun.account, |_| true, |stored| learnt.put_on(stored)).await?
        else {
            return Ok(Round::Settled);
        };
        tell(&grant, &stored);
        note(shared, stored);
        return Ok(if learnt.whole_at.is_some() { Round::Settled } else { Round::NotNow });
    }
    Ok(Round::NotNow)
}

/// What the forge says to a live token of the account, and when it was asked: none if it says nothing; without a standing if
/// the grant is dead.
async fn ask(
    shared: &Arc<Shared>,
    mut grant: GrantRecord,
    law: Law,
) -> Result<Option<(GrantRecord, Option<(Standing, Timestamp)>)>, StoreError> {
    let account = grant.account.clone();
    let freshness = shared.freshness(&grant, law.min_ttl);
    if matches!(freshness, Freshness::Stale | Freshness::Expired) {
        // One that is about to end may do so between two questions, and is due for the request's sake anyway.
        match renew::another(shared, &grant, law).await? {
            Some(renewed) => grant = renewed,
            None if freshness == Freshness::Expired => return Ok(None),
            None => {}
        }
    }
    for last in [false, true] {
        if grant.dead {
            return Ok(Some((grant, None)));
        }
        let asking = Asking::now(&*shared.clock);
        let failed = match shared.forge.standing(&grant.access).await {
            Ok(standing) => return Ok(Some((grant, Some((standing, asking.asked_at(&*shared.clock)))))),
            Err(failed) => failed,
        };
        if !matches!(failed, ForgeError::Unauthorized) || last {
            warn!(account = %account.key(), error = %failed, "the forge does not say whether an account may act; nobody is signed out for that");
            return Ok(None);
        }
        // Dead before its time: the grant was revoked, its user deleted, the forge's key changed. The forge knows which.
        info!(account = %account.key(), "the forge takes an access token no more before its time; it is renewed");
        let Some(renewed) = renew::another(shared, &grant, law).await? else { return Ok(None) };
        grant = renewed;
    }
    Ok(None)
}

/// Who an account in good standing is now. None: it seems to have been barred or ended since its standing was asked for,
/// which is to be asked again, unless this is the `last` try.
async fn learn(
    shared: &Shared,
    grant: &GrantRecord,
    standing: Standing,
    asked_at: Timestamp,
    last: bool,
) -> Option<Learnt> {
    let whole_at = Some(asked_at);
    if standing != Standing::Good {
        return Some(Learnt { standing, profile: None, whole_at });
    }
    match shared.forge.profile(&grant.access).await {
        Ok(profile) if profile.sub == *grant.account.sub.0 => {
            return Some(Learnt { standing, profile: Some(profile), whole_at });
        }
        Ok(_) => {
            warn!(account = %grant.account.key(), "the forge speaks of somebody else than whose token asks; what was known stays");
        }
        Err(ForgeError::Unauthorized | ForgeError::Garbled(_)) if !last => return None,
        Err(failed) => {
            warn!(account = %grant.account.key(), error = %failed, "the forge does not say who an account is now; what was known stays");
        }
    }
    Some(Learnt { standing, profile: None, whole_at: None })
}

/// What the forge says of an account that has just signed in: who that is its `id_token` has said.
pub(super) async fn at_sign_in(shared: &Shared, grant: &GrantRecord) -> Learnt {
    let asking = Asking::now(&*shared.clock);
    match shared.forge.standing(&grant.access).await {
        Ok(standing) => {
            let whole_at = Some(asking.asked_at(&*shared.clock));
            let learnt = Learnt { standing, profile: None, whole_at };
            tell(grant, &learnt.put_on(grant.clone()));
            learnt
        }
        Err(failed) => {
            warn!(account = %grant.account.key(), error = %failed, "the forge does not say whether an account may act; nobody is signed out for that");
            // What was known goes on, and is asked for behind requests; but where the token has died already, before them.
            if !matches!(failed, ForgeError::Unauthorized) {
                is_late(shared, grant);
            }
            Learnt { standing: grant.standing, profile: None, whole_at: None }
        }
    }
}

/// Tells what is new.
fn tell(before: &GrantRecord, after: &GrantRecord) {
    let account = after.account.key();
    if before.standing != after.standing {
        if let Some(reason) = recheck::reason(after.standing) {
            warn!(account = %account, reason = reason.code, "the forge does not let an account act: its requests are refused");
        } else {
            info!(account = %account, "the forge lets an account act again");
        }
    }
    let (was, is) = (&before.identity, &after.identity);
    if was.login != is.login || was.groups != is.groups {
        let (renamed, groups) = (was.login != is.login, was.groups != is.groups);
        info!(account = %account, renamed, groups, "an account is called otherwise, or is in other groups, at the forge");
    }
}

#[cfg(test)]
mod tests;
