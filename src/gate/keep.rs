//! Writing an account's grant. Many write at once: renewals, sign-ins, verdicts, notices, other processes. A version that
//! rose says only that somebody wrote; whether the tokens are newer is seen by the tokens alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, error, warn};

use crate::base::account::{Account, AccountKey, Identity, Standing};
use crate::base::clock::Timestamp;
use crate::base::secret::{RefreshToken, same};
use crate::gate::keeper::Shared;
use crate::gate::renew::Law;
use crate::gate::steady::Obtained;
use crate::gate::unsaved::Held;
use crate::gate::uses;
use crate::session::record::{GrantRecord, ScopeVerdict};
use crate::session::store::{StoreError, Swap};
use crate::session::vault::Found;
use crate::wire::ForgeToken;

/// How often a write is tried again that others outran. Each time somebody has got on; a browser that opens ten tabs again
/// brings thirty writes of one account.
const TRIES: usize = 32;
/// How soon a write that the store did not take is tried again; twice as late each time, up to [`LONGEST_PAUSE`]. That is
/// shorter than a refresh token stays a mere suspect: in another process it is refused for want of this write.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How often it is looked whether exchanges under way are through before tokens are dropped: nobody waits for that.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Longer than it takes to look which exchanges are announced: one that begins meanwhile is waited for, too.
const MEANWHILE: Duration = Duration::from_secs(1);

/// A token set as the forge has just given it out, and how it came about.
#[derive(Debug)]
pub(super) struct NewSet {
    pub account: Account,
    pub access: ForgeToken,
    /// When the forge was asked for it. Its life is counted from here: how long the answer took nobody knows at the forge.
    pub obtained: Obtained,
    pub life: Duration,
    pub refresh: Option<RefreshToken>,
    pub source: Source,
}

/// How a token set came about.
#[derive(Debug)]
pub(super) enum Source {
    /// In exchange for this refresh token. The forge has taken it, so the spares that stood beside it are worth nothing.
    Renewal { spent: RefreshToken, spares: Vec<RefreshToken> },
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

/// Spares kept at most: as many as a browser has sign-ins under way.
const MOST_SPARES: usize = 10;

/// Whether the stored refresh token still is this one.
pub(super) fn holds(grant: &GrantRecord, refresh: &RefreshToken) -> bool {
    grant.refresh.as_ref().is_some_and(|stored| same(stored.expose(), refresh.expose()))
}

/// Reads an account's grant; one that cannot be opened is none.
pub(super) async fn read(shared: &Shared, account: &Account) -> Result<Option<GrantRecord>, StoreError> {
    Ok(match shared.vault.grant(account).await? {
        Found::Live(grant) => Some(grant),
        Found::Absent => {
            // Dropped, maybe in another process: what is near of it counts no more.
            shared.near.forget_account(account.key());
            None
        }
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

/// Stores a set that is held, and holds it no more. None: the account has no grant any more.
pub(super) async fn save_once(shared: &Shared, law: Law, held: &Held) -> Result<Option<Kept>, StoreError> {
    let kept = match &held.source {
        Source::Renewal { spent, spares } => {
            let still = |stored: &GrantRecord| !has_renewed(stored, held, spent);
            let next = |stored: GrantRecord| renewed(stored, held, spent, spares);
            let stored = amend(shared, law, &held.account, still, next).await?;
            stored.map(|grant| Kept { grant, anew: false })
        }
        Source::SignIn(identity) => Some(save_sign_in(shared, law, held, identity).await?),
    };
    shared.unsaved.forget(held);
    if let Some(Kept { grant, .. }) =
        kept.as_ref().filter(|kept| same(kept.grant.access.expose(), held.access.expose()))
    {
        shared.steady.stored(grant, held.obtained);
    }
    Ok(kept)
}

/// Whether a renewed set has been stored already: a write that failed may have taken effect.
fn has_renewed(stored: &GrantRecord, set: &NewSet, spent: &RefreshToken) -> bool {
    let refresh = set.refresh.as_ref().unwrap_or(spent);
    holds(stored, refresh) && same(stored.access.expose(), set.access.expose())
        || is_among(&stored.spares, refresh)
}

/// What is stored, and a set that the forge gave for `spent`, beside which stood `spares`. It takes the place of the set that
/// it was given for. Has another one taken that meanwhile, it is a spare: which one the forge gave out last nobody knows.
fn renewed(stored: GrantRecord, set: &NewSet, spent: &RefreshToken, spares: &[RefreshToken]) -> GrantRecord {
    let is_in_place = stored.dead || holds(&stored, spent);
    let is_spent = |spare: &RefreshToken| is_among(spares, spare) || same(spare.expose(), spent.expose());
    // Those that came meanwhile may be newer.
    let left = stored.spares.into_iter().filter(|spare| !is_spent(spare)).collect();
    if !is_in_place {
        let spares = match &set.refresh {
            Some(refresh) => with_spare(left, refresh.clone()),
            None => left,
        };
        return GrantRecord { spares, ..stored };
    }
    GrantRecord {
        access: set.access.clone(),
        access_expires_at: set.obtained.at.plus(set.life),
        access_life: set.life,
        refresh: set.refresh.clone().or(stored.refresh),
        dead: false,
        spares: left,
        ..stored
    }
}

/// A sign-in's set replaces whatever is stored, except a set that was asked for after it; either way the other's refresh
/// token is kept as a spare.
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
        let anew = stored.is_none();
        let ours = GrantRecord {
            version,
            begun: stored.as_ref().map_or(version, |stored| stored.begun),
            account: set.account.clone(),
            identity: identity.clone(),
            access: set.access.clone(),
            access_expires_at: set.obtained.at.plus(set.life),
            access_life: set.life,
            refresh: set.refresh.clone(),
            dead: false,
            scope: String::new(),
            verdict: ScopeVerdict::Unknown,
            asked_at: set.obtained.at,
            spares: Vec::new(),
            standing: stored.as_ref().map_or(Standing::Good, |stored| stored.standing),
            checked_at: stored.as_ref().map_or(Timestamp::default(), |stored| stored.checked_at),
        };
        let grant = match stored {
            Some(stored) => merged(stored, ours, now),
            None => ours,
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
/// the session was there to need it: the account's last other session was signed out then. It is put back, and beside
/// whatever another sign-in has put there since: `ours` may be the last one that the forge gave out.
pub(super) async fn ensure(shared: &Shared, law: Law, ours: &GrantRecord) -> Result<GrantRecord, StoreError> {
    for _ in 0..TRIES {
        let (stored, now) = (read(shared, &ours.account).await?, shared.clock.now());
        let absent = stored.is_none();
        let grant = match stored {
            // It has been merged into that one; whatever became of its tokens since came after.
            Some(stored) if stored.begun == ours.begun => return Ok(stored),
            Some(stored) => {
                let (version, begun) = (stored.version.saturating_add(1), stored.begun);
                GrantRecord { version, begun, ..merged(stored, ours.clone(), now) }
            }
            None => {
                let version = first_version(now);
                GrantRecord { version, begun: version, ..ours.clone() }
            }
        };
        if write(shared, law, &grant, absent).await? == Swap::Done {
            shared.near.forget_account(grant.account.key());
            return Ok(grant);
        }
    }
    Err(outrun())
}

/// Drops what is known of an account's tokens, here and in the store, if no session of it is left that needs them. Nothing
/// brings them back but a sign-in: a renewal under way finds nothing to write over. A sign-in under way, in whatever process,
/// may be this account's, with an older set than the stored one and its session still to come: it is waited for, behind. A
/// store that cannot say keeps them until they are swept; sessions have ended all the same.
pub(super) async fn drop_unused(shared: &Arc<Shared>, account: AccountKey, law: Law) {
    let (mark, until) = (shared.under_way.mark(), Instant::now() + law.lease);
    let unknown = move |failed: StoreError| {
        warn!(account = %account, error = %failed, "the tokens of an account without sessions could not be dropped; they stay sealed until they are swept");
    };
    let latest = match last_announced(shared, law).await {
        Ok(latest) => latest,
        Err(failed) => return unknown(failed),
    };
    match is_busy(shared, mark, latest).await {
        Ok(false) => return drop_now(shared, account, law).await.unwrap_or_else(unknown),
        Ok(true) => {}
        Err(failed) => return unknown(failed),
    }
    let work = Arc::clone(shared);
    drop(shared.tasks.spawn(async move {
        // A store that cannot say for now is asked again.
        while Instant::now() < until && is_busy(&work, mark, latest).await.unwrap_or(true) {
            sleep(LOOK_AGAIN).await;
        }
        drop_now(&work, account, law).await.unwrap_or_else(unknown);
    }));
}

async fn drop_now(shared: &Shared, account: AccountKey, law: Law) -> Result<(), StoreError> {
    // A session in use needs them, whatever the store knows of it.
    uses::tell(shared, Some(account)).await?;
    let now = shared.clock.now();
    if shared.vault.drop_grant(account, now, now.minus(law.idle)).await? {
        shared.near.forget_account(account);
        debug!(account = %account, "nobody is signed in to this account any more: its tokens are dropped");
    }
    Ok(())
}

/// Whether an exchange is under way that began before `mark` here, or whose announcement ends by `latest` elsewhere.
pub(super) async fn is_busy(shared: &Shared, mark: u64, latest: Timestamp) -> Result<bool, StoreError> {
    Ok(shared.under_way.any_before(mark)
        || shared.vault.exchange_under_way(shared.clock.now(), latest).await?)
}

/// By when the announcements of all exchanges end that are under way now: those that begin later end after that. But for a
/// clock that was set back: what was announced before that ends later still, and is waited for with all that end by then.
pub(super) async fn last_announced(shared: &Shared, law: Law) -> Result<Timestamp, StoreError> {
    let now = shared.clock.now();
    let (usual, latest) = (now.plus(law.lease + MEANWHILE), now.plus(law.lease * 2));
    let set_back = shared.vault.exchange_under_way(usual, latest).await?;
    Ok(if set_back { latest } else { usual })
}

/// A sign-in's grant and the stored one: the one that was asked for last, with the refresh tokens of both. Which of them the
/// forge gave out last is not told by times, since answers overtake each other and clocks are set.
fn merged(stored: GrantRecord, ours: GrantRecord, now: Timestamp) -> GrantRecord {
    let version = ours.version;
    if is_newer(&stored, &ours, now) {
        let mut spares = stored.spares.clone();
        for spare in ours.spares.into_iter().chain(ours.refresh) {
            spares = with_spare(spares, spare);
        }
        return GrantRecord { version, spares, ..stored };
    }
    let mut spares = ours.spares.clone();
    if !stored.dead {
        for spare in stored.spares.into_iter().chain(stored.refresh) {
            spares = with_spare(spares, spare);
        }
    }
    spares.retain(|spare| !holds(&ours, spare));
    GrantRecord { version, spares, ..ours }
}

/// Whether what is stored was asked for after `ours`: answers may be late, and so may writes that were tried again. A stored
/// set from the future is not believed: the clock was set back. Access tokens tell nothing here: two of one second may be
/// the same bytes.
fn is_newer(stored: &GrantRecord, ours: &GrantRecord, now: Timestamp) -> bool {
    let obtained_at = stored.obtained_at();
    !stored.dead && obtained_at > ours.obtained_at() && obtained_at <= now
}

fn is_among(tokens: &[RefreshToken], token: &RefreshToken) -> bool {
    tokens.iter().any(|one| same(one.expose(), token.expose()))
}

fn with_spare(mut spares: Vec<RefreshToken>, token: RefreshToken) -> Vec<RefreshToken> {
    if is_among(&spares, &token) {
        return spares;
    }
    let surplus = (spares.len() + 1).saturating_sub(MOST_SPARES);
    spares.drain(..surplus);
    spares.push(token);
    spares
}

/// The likeliest spare takes the place of a refresh token that the forge calls spent; without one the grant is dead.
pub(super) fn promoted(mut stored: GrantRecord) -> GrantRecord {
    match stored.spares.pop() {
        Some(spare) => GrantRecord { refresh: Some(spare), ..stored },
        None => GrantRecord { dead: true, ..stored },
    }
}

fn outrun() -> StoreError {
    StoreError::Unavailable("the row was written by others each time".into())
}
