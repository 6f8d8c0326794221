//! What belongs to one hop only (RFC 9110 §7.6), pure.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Version, response};

/// What this process is called in `Via` (RFC 9110 §7.6.3). A pseudonym, since a host name would tell of the inside; and
/// one that no other process has, since behind a hero_proxy there may be another one, and that is no loop.
#[derive(Debug)]
pub(super) struct OurName {
    name: String,
    http_10: HeaderValue,
    http_11: HeaderValue,
}

impl OurName {
    /// A name with a mark of this process's own in it, letters and digits.
    pub(super) fn new(mark: &str) -> Self {
        let name = format!("hero_proxy-{mark}");
        let hop = |version: &str| {
            HeaderValue::try_from(format!("{version} {name}"))
                .unwrap_or(HeaderValue::from_static("1.1 hero_proxy"))
        };
        Self { http_10: hop("1.0"), http_11: hop("1.1"), name }
    }

    /// Whether a request has passed here already.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::VIA)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .filter_map(|hop| hop.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(1))
            .any(|by| by.eq_ignore_ascii_case(self.name.as_bytes()))
    }

    /// Says that the request came through here, by the protocol it came in.
    pub(super) fn add_to(&self, headers: &mut HeaderMap, version: Version) {
        let hop = if version == Version::HTTP_10 { &self.http_10 } else { &self.http_11 };
        headers.append(header::VIA, hop.clone());
    }
}

/// Whether a request may go on by its `Max-Forwards`, which is lowered by one (RFC 9110 §7.6.2). What is no number is no
/// limit.
pub(super) fn may_go_on(headers: &mut HeaderMap) -> bool {
    let mut lines = headers.get_all(header::MAX_FORWARDS).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return true };
    let text = line.to_str().unwrap_or_default();
    match text.parse::<u64>() {
        Ok(left) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            if let Some(left) = left.checked_sub(1) {
                headers.insert(header::MAX_FORWARDS, left.into());
            }
            left > 0
        }
        _ => true,
    }
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

    use super::{OurName, may_go_on, unhop};

    fn via(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (http::header::VIA, HeaderValue::from_static(line))).collect()
    }

    /// Holds: P5.
    #[test]
    fn our_name_in_via_is_a_loop_wherever_it_stands() {
        let ours = OurName::new("aB3");
        for lines in [
            &["1.1 hero_proxy-aB3"][..],
            &["1.0 a, 1.1 Hero_Proxy-AB3 (x)"],
            &["1.1 a", "HTTP/1.1\thero_proxy-aB3"],
        ] {
            assert!(ours.is_in(&via(lines)), "{lines:?}");
        }
        for lines in [
            &[][..],
            &["1.1 hero_proxy"],
            &["1.1 hero_proxy-aB4"],
            &["1.1 hero_proxy-aB3x"],
            &["hero_proxy-aB3"],
            &["1.1 other (hero_proxy-aB3)"],
        ] {
            assert!(!ours.is_in(&via(lines)), "{lines:?}");
        }
    }

    #[test]
    fn via_is_added_behind_those_before() {
        let mut headers = via(&["1.1 front"]);
        let ours = OurName::new("aB3");
        ours.add_to(&mut headers, Version::HTTP_11);
        assert_eq!(headers, via(&["1.1 front", "1.1 hero_proxy-aB3"]));
        assert!(ours.is_in(&headers));
    }

    /// Holds: P4 (Max-Forwards).
    #[test]
    fn max_forwards_is_lowered_to_nought_and_no_further() {
        let check = |lines: &[&'static str], goes_on: bool, left: &[&str]| {
            let name = http::header::MAX_FORWARDS;
            let mut headers: HeaderMap =
                lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect();
            assert_eq!(may_go_on(&mut headers), goes_on, "{lines:?}");
            assert_eq!(headers.get_all(&name).iter().collect::<Vec<_>>(), left, "{lines:?}");
        };
        check(&[], true, &[]);
        check(&["2"], true, &["1"]);
        check(&["1"], true, &["0"]);
        check(&["0"], false, &["0"]);
        check(&["007"], true, &["6"]);
        for odd in ["", "-1", "+1", "1.5", "99999999999999999999"] {
            check(&[odd], true, &[odd]);
        }
        check(&["0", "0"], true, &["0", "0"]);
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
