//! hero_proc, the platform's place of secrets, over its Unix socket: JSON-RPC 2.0, one text a line, one call a
//! connection.
//!
//! 1. It is asked only if the socket, its folder and whoever listens belong to somebody who may know secrets: root, us,
//!    or the user that the operator named. Anybody else could hand us secrets of their own.
//! 2. A call has one total time, and an answer a longest size.
//! 3. "Cannot know" is never "empty": whatever is no answer is an error, and no error holds what was said.
//!
//! The API is not ours: socket, methods and names are settings. Calls block: in async code, make them where that is
//! allowed.
//!
//! Source: <https://www.jsonrpc.org/specification>.

mod error;
mod peer;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use secrecy::zeroize::Zeroizing;
use serde_json::{Map, Value, json};

pub use error::HeroProcError;

use crate::base::secret::SecretText;
use crate::base::secret_file::{SecretSource, Slot, SlotError};

/// The longest answer, in bytes: a secret of the longest kind with all its characters escaped, and some.
const MAX_ANSWER: usize = 512 * 1024;
/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// Where hero_proc is and how it wants to be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its socket.
    pub socket: PathBuf,
    /// The user that it runs as, beside root and us.
    pub uid: Option<u32>,
    /// The longest a call may take in all.
    pub timeout: Duration,
    /// The method that reads a secret.
    pub get: String,
    /// The method that puts one in.
    pub set: String,
    /// The method that empties a slot.
    pub delete: String,
    /// The parameter for the slot's context.
    pub context: String,
    /// The parameter for the slot's key.
    pub key: String,
    /// The parameter for the secret, and the member that holds it where an answer is an object.
    pub value: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            socket: "/run/hero_proc/rpc.sock".into(),
            uid: None,
            timeout: Duration::from_secs(2),
            get: "secret.get".to_owned(),
            set: "secret.set".to_owned(),
            delete: "secret.delete".to_owned(),
            context: "context".to_owned(),
            key: "key".to_owned(),
            value: "value".to_owned(),
        }
    }
}

/// hero_proc as a place of secrets. Nothing is kept and no connection stays open between calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeroProc {
    settings: Settings,
}

impl HeroProc {
    /// The hero_proc of these settings; nobody is called yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// One call. None: there is no such thing, which is said by `null`.
    fn call(
        &self,
        method: &str,
        slot: &Slot,
        secret: Option<&SecretText>,
    ) -> Result<Option<Value>, HeroProcError> {
        let mut params = Map::new();
        params.insert(self.settings.context.clone(), slot.context().into());
        params.insert(self.settings.key.clone(), slot.key().into());
        if let Some(secret) = secret {
            params.insert(self.settings.value.clone(), secret.expose().into());
        }
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let question = Zeroizing::new(format!("{question}\n"));
        let deadline = Deadline(Instant::now() + self.settings.timeout);
        let mut stream = peer::connect(&self.settings.socket, self.settings.uid, self.settings.timeout)?;
        stream.set_write_timeout(Some(deadline.left()?))?;
        stream.write_all(question.as_bytes())?;
        result(read(&mut stream, &deadline)?)
    }
}

/// The moment at which a call is given up.
struct Deadline(Instant);

impl Deadline {
    fn left(&self) -> Result<Duration, HeroProcError> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(HeroProcError::Slow) } else { Ok(left) }
    }
}

/// Reads one JSON text; whether a line end or the end of the connection follows it makes no difference.
fn read(stream: &mut UnixStream, deadline: &Deadline) -> Result<Value, HeroProcError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let mut piece = Zeroizing::new([0; PIECE]);
    loop {
        stream.set_read_timeout(Some(deadline.left()?))?;
        let count = match stream.read(&mut *piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let ended = count == 0;
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
        if bytes.len() > MAX_ANSWER {
            return Err(HeroProcError::TooLong);
        }
        let may_end = ended || bytes.contains(&b'\n') || bytes.ends_with(b"}");
        match serde_json::from_slice(&bytes) {
            _ if !may_end => {}
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_eof() && !ended => {}
            Err(_) => return Err(HeroProcError::Odd),
        }
    }
}

/// What an answer says (JSON-RPC 2.0 §5).
fn result(mut answer: Value) -> Result<Option<Value>, HeroProcError> {
    if let Some(code) = answer.get("error").and_then(|error| error.get("code")).and_then(Value::as_i64) {
        return Err(HeroProcError::Refused { code });
    }
    let ours = answer.get("jsonrpc") == Some(&json!("2.0")) && answer.get("id") == Some(&json!(1));
    match answer.get_mut("result").map(Value::take) {
        Some(result) if ours => Ok(Some(result).filter(|result| !result.is_null())),
        _ => Err(HeroProcError::Odd),
    }
}

impl SecretSource for HeroProc {
    fn get(&self, slot: &Slot) -> Result<Option<SecretText>, SlotError> {
        let text = match self.call(&self.settings.get, slot, None)? {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Object(mut members)) => match members.remove(&self.settings.value) {
                Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => text,
                _ => return Err(HeroProcError::Odd.into()),
            },
            Some(_) => return Err(HeroProcError::Odd.into()),
        };
        Ok(Some(SecretText::new(text)).filter(|secret| !secret.expose().is_empty()))
    }

    fn set(&self, slot: &Slot, secret: &SecretText) -> Result<(), SlotError> {
        match self.call(&self.settings.set, slot, Some(secret))? {
            Some(Value::Bool(false)) => Err(HeroProcError::Odd.into()),
            _ => Ok(()),
        }
    }

    fn delete(&self, slot: &Slot) -> Result<bool, SlotError> {
        let there = self.get(slot)?.is_some();
        if there {
            self.call(&self.settings.delete, slot, None)?;
        }
        Ok(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_to_our_question_counts() {
        assert_eq!(result(json!({"jsonrpc": "2.0", "id": 1, "result": "s"})).unwrap(), Some(json!("s")));
        assert_eq!(result(json!({"jsonrpc": "2.0", "id": 1, "result": null})).unwrap(), None);
        for odd in [
            json!({"jsonrpc": "2.0", "id": 2, "result": "s"}),
            json!({"jsonrpc": "1.0", "id": 1, "result": "s"}),
            json!({"id": 1, "result": "s"}),
            json!({"jsonrpc": "2.0", "id": 1}),
            json!([{"jsonrpc": "2.0", "id": 1, "result": "s"}]),
            json!("s"),
        ] {
            assert!(matches!(result(odd.clone()), Err(HeroProcError::Odd)), "{odd}");
        }
        let refused = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "CANARY"}});
        let error = result(refused).unwrap_err();
        assert!(matches!(error, HeroProcError::Refused { code: -32001 }));
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    }
}
