//! What a token may do: the forge is asked, and its answer is stored beside the token.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::base::account::Account;
use crate::base::clock::Timestamp;
use crate::forge::api::Introspection;
use crate::forge::error::ForgeError;
use crate::forge::scope;
use crate::gate::keep;
use crate::gate::keeper::Shared;
use crate::gate::reason;
use crate::gate::renew::{self, Law, note};
use crate::session::record::{Freshness, GrantRecord, ScopeVerdict};
use crate::session::store::StoreError;

/// How soon a scope that is not known is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Whether a scope that was asked for at `asked_at` may be asked for again. A moment to come is no reason to wait: the
/// clock was set back.
pub(super) fn is_due(asked_at: Timestamp, now: Timestamp) -> bool {
    asked_at > now || now.since(asked_at) >= ASK_AGAIN
}

/// Asks behind a request's back; one asks per account, and not again for a while.
pub(super) fn ask_behind(shared: &Arc<Shared>, account: &Account, asked: &str, law: Law) {
    let (key, now) = (account.key(), shared.clock.now());
    let rests = move |shared: &Shared| shared.asked.get(&key).is_some_and(|asked_at| !is_due(asked_at, now));
    if rests(shared) {
        return;
    }
    let (work, account, asked) = (Arc::clone(shared), account.clone(), asked.to_owned());
    drop(shared.asks.join(&shared.tasks, key, move || async move {
        // Looked at again: a flight that has just landed may have asked.
        if rests(&work) {
            return;
        }
        work.asked.insert(key, now);
        if let Err(failed) = ask(&work, &account, &asked, law).await {
            warn!(error = %failed, "the session store failed while a scope was asked for");
        }
    }));
}

async fn ask(shared: &Arc<Shared>, account: &Account, asked: &str, law: Law) -> Result<(), StoreError> {
    let Some(mut grant) = keep::read(shared, account).await? else { return Ok(()) };
    if grant.verdict == ScopeVerdict::Unknown && is_due(grant.asked_at, shared.clock.now()) {
        let Some(judged) = judge(shared, grant, asked, law).await? else { return Ok(()) };
        grant = judged;
    }
    note(shared, grant);
    Ok(())
}

/// Stores what introspection says of a grant's scope, unless its token has changed meanwhile; says what is stored then. A
/// token that has died meanwhile tells nothing about its scope: it is renewed first. Introspection alone is not believed
/// about that, or it could cost a renewal each time.
pub(super) async fn judge(
    shared: &Arc<Shared>,
    mut grant: GrantRecord,
    asked: &str,
    law: Law,
) -> Result<Option<GrantRecord>, StoreError> {
    let lives = shared.freshness(&grant, law.min_ttl) != Freshness::Expired;
    let mut judged = if lives { Some(introspect(shared, &grant, asked).await) } else { None };
    let is_dead = match &judged {
        None => true,
        Some(judged) if judged.inactive => {
            matches!(shared.forge.standing(&grant.access).await, Err(ForgeError::Unauthorized))
        }
        Some(_) => false,
    };
    if is_dead && let Some(renewed) = renew::another(shared, &grant, law).await? {
        if renewed.dead {
            return Ok(Some(renewed));
        }
        judged = Some(introspect(shared, &renewed, asked).await);
        grant = renewed;
    }
    let Some(judged) = judged else { return Ok(Some(grant)) };
    keep::amend_same(shared, law, &grant, |stored| judged.put_on(stored)).await
}

/// What a granted scope means beside the one that is asked for.
pub(super) fn verdict(asked: &str, granted: &str) -> ScopeVerdict {
    match scope::compare(asked, granted) {
        scope::Comparison::Exact => ScopeVerdict::Exact,
        scope::Comparison::Narrower => ScopeVerdict::Narrower,
        scope::Comparison::Wider => ScopeVerdict::Wider,
    }
}

/// Why a token is passed on or withheld, as the log and whoami say it: the notices' codes where there is a notice.
pub(super) fn reason(verdict: &ScopeVerdict) -> &'static str {
    match verdict {
        ScopeVerdict::Exact => "as_asked",
        ScopeVerdict::Narrower => reason::CONSENT_NARROWER.code,
        ScopeVerdict::Wider => reason::CONSENT_WIDER.code,
        ScopeVerdict::Unknown => "scope_unknown",
    }
}

/// What introspection says of a grant's scope.
#[derive(Debug)]
pub(super) struct Judged {
    verdict: ScopeVerdict,
    scope: String,
    asked_at: Timestamp,
    /// Whether the forge calls the token dead.
    inactive: bool,
}

impl Judged {
    /// The grant with that.
    pub(super) fn put_on(&self, stored: GrantRecord) -> GrantRecord {
        let (verdict, scope) = (self.verdict.clone(), self.scope.clone());
        GrantRecord { verdict, scope, asked_at: self.asked_at, ..stored }
    }
}

/// Asks the forge what a grant's token may do, and tells what that means.
pub(super) async fn introspect(shared: &Shared, grant: &GrantRecord, asked: &str) -> Judged {
    let mut inactive = false;
    let (verdict, scope) = match shared.forge.introspect(&grant.access).await {
        Ok(Introspection::Active { scope }) => (verdict(asked, &scope), scope),
        Ok(Introspection::Inactive) => {
            warn!("the forge calls a token inactive before its time; it is withheld and asked for again");
            inactive = true;
            (ScopeVerdict::Unknown, String::new())
        }
        Err(failed) => {
            warn!(error = %failed, "the forge does not say what a token may do; it is withheld and asked for again");
            (ScopeVerdict::Unknown, String::new())
        }
    };
    info!(account = %grant.account.key(), verdict = ?verdict, reason = reason(&verdict), scope = %scope, asked = %asked, "scope of a grant");
    Judged { verdict, scope, asked_at: shared.clock.now(), inactive }
}
