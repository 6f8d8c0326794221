//! A recording of exchanges with a real Forgejo: its lines, labels and abbreviations.

use std::collections::HashMap;

use serde::Deserialize;

/// One line of a recording.
#[derive(Deserialize)]
pub struct Exchange {
    pub name: String,
    pub request: RecordedRequest,
    pub response: RecordedResponse,
}

#[derive(Deserialize)]
pub struct RecordedRequest {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Option<String>,
}

#[derive(Deserialize)]
pub struct RecordedResponse {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// Labels such as `<access 3>` in a text.
pub fn labels_in(text: &str) -> impl Iterator<Item = &str> {
    let known = [
        "<access ",
        "<refresh ",
        "<id ",
        "<code ",
        "<secret ",
        "<pat ",
        "<admin ",
        "<client_id",
        "<other client_id",
    ];
    text.match_indices('<').filter_map(move |(start, _)| {
        let rest = text.split_at(start).1;
        let length = rest.find('>')? + 1;
        known.iter().any(|label| rest.starts_with(label)).then(|| rest.split_at(length).0)
    })
}

/// Names of cookies in a Set-Cookie line or several joined by commas; a dropped one ends in `-`.
pub fn cookie_names(lines: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in lines.split(", ") {
        let begins = part
            .split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        if begins {
            names.push(part.split('=').next().unwrap().to_owned());
        }
        if part.contains("Max-Age=0") {
            names.last_mut().unwrap().push('-');
        }
    }
    names
}

/// A page's recording is its size and title: a redirect's little body has no title, and its size counts.
pub fn compare_page(recorded: &str, body: &str, differ: &mut Vec<String>) {
    let (size, title) = recorded.split_once(" bytes) title: ").expect("the recording's form");
    let ours = body.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    match (title, ours) {
        ("-", None) if body.starts_with("<a href=") => {}
        ("-", _) => differ.push(format!("body: {body:?} instead of a redirect's {size} bytes")),
        (title, Some(ours)) => {
            let subject = |title: &str| title.rsplit_once(" - ").map(|(subject, _)| subject.to_owned());
            if subject(title) != subject(ours) {
                differ.push(format!("title: {ours:?} instead of {title:?}"));
            }
        }
        (_, None) => differ.push("body: no page with a title".to_owned()),
    }
}

/// `<Repository 5:owner/name>` says a row number of its server.
pub fn without_row_number(text: &str) -> String {
    match text.split_once("<Repository ").and_then(|(before, rest)| Some((before, rest.split_once(':')?.1))) {
        Some((before, rest)) => format!("{before}(Repository {rest}"),
        None => text.to_owned(),
    }
}
