//! Whether a browser says that another origin caused a request: for every room that does what a request asks for.

use http::header::{self, HeaderMap};
use http::{HeaderName, HeaderValue};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the browser says that another origin than ours caused this request: by a foreign `Origin`, or by Fetch Metadata
/// that says cross-site or same-site.
pub fn comes_from_elsewhere(headers: &HeaderMap, our_origin: &str) -> bool {
    let sites = || headers.get_all(FETCH_SITE).iter().map(HeaderValue::as_bytes);
    // A form on a page with `no-referrer`, as our own are, says `null`; then Fetch Metadata tells whose page that was.
    let same_origin = sites().next().is_some() && sites().all(|site| site == b"same-origin");
    let foreign = |value: &HeaderValue| {
        let origin = value.as_bytes();
        origin != our_origin.as_bytes() && !(same_origin && origin == b"null")
    };
    headers.get_all(header::ORIGIN).iter().any(foreign)
        || sites().any(|site| !matches!(site, b"same-origin" | b"none"))
}
