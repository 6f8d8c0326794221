//! What the token endpoint says of a token at a renewal, what it leaves out, and what becomes of an answer that is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hero_proxy::base::clock::Clock as _;
use hero_proxy::forge::fake::{Endpoint, FakeSettings, Fault};
use serde_json::json;

use super::{life, seen, token};
use crate::support::house::{Plan, TestHouse};
use crate::support::logs::Logs;

/// The life of the forge's own tokens. Nothing else than a renewal is due meanwhile.
const LIFE: Duration = Duration::from_secs(120);

async fn house() -> TestHouse {
    let fake = FakeSettings { token_lifetime: LIFE, ..FakeSettings::default() };
    TestHouse::start(Plan { fake, ..Plan::default() }.with("session", "recheck = \"1h\"")).await
}

/// Holds: R10.
#[tokio::test]
async fn a_set_without_a_refresh_token_and_with_an_odd_life_lives_five_minutes_and_is_renewed_by_the_old_one()
{
    let odd = ["0", "-1", "\"3600\"", "1e300", "9223372036854775808", "null", "[]"];
    let lives = odd.map(|life| format!(",\"expires_in\":{life}")).into_iter().chain([String::new()]);
    for said in lives {
        let house = house().await;
        let mut browser = house.signed_in("alice").await;
        let answer = format!(r#"{{"access_token":"opaque","token_type":"bearer"{said}}}"#);
        house.forge.break_next(Endpoint::Token, Fault::json(200, answer), 1);
        house.clock.advance(LIFE - Duration::from_secs(30));
        for _ in 0..3 {
            let seen = seen(&house, &mut browser).await;
            assert_eq!(token(&seen).as_deref(), Some("opaque"), "{said}");
            assert_eq!(life(&house, &seen), Duration::from_mins(5), "{said}");
        }
        assert_eq!(house.forge.count(Endpoint::Token), 2, "{said}: fresh for now");
        house.clock.advance(Duration::from_mins(5) - Duration::from_secs(30));
        let next = seen(&house, &mut browser).await;
        assert_ne!(token(&next).as_deref(), Some("opaque"), "{said}: not for ever");
        assert_eq!((life(&house, &next), house.forge.count(Endpoint::Token)), (LIFE, 3), "{said}");
    }
}

/// Holds: R1 (the token is never decoded).
#[tokio::test]
async fn a_token_lives_as_long_as_was_announced_whatever_stands_in_it() {
    for (exp, announced) in [(1_u64, 3600), (4_000_000_000, 120)] {
        let house = house().await;
        let mut browser = house.signed_in("alice").await;
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let speaking =
            format!("{}.{}.c2ln", part(json!({"alg": "RS256", "typ": "JWT"})), part(json!({"exp": exp})));
        let answer = json!({"access_token": speaking, "token_type": "bearer", "expires_in": announced});
        house.forge.break_next(Endpoint::Token, Fault::json(200, answer.to_string()), 1);
        house.clock.advance(LIFE - Duration::from_secs(30));
        let announced = Duration::from_secs(announced);
        for _ in 0..3 {
            let seen = seen(&house, &mut browser).await;
            assert_eq!((token(&seen), life(&house, &seen)), (Some(speaking.clone()), announced));
        }
        assert_eq!(house.forge.count(Endpoint::Token), 2, "exp {exp}: it is fresh");
        house.clock.advance(announced - Duration::from_secs(30));
        assert_ne!(token(&seen(&house, &mut browser).await), Some(speaking), "exp {exp}: it is old");
        assert_eq!(house.forge.count(Endpoint::Token), 3);
    }
}

/// Holds: R9 (the forge has renewed, and the answer is lost).
#[tokio::test]
async fn an_answer_that_is_lost_costs_a_sign_in_that_nobody_sees_or_nothing_where_old_ones_go_on() {
    for invalidate_refresh_tokens in [true, false] {
        let fake = FakeSettings { invalidate_refresh_tokens, ..FakeSettings::default() };
        let house = TestHouse::start(Plan { fake, ..Plan::default() }).await;
        let mut browser = house.signed_in("alice").await;
        let old = token(&house.echo.only());
        house.forge.break_next(Endpoint::Token, Fault::LoseAnswer, 1);
        house.clock.advance(Duration::from_secs(3600 - 40));
        assert_eq!(token(&seen(&house, &mut browser).await), old, "while it lives");
        assert_eq!(house.forge.count(Endpoint::Token), 2);
        house.clock.advance(Duration::from_secs(12));
        if invalidate_refresh_tokens {
            let page = browser.navigate(&house.at("/")).await;
            assert_eq!(page.status(), 303, "to the forge, which knows this browser");
            assert_eq!(browser.follow(page).await.text(), "app");
            assert_eq!(house.forge.count(Endpoint::Token), 4, "tried once more, then a code");
        }
        let new = seen(&house, &mut browser).await;
        assert!(token(&new).is_some() && token(&new) != old);
        assert_eq!(house.forge.count(Endpoint::Token), if invalidate_refresh_tokens { 4 } else { 3 });
    }
}

/// Holds: R5 (said loudly).
#[tokio::test]
async fn a_forge_that_does_not_know_this_client_is_told_to_the_operator_at_each_try() {
    for status in [400, 401] {
        let house = TestHouse::new().await;
        let mut browser = house.signed_in("alice").await;
        let logs = Logs::listen();
        let refusal = Fault::json(status, r#"{"error":"invalid_client"}"#);
        house.forge.break_next(Endpoint::Token, refusal, usize::MAX);
        house.clock.advance(Duration::from_secs(3600 - 40));
        for tries in 1..=3 {
            for _ in 0..3 {
                assert!(token(&seen(&house, &mut browser).await).is_some(), "{status}");
            }
            let told = logs
                .events("the forge refuses this proxy's client id or secret; nobody is signed out for that");
            assert_eq!(told.len(), tries, "{status}");
            for told in told {
                assert_eq!((&told["level"], &told["code"]), (&"ERROR".into(), &"invalid_client".into()));
            }
            house.clock.advance(Duration::from_secs(12));
        }
    }
}

/// Holds: R6 (the next try: not before ten seconds, and not at the same moment everywhere).
#[tokio::test]
async fn the_next_try_comes_after_ten_seconds_and_up_to_one_more() {
    let house = TestHouse::new().await;
    let mut browser = house.signed_in("alice").await;
    house.forge.break_next(Endpoint::Token, Fault::Close, usize::MAX);
    house.clock.advance(Duration::from_hours(1));
    seen(&house, &mut browser).await;
    let mut rests = BTreeSet::new();
    for _ in 0..10 {
        let (tried, calls) = (house.clock.now(), house.forge.count(Endpoint::Token));
        house.clock.advance(Duration::from_millis(9_950));
        while house.forge.count(Endpoint::Token) == calls {
            house.clock.advance(Duration::from_millis(50));
            seen(&house, &mut browser).await;
        }
        rests.insert(house.clock.now().since(tried).as_millis());
    }
    assert!(rests.iter().all(|rest| (10_000..=11_000).contains(rest)), "{rests:?}");
    assert!(rests.len() > 1, "ten in a row, and all alike: {rests:?}");
}
