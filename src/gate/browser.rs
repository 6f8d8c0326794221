//! What kind of browser somebody uses, so that he knows his sessions apart (pure). Words of ours only: of what the browser
//! says nothing is kept.

use http::header::{self, HeaderMap};

/// As much of a `User-Agent` is read at most; those of browsers are half as long.
const MAX_BYTES: usize = 512;

/// By the product that a browser names (RFC 9110 §10.1.5). The first that is found counts: the later ones are also named
/// by browsers that stand before them.
const BROWSERS: [(&str, &str); 10] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

const SYSTEMS: [(&str, &str); 8] = [
    ("Android", "Android"),
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "a Mac"),
    ("Linux", "Linux"),
    ("BSD", "BSD"),
];

/// "Firefox on Linux"; less where less is known, none where nothing is.
pub(super) fn label(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(header::USER_AGENT)?.as_bytes();
    let said = std::str::from_utf8(said.get(..MAX_BYTES).unwrap_or(said)).ok()?;
    let find = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| said.contains(mark)).map(|(_, words)| *words)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (Some(browser), None) => Some(browser.to_owned()),
        (None, Some(system)) => Some(format!("A browser on {system}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_are_known_apart_in_words_of_ours() {
        let long = format!("{}Firefox/1", "x".repeat(MAX_BYTES));
        for (said, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                Some("Firefox on Linux"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
                Some("Edge on Windows"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
                Some("Chrome on Android"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
                Some("Safari on an iPhone"),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
                Some("Safari on a Mac"),
            ),
            ("Some/1.0 (FreeBSD)", Some("A browser on BSD")),
            ("Firefox/1<script>", Some("Firefox")),
            ("curl/8.0", None),
            ("", None),
            (&long, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, HeaderValue::from_str(said).unwrap());
            assert_eq!(label(&headers).as_deref(), expected, "{said}");
        }
        assert_eq!(label(&HeaderMap::new()), None);
        let mut odd = HeaderMap::new();
        odd.insert(header::USER_AGENT, HeaderValue::from_bytes(b"Firefox/\xff").unwrap());
        assert_eq!(label(&odd), None);
    }
}
