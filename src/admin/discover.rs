//! The OpenRPC document, and the page for people that is made of it: both out of the method table.
//!
//! **Source**: OpenRPC Specification 1.3.2.

use serde_json::{Value, json};

use crate::admin::error::{FACES, Face};
use crate::admin::methods::{Kind, METHODS, Method, Param, Shape};
use crate::admin::rpc::MAX_BATCH;
use crate::admin::user::State;

/// The interface's version: its first number rises when something that was right becomes wrong.
const VERSION: &str = "1.0.0";

/// The document that `rpc.discover` gives.
pub fn document() -> Value {
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "hero_proxy: accounts at the forge",
            "version": VERSION,
            "description": "JSON-RPC 2.0 by POST to /_hero/admin/rpc (Content-Type: application/json), or by HTTP on the \
                            admin Unix socket under the same path.",
        },
        "methods": METHODS.iter().map(method).collect::<Vec<_>>(),
        "components": { "schemas": schemas() },
    })
}

fn method(method: &Method) -> Value {
    let faces = FACES.iter().filter(|face| method.errors.contains(&face.reason));
    json!({
        "name": method.name,
        "summary": method.summary,
        "description": method.description,
        "paramStructure": "either",
        "params": method.params.iter().map(param).collect::<Vec<_>>(),
        "result": { "name": method.result.0, "schema": shape(method.result.1) },
        "errors": faces.map(error).collect::<Vec<_>>(),
        "examples": example(method).into_iter().collect::<Vec<_>>(),
    })
}

fn param(param: &Param) -> Value {
    let schema = match param.kind {
        Kind::Text { max } if param.required => json!({ "type": "string", "minLength": 1, "maxLength": max }),
        Kind::Text { max } => json!({ "type": "string", "maxLength": max }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Count { max } => json!({ "type": "integer", "minimum": 0, "maximum": max }),
    };
    json!({ "name": param.name, "description": param.doc, "required": param.required, "schema": schema })
}

fn shape(shape: Shape) -> Value {
    let of = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    match shape {
        Shape::One(name) => of(name),
        Shape::Many(name) => json!({ "type": "array", "items": of(name) }),
    }
}

fn error(face: &Face) -> Value {
    json!({
        "code": face.code,
        "message": face.reason,
        "data": { "reason": face.reason, "advice": face.advice },
    })
}

fn example(method: &Method) -> Option<Value> {
    // Its own result would hold itself.
    if method.name == "rpc.discover" {
        return None;
    }
    let params: Value = serde_json::from_str(method.example.0).unwrap_or_default();
    let result: Value = serde_json::from_str(method.example.1).unwrap_or_default();
    let params: Vec<Value> = method
        .params
        .iter()
        .filter_map(|param| Some(json!({ "name": param.name, "value": params.get(param.name)? })))
        .collect();
    Some(
        json!({ "name": method.name, "params": params, "result": { "name": method.result.0, "value": result } }),
    )
}

fn schemas() -> Value {
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties });
    let text = |doc: &str| json!({ "type": "string", "description": doc });
    let maybe = |doc: &str| json!({ "type": ["string", "null"], "description": doc });
    json!({
        "CreateUserOutput": object(
            &["user_id", "forge_username", "initial_password"],
            json!({
                "user_id": text("Our id of the user; it stays."),
                "forge_username": text("The name at the forge, in its spelling."),
                "initial_password": maybe(
                    "The password to hand over, 32 characters, this once; null: the account was there, and nothing was \
                     changed."
                ),
            })
        ),
        "User": object(
            &[
                "user_id", "forge_id", "forge_username", "display_name", "email", "vm_count", "created_at",
                "last_activity", "state",
            ],
            json!({
                "user_id": text("Our id of the user; it stays."),
                "forge_id": { "type": ["integer", "null"], "description": "The forge's number; null while the account is being made." },
                "forge_username": text("The name at the forge at this moment."),
                "display_name": text("The name for people; may be empty."),
                "email": text("The address at the forge; may be a placeholder."),
                "vm_count": { "type": "integer", "minimum": 0, "description": "How many VMs are assigned." },
                "created_at": text("When the account came on record: RFC 3339, UTC."),
                "last_activity": maybe("When the person was seen last, up to a minute behind: RFC 3339, UTC."),
                "state": {
                    "type": "string",
                    "enum": State::ALL.map(|(word, _)| word),
                    "description": "creating: begun here, not seen at the forge yet. unused: the first password was handed \
                                    out and not used for a while. renamed: called otherwise when it came on record. \
                                    suspended: the forge lets it not sign in. vanished: the forge does not know it any more.",
                },
            })
        ),
        "Assignment": object(
            &["vm_id", "user_id"],
            json!({ "vm_id": text("The VM."), "user_id": text("Whose it is, or was.") })
        ),
        "OpenRPC": { "type": "object", "description": "An OpenRPC document." },
    })
}

/// `docs/RPC.md`: the same for people.
pub fn paper() -> String {
    let mut page = format!(
        "# The admin interface

Made from `rpc.discover` by a test: change `src/admin/methods/table.rs`, not this file. The document itself is
[`openrpc.json`](openrpc.json), version {VERSION}.

JSON-RPC 2.0. `POST /_hero/admin/rpc` at the admin origin with `Content-Type: application/json`, or the same by HTTP on the
Unix socket that `[admin] socket` names. Who may call is in [SECURITY.md](SECURITY.md).

```sh
curl -s --unix-socket /run/hero_proxy/admin.sock http://localhost/_hero/admin/rpc \\
  -H 'Content-Type: application/json' \\
  -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"deployer.create_user\",\"params\":{{\"username\":\"alice\"}}}}'
```

Parameters go by name or by position. What a method does not know is refused with -32602, and nothing is done. A batch holds
{MAX_BATCH} calls at most. A notification is carried out without an answer, except for `deployer.create_user` and
`deployer.reset_password`: they exist for their answer, so as notifications they do nothing.

| HTTP status | means |
|---|---|
| 200 | answered; look for `result` or `error` |
| 204 | only notifications: there is nothing to answer |
| 401, 403 | nobody, or nobody who may |
| 405, 413, 415 | not a POST; more than 64 KiB; not `application/json` |
| 429 | too many calls a minute; `Retry-After` says when to come back |
| 503 | the forge or the records cannot say who you are; `Retry-After` |

## Methods
"
    );
    for method in METHODS {
        page.push_str(&section(method));
    }
    page.push_str(
        "
## Errors

`error.data` holds `reason`, `advice`, `request_id` and, where fields are wrong, `complaints`: a list of `param` and
`problem`.

| code | reason | what to do |
|---|---|---|
| -32700, -32600, -32601, -32602, -32603 | | as JSON-RPC 2.0 has them |
",
    );
    for face in FACES {
        page.push_str(&format!("| {} | `{}` | {} |\n", face.code, face.reason, face.advice));
    }
    page
}

fn section(method: &Method) -> String {
    let mut text = format!("\n### `{}`\n\n{}\n{}\n", method.name, method.summary, method.description);
    if !method.params.is_empty() {
        text.push_str("\n| parameter | | takes | |\n|---|---|---|---|\n");
    }
    for param in method.params {
        let takes = match param.kind {
            Kind::Text { max } => format!("text, up to {max} bytes"),
            Kind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Kind::Count { max } => format!("a whole number up to {max}"),
        };
        let required = if param.required { "required" } else { "" };
        text.push_str(&format!("| `{}` | {required} | {takes} | {} |\n", param.name, param.doc));
    }
    if !method.errors.is_empty() {
        let errors: Vec<_> = method.errors.iter().map(|reason| format!("`{reason}`")).collect();
        text.push_str(&format!("\nMay refuse with {}.\n", errors.join(", ")));
    }
    if method.name != "rpc.discover" {
        let (params, result) = method.example;
        text.push_str(&format!(
            "\n```json\n{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\",\"params\":{params}}}\n{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{result}}}\n```\n",
            method.name
        ));
    }
    text
}
