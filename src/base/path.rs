//! Which route a path belongs to. One table type for all rooms, so that the bytes that are judged and the bytes that
//! are forwarded cannot part ways.

/// What a request path looks like, before any rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathForm {
    /// Every reader understands it alike.
    Plain,
    /// A lenient backend may read another path out of it (`..`, `%2f`, `//`, `;`, ...): it never opens an open rule.
    Odd,
    /// Broken: a bad percent escape, `%00`, a control byte. Answered with 400.
    Broken,
}

/// Routes by path prefix: the longest prefix wins, on segment borders.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    /// Longest prefix first; a prefix has no trailing slash, the root is empty.
    entries: Vec<Entry<T>>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    prefix: Box<str>,
    public: bool,
    value: T,
}

impl<T> RouteTable<T> {
    /// Builds a table from `(prefix, public, value)`. Of two equal prefixes the first counts (the config check
    /// refuses them).
    pub fn new(routes: impl IntoIterator<Item = (String, bool, T)>) -> Self {
        let mut entries: Vec<Entry<T>> = routes
            .into_iter()
            .map(|(prefix, public, value)| Entry {
                prefix: prefix.trim_end_matches('/').into(),
                public,
                value,
            })
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.len()));
        Self { entries }
    }

    /// The route of a path, which stands as it came: not decoded, without query. An odd path never belongs to a public
    /// route.
    pub fn find(&self, path: &str) -> Option<&T> {
        let odd = form(path) != PathForm::Plain;
        self.entries
            .iter()
            .find(|entry| covers(&entry.prefix, path) && !(odd && entry.public))
            .map(|entry| &entry.value)
    }

    /// The same routes with other values: both tables find the same route for the same bytes.
    ///
    /// # Errors
    /// The first one that `change` gives.
    pub fn try_map<U, E>(&self, mut change: impl FnMut(&T) -> Result<U, E>) -> Result<RouteTable<U>, E> {
        let entries = self.entries.iter().map(|entry| {
            let value = change(&entry.value)?;
            Ok(Entry { prefix: entry.prefix.clone(), public: entry.public, value })
        });
        Ok(RouteTable { entries: entries.collect::<Result<_, E>>()? })
    }

    /// All routes, longest prefix first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }
}

/// Whether `path` is `prefix` or lies below it.
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What Unicode normalisation (NFKC) turns into dots and slashes.
const LOOKS_LIKE_DOT_OR_SLASH: [char; 8] =
    ['\u{ff0e}', '\u{ff0f}', '\u{ff3c}', '\u{2024}', '\u{2025}', '\u{2026}', '\u{2044}', '\u{2215}'];

/// Looks at a path's form: decoded once, never twice.
///
/// Odd are: an empty, `.` or `..` segment, a backslash, a semicolon, an escaped slash, backslash, dot-only segment,
/// percent sign, semicolon, question mark or hash, an escaped byte that is no valid UTF-8 (overlong forms), an escaped
/// control byte, and a segment that ends in a dot or a space. Broken are: a percent sign without two hexadecimal digits,
/// `%00`, and a raw byte outside visible ASCII.
pub fn form(path: &str) -> PathForm {
    if !path.starts_with('/') {
        return PathForm::Broken;
    }
    // The glance that nearly every path ends at: nothing in it that could be read in two ways.
    let mut before = b' ';
    let plain = path.bytes().all(|byte| {
        let doubled = byte == b'/' && before == b'/';
        before = byte;
        !doubled && (byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_'))
    });
    if plain {
        return PathForm::Plain;
    }
    let mut odd = false;
    let mut segments = path.split('/').peekable();
    segments.next();
    let mut decoded = Vec::new();
    while let Some(segment) = segments.next() {
        if segment.is_empty() {
            // A slash at the very end is no empty segment.
            odd |= segments.peek().is_some();
            continue;
        }
        decoded.clear();
        match decode(segment, &mut decoded) {
            Decoded::Broken => return PathForm::Broken,
            Decoded::Clean => {}
            Decoded::Odd => odd = true,
        }
        odd |= matches!(decoded.last(), Some(b'.' | b' '))
            || std::str::from_utf8(&decoded).map_or(true, |text| text.contains(LOOKS_LIKE_DOT_OR_SLASH));
    }
    if odd { PathForm::Odd } else { PathForm::Plain }
}

enum Decoded {
    Clean,
    Odd,
    Broken,
}

/// Decodes one segment into `out` and says whether a byte in it could change what a reader takes the path for.
fn decode(segment: &str, out: &mut Vec<u8>) -> Decoded {
    let mut odd = false;
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let Some(value) = escaped(&mut bytes) else { return Decoded::Broken };
                if value == 0 {
                    return Decoded::Broken;
                }
                odd |= matches!(value, b'/' | b'\\' | b'%' | b';' | b'?' | b'#' | 0x01..=0x1f | 0x7f);
                out.push(value);
            }
            b'\\' | b';' => {
                odd = true;
                out.push(byte);
            }
            0x21..=0x7e => out.push(byte),
            _ => return Decoded::Broken,
        }
    }
    if odd { Decoded::Odd } else { Decoded::Clean }
}

/// The byte that two hexadecimal digits spell.
fn escaped(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Open prefix `/public`, protected `/admin` and `/api/private`, as in the checks.
    fn table() -> RouteTable<&'static str> {
        RouteTable::new([
            ("/".to_owned(), false, "root"),
            ("/public".to_owned(), true, "public"),
            ("/admin".to_owned(), false, "admin"),
            ("/api/private/".to_owned(), false, "private"),
        ])
    }

    /// Holds: G5.
    #[test]
    fn a_prefix_ends_at_a_segment() {
        for (path, route) in [
            ("/public", "public"),
            ("/public/", "public"),
            ("/public/x", "public"),
            ("/publicity", "root"),
            ("/public-secret", "root"),
            ("/Public", "root"),
            ("/api/private", "private"),
            ("/api/private/x", "private"),
            ("/api/privateer", "root"),
            ("/", "root"),
        ] {
            assert_eq!(table().find(path), Some(&route), "{path}");
        }
    }

    /// Holds: G4.
    #[test]
    fn an_odd_path_never_opens_an_open_rule() {
        for path in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/%2E./admin",
            "/public/.%2e/admin",
            "/public%2f..%2fadmin",
            "/public/%5c..%5cadmin",
            "/public/..\\admin",
            "/public/%252e%252e/admin",
            "/public//admin",
            "//public/x",
            "/public/x;y",
            "/public;x/admin",
            "/public/%c0%ae%c0%ae/admin",
            "/public/.",
            "/public/./x",
            "/public/x%20",
            "/public/x/.",
            "/public/..",
            "/public/x.",
            "/public/%3b",
            "/public/%3fx",
            "/public/%23x",
            "/public/%09",
            "/public/%7f",
            "/public/%ff",
            "/public/%ef%bc%8f",
            "/public/%ef%bc%8e%ef%bc%8e",
        ] {
            assert_eq!(form(path), PathForm::Odd, "{path}");
            assert_ne!(table().find(path), Some(&"public"), "{path}");
        }
    }

    #[test]
    fn a_broken_path_is_told_apart() {
        for path in [
            "/public/%",
            "/public/%2",
            "/public/%zz",
            "/%00",
            "/public/%00.css",
            "*",
            "",
            "public",
            "/a\u{e9}",
        ] {
            assert_eq!(form(path), PathForm::Broken, "{path}");
        }
    }

    #[test]
    fn ordinary_paths_are_plain() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.css",
            "/a/b-c_d~e",
            "/caf%C3%A9",
            "/a%20b/c",
            "/x/@user/~me",
            "/v1.2/x",
            "/.well-known/x",
            "/a,b=c&d",
            "/a:b",
            "/a+b",
            "/%41",
            "/..a",
            "/...x",
        ] {
            assert_eq!(form(path), PathForm::Plain, "{path}");
        }
    }

    /// What lenient backends make of a path: decode (once or twice, overlong too), fold backslashes, drop `;...`, merge
    /// slashes, resolve dots, trim dots and spaces, fold case.
    fn lenient(path: &str, decodings: usize) -> String {
        let mut bytes = path.as_bytes().to_vec();
        for _ in 0..decodings {
            let mut next = Vec::new();
            let mut rest = bytes.as_slice();
            while let Some((&byte, tail)) = rest.split_first() {
                let hex = |at: usize| tail.get(at).and_then(|digit| char::from(*digit).to_digit(16));
                if let (b'%', Some(high), Some(low)) = (byte, hex(0), hex(1)) {
                    next.extend(u8::try_from(high * 16 + low));
                    rest = &tail[2..];
                } else {
                    next.push(byte);
                    rest = tail;
                }
            }
            bytes = next;
        }
        let text = bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
        let text = text
            .replace("\u{c0}\u{ae}", ".")
            .replace("\u{c0}\u{af}", "/")
            .replace('\\', "/")
            .to_ascii_lowercase();
        let mut out: Vec<&str> = Vec::new();
        for segment in text.split('/') {
            let segment = segment.split([';', '?', '#']).next().unwrap_or_default();
            match segment.trim() {
                ".." => drop(out.pop()),
                "" | "." => {}
                _ => out.push(segment.trim_end_matches(['.', ' '])),
            }
        }
        format!("/{}", out.join("/"))
    }

    proptest! {
        /// Holds: G6.
        #[test]
        fn no_path_of_an_open_rule_reaches_a_protected_one_at_a_lenient_backend(
            parts in proptest::collection::vec(prop_oneof![
                Just("/"), Just("public"), Just("admin"), Just(".."), Just("."), Just("%2e"), Just("%2E%2e"), Just("%2f"), Just("%5c"),
                Just("\\"), Just(";x"), Just("%252e"), Just("%252f"), Just("%c0%ae"), Just("%c0%af"), Just("%20"), Just("a"), Just("%41dmin"),
                Just("ADMIN"), Just("%61"), Just("."), Just("%3b"), Just("%09"),
            ], 0..12),
        ) {
            let path = format!("/public/{}", parts.concat());
            if table().find(&path) == Some(&"public") {
                for decodings in 0..3 {
                    let read = lenient(&path, decodings);
                    prop_assert!(read == "/public" || read.starts_with("/public/"), "{} reads as {}", path, read);
                }
            }
        }
    }
}
