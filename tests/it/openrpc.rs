//! The document of the admin interface, judged by OpenRPC's own schema, and its examples by the document's.

use serde_json::{Value, json};

use crate::support::schema::{Schemas, complaints};

fn document() -> Value {
    read(include_str!("../../docs/openrpc.json"))
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What OpenRPC has against a document.
fn judged(document: &Value) -> Vec<String> {
    let openrpc = read(include_str!("../data/openrpc/openrpc-1.3.json"));
    let json_schema = read(include_str!("../data/openrpc/json-schema-draft-07.json"));
    let others = [("https://meta.json-schema.tools", &json_schema)];
    complaints(&Schemas { root: &openrpc, others: &others }, &openrpc, document)
}

/// Holds: A7.
#[test]
fn the_document_is_valid_by_openrpcs_own_schema() {
    assert_eq!(judged(&document()), Vec::<String>::new());
}

/// Holds: A7.
#[test]
fn a_document_that_is_broken_anywhere_is_not_valid() {
    type Break = fn(&mut Value);
    let breaks: [(&str, Break); 14] = [
        ("no version", |all| drop(all.as_object_mut().unwrap().remove("openrpc"))),
        ("a version that is none", |all| all["openrpc"] = json!("1.3")),
        ("no title", |all| drop(all["info"].as_object_mut().unwrap().remove("title"))),
        ("a member of our own", |all| all["errors"] = json!([])),
        ("methods by name", |all| all["methods"] = json!({})),
        ("a method without parameters", |all| {
            drop(all["methods"][0].as_object_mut().unwrap().remove("params"));
        }),
        ("a method with a member of our own", |all| all["methods"][0]["needs_answer"] = json!(true)),
        ("an unknown way of parameters", |all| all["methods"][0]["paramStructure"] = json!("any")),
        ("a parameter without a schema", |all| {
            drop(all["methods"][0]["params"][0].as_object_mut().unwrap().remove("schema"));
        }),
        ("a parameter's schema of no type", |all| {
            all["methods"][0]["params"][0]["schema"]["type"] = json!("text");
        }),
        ("a length below nothing", |all| {
            all["methods"][0]["params"][0]["schema"]["maxLength"] = json!(-1);
        }),
        ("an error without a number", |all| all["methods"][0]["errors"][0]["code"] = json!("x")),
        ("an example without parameters", |all| {
            drop(all["methods"][0]["examples"][0].as_object_mut().unwrap().remove("params"));
        }),
        ("a schema that is a word", |all| all["components"]["schemas"]["User"] = json!("User")),
    ];
    for (what, break_it) in breaks {
        let mut broken = document();
        break_it(&mut broken);
        assert_ne!(judged(&broken), Vec::<String>::new(), "{what}");
    }
}

/// Holds: A7.
#[test]
fn the_examples_are_what_the_document_promises() {
    let document = document();
    let schemas = Schemas { root: &document, others: &[] };
    let mut examples = 0;
    for method in document["methods"].as_array().unwrap() {
        let params = method["params"].as_array().unwrap();
        for example in method["examples"].as_array().unwrap() {
            examples += 1;
            for given in example["params"].as_array().unwrap() {
                let param = params.iter().find(|param| param["name"] == given["name"]).unwrap();
                let wrong = complaints(&schemas, &param["schema"], &given["value"]);
                assert_eq!(wrong, Vec::<String>::new(), "{} {}", method["name"], given["name"]);
            }
            let wrong = complaints(&schemas, &method["result"]["schema"], &example["result"]["value"]);
            assert_eq!(wrong, Vec::<String>::new(), "{}", method["name"]);
        }
    }
    assert_eq!(examples, 6, "all but the document itself");
    // The three that programs build on, and no fourth.
    let output = &document["components"]["schemas"]["CreateUserOutput"];
    let good = json!({ "user_id": "u1", "forge_username": "alice", "initial_password": null });
    assert_eq!(complaints(&schemas, output, &good), Vec::<String>::new());
    for (name, value) in [("token", json!("x")), ("user_id", json!(1)), ("initial_password", json!(7))] {
        let mut other = good.clone();
        other[name] = value;
        assert_eq!(complaints(&schemas, output, &other).len(), 1, "{name}");
    }
}
