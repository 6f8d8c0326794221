//! What the cockpit must be told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use url::Url;

use crate::wire::trust::Trust;

/// All that the reference cockpit needs to know.
#[derive(Clone, Debug)]
pub struct CockpitSettings {
    /// Where it listens.
    pub listen: Listen,
    /// The forge, for calls and for links: `http` or `https`, a path is kept.
    pub forge_url: Url,
    /// Where feedback is filed.
    pub repository: Repository,
    /// The private folder of the pasted token.
    pub slot_dir: PathBuf,
    /// Whose headers are believed.
    pub trust: Trust,
    /// The proxy's own endpoints lie below this path: `/_hero` unless the proxy was told otherwise.
    pub proxy_prefix: String,
    /// The hosts (`localhost:8080`) that requests may be for; others get a 421. Empty: any, for a socket that only a
    /// proxy reaches, which has looked already.
    pub hosts: Vec<String>,
    /// How long one call to the forge may take.
    pub forge_timeout: Duration,
}

/// Where the cockpit listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket; a stale one at that path is replaced.
    Unix(PathBuf),
    /// A TCP address on loopback; port 0 picks a free one.
    Tcp(SocketAddr),
}

/// `owner/name`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
}

/// A text is no repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write owner/name, each of letters, digits, '-', '_' and '.'")]
pub struct BadRepository;

impl Repository {
    /// The user or organization that it belongs to.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Repository {
    type Err = BadRepository;

    fn from_str(text: &str) -> Result<Self, BadRepository> {
        let fine = |part: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(known)
        };
        let (owner, name) = text.split_once('/').ok_or(BadRepository)?;
        if !fine(owner) || !fine(name) {
            return Err(BadRepository);
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

/// The address of something below `base`, which keeps its path; each segment is escaped.
pub(super) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_two_plain_names() {
        let repository: Repository = "acme/feed.back_1".parse().unwrap();
        assert_eq!((repository.owner(), repository.name()), ("acme", "feed.back_1"));
        for bad in ["", "acme", "/x", "acme/", "acme/..", "./x", "a/b/c", "a b/c", "a%2f/c", "ä/c"] {
            assert_eq!(bad.parse::<Repository>(), Err(BadRepository), "{bad}");
        }
    }
}
