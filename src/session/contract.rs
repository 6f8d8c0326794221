//! The laws of a store. Every store passes them, ours and others'.
//!
//! A broken law panics, since this is for tests.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a suite of tests: a broken law stops it"
)]

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::base::account::AccountKey;
use crate::base::clock::Timestamp;
use crate::session::id::SessionKey;
use crate::session::store::{
    GrantRow, Lease, MAX_SESSIONS_PER_ACCOUNT, SWEEP_ROWS, SessionRow, SessionStore, Swap,
};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_hours(1);
const ANSWERS: &str = "the store answers";

/// Holds a store to all laws, each on a fresh one. Call it on a runtime of several threads: contention is among them.
pub async fn all(make: impl AsyncFn() -> Arc<dyn SessionStore>) {
    what_was_inserted_is_read_back(&*make().await).await;
    absent_and_expired_are_none(&*make().await).await;
    touching_moves_forward_only(&*make().await).await;
    a_removed_session_stays_gone(&*make().await).await;
    an_account_knows_its_sessions(&*make().await).await;
    all_sessions_are_read_page_by_page(&*make().await).await;
    an_account_has_a_bounded_number_of_sessions(&*make().await).await;
    a_grant_is_swapped_at_the_seen_version_only(&*make().await).await;
    a_grant_that_no_session_needs_is_dropped(&*make().await).await;
    a_sign_in_and_a_drop_at_once_leave_no_session_that_was_there_without_a_grant(make().await).await;
    of_many_who_swap_at_once_one_wins(make().await).await;
    touches_and_swaps_never_undo_each_other(make().await).await;
    a_lease_is_exclusive_until_it_lapses(&*make().await).await;
    a_lease_is_extended_by_its_holder_only(&*make().await).await;
    a_lease_from_before_the_clock_was_set_back_holds_nobody_up(&*make().await).await;
    of_many_who_lease_at_once_one_wins(make().await).await;
    an_exchange_is_known_until_it_is_given_back_or_lapses(&*make().await).await;
    a_claim_counts_once(&*make().await).await;
    of_many_who_claim_at_once_one_wins(make().await).await;
    a_claim_from_before_the_clock_was_set_back_holds_nobody_up(&*make().await).await;
    a_sweep_takes_what_expired_and_nothing_else(&*make().await).await;
    what_is_written_while_the_clock_is_behind_keeps_its_end(&*make().await).await;
    a_sweep_is_bounded(&*make().await).await;
    a_store_at_rest_answers_a_ping(&*make().await).await;
}

fn session_key(number: u16) -> SessionKey {
    let mut key = [7; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    SessionKey(key)
}

fn account(number: u8) -> AccountKey {
    AccountKey([number; 32])
}

/// A session of `account` that was made and seen at `created_at` and lives for an hour.
fn session_of(account: AccountKey, created_at: Timestamp) -> SessionRow {
    let sealed = b"sealed\0\xff".to_vec();
    SessionRow { account, created_at, seen_at: created_at, expires_at: created_at.plus(HOUR), sealed }
}

fn grant(version: u64, sealed: &[u8]) -> GrantRow {
    GrantRow { version, expires_at: START.plus(HOUR), sealed: sealed.to_vec() }
}

fn lease(account: AccountKey, holder: u8, until: Timestamp) -> Lease {
    Lease { account, holder: [holder; 16], until }
}

/// A row comes back as it went in.
pub async fn what_was_inserted_is_read_back(store: &dyn SessionStore) {
    let (key, row) = (session_key(1), session_of(account(1), START));
    store.insert_session(key, row.clone()).await.expect(ANSWERS);
    assert_eq!(store.session(key, START).await.expect(ANSWERS), Some(row));
    let long = SessionRow { sealed: vec![0x5a; 100_000], ..session_of(account(1), START) };
    store.insert_session(session_key(2), long.clone()).await.expect(ANSWERS);
    assert_eq!(store.session(session_key(2), START).await.expect(ANSWERS), Some(long));
}

/// Never made and over look alike.
pub async fn absent_and_expired_are_none(store: &dyn SessionStore) {
    let (key, row) = (session_key(1), session_of(account(1), START));
    assert_eq!(store.session(key, START).await.expect(ANSWERS), None);
    store.insert_session(key, row.clone()).await.expect(ANSWERS);
    let last = Timestamp::from_millis(row.expires_at.millis() - 1);
    assert!(store.session(key, last).await.expect(ANSWERS).is_some());
    assert_eq!(
        store.session(key, row.expires_at).await.expect(ANSWERS),
        None,
        "the end is not part of the life"
    );
    assert_eq!(store.sessions_of(account(1), row.expires_at).await.expect(ANSWERS), []);
    assert_eq!(store.grant(account(1)).await.expect(ANSWERS), None);
}

/// `seen_at` never goes back, the absolute end never moves, and nothing is made by touching.
pub async fn touching_moves_forward_only(store: &dyn SessionStore) {
    let (key, row) = (session_key(1), session_of(account(1), START));
    assert!(!store.touch_session(key, START).await.expect(ANSWERS));
    assert_eq!(store.session(key, START).await.expect(ANSWERS), None, "a touch makes no session");
    store.insert_session(key, row.clone()).await.expect(ANSWERS);
    let later = START.plus(Duration::from_mins(20));
    for seen_at in [later, START, START.plus(Duration::from_mins(10))] {
        assert!(store.touch_session(key, seen_at).await.expect(ANSWERS));
    }
    let expected = SessionRow { seen_at: later, ..row.clone() };
    assert_eq!(store.session(key, START).await.expect(ANSWERS), Some(expected));
    store.touch_session(key, row.expires_at.plus(HOUR)).await.expect(ANSWERS);
    assert_eq!(store.session(key, row.expires_at).await.expect(ANSWERS), None, "use does not move the end");
}

/// What is over is over, whoever still uses it.
pub async fn a_removed_session_stays_gone(store: &dyn SessionStore) {
    let key = session_key(1);
    assert!(!store.remove_session(key).await.expect(ANSWERS));
    store.insert_session(key, session_of(account(1), START)).await.expect(ANSWERS);
    assert!(store.remove_session(key).await.expect(ANSWERS));
    assert!(!store.touch_session(key, START.plus(HOUR / 2)).await.expect(ANSWERS));
    assert_eq!(store.session(key, START).await.expect(ANSWERS), None);
    assert_eq!(store.sessions_of(account(1), START).await.expect(ANSWERS), []);
    assert!(!store.remove_session(key).await.expect(ANSWERS));
}

/// An account's sessions are found and ended together, newest first, and nobody else's.
pub async fn an_account_knows_its_sessions(store: &dyn SessionStore) {
    for number in 1..=3 {
        let created_at = START.plus(Duration::from_mins(u64::from(number)));
        store.insert_session(session_key(number), session_of(account(1), created_at)).await.expect(ANSWERS);
    }
    store.insert_session(session_key(9), session_of(account(2), START)).await.expect(ANSWERS);
    let of = async |account| -> Vec<SessionKey> {
        let rows = store.sessions_of(account, START.plus(Duration::from_mins(5))).await.expect(ANSWERS);
        assert!(rows.iter().all(|(_, row)| row.account == account));
        rows.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(of(account(1)).await, [3, 2, 1].map(session_key));
    store.touch_session(session_key(1), START.plus(HOUR / 2)).await.expect(ANSWERS);
    assert_eq!(of(account(1)).await, [3, 2, 1].map(session_key), "use does not change the order");
    let end = async |except| store.remove_sessions_of(account(1), except).await.expect(ANSWERS);
    assert_eq!(end(Some(session_key(2))).await, 2);
    assert_eq!(of(account(1)).await, [session_key(2)], "one may stay");
    assert_eq!(end(Some(session_key(9))).await, 1, "one that is somebody else's keeps nobody");
    assert_eq!(of(account(1)).await, []);
    assert_eq!(store.session(session_key(2), START).await.expect(ANSWERS), None);
    assert_eq!(of(account(2)).await, [session_key(9)]);
    assert_eq!(end(None).await, 0);
}

/// Whoever looks after the store sees each session once, in an order that does not change while it looks.
pub async fn all_sessions_are_read_page_by_page(store: &dyn SessionStore) {
    for number in [5, 1, 4, 2, 3] {
        let of = account(u8::try_from(number % 2).expect("one bit"));
        let created_at = START.plus(Duration::from_mins(u64::from(number)));
        store.insert_session(session_key(number), session_of(of, created_at)).await.expect(ANSWERS);
    }
    let page = async |after, now, most| -> Vec<SessionKey> {
        let rows = store.sessions_after(after, now, most).await.expect(ANSWERS);
        rows.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(page(None, START, 2).await, [1, 2].map(session_key));
    assert_eq!(page(Some(session_key(2)), START, 2).await, [3, 4].map(session_key));
    assert_eq!(page(Some(session_key(4)), START, 2).await, [5].map(session_key));
    assert_eq!(page(Some(session_key(5)), START, 2).await, []);
    let late = START.plus(HOUR + Duration::from_mins(3));
    assert_eq!(page(None, late, 10).await, [4, 5].map(session_key), "what is over is not shown");
    let rows = store.sessions_after(None, START, 1).await.expect(ANSWERS);
    assert_eq!(rows, [(session_key(1), session_of(account(1), START.plus(Duration::from_mins(1))))]);
}

/// Signing in again and again takes no more room than that.
pub async fn an_account_has_a_bounded_number_of_sessions(store: &dyn SessionStore) {
    store.insert_session(session_key(0), session_of(account(2), START)).await.expect(ANSWERS);
    let most = u16::try_from(MAX_SESSIONS_PER_ACCOUNT).expect("the bound is small");
    for number in 1..=most {
        store.insert_session(session_key(number), session_of(account(1), START)).await.expect(ANSWERS);
    }
    // All but the second have been used since.
    for number in (1..=most).filter(|number| *number != 2) {
        store.touch_session(session_key(number), START.plus(HOUR / 2)).await.expect(ANSWERS);
    }
    store.insert_session(session_key(most + 1), session_of(account(1), START)).await.expect(ANSWERS);
    let left = store.sessions_of(account(1), START).await.expect(ANSWERS);
    assert_eq!(left.len(), MAX_SESSIONS_PER_ACCOUNT);
    assert!(left.iter().all(|(key, _)| *key != session_key(2)), "the one used least recently went");
    assert!(left.iter().any(|(key, _)| *key == session_key(most + 1)), "the new one is there");
    assert!(store.session(session_key(0), START).await.expect(ANSWERS).is_some(), "another account's stays");
}

/// A grant is written over the version that was seen, and versions only rise.
pub async fn a_grant_is_swapped_at_the_seen_version_only(store: &dyn SessionStore) {
    let of = account(1);
    let swap = async |seen, next| store.swap_grant(of, seen, next).await.expect(ANSWERS);
    assert_eq!(swap(Some(1), grant(2, b"no row to replace")).await, Swap::Stale);
    assert_eq!(swap(None, grant(1, b"first")).await, Swap::Done);
    assert_eq!(swap(None, grant(1, b"again")).await, Swap::Stale);
    assert_eq!(swap(Some(2), grant(3, b"never seen")).await, Swap::Stale);
    assert_eq!(swap(Some(1), grant(1, b"no rise")).await, Swap::Stale);
    assert_eq!(store.grant(of).await.expect(ANSWERS), Some(grant(1, b"first")));
    assert_eq!(swap(Some(1), grant(2, b"second")).await, Swap::Done);
    assert_eq!(store.grant(of).await.expect(ANSWERS), Some(grant(2, b"second")));
    assert_eq!(store.grant(account(2)).await.expect(ANSWERS), None);
}

/// When nobody is signed in to an account any more, nothing of its tokens stays, and what comes late does not bring it back.
pub async fn a_grant_that_no_session_needs_is_dropped(store: &dyn SessionStore) {
    let (of, now) = (account(1), START.plus(HOUR / 2));
    let drop = async |now, seen_after| store.drop_grant(of, now, seen_after).await.expect(ANSWERS);
    assert!(!drop(now, START).await, "there is none");
    assert_eq!(store.swap_grant(of, None, grant(1, b"tokens")).await.expect(ANSWERS), Swap::Done);
    assert_eq!(store.swap_grant(account(2), None, grant(1, b"theirs")).await.expect(ANSWERS), Swap::Done);
    store.insert_session(session_key(1), session_of(of, START)).await.expect(ANSWERS);
    store.insert_session(session_key(2), session_of(account(2), START)).await.expect(ANSWERS);
    let before = START.minus(Duration::from_millis(1));
    assert!(!drop(now, before).await, "a session needs it");
    assert!(!drop(START.plus(HOUR).minus(Duration::from_millis(1)), before).await, "up to its end");
    store.touch_session(session_key(1), now).await.expect(ANSWERS);
    assert!(!drop(now, START).await, "it was used since");
    store.remove_session(session_key(1)).await.expect(ANSWERS);
    assert!(drop(now, before).await);
    assert!(!drop(now, before).await, "it is gone");
    assert_eq!(store.grant(of).await.expect(ANSWERS), None);
    assert_eq!(
        store.swap_grant(of, Some(1), grant(2, b"late")).await.expect(ANSWERS),
        Swap::Stale,
        "a renewal that comes late brings nothing back"
    );
    assert!(store.grant(account(2)).await.expect(ANSWERS).is_some(), "another account's stays");
    // Neither a session at its absolute end nor one that idled out needs a grant.
    for (now, seen_after) in [(START.plus(HOUR), before), (now, START)] {
        store.insert_session(session_key(1), session_of(of, START)).await.expect(ANSWERS);
        assert_eq!(store.swap_grant(of, None, grant(9, b"anew")).await.expect(ANSWERS), Swap::Done);
        assert!(drop(now, seen_after).await);
    }
}

/// Of a drop and a new session one comes first: whoever finds the grant behind his session keeps it.
pub async fn a_sign_in_and_a_drop_at_once_leave_no_session_that_was_there_without_a_grant(
    store: Arc<dyn SessionStore>,
) {
    for round in 0..20_u8 {
        let (of, key) = (account(round), session_key(u16::from(round)));
        assert_eq!(store.swap_grant(of, None, grant(1, b"tokens")).await.expect(ANSWERS), Swap::Done);
        let (signs_in, drops) = (store.clone(), store.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            signs_in.insert_session(key, session_of(of, START)).await.expect(ANSWERS);
            signs_in.grant(of).await.expect(ANSWERS).is_some()
        });
        let before = START.minus(Duration::from_millis(1));
        let dropped = drops.drop_grant(of, START, before).await.expect(ANSWERS);
        let found = tasks.join_all().await;
        assert_ne!(found, [dropped], "round {round}");
        assert_eq!(store.grant(of).await.expect(ANSWERS).is_none(), dropped);
    }
}

/// Runs `attempt` sixteen times at once and counts those who won.
async fn wins<F>(store: &Arc<dyn SessionStore>, attempt: impl Fn(Arc<dyn SessionStore>, u8) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for who in 0..16 {
        tasks.spawn(attempt(store.clone(), who));
    }
    tasks.join_all().await.into_iter().filter(|won| *won).count()
}

/// Of several who read one version one writes the next.
pub async fn of_many_who_swap_at_once_one_wins(store: Arc<dyn SessionStore>) {
    let of = account(1);
    for version in 1..=20 {
        let won = wins(&store, |store, who| async move {
            let seen = (version > 1).then(|| version - 1);
            store.swap_grant(of, seen, grant(version, &[who])).await.expect(ANSWERS) == Swap::Done
        });
        assert_eq!(won.await, 1, "version {version}");
        assert_eq!(store.grant(of).await.expect(ANSWERS).map(|row| row.version), Some(version));
    }
}

/// Last-seen writes and refresh writes at once: neither is lost.
pub async fn touches_and_swaps_never_undo_each_other(store: Arc<dyn SessionStore>) {
    let (of, key) = (account(1), session_key(1));
    store.insert_session(key, session_of(of, START)).await.expect(ANSWERS);
    let mut tasks = JoinSet::new();
    for step in 1..=50 {
        let store = store.clone();
        tasks.spawn(async move {
            store.touch_session(key, START.plus(Duration::from_secs(step))).await.expect(ANSWERS);
        });
    }
    for version in 1..=20_u64 {
        let seen = version.checked_sub(1).filter(|seen| *seen > 0);
        let swapped =
            store.swap_grant(of, seen, grant(version, &version.to_be_bytes())).await.expect(ANSWERS);
        assert_eq!(swapped, Swap::Done);
    }
    tasks.join_all().await;
    assert_eq!(store.grant(of).await.expect(ANSWERS), Some(grant(20, &20_u64.to_be_bytes())));
    let seen_at = store.session(key, START).await.expect(ANSWERS).map(|row| row.seen_at);
    assert_eq!(seen_at, Some(START.plus(Duration::from_secs(50))));
}

/// One holder at a time; a lapsed holder cannot give back what is no longer his.
pub async fn a_lease_is_exclusive_until_it_lapses(store: &dyn SessionStore) {
    let of = account(1);
    let (first, lapse) = (lease(of, 1, START.plus(HOUR)), START.plus(HOUR));
    let take = async |lease: &Lease, now| store.lease(lease.clone(), now).await.expect(ANSWERS);
    assert!(take(&first, START).await);
    let second = lease(of, 2, lapse.plus(HOUR));
    assert!(!take(&second, START).await);
    assert!(!take(&second, lapse.minus(Duration::from_millis(1))).await);
    assert!(take(&lease(account(2), 3, lapse), START).await, "another account's is free");
    assert!(take(&second, lapse).await, "it lapsed");
    store.release(first.clone()).await.expect(ANSWERS);
    let third = lease(of, 3, lapse.plus(HOUR));
    assert!(!take(&third, lapse).await, "a foreign release has no effect");
    store.release(second.clone()).await.expect(ANSWERS);
    assert!(take(&lease(of, 4, lapse.plus(HOUR)), lapse).await, "given back");
    store.release(second).await.expect(ANSWERS);
}

/// Work may take longer than the lease that it began with.
pub async fn a_lease_is_extended_by_its_holder_only(store: &dyn SessionStore) {
    let (of, half) = (account(1), START.plus(HOUR / 2));
    let take = async |holder, until, now| store.lease(lease(of, holder, until), now).await.expect(ANSWERS);
    assert!(take(1, START.plus(HOUR), START).await);
    assert!(take(1, half.plus(HOUR), half).await);
    assert!(!take(2, START.plus(HOUR * 2), START.plus(HOUR)).await, "it goes on");
    assert!(take(2, half.plus(HOUR * 2), half.plus(HOUR)).await, "it lapsed");
    assert!(!take(1, half.plus(HOUR * 2), half.plus(HOUR)).await, "and is another's now");
}

/// A lease lasts for seconds; one that seems to last for longer than two was taken by another clock.
pub async fn a_lease_from_before_the_clock_was_set_back_holds_nobody_up(store: &dyn SessionStore) {
    let (of, span) = (account(1), Duration::from_secs(30));
    let take = async |holder, now: Timestamp| {
        store.lease(lease(of, holder, now.plus(span)), now).await.expect(ANSWERS)
    };
    assert!(take(1, START).await);
    assert!(!take(2, START.minus(span)).await, "a little earlier: another machine's clock");
    assert!(take(2, START.minus(span + Duration::from_millis(1))).await);
    assert!(!take(1, START.minus(span)).await, "and that one holds");
}

/// Of several who want a lease one has it.
pub async fn of_many_who_lease_at_once_one_wins(store: Arc<dyn SessionStore>) {
    for round in 0..10 {
        let won = wins(&store, |store, who| async move {
            store.lease(lease(account(round), who, START.plus(HOUR)), START).await.expect(ANSWERS)
        });
        assert_eq!(won.await, 1);
    }
}

/// An exchange that is announced is no account's lease, and is seen by who asks for those that began by a moment.
pub async fn an_exchange_is_known_until_it_is_given_back_or_lapses(store: &dyn SessionStore) {
    let (moment, span) = (Duration::from_millis(1), Duration::from_secs(40));
    let until = START.plus(span);
    let known = async |now, latest| store.exchange_under_way(now, latest).await.expect(ANSWERS);
    for account in [account(1), Lease::FIRST_ACCOUNT] {
        assert!(store.lease(lease(account, 1, until), START).await.expect(ANSWERS));
    }
    assert!(!known(START, until).await, "accounts' leases are none");
    let (first, second) = (Lease::of_exchange([0xff; 16], until), Lease::of_exchange([0; 16], until));
    for exchange in [&first, &second] {
        assert!(store.lease(exchange.clone(), START).await.expect(ANSWERS), "nobody is in the way");
        assert!(known(START, until).await);
        assert!(!known(START, until.minus(moment)).await, "it began later");
        assert!(
            known(until.minus(moment), until).await && !known(until, until.plus(span)).await,
            "it lapses"
        );
    }
    store.release(first).await.expect(ANSWERS);
    assert!(known(START, until).await);
    store.release(second).await.expect(ANSWERS);
    assert!(!known(START, until).await);
}

/// What is used once is used, until its end.
pub async fn a_claim_counts_once(store: &dyn SessionStore) {
    let until = START.plus(HOUR);
    let claim = async |once, now| store.claim([once; 32], now, until.plus(HOUR)).await.expect(ANSWERS);
    assert!(store.claim([1; 32], START, until).await.expect(ANSWERS));
    assert!(!claim(1, START).await);
    assert!(!claim(1, until.minus(Duration::from_millis(1))).await);
    assert!(claim(2, START).await);
    assert!(claim(1, until).await, "its time is up");
}

/// A claim that seems to last for longer than two was made by another clock.
pub async fn a_claim_from_before_the_clock_was_set_back_holds_nobody_up(store: &dyn SessionStore) {
    let span = Duration::from_secs(10);
    let claim = async |now: Timestamp| store.claim([1; 32], now, now.plus(span)).await.expect(ANSWERS);
    assert!(claim(START).await);
    assert!(!claim(START.minus(span)).await, "a little earlier: another machine's clock");
    assert!(claim(START.minus(span + Duration::from_millis(1))).await);
    assert!(!claim(START.minus(span)).await, "and that one holds");
}

/// Of several who use one thing at once one does.
pub async fn of_many_who_claim_at_once_one_wins(store: Arc<dyn SessionStore>) {
    for round in 0..10 {
        let won = wins(&store, |store, _| async move {
            store.claim([round; 32], START, START.plus(HOUR)).await.expect(ANSWERS)
        });
        assert_eq!(won.await, 1);
    }
}

/// A sweep is housekeeping: nobody notices it but the disk.
pub async fn a_sweep_takes_what_expired_and_nothing_else(store: &dyn SessionStore) {
    let now = START.plus(HOUR);
    assert_eq!(store.sweep(now).await.expect(ANSWERS), 0);
    store.insert_session(session_key(1), session_of(account(1), START)).await.expect(ANSWERS);
    store.insert_session(session_key(2), session_of(account(1), START.plus(HOUR))).await.expect(ANSWERS);
    store.swap_grant(account(1), None, grant(1, b"old")).await.expect(ANSWERS);
    let kept = GrantRow { expires_at: now.plus(HOUR), ..grant(1, b"kept") };
    store.swap_grant(account(2), None, kept.clone()).await.expect(ANSWERS);
    assert!(store.lease(lease(account(1), 1, now), START).await.expect(ANSWERS));
    assert!(store.lease(lease(account(2), 1, now.plus(HOUR)), START).await.expect(ANSWERS));
    assert!(store.claim([1; 32], START, now).await.expect(ANSWERS));
    assert!(store.claim([2; 32], START, now.plus(HOUR)).await.expect(ANSWERS));

    assert_eq!(store.sweep(now).await.expect(ANSWERS), 4);
    assert_eq!(store.sweep(now).await.expect(ANSWERS), 0);
    assert_eq!(store.session(session_key(1), START).await.expect(ANSWERS), None);
    assert!(store.session(session_key(2), now).await.expect(ANSWERS).is_some());
    assert_eq!(store.grant(account(1)).await.expect(ANSWERS), None);
    assert_eq!(store.grant(account(2)).await.expect(ANSWERS), Some(kept));
    assert!(!store.lease(lease(account(2), 2, now.plus(HOUR)), now).await.expect(ANSWERS));
    assert!(!store.claim([2; 32], now, now.plus(HOUR)).await.expect(ANSWERS));
    // Who read the old grant before it was swept cannot write over nothing.
    assert_eq!(store.swap_grant(account(1), Some(1), grant(2, b"late")).await.expect(ANSWERS), Swap::Stale);
}

/// A clock that is behind for a while gives whatever is written then an end that has come as soon as it is right again.
pub async fn what_is_written_while_the_clock_is_behind_keeps_its_end(store: &dyn SessionStore) {
    store.swap_grant(account(1), None, grant(1, b"first")).await.expect(ANSWERS);
    let behind = GrantRow { expires_at: START, ..grant(2, b"second") };
    assert_eq!(store.swap_grant(account(1), Some(1), behind).await.expect(ANSWERS), Swap::Done);
    assert_eq!(store.sweep(START).await.expect(ANSWERS), 0);
    let kept = store.grant(account(1)).await.expect(ANSWERS);
    assert_eq!(kept, Some(grant(2, b"second")));
}

/// A sweep after a long pause does not stop everybody else.
pub async fn a_sweep_is_bounded(store: &dyn SessionStore) {
    let rows = u16::try_from(SWEEP_ROWS).expect("the bound is small") + 10;
    for number in 0..rows {
        let mut once = [0; 32];
        once[..2].copy_from_slice(&number.to_be_bytes());
        assert!(store.claim(once, START, START.plus(HOUR)).await.expect(ANSWERS));
    }
    assert_eq!(store.sweep(START.plus(HOUR)).await.expect(ANSWERS), SWEEP_ROWS as u64);
    assert_eq!(store.sweep(START.plus(HOUR)).await.expect(ANSWERS), 10);
}

/// A store that can read and write says so.
pub async fn a_store_at_rest_answers_a_ping(store: &dyn SessionStore) {
    store.ping().await.expect(ANSWERS);
}
