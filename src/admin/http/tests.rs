use std::sync::atomic::Ordering;
use std::time::Duration;

use http::request::Builder;
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::admin::discover;
use crate::admin::error::FACES;
use crate::admin::lab::{Lab, START};
use crate::admin::methods::METHODS;
use crate::base::peer::PeerCredentials;
use crate::forge::admin::{AccountState, AdminError as Refusal};

const ORIGIN: &str = "https://admin.example.org";

fn service(lab: &Lab, door: Door) -> AdminService {
    AdminService::new(lab.admin.clone(), door, ORIGIN, "/_hero")
}

/// A request as the gate passes it on for a person.
fn from_person(id: &str, login: &str) -> Builder {
    Request::post("/_hero/admin/rpc")
        .header("content-type", "application/json")
        .header("x-hero-user-id", id)
        .header("x-hero-user", login)
        .header("x-request-id", "r-7")
}

fn from_root() -> Builder {
    from_person("1", "root1")
}

async fn send(lab: &Lab, request: Builder, body: impl Into<String>) -> (AdminAnswer, Value) {
    through(lab, Door::Front, request, body).await
}

async fn through(lab: &Lab, door: Door, request: Builder, body: impl Into<String>) -> (AdminAnswer, Value) {
    let request = request.body(Full::new(Bytes::from(body.into()))).unwrap();
    let mut answer = service(lab, door).oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body = std::mem::take(answer.body_mut()).collect().await.unwrap().to_bytes();
    let value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    (answer, value)
}

fn call(method: &str, params: impl Into<Value>) -> String {
    let params = params.into();
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

async fn as_root(lab: &Lab, method: &str, params: Value) -> Value {
    let (answer, value) = send(lab, from_root(), call(method, params)).await;
    assert_eq!(answer.status(), 200);
    value
}

fn code(value: &Value) -> i64 {
    assert!(value.get("result").is_none(), "{value}");
    value["error"]["code"].as_i64().unwrap()
}

async fn key(lab: &Lab) -> (String, String) {
    let (row, key) = lab.admin.create_key(&Caller::shell(0, "r0"), "deployer").await.unwrap();
    (row.key_id, key.expose().to_owned())
}

/// Holds: A1.
#[tokio::test]
async fn a_page_of_another_site_gets_nothing_done() {
    let lab = Lab::new();
    let body = call("deployer.create_user", json!({ "username": "alice" }));
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data"),
        Some("application/jsonp"),
        Some(""),
    ] {
        let mut request =
            Request::post("/_hero/admin/rpc").header("x-hero-user-id", "1").header("x-hero-user", "root1");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        assert_eq!(send(&lab, request, &*body).await.0.status(), 415, "{kind:?}");
    }
    let twice = from_root().header("content-type", "application/json");
    assert_eq!(send(&lab, twice, &*body).await.0.status(), 415);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "https://admin.example.org.evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let (answer, _) = send(&lab, from_root().header(name, value), &*body).await;
        assert_eq!(answer.status(), 403, "{name}: {value}");
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let (answer, _) = send(&lab, from_root().method(method), "").await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["allow"].to_str().unwrap()), (405, &"POST"));
    }
    assert!(lab.accounts.asked.lock().unwrap().is_empty(), "nothing was asked of the forge");
    let own = from_root().header("origin", ORIGIN).header("sec-fetch-site", "same-origin");
    assert_eq!(send(&lab, own, body).await.0.status(), 200);
}

/// Holds: A2.
#[tokio::test]
async fn who_may_call_what() {
    let lab = Lab::new();
    let (key_id, key) = key(&lab).await;
    let peer = PeerCredentials { uid: 1000, gid: 1000, pid: Some(7) };
    let plain = || Request::post("/_hero/admin/rpc").header("content-type", "application/json");
    let with_key = |key: &str| plain().header("authorization", format!("Bearer {key}"));
    let params = |method: &str| match method {
        "deployer.create_user" => json!({ "username": "alice" }),
        "deployer.list_users" | "rpc.discover" => json!({}),
        "deployer.assign_vm" => json!({ "user_id": "u0", "vm_id": "vm-1" }),
        "deployer.release_vm" => json!({ "vm_id": "vm-1" }),
        _ => json!({ "user_id": "u0" }),
    };
    for method in METHODS {
        let body = call(method.name, params(method.name));
        // Refusals are counted, too.
        lab.clock.advance(Duration::from_mins(1));
        for (who, door, request, expected) in [
            ("nobody", Door::Front, plain(), 401),
            ("half an identity", Door::Front, plain().header("x-hero-user-id", "1"), 401),
            ("two identities", Door::Front, from_root().header("x-hero-user-id", "2"), 401),
            ("a user", Door::Front, from_person("2", "bob"), 403),
            ("an admin's name with another's id", Door::Front, from_person("2", "root1"), 403),
            ("somebody whom the forge does not know", Door::Front, from_person("99", "root1"), 403),
            ("an admin", Door::Front, from_root(), 200),
            ("no key", Door::Front, with_key(""), 401),
            ("an unknown key", Door::Front, with_key("hpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 401),
            ("half a key", Door::Front, with_key(key.get(..20).unwrap()), 401),
            ("another scheme", Door::Front, plain().header("authorization", format!("Basic {key}")), 401),
            ("a bad key beside a session", Door::Front, from_root().header("authorization", "Bearer x"), 401),
            ("two keys", Door::Front, with_key(&key).header("authorization", "Bearer x"), 401),
            ("a key", Door::Front, with_key(&key), 200),
            ("a socket peer", Door::Socket, plain().extension(peer), 200),
            ("a socket peer without a name", Door::Socket, plain(), 401),
            ("headers on the socket", Door::Socket, from_root(), 401),
            ("a key on the socket", Door::Socket, with_key(&key), 401),
        ] {
            let (answer, value) = through(&lab, door, request, &*body).await;
            assert_eq!(answer.status(), expected, "{who}: {}", method.name);
            if expected == 401 {
                assert!(answer.headers().contains_key("www-authenticate"));
                assert!(value["reason"].as_str().unwrap().starts_with("admin_"));
            }
        }
    }
    // What is kept of the key is no key.
    let file = std::fs::read(lab.folder.path().join("admin.db-wal")).unwrap();
    assert!(!file.windows(key.len()).any(|window| window == key.as_bytes()));
    assert!(lab.admin.revoke_key(&Caller::shell(0, "r0"), &key_id).await.unwrap());
    let (answer, _) = send(&lab, with_key(&key), call("rpc.discover", json!({}))).await;
    assert_eq!(answer.status(), 401, "at once");
}

/// Holds: A2.
#[tokio::test]
async fn paths_match_exactly_and_the_rest_tells_nothing() {
    let lab = Lab::new();
    for path in [
        "/",
        "/_hero/admin",
        "/_hero/admin/",
        "/_hero/admin/rpc/",
        "/_hero//admin/rpc",
        "/_hero/admin/rpc%2f",
        "/_hero/admin/RPC",
        "/_hero/admin/../admin/rpc",
        "/_hero/admin/rpc;x",
        "/admin/rpc",
        "/_hero/admin/%72pc",
    ] {
        let (answer, value) = send(&lab, from_root().uri(path), call("rpc.discover", json!({}))).await;
        assert_eq!(
            (answer.status().as_u16(), &value["reason"]),
            (404, &json!("admin_no_such_page")),
            "{path}"
        );
    }
    let overridden = from_root().method("GET").header("x-http-method-override", "POST");
    assert_eq!(send(&lab, overridden, "").await.0.status(), 405);
}

/// Holds: A3.
#[tokio::test]
async fn the_right_to_call_is_a_minute_old_at_most() {
    let lab = Lab::new();
    let status = async || send(&lab, from_root(), call("rpc.discover", json!({}))).await.0.status().as_u16();
    assert_eq!(status().await, 200);
    lab.accounts.change(1, |root| root.site_admin = false);
    lab.clock.advance(Duration::from_secs(59));
    assert_eq!(status().await, 200, "asked less than a minute ago");
    assert_eq!(lab.accounts.calls("user_exists"), 1, "and once only");
    lab.clock.advance(Duration::from_secs(1));
    assert_eq!(status().await, 403);
    lab.clock.advance(Duration::from_mins(1));
    lab.accounts.change(1, |root| root.site_admin = true);
    assert_eq!(status().await, 200);
    // Renamed: the session has the old name, the id counts.
    lab.clock.advance(Duration::from_mins(1));
    lab.accounts.change(1, |root| root.login = "root-one".to_owned());
    assert_eq!(status().await, 200);
    lab.clock.advance(Duration::from_mins(1));
    lab.accounts.change(1, |root| root.state = AccountState::Suspended);
    assert_eq!(status().await, 403);
    lab.clock.advance(Duration::from_mins(1));
    lab.accounts.bad.lock().unwrap().extend([Refusal::Unavailable("down"), Refusal::Unavailable("down")]);
    let (answer, _) = send(&lab, from_root(), call("rpc.discover", json!({}))).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"].to_str().unwrap()), (503, &"5"));
}

/// Holds: A4.
#[tokio::test]
async fn faults_are_answers() {
    let lab = Lab::new();
    for (body, expected) in [
        ("{".to_owned(), -32700),
        ("1".to_owned(), -32600),
        ("[]".to_owned(), -32600),
        (call("deployer.delete_user", json!({})), -32601),
        (call("deployer.create_user", json!({ "username": 1 })), -32602),
        (call("deployer.get_user", json!({ "user_id": "u0" })), -32015),
    ] {
        let (answer, value) = send(&lab, from_root(), &*body).await;
        assert_eq!((answer.status().as_u16(), code(&value)), (200, expected), "{body}");
        assert!(value.get("id").is_some());
    }
    let (answer, value) = send(&lab, from_root(), "x".repeat(64 * 1024 + 1)).await;
    assert_eq!((answer.status().as_u16(), &value["reason"]), (413, &json!("admin_body_too_long")));
}

/// Holds: A4.
#[tokio::test]
async fn a_call_that_breaks_is_answered_by_the_book_and_the_next_one_works() {
    let lab = Lab::new();
    let id = as_root(&lab, "deployer.create_user", json!(["alice"])).await["result"]["user_id"].clone();
    lab.accounts.breaks.store(true, Ordering::SeqCst);
    for (method, params) in [
        // In work that nobody can cancel, and in work of the request's own.
        ("deployer.create_user", json!(["carol"])),
        ("deployer.reset_password", json!([id])),
        ("deployer.get_user", json!([id])),
    ] {
        let value = as_root(&lab, method, params).await;
        assert_eq!((code(&value), &value["id"]), (-32603, &json!(1)), "{method}");
        assert!(!value.to_string().contains("canary"), "{value}");
        assert_eq!(value["error"]["data"]["request_id"], "r-7");
    }
    lab.accounts.breaks.store(false, Ordering::SeqCst);
    let made = as_root(&lab, "deployer.create_user", json!(["carol"])).await;
    assert!(made["result"]["initial_password"].is_string(), "{made}");
    // Nobody wrote down how the reset ended, which might be at work in another process still.
    assert_eq!(code(&as_root(&lab, "deployer.reset_password", json!([id])).await), -32025);
    lab.clock.advance(Duration::from_mins(1));
    assert!(as_root(&lab, "deployer.reset_password", json!([id])).await["result"].is_object());
}

/// Holds: A5.
#[tokio::test]
async fn notifications_are_not_answered() {
    let lab = Lab::new();
    let notify =
        |method: &str, params: Value| json!({ "jsonrpc": "2.0", "method": method, "params": params });
    let made = as_root(&lab, "deployer.create_user", json!({ "username": "alice" })).await;
    let id = made["result"]["user_id"].clone();
    let assign = notify("deployer.assign_vm", json!([id, "vm-1"]));
    let (answer, value) = send(&lab, from_root(), assign.to_string()).await;
    assert_eq!((answer.status().as_u16(), value), (204, Value::Null));
    assert!(!answer.headers().contains_key("content-type"));
    let user = as_root(&lab, "deployer.get_user", json!([id])).await;
    assert_eq!(user["result"]["vm_count"], 1, "it was carried out");
    let (answer, _) =
        send(&lab, from_root(), json!([assign, notify("no.such", json!({}))]).to_string()).await;
    assert_eq!(answer.status(), 204);
    // What exists for its answer is not done where nobody reads it.
    let lost =
        [notify("deployer.reset_password", json!([id])), notify("deployer.create_user", json!(["carol"]))];
    assert_eq!(send(&lab, from_root(), json!(lost).to_string()).await.0.status(), 204);
    assert_eq!((lab.accounts.calls("reset_password"), lab.accounts.calls("create_user")), (0, 1));
    let mixed = json!([
        { "jsonrpc": "2.0", "id": "a", "method": "deployer.get_user", "params": [id] },
        assign,
        7,
        { "jsonrpc": "2.0", "id": null, "method": "no.such" },
    ]);
    let (answer, value) = send(&lab, from_root(), mixed.to_string()).await;
    assert_eq!(answer.status(), 200);
    let answers = value.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!((&answers[0]["id"], code(&answers[1]), code(&answers[2])), (&json!("a"), -32600, -32601));
}

/// Holds: A6, A14.
#[tokio::test]
async fn what_a_method_does_not_know_reaches_nobody() {
    let lab = Lab::new();
    let by_position = as_root(&lab, "deployer.create_user", json!(["alice", "Alice Example", null])).await;
    assert_eq!(by_position["result"]["forge_username"], "alice");
    let by_name =
        as_root(&lab, "deployer.create_user", json!({ "username": "carol", "email": "c@example.org" })).await;
    let mut members: Vec<_> = by_name["result"].as_object().unwrap().keys().cloned().collect();
    members.sort();
    assert_eq!(members, ["forge_username", "initial_password", "user_id"], "exactly these three");
    let asked = lab.accounts.asked.lock().unwrap().len();
    for params in [
        r#"{"username":"dave","is_admin":true}"#,
        r#"{"username":"dave","sudo":"root1"}"#,
        r#"{"username":"dave","source_id":1}"#,
        r#"{"username":"dave","must_change_password":false}"#,
        r#"{"username":"dave","password":"x"}"#,
        r#"{"username":"dave","username":"erin"}"#,
        r#"{"Username":"dave"}"#,
        r#"{"username":{"a":1,"a":2}}"#,
        r#"{"username":["dave"]}"#,
        r#"{"username":null}"#,
        "{}",
        "[]",
        r#"["dave","D","d@example.org",true]"#,
        "[true]",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"deployer.create_user","params":{params}}}"#);
        let (_, value) = send(&lab, from_root(), body).await;
        assert_eq!(code(&value), -32602, "{params}");
        assert!(!value["error"]["data"]["complaints"].as_array().unwrap().is_empty());
    }
    for params in
        [json!({ "limit": 101 }), json!({ "limit": -1 }), json!({ "limit": 1.5 }), json!({ "sort": "email" })]
    {
        assert_eq!(code(&as_root(&lab, "deployer.list_users", params).await), -32602);
    }
    // Nobody chooses a password, and nobody reaches another account by an id.
    for params in [json!({ "user_id": "u0", "password": "chosen" }), json!(["u0", "chosen"]), json!([7])] {
        assert_eq!(code(&as_root(&lab, "deployer.reset_password", params).await), -32602);
    }
    for id in ["../orgs/x", "1", "root1", "u0' OR 1=1 --", "%2f", "\0", "u%", "?uid=1"] {
        for method in ["deployer.reset_password", "deployer.get_user"] {
            assert_eq!(code(&as_root(&lab, method, json!([id])).await), -32015, "{method} {id}");
        }
    }
    let script = json!({ "user_id": "u0", "vm_id": "vm-1", "url": "javascript:alert(1)" });
    assert_eq!(code(&as_root(&lab, "deployer.assign_vm", script).await), -32602);
    assert_eq!(lab.accounts.asked.lock().unwrap().len(), asked, "nothing was sent to the forge");
}

/// The parts of a value with their kinds: two of one shape have the same.
fn form(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), form(value))).collect(),
        Value::Array(list) => list.iter().map(form).collect(),
        Value::String(text) if text.starts_with('u') && text.len() == 21 => json!("an id"),
        Value::String(text) if text.len() == 32 => json!("a password"),
        other => other.clone(),
    }
}

/// Holds: A7.
#[tokio::test]
async fn the_examples_of_the_document_run() {
    let lab = Lab::new();
    assert_eq!(lab.admin.shared.clock.now(), START, "the times in the examples");
    let document = as_root(&lab, "rpc.discover", json!({})).await["result"].clone();
    assert_eq!(document, discover::document());
    let mut id = Value::Null;
    for method in document["methods"].as_array().unwrap() {
        let Some(example) = method["examples"].get(0) else {
            assert_eq!(method["name"], "rpc.discover");
            continue;
        };
        let pairs = example["params"].as_array().unwrap().iter();
        let mut params: Value =
            pairs.map(|pair| (pair["name"].as_str().unwrap().to_owned(), pair["value"].clone())).collect();
        if params.get("user_id").is_some() {
            params["user_id"] = id.clone();
        }
        let value = as_root(&lab, method["name"].as_str().unwrap(), params).await;
        if id.is_null() {
            id = value["result"]["user_id"].clone();
        }
        assert_eq!(form(&value["result"]), form(&example["result"]["value"]), "{}", method["name"]);
    }
}

/// Holds: A7.
#[test]
fn the_document_is_an_openrpc_document() {
    let document = discover::document();
    assert_eq!(document["openrpc"], "1.3.2");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let methods = document["methods"].as_array().unwrap();
    let names: Vec<_> = methods.iter().map(|method| method["name"].as_str().unwrap()).collect();
    let unique = |mut list: Vec<String>| {
        let count = list.len();
        list.sort();
        list.dedup();
        list.len() == count
    };
    assert!(unique(names.iter().map(|name| (*name).to_owned()).collect()));
    assert_eq!(names, METHODS.iter().map(|method| method.name).collect::<Vec<_>>(), "listed is callable");
    assert!(unique(FACES.iter().map(|face| face.code.to_string()).collect()));
    assert!(unique(FACES.iter().map(|face| face.reason.to_owned()).collect()));
    for (method, listed) in METHODS.iter().zip(methods) {
        let params = listed["params"].as_array().unwrap();
        assert!(unique(params.iter().map(|param| param["name"].to_string()).collect()));
        let required: Vec<_> = params.iter().map(|param| param["required"].as_bool().unwrap()).collect();
        assert!(required.is_sorted_by(|one, next| one >= next), "required parameters come first");
        assert!(params.iter().all(|param| param["schema"].is_object()));
        assert!(listed["result"]["name"].is_string() && listed["result"]["schema"].is_object());
        let errors = listed["errors"].as_array().unwrap();
        assert_eq!(errors.len(), method.errors.len(), "{}: an unknown reason", method.name);
        assert!(unique(errors.iter().map(|error| error["code"].to_string()).collect()));
        assert!(errors.iter().all(|error| error["code"].is_i64() && error["message"].is_string()));
        for example in listed["examples"].as_array().unwrap() {
            assert!(example["name"].is_string() && example["params"].is_array());
            assert!(example["result"]["name"].is_string() && !example["result"]["value"].is_null());
        }
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

/// Holds: A7.
#[test]
fn the_papers_are_what_the_table_says() {
    let written = format!("{:#}\n", discover::document());
    for (name, made) in [("openrpc.json", written), ("RPC.md", discover::paper())] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        if std::env::var_os("HERO_TEST_WRITE").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == made, "docs/{name} is old: run this test with HERO_TEST_WRITE=1");
    }
}

/// Holds: A8.
#[tokio::test]
async fn a_refusal_says_which_field_and_what_to_do() {
    let lab = Lab::new();
    let name = json!({ "username": "a--b", "email": "x" });
    let value = as_root(&lab, "deployer.create_user", name).await;
    assert_eq!(code(&value), -32010);
    let data = &value["error"]["data"];
    assert_eq!((&data["reason"], &data["request_id"]), (&json!("invalid_fields"), &json!("r-7")));
    let fields: Vec<_> =
        data["complaints"].as_array().unwrap().iter().map(|one| one["param"].clone()).collect();
    assert_eq!(fields, ["username", "email"]);
    lab.accounts.bad.lock().unwrap().push_back(Refusal::RenamedTo("alicia".to_owned()));
    // The first question of a caller is whether they may: asked already.
    let value = as_root(&lab, "deployer.create_user", json!(["alice"])).await;
    assert_eq!((code(&value), &value["error"]["data"]["forge_username"]), (-32014, &json!("alicia")));
}

/// Holds: A17.
#[tokio::test]
async fn who_calls_too_often_waits() {
    let lab = Lab::new();
    let settings = super::super::Settings { calls_per_minute: 60, ..(*lab.admin.settings).clone() };
    let lab = Lab { admin: lab.admin.with(settings), ..lab };
    let mut statuses = Vec::new();
    for _ in 0..100 {
        let (answer, _) = send(&lab, from_root(), call("rpc.discover", json!({}))).await;
        statuses.push(answer.status().as_u16());
        if answer.status() == 429 {
            assert_eq!(answer.headers()["retry-after"], "1");
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 60);
    assert!(statuses[60..].iter().all(|status| *status == 429));
    // Each call of a batch counts, and none of one that is too long is carried out.
    lab.clock.advance(Duration::from_secs(2));
    let batch: Vec<Value> = vec![json!({ "jsonrpc": "2.0", "method": "rpc.discover", "id": 1 }); 3];
    assert_eq!(send(&lab, from_root(), json!(batch).to_string()).await.0.status(), 429);
    // Strangers are told 60 times a minute, and then to wait.
    let stranger = || Request::post("/_hero/admin/rpc").header("content-type", "application/json");
    let mut refused = Vec::new();
    for _ in 0..70 {
        refused.push(send(&lab, stranger(), "{}").await.0.status().as_u16());
    }
    assert_eq!(refused.iter().filter(|status| **status == 401).count(), 60);
    assert_eq!(refused[69], 429);
}
