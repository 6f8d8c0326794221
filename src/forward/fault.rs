//! What can go wrong between here and an upstream, and by whose fault.

use http::StatusCode;
use hyper_util::client::legacy;

use crate::base::fault::{Fault, cause};

const fn fault(status: StatusCode, reason: &'static str, title: &'static str) -> Fault {
    Fault { status, reason, title }
}

pub(super) const NO_ROUTE: Fault =
    fault(StatusCode::NOT_FOUND, "no_route", "There is no application at this address");
pub(super) const BAD_TARGET: Fault =
    fault(StatusCode::BAD_REQUEST, "bad_target", "The request does not name a path");
pub(super) const BODY_BROKEN: Fault =
    fault(StatusCode::BAD_REQUEST, "request_body_broken", "The request's body is malformed or incomplete");
pub(super) const LOOP: Fault =
    fault(StatusCode::LOOP_DETECTED, "proxy_loop", "The request has passed this proxy before");
pub(super) const BUSY: Fault = fault(
    StatusCode::SERVICE_UNAVAILABLE,
    "upstream_busy",
    "The application has too much to do at the moment",
);
pub(super) const UNREACHABLE: Fault =
    fault(StatusCode::BAD_GATEWAY, "upstream_unreachable", "The application cannot be reached");
pub(super) const UNTRUSTED: Fault =
    fault(StatusCode::BAD_GATEWAY, "upstream_untrusted", "The application's certificate cannot be trusted");
pub(super) const BROKEN: Fault =
    fault(StatusCode::BAD_GATEWAY, "upstream_broken", "The application gave no proper answer");
pub(super) const SILENT: Fault =
    fault(StatusCode::GATEWAY_TIMEOUT, "upstream_silent", "The application did not answer in time");

/// Whose fault a failed exchange is. A request's body that ended in a [`Fault`] of its own keeps it.
pub(super) fn of(error: &legacy::Error) -> Fault {
    if let Some(fault) = cause::<Fault>(error) {
        return *fault;
    }
    let timed_out =
        cause::<std::io::Error>(error).is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
    match cause::<hyper::Error>(error) {
        // The only part of a request that can fail at this point is its body.
        Some(error) if error.is_user() => BODY_BROKEN,
        _ if !error.is_connect() => BROKEN,
        _ if timed_out => SILENT,
        _ if cause::<rustls::Error>(error).is_some() => UNTRUSTED,
        _ => UNREACHABLE,
    }
}
