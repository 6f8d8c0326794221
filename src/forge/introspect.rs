//! What a token is good for, asked of the forge itself.
//!
//! The question goes out as JSON: to a form, Forgejo 12 to 15 answers about a dead token as if the question came from
//! its bearer, with a 401, a redirect or a page (docs/FORGEJO.md 1.8). Client authentication is HTTP Basic with the raw id
//! and secret; Forgejo takes nothing else here. An answer that is not the expected one says nothing about the token.
//!
//! Source: RFC 7662 §2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

use crate::base::secret::ClientSecret;
use crate::forge::api::Introspection;
use crate::forge::error::ForgeError;
use crate::forge::http::{is_json, odd_status};
use crate::wire::ForgeToken;

/// The question.
///
/// # Errors
/// [`ForgeError::Garbled`] when it cannot be written down; no URL of a discovery document makes that happen.
pub(crate) fn question(
    endpoint: &Url,
    client_id: &str,
    client_secret: &ClientSecret,
    token: &ForgeToken,
) -> Result<http::Request<Vec<u8>>, ForgeError> {
    let unwritable = |_| ForgeError::Garbled("a URL that cannot be called");
    let credential = STANDARD.encode(format!("{client_id}:{}", client_secret.expose()));
    let mut basic =
        HeaderValue::try_from(format!("Basic {credential}")).map_err(|error| unwritable(error.into()))?;
    basic.set_sensitive(true);
    http::Request::post(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, basic)
        .body(json!({ "token": token.expose() }).to_string().into_bytes())
        .map_err(unwritable)
}

/// Reads the answer.
///
/// # Errors
/// [`ForgeError::Unavailable`] or [`ForgeError::Garbled`] for whatever is no answer of the expected form: never
/// [`Introspection::Inactive`].
pub(crate) fn answer(
    response: &http::Response<Vec<u8>>,
    client_id: &str,
) -> Result<Introspection, ForgeError> {
    if response.status() != StatusCode::OK {
        return Err(odd_status(response.status()));
    }
    let garbled = || ForgeError::Garbled("no introspection answer");
    if !is_json(response.headers()) {
        return Err(garbled());
    }
    let said: Map<String, Value> = serde_json::from_slice(response.body()).map_err(|_| garbled())?;
    match said.get("active") {
        Some(Value::Bool(false)) => return Ok(Introspection::Inactive),
        Some(Value::Bool(true)) => {}
        _ => return Err(garbled()),
    }
    // Forgejo tells any client about any client's token: one that is not ours is not the one we asked about.
    let for_us = match said.get("aud") {
        None | Some(Value::Null) => true,
        Some(Value::String(one)) => one == client_id,
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(client_id)),
        Some(_) => false,
    };
    if !for_us {
        return Err(ForgeError::Garbled("an introspection answer about another client"));
    }
    match said.get("scope") {
        Some(Value::String(scope)) => Ok(Introspection::Active { scope: scope.clone() }),
        // An empty scope, which is full power, may be left out of the answer.
        None => Ok(Introspection::Active { scope: String::new() }),
        Some(_) => Err(garbled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, kind: &str, body: &str) -> Result<Introspection, ForgeError> {
        let response = http::Response::builder().status(status).header(CONTENT_TYPE, kind);
        answer(&response.body(body.as_bytes().to_vec()).unwrap(), "us")
    }

    const JSON: &str = "application/json;charset=utf-8";

    #[test]
    fn a_live_token_has_the_scope_of_its_grant_byte_for_byte() {
        let active = |scope: &str| Introspection::Active { scope: scope.into() };
        let body = r#"{"active":true,"scope":"openid  read:user","iss":"https://h","sub":"3","aud":["us"]}"#;
        assert_eq!(check(200, JSON, body).unwrap(), active("openid  read:user"));
        assert_eq!(check(200, JSON, r#"{"active":true,"scope":"x","aud":"us"}"#).unwrap(), active("x"));
        assert_eq!(check(200, JSON, r#"{"active":true,"aud":["them","us"]}"#).unwrap(), active(""));
        assert_eq!(check(200, JSON, r#"{"active":false}"#).unwrap(), Introspection::Inactive);
    }

    /// Holds: O14.
    #[test]
    fn an_odd_answer_means_unknown_never_inactive() {
        for (status, kind, body) in [
            (401, "text/plain", "no valid authorization"),
            (401, JSON, r#"{"active":false}"#),
            (303, JSON, ""),
            (200, "text/html; charset=utf-8", "<html>Account is suspended"),
            (200, "text/html", r#"{"active":false}"#),
            (200, JSON, ""),
            (200, JSON, "{}"),
            (200, JSON, "[]"),
            (200, JSON, "null"),
            (200, JSON, r#"{"active":"false"}"#),
            (200, JSON, r#"{"active":0}"#),
            (200, JSON, r#"{"active":true,"scope":7}"#),
            (200, JSON, r#"{"active":true,"scope":null}"#),
            (200, JSON, r#"{"active":true,"scope":"x","aud":["them"]}"#),
            (200, JSON, r#"{"active":true,"scope":"x","aud":[]}"#),
            (200, JSON, r#"{"active":true,"scope":"x","aud":{}}"#),
            (204, JSON, r#"{"active":false}"#),
            (500, JSON, r#"{"active":false}"#),
        ] {
            let error = check(status, kind, body).unwrap_err();
            assert!(error.is_transient(), "{status} {body}: {error}");
        }
    }

    #[test]
    fn the_question_is_json_with_the_raw_secret_in_basic() {
        let token = ForgeToken::new("t\"\\u").unwrap();
        let secret = ClientSecret::new("a:b%+c");
        let ask = question(&"https://h/i".parse().unwrap(), "us", &secret, &token).unwrap();
        assert_eq!(ask.headers()[CONTENT_TYPE], "application/json");
        let basic = ask.headers()[AUTHORIZATION].to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(basic).unwrap(), b"us:a:b%+c");
        assert_eq!(ask.body(), br#"{"token":"t\"\\u"}"#);
        assert!(!format!("{:?}", ask.headers()).contains(basic));
    }
}
