//! What belongs to one hop only (RFC 9110 §7.6), pure.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Version, response};

/// Our name in `Via` (RFC 9110 §7.6.3): a pseudonym, since a host name would tell of the inside.
const PSEUDONYM: &str = "hero_proxy";

/// Whether a request has passed a proxy of our name already.
pub(super) fn is_loop(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::VIA)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|hop| hop.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(1))
        .any(|by| by.eq_ignore_ascii_case(PSEUDONYM.as_bytes()))
}

/// Says that the request came through here, by the protocol it came in.
pub(super) fn add_via(headers: &mut HeaderMap, version: Version) {
    let hop = if version == Version::HTTP_10 { "1.0 hero_proxy" } else { "1.1 hero_proxy" };
    headers.append(header::VIA, HeaderValue::from_static(hop));
}

/// Takes out of an answer what was meant for us alone: the fields of the hop and every field that `Connection` names,
/// framing and type excepted. The others stay, and lines of one name keep their order.
pub(super) fn unhop(head: &mut response::Parts) {
    let headers = &mut head.headers;
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // The length of a message is what its transfer coding says (RFC 9112 §6.3); a length beside it is a lie.
        headers.remove(header::CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::CONTENT_TYPE)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    head.version = Version::HTTP_11;
}

/// RFC 9110 §7.6.1, and `Trailer`, since trailers end here.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Response, Version};

    use super::{add_via, is_loop, unhop};

    fn via(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (http::header::VIA, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn our_name_in_via_is_a_loop_wherever_it_stands() {
        for lines in
            [&["1.1 hero_proxy"][..], &["1.0 a, 1.1 Hero_Proxy (x)"], &["1.1 a", "HTTP/1.1\thero_proxy"]]
        {
            assert!(is_loop(&via(lines)), "{lines:?}");
        }
        for lines in [&[][..], &["1.1 hero_proxy2"], &["hero_proxy"], &["1.1 other (hero_proxy)"]] {
            assert!(!is_loop(&via(lines)), "{lines:?}");
        }
    }

    #[test]
    fn via_is_added_behind_those_before() {
        let mut headers = via(&["1.1 front"]);
        add_via(&mut headers, Version::HTTP_11);
        assert_eq!(headers, via(&["1.1 front", "1.1 hero_proxy"]));
        assert!(is_loop(&headers));
    }

    #[test]
    fn what_connection_names_goes_and_the_rest_stays() {
        let response = Response::builder()
            .header("Connection", "close, X-Hop ,content-length")
            .header("Connection", "x-second")
            .header("X-Hop", "1")
            .header("X-Second", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Authenticate", "Basic")
            .header("Upgrade", "h2c")
            .header("Content-Length", "0")
            .header("Set-Cookie", "a=1")
            .header("X-Kept", "1")
            .header("Set-Cookie", "b=2")
            .body(())
            .unwrap();
        let (mut head, ()) = response.into_parts();
        unhop(&mut head);
        let mut names: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "set-cookie", "x-kept"]);
        let cookies: Vec<_> = head.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_not_passed_on() {
        let response = Response::builder()
            .header("Content-Length", "5")
            .header("Transfer-Encoding", "chunked")
            .body(())
            .unwrap();
        let (mut head, ()) = response.into_parts();
        unhop(&mut head);
        assert!(head.headers.is_empty());
    }
}
