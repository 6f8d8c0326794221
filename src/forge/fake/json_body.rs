//! JSON bodies of API calls and what is said of bad ones (`docs/FORGEJO.md` 4).

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::ask::Ask;
use super::reply::Reply;
use super::server::Forge;

/// The members of a JSON object.
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Reads the body.
    pub(super) fn of(forge: &Forge, ask: &Ask) -> Result<Self, Reply> {
        let refuse = |words: &str| Err(Reply::api_error(forge, StatusCode::UNPROCESSABLE_ENTITY, words));
        match ask.content_type().split(';').next().unwrap_or_default().trim() {
            "" => return refuse("[]: Empty Content-Type"),
            "application/json" => {}
            _ => return refuse("[]: Unsupported Content-Type"),
        }
        match serde_json::from_slice(&ask.body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            // What Forgejo's decoder says of a body that ends too early, a NUL in it; other faults read the same here.
            _ => refuse("[]: invalid character '\u{0}' looking for beginning of value"),
        }
    }

    /// A text member; absent and null read as none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn text_or_empty(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

/// A validation failure: `[Field]: reason`, 422.
pub(super) fn invalid(forge: &Forge, field: &str, reason: &str) -> Reply {
    Reply::api_error(forge, StatusCode::UNPROCESSABLE_ENTITY, &format!("[{field}]: {reason}"))
}
