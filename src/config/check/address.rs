//! Addresses as the operator writes them: origins, URLs, upstreams, and the folders of files and sockets.

use std::net::IpAddr;
use std::path::Path;

use url::Host;

use crate::base::url::{BadWebUrl, WebUrl};
use crate::config::complaint::{Report, Show, Spot};
use crate::config::raw::Located;
use crate::serve::settings::Listen;

/// Reads an `http` or `https` URL without user name, password, query and fragment. Tells what is wrong.
pub(super) fn url(text: &Located<String>, report: &mut Report<'_>) -> Option<WebUrl> {
    let Located { value, spot } = text;
    let bad = match value.parse() {
        Ok(url) => return Some(url),
        Err(bad) => bad,
    };
    let (show, fix) = match bad {
        BadWebUrl::UserInfo => (Show::Key, "take it out: it would be a secret in this file"),
        BadWebUrl::Query => (Show::Key, "end it before the `?` or `#`"),
        _ => (spot.show, "write scheme and host, such as \"https://forge.example.org\""),
    };
    report.error(&Spot { show, ..spot.clone() }, bad.to_string(), fix);
    None
}

/// Reads a URL that is an origin: no path either.
pub(super) fn origin(text: &Located<String>, report: &mut Report<'_>) -> Option<WebUrl> {
    let url = url(text, report)?;
    if url.parts().path() != "/" {
        let fix = format!("write \"{}\"", url.origin());
        report.error(&text.spot, "this address has a path", fix);
        return None;
    }
    Some(url)
}

/// Whether a URL leads to this machine for sure: `localhost`, `127.0.0.0/8`, `::1`.
pub(super) fn is_loopback(url: &WebUrl) -> bool {
    match url.parts().host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// Whether what travels to a URL can be read on the way.
pub(super) fn is_plaintext_beyond_loopback(url: &WebUrl) -> bool {
    url.parts().scheme() == "http" && !is_loopback(url)
}

/// `host:port`, IPv6 in brackets, the port always there.
pub(super) fn authority(url: &WebUrl) -> Option<String> {
    Some(format!("{}:{}", url.parts().host_str()?, url.parts().port_or_known_default()?))
}

/// The folder of a file or a socket that is to be made, if it is not there.
pub(super) fn missing_folder(path: &Path) -> Option<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (!folder.is_dir()).then_some(folder)
}

/// Warns of a socket whose folder is not there: no error, since the service manager may make it at the start only.
pub(super) fn warn_of_missing_folder(listen: &Listen, spot: &Spot, report: &mut Report<'_>) {
    let Listen::Unix(path) = listen else { return };
    if let Some(folder) = missing_folder(path) {
        let what = format!("{}: there is no such folder, and without it nothing starts", folder.display());
        let fix = "make the folder, or let systemd make it (RuntimeDirectory=), or correct the path";
        report.warn(spot, what, fix);
    }
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
            assert!(is_loopback(&text.parse().expect("a URL")), "{text}");
        }
        for text in [
            "http://localhost.example.org",
            "http://10.0.0.1",
            "http://[::]",
            "http://0.0.0.0",
            "http://128.0.0.1",
        ] {
            assert!(!is_loopback(&text.parse().expect("a URL")), "{text}");
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
            assert_eq!(authority(&text.parse().expect("a URL")).as_deref(), Some(expected));
        }
    }
}
