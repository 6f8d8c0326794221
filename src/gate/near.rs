//! What is known of sessions and accounts without asking the store: fresh for five seconds, so that an end made
//! elsewhere is seen here by then; an end made here is seen at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::base::account::{Account, AccountKey};
use crate::base::clock::Timestamp;
use crate::gate::asking::Asking;
use crate::gate::end::{self, End};
use crate::gate::scope;
use crate::session::id::SessionKey;
use crate::session::record::{GrantRecord, ScopeVerdict, SessionRecord};
use crate::wire::encode;
use crate::wire::inject::{TokenHeaders, VisitorHeaders};

/// How long a look at the store counts.
const FRESH: Duration = Duration::from_secs(5);
/// From here on one request looks again behind everybody's back, so that a busy session never waits.
const AGEING: Duration = Duration::from_millis(2_500);
/// How long an entry stays in memory; what counts is its age.
const KEPT: Duration = Duration::from_mins(1);
/// How long an ended session is remembered as such: longer than any look at the store takes.
const REMEMBERED: Duration = Duration::from_mins(10);
/// Sessions, accounts and ends kept at most; the least recently used give way.
const CAPACITY: u64 = 100_000;

/// A session as the store said last.
#[derive(Debug)]
pub(super) struct NearSession {
    pub key: SessionKey,
    pub account: AccountKey,
    pub record: SessionRecord,
    asked: Asking,
    touched_at: AtomicU64,
    looking: AtomicBool,
}

impl NearSession {
    pub(super) fn new(key: SessionKey, record: SessionRecord, asked: Asking) -> Self {
        let touched_at = AtomicU64::new(record.seen_at.millis());
        Self {
            key,
            account: record.account.key(),
            record,
            asked,
            touched_at,
            looking: AtomicBool::new(false),
        }
    }

    /// Whether its idle or its absolute end has come.
    pub(super) fn has_ended(&self, now: Timestamp, idle: Duration) -> bool {
        let seen_at = Timestamp::from_millis(self.touched_at.load(Ordering::Relaxed));
        self.record.expires_at <= now || seen_at.plus(idle) <= now
    }

    /// Whether what the store said is so new that nobody looks again yet.
    pub(super) fn is_young(&self, now: Asking) -> bool {
        self.asked.age(now).is_some_and(|age| age < AGEING)
    }

    /// Which of the two ends it has come to.
    pub(super) fn way_out(&self, now: Timestamp) -> End {
        if self.record.expires_at <= now { end::TOO_OLD } else { end::UNUSED }
    }

    /// Whose it is.
    pub(super) fn owner(&self) -> &Account {
        &self.record.account
    }

    /// Whether this use of it is to be noted in the store: at most once in `interval`, and by one request only.
    pub(super) fn is_due_for_touch(&self, now: Timestamp, interval: Duration) -> bool {
        let seen = self.touched_at.load(Ordering::Relaxed);
        now.since(Timestamp::from_millis(seen)) >= interval
            && self
                .touched_at
                .compare_exchange(seen, now.millis(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// An account as the store said last, with its header values ready.
#[derive(Debug)]
pub(super) struct NearAccount {
    pub grant: GrantRecord,
    pub visitor: Arc<VisitorHeaders>,
    /// None while the token is withheld.
    pub token: Option<Arc<TokenHeaders>>,
    noted: Asking,
}

impl NearAccount {
    /// As `asked`, the scope that is asked for today, judges the grant: what is stored was judged by what was asked for then.
    pub(super) fn new(mut grant: GrantRecord, asked: &str, noted: Asking) -> Self {
        if grant.verdict != ScopeVerdict::Unknown {
            grant.verdict = scope::verdict(asked, &grant.scope);
        }
        let who = &grant.identity;
        let groups = who.groups.iter().map(|group| (group.org.as_str(), group.team.as_deref()));
        let visitor = VisitorHeaders {
            user: encode::text_value(&who.login).unwrap_or(HeaderValue::from_static("-")),
            user_id: encode::text_value(&who.id.0).unwrap_or(HeaderValue::from_static("-")),
            email: who.email.as_deref().and_then(encode::text_value),
            groups: encode::groups_value(groups),
        };
        let token = matches!(grant.verdict, ScopeVerdict::Exact | ScopeVerdict::Narrower).then(|| {
            Arc::new(TokenHeaders {
                token: grant.access.header_value(),
                expires: HeaderValue::from(grant.access_expires_at.secs()),
                scopes: HeaderValue::from_str(&grant.scope).ok().filter(|scope| !scope.is_empty()),
            })
        });
        Self { visitor: Arc::new(visitor), token, noted, grant }
    }
}

/// A session and its account.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub session: Arc<NearSession>,
    pub account: Arc<NearAccount>,
}

/// What is near.
#[derive(Debug)]
pub(super) struct Near {
    sessions: Cache<SessionKey, Arc<NearSession>>,
    accounts: Cache<AccountKey, Arc<NearAccount>>,
    ended: Cache<SessionKey, Option<SignedOut>>,
}

/// Whose a session was that its owner has ended by signing out, and when.
#[derive(Clone, Debug)]
pub(super) struct SignedOut {
    pub account: Account,
    pub at: Timestamp,
}

/// What a look at what is near brings.
pub(super) enum Look {
    /// Known; and whether the caller is the one to look at the store again behind it.
    Known(Known, bool),
    /// The store has to be asked.
    Unknown,
}

impl Near {
    pub(super) fn new() -> Self {
        Self {
            sessions: Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT).build(),
            accounts: Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT).build(),
            ended: Cache::builder().max_capacity(CAPACITY).time_to_live(REMEMBERED).build(),
        }
    }

    /// What is known of a session at an origin; at another than its own it is unknown.
    pub(super) fn look(&self, key: SessionKey, now: Asking, origin: &str) -> Look {
        let Some(session) = self.sessions.get(&key) else { return Look::Unknown };
        // An entry from before the clock was set back does not count, nor when its time comes again.
        let Some(age) = session.asked.age(now).filter(|age| *age < FRESH) else { return Look::Unknown };
        if session.record.origin != origin {
            return Look::Unknown;
        }
        let Some(account) = self.accounts.get(&session.account) else { return Look::Unknown };
        let look_again = age >= AGEING && !session.looking.swap(true, Ordering::Relaxed);
        Look::Known(Known { session, account }, look_again)
    }

    /// Notes what the store said; false when the session was ended here meanwhile, so that it does not count.
    pub(super) fn note(&self, known: &Known) -> bool {
        self.note_account(known.session.account, &known.account);
        self.sessions.insert(known.session.key, Arc::clone(&known.session));
        // Looked at after the insertion: an end marks first and forgets last, so one of the two sees the other.
        if self.ended.contains_key(&known.session.key) {
            self.sessions.invalidate(&known.session.key);
            return false;
        }
        true
    }

    /// Notes an account's grant, unless a newer one is known.
    pub(super) fn note_account(&self, key: AccountKey, account: &Arc<NearAccount>) {
        self.accounts.entry(key).and_compute_with(|known| match known {
            // Left alone, so that what is old does not stay any longer for it.
            Some(known) if is_newer(known.value(), account) => Op::Nop,
            _ => Op::Put(Arc::clone(account)),
        });
    }

    /// What is known of an account.
    #[cfg(test)]
    pub(super) fn account(&self, key: AccountKey) -> Option<Arc<NearAccount>> {
        self.accounts.get(&key)
    }

    /// Forgets an account's grant: what is stored has begun anew, so that its versions say nothing beside this one's.
    pub(super) fn forget_account(&self, key: AccountKey) {
        self.accounts.invalidate(&key);
    }

    /// Forgets an account's grant if it is dead: what is stored has taken its place.
    pub(super) fn forget_dead(&self, key: AccountKey) {
        if self.accounts.get(&key).is_some_and(|known| known.grant.dead) {
            self.accounts.invalidate(&key);
        }
    }

    /// Forgets all accounts' grants; the store is asked for them again.
    pub(super) fn forget_accounts(&self) {
        self.accounts.invalidate_all();
    }

    /// Marks a session as ended, before the store is told; says whether it was not marked before.
    pub(super) fn end(&self, key: SessionKey, by: Option<SignedOut>) -> bool {
        let marked = self.ended.entry(key).or_insert(by).is_fresh();
        self.sessions.invalidate(&key);
        marked
    }

    /// Whose a session was that its owner has signed out of just now. An end made in another process may be overlooked for
    /// as long; so this gives nobody more time than that does.
    pub(super) fn just_signed_out(&self, key: SessionKey, now: Timestamp) -> Option<Account> {
        let by = self.ended.get(&key).flatten()?;
        (by.at <= now && now.since(by.at) < FRESH).then_some(by.account)
    }

    /// Takes an end back that the store did not take.
    pub(super) fn revive(&self, key: SessionKey) {
        self.ended.invalidate(&key);
    }

    /// Forgets a session that the store does not know any more.
    pub(super) fn forget(&self, key: SessionKey) {
        self.sessions.invalidate(&key);
    }
}

/// Whether what is known is newer than what was just read. Versions tell, and their beginnings, which are times, where
/// tokens were dropped and have begun anew. What was noted too long ago, or before the clock was set back, tells nothing.
fn is_newer(known: &NearAccount, read: &NearAccount) -> bool {
    let order = |grant: &GrantRecord| (grant.begun, grant.version);
    let (then, now) = (known.noted, read.noted);
    let passed = then.passed(now);
    // Two who note at once may come in any order.
    let counts = then.at.plus(passed) <= now.at.plus(FRESH) && now.at.since(then.at).max(passed) < KEPT;
    counts && order(&known.grant) > order(&read.grant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock as _;
    use crate::gate::lab::{self, Lab};
    use crate::gate::settings::Settings;

    /// Holds: S4, R11.
    #[tokio::test]
    async fn an_end_counts_for_a_look_at_the_store_that_was_under_way() {
        let lab = Lab::new();
        let known = lab.exchange(1).await.unwrap().known;
        let (near, key, now) = (Near::new(), known.session.key, Asking::now(&lab.clock));
        let is_known = || matches!(near.look(key, now, "http://localhost"), Look::Known(..));
        assert!(near.note(&known) && is_known());
        assert!(near.end(key, None), "the first to end it");
        assert!(!is_known());
        assert!(!near.note(&known), "what the store said before does not bring it back");
        assert!(!is_known());
        // The store did not take the end: then it lives on.
        near.revive(key);
        assert!(near.note(&known) && is_known());
    }

    /// Holds: S4, R14.
    #[tokio::test]
    async fn what_was_near_before_the_clock_was_set_back_does_not_count_when_its_time_comes_again() {
        let lab = Lab::new();
        let (known, back) = (lab.exchange(1).await.unwrap().known, Duration::from_secs(20));
        let is_known = |near: &Near| {
            matches!(
                near.look(known.session.key, Asking::now(&lab.clock), "http://localhost"),
                Look::Known(..)
            )
        };
        let near = Near::new();
        assert!(near.note(&known) && is_known(&near));
        lab.clock.set(lab.clock.now().minus(back));
        assert!(!is_known(&near));
        lab.clock.advance(back);
        assert!(!is_known(&near), "it is twenty seconds old");
    }

    /// Holds: R14.
    #[tokio::test]
    async fn a_grant_that_begins_anew_counts_although_the_clock_was_set_back_and_its_time_has_come_again() {
        let lab = Lab::new();
        let key = lab.grant(1, 1).account.key();
        let begins = |number| {
            let begun = lab.clock.now().millis();
            Arc::new(lab.shared().judged(GrantRecord { begun, ..lab.grant(begun, number) }))
        };
        let token = |near: &Near| near.account(key).unwrap().grant.access.expose().to_owned();
        let near = Near::new();
        near.note_account(key, &begins(1));
        lab.clock.set(lab.clock.now().minus(Duration::from_secs(20)));
        let anew = begins(2);
        lab.clock.advance(Duration::from_secs(19));
        near.note_account(key, &Arc::new(lab.shared().judged(anew.grant.clone())));
        assert_eq!(token(&near), "access-2");
    }

    #[tokio::test]
    async fn a_token_is_judged_by_the_scope_that_is_asked_for_today_not_by_the_one_of_its_day() {
        let lab = Lab::new();
        let passes = |scopes: &[&str]| {
            let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            let keeper = lab.keeper.with(Settings { scopes, ..lab::settings() }).unwrap();
            keeper.shared.judged(lab.grant(1, 1)).token.is_some()
        };
        assert!(passes(&["openid", "read:user", "write:issue"]));
        assert!(!passes(&["openid", "read:user"]), "it can do more than is asked for today");
        assert!(passes(&["openid", "read:user", "write:issue", "write:repository"]), "less is no harm");
    }

    #[tokio::test]
    async fn what_is_near_is_forgotten_when_another_scope_is_asked_for() {
        let lab = Lab::new();
        let known = lab.exchange(1).await.unwrap().known;
        let near = &lab.shared().near;
        drop(lab.keeper.with(lab::settings()).unwrap());
        assert!(near.account(known.session.account).is_some());
        drop(lab.keeper.with(Settings { scopes: vec!["openid".to_owned()], ..lab::settings() }).unwrap());
        assert!(near.account(known.session.account).is_none());
    }
}
