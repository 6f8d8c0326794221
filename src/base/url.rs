//! Addresses on the web as settings hold them: parsed once, where they were written.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use url::Url;

/// An absolute `http` or `https` URL, without user name, password, query and fragment.
///
/// # Example
/// ```
/// use hero_proxy::base::url::WebUrl;
/// let forge: WebUrl = "https://forge.example.org:8443/git".parse()?;
/// assert_eq!(forge.origin(), "https://forge.example.org:8443");
/// # Ok::<(), hero_proxy::base::url::BadWebUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl(Url);

/// Why a text is no [`WebUrl`]. It does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadWebUrl {
    /// It does not begin with `https://` or `http://`, or holds a blank, a control character or a `\`.
    #[error("not an http or https URL")]
    NotWeb,
    /// The URL standard knows no such URL.
    #[error("not a URL")]
    NotUrl,
    /// A secret would stand where addresses are shown.
    #[error("a user name or password stands in this URL")]
    UserInfo,
    /// Something follows the path.
    #[error("this URL has a query or a fragment")]
    Query,
}

impl FromStr for WebUrl {
    type Err = BadWebUrl;

    fn from_str(text: &str) -> Result<Self, BadWebUrl> {
        // The standard's parser forgives all of these, and then means something that nobody wrote.
        let odd = |c: char| c == '\\' || c.is_whitespace() || c.is_control();
        if !(text.starts_with("https://") || text.starts_with("http://")) || text.contains(odd) {
            return Err(BadWebUrl::NotWeb);
        }
        let url = Url::parse(text).map_err(|_| BadWebUrl::NotUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadWebUrl::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BadWebUrl::Query);
        }
        Ok(Self(url))
    }
}

impl WebUrl {
    /// The URL as the standard writes it: host in lower case, no usual port, `/` for an empty path.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Scheme, host and port as browsers write an origin (RFC 6454 §6.2): no usual port, no slash at the end.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Its parts, for the rooms; whoever mounts the layer need not have our version of the parser.
    pub(crate) fn parts(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_kept_as_the_standard_writes_it() {
        for (text, url, origin) in [
            ("https://Forge.example.org:443", "https://forge.example.org/", "https://forge.example.org"),
            ("http://[::1]:8080/git/", "http://[::1]:8080/git/", "http://[::1]:8080"),
            ("http://127.1", "http://127.0.0.1/", "http://127.0.0.1"),
        ] {
            let parsed: WebUrl = text.parse().unwrap();
            assert_eq!((parsed.to_string().as_str(), parsed.origin().as_str()), (url, origin));
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused_by_name() {
        let check = |text: &str, why| assert_eq!(text.parse::<WebUrl>(), Err(why), "{text}");
        for text in [
            "",
            "h",
            "//h",
            "ftp://h/",
            "data:x",
            "HTTP://h",
            "https:h",
            "https:/h",
            " https://h",
            "https://h ",
            "https://h/a\\b",
            "https://h\t/",
            "https://h/\u{a0}",
        ] {
            check(text, BadWebUrl::NotWeb);
        }
        for text in ["https://", "http://[::1", "http://h:99999", "http://a<b"] {
            check(text, BadWebUrl::NotUrl);
        }
        for text in ["https://u@h/", "https://:p@h/", "https://u:p@h/?x"] {
            check(text, BadWebUrl::UserInfo);
        }
        for text in ["https://h/?x", "https://h/#x", "https://h?"] {
            check(text, BadWebUrl::Query);
        }
    }
}
