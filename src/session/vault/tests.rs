use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::base::account::{Group, Identity, Standing, UserId};
use crate::base::entropy::OsEntropy;
use crate::base::seal::SealKey;
use crate::base::secret::RefreshToken;
use crate::session::id::SessionId;
use crate::session::memory::MemoryStore;
use crate::session::record::ScopeVerdict;
use crate::session::sqlite::{SqliteSettings, SqliteStore};
use crate::wire::ForgeToken;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_123);
const HOUR: Duration = Duration::from_hours(1);
const ACCESS: &str = "canary-access-\"token\"";
const REFRESH: &str = "canary-refresh-token";

fn account(sub: &str) -> Account {
    let (issuer, client_id) = ("https://forge.example.org/".into(), "client".into());
    Account { issuer, client_id, sub: UserId(sub.into()) }
}

fn session(sub: &str) -> SessionRecord {
    SessionRecord {
        account: account(sub),
        browser: None,
        origin: "https://vm1.example.org".to_owned(),
        created_at: START,
        seen_at: START,
        expires_at: START.plus(HOUR),
    }
}

fn grant(sub: &str, version: u64) -> GrantRecord {
    GrantRecord {
        version,
        account: account(sub),
        identity: Identity {
            id: UserId(sub.into()),
            login: "alice".to_owned(),
            name: Some("Alice Ångström".to_owned()),
            email: None,
            groups: vec![Group { org: "acme".to_owned(), team: Some("ops".to_owned()) }],
        },
        access: ForgeToken::new(ACCESS).unwrap(),
        access_expires_at: START.plus(HOUR),
        access_life: HOUR,
        refresh: Some(RefreshToken::new(REFRESH)),
        dead: false,
        scope: "openid write:issue".to_owned(),
        verdict: ScopeVerdict::Exact,
        asked_at: START,
        standing: Standing::Good,
        checked_at: Timestamp::default(),
        spares: Vec::new(),
        begun: 0,
    }
}

fn same_grant(left: &GrantRecord, right: &GrantRecord) -> bool {
    // Tokens have no comparison and do not print: they are compared by hand, all else as text.
    let secrets = |grant: &GrantRecord| {
        (grant.access.expose().to_owned(), grant.refresh.as_ref().map(|token| token.expose().to_owned()))
    };
    format!("{left:?}") == format!("{right:?}") && secrets(left) == secrets(right)
}

struct House {
    store: Arc<dyn SessionStore>,
    vault: Vault,
    ring: KeyRing,
}

fn house() -> House {
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(100));
    let ring = KeyRing::of(SealKey::random(&OsEntropy));
    House { vault: Vault::new(store.clone(), &ring, Arc::new(OsEntropy)), store, ring }
}

impl House {
    /// Seals a text of our own as the row of a session, to play other programs.
    async fn plant(&self, key: SessionKey, text: &Value) {
        let sealed = Sealer::new(&self.ring, "session row", Arc::new(OsEntropy))
            .seal(&key.0, text.to_string().as_bytes());
        let row = SessionRow {
            account: account("7").key(),
            created_at: START,
            seen_at: START,
            expires_at: START.plus(HOUR),
            sealed,
        };
        self.store.insert_session(key, row).await.unwrap();
    }
}

fn key(byte: u8) -> SessionKey {
    SessionKey([byte; 32])
}

fn spoilt<T>(reason: SpoiltReason) -> Found<T> {
    Found::Spoilt(Spoilt { reason, version: 0 })
}

#[tokio::test]
async fn a_record_comes_back_as_it_went_in() {
    let House { vault, .. } = house();
    vault.insert_session(key(1), &session("7")).await.unwrap();
    assert_eq!(vault.session(key(1), START).await.unwrap(), Found::Live(session("7")));
    assert_eq!(vault.session(key(1), START.plus(HOUR)).await.unwrap(), Found::Absent);
    assert_eq!(vault.session(key(2), START).await.unwrap(), Found::Absent);
    assert_eq!(vault.sessions_of(&account("7"), START).await.unwrap(), [(key(1), Found::Live(session("7")))]);
    let variants = [
        grant("7", 1),
        GrantRecord {
            refresh: None,
            dead: true,
            verdict: ScopeVerdict::Unknown,
            scope: String::new(),
            ..grant("7", 2)
        },
        GrantRecord { verdict: ScopeVerdict::Narrower, ..grant("7", 3) },
        GrantRecord { verdict: ScopeVerdict::Wider, ..grant("7", 4) },
        GrantRecord { standing: Standing::Suspended, checked_at: START, ..grant("7", 5) },
        GrantRecord { standing: Standing::MustChangePassword, ..grant("7", 6) },
        GrantRecord { standing: Standing::Refused, ..grant("7", 7) },
    ];
    for record in variants {
        assert_eq!(vault.grant(&account("7")).await.unwrap().next_version(), record.version);
        assert_eq!(vault.swap_grant(&record, START.plus(HOUR)).await.unwrap(), Swap::Done);
        let Found::Live(read) = vault.grant(&account("7")).await.unwrap() else { panic!("it was written") };
        assert!(same_grant(&read, &record), "{read:?}");
        assert_eq!(vault.swap_grant(&record, START.plus(HOUR)).await.unwrap(), Swap::Stale);
    }
}

/// Neither use nor a refresh moves the absolute end.
///
/// Holds: S5.
#[tokio::test]
async fn a_session_that_is_used_and_refreshed_all_the_time_ends_at_its_end() {
    let House { vault, .. } = house();
    vault.insert_session(key(1), &session("7")).await.unwrap();
    for minute in 1..60 {
        let now = START.plus(Duration::from_mins(minute));
        assert!(vault.touch_session(key(1), now).await.unwrap());
        assert_eq!(vault.swap_grant(&grant("7", minute), now.plus(HOUR)).await.unwrap(), Swap::Done);
        let Found::Live(record) = vault.session(key(1), now).await.unwrap() else {
            panic!("minute {minute}")
        };
        assert_eq!((record.seen_at, record.expires_at), (now, START.plus(HOUR)));
        assert!(!record.has_ended(now, HOUR));
    }
    assert_eq!(vault.session(key(1), START.plus(HOUR)).await.unwrap(), Found::Absent);
}

/// Whoever can write the store cannot make one session another one.
///
/// Holds: X2.
#[tokio::test]
async fn a_session_row_counts_only_where_and_as_it_was_written() {
    let House { store, vault, .. } = house();
    vault.insert_session(key(1), &session("7")).await.unwrap();
    vault.insert_session(key(2), &session("8")).await.unwrap();
    let row = store.session(key(1), START).await.unwrap().unwrap();
    let tamper = async |key, row: SessionRow| {
        store.insert_session(key, row).await.unwrap();
        vault.session(key, START).await.unwrap()
    };
    assert_eq!(tamper(key(2), row.clone()).await, spoilt(SpoiltReason::Sealed), "moved to another session");
    let other = SessionRow { account: account("8").key(), ..row.clone() };
    assert_eq!(tamper(key(1), other).await, spoilt(SpoiltReason::Contradicts), "pointed at another account");
    let longer = SessionRow { expires_at: START.plus(HOUR * 2), ..row.clone() };
    assert_eq!(tamper(key(1), longer).await, spoilt(SpoiltReason::Contradicts), "given a longer life");
    let younger = SessionRow { created_at: START.plus(HOUR), ..row.clone() };
    assert_eq!(tamper(key(1), younger).await, spoilt(SpoiltReason::Contradicts));
    let seen = SessionRow { seen_at: START.plus(HOUR / 2), ..row };
    let expected = SessionRecord { seen_at: START.plus(HOUR / 2), ..session("7") };
    assert_eq!(
        tamper(key(1), seen).await,
        Found::Live(expected),
        "the one value that is believed as it stands"
    );
}

/// Holds: X2.
#[tokio::test]
async fn a_grant_row_counts_only_where_and_as_it_was_written() {
    let House { store, vault, .. } = house();
    vault.swap_grant(&grant("7", 1), START.plus(HOUR)).await.unwrap();
    let row = store.grant(account("7").key()).await.unwrap().unwrap();
    store.swap_grant(account("8").key(), None, row.clone()).await.unwrap();
    let reason = |found| match found {
        Found::Spoilt(Spoilt { reason, version }) => (reason, version),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reason(vault.grant(&account("8")).await.unwrap()),
        (SpoiltReason::Sealed, 1),
        "moved to another user"
    );
    store.swap_grant(account("7").key(), Some(1), GrantRow { version: 6, ..row }).await.unwrap();
    let found = vault.grant(&account("7")).await.unwrap();
    assert_eq!(found.next_version(), 7);
    assert_eq!(reason(found), (SpoiltReason::Contradicts, 6));
    // Signing in again heals it.
    assert_eq!(vault.swap_grant(&grant("7", 7), START.plus(HOUR)).await.unwrap(), Swap::Done);
    assert!(vault.grant(&account("7")).await.unwrap().live().is_some());
}

/// To the visitor each of these is "sign in again"; to the log they differ.
///
/// Holds: S8.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_told_apart_from_none() {
    let house = house();
    let record = json!({
        "v": 1, "account": account("7"), "origin": "https://vm1.example.org",
        "created_at_ms": START.millis(), "expires_at_ms": START.plus(HOUR).millis(),
    });
    let with = |member: &str, value: Value| {
        let mut record = record.clone();
        record[member] = value;
        record
    };
    let found = async |text: &Value| {
        house.plant(key(1), text).await;
        house.vault.session(key(1), START).await.unwrap()
    };
    assert_eq!(found(&record).await, Found::Live(session("7")));
    assert_eq!(
        found(&with("added_later", json!([1]))).await,
        Found::Live(session("7")),
        "an added member is passed over"
    );
    assert_eq!(found(&with("v", json!(2))).await, spoilt(SpoiltReason::Newer));
    assert_eq!(found(&json!({"v": 2, "all": "new"})).await, spoilt(SpoiltReason::Newer));
    for odd in
        [with("v", json!(0)), with("origin", json!(7)), json!({}), json!([]), json!({"v": 1}), json!("x")]
    {
        assert_eq!(found(&odd).await, spoilt(SpoiltReason::Garbled), "{odd}");
    }
    let row = house.store.session(key(1), START).await.unwrap().unwrap();
    for sealed in [Vec::new(), vec![0; 10], vec![0xff; 500]] {
        house.store.insert_session(key(1), SessionRow { sealed, ..row.clone() }).await.unwrap();
        assert_eq!(house.vault.session(key(1), START).await.unwrap(), spoilt(SpoiltReason::Sealed));
    }
    assert!(house.vault.remove_session(key(1)).await.unwrap(), "and it can be cleared away");
}

/// Holds: X3.
#[tokio::test]
async fn a_rotated_key_signs_nobody_out_until_it_is_taken_away() {
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(100));
    let lines = [(); 3].map(|()| SealKey::random(&OsEntropy).line().expose().to_owned());
    let vault = |keys: &[&String]| {
        let text: String = keys.iter().map(|line| line.as_str()).collect();
        Vault::new(store.clone(), &KeyRing::from_text(&text).unwrap(), Arc::new(OsEntropy))
    };
    let [old, new, newest] = &lines;
    vault(&[old]).insert_session(key(1), &session("7")).await.unwrap();
    let rotated = vault(&[new, old]);
    assert_eq!(rotated.session(key(1), START).await.unwrap(), Found::Live(session("7")));
    rotated.insert_session(key(2), &session("7")).await.unwrap();
    let twice = vault(&[newest, new]);
    assert_eq!(twice.session(key(2), START).await.unwrap(), Found::Live(session("7")));
    assert_eq!(twice.session(key(1), START).await.unwrap(), spoilt(SpoiltReason::Sealed));
    // Nobody is locked out: signing in makes a new session.
    twice.insert_session(key(3), &session("7")).await.unwrap();
    assert_eq!(twice.session(key(3), START).await.unwrap(), Found::Live(session("7")));
}

#[tokio::test]
async fn leases_and_claims_are_one_persons_at_a_time() {
    let House { vault, .. } = house();
    let lease = || vault.renewal_lease(&account("7"), START.plus(HOUR));
    let (first, second) = (lease(), lease());
    assert_ne!(first.holder, second.holder);
    assert!(vault.take(&first, START).await.unwrap());
    assert!(!vault.take(&second, START).await.unwrap());
    vault.release(first).await.unwrap();
    assert!(vault.take(&second, START).await.unwrap());
    let state = State::new("canary-state");
    assert!(vault.claim(&state, START, START.plus(HOUR)).await.unwrap());
    assert!(!vault.claim(&state, START, START.plus(HOUR)).await.unwrap());
    assert!(vault.claim(&State::new("another"), START, START.plus(HOUR)).await.unwrap());
}

/// Holds: S2, K4.
#[tokio::test]
async fn whoever_reads_the_store_learns_neither_ids_nor_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&SqliteSettings::at(folder.path().join("store.db"))).unwrap());
    let vault = Vault::new(store, &KeyRing::of(SealKey::random(&OsEntropy)), Arc::new(OsEntropy));
    let id = SessionId::random(&OsEntropy);
    vault.insert_session(id.key(), &session("7")).await.unwrap();
    vault.swap_grant(&grant("7", 1), START.plus(HOUR)).await.unwrap();
    vault.claim(&State::new("canary-state"), START, START.plus(HOUR)).await.unwrap();
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(&id.key().0), "the hash is there");
    let raw = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, id.text()).unwrap();
    for secret in [id.text().as_bytes(), &raw, b"canary", b"alice", b"https://vm1.example.org"] {
        assert!(!holds(secret), "{}", String::from_utf8_lossy(secret));
    }
}

/// Holds: X7.
#[tokio::test]
async fn nothing_here_prints_a_secret() {
    let House { store, vault, ring } = house();
    vault.swap_grant(&grant("7", 1), START.plus(HOUR)).await.unwrap();
    let shown = format!("{vault:?} {store:?} {ring:?} {:?}", vault.grant(&account("7")).await.unwrap());
    assert!(!shown.contains("canary"), "{shown}");
}

/// Rows that version 1 of the format wrote, with the key that sealed them. Every later program reads them; when the format
/// changes, this file stays and another one comes beside it.
const GOLDEN: &str = include_str!("../../../tests/data/sealed_rows_v1.json");

/// Holds: S9.
#[tokio::test]
async fn rows_of_version_1_open_for_ever() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let bytes = |text: &Value| -> Vec<u8> {
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text.as_str().unwrap()).unwrap()
    };
    let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new(100));
    let ring = KeyRing::from_text(golden["key"].as_str().unwrap()).unwrap();
    let vault = Vault::new(store.clone(), &ring, Arc::new(OsEntropy));
    let row = SessionRow {
        account: account("7").key(),
        created_at: START,
        seen_at: START,
        expires_at: START.plus(HOUR),
        sealed: bytes(&golden["session"]),
    };
    store.insert_session(key(1), row).await.unwrap();
    assert_eq!(vault.session(key(1), START).await.unwrap(), Found::Live(session("7")));
    let row = GrantRow { version: 1, expires_at: START.plus(HOUR), sealed: bytes(&golden["grant"]) };
    store.swap_grant(account("7").key(), None, row).await.unwrap();
    let Found::Live(read) = vault.grant(&account("7")).await.unwrap() else { panic!("the grant opens") };
    assert!(same_grant(&read, &grant("7", 1)), "{read:?}");
}
