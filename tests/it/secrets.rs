//! Places of secrets: one law for all of them, and hero_proc in every mood.

use std::time::{Duration, Instant};

use hero_proxy::base::byo::{ByoSlot, ByoState};
use hero_proxy::base::hero_proc::{HeroProc, Settings};
use hero_proxy::base::secret::SecretText;
use hero_proxy::base::secret_file::{SecretFolder, SecretSource, Slot};
use hero_proxy::wire::ForgeToken;
use hero_proxy::wire::credential::Asker;

use crate::support::hero_proc::{Mood, StandIn};

fn slot(text: &str) -> Slot {
    text.parse().unwrap()
}

fn place(stand_in: &StandIn) -> HeroProc {
    HeroProc::new(settings(stand_in))
}

fn settings(stand_in: &StandIn) -> Settings {
    Settings { socket: stand_in.socket.clone(), timeout: Duration::from_secs(10), ..Settings::default() }
}

/// What holds of any place of secrets.
fn check(place: &dyn SecretSource) {
    let (token, other) = (slot("deployer/FORGE_TOKEN"), slot("cockpit/USER_FORGE_TOKEN"));
    let read = |slot: &Slot| place.get(slot).unwrap().map(|secret| secret.expose().to_owned());
    assert_eq!(read(&token), None);
    assert!(!place.delete(&token).unwrap());
    for secret in ["one", "two \"quoted\" {\\}", "schön\u{1f511}", &"x".repeat(60_000)] {
        place.set(&token, &SecretText::new(secret)).unwrap();
        assert_eq!(read(&token).as_deref(), Some(secret));
        assert_eq!(read(&other), None, "slots are apart");
    }
    place.set(&other, &SecretText::new("theirs")).unwrap();
    assert!(place.delete(&token).unwrap() && !place.delete(&token).unwrap());
    assert_eq!((read(&token), read(&other)), (None, Some("theirs".to_owned())));
    assert!(!format!("{place:?}").contains("theirs"));
}

#[test]
fn every_place_of_secrets_keeps_and_gives_and_forgets() {
    let folder = tempfile::tempdir().unwrap();
    check(&SecretFolder::new(folder.path()));
    let stand_in = StandIn::start();
    check(&place(&stand_in));
    stand_in.set_mood(Mood::Wrapped);
    check(&place(&StandIn::start()));
    stand_in.put("deployer", "FORGE_TOKEN", "wrapped");
    let read = place(&stand_in).get(&slot("deployer/FORGE_TOKEN")).unwrap().unwrap();
    assert_eq!(read.expose(), "wrapped");
}

#[test]
fn hero_proc_is_asked_by_the_names_that_the_operator_gives() {
    let stand_in = StandIn::start();
    let own = Settings {
        get: "vault_read".to_owned(),
        context: "space".to_owned(),
        key: "name".to_owned(),
        ..settings(&stand_in)
    };
    let refused = HeroProc::new(own).get(&slot("deployer/FORGE_TOKEN")).unwrap_err();
    let said = format!("{refused} {refused:?}");
    assert!(said.contains("-32601") && !said.contains("CANARY"), "{said}");
    let asked = stand_in.asked();
    assert_eq!(asked[0]["method"], "vault_read");
    assert_eq!(asked[0]["params"], serde_json::json!({"space": "deployer", "name": "FORGE_TOKEN"}));
}

/// Holds: X5.
#[test]
fn a_hero_proc_that_is_down_slow_or_odd_is_an_error_and_never_an_empty_slot() {
    let stand_in = StandIn::start();
    stand_in.put("deployer", "FORGE_TOKEN", "CANARY");
    let slot = slot("deployer/FORGE_TOKEN");
    let good = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"CANARY\"}";
    for (odd, why) in [
        (Mood::Says(Vec::new()), "makes no sense"),
        (Mood::Says(b"<html>CANARY</html>\n".to_vec()), "makes no sense"),
        (Mood::Says(good.replace('1', "7").into_bytes()), "makes no sense"),
        (Mood::Says(good.replace("\"CANARY\"", "7").into_bytes()), "makes no sense"),
        (Mood::Says(good.replace("\"CANARY\"", "{\"other\":1}").into_bytes()), "makes no sense"),
        (Mood::Says(good.as_bytes()[..20].to_vec()), "makes no sense"),
        (Mood::Says(format!("{good}\n{good}\n").into_bytes()), "makes no sense"),
        (Mood::Says(b"\xff\xfe\n".to_vec()), "makes no sense"),
        (Mood::Says(b"[[[[".repeat(1000)), "makes no sense"),
        (Mood::Endless, "too long"),
    ] {
        stand_in.set_mood(odd.clone());
        let error = place(&stand_in).get(&slot).unwrap_err();
        let said = chain(&error);
        assert!(said.contains(why) && !said.contains("CANARY"), "{odd:?}: {said}");
    }
    for slow in [Mood::Silent, Mood::Begins(good.as_bytes()[..20].to_vec())] {
        stand_in.set_mood(slow);
        let quick = Settings { timeout: Duration::from_millis(200), ..settings(&stand_in) };
        let began = Instant::now();
        let error = HeroProc::new(quick).get(&slot).unwrap_err();
        assert!(chain(&error).contains("in time"), "{}", chain(&error));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    stand_in.set_mood(Mood::Begins(good.as_bytes().to_vec()));
    let whole = place(&stand_in).get(&slot).unwrap().unwrap();
    assert_eq!(whole.expose(), "CANARY", "a whole answer needs no line end");
    let settings = settings(&stand_in);
    drop(stand_in);
    assert!(chain(&HeroProc::new(settings).get(&slot).unwrap_err()).contains("no such socket"));
}

/// Holds: X5.
#[test]
fn a_socket_that_others_could_have_put_there_is_not_spoken_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let stand_in = StandIn::start();
    let slot = slot("deployer/FORGE_TOKEN");
    for mode in [0o777, 0o775, 0o757, 0o1777] {
        std::fs::set_permissions(stand_in.folder(), std::fs::Permissions::from_mode(mode)).unwrap();
        let said = chain(&place(&stand_in).get(&slot).unwrap_err());
        assert!(said.contains("others than its owner"), "{mode:o}: {said}");
    }
    std::fs::set_permissions(stand_in.folder(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(place(&stand_in).get(&slot).unwrap().is_none());
    if std::os::unix::fs::chown(&stand_in.socket, Some(12_345), None).is_ok() {
        let said = chain(&place(&stand_in).get(&slot).unwrap_err());
        assert!(said.contains("12345"), "{said}");
        let named = Settings { uid: Some(12_345), ..settings(&stand_in) };
        assert!(HeroProc::new(named).get(&slot).unwrap().is_none());
    } else {
        use std::io::Write as _;
        writeln!(std::io::stderr(), "SKIPPED: a socket of another user: only root can make one").unwrap();
    }
    let file = stand_in.folder().join("file");
    std::fs::write(&file, "").unwrap();
    let no_socket = Settings { socket: file, ..settings(&stand_in) };
    assert!(chain(&HeroProc::new(no_socket).get(&slot).unwrap_err()).contains("not a socket"));
    assert!(stand_in.asked().len() <= 2, "nothing was said to the others");
}

#[test]
fn the_slot_of_the_pasted_token_works_over_hero_proc() {
    let stand_in = StandIn::start();
    let byo = ByoSlot::new(place(&stand_in));
    let token = ForgeToken::new("0123456789abcdef0123456789abcdef01234567").unwrap();
    byo.paste(Asker::Known("42"), &token).unwrap();
    assert_eq!(byo.state(Asker::Known("42")).unwrap(), ByoState::Yours { ends_in: Some("4567".into()) });
    assert_eq!(byo.state(Asker::Known("43")).unwrap(), ByoState::NotYours);
}

/// All that an error says, down to its cause.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        said += &format!(": {inner}");
        cause = inner.source();
    }
    format!("{said} {error:?}")
}
