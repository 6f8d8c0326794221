//! JSON Schema, as much of draft 07 as the documents here use. A keyword that is not known is a panic: nothing that a schema
//! asks for is passed over.

use serde_json::{Map, Value};

/// Says nothing more than a word for people.
const WORDS: [&str; 9] =
    ["$schema", "$id", "$comment", "title", "description", "default", "examples", "definitions", "format"];

/// A schema and those that it refers to by address.
pub struct Schemas<'a> {
    /// Where `#` leads.
    pub root: &'a Value,
    /// Addresses of others.
    pub others: &'a [(&'a str, &'a Value)],
}

/// What of a value does not fit a schema, as `place: what`. Nothing: it fits.
pub fn complaints(schemas: &Schemas<'_>, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schemas, schema, value, "", &mut found);
    found
}

fn check(schemas: &Schemas<'_>, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = match schema {
        Value::Bool(true) => return,
        Value::Bool(false) => return found.push(format!("{at}: may not be here")),
        Value::Object(schema) => schema,
        other => panic!("no schema: {other}"),
    };
    // In draft 07 nothing beside a reference counts.
    if let Some(to) = schema.get("$ref") {
        let (schemas, schema) = follow(schemas, to.as_str().unwrap());
        return check(&schemas, schema, value, at, found);
    }
    let fits = |schema: &Value| complaints(schemas, schema, value).is_empty();
    let mut complain = |good: bool, what: String| {
        if !good {
            found.push(format!("{at}: {what}"));
        }
    };
    for (word, asked) in schema {
        match word.as_str() {
            "type" => {
                let good = match asked {
                    Value::Array(types) => types.iter().any(|one| is_of(one, value)),
                    one => is_of(one, value),
                };
                complain(good, format!("is not of type {asked}"));
            }
            "enum" => complain(asked.as_array().unwrap().contains(value), format!("is none of {asked}")),
            "const" => complain(asked == value, format!("is not {asked}")),
            "oneOf" => {
                let count = asked.as_array().unwrap().iter().filter(|one| fits(one)).count();
                complain(count == 1, format!("fits {count} of the forms that it may have"));
            }
            "anyOf" => complain(asked.as_array().unwrap().iter().any(fits), "fits no form".to_owned()),
            "required" => {
                for name in asked.as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
                    complain(value.as_object().is_none_or(|o| o.contains_key(name)), format!("lacks {name}"));
                }
            }
            "minLength" | "maxLength" => {
                let length = value.as_str().map(|text| text.chars().count() as u64);
                let bound = asked.as_u64().unwrap();
                let good = length.is_none_or(|n| if word == "minLength" { n >= bound } else { n <= bound });
                complain(good, format!("{word} {bound}"));
            }
            "minimum" | "maximum" | "exclusiveMinimum" => {
                let bound = asked.as_f64().unwrap();
                let good = value.as_f64().is_none_or(|n| match word.as_str() {
                    "minimum" => n >= bound,
                    "maximum" => n <= bound,
                    _ => n > bound,
                });
                complain(good, format!("{word} {bound}"));
            }
            "minItems" => {
                let bound = asked.as_u64().unwrap();
                complain(
                    value.as_array().is_none_or(|list| list.len() as u64 >= bound),
                    format!("{word} {bound}"),
                );
            }
            "uniqueItems" => {
                let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let doubled = list.iter().enumerate().any(|(at, one)| list[..at].contains(one));
                complain(!(doubled && asked == &Value::Bool(true)), "holds one thing twice".to_owned());
            }
            // Together, below.
            "properties" | "patternProperties" | "additionalProperties" | "items" | "additionalItems" => {}
            word => assert!(WORDS.contains(&word), "a schema asks for {word}, which is not known here"),
        }
    }
    match value {
        Value::Object(members) => check_members(schemas, schema, members, at, found),
        Value::Array(list) => {
            for (index, one) in list.iter().enumerate() {
                if let Some(items) = schema.get("items") {
                    assert!(!items.is_array(), "lists by place are not known here");
                    check(schemas, items, one, &format!("{at}/{index}"), found);
                }
            }
        }
        _ => {}
    }
}

fn check_members(
    schemas: &Schemas<'_>,
    schema: &Map<String, Value>,
    members: &Map<String, Value>,
    at: &str,
    found: &mut Vec<String>,
) {
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    for (name, member) in members {
        let at = format!("{at}/{name}");
        let mut known = false;
        let mut by = |schema: &Value, found: &mut Vec<String>| {
            known = true;
            check(schemas, schema, member, &at, found);
        };
        if let Some(schema) = schema.get("properties").and_then(|all| all.get(name)) {
            by(schema, found);
        }
        for (pattern, schema) in patterns.into_iter().flatten() {
            if matches(pattern, name) {
                by(schema, found);
            }
        }
        if let Some(schema) = schema.get("additionalProperties").filter(|_| !known) {
            check(schemas, schema, member, &at, found);
        }
    }
}

/// The patterns that stand in the documents here.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern {
        "^x-" => name.starts_with("x-"),
        "[0-z]+" => name.chars().any(|c| ('0'..='z').contains(&c)),
        other => panic!("the pattern {other} is not known here"),
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("{other} is no type"),
    }
}

fn follow<'a>(schemas: &Schemas<'a>, to: &str) -> (Schemas<'a>, &'a Value) {
    let (address, inside) = to.split_once('#').unwrap_or((to, ""));
    let root = if address.is_empty() {
        schemas.root
    } else {
        let is_it = |other: &&(&str, &Value)| other.0.trim_end_matches('/') == address.trim_end_matches('/');
        schemas.others.iter().find(is_it).unwrap_or_else(|| panic!("nobody knows {address}")).1
    };
    let found = root.pointer(inside).unwrap_or_else(|| panic!("{to} leads nowhere"));
    (Schemas { root, others: schemas.others }, found)
}
