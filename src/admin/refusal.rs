//! A request that is turned away before anything was looked at that it asks for: said once here, shown as problem+json
//! to programs and as a page to people.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::json;

use crate::admin::access::Denied;
use crate::base::fault::{Fault, cause};

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Its answers.
pub type AdminAnswer = Response<Full<Bytes>>;

/// Why a request was turned away.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    /// A stable word.
    pub reason: &'static str,
    /// A sentence without a full stop.
    pub title: &'static str,
    /// A header that belongs to the status.
    pub header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) const fn new(status: StatusCode, reason: &'static str, title: &'static str) -> Self {
        Self { status, reason, title, header: None }
    }

    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// As problem+json (RFC 9457).
    pub(super) fn problem(self) -> AdminAnswer {
        let problem = json!({
            "type": format!("urn:hero-proxy:{}", self.reason), "title": self.title,
            "status": self.status.as_u16(), "reason": self.reason,
        });
        let mut answer = with_type(self.status, "application/problem+json", problem.to_string());
        answer.headers_mut().extend(self.header);
        answer
    }
}

impl From<Denied> for Refusal {
    fn from(why: Denied) -> Self {
        let (status, title) = match why {
            Denied::Nobody => (StatusCode::UNAUTHORIZED, "sign in first, or send an API key"),
            Denied::BadKey => (StatusCode::UNAUTHORIZED, "this API key does not count"),
            Denied::NotAllowed => (StatusCode::FORBIDDEN, "you are signed in, and may not do this"),
            Denied::ForgeUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "the forge cannot say now whether you may do this")
            }
            Denied::Records => {
                (StatusCode::SERVICE_UNAVAILABLE, "the records cannot say now whether this key counts")
            }
            Denied::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "too many calls; wait a little"),
        };
        let refusal = Self::new(status, why.reason(), title);
        match why {
            Denied::Nobody | Denied::BadKey => refusal.with(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"hero_proxy admin\""),
            ),
            Denied::TooOften(wait) => refusal.with(header::RETRY_AFTER, retry_after(wait)),
            Denied::ForgeUnavailable | Denied::Records => {
                refusal.with(header::RETRY_AFTER, HeaderValue::from_static("5"))
            }
            Denied::NotAllowed => refusal,
        }
    }
}

fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_millis().div_ceil(1000).clamp(1, 3600) as u64)
}

/// Sent by a page of another site.
pub(super) fn foreign() -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "admin_foreign_origin", "this was sent by another site's page")
}

/// Not with this method.
pub(super) fn bad_method(title: &'static str, allowed: &'static str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "admin_bad_method", title)
        .with(header::ALLOW, HeaderValue::from_static(allowed))
}

/// Whether a body is of this type, with or without parameters; one line says so.
pub(super) fn is_type(headers: &http::HeaderMap, wanted: &str) -> bool {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let kind = line.to_str().ok().and_then(|line| line.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// Reads a body to its end, [`MAX_BODY`] at most.
pub(super) async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(failed) => Err(match cause::<Fault>(&*failed) {
            Some(fault) => Refusal::new(fault.status, fault.reason, fault.title),
            None if failed.is::<http_body_util::LengthLimitError>() => Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "admin_body_too_long",
                "a body has 64 KiB at most",
            ),
            None => Refusal::new(StatusCode::BAD_REQUEST, "admin_body_cut", "the body did not come whole"),
        }),
    }
}

pub(super) fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> AdminAnswer {
    let mut answer = bare(status, body.into());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// An answer with nothing but the headers that all of ours have.
pub(super) fn bare(status: StatusCode, body: Bytes) -> AdminAnswer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    answer.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}
