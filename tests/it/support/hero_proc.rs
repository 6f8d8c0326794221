//! A stand-in for hero_proc: a place of secrets behind a Unix socket, in whatever mood a test wants.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How it answers.
#[derive(Clone, Debug)]
pub enum Mood {
    /// As it should, the secret as a text.
    Well,
    /// As it should, the secret in an object.
    Wrapped,
    /// With these bytes, then the connection ends.
    Says(Vec<u8>),
    /// With these bytes, and the connection stays open.
    Begins(Vec<u8>),
    /// Without end.
    Endless,
    /// Not at all.
    Silent,
}

#[derive(Default)]
struct State {
    secrets: Mutex<HashMap<(String, String), String>>,
    asked: Mutex<Vec<Value>>,
    mood: Mutex<Option<Mood>>,
    over: AtomicBool,
}

/// A running stand-in; it ends when it is dropped.
pub struct StandIn {
    pub socket: PathBuf,
    folder: TempDir,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let socket = folder.path().join("rpc.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                kept.extend(answer(stream, &shared));
            }
        });
        Self { socket, folder, state, thread: Some(thread) }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn set_mood(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = Some(mood);
    }

    pub fn put(&self, context: &str, key: &str, secret: &str) {
        self.state.secrets.lock().unwrap().insert((context.to_owned(), key.to_owned()), secret.to_owned());
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<Value> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(&self.socket));
        if let Some(thread) = self.thread.take() {
            let _joined = thread.join();
        }
    }
}

/// Answers one connection; gives it back if it is to stay open.
fn answer(mut stream: UnixStream, state: &State) -> Option<UnixStream> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).ok()?;
    let question: Value = serde_json::from_str(&line).ok()?;
    state.asked.lock().unwrap().push(question.clone());
    let mood = state.mood.lock().unwrap().clone().unwrap_or(Mood::Well);
    let bytes = match mood {
        Mood::Well => reply(&question, state, |secret| json!(secret)),
        Mood::Wrapped => reply(&question, state, |secret| json!({"value": secret, "version": 3})),
        Mood::Says(bytes) => bytes,
        Mood::Begins(bytes) => {
            let _sent = stream.write_all(&bytes);
            return Some(stream);
        }
        Mood::Silent => return Some(stream),
        Mood::Endless => {
            let mut sent = stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"");
            while sent.is_ok() {
                sent = stream.write_all(&[b'x'; 4096]);
            }
            return None;
        }
    };
    let _sent = stream.write_all(&bytes);
    None
}

fn reply(question: &Value, state: &State, show: fn(&str) -> Value) -> Vec<u8> {
    let text = |name: &str| question["params"][name].as_str().unwrap_or_default().to_owned();
    let slot = (text("context"), text("key"));
    let mut secrets = state.secrets.lock().unwrap();
    let result = match question["method"].as_str().unwrap_or_default() {
        "secret.get" => secrets.get(&slot).map_or(Value::Null, |secret| show(secret)),
        "secret.set" => {
            secrets.insert(slot, text("value"));
            json!(true)
        }
        "secret.delete" => json!(secrets.remove(&slot).is_some()),
        _ => {
            let error = json!({"code": -32601, "message": "CANARY: no such method"});
            return format!("{}\n", json!({"jsonrpc": "2.0", "id": question["id"], "error": error}))
                .into_bytes();
        }
    };
    format!("{}\n", json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).into_bytes()
}
