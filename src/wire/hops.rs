//! The addresses that a request came through, as a believed peer tells them (`X-Forwarded-For`).
//!
//! Each proxy adds the address that it was called from at the right end. So the list is read from there, and only as far
//! as it makes sense: whoever wrote something that is no address is nobody that we know, and what stands left of it came
//! from there.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

/// The part of a list that makes sense: addresses without ports, IPv4 as IPv4, in their order. None: nothing does.
pub(super) fn believed<'a>(lines: impl DoubleEndedIterator<Item = &'a HeaderValue>) -> Option<HeaderValue> {
    let from_the_right = lines
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty());
    let mut hops: Vec<String> =
        from_the_right.map_while(address).map(|address| address.to_string()).collect();
    hops.reverse();
    HeaderValue::try_from(hops.join(", ")).ok().filter(|list| !list.is_empty())
}

fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse().or_else(|_| text.parse().map(|with: SocketAddr| with.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&'static str], expected: Option<&str>) {
        let lines: Vec<HeaderValue> = lines.iter().map(|line| HeaderValue::from_static(line)).collect();
        let found = believed(lines.iter());
        assert_eq!(found.as_ref().map(|list| list.to_str().unwrap()), expected, "{lines:?}");
    }

    /// Holds: H13.
    #[test]
    fn a_list_counts_from_the_right_up_to_what_is_no_address() {
        check(&[], None);
        check(&["", " , "], None);
        check(&["203.0.113.7"], Some("203.0.113.7"));
        check(&["203.0.113.7", "2001:DB8::1,10.0.0.1"], Some("203.0.113.7, 2001:db8::1, 10.0.0.1"));
        check(&["[2001:db8::1]:80, 203.0.113.7:80, [::1]"], Some("2001:db8::1, 203.0.113.7, ::1"));
        check(&["::ffff:203.0.113.7"], Some("203.0.113.7"));
        for junk in ["unknown", "_x", "localhost", "203.0.113.256", "fe80::1%eth0", "\"[::1]\"", "1.2.3.4 5"]
        {
            let line: &'static str = Box::leak(format!("10.0.0.1, {junk}, 10.0.0.2").into_boxed_str());
            check(&[line], Some("10.0.0.2"));
        }
    }
}
