//! Writing an account's grant. Many write at once: renewals, sign-ins, verdicts, notices, other processes. A version that
//! rose says only that somebody wrote; whether the tokens are newer is seen by the tokens alone.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, error, warn};

use crate::base::account::{Account, AccountKey, Identity, Standing};
use crate::base::clock::Timestamp;
use crate::base::secret::{RefreshToken, same};
use crate::gate::keeper::Shared;
use crate::gate::renew::Law;
use crate::gate::unsaved::Held;
use crate::session::record::{GrantRecord, ScopeVerdict};
use crate::session::store::{StoreError, Swap};
use crate::session::vault::Found;
use crate::wire::ForgeToken;

/// How often a write is tried again that others outran. Each time somebody has got on; a browser that opens ten tabs again
/// brings thirty writes of one account.
const TRIES: usize = 32;
/// How soon a write that the store did not take is tried again; twice as late each time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A token set as the forge has just given it out, and how it came about.
#[derive(Debug)]
pub(super) struct NewSet {
    pub account: Account,
    pub access: ForgeToken,
    pub obtained_at: Timestamp,
    pub life: Duration,
    pub refresh: Option<RefreshToken>,
    pub source: Source,
}

/// How a token set came about.
#[derive(Debug)]
pub(super) enum Source {
    /// In exchange for this refresh token.
    Renewal(RefreshToken),
    /// By a sign-in of this person.
    SignIn(Identity),
}

/// What is stored of an account after a write.
#[derive(Debug)]
pub(super) struct Kept {
    pub grant: GrantRecord,
    /// Whether there was nothing of use before, so that versions have begun anew.
    pub anew: bool,
}

/// Whether the stored refresh token still is this one.
pub(super) fn holds(grant: &GrantRecord, refresh: &RefreshToken) -> bool {
    grant.refresh.as_ref().is_some_and(|stored| same(stored.expose(), refresh.expose()))
}

/// Reads an account's grant; one that cannot be opened is none.
pub(super) async fn read(shared: &Shared, account: &Account) -> Result<Option<GrantRecord>, StoreError> {
    Ok(match shared.vault.grant(account).await? {
        Found::Live(grant) => Some(grant),
        Found::Absent => None,
        Found::Spoilt(spoilt) => {
            error!(account = %account.key(), reason = ?spoilt.reason, "a stored grant cannot be opened; its owner signs in again");
            None
        }
    })
}

/// Puts a change on top of whatever is stored as long as `still` holds of it; says what is stored then.
pub(super) async fn amend(
    shared: &Shared,
    law: Law,
    account: &Account,
    still: impl Fn(&GrantRecord) -> bool,
    change: impl Fn(GrantRecord) -> GrantRecord,
) -> Result<Option<GrantRecord>, StoreError> {
    for _ in 0..TRIES {
        let Some(stored) = read(shared, account).await? else { return Ok(None) };
        if !still(&stored) {
            return Ok(Some(stored));
        }
        let version = stored.version.saturating_add(1);
        let next = GrantRecord { version, ..change(stored) };
        if shared.vault.swap_grant(&next, law.keep_until(shared)).await? == Swap::Done {
            return Ok(Some(next));
        }
    }
    Err(outrun())
}

/// Puts a change on top of what is stored if that still has the access token of `seen`.
pub(super) async fn amend_same(
    shared: &Shared,
    law: Law,
    seen: &GrantRecord,
    change: impl Fn(GrantRecord) -> GrantRecord,
) -> Result<Option<GrantRecord>, StoreError> {
    let still = |stored: &GrantRecord| same(stored.access.expose(), seen.access.expose());
    amend(shared, law, &seen.account, still, change).await
}

/// Stores a set that is held, again and again until `until`. What has not worked by then stays held.
pub(super) async fn save(
    shared: &Shared,
    law: Law,
    held: &Held,
    until: Instant,
) -> Result<Option<Kept>, StoreError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let failed = match save_once(shared, law, held).await {
            Ok(kept) => return Ok(kept),
            Err(failed) => failed,
        };
        if Instant::now() + pause > until {
            return Err(failed);
        }
        warn!(account = %held.account.key(), error = %failed, "a new token set could not be stored; it is held and tried again");
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Stores a set that is held, and holds it no more. None: the account has no grant any more, or a newer set is held.
pub(super) async fn save_once(shared: &Shared, law: Law, held: &Held) -> Result<Option<Kept>, StoreError> {
    if shared.unsaved.is_outdated(held) {
        return Ok(None);
    }
    let kept = match &held.source {
        Source::Renewal(spent) => {
            let next = |stored: GrantRecord| GrantRecord {
                access: held.access.clone(),
                access_expires_at: held.obtained_at.plus(held.life),
                access_life: held.life,
                refresh: held.refresh.clone().or(stored.refresh),
                dead: false,
                ..stored
            };
            let stored = amend(shared, law, &held.account, |stored| holds(stored, spent), next).await?;
            stored.map(|grant| Kept { grant, anew: false })
        }
        Source::SignIn(identity) => Some(save_sign_in(shared, law, held, identity).await?),
    };
    shared.unsaved.forget(held);
    Ok(kept)
}

/// A sign-in's set replaces whatever is stored, except a set that was obtained after it.
async fn save_sign_in(
    shared: &Shared,
    law: Law,
    set: &NewSet,
    identity: &Identity,
) -> Result<Kept, StoreError> {
    for _ in 0..TRIES {
        let found = shared.vault.grant(&set.account).await?;
        let (now, absent) = (shared.clock.now(), matches!(found, Found::Absent));
        let version = if absent { first_version(now) } else { found.next_version() };
        let stored = found.live();
        if let Some(newer) = stored.as_ref().filter(|stored| is_newer(stored, set, now)) {
            return Ok(Kept { grant: newer.clone(), anew: false });
        }
        let anew = stored.is_none();
        let grant = GrantRecord {
            version,
            account: set.account.clone(),
            identity: identity.clone(),
            access: set.access.clone(),
            access_expires_at: set.obtained_at.plus(set.life),
            access_life: set.life,
            refresh: set.refresh.clone(),
            dead: false,
            scope: String::new(),
            verdict: ScopeVerdict::Unknown,
            asked_at: set.obtained_at,
            standing: stored.as_ref().map_or(Standing::Good, |stored| stored.standing),
            checked_at: stored.as_ref().map_or(Timestamp::default(), |stored| stored.checked_at),
            noticed: stored.and_then(|stored| stored.noticed),
        };
        if write(shared, law, &grant, absent).await? == Swap::Done {
            return Ok(Kept { grant, anew });
        }
    }
    Err(outrun())
}

async fn write(shared: &Shared, law: Law, grant: &GrantRecord, first: bool) -> Result<Swap, StoreError> {
    let keep_until = law.keep_until(shared);
    if first {
        return shared.vault.begin_grant(grant, keep_until).await;
    }
    shared.vault.swap_grant(grant, keep_until).await
}

/// Above all versions of a grant that was dropped before, each of which took a write.
fn first_version(now: Timestamp) -> u64 {
    now.millis().max(1)
}

/// What is stored for a session that has just been opened. The grant that its sign-in brought may have been dropped before
/// the session was there to need it: the account's last other session was signed out then. It is put back.
pub(super) async fn ensure(shared: &Shared, law: Law, grant: GrantRecord) -> Result<GrantRecord, StoreError> {
    for _ in 0..TRIES {
        if let Some(stored) = read(shared, &grant.account).await? {
            return Ok(stored);
        }
        let again = GrantRecord { version: first_version(shared.clock.now()), ..grant.clone() };
        if write(shared, law, &again, true).await? == Swap::Done {
            shared.near.forget_account(again.account.key());
            return Ok(again);
        }
    }
    Err(outrun())
}

/// Drops what is known of an account's tokens, here and in the store, if no session of it is left that needs them. Nothing
/// brings them back but a sign-in: a renewal under way finds nothing to write over. A store that cannot say keeps them
/// until they are swept; sessions have ended all the same.
pub(super) async fn drop_unused(shared: &Shared, account: AccountKey, idle: Duration) {
    let now = shared.clock.now();
    match shared.vault.drop_grant(account, now, now.minus(idle)).await {
        Ok(true) => {
            shared.near.forget_account(account);
            debug!(account = %account, "nobody is signed in to this account any more: its tokens are dropped");
        }
        Ok(false) => {}
        Err(failed) => {
            warn!(account = %account, error = %failed, "the tokens of an account without sessions could not be dropped; they stay sealed until they are swept");
        }
    }
}

/// Whether what is stored came after `set`: a write that was tried again may be late. A stored set from the future is not
/// believed: the clock was set back. Access tokens tell nothing here: two of one second may be the same bytes.
fn is_newer(stored: &GrantRecord, set: &NewSet, now: Timestamp) -> bool {
    let obtained_at = stored.access_expires_at.minus(stored.access_life);
    !stored.dead && obtained_at > set.obtained_at && obtained_at <= now
}

fn outrun() -> StoreError {
    StoreError::Unavailable("the row was written by others each time".into())
}
