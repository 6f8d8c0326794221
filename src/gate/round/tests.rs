use std::future::pending;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::base::clock::Clock as _;
use crate::forge::api::Profile;
use crate::gate::lab::{Lab, account, profile, set};

const FIVE: Duration = Duration::from_mins(5);

async fn looked(lab: &Lab) -> Option<Round> {
    start(lab.shared(), &lab.stored().await, lab.law()).landed().await
}

/// With the grant number 1 stored, which was looked at five minutes ago.
async fn due() -> Lab {
    let lab = Lab::new();
    lab.write(lab.grant(1, 1)).await;
    lab.clock.advance(FIVE);
    lab
}

/// Another process wants to look at the account; says whether it may.
async fn takes(lab: &Lab, seen: Timestamp) -> bool {
    let (vault, now) = (&lab.shared().vault, lab.clock.now());
    let lease = vault.look_lease(&account(), seen, now.plus(TRY_AGAIN));
    vault.take(&lease, now).await.unwrap()
}

fn calls(lab: &Lab) -> Vec<String> {
    lab.forge.looked.lock().unwrap().clone()
}

/// Holds: R16, G12.
#[tokio::test(start_paused = true)]
async fn what_a_round_learns_is_stored_and_near() {
    let lab = due().await;
    lab.forge.is(async { Ok(Profile { login: "renamed".to_owned(), ..profile() }) });
    assert_eq!(looked(&lab).await, Some(Round::Settled));
    let stored = lab.stored().await;
    assert_eq!((stored.standing, &*stored.identity.login), (Standing::Good, "renamed"));
    assert_eq!(stored.checked_at, lab.clock.now());
    assert_eq!(lab.shared().near.account(account().key()).unwrap().grant.identity.login, "renamed");
    lab.clock.advance(FIVE);
    lab.forge.stands(async { Ok(Standing::Suspended) });
    assert_eq!(looked(&lab).await, Some(Round::Settled));
    assert_eq!(lab.stored().await.standing, Standing::Suspended);
    assert_eq!(calls(&lab).len(), 2);
}

/// Holds: R4, R16.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_dead_before_its_time_is_renewed_once_and_a_refusal_of_that_is_the_end() {
    let lab = due().await;
    lab.forge.stands(async { Err(ForgeError::Unauthorized) });
    assert_eq!(looked(&lab).await, Some(Round::Settled), "the forge refuses the renewal");
    assert!(lab.stored().await.dead);
    assert_eq!((lab.forge.refresh_calls(), calls(&lab).len()), (1, 1));

    let lab = due().await;
    lab.forge.stands(async { Err(ForgeError::Unauthorized) });
    lab.forge.refreshes(async { Ok(set(2)) });
    assert_eq!(looked(&lab).await, Some(Round::Settled));
    assert_eq!(calls(&lab), ["access-1", "access-2"], "asked again with the new one");
    assert_eq!((lab.stored().await.dead, lab.stored().await.checked_at), (false, lab.clock.now()));

    // A forge that takes nothing at all is no reason to go on for ever, nor to sign anybody out.
    let lab = due().await;
    for _ in 0..2 {
        lab.forge.stands(async { Err(ForgeError::Unauthorized) });
    }
    lab.forge.refreshes(async { Ok(set(2)) });
    assert_eq!(looked(&lab).await, Some(Round::NotNow));
    assert_eq!((lab.forge.refresh_calls(), calls(&lab).len(), lab.stored().await.dead), (1, 2, false));
}

/// Holds: R16.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_barred_or_ended_between_the_two_questions_is_asked_about_again() {
    let lab = due().await;
    lab.forge.stands(async { Ok(Standing::Good) });
    lab.forge.is(async { Err(ForgeError::Garbled("HTML")) });
    lab.forge.stands(async { Ok(Standing::Suspended) });
    assert_eq!(looked(&lab).await, Some(Round::Settled));
    assert_eq!(lab.stored().await.standing, Standing::Suspended);

    let lab = due().await;
    lab.forge.stands(async { Ok(Standing::Good) });
    lab.forge.is(async { Err(ForgeError::Unauthorized) });
    lab.forge.stands(async { Err(ForgeError::Unauthorized) });
    assert_eq!(looked(&lab).await, Some(Round::Settled), "the forge refuses the renewal");
    assert!(lab.stored().await.dead);

    // A forge that goes on so is odd, and proves nothing.
    let lab = due().await;
    for _ in 0..2 {
        lab.forge.is(async { Err(ForgeError::Garbled("HTML")) });
    }
    assert_eq!(looked(&lab).await, Some(Round::NotNow));
    assert_eq!((calls(&lab).len(), lab.stored().await.standing), (2, Standing::Good));
}

/// Holds: R8, R16.
#[tokio::test(start_paused = true)]
async fn a_look_that_fails_after_a_good_renewal_takes_nothing_of_it_away() {
    for failed in [ForgeError::Unavailable("down"), ForgeError::Garbled("odd"), ForgeError::Unauthorized] {
        let lab = due().await;
        // Its token has expired: it is renewed before anything is asked with it.
        lab.clock.advance(Duration::from_hours(1));
        lab.forge.refreshes(async { Ok(set(2)) });
        for _ in 0..2 {
            let failed = failed.clone();
            lab.forge.stands(async { Err(failed) });
        }
        if matches!(failed, ForgeError::Unauthorized) {
            lab.forge.refreshes(async { Err(ForgeError::Unavailable("down")) });
        }
        assert_eq!(looked(&lab).await, Some(Round::NotNow));
        let stored = lab.stored().await;
        assert_eq!((stored.access.expose(), stored.dead), ("access-2", false), "{failed}");
        assert_eq!(
            stored.refresh.as_ref().map(|token| token.expose().to_owned()),
            Some("refresh-2".to_owned())
        );
        let near = lab.shared().near.account(account().key()).unwrap();
        assert_eq!(near.grant.access.expose(), "access-2", "and it is in use: {failed}");
        assert_eq!(stored.standing, Standing::Good);
    }
}

/// Holds: R16.
#[tokio::test(start_paused = true)]
async fn a_profile_that_cannot_be_read_or_is_somebody_elses_changes_nobody() {
    for said in [Err(ForgeError::Unavailable("down")), Ok(Profile { sub: "8".to_owned(), ..profile() })] {
        let lab = due().await;
        let before = lab.stored().await;
        lab.forge.is(async { said });
        assert_eq!(looked(&lab).await, Some(Round::NotNow));
        let after = lab.stored().await;
        assert_eq!(
            (after.identity, after.checked_at),
            (before.identity, before.checked_at),
            "asked again later"
        );
        assert!(takes(&lab, before.checked_at).await, "by another process at once");
    }
}

/// Holds: R13.
#[tokio::test(start_paused = true)]
async fn another_process_that_is_at_it_is_waited_for_and_its_answer_is_ours() {
    let lab = due().await;
    let seen = lab.stored().await;
    let now = lab.clock.now();
    assert!(takes(&lab, seen.checked_at).await, "the other process begins");
    let waiting = start(lab.shared(), &seen, lab.law());
    let answer = timeout(Duration::from_secs(1), pending::<()>()).await;
    assert!(answer.is_err());
    let next = GrantRecord { version: 2, standing: Standing::Suspended, checked_at: now, ..seen };
    lab.write(next).await;
    assert_eq!(waiting.landed().await, Some(Round::Settled));
    assert_eq!(lab.shared().near.account(account().key()).unwrap().grant.standing, Standing::Suspended);
    assert!(calls(&lab).is_empty());

    // One that has died at it is waited for as long as a request waits, and then one of ours may try.
    let lab = due().await;
    assert!(takes(&lab, lab.stored().await.checked_at).await);
    assert_eq!(looked(&lab).await, Some(Round::Elsewhere));
    lab.clock.advance(TRY_AGAIN);
    assert_eq!(looked(&lab).await, Some(Round::Settled));
    assert_eq!(calls(&lab).len(), 1);
}

/// Holds: R13, R16.
#[tokio::test(start_paused = true)]
async fn however_slow_the_forge_is_one_process_asks() {
    let lab = Arc::new(due().await);
    let (other, seen) = (Arc::clone(&lab), lab.stored().await.checked_at);
    lab.forge.stands(async move {
        for second in 0..60 {
            assert!(timeout(Duration::from_secs(1), pending::<()>()).await.is_err());
            other.clock.advance(Duration::from_secs(1));
            assert!(!takes(&other, seen).await, "after {second} s");
        }
        Ok(Standing::Good)
    });
    assert_eq!(looked(&lab).await, Some(Round::Settled));
}

/// Holds: R16.
#[tokio::test(start_paused = true)]
async fn a_sign_in_asks_too_and_a_forge_that_does_not_say_keeps_nobody_out() {
    let lab = Lab::new();
    lab.forge.stands(async { Ok(Standing::Suspended) });
    let opened = lab.exchange(1).await.unwrap();
    assert_eq!(opened.known.account.grant.standing, Standing::Suspended);
    assert_eq!(lab.stored().await.checked_at, lab.clock.now());

    let lab = Lab::new();
    lab.forge.stands(async { Err(ForgeError::Unavailable("down")) });
    let opened = lab.exchange(1).await.unwrap();
    assert_eq!(opened.known.account.grant.standing, Standing::Good);
    assert_eq!(lab.stored().await.checked_at, Timestamp::default(), "asked for soon");
    let failing = lab.shared().failing.get(&account().key());
    assert!(failing.is_some(), "behind requests, at rest");
}
