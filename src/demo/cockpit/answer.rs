//! What the forge's answer to a new issue means. Pure: a status, one header and a body in, a meaning out.
//! Source: docs/FORGEJO.md 3.2, 3.3 and 6.
//!
//! The forge's own words are never shown and never logged: its 401 bodies repeat the token, its 403 bodies follow the
//! visitor's language. Of a body only what stands in [`Body`] is read.

use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use url::Url;

/// What one request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Filed. The number and the address are there unless the body was unreadable.
    Filed {
        /// The issue's number in its repository.
        number: Option<u64>,
        /// The issue's page as the forge names it; to be checked before it becomes a link.
        page: Option<Url>,
    },
    /// The repository was renamed: the same request belongs there, on the same server.
    Renamed(Url),
    /// Nothing was filed.
    Refused(Refusal),
    /// Nobody can tell from here.
    Doubtful,
}

/// Why the forge filed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401: it does not take this token (any more).
    DeadToken,
    /// 403: the token's scopes do not cover this.
    MissingScope,
    /// 403: the account is suspended, inactive, or must change its password first.
    AccountState,
    /// 403: this visitor may not write there.
    NotAllowed,
    /// 404: no such repository, or not one that this visitor can see.
    NotFound,
    /// 400, 412, 422: it does not like what was sent.
    Rejected,
    /// 413: too much text for whatever stands before the forge.
    TooLarge,
    /// 423: the repository is archived.
    Archived,
    /// 429: too many requests.
    Busy,
    /// A redirect to somewhere where the token must not go.
    Elsewhere,
}

/// The little of a body that is read.
#[derive(Default, Deserialize)]
struct Body {
    number: Option<u64>,
    html_url: Option<Url>,
    message: Option<String>,
    /// Errors of a route have one, errors of an account's state do not.
    url: Option<String>,
}

/// Reads an answer to `POST asked`. `api` is the root of the forge's API: nothing outside of it is followed.
pub(super) fn read(
    status: StatusCode,
    location: Option<&HeaderValue>,
    body: &[u8],
    asked: &Url,
    api: &Url,
) -> Answer {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    match status.as_u16() {
        201 => Answer::Filed { number: body.number, page: body.html_url },
        301 | 302 | 307 | 308 => match location.and_then(|location| same_server(location, asked, api)) {
            Some(target) => Answer::Renamed(target),
            None => Answer::Refused(Refusal::Elsewhere),
        },
        400 | 412 | 422 => Answer::Refused(Refusal::Rejected),
        401 => Answer::Refused(Refusal::DeadToken),
        403 => Answer::Refused(forbidden(&body)),
        404 => Answer::Refused(Refusal::NotFound),
        413 => Answer::Refused(Refusal::TooLarge),
        423 => Answer::Refused(Refusal::Archived),
        429 => Answer::Refused(Refusal::Busy),
        _ => Answer::Doubtful,
    }
}

/// A missing scope is told by the only fixed text among the 403s; an account's state by the absence of `url`.
fn forbidden(body: &Body) -> Refusal {
    const MISSING_SCOPE: &str = "token does not have at least one of required scope";
    match body {
        Body { message: Some(message), .. } if message.starts_with(MISSING_SCOPE) => Refusal::MissingScope,
        Body { url: None, message: Some(_), .. } => Refusal::AccountState,
        Body { .. } => Refusal::NotAllowed,
    }
}

/// Where a renamed repository's issues are filed now; only on the server that was asked, and only an issue list.
fn same_server(location: &HeaderValue, asked: &Url, api: &Url) -> Option<Url> {
    let target = asked.join(location.to_str().ok()?).ok()?;
    let inside = target.path().strip_prefix(api.path())?;
    let plain = target.username().is_empty() && target.password().is_none() && target.query().is_none();
    let issues = inside.trim_start_matches('/').starts_with("repos/") && inside.ends_with("/issues");
    (target.origin() == api.origin() && plain && issues && target != *asked).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "http://forge.test:3000/git/api/v1";
    const ASKED: &str = "http://forge.test:3000/git/api/v1/repos/acme/old/issues";

    fn read_as(status: u16, location: Option<&'static str>, body: &str) -> Answer {
        let location = location.map(HeaderValue::from_static);
        let (asked, api) = (ASKED.parse().unwrap(), API.parse().unwrap());
        read(StatusCode::from_u16(status).unwrap(), location.as_ref(), body.as_bytes(), &asked, &api)
    }

    /// The bodies are what Forgejo 15.0.3 and 11.0.15 answered.
    #[test]
    fn each_answer_of_the_forge_has_one_meaning() {
        let swagger = r#""url":"http://forge.test/api/swagger""#;
        let with_url = |message: &str| format!(r#"{{"message":"{message}",{swagger}}}"#);
        let without_url = |message: &str| format!(r#"{{"message":"{message}"}}"#);
        let scope = with_url("token does not have at least one of required scope(s): [write:issue]");
        let table = [
            (401, with_url("access token does not exist [sha: canary]"), Refusal::DeadToken),
            (401, with_url("user does not exist [uid: 0, name: ]"), Refusal::DeadToken),
            (401, String::new(), Refusal::DeadToken),
            (403, scope, Refusal::MissingScope),
            (403, without_url("This account is prohibited from signing in."), Refusal::AccountState),
            (403, without_url("You must change your password."), Refusal::AccountState),
            (403, without_url("Dieses Konto ist gesperrt."), Refusal::AccountState),
            (403, with_url("user is blocked by the poster or repository owner"), Refusal::NotAllowed),
            (403, "<html>".to_owned(), Refusal::NotAllowed),
            (404, with_url("The target couldn't be found."), Refusal::NotFound),
            (422, with_url("[Title]: Required"), Refusal::Rejected),
            (400, String::new(), Refusal::Rejected),
            (412, String::new(), Refusal::Rejected),
            (413, String::new(), Refusal::TooLarge),
            (423, with_url("Repository 1:acme/r2 is archived"), Refusal::Archived),
            (429, String::new(), Refusal::Busy),
        ];
        for (status, body, refusal) in table {
            assert_eq!(read_as(status, None, &body), Answer::Refused(refusal), "{status} {body}");
        }
        for status in [200, 204, 303, 304, 418, 500, 502, 503, 504] {
            assert_eq!(
                read_as(status, Some("/git/api/v1/repos/a/b/issues"), "{}"),
                Answer::Doubtful,
                "{status}"
            );
        }
    }

    #[test]
    fn a_created_issue_is_filed_even_if_its_body_cannot_be_read() {
        let page: Url = "http://forge.test:3000/git/acme/old/issues/7".parse().unwrap();
        let body = format!(r#"{{"id":9,"number":7,"html_url":"{page}","user":{{"login":"alice"}}}}"#);
        assert_eq!(read_as(201, None, &body), Answer::Filed { number: Some(7), page: Some(page) });
        for body in ["", "<html>", r#"{"number":"#, r#"{"number":-1}"#] {
            assert_eq!(read_as(201, None, body), Answer::Filed { number: None, page: None }, "{body}");
        }
    }

    #[test]
    fn a_renamed_repository_is_followed_on_the_same_server_only() {
        let new = "http://forge.test:3000/git/api/v1/repos/acme/new/issues";
        for status in [301, 302, 307, 308] {
            for location in ["/git/api/v1/repos/acme/new/issues", "../new/issues", new] {
                assert_eq!(
                    read_as(status, Some(location), ""),
                    Answer::Renamed(new.parse().unwrap()),
                    "{location}"
                );
            }
            for location in [
                "http://evil.test/git/api/v1/repos/acme/new/issues",
                "//evil.test/git/api/v1/repos/acme/new/issues",
                "https://forge.test:3000/git/api/v1/repos/acme/new/issues",
                "http://forge.test:3001/git/api/v1/repos/acme/new/issues",
                "http://forge.test/git/api/v1/repos/acme/new/issues",
                "http://user@forge.test:3000/git/api/v1/repos/acme/new/issues",
                "/git/api/v1/repos/acme/new/issues?token=1",
                "/git/api/v1/repos/acme/new",
                "/git/api/v1/admin/users",
                "/git/api/v1/../../elsewhere/repos/a/b/issues",
                "/git/user/login",
                "javascript:alert(1)",
                "",
            ] {
                let answer = read_as(status, Some(location), "");
                assert_eq!(answer, Answer::Refused(Refusal::Elsewhere), "{status} {location}");
            }
            assert_eq!(read_as(status, None, ""), Answer::Refused(Refusal::Elsewhere));
        }
    }
}
