//! Every answer that the gate gives itself. All of them are for one person at one moment: no cache may keep them.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use crate::base::fault::Code;
use crate::gate::pages::{Action, POLICY, Page, SessionsPage};
use crate::gate::reason::Reason;
use crate::gate::verdict::{Answer, Asked, Reader};
use crate::wire::name;

/// How long a client waits before it asks again, in seconds, where a 503 says so.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// What a refusal offers beside its words.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    /// Further sentences.
    pub lines: Vec<String>,
    /// Links.
    pub actions: Vec<Action>,
    /// Where "sign out" posts to, if it is offered.
    pub sign_out: Option<String>,
    /// Who is signed in.
    pub who: Option<String>,
    /// Where a program finds the sign-in.
    pub login_url: Option<String>,
}

/// An answer with nothing but the headers that all of ours have.
/// **Source**: RFC 9111 §5.2.2.5; RFC 9700 §4.2, §4.16.
fn bare(status: StatusCode, body: Bytes, asked: &Asked) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let policy = HeaderValue::from_str(&POLICY).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let fixed = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        (name::REQUEST_ID, asked.request_id.clone()),
    ];
    answer.headers_mut().extend(fixed);
    answer
}

/// 303 to somewhere: never 307 or 308, which would repeat a POST (RFC 9700 §4.12).
pub(super) fn see_other(location: &str, asked: &Asked) -> Answer {
    let mut answer = bare(StatusCode::SEE_OTHER, Bytes::new(), asked);
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// A JSON document of ours.
pub(super) fn document(value: &serde_json::Value, asked: &Asked) -> Answer {
    typed(StatusCode::OK, "application/json", value.to_string(), asked)
}

fn typed(status: StatusCode, kind: &'static str, body: String, asked: &Asked) -> Answer {
    let mut answer = bare(status, Bytes::from(body), asked);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept, Sec-Fetch-Mode, Cookie"));
    answer
}

/// The page of somebody's own sessions.
pub(super) fn page(page: &SessionsPage<'_>, asked: &Asked) -> Answer {
    typed(StatusCode::OK, "text/html; charset=utf-8", page.html(), asked)
}

/// A refusal, as a page for a person and as problem+json (RFC 9457) for a program.
pub(super) fn refuse(reason: Reason, offer: Offer, asked: &Asked) -> Answer {
    explain(reason.status, reason.code, reason.title, reason.advice, offer, asked)
}

/// Where a page leads that has no way out of its own: what may work later is tried again, and what was wrong is left.
fn way_out(status: StatusCode, reader: Reader) -> Option<Action> {
    // Nothing is served under this name, or nothing to this browser, so there is nothing that could be linked to.
    if matches!(status, StatusCode::MISDIRECTED_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) {
        return None;
    }
    // An empty reference is the page's own address. A form's is not one to open.
    let again = status.is_server_error() && reader == Reader::Navigation;
    Some(if again {
        Action { id: "again", href: String::new(), label: "Try again", main: true, apart: false }
    } else {
        Action { id: "start", href: "/".to_owned(), label: "Go to the start page", main: true, apart: false }
    })
}

/// The same, for a fault that another room has named. Each line of the advice is a paragraph.
pub(super) fn explain(
    status: StatusCode,
    code: &'static str,
    title: &str,
    advice: &str,
    offer: Offer,
    asked: &Asked,
) -> Answer {
    let request_id = asked.request_id.to_str().unwrap_or_default();
    let mut answer = match asked.reader {
        Reader::Program => {
            let mut problem = json!({
                "type": format!("urn:hero-proxy:{code}"), "title": title, "status": status.as_u16(),
                "detail": advice.replace('\n', " "),
                "reason": code, "request_id": request_id,
            });
            if let Some(members) = problem.as_object_mut() {
                let further = [("login_url", offer.login_url), ("user", offer.who)];
                members.extend(
                    further.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))),
                );
            }
            typed(status, "application/problem+json", problem.to_string(), asked)
        }
        Reader::Navigation | Reader::Page => {
            let mut page = Page::new(title, code, request_id);
            page.lines = advice.lines().map(str::to_owned).chain(offer.lines).collect();
            page.actions = offer.actions;
            if page.actions.is_empty() && offer.sign_out.is_none() {
                page.actions.extend(way_out(status, asked.reader));
            }
            page.sign_out = offer.sign_out;
            page.who = offer.who.as_deref();
            typed(status, "text/html; charset=utf-8", page.html(), asked)
        }
    };
    answer.extensions_mut().insert(Code(code));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_a_way_out_of_its_own_gets_one() {
        let check = |status, reader, expected: Option<&str>| {
            assert_eq!(
                way_out(status, reader).map(|action| action.href).as_deref(),
                expected,
                "{status} {reader:?}"
            );
        };
        check(StatusCode::BAD_GATEWAY, Reader::Navigation, Some(""));
        // What a form was sent to is nothing to open.
        check(StatusCode::BAD_GATEWAY, Reader::Page, Some("/"));
        check(StatusCode::NOT_FOUND, Reader::Navigation, Some("/"));
        check(StatusCode::MISDIRECTED_REQUEST, Reader::Navigation, None);
        check(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Reader::Navigation, None);
    }
}
