//! The fake forge answers as real ones did: recorded exchanges with Forgejo 15.0.3 and 11.0.15, each with and without
//! invalidation of refresh tokens, are played to it in order (`tests/data/forge/`).
//!
//! Compared are status, the headers that matter, names of cookies, all members of JSON bodies with their types and (but for
//! numbers, times and the like: `OWN_VALUES`) their values, texts, titles of pages.

use hero_proxy::forge::fake::FakeVersion;

use crate::support::recording::Exchange;
use crate::support::replay::Replay;

/// What the fake leaves out, by prefix of an exchange's name, and why.
const LEFT_OUT: &[(&str, &str)] = &[];

/// At least so many exchanges of a recording must be compared.
const FLOOR: usize = 286;

/// After these a recording goes on with what its own server had answered.
const BEFORE_WAITING: usize = 90;

fn read(recording: &str) -> Vec<Exchange> {
    let path = format!("{}/tests/data/forge/{recording}.jsonl", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path)
        .unwrap()
        // One label slipped through when the recording was made: the run's name in capitals.
        .lines()
        .map(|line| serde_json::from_str(&upper_case_run(line)).unwrap())
        .collect()
}

async fn check(recording: &str, version: FakeVersion, keep_refresh: bool) {
    let exchanges = read(recording);
    for (prefix, reason) in LEFT_OUT {
        assert!(
            exchanges.iter().any(|one| one.name.starts_with(prefix)),
            "{prefix:?} ({reason}) leaves nothing out"
        );
    }
    let mut replay = Replay::start(version, keep_refresh).await;
    let mut differ = Vec::new();
    let mut compared = 0;
    for (index, exchange) in exchanges.iter().enumerate() {
        let words = replay.play(exchange).await;
        if LEFT_OUT.iter().any(|(prefix, _)| exchange.name.starts_with(prefix)) {
            continue;
        }
        compared += 1;
        differ.extend(words.into_iter().map(|words| format!("{index} {}: {words}", exchange.name)));
    }
    assert!(differ.is_empty(), "{recording}:\n{}", differ.join("\n"));
    assert!(compared >= FLOOR, "{recording}: only {compared} exchanges were compared");
}

fn upper_case_run(line: &str) -> String {
    match line
        .split_once("DEPLOYER_TEST_P")
        .and_then(|(before, rest)| Some((before, rest.split_once("_A")?.0)))
    {
        Some((_, run)) => line.replace(&format!("DEPLOYER_TEST_P{run}_A"), "DEPLOYER_TEST_P0_A"),
        None => line.to_owned(),
    }
}

#[tokio::test]
async fn the_fake_answers_as_forgejo_15_did() {
    check("forgejo-15.0.3", FakeVersion::V15, false).await;
}

#[tokio::test]
async fn the_fake_answers_as_forgejo_15_did_that_keeps_refresh_tokens() {
    check("forgejo-15.0.3-keep-refresh", FakeVersion::V15, true).await;
}

#[tokio::test]
async fn the_fake_answers_as_forgejo_11_did() {
    check("forgejo-11.0.15", FakeVersion::V11, false).await;
}

#[tokio::test]
async fn the_fake_answers_as_forgejo_11_did_that_keeps_refresh_tokens() {
    check("forgejo-11.0.15-keep-refresh", FakeVersion::V11, true).await;
}

#[tokio::test]
async fn a_recording_of_another_version_or_setting_is_noticed() {
    for (version, keep_refresh) in [(FakeVersion::V11, false), (FakeVersion::V15, true)] {
        let mut replay = Replay::start(version, keep_refresh).await;
        let mut differ = 0;
        for exchange in read("forgejo-15.0.3").iter().take(BEFORE_WAITING) {
            differ += usize::from(!replay.play(exchange).await.is_empty());
        }
        assert!(differ >= 4, "{version:?} with keep_refresh {keep_refresh} differs in {differ} only");
    }
}
