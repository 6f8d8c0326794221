//! The laws of the forge: on the fake one always, on a real one when `HERO_TEST_FORGE_URL` names it.
//!
//! `HERO_TEST_FORGE_ADMIN_TOKEN_FILE`: a file with a site admin's personal token, scopes `write:admin` and `read:user`.
//! `HERO_TEST_FORGE_TOKEN_LIFETIME`: seconds that access tokens live there (`ACCESS_TOKEN_EXPIRATION_TIME`), 3600 if it is
//! not said; expiry is tried when it is 30 at most.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hero_proxy::base::clock::{ManualClock, Timestamp};
use hero_proxy::forge::contract::{Outcome, Passing, Target, run};
use hero_proxy::forge::fake::{Endpoint, FakeForge, FakeSettings, FakeVersion, NewUser};
use hero_proxy::wire::ForgeToken;

/// At least so many laws must hold on a server on which all can be tried.
const FLOOR: usize = 43;

async fn check(version: FakeVersion, invalidates: bool) {
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let forge = FakeForge::start(FakeSettings {
        version,
        invalidate_refresh_tokens: invalidates,
        disable_query_auth_token: !invalidates,
        clock: Arc::new(clock.clone()),
        ..FakeSettings::default()
    })
    .await
    .unwrap();
    forge.add_user(NewUser { site_admin: true, ..NewUser::new("root1", "Root-password-1") });
    let outcome = run(Target {
        url: forge.url().clone(),
        admin: forge.add_personal_token("root1", &["write:admin", "read:user"]).unwrap(),
        token_lifetime: Duration::from_hours(1),
        passing: Passing::Turned(clock),
    })
    .await;
    assert!(forge.count(Endpoint::Token) > 50, "the laws asked this forge");
    judge(&outcome);
    assert!(outcome.skipped.is_empty(), "on the fake all is tried:\n{outcome}");
    assert!(!outcome.to_string().contains("left at the server"), "the laws clean up:\n{outcome}");
}

fn judge(outcome: &Outcome) {
    assert!(outcome.broken.is_empty(), "{outcome}");
    assert!(outcome.held.len() + outcome.skipped.len() >= FLOOR, "only:\n{outcome}");
}

#[tokio::test]
async fn the_fake_15_holds_the_contract() {
    check(FakeVersion::V15, true).await;
}

#[tokio::test]
async fn the_fake_15_that_keeps_refresh_tokens_holds_the_contract() {
    check(FakeVersion::V15, false).await;
}

#[tokio::test]
async fn the_fake_11_holds_the_contract() {
    check(FakeVersion::V11, true).await;
}

#[tokio::test]
async fn the_fake_11_that_keeps_refresh_tokens_holds_the_contract() {
    check(FakeVersion::V11, false).await;
}

#[tokio::test]
async fn a_real_forge_holds_the_contract() {
    let told = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = told("HERO_TEST_FORGE_URL").zip(told("HERO_TEST_FORGE_ADMIN_TOKEN_FILE"));
    let Some((url, file)) = named else {
        let words = "SKIPPED: the contract on a real forge; set HERO_TEST_FORGE_URL and HERO_TEST_FORGE_ADMIN_TOKEN_FILE";
        writeln!(std::io::stderr(), "{words}").unwrap();
        return;
    };
    let admin = std::fs::read_to_string(&file).expect("the admin token's file can be read");
    let lifetime = told("HERO_TEST_FORGE_TOKEN_LIFETIME").map_or(3600, |secs| secs.parse().expect("seconds"));
    let outcome = run(Target {
        url: url.parse().expect("HERO_TEST_FORGE_URL is a URL"),
        admin: ForgeToken::new(admin.trim()).expect("the file holds a token"),
        token_lifetime: Duration::from_secs(lifetime),
        passing: Passing::Waited,
    })
    .await;
    writeln!(std::io::stderr(), "{url}: {outcome}").unwrap();
    judge(&outcome);
}

#[tokio::test]
async fn a_forge_that_is_not_as_announced_breaks_the_contract() {
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let settings = FakeSettings { clock: Arc::new(clock.clone()), ..FakeSettings::default() };
    let forge = FakeForge::start(settings).await.unwrap();
    forge.add_user(NewUser { site_admin: true, ..NewUser::new("root1", "Root-password-1") });
    let target = |scopes: &[&str], secs| Target {
        url: forge.url().clone(),
        admin: forge.add_personal_token("root1", scopes).unwrap(),
        token_lifetime: Duration::from_secs(secs),
        passing: Passing::Turned(clock.clone()),
    };
    let outcome = run(target(&["write:admin", "read:user"], 5)).await;
    assert!(outcome.broken.iter().any(|words| words.contains("expires_in")), "{outcome}");
    assert!(outcome.broken.iter().any(|words| words.starts_with("an_expired_access_token")), "{outcome}");
    let outcome = run(target(&["read:user"], 3600)).await;
    assert!(outcome.broken.len() > 30, "an admin token without the scope makes nothing:\n{outcome}");
}
