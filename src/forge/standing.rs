//! Whether an account may still act, and who it is at this moment: asked with the account's own token.
//!
//! 1. `GET /api/v1/version` needs no scope, and the forge looks at the account before it looks at the path: 200 is fine, a
//!    403 whose JSON has no `url` is about the account, a 401 is about the token (docs/FORGEJO.md 3.2, 3.3).
//! 2. Nothing else says anything: no page, no redirect, no 403 of whatever stands before the forge. What stands there may
//!    speak JSON without `url` too, so a text that is not known counts only if a stranger gets another answer.
//! 3. The body of a 401 or 403 may repeat the token: it is looked at here, and kept nowhere.
//! 4. Names and groups are those of userinfo, which has them whatever the scope (docs/FORGEJO.md 1.8).

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use crate::base::account::{Group, Standing};
use crate::forge::api::Profile;
use crate::forge::error::ForgeError;
use crate::forge::http::{is_json, odd_status};
use crate::wire::ForgeToken;

/// How the forge begins what it says of an account. These texts are not localized; others may be, and are not known here.
const SAYINGS: [(&str, Standing); 3] = [
    ("You must change your password", Standing::MustChangePassword),
    ("This account is prohibited from signing in", Standing::Suspended),
    ("This account is not activated", Standing::Suspended),
];

/// Said to somebody without a token, on a forge that shows strangers nothing: ours was lost on the way.
const STRANGER: &str = "Only signed in user is allowed";

/// The question of nobody: what is said to a stranger is about no account.
///
/// # Errors
/// As [`question`].
pub(crate) fn strangers_question(url: &Url) -> Result<http::Request<Vec<u8>>, ForgeError> {
    http::Request::get(url.as_str())
        .header(ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|_| ForgeError::Garbled("a URL that cannot be called"))
}

/// Reads what a stranger is told.
///
/// # Errors
/// [`ForgeError::Unavailable`] or [`ForgeError::Garbled`] when the forge does not speak to strangers as it does: then what it
/// says to an account may be said to everybody.
pub(crate) fn is_not_said_to_all(response: &http::Response<Vec<u8>>) -> Result<(), ForgeError> {
    if !matches!(response.status(), StatusCode::OK | StatusCode::FORBIDDEN) {
        return Err(odd_status(response.status()));
    }
    let said = members(response)?;
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    match response.status() {
        StatusCode::OK if !text("version").is_empty() => Ok(()),
        StatusCode::FORBIDDEN if text("message").starts_with(STRANGER) => Ok(()),
        _ => Err(ForgeError::Garbled("a refusal that is not about the account")),
    }
}

/// A question in the name of a token's owner.
///
/// # Errors
/// [`ForgeError::Garbled`] when it cannot be written down; no token of a forge makes that happen.
pub(crate) fn question(url: &Url, token: &ForgeToken) -> Result<http::Request<Vec<u8>>, ForgeError> {
    let unwritable = |_| ForgeError::Garbled("a URL that cannot be called");
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|error| unwritable(error.into()))?;
    bearer.set_sensitive(true);
    http::Request::get(url.as_str())
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, bearer)
        .body(Vec::new())
        .map_err(unwritable)
}

/// Reads what the API says to an account's token.
///
/// # Errors
/// [`ForgeError::Unauthorized`]: the token is dead. [`ForgeError::Unavailable`] or [`ForgeError::Garbled`] for whatever is
/// no answer of the expected form: it says nothing about the account.
pub(crate) fn standing(response: &http::Response<Vec<u8>>) -> Result<Standing, ForgeError> {
    match response.status() {
        StatusCode::OK | StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {}
        status => return Err(odd_status(status)),
    }
    let said = members(response)?;
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    match (response.status(), text("message")) {
        (StatusCode::OK, _) if text("version").is_some() => Ok(Standing::Good),
        (StatusCode::UNAUTHORIZED, Some(_)) => Err(ForgeError::Unauthorized),
        (StatusCode::FORBIDDEN, Some(message))
            if !said.contains_key("url") && !message.starts_with(STRANGER) =>
        {
            let known = SAYINGS.iter().find(|(begin, _)| message.starts_with(begin));
            Ok(known.map_or(Standing::Refused, |(_, standing)| *standing))
        }
        (StatusCode::FORBIDDEN, _) => Err(ForgeError::Garbled("a refusal that is not about the account")),
        _ => Err(ForgeError::Garbled("no answer of the forge's API")),
    }
}

/// Reads userinfo.
///
/// # Errors
/// [`ForgeError::Unauthorized`]: the token is dead. [`ForgeError::Unavailable`] or [`ForgeError::Garbled`] for whatever is
/// no answer of the expected form: a suspended account gets a page there, one that must change its password a redirect.
pub(crate) fn profile(response: &http::Response<Vec<u8>>) -> Result<Profile, ForgeError> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(ForgeError::Unauthorized),
        status => return Err(odd_status(status)),
    }
    let said = members(response)?;
    let text = |name: &str| {
        said.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let garbled = || ForgeError::Garbled("no userinfo");
    let groups = match said.get("groups") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(all)) => all.as_slice(),
        Some(_) => return Err(garbled()),
    };
    Ok(Profile {
        sub: text("sub").ok_or_else(garbled)?,
        login: text("preferred_username").ok_or_else(garbled)?,
        name: text("name"),
        email: text("email"),
        groups: groups.iter().filter_map(Value::as_str).filter_map(Group::from_claim).collect(),
    })
}

fn members(response: &http::Response<Vec<u8>>) -> Result<Map<String, Value>, ForgeError> {
    let garbled = ForgeError::Garbled("no JSON object");
    if !is_json(response.headers()) {
        return Err(garbled);
    }
    serde_json::from_slice(response.body()).map_err(|_| garbled)
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn response(status: u16, kind: &str, body: &str) -> http::Response<Vec<u8>> {
        let response = http::Response::builder().status(status).header(CONTENT_TYPE, kind);
        response.body(body.as_bytes().to_vec()).unwrap()
    }

    const JSON: &str = "application/json;charset=utf-8";

    /// Holds: R16.
    #[test]
    fn an_account_is_barred_by_a_403_of_the_api_without_url_and_by_nothing_else() {
        let check = |status, body: &str| standing(&response(status, JSON, body));
        for (message, expected) in [
            (
                "This account is prohibited from signing in, please contact your site administrator.",
                Standing::Suspended,
            ),
            ("This account is not activated.", Standing::Suspended),
            (
                "You must change your password. Change it at: https://h//user/change_password",
                Standing::MustChangePassword,
            ),
            ("Bitte richten Sie die Zwei-Faktor-Authentisierung ein.", Standing::Refused),
        ] {
            let body = serde_json::json!({ "message": message });
            assert_eq!(check(403, &body.to_string()).unwrap(), expected, "{message}");
        }
        assert_eq!(check(200, r#"{"version":"15.0.3+gitea-1.22.0"}"#).unwrap(), Standing::Good);
        let dead = r#"{"message":"user does not exist [uid: 0, name: ]","url":"https://h/api/swagger"}"#;
        assert!(matches!(check(401, dead), Err(ForgeError::Unauthorized)));
        let missing_scope =
            r#"{"message":"token does not have at least one of required scope(s)","url":"x"}"#;
        for (status, kind, body) in [
            (403, JSON, missing_scope),
            (403, JSON, r#"{"message":"Only signed in user is allowed to call APIs."}"#),
            (403, JSON, r#"{"error":"blocked"}"#),
            (403, JSON, "{"),
            (403, "text/html", "<title>Forbidden</title>"),
            (401, "text/html", "<title>Sign in</title>"),
            (401, JSON, "[]"),
            (200, "text/html", "<title>Account is suspended</title>"),
            (200, JSON, "{}"),
            (303, "text/html", ""),
            (404, JSON, r#"{"message":"x"}"#),
            (429, JSON, r#"{"message":"x"}"#),
            (502, "text/html", ""),
        ] {
            let error = standing(&response(status, kind, body)).unwrap_err();
            assert!(error.is_transient(), "{status} {body}: {error}");
        }
    }

    /// Holds: R16.
    #[test]
    fn a_stranger_who_is_refused_like_an_account_makes_the_refusal_nobodys() {
        let check = |status, kind: &str, body: &str| is_not_said_to_all(&response(status, kind, body));
        assert!(check(200, JSON, r#"{"version":"15.0.3+gitea-1.22.0"}"#).is_ok());
        let sign_in_first = r#"{"message":"Only signed in user is allowed to call APIs."}"#;
        assert!(check(403, JSON, sign_in_first).is_ok(), "REQUIRE_SIGNIN_VIEW");
        for (status, kind, body) in [
            (403, JSON, r#"{"message":"Forbidden"}"#),
            (403, JSON, "{}"),
            (403, "text/html", "<title>Forbidden</title>"),
            (200, JSON, "{}"),
            (401, JSON, r#"{"message":"x"}"#),
            (429, JSON, r#"{"message":"x"}"#),
            (502, "text/html", ""),
        ] {
            assert!(check(status, kind, body).unwrap_err().is_transient(), "{status} {body}");
        }
    }

    /// Holds: G12.
    #[test]
    fn userinfo_says_who_somebody_is_now_and_a_page_says_nothing() {
        let body = r#"{"sub":"7","name":"","preferred_username":"ada","email":"a@h","groups":["acme","acme:ops",":x",3]}"#;
        let said = profile(&response(200, JSON, body)).unwrap();
        assert_eq!(
            (&*said.sub, &*said.login, said.name, said.email.as_deref()),
            ("7", "ada", None, Some("a@h"))
        );
        assert_eq!(said.groups.len(), 2);
        let none = profile(&response(200, JSON, r#"{"sub":"7","preferred_username":"ada"}"#)).unwrap();
        assert!(none.groups.is_empty());
        let dead = profile(&response(401, "text/plain", "x"));
        assert!(matches!(dead, Err(ForgeError::Unauthorized)));
        for (status, kind, body) in [
            (200, "text/html", "<title>Account is suspended</title>"),
            (303, "text/html", ""),
            (200, JSON, r#"{"sub":"7"}"#),
            (200, JSON, r#"{"sub":7,"preferred_username":"ada"}"#),
            (200, JSON, r#"{"sub":"7","preferred_username":"ada","groups":"acme"}"#),
            (503, JSON, "{}"),
        ] {
            let error = profile(&response(status, kind, body)).unwrap_err();
            assert!(error.is_transient(), "{status} {body}: {error}");
        }
    }

    #[test]
    fn a_question_shows_its_token_to_the_forge_alone() {
        let ask = question(&"https://h/x".parse().unwrap(), &ForgeToken::new("t-CANARY").unwrap()).unwrap();
        assert_eq!(ask.headers()[AUTHORIZATION], "Bearer t-CANARY");
        assert!(!format!("{ask:?}").contains("CANARY"));
    }
}
