//! The exchange of a code: redeem, check the id_token, store, ask for the scope, store, open a session. One task that
//! nobody cancels, since the forge counts from the first step on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::base::account::{Account, Identity};
use crate::base::secret::{AuthCode, IdToken};
use crate::forge::error::{ForgeError, IdTokenFault};
use crate::gate::asking::Asking;
use crate::gate::flow::Flow;
use crate::gate::keep::{self, NewSet, Source};
use crate::gate::keeper::Shared;
use crate::gate::leases::{give_back, give_back_behind};
use crate::gate::near::{Known, NearSession};
use crate::gate::renew::{Law, note, save_behind};
use crate::gate::round;
use crate::gate::scope;
use crate::gate::unsaved::Exchange;
use crate::session::id::SessionId;
use crate::session::record::SessionRecord;
use crate::session::store::StoreError;

/// How soon the forge is asked again whose a token set is.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What the exchange needs of the settings.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub redirect_uri: String,
    pub origin: String,
    pub client_id: String,
    pub asked_scope: String,
    pub law: Law,
    /// What kind of browser signs in, for the list of its owner's sessions.
    pub browser: Option<String>,
}

/// Why no session came of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The state was used before.
    Used,
    /// The nonce is another sign-in's: the grant keeps one, and somebody signed in in between.
    Crossed,
    /// The forge says no, or what it says does not hold.
    Refused,
    /// The forge cannot say for now.
    ForgeDown,
    /// The forge does not take our registration.
    Misconfigured,
    /// The store cannot say for now.
    StoreDown,
    /// The store could not even be told that the state is used: nothing was sent to the forge.
    NotBegun,
    /// Too many exchanges are under way: nothing was used up.
    Busy,
}

impl From<StoreError> for Failed {
    fn from(failed: StoreError) -> Self {
        error!(error = %failed, "the session store failed during a sign-in");
        Self::StoreDown
    }
}

/// A session that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub id: SessionId,
    pub known: Known,
}

/// Does what it takes to exchange a code, and announces it in the store: a renewal which the forge refuses meanwhile, in
/// whatever process, cannot tell whether this is why.
pub(super) async fn announced(
    shared: &Arc<Shared>,
    law: Law,
    work: impl Future<Output = Result<Opened, Failed>>,
) -> Result<Opened, Failed> {
    let now = shared.clock.now();
    let lease = shared.vault.exchange_lease(now.plus(law.lease));
    if let Err(failed) = shared.vault.take(&lease, now).await {
        error!(error = %failed, "the session store failed during a sign-in");
        give_back_behind(shared, lease);
        return Err(Failed::NotBegun);
    }
    let done = work.await;
    // What the store has not taken may still be on its way there: then the announcement lapses by itself.
    if !matches!(done, Err(Failed::StoreDown)) {
        // Nobody waits for that.
        let work = Arc::clone(shared);
        drop(shared.tasks.spawn(async move { give_back(&work, lease).await }));
    }
    done
}

/// Runs the exchange of a flow whose state was found good. `others`: what else is under way in its browser; none if that
/// has a session already, which then serves a crossed sign-in too. Until its session is there, `under_way` says that what
/// is stored may be needed.
pub(super) async fn run(
    shared: &Arc<Shared>,
    terms: &Terms,
    flow: Flow,
    others: Option<&[Flow]>,
    code: AuthCode,
    under_way: Exchange,
) -> Result<Opened, Failed> {
    let asking = Asking::now(&*shared.clock);
    let mut set = shared
        .forge
        .redeem(code, flow.verifier, &terms.redirect_uri)
        .await
        .map_err(|failed| forge_failed(&failed))?;
    let obtained = shared.steady.obtained(asking, &*shared.clock);
    let Some(id_token) = set.id_token.take() else {
        warn!(error = %IdTokenFault::Absent, "a sign-in failed");
        return Err(Failed::Refused);
    };
    // Whose grant this is holds even when the sign-in is then refused, and the forge has outdated that account's stored set
    // either way.
    let identity = whose(shared, &id_token, terms.law).await.map_err(|failed| forge_failed(&failed))?;
    // The issuer that the id_token was held to: asked for earlier, it could have been another.
    let issuer = match shared.forge.issuer() {
        Some(issuer) => issuer,
        None => shared.forge.discover().await.map_err(|failed| forge_failed(&failed))?,
    };
    let account =
        Account { issuer, client_id: Arc::from(terms.client_id.as_str()), sub: identity.id.clone() };
    let mut ours = shared.forge.verify(&id_token, Some(&flow.nonce)).await;
    if let Some(others) = others.filter(|_| is_crossed(&ours)) {
        for nonce in shared.siblings.nonces(&flow.state, others) {
            ours = shared.forge.verify(&id_token, Some(&nonce)).await;
            if !is_crossed(&ours) {
                break;
            }
        }
    }
    let key = account.key();
    shared.steady.remember(key, obtained, &set.access);
    // Held even when the sign-in is refused: others of the account may be about to live by it.
    let held = shared.unsaved.hold(NewSet {
        account,
        access: set.access,
        obtained,
        life: set.life,
        refresh: set.refresh,
        source: Source::SignIn(identity),
    });
    let kept = match keep::save_once(shared, terms.law, &held).await {
        Ok(kept) => kept,
        Err(failed) => {
            // The browser is told at once; the account's other sessions live by this set.
            save_behind(shared, key, terms.law);
            return Err(failed.into());
        }
    };
    let Some(kept) = kept else { return Err(Failed::StoreDown) };
    if kept.anew {
        shared.near.forget_account(key);
    }
    // Not noted before its scope is known: until then the account's other sessions go on with what they had, if that lives.
    shared.near.forget_dead(key);
    let (judged, learnt) = tokio::join!(
        scope::introspect(shared, &kept.grant, &terms.asked_scope),
        round::at_sign_in(shared, &kept.grant),
    );
    let learn = |stored| learnt.put_on(judged.put_on(stored));
    let stored = keep::amend_same(shared, terms.law, &kept.grant, learn).await?;
    let grant = learn(kept.grant);
    if let Err(refused) = ours {
        // The account's other sessions, if there still are any, go on with the new set, and know at once what it may do.
        note(shared, stored.unwrap_or(grant));
        drop(under_way);
        keep::drop_unused(shared, key, terms.law).await;
        return Err(forge_failed(&refused));
    }

    let asking = Asking::now(&*shared.clock);
    let now = asking.at;
    let id = SessionId::random(&*shared.entropy);
    let record = SessionRecord {
        account: grant.account.clone(),
        origin: terms.origin.clone(),
        browser: terms.browser.clone(),
        created_at: now,
        seen_at: now,
        expires_at: now.plus(terms.law.absolute),
    };
    shared.vault.insert_session(id.key(), &record).await?;
    let grant = keep::ensure(shared, terms.law, &grant).await?;
    drop(under_way);
    let known = Known {
        session: Arc::new(NearSession::new(id.key(), record, asking)),
        account: Arc::new(shared.judged(grant)),
    };
    shared.near.note(&known);
    shared.was_here(&known.account.grant.identity.id, now);
    info!(account = %key, session = %id.key(), "signed in");
    Ok(Opened { id, known })
}

/// Whose a token set is. Whatever hinders the forge for a moment from telling its keys is no reason to lose the set.
async fn whose(shared: &Shared, id_token: &IdToken, law: Law) -> Result<Identity, ForgeError> {
    let patience = Instant::now() + law.wait;
    loop {
        match shared.forge.whose(id_token).await {
            Err(failed) if failed.is_transient() && Instant::now() < patience => {
                warn!(error = %failed, "the forge does not say whose a token set is; it is asked again");
                sleep(ASK_AGAIN).await;
            }
            settled => return settled,
        }
    }
}

fn is_crossed<T>(verified: &Result<T, ForgeError>) -> bool {
    matches!(verified, Err(ForgeError::BadIdToken(IdTokenFault::Nonce)))
}

fn forge_failed(failed: &ForgeError) -> Failed {
    match failed {
        ForgeError::BadIdToken(IdTokenFault::Nonce) => {
            warn!("a sign-in crossed another one of the same account");
            Failed::Crossed
        }
        ForgeError::Misconfigured(_) | ForgeError::Unfit(_) => {
            error!(error = %failed, "the forge refuses this proxy's registration");
            Failed::Misconfigured
        }
        failed if failed.is_transient() => {
            warn!(error = %failed, "the forge failed during a sign-in");
            Failed::ForgeDown
        }
        ForgeError::Spent(_) => {
            error!(error = %failed, "the forge refuses a code; if all sign-ins fail so, the client secret is wrong");
            Failed::Refused
        }
        _ => {
            warn!(error = %failed, "a sign-in failed");
            Failed::Refused
        }
    }
}
