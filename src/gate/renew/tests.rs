use std::future::pending;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::base::account::Standing;
use crate::base::clock::Clock as _;
use crate::forge::api::{Introspection, TokenSet};
use crate::gate::lab::{Lab, SCOPE, account, set, spent};
use crate::gate::scope;
use crate::session::record::ScopeVerdict;
use crate::session::store::Lease;
use crate::wire::ForgeToken;

/// Lets paused time run on: nobody really waits.
async fn pass(span: Duration) {
    timeout(span, pending::<()>()).await.unwrap_err();
}

async fn renewed(lab: &Lab) -> Option<Renewal> {
    start(lab.shared(), &account(), lab.law())?.landed().await
}

/// What is stored: the access token, its refresh token, and whether that is dead.
async fn stored(lab: &Lab) -> (String, String, bool) {
    let grant = lab.stored().await;
    (grant.access.expose().to_owned(), grant.refresh.unwrap().expose().to_owned(), grant.dead)
}

fn number(number: u32) -> (String, String, bool) {
    (format!("access-{number}"), format!("refresh-{number}"), false)
}

/// The access token by which requests are judged.
fn near(lab: &Lab) -> Option<String> {
    let known = lab.shared().near.account(account().key())?;
    Some(known.grant.access.expose().to_owned())
}

/// Holds: R4, R8.
#[tokio::test(start_paused = true)]
async fn a_renewed_set_is_kept_whoever_else_wrote_meanwhile() {
    for answer in ["renewed", "spent"] {
        let lab = Arc::new(Lab::with_grant().await);
        let (writer, told) = (Arc::clone(&lab), answer == "renewed");
        lab.forge.refreshes(async move {
            // Somebody notes what a look has told: a new version, the same tokens.
            let stored = writer.stored().await;
            let standing = Standing::Suspended;
            writer.write(GrantRecord { version: stored.version + 1, standing, ..stored }).await;
            if told { Ok(set(2)) } else { Err(spent()) }
        });
        assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
        let expected = if told { number(2) } else { ("access-1".into(), "refresh-1".into(), true) };
        assert_eq!(stored(&lab).await, expected, "{answer}");
        let grant = lab.stored().await;
        assert_eq!((grant.standing, grant.version), (Standing::Suspended, 3), "what was written stays");
    }
}

/// Holds: R4.
#[tokio::test(start_paused = true)]
async fn a_sign_in_that_overtakes_a_renewal_wins() {
    for told in [true, false] {
        let lab = Arc::new(Lab::with_grant().await);
        let writer = Arc::clone(&lab);
        lab.forge.refreshes(async move {
            writer.write(writer.grant(2, 3)).await;
            if told { Ok(set(2)) } else { Err(spent()) }
        });
        assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
        assert_eq!((stored(&lab).await, near(&lab).unwrap().as_str()), (number(3), "access-3"));
    }
}

/// Holds: R8, S8.
#[tokio::test(start_paused = true)]
async fn a_renewed_set_outlives_a_hiccup_of_the_store_and_is_not_used_before_it_is_stored() {
    let lab = Arc::new(Lab::with_grant().await);
    lab.forge.refreshes(async { Ok(set(2)) });
    lab.store.refuses.store(3, Ordering::SeqCst);
    let flight = start(lab.shared(), &account(), lab.law()).unwrap();
    assert!(lab.keeper.drain(Duration::from_mins(1)).await);
    assert_eq!(flight.landed().await, Some(Renewal::Settled));
    assert_eq!((stored(&lab).await, near(&lab).unwrap().as_str()), (number(2), "access-2"));
    assert_eq!(lab.forge.refresh_calls(), 1);
}

/// Holds: R8, S8.
#[tokio::test(start_paused = true)]
async fn a_set_that_could_not_be_stored_comes_before_any_call_to_the_forge() {
    let lab = Lab::with_grant().await;
    lab.forge.refreshes(async { Ok(set(2)) });
    lab.store.refuses.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(renewed(&lab).await, Some(Renewal::NotNow));
    assert_eq!((stored(&lab).await, near(&lab)), (number(1), None));
    assert_eq!(renewed(&lab).await, None, "it rests");
    lab.store.refuses.store(1, Ordering::SeqCst);
    lab.clock.advance(Duration::from_secs(12));
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert_eq!((stored(&lab).await, near(&lab).unwrap().as_str()), (number(2), "access-2"));
    assert_eq!(lab.forge.refresh_calls(), 1);
    assert!(lab.shared().unsaved.all().is_empty());
}

/// Holds: R4, R8.
#[tokio::test(start_paused = true)]
async fn a_set_that_could_not_be_stored_is_stored_as_soon_as_it_can_be_though_nobody_asks() {
    let lab = Lab::with_grant().await;
    lab.forge.refreshes(async { Ok(set(2)) });
    lab.store.refuses.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(renewed(&lab).await, Some(Renewal::NotNow));
    pass(lab.law().lease * 3).await;
    assert_eq!(stored(&lab).await, number(1));
    lab.store.refuses.store(0, Ordering::SeqCst);
    pass(Duration::from_secs(3)).await;
    assert_eq!(stored(&lab).await, number(2));
    assert!(lab.shared().unsaved.all().is_empty());
    assert_eq!(lab.forge.refresh_calls(), 1);
}

/// Holds: V4, R8.
#[tokio::test(start_paused = true)]
async fn the_drain_stores_what_could_not_be_stored_before() {
    let lab = Lab::with_grant().await;
    lab.forge.refreshes(async { Ok(set(2)) });
    lab.store.refuses.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(renewed(&lab).await, Some(Renewal::NotNow));
    lab.store.refuses.store(2, Ordering::SeqCst);
    assert!(lab.keeper.drain(Duration::from_mins(1)).await);
    assert_eq!(stored(&lab).await, number(2));
}

/// Holds: R3, S8.
#[tokio::test(start_paused = true)]
async fn a_sign_in_that_the_store_fails_still_brings_its_set_to_the_other_sessions() {
    let lab = Lab::with_grant().await;
    lab.store.refuses.store(2, Ordering::SeqCst);
    assert!(matches!(lab.exchange(2).await, Err(crate::gate::exchange::Failed::StoreDown)));
    assert_eq!(stored(&lab).await, number(1));
    assert!(lab.keeper.drain(Duration::from_mins(1)).await);
    assert_eq!(stored(&lab).await, number(2));
}

/// Holds: R3.
#[tokio::test(start_paused = true)]
async fn a_late_write_of_a_sign_in_never_replaces_a_later_one() {
    let lab = Lab::with_grant().await;
    lab.store.refuses.store(1, Ordering::SeqCst);
    assert!(lab.exchange(2).await.is_err());
    // Another process has signed the same account in before this one gets through to the store.
    lab.clock.advance(Duration::from_millis(5));
    lab.write(lab.grant(2, 3)).await;
    assert!(lab.keeper.drain(Duration::from_mins(1)).await);
    assert_eq!(stored(&lab).await, number(3));
}

/// Holds: R4.
#[tokio::test(start_paused = true)]
async fn no_grant_is_dead_while_an_exchange_may_be_about_to_store_its_successor() {
    let lab = Arc::new(Lab::with_grant().await);
    let (gate, verifying) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (held, reached) = (Arc::clone(&gate), Arc::clone(&verifying));
    lab.forge.verifies_after(async move {
        reached.notify_one();
        held.notified().await;
    });
    let signing_in = Arc::clone(&lab);
    let exchange = lab.shared().tasks.spawn(async move { signing_in.exchange(2).await });
    verifying.notified().await;
    // The forge has redeemed the code, so the stored refresh token is worthless.
    let flight = start(lab.shared(), &account(), lab.law()).unwrap();
    pass(Duration::from_secs(8)).await;
    assert_eq!(stored(&lab).await, number(1), "a suspect, not dead");
    gate.notify_one();
    assert!(exchange.await.unwrap().is_ok());
    assert_eq!(flight.landed().await, Some(Renewal::Settled));
    assert_eq!(stored(&lab).await, number(2));
    assert_eq!(near(&lab).unwrap(), "access-2");
}

/// An exchange that begins now in another process.
async fn announce(lab: &Lab) -> Lease {
    let lease = lab.shared().vault.exchange_lease(lab.clock.now().plus(lab.law().lease));
    assert!(lab.shared().vault.take(&lease, lab.clock.now()).await.unwrap());
    lease
}

/// Holds: R4, R13.
#[tokio::test(start_paused = true)]
async fn no_grant_is_dead_while_another_process_exchanges_a_code_however_slow_the_forge_is() {
    let lab = Arc::new(Lab::with_grant().await);
    let announced = announce(&lab).await;
    let flight = start(lab.shared(), &account(), lab.law()).unwrap();
    pass(Duration::from_secs(20)).await;
    assert_eq!(stored(&lab).await, number(1), "a suspect, not dead");
    lab.write(lab.grant(2, 2)).await;
    lab.shared().vault.release(announced).await.unwrap();
    assert_eq!(flight.landed().await, Some(Renewal::Settled));
    assert_eq!((stored(&lab).await, near(&lab).unwrap().as_str()), (number(2), "access-2"));

    // It died over it, so that nobody ever gives it back: nothing is known until it lapses, and nobody is signed out.
    lab.clock.advance(Duration::from_hours(1));
    announce(&lab).await;
    assert_eq!(renewed(&lab).await, Some(Renewal::NotNow));
    assert_eq!(stored(&lab).await, number(2));
    lab.clock.advance(lab.law().lease);
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert!(lab.stored().await.dead);
}

/// Holds: R4, R16.
#[tokio::test(start_paused = true)]
async fn a_sign_in_page_that_is_always_busy_keeps_no_dead_grant_in_suspense() {
    for set_back in [false, true] {
        let lab = Arc::new(Lab::with_grant().await);
        let mut before = announce(&lab).await;
        if set_back {
            lab.clock.set(lab.clock.now().minus(Duration::from_secs(30)));
        }
        let flight = start(lab.shared(), &account(), lab.law()).unwrap();
        for _ in 0..20 {
            pass(POLL).await;
            lab.clock.advance(Duration::from_millis(1_500));
            let after = announce(&lab).await;
            lab.shared().vault.release(std::mem::replace(&mut before, after)).await.unwrap();
        }
        let settled = if set_back { Renewal::NotNow } else { Renewal::Settled };
        assert_eq!(flight.landed().await, Some(settled));
        assert_eq!(lab.stored().await.dead, !set_back);
    }
}

/// Holds: R4, R13.
#[tokio::test(start_paused = true)]
async fn a_lease_that_the_store_took_without_saying_so_is_given_back() {
    let lab = Lab::with_grant().await;
    lab.store.mute.store(1, Ordering::SeqCst);
    assert_eq!(renewed(&lab).await, Some(Renewal::NotNow));
    pass(Duration::from_secs(1)).await;
    lab.clock.advance(TRY_AGAIN * 2);
    lab.forge.refreshes(async { Ok(set(2)) });
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert_eq!(stored(&lab).await, number(2));
}

/// Holds: R4.
#[tokio::test(start_paused = true)]
async fn a_spent_token_is_dead_only_after_another_process_had_time_to_store_its_successor() {
    let lab = Arc::new(Lab::with_grant().await);
    let flight = start(lab.shared(), &account(), lab.law()).unwrap();
    pass(SUSPECT / 2).await;
    lab.write(lab.grant(2, 2)).await;
    assert_eq!(flight.landed().await, Some(Renewal::Settled));
    assert_eq!(stored(&lab).await, number(2));

    lab.clock.advance(Duration::from_hours(1));
    let began = Instant::now();
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert!(began.elapsed() >= SUSPECT);
    assert!(lab.stored().await.dead);
    renewed(&lab).await;
    assert_eq!(lab.forge.refresh_calls(), 2, "what is dead is never tried again");
}

/// Holds: R2.
#[tokio::test(start_paused = true)]
async fn a_lease_held_elsewhere_is_waited_for_and_nobody_rests_for_it() {
    let lab = Lab::with_grant().await;
    let (vault, law) = (&lab.shared().vault, lab.law());
    let held = vault.renewal_lease(&account(), lab.clock.now().plus(law.lease));
    assert!(vault.take(&held, lab.clock.now()).await.unwrap());
    let began = Instant::now();
    assert_eq!(renewed(&lab).await, Some(Renewal::Elsewhere));
    assert!(began.elapsed() >= lab.law().wait && began.elapsed() < lab.law().wait * 2);

    let flight = start(lab.shared(), &account(), lab.law()).expect("no rest");
    pass(Duration::from_secs(2)).await;
    lab.write(lab.grant(2, 2)).await;
    let written = Instant::now();
    assert_eq!(flight.landed().await, Some(Renewal::Settled));
    assert!(written.elapsed() <= POLL);
    assert_eq!((near(&lab).unwrap().as_str(), lab.forge.refresh_calls()), ("access-2", 0));
    lab.shared().vault.release(held).await.unwrap();
}

/// Holds: R2.
#[tokio::test(start_paused = true)]
async fn a_lease_outlasts_the_calls_that_a_renewal_makes() {
    let lab = Lab::with_grant().await;
    assert!(lab.law().lease > lab.keeper.terms.settings.forge_timeout * 3);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_lands_on_what_is_stored_if_the_token_is_still_the_same() {
    for same_token in [true, false] {
        let lab = Arc::new(Lab::new());
        let unknown = GrantRecord { verdict: ScopeVerdict::Unknown, ..lab.grant(1, 1) };
        lab.write(unknown.clone()).await;
        let writer = Arc::clone(&lab);
        lab.forge.introspects(async move {
            let next = GrantRecord { version: 2, standing: Standing::Suspended, ..writer.stored().await };
            let access = ForgeToken::new(if same_token { "access-1" } else { "access-2" }).unwrap();
            writer.write(GrantRecord { access, ..next }).await;
            Ok(Introspection::Active { scope: SCOPE.to_owned() })
        });
        scope::judge(lab.shared(), unknown.clone(), SCOPE, lab.law()).await.unwrap().unwrap();
        let stored = lab.stored().await;
        let expected = if same_token { ScopeVerdict::Exact } else { ScopeVerdict::Unknown };
        assert_eq!((stored.verdict, stored.standing), (expected, Standing::Suspended));
    }
}

/// A token that has died meanwhile tells nothing about its scope. Introspection alone is not believed about that.
///
/// Holds: O14.
#[tokio::test(start_paused = true)]
async fn a_token_that_has_died_is_renewed_before_its_scope_is_asked_for() {
    for (expired, standing, calls, expected) in [
        (true, None, 1, ("access-2", ScopeVerdict::Exact)),
        (false, Some(Err(ForgeError::Unauthorized)), 1, ("access-2", ScopeVerdict::Exact)),
        (false, Some(Ok(Standing::Good)), 0, ("access-1", ScopeVerdict::Unknown)),
        (false, Some(Ok(Standing::Suspended)), 0, ("access-1", ScopeVerdict::Unknown)),
        (false, Some(Err(ForgeError::Unavailable("down"))), 0, ("access-1", ScopeVerdict::Unknown)),
    ] {
        let lab = Lab::new();
        let unknown = GrantRecord { verdict: ScopeVerdict::Unknown, ..lab.grant(1, 1) };
        lab.write(unknown.clone()).await;
        if let Some(standing) = standing {
            lab.forge.introspects(async { Ok(Introspection::Inactive) });
            lab.forge.stands(async { standing });
        }
        lab.clock.advance(Duration::from_secs(if expired { 3600 } else { 10 }));
        lab.forge.refreshes(async { Ok(set(2)) });
        scope::judge(lab.shared(), unknown, SCOPE, lab.law()).await.unwrap().unwrap();
        let stored = lab.stored().await;
        assert_eq!(
            (stored.access.expose(), stored.verdict, lab.forge.refresh_calls()),
            (expected.0, expected.1, calls)
        );
    }
    // A refusal of that is the end of the grant.
    let lab = Lab::new();
    let unknown = GrantRecord { verdict: ScopeVerdict::Unknown, ..lab.grant(1, 1) };
    lab.write(unknown.clone()).await;
    lab.forge.introspects(async { Ok(Introspection::Inactive) });
    lab.forge.stands(async { Err(ForgeError::Unauthorized) });
    assert!(scope::judge(lab.shared(), unknown, SCOPE, lab.law()).await.unwrap().unwrap().dead);
}

#[tokio::test(start_paused = true)]
async fn a_scope_is_asked_for_once_however_many_ask_and_again_when_the_clock_was_set_back() {
    let lab = Lab::new();
    lab.write(GrantRecord { verdict: ScopeVerdict::Unknown, ..lab.grant(1, 1) }).await;
    let ask = async || {
        for _ in 0..20 {
            scope::ask_behind(lab.shared(), &account(), SCOPE, lab.law());
        }
        assert!(lab.keeper.drain(Duration::from_secs(1)).await);
    };
    let fail = |times| {
        for _ in 0..times {
            lab.forge.introspects(async { Err(ForgeError::Unavailable("down")) });
        }
    };
    lab.clock.advance(Duration::from_secs(10));
    fail(2);
    ask().await;
    assert_eq!((lab.stored().await.verdict, lab.stored().await.version), (ScopeVerdict::Unknown, 2));
    lab.clock.set(Timestamp::from_secs(1_800_000_005));
    ask().await;
    assert_eq!((lab.stored().await.verdict, lab.stored().await.version), (ScopeVerdict::Unknown, 3));
    lab.clock.advance(Duration::from_secs(10));
    ask().await;
    assert_eq!(lab.stored().await.verdict, ScopeVerdict::Exact);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_begins_anew_counts_although_its_version_is_lower() {
    let lab = Lab::with_grant().await;
    note(lab.shared(), lab.grant(9, 9));
    let fresh = Lab::new();
    note(fresh.shared(), fresh.grant(9, 9));
    assert!(fresh.exchange(2).await.is_ok(), "the row was swept, so versions begin at one");
    assert_eq!(near(&fresh).unwrap(), "access-2");
    // Another process may be the one that has begun anew: its token is younger.
    let elsewhere = Lab::new();
    note(elsewhere.shared(), elsewhere.grant(9, 9));
    let anew = |number| GrantRecord { begun: elsewhere.clock.now().millis(), ..elsewhere.grant(1, number) };
    note(elsewhere.shared(), anew(1));
    assert_eq!(near(&elsewhere).unwrap(), "access-1");
    // The clock was set back since: what began in the future is not believed.
    elsewhere.clock.set(elsewhere.clock.now().minus(Duration::from_mins(10)));
    note(elsewhere.shared(), anew(2));
    assert_eq!(near(&elsewhere).unwrap(), "access-2");
    elsewhere.clock.advance(Duration::from_mins(10));
    note(elsewhere.shared(), anew(3));
    assert_eq!(near(&elsewhere).unwrap(), "access-3");
    // Else a higher version wins.
    note(lab.shared(), lab.grant(1, 1));
    assert_eq!(near(&lab).unwrap(), "access-9");
}

/// Holds: R1.
#[tokio::test(start_paused = true)]
async fn the_life_of_a_token_is_counted_from_the_question_for_nobody_knows_how_long_the_answer_took() {
    let lab = Arc::new(Lab::with_grant().await);
    let (asked_at, clock) = (lab.clock.now(), lab.clock.clone());
    lab.forge.refreshes(async move {
        clock.advance(Duration::from_secs(9));
        Ok(set(2))
    });
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert_eq!(lab.stored().await.access_expires_at, asked_at.plus(Duration::from_hours(1)));
}

/// Holds: R1, R14.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_while_the_forge_is_asked_makes_no_token_live_longer() {
    for took in [Duration::ZERO, Duration::from_secs(6)] {
        let lab = Arc::new(Lab::with_grant().await);
        let (real, clock) = (lab.clock.now(), lab.clock.clone());
        lab.clock.advance(Duration::from_secs(5));
        lab.forge.refreshes(async move {
            clock.set(real);
            clock.advance(took);
            Ok(set(2))
        });
        assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
        assert_eq!(lab.stored().await.access_expires_at, real.plus(Duration::from_hours(1)));
    }
}

/// Holds: R1, R2.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_short_lived_and_slow_to_come_is_renewed_once() {
    let lab = Lab::with_grant().await;
    for number in 2..=9 {
        let clock = lab.clock.clone();
        lab.forge.refreshes(async move {
            clock.advance(Duration::from_secs(3));
            Ok(TokenSet { life: Duration::from_secs(8), ..set(number) })
        });
    }
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert_eq!((lab.forge.refresh_calls(), stored(&lab).await), (1, number(2)));
}

/// Holds: R17.
#[tokio::test(start_paused = true)]
async fn a_set_is_not_lost_because_nobody_can_say_for_a_moment_whose_it_is() {
    let lab = Lab::with_grant().await;
    lab.forge.loses_its_keys();
    assert!(lab.exchange(2).await.is_ok());
    assert_eq!(stored(&lab).await, number(2));
}

/// Holds: R3, R4, R11.
#[tokio::test(start_paused = true)]
async fn a_renewed_set_is_kept_although_another_one_has_taken_the_place_of_what_it_was_given_for() {
    for dead in [false, true] {
        let lab = Arc::new(Lab::with_grant().await);
        let other = Arc::clone(&lab);
        lab.forge.refreshes(async move {
            let stored = other.stored().await;
            let fresh = GrantRecord { begun: stored.begun, dead, ..other.grant(stored.version + 1, 3) };
            other.write(fresh).await;
            Ok(set(2))
        });
        assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
        let stored = lab.stored().await;
        let spares: Vec<_> = stored.spares.iter().map(RefreshToken::expose).collect();
        if dead {
            assert_eq!((stored.access.expose(), stored.dead, spares.len()), ("access-2", false, 0));
        } else {
            assert_eq!((stored.access.expose(), spares), ("access-3", vec!["refresh-2"]));
        }
    }
}

/// Holds: R3, R4.
#[tokio::test(start_paused = true)]
async fn of_sign_ins_that_overtook_each_other_the_one_that_the_forge_takes_lives_on() {
    let lab = Lab::new();
    for number in [4, 2, 3] {
        assert!(lab.exchange(number).await.is_ok());
    }
    lab.clock.advance(Duration::from_hours(1));
    lab.forge.refreshes(async { Err(spent()) });
    lab.forge.refreshes(async { Err(spent()) });
    lab.forge.refreshes(async { Ok(set(5)) });
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert_eq!(*lab.forge.tried.lock().unwrap(), ["refresh-3", "refresh-2", "refresh-4"]);
    assert_eq!(stored(&lab).await, number(5));
    assert!(lab.stored().await.spares.is_empty(), "what the forge took makes the others worthless");
}

/// Holds: R4.
#[tokio::test(start_paused = true)]
async fn a_grant_is_dead_when_its_last_spare_is_spent_too() {
    let lab = Lab::new();
    for number in [1, 2] {
        assert!(lab.exchange(number).await.is_ok());
    }
    lab.clock.advance(Duration::from_hours(1));
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert!(lab.stored().await.dead);
    assert_eq!(lab.forge.refresh_calls(), 2);
}

/// Holds: R3.
#[tokio::test(start_paused = true)]
async fn sessions_of_a_dead_grant_live_by_the_set_of_a_sign_in_as_soon_as_it_is_stored() {
    let lab = Arc::new(Lab::new());
    let session = lab.exchange(1).await.unwrap().known.session.key;
    lab.clock.advance(Duration::from_hours(1));
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert!(lab.keeper.known(session).await.unwrap().unwrap().account.grant.dead);
    let other = Arc::clone(&lab);
    lab.forge.introspects(async move {
        assert!(!other.keeper.known(session).await.unwrap().unwrap().account.grant.dead);
        Ok(Introspection::Active { scope: SCOPE.to_owned() })
    });
    lab.exchange(2).await.unwrap();
}

/// Holds: R14.
#[tokio::test(start_paused = true)]
async fn a_token_ends_when_its_time_is_up_although_the_clock_was_set_back() {
    let minutes = Duration::from_mins;
    // Once the clock shows less than when it was obtained; and whether somebody comes before it shows more again.
    for (before, comes) in [(40, true), (40, false), (3, true), (3, false)] {
        let lab = Lab::with_grant().await;
        let session = lab.exchange(1).await.unwrap().known.session.key;
        let look = async || lab.keeper.known(session).await.unwrap().unwrap();
        let obtained_at = lab.clock.now();
        lab.clock.advance(minutes(before));
        lab.clock.set(lab.clock.now().minus(minutes(10)));
        if comes {
            let ends_at = look().await.account.grant.access_expires_at;
            assert_eq!(ends_at, obtained_at.plus(minutes(50)), "and the app is told so");
            assert_eq!(renewed(&lab).await, Some(Renewal::Settled), "the forge is not asked");
        }
        lab.clock.advance(minutes(60 - before));
        lab.forge.refreshes(async { Ok(set(2)) });
        assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
        assert_eq!(stored(&lab).await, number(2));
        // A token of since has all of its time.
        let (now, known) = (lab.clock.now(), look().await);
        assert_eq!(known.account.grant.access_expires_at, now.plus(minutes(60)));
    }
}

/// Holds: R14.
#[tokio::test(start_paused = true)]
async fn a_token_that_would_live_for_longer_than_it_was_given_is_renewed() {
    let lab = Lab::new();
    let grant = lab.grant(1, 1);
    lab.write(GrantRecord {
        access_expires_at: grant.access_expires_at.plus(Duration::from_mins(10)),
        ..grant
    })
    .await;
    lab.forge.refreshes(async { Ok(set(2)) });
    assert_eq!(renewed(&lab).await, Some(Renewal::Settled));
    assert_eq!(stored(&lab).await, number(2));
}
