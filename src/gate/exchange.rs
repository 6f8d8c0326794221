//! The exchange of a code: redeem, check the id_token, store, ask for the scope, store, open a session. One task that
//! nobody cancels, since the forge counts from the first step on.

use std::sync::Arc;

use tracing::{error, info, warn};

use crate::base::account::{Account, Identity};
use crate::base::clock::Timestamp;
use crate::base::secret::AuthCode;
use crate::forge::api::TokenSet;
use crate::forge::error::{ForgeError, IdTokenFault};
use crate::gate::flow::Flow;
use crate::gate::keeper::Shared;
use crate::gate::near::{Known, NearAccount, NearSession};
use crate::gate::renew::{Law, judge_scope, note};
use crate::session::id::SessionId;
use crate::session::record::{GrantRecord, ScopeVerdict, SessionRecord};
use crate::session::store::{StoreError, Swap};

/// What the exchange needs of the settings.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub redirect_uri: String,
    pub origin: String,
    pub client_id: String,
    pub asked_scope: String,
    pub law: Law,
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

/// Runs the exchange of a flow whose state was found good. `others`: what else is under way in its browser.
pub(super) async fn run(
    shared: &Shared,
    terms: &Terms,
    flow: Flow,
    others: &[Flow],
    code: AuthCode,
) -> Result<Opened, Failed> {
    let issuer = shared.forge.discover().await.map_err(|failed| forge_failed(&failed))?;
    let mut set = shared
        .forge
        .redeem(code, flow.verifier, &terms.redirect_uri)
        .await
        .map_err(|failed| forge_failed(&failed))?;
    let redeemed_at = shared.clock.now();
    let Some(id_token) = set.id_token.take() else {
        warn!(error = %IdTokenFault::Absent, "a sign-in failed");
        return Err(Failed::Refused);
    };
    // Checked without the nonce first: whose grant this is holds even when the sign-in is then refused, and the forge has
    // outdated that account's stored set either way.
    let identity = shared.forge.verify(&id_token, None).await.map_err(|failed| forge_failed(&failed))?;
    let account =
        Account { issuer, client_id: Arc::from(terms.client_id.as_str()), sub: identity.id.clone() };
    let mut ours = shared.forge.verify(&id_token, Some(&flow.nonce)).await;
    if is_crossed(&ours) {
        for nonce in shared.siblings.nonces(&flow.state, others) {
            ours = shared.forge.verify(&id_token, Some(&nonce)).await;
            if !is_crossed(&ours) {
                break;
            }
        }
    }
    let key = account.key();
    if ours.is_err() && shared.vault.sessions_of(&account, redeemed_at).await?.is_empty() {
        return Err(ours.map_err(|failed| forge_failed(&failed)).err().unwrap_or(Failed::Refused));
    }
    let grant = keep(shared, terms.law, account, identity, set).await?;
    let grant = keep_verdict(shared, terms.law, judge_scope(shared, grant, &terms.asked_scope).await).await?;
    if let Err(refused) = ours {
        // The account's other sessions go on with the new set, and know at once what it may do.
        note(shared, grant);
        return Err(forge_failed(&refused));
    }

    let now = shared.clock.now();
    let id = SessionId::random(&*shared.entropy);
    let record = SessionRecord {
        account: grant.account.clone(),
        origin: terms.origin.clone(),
        created_at: now,
        seen_at: now,
        expires_at: now.plus(terms.law.absolute),
    };
    shared.vault.insert_session(id.key(), &record).await?;
    let known = Known {
        session: Arc::new(NearSession::new(id.key(), record, now)),
        account: Arc::new(NearAccount::new(grant)),
    };
    shared.near.note(&known);
    info!(account = %key, session = %id.key(), "signed in");
    Ok(Opened { id, known })
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

/// How often a grant is tried to be stored. Each try that fails means that another sign-in of the account has succeeded,
/// and a browser that opens all its tabs again sends a handful at once.
const TRIES: usize = 16;

/// Stores a sign-in's grant, its scope not yet known. A sign-in's set is the newest there is, unless one that the forge
/// gave out later was stored first: then that one stays, for only its refresh token is good.
async fn keep(
    shared: &Shared,
    law: Law,
    account: Account,
    identity: Identity,
    set: TokenSet,
) -> Result<GrantRecord, Failed> {
    let redeemed_at = shared.clock.now();
    let mut grant = GrantRecord {
        version: 0,
        account,
        identity,
        access: set.access,
        access_expires_at: redeemed_at.plus(set.life),
        access_life: set.life,
        refresh: set.refresh,
        dead: false,
        scope: String::new(),
        verdict: ScopeVerdict::Unknown,
        asked_at: redeemed_at,
        noticed: None,
    };
    for _ in 0..TRIES {
        let stored = shared.vault.grant(&grant.account).await?;
        grant.version = stored.next_version();
        if let Some(stored) = stored.live() {
            if is_newer(&stored, &grant, shared.clock.now()) {
                return Ok(stored);
            }
            grant.noticed = stored.noticed;
        }
        if shared.vault.swap_grant(&grant, law.keep_until(shared)).await? == Swap::Done {
            return Ok(grant);
        }
    }
    warn!(account = %grant.account.key(), tries = TRIES, "a grant was written by others each time");
    Err(Failed::StoreDown)
}

/// Whether a stored grant was given out after ours. One from the future was not: the clock has been set back since.
fn is_newer(stored: &GrantRecord, ours: &GrantRecord, now: Timestamp) -> bool {
    // Given out at the end less the life; both sides are moved by both lives, so that nothing is subtracted.
    let given_out = |one: &GrantRecord, other: &GrantRecord| one.access_expires_at.plus(other.access_life);
    let after = given_out(stored, ours) > given_out(ours, stored);
    !stored.dead && after && stored.access_expires_at <= now.plus(stored.access_life)
}

/// Stores the verdict on a sign-in's scope; a version that somebody wrote in between knows better.
async fn keep_verdict(shared: &Shared, law: Law, judged: GrantRecord) -> Result<GrantRecord, Failed> {
    if shared.vault.swap_grant(&judged, law.keep_until(shared)).await? == Swap::Done {
        return Ok(judged);
    }
    shared.vault.grant(&judged.account).await?.live().ok_or(Failed::StoreDown)
}
