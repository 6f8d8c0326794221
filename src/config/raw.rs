//! The file's words with their places, before any meaning.
//!
//! serde stops at the first thing that is wrong. So the parsed document is walked by the key table instead: unknown
//! sections and keys, doubled sections and values of the wrong type are all told, and reading goes on. A misspelt key
//! whose meaning is clear is read as what was meant, so that its value is checked too and nothing is called missing
//! that stands there.

mod section;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::complaint::{Report, Show, Spot};
use super::keys::{self, Part};

pub(super) use section::{FlagOrTexts, Located, SecretWords, Section};

type Value<'d> = Spanned<DeValue<'d>>;

/// The longest word that is compared with the known names.
const MAX_WORD_BYTES: usize = 64;

/// What stands for a section that the key table does not know; nobody asks for one.
const NO_PART: &Part = &Part { name: "", repeated: false, optional: false, doc: "", keys: &[] };

/// All sections of the file, `[[routes]]` several times.
#[derive(Debug)]
pub(super) struct Sections<'d> {
    all: Vec<Section<'d>>,
    end: usize,
}

impl<'d> Sections<'d> {
    /// Walks the document by the key table.
    pub(super) fn read(document: &'d DeTable<'d>, end: usize, report: &mut Report<'_>) -> Self {
        let names: Vec<&str> = keys::PARTS.iter().map(|part| part.name).collect();
        let mut all = Vec::new();
        for (name, spot, value) in recognise(document, &names, "", report) {
            let Some(part) = keys::part(name) else { continue };
            match (value.get_ref(), part.repeated) {
                (DeValue::Table(table), false) => {
                    all.push(Section::read(part, name.to_owned(), value.span(), table, report));
                }
                (DeValue::Array(tables), true) => {
                    for (index, value) in tables.iter().enumerate() {
                        let path = format!("{name}[{index}]");
                        match value.get_ref() {
                            DeValue::Table(table) => {
                                all.push(Section::read(part, path, value.span(), table, report));
                            }
                            _ => report.error(
                                &spot,
                                format!("{path} is no section"),
                                format!("write [[{name}]]"),
                            ),
                        }
                    }
                }
                (_, repeated) => {
                    let head = if repeated { format!("[[{name}]]") } else { format!("[{name}]") };
                    report.error(
                        &spot,
                        format!("`{name}` is a section"),
                        format!("write {head} on a line of its own"),
                    );
                }
            }
        }
        Self { all, end }
    }

    /// The section of this name; an empty one if it is not in the file.
    pub(super) fn one(&self, name: &'static str) -> Section<'d> {
        let absent = || Section::absent(keys::part(name).unwrap_or(NO_PART), self.end);
        self.each(name).next().cloned().unwrap_or_else(absent)
    }

    /// The sections of this name, in the file's order.
    pub(super) fn each<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s Section<'d>> {
        self.all.iter().filter(move |section| section.part.name == name)
    }

    /// The end of the file: where something is missing that has no other place.
    pub(super) fn end(&self, key: &str) -> Spot {
        Spot { key: key.to_owned(), span: Some(self.end..self.end), show: Show::Key }
    }
}

/// The keys of a table that are known, in the file's words; tells of the others.
fn recognise<'d>(
    table: &'d DeTable<'d>,
    known: &[&'static str],
    path: &str,
    report: &mut Report<'_>,
) -> Vec<(&'static str, Spot, &'d Value<'d>)> {
    let mut found = Vec::new();
    let mut strangers = Vec::new();
    for (key, value) in table {
        let spot = Spot { key: dotted(path, key.get_ref()), span: Some(key.span()), show: Show::Key };
        match known.iter().find(|name| **name == key.get_ref().as_ref()) {
            Some(name) => found.push((*name, spot, value)),
            None => strangers.push((key.get_ref(), spot, value)),
        }
    }
    for (word, spot, value) in strangers {
        let near = nearest(word, known);
        let (what, fix) = about_stranger(word, path, &near);
        report.error_near(&spot, what, fix, near.clone());
        let meant = match near.as_slice() {
            [one] => known.iter().find(|name| *name == one),
            _ => None,
        };
        if let Some(name) = meant.filter(|name| found.iter().all(|(there, ..)| there != *name)) {
            found.push((*name, spot, value));
        }
    }
    found
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What to say of a key or a section that is not known where it stands.
fn about_stranger(word: &str, path: &str, near: &[String]) -> (String, String) {
    let elsewhere = keys::PARTS.iter().find(|part| part.key(word).is_some());
    match (path.is_empty(), near.is_empty(), elsewhere) {
        (true, true, None) => {
            ("no such section".to_owned(), "remove it, or look the name up in proxy.example.toml".to_owned())
        }
        (true, false, None) => ("no such section".to_owned(), "correct the name".to_owned()),
        (false, true, None) => {
            ("no such key".to_owned(), "remove it, or look the name up in proxy.example.toml".to_owned())
        }
        (false, false, _) => ("no such key".to_owned(), "correct the name".to_owned()),
        (_, _, Some(part)) => {
            let brackets =
                if part.repeated { format!("[[{}]]", part.name) } else { format!("[{}]", part.name) };
            ("this key does not belong here".to_owned(), format!("move it to {brackets}"))
        }
    }
}

/// The known names that `word` is a slip of: the nearest ones, if they are near enough.
pub(super) fn nearest(word: &str, known: &[&str]) -> Vec<String> {
    // Comparing takes time and memory by the product of the lengths, and no name is as long as this.
    if word.len() > MAX_WORD_BYTES {
        return Vec::new();
    }
    let distance = |name: &str| strsim::damerau_levenshtein(&word.to_lowercase(), name);
    let best = known.iter().map(|name| distance(name)).min().unwrap_or(usize::MAX);
    let near_enough = |name: &str| best <= 1.max(name.chars().count().min(word.chars().count()) / 3);
    known
        .iter()
        .filter(|name| distance(name) == best && near_enough(name))
        .map(|name| (*name).to_owned())
        .collect()
}
