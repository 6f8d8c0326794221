//! A failure that a visitor must be told of. The room that meets it names it; the gate makes the page or the
//! problem+json out of it, so that all of them look alike.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

/// Why there is no proper answer. It travels in a response's extensions, beside an empty body; a request's body that
/// breaks a limit ends in one as its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Fault {
    /// The status of the answer.
    pub status: StatusCode,
    /// A stable, documented code: lower case, underscores.
    pub reason: &'static str,
    /// One plain sentence for people, without a full stop; nothing of the inside in it.
    pub title: &'static str,
}

impl Fault {
    /// The answer, as problem+json (RFC 9457), of what has no gate before it.
    pub fn problem(&self) -> Response<String> {
        let Self { status, reason, title } = self;
        let body = serde_json::json!({
            "type": format!("urn:hero-proxy:{reason}"), "title": title, "status": status.as_u16(), "reason": reason,
        });
        let mut answer = Response::new(body.to_string());
        *answer.status_mut() = *status;
        let fixed = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        answer.headers_mut().extend(fixed);
        answer
    }
}

/// The code of an answer of ours, in its extensions: for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub &'static str);

/// Looks for an error of one type in an error and its sources, those inside an [`std::io::Error`] too.
pub fn cause<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An io::Error's source is the source of what it wraps, so what it wraps would be skipped.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::StatusCode;

    use super::{Fault, cause};

    const FAULT: Fault =
        Fault { status: StatusCode::BAD_GATEWAY, reason: "upstream_failed", title: "It failed" };

    #[test]
    fn a_fault_is_found_inside_io_errors() {
        let error = io::Error::other(io::Error::other(FAULT));
        assert_eq!(cause::<Fault>(&error), Some(&FAULT));
        assert_eq!(cause::<Fault>(&io::Error::other("plain")), None);
    }
}
