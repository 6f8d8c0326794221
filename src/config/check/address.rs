//! Addresses as the operator writes them: origins, URLs, upstreams. Pure.

use std::net::IpAddr;

use url::{Host, Url};

use crate::config::complaint::{Report, Show, Spot};
use crate::config::raw::Located;

/// Reads an `http` or `https` URL without user name, password, query and fragment. Tells what is wrong.
pub(super) fn url(text: &Located<String>, report: &mut Report<'_>) -> Option<Url> {
    let Located { value, spot } = text;
    let fix = "write scheme and host, such as \"https://forge.example.org\"";
    let schemed = value.starts_with("https://") || value.starts_with("http://");
    if !schemed || value.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
        report.error(spot, "not an http or https URL", fix);
        return None;
    }
    let Ok(url) = Url::parse(value) else {
        report.error(spot, "not a URL", fix);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        let spot = Spot { show: Show::Key, ..spot.clone() };
        let fix = "take it out: it would be a secret in this file";
        report.error(&spot, "a user name or password stands in this URL", fix);
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        let spot = Spot { show: Show::Key, ..spot.clone() };
        report.error(&spot, "this URL has a query or a fragment", "end it before the `?` or `#`");
        return None;
    }
    Some(url)
}

/// Reads a URL that is an origin: no path either.
pub(super) fn origin(text: &Located<String>, report: &mut Report<'_>) -> Option<Url> {
    let url = url(text, report)?;
    if url.path() != "/" {
        let fix = format!("write \"{}\"", url.origin().ascii_serialization());
        report.error(&text.spot, "this address has a path", fix);
        return None;
    }
    Some(url)
}

/// Whether a URL leads to this machine for sure: `localhost`, `127.0.0.0/8`, `::1`.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// Whether what travels to a URL can be read on the way.
pub(super) fn is_plaintext_beyond_loopback(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

/// `host:port`, IPv6 in brackets, the port always there.
pub(super) fn authority(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_leave_the_machine_counts_as_loopback() {
        for text in [
            "http://localhost:1",
            "http://LOCALHOST",
            "http://127.0.0.1",
            "http://127.9.8.7",
            "http://[::1]:80",
        ] {
            assert!(is_loopback(&Url::parse(text).expect("a URL")), "{text}");
        }
        for text in [
            "http://localhost.example.org",
            "http://10.0.0.1",
            "http://[::]",
            "http://0.0.0.0",
            "http://128.0.0.1",
        ] {
            assert!(!is_loopback(&Url::parse(text).expect("a URL")), "{text}");
        }
    }

    #[test]
    fn an_authority_always_has_its_port() {
        for (text, expected) in [
            ("http://a", "a:80"),
            ("https://a/", "a:443"),
            ("http://[::1]:9", "[::1]:9"),
            ("http://a:8080", "a:8080"),
        ] {
            assert_eq!(authority(&Url::parse(text).expect("a URL")).as_deref(), Some(expected));
        }
    }
}
