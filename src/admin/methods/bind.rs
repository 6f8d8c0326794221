//! Parameters by name or by position, by a method's table. What the table does not know is refused, not ignored: a caller
//! who writes `is_admin` believes that it does something.

use serde_json::{Map, Value, json};

use super::bad_params;
use super::table::{Kind, Method, Param};
use crate::admin::rpc::{Doubled, Json, Params, RpcError};

/// A method's parameters: right ones, and all that are required.
#[derive(Debug, Default)]
pub(super) struct Bound(Map<String, Value>);

impl Bound {
    /// A text, if it was given.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A number, if it was given.
    pub(super) fn count(&mut self, name: &str) -> Option<u64> {
        self.0.remove(name)?.as_u64()
    }
}

pub(super) fn bind(method: &Method, params: Params) -> Result<Bound, RpcError> {
    let mut wrong = Vec::new();
    let mut complain = |param: &str, problem: &str| wrong.push(json!({ "param": param, "problem": problem }));
    let given = match params {
        Params::Absent => Vec::new(),
        Params::ByName(members) => members,
        Params::ByPosition(list) if list.len() > method.params.len() => {
            complain("", &format!("{} at most", method.params.len()));
            Vec::new()
        }
        Params::ByPosition(list) => {
            method.params.iter().map(|param| param.name.to_owned()).zip(list).collect()
        }
    };
    let mut bound = Map::new();
    for (name, value) in given {
        let shown: String = name.chars().take(64).collect();
        let Some(param) = method.params.iter().find(|param| param.name == name) else {
            complain(&shown, "there is no such parameter");
            continue;
        };
        match value.value() {
            Err(Doubled(_)) => complain(&shown, "a key stands twice in it"),
            // Said to be absent.
            Ok(Value::Null) if !param.required && value == Json::Null => {}
            Ok(value) => match problem(param, &value) {
                Some(problem) => complain(&shown, &problem),
                None if bound.contains_key(&name) => complain(&shown, "it stands twice"),
                None => drop(bound.insert(name, value)),
            },
        }
    }
    for param in method.params.iter().filter(|param| param.required && !bound.contains_key(param.name)) {
        complain(param.name, "it is required");
    }
    if wrong.is_empty() { Ok(Bound(bound)) } else { Err(bad_params(&wrong)) }
}

fn problem(param: &Param, value: &Value) -> Option<String> {
    match (param.kind, value) {
        (Kind::Text { max }, Value::String(text)) => {
            let is_bare = text.is_empty() && param.required;
            (is_bare || text.len() > max).then(|| format!("1 to {max} bytes of text"))
        }
        (Kind::Word(words), Value::String(text)) => {
            (!words.contains(&text.as_str())).then(|| format!("one of {}", words.join(", ")))
        }
        (Kind::Count { max }, Value::Number(number)) => {
            (number.as_u64().is_none_or(|number| number > max)).then(|| format!("a whole number up to {max}"))
        }
        (Kind::Text { .. } | Kind::Word(_), _) => Some("a string is wanted".to_owned()),
        (Kind::Count { .. }, _) => Some("a number is wanted".to_owned()),
    }
}
