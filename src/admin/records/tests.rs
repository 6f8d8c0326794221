use std::fs;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

fn records(folder: &TempDir) -> Records {
    Records::open(&SqliteSettings::at(folder.path().join("admin.db"))).unwrap()
}

fn line(action: &'static str, outcome: &'static str) -> NewAudit {
    NewAudit {
        at: START,
        caller: "cli:0".to_owned(),
        action,
        target: "alice".to_owned(),
        outcome,
        request_id: "r1".to_owned(),
    }
}

fn facts(forge_id: u64, username: &str) -> Facts {
    Facts {
        forge_id,
        username: username.to_owned(),
        display_name: format!("{username} Example"),
        email: format!("{username}@example.org"),
        suspended: false,
        last_login: None,
    }
}

async fn add(records: &Records, user_id: &str, forge_id: u64, username: &str) -> UserRow {
    let begun = line("create_user", "begun");
    records.reserve(user_id.to_owned(), username.to_owned(), begun).await.unwrap();
    let done = Some(line("create_user", "created"));
    records.settle(user_id.to_owned(), facts(forge_id, username), Some(START), done, START).await.unwrap()
}

async fn names(records: &Records, query: ListQuery) -> Vec<String> {
    records.list(query).await.unwrap().0.into_iter().map(|row| row.username).collect()
}

#[tokio::test]
async fn a_name_is_reserved_once_whatever_its_case() {
    let folder = tempfile::tempdir().unwrap();
    let records = records(&folder);
    let begun = || line("create_user", "begun");
    assert_eq!(records.reserve("u1".into(), "Alice".into(), begun()).await.unwrap(), Reserved::Fresh);
    let Reserved::Known(row) = records.reserve("u2".into(), "alice".into(), begun()).await.unwrap() else {
        panic!("reserved twice");
    };
    assert_eq!((row.user_id.as_str(), row.standing, row.forge_id), ("u1", Standing::Creating, None));
    records.give_up("u1".into(), line("create_user", "rejected")).await.unwrap();
    assert_eq!(records.reserve("u2".into(), "alice".into(), begun()).await.unwrap(), Reserved::Fresh);
    // What was begun and given up stays in the trail.
    let trail = records.audit_of("u1".into(), None, 10).await.unwrap();
    assert_eq!(trail.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>(), ["rejected", "begun"]);
}

#[tokio::test]
async fn an_account_stands_once_under_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let records = records(&folder);
    add(&records, "u1", 7, "alice").await;
    // Renamed at the forge; then somebody asks for it by its new name.
    records.reserve("u2".into(), "alicia".into(), line("create_user", "begun")).await.unwrap();
    let row = records.settle("u2".into(), facts(7, "alicia"), None, None, START).await.unwrap();
    assert_eq!(
        (row.user_id.as_str(), row.username.as_str(), row.first_username.as_str()),
        ("u1", "alicia", "alice")
    );
    assert!(records.user("u2".into()).await.unwrap().is_none());
    assert_eq!(row.password_at, Some(START), "what was known is kept");
    // A newcomer takes the old name, and inherits nothing.
    let newcomer = add(&records, "u3", 8, "alice").await;
    assert_eq!((newcomer.user_id.as_str(), newcomer.forge_id), ("u3", Some(8)));
    // The forge gave alicia's name away before we heard of it.
    let taken = records.settle("u3".into(), facts(8, "ALICIA"), None, None, START).await.unwrap();
    assert_eq!(taken.username, "ALICIA");
    let nameless = records.user("u1".into()).await.unwrap().unwrap();
    assert_eq!(nameless.checked_at, Timestamp::from_millis(0), "to be asked of the forge again");
    assert_eq!(records.by_name("alicia".into()).await.unwrap().unwrap().user_id, "u3");
}

#[tokio::test]
async fn lists_are_searched_sorted_and_paged_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let records = records(&folder);
    for (at, name) in ["delta", "Alpha", "charlie", "bravo", "per%cent"].into_iter().enumerate() {
        add(&records, &format!("u{at}"), at as u64 + 1, name).await;
    }
    let vm = |vm_id: &str| VmRow { vm_id: vm_id.to_owned(), user_id: "u2".to_owned(), url: None };
    records.assign(vm("vm-1"), line("assign_vm", "done")).await.unwrap();
    records.seen(4, START.plus(Duration::from_secs(9))).await.unwrap();
    let all = ListQuery::default();
    assert_eq!(names(&records, all.clone()).await, ["Alpha", "bravo", "charlie", "delta", "per%cent"]);
    let sorted = |sort, descending| ListQuery { sort, descending, limit: 2, ..ListQuery::default() };
    assert_eq!(names(&records, sorted(SortBy::Username, true)).await, ["per%cent", "delta"]);
    assert_eq!(names(&records, sorted(SortBy::VmCount, true)).await[0], "charlie");
    for descending in [true, false] {
        let first = names(&records, sorted(SortBy::LastActivity, descending)).await;
        assert_eq!(first[0], "bravo", "who was never seen comes last");
    }
    let (page, total) =
        records.list(ListQuery { offset: 2, limit: 2, ..ListQuery::default() }).await.unwrap();
    assert_eq!((page.len(), page[0].username.as_str(), total), (2, "charlie", 5));
    let search = |text: &str| ListQuery { search: text.to_owned(), ..ListQuery::default() };
    assert_eq!(names(&records, search("ALPHA@")).await, ["Alpha"]);
    assert_eq!(names(&records, search("%")).await, ["per%cent"], "no letter of a search means another");
    assert_eq!(names(&records, search("_")).await, Vec::<String>::new());
    assert_eq!(names(&records, search("' OR 1=1 --")).await, Vec::<String>::new());
    let far = ListQuery { offset: u64::MAX, limit: u64::MAX, ..ListQuery::default() };
    assert_eq!(names(&records, far).await, Vec::<String>::new());
}

/// Holds: A9.
#[tokio::test]
async fn of_two_processes_that_reset_one_password_the_later_one_is_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (records(&folder), records(&folder));
    add(&one, "u1", 1, "alice").await;
    add(&one, "u2", 2, "bob").await;
    let begun =
        |after| NewAudit { at: START.plus(Duration::from_secs(after)), ..line("reset_password", "begun") };
    let begin = async |records: &Records, user: &str, after| {
        records.begin_reset(user.to_owned(), begun(after)).await.unwrap()
    };
    assert!(begin(&one, "u1", 0).await);
    assert!(!begin(&other, "u1", 0).await && !begin(&other, "u1", 59).await);
    assert!(begin(&other, "u2", 0).await, "somebody else's is another matter");
    // Whatever else happens to a user meanwhile is no end of it.
    one.note(Some("u1".into()), line("assign_vm", "done")).await.unwrap();
    assert!(!begin(&other, "u1", 59).await);
    one.handed_over("u1".into(), line("reset_password", "done")).await.unwrap();
    assert!(begin(&other, "u1", 1).await);
    // Who died over it keeps others away for a minute.
    assert!(!begin(&one, "u1", 60).await && begin(&one, "u1", 61).await);
    let trail = one.audit_of("u1".into(), None, 100).await.unwrap();
    assert_eq!(
        trail.iter().filter(|row| row.outcome == "begun" && row.action == "reset_password").count(),
        3
    );
}

#[tokio::test]
async fn a_vm_is_one_users() {
    let folder = tempfile::tempdir().unwrap();
    let records = records(&folder);
    add(&records, "u1", 1, "alice").await;
    add(&records, "u2", 2, "bob").await;
    let vm = |user: &str, url: Option<&str>| VmRow {
        vm_id: "vm-1".to_owned(),
        user_id: user.to_owned(),
        url: url.map(str::to_owned),
    };
    let done = || line("assign_vm", "done");
    assert_eq!(records.assign(vm("nobody", None), done()).await.unwrap(), Assigned::NoUser);
    assert_eq!(records.assign(vm("u1", None), done()).await.unwrap(), Assigned::Done);
    assert_eq!(
        records.assign(vm("u1", Some("https://vm1.example.org")), done()).await.unwrap(),
        Assigned::Done
    );
    assert_eq!(records.assign(vm("u2", None), done()).await.unwrap(), Assigned::SomebodyElses);
    assert_eq!(records.user("u1".into()).await.unwrap().unwrap().vm_count, 1);
    assert_eq!(
        records.release("vm-1".into(), line("release_vm", "done")).await.unwrap().as_deref(),
        Some("u1")
    );
    assert_eq!(records.release("vm-1".into(), line("release_vm", "done")).await.unwrap(), None);
    assert_eq!(records.user("u1".into()).await.unwrap().unwrap().vm_count, 0);
}

#[tokio::test]
async fn the_trail_is_neither_changed_nor_shortened() {
    let folder = tempfile::tempdir().unwrap();
    let records = records(&folder);
    add(&records, "u1", 1, "alice").await;
    let db = Connection::open(folder.path().join("admin.db")).unwrap();
    for statement in ["UPDATE audit SET caller = 'somebody'", "DELETE FROM audit"] {
        let refused = db.execute(statement, []).unwrap_err().to_string();
        assert!(refused.contains("the trail is not"), "{refused}");
    }
    let older = records.audit_of("u1".into(), Some(2), 10).await.unwrap();
    assert_eq!(older.iter().map(|row| row.id).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_key_counts_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let records = records(&folder);
    let row = KeyRow {
        key_id: "k1".to_owned(),
        name: "deployer".to_owned(),
        created_at: START,
        used_at: None,
        revoked_at: None,
    };
    records.add_key(row.clone(), [3; 32], line("create_key", "done")).await.unwrap();
    assert_eq!(records.key([3; 32]).await.unwrap(), Some(row));
    assert_eq!(records.key([4; 32]).await.unwrap(), None);
    records.key_used("k1".into(), START).await.unwrap();
    assert!(records.revoke_key("k1".into(), line("revoke_key", "done")).await.unwrap());
    assert!(!records.revoke_key("k2".into(), line("revoke_key", "done")).await.unwrap());
    assert_eq!(records.key([3; 32]).await.unwrap(), None);
    let listed = records.keys().await.unwrap();
    assert_eq!((listed[0].used_at, listed[0].revoked_at), (Some(START), Some(START)));
}

/// What docs/OPERATING.md says of backups: `VACUUM INTO` on the running file, and the copy put in its place.
#[tokio::test]
async fn a_backup_of_the_running_file_is_restored_whole() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("backup.db");
    let running = records(&folder);
    add(&running, "u1", 1, "alice").await;
    let db = Connection::open(folder.path().join("admin.db")).unwrap();
    db.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    drop(db);
    add(&running, "u2", 2, "bob").await;
    drop(running);

    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(folder.path().join(format!("admin.db{suffix}"))).ok();
    }
    fs::rename(&copy, folder.path().join("admin.db")).unwrap();
    let open = || Records::open(&SqliteSettings::at(folder.path().join("admin.db")));
    assert!(matches!(open(), Err(OpenError::File(_))), "a copy that others may read is refused");
    let private = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
    fs::set_permissions(folder.path().join("admin.db"), private).unwrap();
    let restored = open().unwrap();
    assert_eq!(names(&restored, ListQuery::default()).await, ["alice"]);
    assert_eq!(restored.audit_of("u1".into(), None, 10).await.unwrap().len(), 2);
    // What was made after the backup is found at the forge again, under a new id.
    assert_eq!(add(&restored, "u9", 2, "bob").await.user_id, "u9");
}

#[tokio::test]
async fn a_full_file_takes_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        SqliteSettings { max_bytes: 64 * 1024, ..SqliteSettings::at(folder.path().join("admin.db")) };
    let records = Records::open(&settings).unwrap();
    let mut reserved = 0_u32;
    let refused = loop {
        let name = format!("user{reserved}-{}", "x".repeat(500));
        match records.reserve(format!("u{reserved}"), name, line("create_user", "begun")).await {
            Ok(_) => reserved += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.to_string(), "the admin records cannot answer");
    assert!(records.user(format!("u{reserved}")).await.unwrap().is_none());
    assert!(records.audit_of(format!("u{reserved}"), None, 10).await.unwrap().is_empty());
}

#[test]
fn another_rooms_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hero_proxy.db");
    drop(crate::session::sqlite::SqliteStore::open(&SqliteSettings::at(&path)).unwrap());
    assert!(matches!(Records::open(&SqliteSettings::at(&path)), Err(OpenError::Foreign)));
}
