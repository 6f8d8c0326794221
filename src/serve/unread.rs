//! Bytes that never became a request: why, pure, and the answer that says so.
//!
//! hyper would give a bare status; [`turn`](crate::serve::turn) keeps it back. The answer is made where all refusals are
//! made, and a second connection of hyper's writes it, that reads a request of ours: so it is encoded, dated and bounded
//! like every other answer.

use std::convert::Infallible;
use std::future::ready;

use http::{HeaderMap, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, join};

use crate::base::fault::Fault;
use crate::base::peer::Peer;
use crate::serve::admit::{HEAD_TOO_LARGE, TARGET_TOO_LONG, fault};
use crate::serve::edge::Answers;
use crate::serve::linger::linger;
use crate::wire::name;

/// Stands for the request that there is none of: hyper answers nothing else. Nobody is shown it.
const NONE: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

const BAD_SYNTAX: Fault =
    fault(StatusCode::BAD_REQUEST, "bad_syntax", "What was sent is not a request in HTTP/1.1 (RFC 9112)");
const TOO_MANY_HEADERS: Fault = fault(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "too_many_headers",
    "The request has too many header lines",
);
const HTTP2: Fault =
    fault(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http2", "HTTP/2 is not spoken here, HTTP/1.1 is");
const HEAD_TOO_SLOW: Fault =
    fault(StatusCode::REQUEST_TIMEOUT, "head_too_slow", "The request's head did not arrive in time");
const HEAD_BROKEN: Fault =
    fault(StatusCode::BAD_REQUEST, "head_broken", "The request ended in the middle of its head");

/// Why a connection ended, as hyper tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It could make nothing of what came.
    Syntax,
    /// What came is how HTTP/2 begins.
    Http2,
    /// No head came in time.
    Time,
    /// Nothing more comes.
    Eof,
    /// Anything else: there is nobody to answer, or an answer has begun.
    Other,
}

impl End {
    pub(super) fn of(error: &hyper::Error) -> Self {
        if error.is_parse_version_h2() {
            Self::Http2
        } else if error.is_parse() {
            Self::Syntax
        } else if error.is_timeout() {
            Self::Time
        } else if error.is_incomplete_message() {
            Self::Eof
        } else {
            Self::Other
        }
    }
}

/// What was wrong with bytes that never became a request; none: nothing, for there were none. `hypers` is the status that
/// hyper would have given, `begun` what there is of a head, `head_bytes` how much there may be, `is_first` whether there was no request before.
pub(super) fn why(
    end: End,
    hypers: Option<StatusCode>,
    begun: &[u8],
    head_bytes: usize,
    is_first: bool,
) -> Option<Fault> {
    // Empty lines before a request are nothing (RFC 9112 §2.2).
    let is_begun = begun.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
    match (end, hypers) {
        (_, Some(StatusCode::URI_TOO_LONG)) => Some(TARGET_TOO_LONG),
        // hyper has one word for both, and refuses more lines than it has room for wherever they end.
        (_, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)) if begun.len() < head_bytes => {
            Some(TOO_MANY_HEADERS)
        }
        (_, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)) => Some(HEAD_TOO_LARGE),
        (End::Http2, _) => Some(HTTP2),
        (End::Syntax, _) | (_, Some(_)) => Some(BAD_SYNTAX),
        // A connection that is kept, and unused for long enough, or closed by the client.
        (End::Time | End::Eof, None) if !is_begun => None,
        // On a kept one hyper counts from the last answer: the head may have come at once, just too late for its connection.
        // Who sent it tries again on another, and is not to be given an answer to pass on.
        (End::Time, None) if !is_first => None,
        (End::Time, None) => Some(HEAD_TOO_SLOW),
        (End::Eof, None) => Some(HEAD_BROKEN),
        (End::Other, None) => None,
    }
}

/// Says why, to the client and in the log, and closes.
pub(super) async fn explain<I, S>(mut io: I, service: S, peer: Peer, fault: Fault, error: &hyper::Error)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Answers,
{
    let refuse = move |_| {
        let answer = service.refuse(None, fault);
        tell(peer, fault, Some(answer.headers()), error);
        ready(Ok::<_, Infallible>(answer))
    };
    let mut builder = http1::Builder::new();
    // Without `half_close` the end of the request of ours would be that of the connection, answered or not.
    builder.keep_alive(false).half_close(true);
    let said = builder.serve_connection(TokioIo::new(join(NONE, &mut io)), service_fn(refuse)).await;
    if said.is_ok() {
        linger(io).await;
    }
}

/// The line of the log, with the id of our answer if there is one. hyper's own words are fixed: neither they nor ours repeat a
/// byte of what came.
pub(super) fn tell(peer: Peer, fault: Fault, answer: Option<&HeaderMap>, error: &hyper::Error) {
    let id = answer.and_then(|answer| answer.get(name::REQUEST_ID)).and_then(|id| id.to_str().ok());
    tracing::info!(
        %peer,
        reason = fault.reason,
        status = fault.status.as_u16(),
        request_id = id,
        %error,
        "a request that is none was refused"
    );
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn what_was_wrong_has_one_reason_and_nothing_at_all_has_none() {
        let check = |end, hypers: Option<StatusCode>, begun, expected: Option<Fault>| {
            assert_eq!(
                why(end, hypers, &vec![b'x'; begun], 100, true),
                expected,
                "{end:?} {hypers:?} {begun}"
            );
        };
        let too_large = Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        check(End::Syntax, Some(StatusCode::BAD_REQUEST), 9, Some(BAD_SYNTAX));
        check(End::Syntax, Some(StatusCode::URI_TOO_LONG), 9, Some(TARGET_TOO_LONG));
        check(End::Syntax, too_large, 99, Some(TOO_MANY_HEADERS));
        check(End::Syntax, too_large, 100, Some(HEAD_TOO_LARGE));
        // hyper says nothing, or something that is not known of it.
        check(End::Syntax, None, 9, Some(BAD_SYNTAX));
        check(End::Other, Some(StatusCode::IM_A_TEAPOT), 9, Some(BAD_SYNTAX));
        check(End::Http2, None, 24, Some(HTTP2));
        check(End::Time, None, 9, Some(HEAD_TOO_SLOW));
        check(End::Eof, None, 9, Some(HEAD_BROKEN));
        for end in [End::Time, End::Eof, End::Other] {
            check(end, None, 0, None);
            assert_eq!(why(end, None, b"\r\n", 100, true), None, "{end:?}");
        }
        check(End::Other, None, 9, None);
        assert_eq!(why(End::Time, None, b"GET", 100, false), None, "a kept connection");
    }
}
