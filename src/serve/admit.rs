//! What a request must be before anybody looks at it, pure. hyper has let through neither malformed framing, nor too many
//! lines, nor a head of more than twice the length that is allowed: [`unread`](crate::serve::unread) explains those.

use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version, request};

use crate::base::fault::Fault;
use crate::serve::body::TOO_LARGE;
use crate::serve::settings::Limits;

pub(super) const fn fault(status: StatusCode, reason: &'static str, title: &'static str) -> Fault {
    Fault { status, reason, title }
}

pub(super) const TARGET_TOO_LONG: Fault =
    fault(StatusCode::URI_TOO_LONG, "target_too_long", "The request's address is too long");
pub(super) const HEAD_TOO_LARGE: Fault =
    fault(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "The request's head is too large");
const BAD_HOST: Fault =
    fault(StatusCode::BAD_REQUEST, "bad_host", "The request must name exactly one host (RFC 9112 §3.2)");
const BAD_TARGET: Fault = fault(
    StatusCode::BAD_REQUEST,
    "bad_target",
    "The request's target must be a path or a whole URL (RFC 9112 §3.2)",
);
const NO_SUCH_METHOD: Fault =
    fault(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This method is not served here");

/// Admits a request, its target in origin-form, or says why not. `length` is that of its body, if it is told.
pub(super) fn admit(head: &mut request::Parts, length: Option<u64>, limits: &Limits) -> Result<(), Fault> {
    // A tunnel would leave all rules behind; an echo of the request would show what the proxy adds.
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(NO_SUCH_METHOD);
    }
    one_target(head)?;
    if head.uri.path_and_query().map_or(0, |target| target.as_str().len()) > limits.max_target_bytes {
        return Err(TARGET_TOO_LONG);
    }
    if length_of(head) > limits.max_head_bytes {
        return Err(HEAD_TOO_LARGE);
    }
    one_host(head)?;
    if length.is_some_and(|length| length > limits.max_body_bytes) {
        return Err(TOO_LARGE);
    }
    Ok(())
}

/// About how long a head is: its target, and each line with a colon, a space and an end.
fn length_of(head: &request::Parts) -> usize {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() + target
}

/// Sees to it that the target is in origin-form or absolute-form. `admin` would else be taken for a host, and the request
/// for one of its root; `*` asks about the server as a whole, which is nobody's to ask (RFC 9112 §3.2.3, §3.2.4).
fn one_target(head: &request::Parts) -> Result<(), Fault> {
    match (head.uri.path(), head.uri.authority(), head.uri.scheme()) {
        ("*", ..) if head.method == Method::OPTIONS => Err(NO_SUCH_METHOD),
        ("*", ..) | (_, Some(_), None) => Err(BAD_TARGET),
        _ => Ok(()),
    }
}

/// Sees to it that one `Host` stands there and that the target has none of its own: in absolute-form the target's
/// counts (RFC 9112 §3.2.2).
fn one_host(head: &mut request::Parts) -> Result<(), Fault> {
    let hosts = head.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && head.version >= Version::HTTP_11) {
        return Err(BAD_HOST);
    }
    let Some(authority) = head.uri.authority() else {
        return Ok(());
    };
    if authority.as_str().contains('@') {
        return Err(BAD_HOST);
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| BAD_HOST)?;
    head.headers.insert(header::HOST, host);
    let target = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from(target);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::request::Builder;
    use http::{Method, Request, Version};

    use super::{BAD_HOST, BAD_TARGET, HEAD_TOO_LARGE, NO_SUCH_METHOD, TARGET_TOO_LONG, admit};
    use crate::base::fault::Fault;
    use crate::serve::body::TOO_LARGE;
    use crate::serve::settings::Limits;

    fn check(request: Builder, length: Option<u64>) -> Result<(String, String), Fault> {
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        admit(&mut head, length, &Limits { max_body_bytes: 10, ..Limits::default() })?;
        Ok((head.uri.to_string(), head.headers["host"].to_str().unwrap().to_owned()))
    }

    fn get(target: &str) -> Builder {
        Request::get(target).header("Host", "a.example")
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with what may fail")]
    fn passed(target: &str, host: &str) -> Result<(String, String), Fault> {
        Ok((target.to_owned(), host.to_owned()))
    }

    #[test]
    fn tunnels_and_echoes_are_refused() {
        assert_eq!(check(get("b.example:443").method(Method::CONNECT), None), Err(NO_SUCH_METHOD));
        assert_eq!(check(get("/").method(Method::TRACE), None), Err(NO_SUCH_METHOD));
        assert_eq!(check(get("/").method("PROPFIND"), None), passed("/", "a.example"));
    }

    #[test]
    fn a_target_is_a_path_or_a_whole_url() {
        assert_eq!(check(get("*").method(Method::OPTIONS), None), Err(NO_SUCH_METHOD));
        for target in ["*", "admin", "a.example:443", "a.example"] {
            assert_eq!(check(get(target), None), Err(BAD_TARGET), "{target}");
        }
    }

    #[test]
    fn a_target_and_a_body_have_a_longest_length() {
        let longest = format!("/{}", "x".repeat(8191));
        assert_eq!(check(get(&longest), Some(10)), passed(&longest, "a.example"));
        assert_eq!(check(get(&format!("{longest}x")), None), Err(TARGET_TOO_LONG));
        assert_eq!(check(get("/"), Some(11)), Err(TOO_LARGE));
    }

    #[test]
    fn a_head_has_a_longest_length() {
        let wide = |bytes: usize| get("/").header("Cookie", "y".repeat(bytes));
        // `/`, `host: a.example`, `cookie: ` and both ends.
        let others = 1 + 4 + 9 + 4 + 6 + 4;
        assert_eq!(check(wide(64 * 1024 - others), None), passed("/", "a.example"));
        assert_eq!(check(wide(64 * 1024 - others + 1), None), Err(HEAD_TOO_LARGE));
    }

    #[test]
    fn there_is_exactly_one_host() {
        assert_eq!(check(get("/").header("Host", "a.example"), None), Err(BAD_HOST));
        assert_eq!(check(Request::get("/"), None), Err(BAD_HOST));
        let old = Request::get("http://b.example/").version(Version::HTTP_10);
        assert_eq!(check(old, None), passed("/", "b.example"));
    }

    #[test]
    fn a_host_in_the_target_replaces_the_header() {
        assert_eq!(check(get("http://B.example:81/x?y=%2F"), None), passed("/x?y=%2F", "B.example:81"));
        assert_eq!(check(get("http://user@b.example/"), None), Err(BAD_HOST));
    }
}
