//! What the check has to say: each complaint with its place, its key, what is wrong and what to do.
//!
//! A complaint never holds a secret. `what` and `fix` may go to a log; the source line is kept apart, since a log must
//! not quote the file, and is cut where it could show a secret.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::config::hush::{hushed, may_hold_a_password};

/// Whether a complaint stops the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It starts, but somebody should know.
    Warning,
}

/// Where in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters of that line are meant, 1 at least.
    pub length: usize,
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// Whether it stops the start.
    pub severity: Severity,
    /// Where; none when the file itself cannot be read.
    pub place: Option<Place>,
    /// The key's path, `routes[0].upstream`; empty when the text is no TOML.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
    /// The names that were probably meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub did_you_mean: Vec<String>,
    /// The source line, as far as it may be shown.
    #[serde(skip)]
    pub(super) source_line: Option<String>,
    #[serde(skip)]
    about: About,
}

/// What a complaint is about, as far as that decides whether it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The text is no TOML.
    Syntax,
    /// Something is not there.
    Missing,
    /// A word.
    Word,
}

impl Complaint {
    /// A complaint about the file as a whole.
    pub(super) fn of_file(what: String, fix: String) -> Self {
        let (key, did_you_mean) = (String::new(), Vec::new());
        Self {
            severity: Severity::Error,
            place: None,
            key,
            what,
            fix,
            did_you_mean,
            source_line: None,
            about: About::Word,
        }
    }

    /// ``did you mean `listen`?``, if anything was probably meant.
    pub fn suggestion(&self) -> Option<String> {
        (!self.did_you_mean.is_empty())
            .then(|| format!("did you mean `{}`?", self.did_you_mean.join("` or `")))
    }
}

/// One line for a log: no source text.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "line {}, column {}: ", place.line, place.column)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.fix)?;
        self.suggestion().map_or(Ok(()), |suggestion| write!(f, "; {suggestion}"))
    }
}

/// Which part of a source line may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// All of it, if it is about one key: the value is no secret.
    Line,
    /// Up to the first `=`: the value is a secret, or may be one.
    Key,
}

/// What a complaint is about: a key, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// The key's path.
    pub(super) key: String,
    /// Bytes of the text; none for a default, which nobody wrote.
    pub(super) span: Option<Range<usize>>,
    /// What may be shown of the line.
    pub(super) show: Show,
}

impl Spot {
    /// The `index`th element of this list.
    pub(super) fn element(&self, index: usize, span: Range<usize>) -> Self {
        let span = self.span.as_ref().map(|_| span);
        Self { key: format!("{}[{index}]", self.key), span, show: self.show }
    }
}

/// Gathers complaints about one text.
#[derive(Debug)]
pub(super) struct Report<'t> {
    text: &'t str,
    complaints: Vec<Complaint>,
}

impl<'t> Report<'t> {
    /// A report on `text`, with nothing in it.
    pub(super) fn on(text: &'t str) -> Self {
        Self { text, complaints: Vec::new() }
    }

    /// Something is wrong.
    pub(super) fn error(&mut self, spot: &Spot, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Error, About::Word, spot, &what.into(), &fix.into(), Vec::new());
    }

    /// Something is not there.
    pub(super) fn missing(&mut self, spot: &Spot, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Error, About::Missing, spot, &what.into(), &fix.into(), Vec::new());
    }

    /// The text is no TOML.
    pub(super) fn syntax(&mut self, spot: &Spot, message: &str, fix: &str) {
        let what = format!("this is no TOML: {}", message.replace('\n', " "));
        self.add(Severity::Error, About::Syntax, spot, &what, fix, Vec::new());
    }

    /// This name stands at the byte `first` too, which TOML does not allow.
    pub(super) fn twice(&mut self, spot: &Spot, first: usize) {
        let (place, _) = locate(self.text, &(first..first));
        let what = format!("this is no TOML: the name stands in line {} already", place.line);
        self.add(Severity::Error, About::Syntax, spot, &what, "remove one of the two", Vec::new());
    }

    /// Something is wrong, and these were probably meant.
    pub(super) fn error_near(
        &mut self,
        spot: &Spot,
        what: impl Into<String>,
        fix: impl Into<String>,
        near: Vec<String>,
    ) {
        self.add(Severity::Error, About::Word, spot, &what.into(), &fix.into(), near);
    }

    /// Something is worth knowing.
    pub(super) fn warn(&mut self, spot: &Spot, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Warning, About::Word, spot, &what.into(), &fix.into(), Vec::new());
    }

    /// Whether anything stops the start.
    pub(super) fn has_errors(&self) -> bool {
        self.complaints.iter().any(|complaint| complaint.severity == Severity::Error)
    }

    /// All complaints in the order of the file. Where the text is no TOML the rest of a line says little, and what is
    /// missing may stand in a broken line: that is told once the text can be read.
    pub(super) fn into_complaints(mut self) -> Vec<Complaint> {
        let broken: Vec<usize> = (self.complaints.iter())
            .filter(|complaint| complaint.about == About::Syntax)
            .filter_map(|complaint| Some(complaint.place?.line))
            .collect();
        self.complaints.retain(|complaint| match complaint.about {
            About::Syntax => true,
            About::Missing => broken.is_empty(),
            // What could not be read may be just what a warning misses.
            About::Word if complaint.severity == Severity::Warning && !broken.is_empty() => false,
            About::Word => complaint.place.is_none_or(|place| !broken.contains(&place.line)),
        });
        self.complaints.sort_by_key(|complaint| complaint.place.map(|place| (place.line, place.column)));
        self.complaints.dedup();
        self.complaints
    }

    fn add(
        &mut self,
        severity: Severity,
        about: About,
        spot: &Spot,
        what: &str,
        fix: &str,
        did_you_mean: Vec<String>,
    ) {
        let at = spot.span.clone().map(|span| locate(self.text, &span));
        let source_line = at.as_ref().map(|(_, line)| printable(&cut(line, spot.show)));
        let told = |words: &str| printable(&hushed(words));
        let (what, fix, key) = (told(what), told(fix), told(&spot.key));
        // What was probably meant may be made of what was written.
        let written = spot.span.clone().and_then(|span| self.text.get(span)).unwrap_or_default();
        let did_you_mean = if may_hold_a_password(written) { Vec::new() } else { did_you_mean };
        let place = at.map(|(place, _)| place);
        self.complaints.push(Complaint { severity, place, key, what, fix, did_you_mean, source_line, about });
    }
}

/// The place of a span of bytes, and its line. A span beyond the text is at its end.
fn locate<'t>(text: &'t str, span: &Range<usize>) -> (Place, &'t str) {
    let start =
        (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let (before, after) = text.split_at(start);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let wanted = after.get(..span.end.saturating_sub(start).min(after.len())).unwrap_or(after);
    let length = wanted.lines().next().unwrap_or_default().chars().count().max(1);
    (Place { line: before.matches('\n').count() + 1, column, length }, line)
}

/// A terminal must not obey what a file says: control characters are shown as `?`, but for tabs.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect()
}

fn cut(line: &str, show: Show) -> String {
    // An inline table may hold other keys than the one that is meant.
    let is_one_key = !line.contains('{') && line.matches('=').count() < 2 && !may_hold_a_password(line);
    match (show, line.split_once('=')) {
        (Show::Line, _) if is_one_key => line.to_owned(),
        (_, Some((key, _))) if !may_hold_a_password(key) => format!("{key}= ..."),
        (_, None) if line.trim_start().starts_with('[') && !may_hold_a_password(line) => line.to_owned(),
        _ => "...".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_lines_from_one() {
        let text = "a = 1\nä = \"öö\" # x\n";
        let start = text.find('"').expect("there");
        let (place, line) = locate(text, &(start..start + 6));
        assert_eq!(place, Place { line: 2, column: 5, length: 4 });
        assert_eq!(line, "ä = \"öö\" # x");
        assert_eq!(locate(text, &(999..1000)).0, Place { line: 3, column: 1, length: 1 });
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_cut_at_its_equals_sign() {
        assert_eq!(cut("client_secret = \"hunter2\"", Show::Key), "client_secret = ...");
        assert_eq!(cut("hunter2", Show::Key), "...");
        assert_eq!(cut("[forge", Show::Key), "[forge");
        assert_eq!(cut("url = \"https://a\"", Show::Line), "url = \"https://a\"");
        assert_eq!(cut("url = \"https://a:hunter2@b\"", Show::Line), "url = ...");
        assert_eq!(cut("\"a:hunter2@b\" = 1", Show::Line), "...");
        assert_eq!(cut("[a:hunter2@b]", Show::Line), "...");
        assert_eq!(cut("forge = { url = 1, client_secret = \"hunter2\" }", Show::Line), "forge = ...");
    }
}
