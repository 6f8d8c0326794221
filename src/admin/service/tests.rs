use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::admin::caller::Who;
use crate::admin::form::FormToken;
use crate::admin::lab::{Lab, START};
use crate::admin::records::{ListQuery, SortBy};
use crate::admin::user::{State, User};
use crate::forge::admin::error::TokenFault;
use crate::forge::admin::{AdminError as Refusal, Field};

fn by(name: &str) -> Caller {
    Caller { who: Who::Person { id: "1".to_owned(), login: name.to_owned() }, request_id: "r1".to_owned() }
}

fn form(username: &str) -> NewUserForm {
    NewUserForm { username: username.to_owned(), ..NewUserForm::default() }
}

async fn outcomes(lab: &Lab, user_id: &str) -> Vec<String> {
    let trail = lab.admin.records().audit_of(user_id.to_owned(), None, 100).await.unwrap();
    trail.into_iter().rev().map(|line| format!("{} {}", line.action, line.outcome)).collect()
}

async fn everybody(lab: &Lab) -> Vec<User> {
    lab.admin.list_users(&by("root1"), ListQuery::default()).await.unwrap().users
}

/// Holds: A9, A17.
#[tokio::test]
async fn an_account_is_made_once_and_later_callers_get_it_without_a_password() {
    let lab = Lab::new();
    let made = lab.admin.create_user(&by("root1"), form("alice")).await.unwrap();
    assert_eq!(made.forge_username, "alice");
    assert!(made.initial_password.is_some());
    let again = lab.admin.create_user(&by("root2"), form("ALICE")).await.unwrap();
    assert_eq!((again.user_id.as_str(), again.forge_username.as_str()), (made.user_id.as_str(), "alice"));
    assert!(again.initial_password.is_none());
    assert_eq!(everybody(&lab).await.len(), 1);
    assert_eq!(
        outcomes(&lab, &made.user_id).await,
        ["create_user begun", "create_user created", "create_user existed"]
    );
    let trail = lab.admin.audit_of(&by("root1"), &made.user_id, None).await.unwrap();
    let newest = &trail[0];
    assert_eq!((newest.caller.as_str(), newest.request_id.as_str()), ("user:root2 (1)", "r1"));
}

/// Holds: A9.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_admins_at_once_and_a_double_submit_make_one_account_with_one_password() {
    let lab = Lab::new();
    let mut running = tokio::task::JoinSet::new();
    for at in 0..16 {
        let (admin, who) = (lab.admin.clone(), by(if at % 2 == 0 { "root1" } else { "root2" }));
        let name = if at % 3 == 0 { "Alice" } else { "alice" };
        running.spawn(async move { admin.create_user(&who, form(name)).await.unwrap() });
    }
    let made = running.join_all().await;
    assert_eq!(made.iter().filter(|output| output.initial_password.is_some()).count(), 1);
    assert!(made.iter().all(|output| output.user_id == made[0].user_id));
    assert_eq!(everybody(&lab).await.len(), 1);
}

/// Holds: A9.
#[tokio::test]
async fn a_caller_who_goes_away_leaves_nothing_half_done() {
    let lab = Lab::new();
    lab.accounts.gate.forget_permits(1000);
    let admin = lab.admin.clone();
    let caller = by("root1");
    let asking = tokio::time::timeout(Duration::from_millis(50), admin.create_user(&caller, form("alice")));
    assert!(asking.await.is_err(), "the client is gone before the forge has answered");
    lab.accounts.gate.add_permits(10);
    assert!(lab.admin.shared.tasks.clone().drain(Duration::from_secs(10)).await);
    let alice = everybody(&lab).await.remove(0);
    assert_eq!((alice.forge_username.as_str(), alice.state), ("alice", State::Active));
    assert_eq!(outcomes(&lab, &alice.user_id).await, ["create_user begun", "create_user created"]);
}

/// Holds: A8.
#[tokio::test]
async fn each_refusal_of_the_forge_is_told_apart_and_leaves_no_record() {
    for (refusal, reason) in [
        (Refusal::TakenByOrganization, "taken_by_organization"),
        (Refusal::RenamedTo("x".to_owned()), "renamed"),
        (Refusal::EmailTaken, "invalid_fields"),
        (Refusal::Token(TokenFault::NotAdmin), "admin_token"),
        (Refusal::Token(TokenFault::Unknown), "admin_token"),
        (Refusal::Unavailable("timeout"), "forge_unavailable"),
        (Refusal::Garbled("html"), "forge_unavailable"),
    ] {
        let lab = Lab::new();
        lab.accounts.bad.lock().unwrap().push_back(refusal);
        let refused = lab.admin.create_user(&by("root1"), form("alice")).await.unwrap_err();
        assert_eq!(refused.reason(), reason);
        assert_eq!(refused.face().reason, reason, "it stands in the table");
        assert!(everybody(&lab).await.is_empty(), "{reason}");
        // The reservation is gone, so that the next one may have the name.
        assert!(lab.admin.create_user(&by("root1"), form("alice")).await.unwrap().initial_password.is_some());
    }
}

/// Holds: A10.
#[tokio::test]
async fn names_that_reach_elsewhere_are_refused_before_anything_is_asked() {
    let lab = Lab::new();
    let (long, longer) = ("x".repeat(41), "x".repeat(300));
    for name in [
        "../orgs/x",
        "a/b",
        "a%2fb",
        "?",
        "#",
        "",
        &long,
        &longer,
        "a--b",
        "a-",
        "admin",
        "API",
        "user",
        "ünï",
        "a\r\nb",
        "a\0",
        "..",
        "%2e%2e",
        "a;b",
        "a\\b",
        "\u{430}dmin2",
    ] {
        let refused = lab.admin.create_user(&by("root1"), form(name)).await.unwrap_err();
        assert_eq!(refused.reason(), "invalid_fields", "{name}");
        assert!(refused.complaints().iter().all(|(field, _)| *field == Field::Username));
    }
    assert!(lab.accounts.asked.lock().unwrap().is_empty());
    let all_at_once = NewUserForm {
        username: "a--".to_owned(),
        display_name: Some("x".repeat(101)),
        email: Some("nobody".to_owned()),
    };
    let refused = lab.admin.create_user(&by("root1"), all_at_once).await.unwrap_err();
    assert!(refused.complaints().len() >= 4, "{refused:?}");
}

/// Holds: A9.
#[tokio::test]
async fn a_lost_answer_is_found_out_about_and_points_at_the_reset() {
    let lab = Lab::new();
    lab.accounts.after.store(true, Ordering::SeqCst);
    let lost = Refusal::PasswordLost(Box::new(crate::admin::lab::person(0, "x")));
    lab.accounts.bad.lock().unwrap().push_back(lost);
    let refused = lab.admin.create_user(&by("root1"), form("alice")).await.unwrap_err();
    let AdminError::PasswordLost { user_id, forge_username } = refused else { panic!("{refused:?}") };
    assert_eq!(forge_username, "alice");
    let reset = lab.admin.reset_password(&by("root1"), &user_id).await.unwrap();
    assert!(reset.initial_password.is_some());
    assert_eq!(
        outcomes(&lab, &user_id).await,
        ["create_user begun", "create_user password_lost", "reset_password begun", "reset_password done"]
    );
}

/// Holds: A9.
#[tokio::test]
async fn what_nobody_saw_the_end_of_is_looked_into_later() {
    for is_made in [true, false] {
        let lab = Lab::new();
        lab.accounts.after.store(is_made, Ordering::SeqCst);
        lab.accounts.bad.lock().unwrap().push_back(Refusal::Uncertain);
        let refused = lab.admin.create_user(&by("root1"), form("alice")).await.unwrap_err();
        assert_eq!(refused, AdminError::Uncertain);
        lab.accounts.after.store(false, Ordering::SeqCst);
        let list = everybody(&lab).await;
        assert_eq!(list[0].state, if is_made { State::Active } else { State::Creating });
        lab.clock.advance(Duration::from_mins(11));
        assert_eq!(everybody(&lab).await.len(), usize::from(is_made), "made: {is_made}");
        // And whoever asks again is told how it is.
        let again = lab.admin.create_user(&by("root1"), form("alice")).await.unwrap();
        assert_eq!(again.initial_password.is_none(), is_made);
    }
}

#[tokio::test]
async fn a_full_disk_is_found_out_before_the_forge_is_asked() {
    let lab = Lab::sized(64 * 1024);
    let made = lab.admin.create_user(&by("root1"), form("alice")).await.unwrap();
    let fill = Connection::open(lab.folder.path().join("admin.db")).unwrap();
    let full = loop {
        let line = "INSERT INTO audit (at, caller, action, target, outcome, request_id) VALUES (0, ?1, '', '', '', '')";
        fill.pragma_update(None, "max_page_count", 16).unwrap();
        if let Err(full) = fill.execute(line, ["x".repeat(900)]) {
            break full;
        }
    };
    assert!(full.to_string().contains("full"), "{full}");
    drop(fill);
    let asked = lab.accounts.calls("create_user");
    let refused = lab.admin.create_user(&by("root1"), form("carol-of-the-full-disk")).await;
    // A short line may still find room; the file is full within a few.
    let mut refused = refused.err();
    for at in 0..50 {
        if refused.is_some() {
            break;
        }
        refused = lab.admin.create_user(&by("root1"), form(&format!("carol{at}"))).await.err();
    }
    assert_eq!(refused, Some(AdminError::Records));
    let asked_now = lab.accounts.calls("create_user");
    assert!(asked_now - asked < 51, "the refused one was not asked for");
    assert_eq!(lab.admin.get_user(&by("root1"), &made.user_id).await.unwrap().forge_username, "alice");
}

/// The forge has made the account, and then the disk is full: the password reaches whoever asked, and the record follows.
#[tokio::test]
async fn a_disk_that_is_full_at_the_end_loses_no_password_and_no_record() {
    let lab = Lab::new();
    lab.accounts.gate.forget_permits(1000);
    let (admin, caller) = (lab.admin.clone(), by("root1"));
    let asking = lab.admin.shared.tasks.spawn(async move { admin.create_user(&caller, form("alice")).await });
    while lab.accounts.calls("create_user") == 0 {
        tokio::task::yield_now().await;
    }
    // Somebody holds the file: to us that is a disk that takes nothing.
    let blocker = Connection::open(lab.folder.path().join("admin.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    lab.accounts.gate.add_permits(10);
    let made = asking.await.unwrap().unwrap();
    assert!(made.initial_password.is_some(), "the password is handed over");
    assert!(!lab.admin.catch_up().await, "not on record yet");
    drop(blocker);
    assert!(lab.admin.catch_up().await);
    let alice = lab.admin.get_user(&by("root1"), &made.user_id).await.unwrap();
    assert_eq!((alice.forge_username.as_str(), alice.state), ("alice", State::Active));
    assert_eq!(outcomes(&lab, &made.user_id).await, ["create_user begun", "create_user created"]);
}

/// Holds: A14.
#[tokio::test]
async fn the_forge_stays_the_truth() {
    let lab = Lab::new();
    let caller = by("root1");
    let made = lab.admin.create_user(&caller, form("alice")).await.unwrap();
    let id = made.user_id.as_str();
    let state = async || lab.admin.get_user(&caller, id).await.unwrap().state;
    assert_eq!(state().await, State::Active);
    let forge_id = lab.admin.get_user(&caller, id).await.unwrap().forge_id.unwrap();
    lab.accounts.change(forge_id, |person| person.login = "alicia".to_owned());
    assert_eq!(state().await, State::Renamed);
    assert_eq!(lab.admin.user_named(&caller, "alicia").await.unwrap().user_id, id);
    lab.accounts.change(forge_id, |person| person.state = AccountState::Suspended);
    assert_eq!(state().await, State::Suspended);
    // Down: as it said last.
    lab.accounts.bad.lock().unwrap().push_back(Refusal::Unavailable("down"));
    assert_eq!(state().await, State::Suspended);
    // A list asks again after a minute.
    lab.accounts.change(forge_id, |person| person.state = AccountState::Active);
    assert_eq!(everybody(&lab).await[0].state, State::Suspended);
    lab.clock.advance(Duration::from_mins(1));
    assert_eq!(everybody(&lab).await[0].state, State::Renamed);
    lab.clock.advance(Duration::from_hours(8 * 24));
    assert_eq!(everybody(&lab).await[0].state, State::Unused);
    lab.accounts.remove(forge_id);
    assert_eq!(state().await, State::Vanished);
    assert_eq!(lab.admin.reset_password(&caller, id).await.unwrap_err(), AdminError::NoSuchUser);
    // The name is free again, and whoever has it next is somebody else.
    let next = lab.admin.create_user(&caller, form("alicia")).await.unwrap();
    assert!(next.initial_password.is_some());
    assert_ne!(next.user_id, id);
}

#[tokio::test]
async fn two_resets_by_two_callers_never_hand_over_a_dead_password() {
    let lab = Lab::new();
    let made = lab.admin.create_user(&by("root1"), form("alice")).await.unwrap();
    lab.accounts.gate.forget_permits(1000);
    let (admin, id) = (lab.admin.clone(), made.user_id.clone());
    let first = lab.admin.shared.tasks.spawn(async move { admin.reset_password(&by("root1"), &id).await });
    while lab.accounts.calls("reset_password") == 0 {
        tokio::task::yield_now().await;
    }
    let second = lab.admin.reset_password(&by("root2"), &made.user_id).await;
    assert_eq!(second.unwrap_err(), AdminError::Busy);
    lab.accounts.gate.add_permits(10);
    assert!(first.await.unwrap().unwrap().initial_password.is_some());
    assert!(lab.admin.reset_password(&by("root2"), &made.user_id).await.is_ok());
}

#[tokio::test]
async fn nobody_becomes_an_admin_of_the_forge_by_a_reset() {
    let lab = Lab::new();
    let root = lab.admin.create_user(&by("root2"), form("root1")).await.unwrap();
    assert!(root.initial_password.is_none());
    assert_eq!(
        lab.admin.reset_password(&by("root2"), &root.user_id).await.unwrap_err(),
        AdminError::SiteAdmin
    );
}

#[tokio::test]
async fn vms_are_counted() {
    let lab = Lab::new();
    let caller = by("root1");
    let made = lab.admin.create_user(&caller, form("alice")).await.unwrap();
    lab.admin.assign_vm(&caller, &made.user_id, "vm-1", None).await.unwrap();
    assert_eq!(lab.admin.get_user(&caller, &made.user_id).await.unwrap().vm_count, 1);
    let nobody = lab.admin.assign_vm(&caller, "u0", "vm-2", None).await;
    assert_eq!(nobody.unwrap_err(), AdminError::NoSuchUser);
    assert_eq!(lab.admin.release_vm(&caller, "vm-1").await.unwrap(), made.user_id);
    assert_eq!(lab.admin.release_vm(&caller, "vm-1").await.unwrap_err(), AdminError::NoSuchVm);
}

/// Holds: S14.
#[tokio::test]
async fn a_persons_use_is_written_down_once_a_minute() {
    let lab = Lab::new();
    let caller = by("root1");
    let made = lab.admin.create_user(&caller, form("alice")).await.unwrap();
    let forge_id = lab.admin.get_user(&caller, &made.user_id).await.unwrap().forge_id.unwrap();
    let id = UserId(forge_id.to_string().into());
    let seen = async || {
        let query = ListQuery { sort: SortBy::LastActivity, ..ListQuery::default() };
        lab.admin.list_users(&caller, query).await.unwrap().users[0].last_activity.clone()
    };
    assert_eq!(seen().await, None);
    for after in [0, 30, 59] {
        lab.admin.seen(&id, START.plus(Duration::from_secs(after)));
    }
    lab.admin.seen(&UserId("no number".into()), START);
    lab.admin.seen(&UserId("999".into()), START);
    while seen().await.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen().await.as_deref(), Some("2027-01-15T08:00:00Z"));
    lab.admin.seen(&id, START.plus(Duration::from_mins(1)));
    while seen().await.as_deref() == Some("2027-01-15T08:00:00Z") {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen().await.as_deref(), Some("2027-01-15T08:01:00Z"));
}

/// Holds: A13, K4.
#[tokio::test]
async fn no_password_and_no_token_stays_anywhere() {
    let lab = Lab::new();
    let made = lab.admin.create_user(&by("root1"), form("alice")).await.unwrap();
    let reset = lab.admin.reset_password(&by("root1"), &made.user_id).await.unwrap();
    let shown = format!("{made:?} {reset:?} {:?}", lab.admin);
    let password = made.initial_password.as_ref().unwrap().expose().to_owned();
    assert!(password.starts_with("canary-password-"));
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(serde_json::to_value(&made).unwrap()["initial_password"], password);
    assert!(lab.admin.drain(Duration::from_secs(5)).await);
    for file in std::fs::read_dir(lab.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|six| six == b"canary"));
    }
}

/// Holds: X1.
#[tokio::test]
async fn a_form_is_good_once_for_whom_it_was_made_and_not_for_ever() {
    let lab = Lab::new();
    let token = lab.admin.form_token(&by("root1"));
    assert_eq!(lab.admin.spend_form_token(&by("root2"), &token), FormToken::Unknown);
    for wrong in
        ["", ".", "..", "x.y.z", token.get(1..).unwrap(), &format!("{token}x"), &token.replacen('1', "2", 1)]
    {
        assert_eq!(lab.admin.spend_form_token(&by("root1"), wrong), FormToken::Unknown, "{wrong}");
    }
    assert_eq!(lab.admin.spend_form_token(&by("root1"), &token), FormToken::Good);
    assert_eq!(lab.admin.spend_form_token(&by("root1"), &token), FormToken::Spent);
    let late = lab.admin.form_token(&by("root1"));
    lab.clock.advance(Duration::from_hours(8));
    assert_eq!(lab.admin.spend_form_token(&by("root1"), &late), FormToken::Unknown);
}
