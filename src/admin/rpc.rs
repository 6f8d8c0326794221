//! JSON-RPC 2.0: what a body says, and what is answered. Pure; whoever carries calls out stands elsewhere.
//!
//! 1. A call has `"jsonrpc": "2.0"`, a method that is a string, an id that is a string, a number or null, and parameters
//!    that are an object, an array or absent. Anything else is "invalid request".
//! 2. A call without an id is a notification: whatever comes of it, nothing is answered.
//! 3. A batch is answered by a list without the notifications, or by nothing if there were no others. An empty one, and
//!    one of more than [`MAX_BATCH`] calls, is one "invalid request"; nothing of it is carried out.
//!
//! **Source**: JSON-RPC 2.0 Specification, §4 to §6.

mod json;

use serde_json::{Value, json};

pub use json::{Doubled, Json};

/// Calls of one batch at most.
pub const MAX_BATCH: usize = 50;

/// What an answer names its call by; a number or a string as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Id(Value);

/// A call as it stands in the body, well-formed.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// None: a notification.
    pub id: Option<Id>,
    /// The method's name.
    pub method: String,
    /// Its parameters.
    pub params: Params,
}

/// A call's parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Params {
    /// None at all.
    Absent,
    /// In their order.
    ByPosition(Vec<Json>),
    /// With their names; one may stand there twice.
    ByName(Vec<(String, Json)>),
}

/// One thing in a body: a call, or something else that is answered as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// To be carried out.
    Call(Call),
    /// No call. This is its answer.
    Broken(Value),
}

/// What a body holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// One thing.
    Single(Item),
    /// A batch, in its order.
    Batch(Vec<Item>),
}

/// An error object (§5.1).
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError {
    /// The code.
    pub code: i64,
    /// A short sentence.
    pub message: String,
    /// What a program may want to know.
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// The text is no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is no call.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters are not the method's.
pub const INVALID_PARAMS: i64 = -32602;
/// The handler failed.
pub const INTERNAL_ERROR: i64 = -32603;

/// Reads a body.
pub fn read(body: &[u8]) -> Body {
    match Json::parse(body) {
        Err(_) => Body::Single(broken(None, PARSE_ERROR, "the body is no JSON")),
        Ok(Json::List(items)) if items.is_empty() => {
            Body::Single(broken(None, INVALID_REQUEST, "an empty batch"))
        }
        Ok(Json::List(items)) if items.len() > MAX_BATCH => Body::Single(broken(
            None,
            INVALID_REQUEST,
            &format!("a batch of more than {MAX_BATCH} calls; nothing of it was carried out"),
        )),
        Ok(Json::List(items)) => Body::Batch(items.into_iter().map(item).collect()),
        Ok(one) => Body::Single(item(one)),
    }
}

/// The answer to a call; none to a notification.
pub fn answer(id: Option<Id>, outcome: Result<Value, RpcError>) -> Option<Value> {
    let Id(id) = id?;
    Some(match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "result": result, "id": id }),
        Err(error) => error_object(&id, error),
    })
}

fn error_object(id: &Value, error: RpcError) -> Value {
    let mut object = json!({ "code": error.code, "message": error.message });
    if let (Some(data), Some(members)) = (error.data, object.as_object_mut()) {
        members.insert("data".to_owned(), data);
    }
    json!({ "jsonrpc": "2.0", "error": object, "id": id })
}

fn broken(id: Option<&Id>, code: i64, message: &str) -> Item {
    let id = id.map_or(Value::Null, |id| id.0.clone());
    Item::Broken(error_object(&id, RpcError::new(code, message)))
}

fn item(json: Json) -> Item {
    let Json::Object(members) = json else {
        return broken(None, INVALID_REQUEST, "a call is an object");
    };
    let mut id = None;
    let (mut version, mut method, mut params) = (None, None, None);
    for (key, value) in members {
        let place = match key.as_str() {
            "jsonrpc" => &mut version,
            "method" => &mut method,
            "params" => &mut params,
            "id" => &mut id,
            // Others are not ours to judge (§4 does not forbid them).
            _ => continue,
        };
        if place.replace(value).is_some() {
            return broken(None, INVALID_REQUEST, &format!("`{key}` stands twice"));
        }
    }
    let id = match id {
        None => None,
        Some(Json::Null) => Some(Id(Value::Null)),
        Some(Json::Number(number)) => Some(Id(Value::Number(number))),
        Some(Json::Text(text)) => Some(Id(Value::String(text))),
        Some(_) => return broken(None, INVALID_REQUEST, "an id is a string, a number or null"),
    };
    if version != Some(Json::Text("2.0".to_owned())) {
        return broken(id.as_ref(), INVALID_REQUEST, "`jsonrpc` is \"2.0\"");
    }
    let Some(Json::Text(method)) = method else {
        return broken(id.as_ref(), INVALID_REQUEST, "`method` is a string");
    };
    let params = match params {
        None => Params::Absent,
        Some(Json::List(list)) => Params::ByPosition(list),
        Some(Json::Object(members)) => Params::ByName(members),
        Some(_) => return broken(id.as_ref(), INVALID_REQUEST, "`params` is an object or an array"),
    };
    Item::Call(Call { id, method, params })
}

#[cfg(test)]
mod tests;
