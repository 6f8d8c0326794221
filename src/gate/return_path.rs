//! Where a visitor lands after signing in: on our own origin, whatever was asked for (pure).

use crate::base::url::WebUrl;

/// The longest target kept, in bytes: it travels in a cookie.
pub const MAX_TARGET_BYTES: usize = 1024;

/// The target as path and query at our own origin, or `/`.
///
/// Judged twice, by string rules and by the parser that browsers use (WHATWG URL); both must agree. Accepted are a path,
/// and an absolute URL whose scheme, host and port are ours. Never one of our own sign-in endpoints, but for the list of
/// one's sessions, which is a page like any other.
///
/// **Source**: RFC 9700 §4.11.
pub fn checked(target: &str, public_url: &WebUrl, prefix: &str) -> String {
    accepted(target, public_url, prefix).unwrap_or_else(|| "/".to_owned())
}

fn accepted(target: &str, public_url: &WebUrl, prefix: &str) -> Option<String> {
    if target.len() > MAX_TARGET_BYTES || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let ours = public_url.origin();
    let public_url = public_url.parts();
    let local = match target.strip_prefix(ours.as_str()) {
        Some("") => "/",
        Some(rest) => rest,
        None => target,
    };
    let path = local.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') || !decodings(path).all(|path| is_harmless(&path)) {
        return None;
    }
    let url = public_url.join(local).ok()?;
    let (again, landed) = (public_url.join(url.as_str()).ok()?, url.path());
    if url.origin() != public_url.origin()
        || again != url
        || landed.starts_with("//")
        || !url.username().is_empty()
    {
        return None;
    }
    let own =
        landed.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("/auth") && rest != "/auth/sessions");
    let whole = match url.query() {
        Some(query) => format!("{landed}?{query}"),
        None => landed.to_owned(),
    };
    // Measured once more: the parser escapes, and what is kept must fit its cookie.
    (!own && whole.len() <= MAX_TARGET_BYTES).then_some(whole)
}

/// The path as it is, decoded once, and decoded twice: later readers may do either.
fn decodings(path: &str) -> impl Iterator<Item = Vec<u8>> {
    let once = decode(path.as_bytes());
    let twice = decode(&once);
    [path.as_bytes().to_vec(), once, twice].into_iter()
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    percent_decode(bytes).collect()
}

fn percent_decode(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            rest = tail.get(2..).unwrap_or_default();
            return u8::try_from(high * 16 + low).ok();
        }
        rest = tail;
        Some(*first)
    })
}

/// Whether no reader can take another host, a control character or another path out of these bytes.
fn is_harmless(path: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(path) else { return false };
    let steps_up = text.split('/').any(|segment| matches!(segment, "." | ".."));
    text.starts_with('/')
        && !text.contains("//")
        && !text.contains('\\')
        && !steps_up
        && !text.chars().any(|sign| sign.is_control() || (sign.is_whitespace() && sign != ' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expected: &str) {
        let ours = "https://vm1.example.org".parse().unwrap();
        assert_eq!(checked(target, &ours, "/_hero"), expected, "{target:?}");
    }

    #[test]
    fn an_honest_target_comes_back_with_its_query() {
        for target in [
            "/",
            "/app",
            "/app/",
            "/app/view?x=1&y=%2F",
            "/caf%C3%A9",
            "/a%20b",
            "/a;b=1",
            "/owner%2Frepo",
            "/x?next=https://other.example/",
            "/x?y=//z",
            "/_hero/admin/users",
            "/_hero/auth/sessions",
            "/v1.2/..x",
        ] {
            check(target, target);
        }
        check("https://vm1.example.org/app?x=1", "/app?x=1");
        check("https://vm1.example.org", "/");
        check("/app?x=1#part", "/app?x=1");
        check("/app?q=a\"b", "/app?q=a%22b");
    }

    /// Holds: L1, L2, L3, L4.
    #[test]
    fn a_dishonest_target_becomes_the_root() {
        for target in [
            "",
            "//h",
            "///h",
            "/\\h",
            "\\\\h",
            "/%5ch",
            "/.//h",
            "/../..//h",
            "/%2fh",
            "/%252fh",
            "/%2e%2e//h",
            "/a//h",
            "/\t/h",
            "/\n/h",
            "/%09/h",
            "/%0d%0aSet-Cookie:x=1",
            "/%250a/h",
            "/%00",
            "/%c2%85/h",
            "/%c2%a0/h",
            "/%e2%80%a8/h",
            "/%e3%80%80/h",
            "/%ff",
            "https://evil.example",
            "https:evil.example",
            "https:/evil.example",
            "http://vm1.example.org/",
            "https://vm1.example.org:444/",
            "https://vm1.example.org.evil.example/",
            "https://vm1.example.org@evil.example/",
            "https://evil.example/https://vm1.example.org",
            "https://u:p@vm1.example.org/",
            "https://vm1.example.org./",
            "https://\u{ff56}m1.example.org/",
            "javascript:alert(1)",
            "data:text/html,x",
            "app",
            "?x",
            "#x",
            "/_hero/auth/login",
            "/_hero/auth/callback?code=1",
            "/_hero/auth/logout",
            "/_hero/auth/sessions/",
            "/_hero/auth/whoami",
            "/a b",
            "/a\u{e9}",
            "https://vm1.example.org//h",
            "https://vm1.example.org\\h",
        ] {
            check(target, "/");
        }
        check(&format!("/{}", "a".repeat(MAX_TARGET_BYTES)), "/");
        // Short as it came, three times as long as the parser writes it.
        check(&format!("/?{}", "'".repeat(MAX_TARGET_BYTES - 10)), "/");
    }
}
