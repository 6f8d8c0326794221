//! How complaints are shown: with a frame of the source line for people, as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config::check::Checked;
use crate::config::complaint::{Complaint, Severity};
use crate::config::summary::Summary;

/// A complaint with its source line, as far as that may be shown. For a terminal, not for a log.
pub fn frame(file: &str, complaint: &Complaint) -> String {
    let mut text = file.to_owned();
    if let Some(place) = complaint.place {
        push(&mut text, format_args!(":{}:{}", place.line, place.column));
    }
    push(&mut text, format_args!(": {}: ", severity(complaint.severity)));
    if !complaint.key.is_empty() {
        push(&mut text, format_args!("{}: ", complaint.key));
    }
    push(&mut text, format_args!("{}\n", complaint.what));
    if let Some((line, marks)) = marked(complaint) {
        let number = complaint.place.map_or(0, |place| place.line);
        push(&mut text, format_args!("{number:>5} | {line}\n      | {marks}\n"));
    }
    push(&mut text, format_args!("      = {}", complaint.fix));
    if let Some(suggestion) = complaint.suggestion() {
        push(&mut text, format_args!("; {suggestion}"));
    }
    text.push('\n');
    text
}

/// A complaint as one line, without the source text: for a log.
pub fn line(file: &str, complaint: &Complaint) -> String {
    let severity = severity(complaint.severity);
    format!("{file}: {severity}: {complaint}\n")
}

/// Everything that the check says, for people.
pub fn text(file: &str, checked: &Checked) -> String {
    let mut text: String = checked.complaints.iter().map(|complaint| frame(file, complaint) + "\n").collect();
    let (errors, warnings) = count(checked);
    push(&mut text, format_args!("{file}: {}, {}\n", plural(errors, "error"), plural(warnings, "warning")));
    if let Some(config) = &checked.config {
        push(&mut text, format_args!("\n{}", Summary::of(config)));
    }
    text
}

/// The same for programs.
pub fn value(file: &str, checked: &Checked) -> Value {
    let (errors, warnings) = count(checked);
    json!({
        "file": file,
        "ok": errors == 0,
        "errors": errors,
        "warnings": warnings,
        "complaints": checked.complaints,
        "summary": checked.config.as_ref().map(Summary::of),
    })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn count(checked: &Checked) -> (usize, usize) {
    let errors = checked.complaints.iter().filter(|complaint| complaint.severity == Severity::Error).count();
    (errors, checked.complaints.len() - errors)
}

fn plural(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The source line and the marks under it; no marks where the place was cut off.
fn marked(complaint: &Complaint) -> Option<(String, String)> {
    let (line, place) = (complaint.source_line.as_ref()?, complaint.place?);
    let width = line.chars().count();
    if line.is_empty() {
        return None;
    }
    let before = line.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' });
    let marks = match width.checked_sub(place.column - 1) {
        // What is missing at the end of a line stands just behind it.
        Some(0) => before.chain(['^']).collect(),
        Some(room) => before.chain(std::iter::repeat_n('^', place.length.min(room))).collect(),
        None => String::new(),
    };
    Some((line.clone(), marks))
}

fn push(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(words);
}
