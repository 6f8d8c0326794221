//! Who reads the answer: a person's browser, or a program (pure).

use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{HeaderName, Method};

use crate::gate::verdict::Reader;

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// Judges by Fetch Metadata; by `Accept` for browsers that do not send it.
///
/// A prefetch is a program: it must not start a sign-in that nobody asked for. A frame gets a page: the forge cannot be
/// framed, so its sign-in has to be opened outside.
pub(super) fn of(head: &Parts) -> Reader {
    let mode = text(&head.headers, &FETCH_MODE);
    let page = match mode {
        Some(mode) => mode == "navigate",
        None => accepts_html(&head.headers) && !head.headers.contains_key("x-requested-with"),
    };
    if !page || head.headers.contains_key(PURPOSE) {
        return Reader::Program;
    }
    let framed = text(&head.headers, &FETCH_DEST).is_some_and(|dest| dest != "document");
    if head.method == Method::GET && !framed { Reader::Navigation } else { Reader::Page }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|accept| {
        accept.split(',').filter_map(|range| range.split(';').next()).any(|kind| {
            matches!(kind.trim().to_ascii_lowercase().as_str(), "text/html" | "application/xhtml+xml")
        })
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(method: &Method, headers: &[(&str, &str)], expected: Reader) {
        let mut request = Request::builder().method(method.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(of(&head), expected, "{method} {headers:?}");
    }

    /// Holds: G1.
    #[test]
    fn only_a_top_level_page_load_may_be_sent_to_a_sign_in() {
        let get = Method::GET;
        check(&get, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], Reader::Navigation);
        check(&get, &[("sec-fetch-mode", "navigate")], Reader::Navigation);
        check(&get, &[("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")], Reader::Navigation);
        check(&get, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], Reader::Page);
        check(&Method::POST, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], Reader::Page);
        check(&Method::POST, &[("accept", "text/html")], Reader::Page);
        check(&get, &[("sec-fetch-mode", "cors"), ("accept", "text/html")], Reader::Program);
        check(&get, &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], Reader::Program);
        check(&get, &[("accept", "application/json; q=1")], Reader::Program);
        check(&get, &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")], Reader::Program);
        check(&get, &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")], Reader::Program);
        check(&get, &[("accept", "*/*")], Reader::Program);
        check(&get, &[], Reader::Program);
    }
}
