//! The addresses that a request came through, as a believed peer tells them: `X-Forwarded-For`, and `Forwarded` (RFC 7239).
//!
//! Each proxy adds the address that it was called from at the right end. So the list is read from there, and only as far
//! as it makes sense: whoever wrote something that is no address is nobody that we know, and what stands left of it came
//! from there. What else `Forwarded` may say (`proto`, `host`, `by`) is not kept: scheme and host are configured.

use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

/// The same of `Forwarded`: its elements from the right as far as their `for` is an address, each as its `for` alone.
pub(super) fn believed_elements<'a>(
    lines: impl DoubleEndedIterator<Item = &'a HeaderValue>,
) -> Option<HeaderValue> {
    let from_the_right = lines.rev().flat_map(|line| elements(line).into_iter().rev());
    let mut hops: Vec<String> = from_the_right.map_while(|hop| hop).map(element).collect();
    hops.reverse();
    HeaderValue::try_from(hops.join(", ")).ok().filter(|list| !list.is_empty())
}

/// One element of `Forwarded` that says where a request came from (RFC 7239 §6): an IPv6 address is bracketed and quoted.
pub fn element(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("for={address}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    }
}

/// The addresses that a line's elements name; none for an element that names none, and for a line that is no list.
fn elements(line: &HeaderValue) -> Vec<Option<IpAddr>> {
    let Some(parts) = line.to_str().ok().and_then(|text| split(text, ',')) else { return vec![None] };
    let said = parts.into_iter().filter(|part| !part.trim().is_empty());
    said.map(|part| split(part, ';').and_then(|pairs| node_of(&pairs))).collect()
}

/// Splits a text at a separator that stands outside of quotes; none if a quote is left open.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let ends: Vec<usize> = text
        .char_indices()
        .filter(|(_, character)| {
            let ends = *character == separator && !quoted;
            let quote = *character == '"' && !escaped;
            escaped = quoted && !escaped && *character == '\\';
            quoted ^= quote;
            ends
        })
        .map(|(at, _)| at)
        .collect();
    let begins = iter::once(0).chain(ends.iter().map(|at| at + separator.len_utf8()));
    let parts = begins.zip(ends.iter().copied().chain(iter::once(text.len())));
    if quoted { None } else { parts.map(|(begin, end)| text.get(begin..end)).collect() }
}

/// The address that an element's only `for` names.
fn node_of(pairs: &[&str]) -> Option<IpAddr> {
    let mut nodes = pairs
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let ((_, node), None) = (nodes.next()?, nodes.next()) else { return None };
    let node = node.trim();
    let Some(quoted) = node.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        // A token has no colon and no bracket in it (RFC 7239 §4).
        return node.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    };
    let bracketed = quoted.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (address, port): (IpAddr, &str) = if let Some((address, port)) = bracketed {
        (address.parse::<Ipv6Addr>().ok()?.into(), port)
    } else {
        let (address, port) = quoted.split_at(quoted.find(':').unwrap_or(quoted.len()));
        (address.parse::<Ipv4Addr>().ok()?.into(), port)
    };
    let is_port =
        |digits: &str| digits.parse::<u16>().is_ok() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| address.to_canonical())
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

    fn check_elements(lines: &[&'static str], expected: Option<&str>) {
        let lines: Vec<HeaderValue> = lines.iter().map(|line| HeaderValue::from_static(line)).collect();
        let found = believed_elements(lines.iter());
        assert_eq!(found.as_ref().map(|list| list.to_str().unwrap()), expected, "{lines:?}");
    }

    /// Holds: H13.
    #[test]
    fn elements_count_from_the_right_up_to_one_that_names_no_address() {
        check_elements(&[], None);
        check_elements(&["", " , "], None);
        check_elements(&["for=203.0.113.7"], Some("for=203.0.113.7"));
        check_elements(&["For=203.0.113.7;proto=http;by=203.0.113.43"], Some("for=203.0.113.7"));
        check_elements(
            &["for=\"203.0.113.7:80\"", "for=\"[2001:DB8::17]:4711\",proto=https;for=10.0.0.1"],
            Some("for=203.0.113.7, for=\"[2001:db8::17]\", for=10.0.0.1"),
        );
        check_elements(&["for=\"[::ffff:203.0.113.7]\""], Some("for=203.0.113.7"));
        check_elements(&["by=\"a,b;for=1.1.1.1\\\"\";for=10.0.0.1"], Some("for=10.0.0.1"));
        for junk in [
            "for=unknown",
            "for=_hidden",
            "for=\"_gazonk\"",
            "for=[2001:db8::1]",
            "for=2001:db8::1",
            "for=\"2001:db8::1\"",
            "for=203.0.113.7:80",
            "for=\"203.0.113.7:+80\"",
            "for=\"203.0.113.7:99999\"",
            "for=\"[2001:db8::1]x\"",
            "for=203.0.113.256",
            "for=1.1.1.1;for=2.2.2.2",
            "for=",
            "for",
            "proto=https",
            "203.0.113.7",
        ] {
            let line: &'static str =
                Box::leak(format!("for=10.0.0.1, {junk}, for=10.0.0.2").into_boxed_str());
            check_elements(&[line], Some("for=10.0.0.2"));
        }
        // A quote that is never closed makes all of its line junk.
        check_elements(&["for=10.0.0.1", "for=10.0.0.2, for=\"10.0.0.3"], None);
        check_elements(&["for=\"10.0.0.1", "for=10.0.0.2"], Some("for=10.0.0.2"));
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
