use proptest::prelude::*;

use super::*;

fn error_of(text: &str) -> (i64, Value) {
    let Body::Single(Item::Broken(answer)) = read(text.as_bytes()) else { panic!("{text} is a call") };
    assert_eq!(answer["jsonrpc"], "2.0");
    assert!(answer.get("result").is_none(), "result xor error");
    (answer["error"]["code"].as_i64().unwrap(), answer["id"].clone())
}

fn call_of(text: &str) -> Call {
    let Body::Single(Item::Call(call)) = read(text.as_bytes()) else { panic!("{text} is no call") };
    call
}

/// Holds: A4.
#[test]
fn what_is_no_call_is_told_by_the_book() {
    for (text, code, id) in [
        ("", -32700, json!(null)),
        ("{", -32700, json!(null)),
        (r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, -32700, json!(null)),
        ("\u{feff}{}", -32700, json!(null)),
        (r#"{"jsonrpc":"2.0","method":"m","id":1} x"#, -32700, json!(null)),
        ("[]", -32600, json!(null)),
        ("1", -32600, json!(null)),
        ("null", -32600, json!(null)),
        (r#""text""#, -32600, json!(null)),
        ("{}", -32600, json!(null)),
        (r#"{"jsonrpc":"2.0","method":1,"params":"bar"}"#, -32600, json!(null)),
        (r#"{"jsonrpc":"1.0","method":"m","id":7}"#, -32600, json!(7)),
        (r#"{"method":"m","id":"x"}"#, -32600, json!("x")),
        (r#"{"jsonrpc":"2.0","id":"x"}"#, -32600, json!("x")),
        (r#"{"jsonrpc":"2.0","method":"m","params":"bar","id":2}"#, -32600, json!(2)),
        (r#"{"jsonrpc":"2.0","method":"m","params":null,"id":2}"#, -32600, json!(2)),
        (r#"{"jsonrpc":"2.0","method":"m","id":{}}"#, -32600, json!(null)),
        (r#"{"jsonrpc":"2.0","method":"m","id":true}"#, -32600, json!(null)),
        (r#"{"jsonrpc":"2.0","method":"m","method":"n","id":1}"#, -32600, json!(null)),
        (r#"{"jsonrpc":"2.0","method":"m","id":1,"id":2}"#, -32600, json!(null)),
    ] {
        assert_eq!(error_of(text), (code, id), "{text}");
    }
    let deep = "[".repeat(200_000);
    assert_eq!(error_of(&deep), (-32700, json!(null)), "nested too deeply");
}

/// Holds: A4, A5.
#[test]
fn a_call_is_read_and_its_id_comes_back_as_it_was() {
    for id in ["1", "-7", "1.5", "18446744073709551615", r#""a\u0000b""#, r#""""#, "null"] {
        let call = call_of(&format!(r#"{{"jsonrpc":"2.0","method":"m","id":{id}}}"#));
        assert_eq!(call.params, Params::Absent);
        let answer = answer(call.id, Ok(json!(1))).unwrap();
        assert_eq!(answer["id"], serde_json::from_str::<Value>(id).unwrap(), "{id}");
        assert!(answer.get("error").is_none());
    }
    let call = call_of(r#"{"jsonrpc":"2.0","method":"m","params":[1,[2]]}"#);
    assert!(call.id.is_none(), "a notification");
    assert_eq!(answer(call.id, Ok(json!(1))), None);
    assert_eq!(answer(None, Err(RpcError::new(INTERNAL_ERROR, "x"))), None);
    let extra = call_of(r#"{"jsonrpc":"2.0","method":"m","id":1,"trace":"x"}"#);
    assert_eq!(extra.method, "m");
}

/// Holds: A5.
#[test]
fn a_batch_is_read_piece_by_piece_and_bounded() {
    let Body::Batch(items) = read(br#"[1,{"jsonrpc":"2.0","method":"m","id":1},[]]"#) else { panic!() };
    assert!(matches!(items[..], [Item::Broken(_), Item::Call(_), Item::Broken(_)]));
    let call = r#"{"jsonrpc":"2.0","method":"m","id":1}"#;
    let batch = |count: usize| format!("[{}]", vec![call; count].join(","));
    assert!(matches!(read(batch(MAX_BATCH).as_bytes()), Body::Batch(items) if items.len() == MAX_BATCH));
    assert_eq!(error_of(&batch(MAX_BATCH + 1)), (-32600, json!(null)));
    assert_eq!(error_of(&batch(1000)), (-32600, json!(null)));
}

/// Holds: A6.
#[test]
fn a_doubled_key_is_seen_wherever_it_stands() {
    let Params::ByName(members) = call_of(r#"{"jsonrpc":"2.0","method":"m","params":{"a":1,"a":2}}"#).params
    else {
        panic!()
    };
    assert_eq!(Json::Object(members).value(), Err(Doubled("a".to_owned())));
    let deep = Json::parse(br#"[{"x":{"y":1,"y":1}}]"#).unwrap();
    assert_eq!(deep.value(), Err(Doubled("y".to_owned())));
    let good = r#"{"a":[1,-2,2.5,true,null,"\u00e9"],"b":{}}"#;
    assert_eq!(
        Json::parse(good.as_bytes()).unwrap().value().unwrap(),
        serde_json::from_str::<Value>(good).unwrap()
    );
}

proptest! {
    /// Holds: A4.
    #[test]
    fn no_body_breaks_the_reading(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(read(&body));
    }

    #[test]
    fn no_object_breaks_the_reading(text in r#"(\{|\}|\[|\]|"|jsonrpc|2\.0|method|id|params|:|,|1|null){0,40}"#) {
        drop(read(text.as_bytes()));
    }
}
