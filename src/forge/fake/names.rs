//! Which names and addresses Forgejo takes for a new user (`docs/FORGEJO.md` 4.6).

use super::settings::FakeVersion;

/// Forgejo's own list, and not the client's: a fake that shared it would have the client's slips, and call them right.
const RESERVED: [&str; 33] = [
    ".",
    "..",
    "-",
    ".well-known",
    "api",
    "metrics",
    "v2",
    "assets",
    "attachments",
    "avatar",
    "avatars",
    "repo-avatars",
    "captcha",
    "login",
    "org",
    "repo",
    "user",
    "admin",
    "explore",
    "issues",
    "pulls",
    "milestones",
    "notifications",
    "report_abuse",
    "favicon.ico",
    "manifest.json",
    "robots.txt",
    "sitemap.xml",
    "ssh_info",
    "swagger.v1.json",
    "ghost",
    "gitea-actions",
    "forgejo-actions",
];
const RESERVED_SUFFIXES: [&str; 5] = [".keys", ".gpg", ".rss", ".atom", ".png"];

/// First character and last are letters or digits, no two of `_.-` in a row.
pub(super) fn is_username(name: &str) -> bool {
    let special = |byte: &u8| matches!(byte, b'_' | b'.' | b'-');
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
        && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && !bytes.windows(2).any(|pair| pair.iter().all(special))
}

/// Why a well-formed name may not be had, in Forgejo's words.
pub(super) fn refusal(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) {
        return Some(format!("name is reserved [name: {name}]"));
    }
    let suffix = RESERVED_SUFFIXES.iter().find(|suffix| lower.ends_with(**suffix))?;
    Some(format!("name pattern is not allowed [pattern: *{suffix}]"))
}

/// An address without display name; a domain needs no dot.
pub(super) fn is_email(email: &str) -> bool {
    let odd =
        |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | b',' | b';' | b'(' | b')');
    match email.rsplit_once('@') {
        Some((local, domain)) => !local.is_empty() && !domain.is_empty() && !email.bytes().any(odd),
        None => false,
    }
}

/// What is said of an address that is none.
pub(super) fn email_refusal(version: FakeVersion, email: &str) -> String {
    match version {
        FakeVersion::V15 => format!("e-mail invalid [email: {email}]"),
        FakeVersion::V11 => format!("e-mail address contains unsupported character [email: {email}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::admin::new_user::{self, Username};

    #[test]
    fn the_client_refuses_the_same_names_before_it_asks() {
        let ends = |suffixes: [&str; 5]| suffixes.map(|suffix| format!("x{suffix}"));
        for name in RESERVED.map(str::to_owned).into_iter().chain(ends(RESERVED_SUFFIXES)) {
            assert!(Username::parse(&name).is_err(), "the client would ask for {name}");
        }
        let theirs = new_user::RESERVED.map(str::to_owned).into_iter();
        for name in theirs.chain(ends(new_user::RESERVED_SUFFIXES)) {
            assert!(refusal(&name).is_some(), "the client refuses {name}, which may be had");
        }
    }

    #[test]
    fn names_follow_forgejos_pattern() {
        for good in ["a", "ada", "Ada-1", "a_b.c"] {
            assert!(is_username(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "a._b", "ä", "a b", ".."] {
            assert!(!is_username(bad), "{bad}");
        }
        assert!(refusal("Admin").is_some() && refusal("x.keys").is_some() && refusal("ada").is_none());
    }

    #[test]
    fn an_address_needs_both_sides_of_the_sign() {
        assert!(is_email("a@b") && is_email("a.b@example.org"));
        assert!(!is_email("x") && !is_email("@b") && !is_email("a@") && !is_email("A <a@b>"));
    }
}
