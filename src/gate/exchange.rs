//! The exchange of a code: redeem, check the id_token, store, ask for the scope, store, open a session. One task that
//! nobody cancels, since the forge counts from the first step on.

use std::sync::Arc;

use tracing::{error, info, warn};

use crate::base::account::{Account, Identity};
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

/// Runs the exchange of a flow whose state was found good.
pub(super) async fn run(
    shared: &Shared,
    terms: &Terms,
    flow: Flow,
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
    let ours = shared.forge.verify(&id_token, Some(&flow.nonce)).await;
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

/// Stores a sign-in's grant, its scope not yet known. A sign-in's set is the newest there is, whatever was stored.
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
    for _ in 0..4 {
        let stored = shared.vault.grant(&grant.account).await?;
        grant.version = stored.next_version();
        grant.noticed = stored.live().and_then(|stored| stored.noticed);
        if shared.vault.swap_grant(&grant, law.keep_until(shared)).await? == Swap::Done {
            return Ok(grant);
        }
    }
    warn!(account = %grant.account.key(), "a grant was written by others four times in a row");
    Err(Failed::StoreDown)
}

/// Stores the verdict on a sign-in's scope; a version that somebody wrote in between knows better.
async fn keep_verdict(shared: &Shared, law: Law, judged: GrantRecord) -> Result<GrantRecord, Failed> {
    if shared.vault.swap_grant(&judged, law.keep_until(shared)).await? == Swap::Done {
        return Ok(judged);
    }
    shared.vault.grant(&judged.account).await?.live().ok_or(Failed::StoreDown)
}
