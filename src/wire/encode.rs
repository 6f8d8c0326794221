//! How text is written into a header line: percent-encoded UTF-8 (RFC 3986 §2.1), and lists that no name can forge.
//!
//! 1. A letter, a digit and `-`, `.`, `_`, `~`, `@` stand for themselves; every other byte is `%` and two hexadecimal
//!    digits. `@` stays, so that an e-mail address can be read; `+` does not, since some decoders read it as a blank.
//! 2. A group is `org` or `org:team`, each part encoded by itself; groups are joined by `,`. Both separators are
//!    encoded inside a part, so whatever a name holds, it stays one name.
//! 3. Nothing is never written as an empty value: the functions that make a header line then give none.
//!
//! Every language has the decoder: `decodeURIComponent`, `urllib.parse.unquote`, `url.PathUnescape`.

use http::HeaderValue;

/// The longest encoded text that is sent, in bytes. Longer than any login name (40 characters) or e-mail address
/// (254) that the forge takes.
pub const MAX_TEXT_BYTES: usize = 1024;
/// The longest encoded list of groups that is sent, in bytes.
pub const MAX_GROUPS_BYTES: usize = 8192;

/// A group of the visitor's: an organization of the forge, or a team in one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VisitorGroup {
    /// The organization's name.
    pub org: String,
    /// The team's name, if a team is meant.
    pub team: Option<String>,
}

/// Encodes one text.
///
/// # Example
/// ```
/// use hero_proxy::wire::encode::encode;
/// assert_eq!(encode("zoë+1@example.org"), "zo%C3%AB%2B1@example.org");
/// ```
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_encoded(&mut out, text);
    out
}

/// Reads one text back.
///
/// None: a bad escape, a byte that [`encode`] would have escaped, or what is not UTF-8 in the end. What comes out may
/// hold any character, line ends too: escape it wherever it is shown.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => out.push((hex(bytes.next()?)? << 4) | hex(bytes.next()?)?),
            plain if stands_for_itself(plain) => out.push(plain),
            _ => return None,
        }
    }
    String::from_utf8(out).ok()
}

/// Encodes a list of groups, each an organization and perhaps a team. Groups and parts without a name are left out:
/// nobody can be in them.
///
/// # Example
/// ```
/// use hero_proxy::wire::encode::encode_groups;
/// assert_eq!(encode_groups([("acme", None), ("acme", Some("a,b"))]), "acme,acme:a%2Cb");
/// ```
pub fn encode_groups<'a>(groups: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut out = String::new();
    for (org, team) in groups {
        if org.is_empty() || team.is_some_and(str::is_empty) {
            continue;
        }
        if !out.is_empty() {
            out.push(',');
        }
        push_encoded(&mut out, org);
        if let Some(team) = team {
            out.push(':');
            push_encoded(&mut out, team);
        }
    }
    out
}

/// Reads a list of groups back; the empty text is no list. None: anything that [`encode_groups`] does not write.
pub fn decode_groups(text: &str) -> Option<Vec<VisitorGroup>> {
    text.split(',').map(decode_group).collect()
}

fn decode_group(text: &str) -> Option<VisitorGroup> {
    let (org, team) = match text.split_once(':') {
        None => (text, None),
        Some((org, team)) => (org, Some(team)),
    };
    if org.is_empty() || team.is_some_and(str::is_empty) {
        return None;
    }
    let team = match team {
        None => None,
        Some(team) => Some(decode(team)?),
    };
    Some(VisitorGroup { org: decode(org)?, team })
}

/// A text as a header line. None: it is empty, or longer than [`MAX_TEXT_BYTES`] when encoded.
pub fn text_value(text: &str) -> Option<HeaderValue> {
    bounded_value(encode(text), MAX_TEXT_BYTES)
}

/// A list of groups as a header line. None: it is empty, or longer than [`MAX_GROUPS_BYTES`] when encoded. It is never
/// cut: half a list would look like a whole one.
pub fn groups_value<'a>(groups: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Option<HeaderValue> {
    bounded_value(encode_groups(groups), MAX_GROUPS_BYTES)
}

fn bounded_value(text: String, max_bytes: usize) -> Option<HeaderValue> {
    if text.is_empty() || text.len() > max_bytes {
        return None;
    }
    HeaderValue::try_from(text).ok()
}

fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'@')
}

fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if stands_for_itself(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 0xf));
        }
    }
}

fn digit(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 })
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    /// Holds: H11.
    #[test]
    fn odd_names_become_one_readable_line() {
        let check = |text: &str, encoded: &str| {
            assert_eq!(encode(text), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(text));
            assert_eq!(text_value(text).unwrap(), encoded);
        };
        check("alice", "alice");
        check("alice@example.org", "alice@example.org");
        check("a+b@example.org", "a%2Bb@example.org");
        check("a\r\nX-Hero-User: root", "a%0D%0AX-Hero-User%3A%20root");
        check("nul\0\"quote\",comma:colon", "nul%00%22quote%22%2Ccomma%3Acolon");
        check("\u{1f642}", "%F0%9F%99%82");
        check("100%", "100%25");
    }

    #[test]
    fn what_encode_does_not_write_is_refused() {
        for bad in
            ["%", "%4", "%4g", "%+1", "a b", "a,b", "a:b", "ë", "a\"b", "%FF", "%C3", "%ED%A0%80", "%C0%80"]
        {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("%c3%ab").as_deref(), Some("ë"), "hexadecimal digits may be small");
    }

    #[test]
    fn absent_is_never_an_empty_value() {
        assert_eq!(text_value(""), None);
        assert_eq!(groups_value([]), None);
        assert_eq!(groups_value([("", None), ("acme", Some(""))]), None);
        assert_eq!(decode_groups(""), None);
    }

    #[test]
    fn too_long_is_absent_and_never_cut() {
        assert!(text_value(&"a".repeat(MAX_TEXT_BYTES)).is_some());
        assert_eq!(text_value(&"a".repeat(MAX_TEXT_BYTES + 1)), None);
        let org = "a".repeat(100);
        let many = std::iter::repeat_n((org.as_str(), None), 90);
        assert_eq!(groups_value(many), None);
    }

    #[test]
    fn broken_lists_of_groups_are_refused_whole() {
        for bad in [",", "acme,", ",acme", "acme:", ":ops", "acme:ops:more", "acme, other", "acme;ops"] {
            assert_eq!(decode_groups(bad), None, "{bad}");
        }
    }

    fn groups() -> impl Strategy<Value = Vec<VisitorGroup>> {
        // Half of the names are made of what could divide a list, half of anything.
        let name = || "[a,:%\"\r\n\u{0}é\u{1f642}]{1,8}".prop_union(".{1,8}");
        prop::collection::vec((name(), prop::option::of(name())), 1..6)
            .prop_map(|all| all.into_iter().map(|(org, team)| VisitorGroup { org, team }).collect())
    }

    proptest! {
        /// Holds: H11.
        #[test]
        fn no_group_name_can_forge_another(groups in groups()) {
            let line = encode_groups(groups.iter().map(|group| (group.org.as_str(), group.team.as_deref())));
            prop_assert!(line.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decode_groups(&line), Some(groups));
        }

        #[test]
        fn every_text_comes_back_as_it_was(text in any::<String>()) {
            let line = encode(&text);
            prop_assert!(line.bytes().all(|byte| stands_for_itself(byte) || byte == b'%'));
            prop_assert_eq!(decode(&line), Some(text));
        }

        #[test]
        fn decoding_never_panics(text in any::<String>()) {
            drop(decode(&text));
            drop(decode_groups(&text));
        }
    }
}
