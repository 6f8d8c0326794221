mod twins;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::base::secret_file::Reason;
use crate::session::contract;
use twins::Twins;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const ACCOUNT: AccountKey = AccountKey([1; 32]);
const KEY: SessionKey = SessionKey([2; 32]);

fn settings(folder: &TempDir) -> SqliteSettings {
    SqliteSettings::at(folder.path().join("store.db"))
}

fn store(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&settings(folder)).unwrap()
}

fn session(sealed: usize) -> SessionRow {
    let expires_at = START.plus(Duration::from_hours(1));
    SessionRow { account: ACCOUNT, created_at: START, seen_at: START, expires_at, sealed: vec![7; sealed] }
}

fn grant(version: u64) -> GrantRow {
    GrantRow { version, expires_at: START.plus(Duration::from_hours(1)), sealed: vec![9; 3000] }
}

/// What lies under the error, as the log would say it.
fn cause(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(cause) => cause.to_string(),
        StoreError::Foreign => panic!("foreign"),
    }
}

/// Holds: S5, R12, R13.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_store_keeps_the_laws() {
    let folder = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    contract::all(async || {
        let name = made.fetch_add(1, Ordering::Relaxed).to_string();
        let store = SqliteStore::open(&SqliteSettings::at(folder.path().join(name))).unwrap();
        Arc::new(store) as Arc<dyn SessionStore>
    })
    .await;
}

/// Holds: R13.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_on_one_file_are_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    contract::all(async || {
        let name = made.fetch_add(1, Ordering::Relaxed).to_string();
        // Two writers take turns at one lock here: give the unlucky one time.
        let settings =
            SqliteSettings { wait: Duration::from_secs(20), ..SqliteSettings::at(folder.path().join(name)) };
        let open = || SqliteStore::open(&settings).unwrap();
        Arc::new(Twins::of([open(), open()])) as Arc<dyn SessionStore>
    })
    .await;
}

#[test]
fn many_may_open_one_new_file_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let opened: Vec<_> =
                (0..8).map(|_| scope.spawn(|| SqliteStore::open(&settings(&folder)).map(drop))).collect();
            for thread in opened {
                thread.join().unwrap().unwrap();
            }
        });
    }
}

/// Holds: S9.
#[tokio::test]
async fn a_restart_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let before = store(&folder);
    before.insert_session(KEY, session(100)).await.unwrap();
    before.swap_grant(ACCOUNT, None, grant(1)).await.unwrap();
    assert!(before.claim([3; 32], START, START.plus(Duration::from_mins(1))).await.unwrap());
    drop(before);
    let after = store(&folder);
    assert_eq!(after.session(KEY, START).await.unwrap(), Some(session(100)));
    assert_eq!(after.grant(ACCOUNT).await.unwrap(), Some(grant(1)));
    assert!(!after.claim([3; 32], START, START.plus(Duration::from_mins(1))).await.unwrap());
    after.remove_session(KEY).await.unwrap();
    drop(after);
    assert_eq!(store(&folder).session(KEY, START).await.unwrap(), None, "signed out stays signed out");
}

/// Holds: R8, R13 (a process that is gone holds nobody up; one that lives is respected).
#[tokio::test]
async fn a_lease_dies_with_the_last_process_on_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let lease =
        |holder| Lease { account: ACCOUNT, holder: [holder; 16], until: START.plus(Duration::from_mins(1)) };
    let (one, two) = (store(&folder), store(&folder));
    assert!(one.lease(lease(1), START).await.unwrap());
    drop(one);
    let three = store(&folder);
    for alive in [&two, &three] {
        assert!(
            !alive.lease(lease(2), START).await.unwrap(),
            "whose it is nobody can tell: one of them lives"
        );
    }
    drop((two, three));
    assert!(store(&folder).lease(lease(3), START).await.unwrap());
    assert_eq!(
        fs::metadata(folder.path().join("store.db-alive")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// The test binary starts itself again as the process that gets killed.
const VICTIM: &str = "HERO_TEST_STORE_TO_DIE_ON";

/// Holds: R8.
#[test]
fn what_a_killed_process_said_was_written_is_there() {
    if let Some(path) = std::env::var_os(VICTIM) {
        return write_until_killed(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = settings(&folder).path;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for round in 1..=5 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "session::sqlite::tests::what_a_killed_process_said_was_written_is_there",
                "--nocapture",
            ])
            .env(VICTIM, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let mut said: Vec<u64> = Vec::new();
        for line in lines {
            said.extend(line.unwrap().strip_prefix("wrote ").and_then(|version| version.parse::<u64>().ok()));
            if said.len() == 10 {
                victim.kill().unwrap();
            }
        }
        victim.wait().unwrap();
        let last = *said.last().unwrap();
        assert!(last >= round * 10, "each round goes on where the last one died: {said:?}");
        let stored = runtime.block_on(store(&folder).grant(ACCOUNT)).unwrap().unwrap().version;
        assert!(stored == last || stored == last + 1, "said {last}, stored {stored}");
    }
}

fn write_until_killed(path: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = SqliteStore::open(&SqliteSettings::at(path)).unwrap();
    runtime.block_on(async {
        // Should nobody kill us, we end.
        for _ in 0..100_000 {
            let seen = store.grant(ACCOUNT).await.unwrap().map(|row| row.version);
            let next = seen.unwrap_or(0) + 1;
            assert_eq!(store.swap_grant(ACCOUNT, seen, grant(next)).await.unwrap(), Swap::Done);
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nwrote {next}").unwrap();
            out.flush().unwrap();
        }
    });
}

/// Holds: S8.
#[tokio::test]
async fn a_locked_store_cannot_answer_and_says_so_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let wait = Duration::from_millis(400);
    let store = SqliteStore::open(&SqliteSettings { wait, ..settings(&folder) }).unwrap();
    store.insert_session(KEY, session(100)).await.unwrap();
    let other = Connection::open(settings(&folder).path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    assert_eq!(cause(store.remove_session(KEY).await.unwrap_err()), "database is locked");
    assert!(begun.elapsed() >= wait / 2, "it waited for the lock");
    assert!(begun.elapsed() < wait * 5, "and not for long");
    assert!(store.ping().await.is_err());
    assert_eq!(
        store.session(KEY, START).await.unwrap(),
        Some(session(100)),
        "the session is kept, and can be read"
    );
    other.execute_batch("ROLLBACK").unwrap();
    store.ping().await.unwrap();
    assert!(store.touch_session(KEY, START).await.unwrap());
}

/// Holds: S8.
#[tokio::test]
async fn a_full_queue_turns_calls_away_at_once_and_empties_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { wait: Duration::from_millis(400), queue: 2, ..settings(&folder) };
    let store = SqliteStore::open(&settings).unwrap();
    let other = Connection::open(&settings.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let calls = (0..20).map(|_| store.touch_session(KEY, START));
    let mut causes: Vec<String> = Vec::new();
    for answer in join_all(calls).await {
        causes.push(cause(answer.unwrap_err()));
    }
    let turned_away = causes.iter().filter(|cause| *cause == "too many calls wait for the store").count();
    assert!((17..=18).contains(&turned_away), "{causes:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(!store.touch_session(KEY, START).await.unwrap());
}

/// Polls all of them on this task.
async fn join_all<T>(calls: impl Iterator<Item = Answer<'_, T>>) -> Vec<T> {
    let mut calls: Vec<_> = calls.map(|call| (call, None)).collect();
    std::future::poll_fn(|context| {
        for (call, answer) in calls.iter_mut().filter(|(_, answer)| answer.is_none()) {
            if let std::task::Poll::Ready(ready) = call.as_mut().poll(context) {
                *answer = Some(ready);
            }
        }
        if calls.iter().all(|(_, answer)| answer.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    calls.into_iter().filter_map(|(_, answer)| answer).collect()
}

/// Holds: S8.
#[tokio::test]
async fn a_full_store_keeps_its_sessions_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&SqliteSettings { max_bytes: 256 * 1024, ..settings(&folder) }).unwrap();
    store.ping().await.unwrap();
    let mut made = 0_u8;
    let error = loop {
        let row = SessionRow { account: AccountKey([made; 32]), ..session(8000) };
        match store.insert_session(SessionKey([made; 32]), row).await {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(cause(error), "database or disk is full");
    assert!(store.session(SessionKey([0; 32]), START).await.unwrap().is_some());
    assert!(store.touch_session(SessionKey([0; 32]), START.plus(Duration::from_mins(1))).await.unwrap());
    assert_eq!(
        cause(store.ping().await.unwrap_err()),
        "the store's file has reached the size that it may have"
    );
    for number in 0..made {
        assert!(
            store.remove_session(SessionKey([number; 32])).await.unwrap(),
            "signing out works in a full store"
        );
    }
    store.ping().await.unwrap();
    store.insert_session(KEY, session(100)).await.unwrap();
}

/// Holds: S8.
#[tokio::test]
async fn a_damaged_file_is_a_store_that_cannot_answer() {
    let folder = tempfile::tempdir().unwrap();
    let before = store(&folder);
    for number in 0..50 {
        before.insert_session(SessionKey([number; 32]), session(2000)).await.unwrap();
    }
    drop(before);
    let path = settings(&folder).path;
    let mut bytes = fs::read(&path).unwrap();
    // All but the first page, which holds the names of the tables.
    bytes[4096..].fill(0x5a);
    fs::write(&path, &bytes).unwrap();
    let answer = match SqliteStore::open(&settings(&folder)) {
        Ok(store) => store.session(KEY, START).await,
        Err(error) => panic!("the first page is whole: {error}"),
    };
    assert_eq!(cause(answer.unwrap_err()), "database disk image is malformed");
}

/// Holds: X5.
#[test]
fn a_store_that_others_can_read_is_refused() {
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let folder = tempfile::tempdir().unwrap();
        drop(store(&folder));
        let path = folder.path().join(format!("store.db{suffix}"));
        fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        chmod(&path, 0o640);
        match SqliteStore::open(&settings(&folder)).unwrap_err() {
            OpenError::File(error) => {
                assert!(matches!(error.reason, Reason::OpenToOthers { mode: 0o640 }), "{error}");
                assert_eq!(error.path, path);
            }
            other => panic!("{other}"),
        }
        chmod(&path, 0o600);
        drop(store(&folder));
    }
}

/// Holds: X5.
#[tokio::test]
async fn the_file_and_what_lies_beside_it_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    store.insert_session(KEY, session(100)).await.unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["store.db", "store.db-alive", "store.db-shm", "store.db-wal"]);
}

/// Holds: S9.
#[test]
fn a_file_that_is_not_this_programs_is_refused_and_left_as_it_is() {
    fn check(prepare: impl FnOnce(&Path), expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = settings(&folder).path;
        prepare(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let before = fs::read(&path).unwrap();
        let error = SqliteStore::open(&settings(&folder)).unwrap_err();
        assert_eq!(format!("{error:?}"), expected);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let sql =
        |sql: &'static str| move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    check(sql("CREATE TABLE theirs (a)"), "Foreign");
    check(sql("PRAGMA user_version = 3"), "Foreign");
    check(sql("PRAGMA application_id = 77; PRAGMA user_version = 1; CREATE TABLE theirs (a)"), "Foreign");
    check(
        |path| fs::write(path, "not a database, but long enough to be looked at ".repeat(50)).unwrap(),
        "Foreign",
    );
    check(
        |path| {
            drop(SqliteStore::open(&SqliteSettings::at(path)).unwrap());
            Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
        },
        "Newer",
    );
}

/// Holds: S9.
#[tokio::test]
async fn a_file_that_a_newer_program_took_over_turns_readiness_red() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    Connection::open(settings(&folder).path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    assert!(matches!(store.ping().await, Err(StoreError::Foreign)));
}

#[test]
fn a_path_that_cannot_hold_a_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("no/such/folder.db")] {
        let error = SqliteStore::open(&SqliteSettings::at(&path)).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_dropped_store_has_closed_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    store.insert_session(KEY, session(100)).await.unwrap();
    drop(store);
    // The last connection takes its log with it: both threads have ended.
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["store.db", "store.db-alive"]);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_write_whole_or_undone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    for number in 0..50 {
        let mut call = store.insert_session(SessionKey([number; 32]), session(100));
        // Polled once, so that it is queued, then forgotten.
        std::future::poll_fn(|context| {
            drop(call.as_mut().poll(context));
            std::task::Poll::Ready(())
        })
        .await;
        drop(call);
    }
    store.ping().await.unwrap();
    for (_, row) in store.sessions_of(ACCOUNT, START).await.unwrap() {
        assert_eq!(row, session(100));
    }
}
