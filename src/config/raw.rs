//! The file's words with their places, before any meaning.
//!
//! serde stops at the first thing that is wrong. So the parsed document is walked by the key table instead: unknown
//! sections and keys, doubled sections and values of the wrong type are all told, and reading goes on. A misspelt key
//! whose meaning is clear is read as what was meant, so that its value is checked too and nothing is called missing
//! that stands there.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::complaint::{Report, Show, Spot};
use super::keys::{self, Absent, Key, Kind, Part};
use super::unit;

type Value<'d> = Spanned<DeValue<'d>>;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    /// The value.
    pub(super) value: T,
    /// Where.
    pub(super) spot: Spot,
}

/// `true`, `false` or a list.
#[derive(Clone, Debug)]
pub(super) enum FlagOrTexts {
    /// For all, or for none.
    Flag(bool),
    /// For these.
    Texts(Vec<Located<String>>),
}

/// A reference to a secret, as written.
#[derive(Clone, Debug)]
pub(super) enum SecretWords {
    /// `{ file = ".." }`
    File(String),
    /// `{ credential = ".." }`
    Credential(String),
}

/// All sections of the file, `[[routes]]` several times.
#[derive(Debug)]
pub(super) struct Sections<'d> {
    all: Vec<Section<'d>>,
    end: usize,
}

/// One section.
#[derive(Debug)]
pub(super) struct Section<'d> {
    part: &'static Part,
    path: String,
    header: Range<usize>,
    found: Vec<(&'static Key, &'d Value<'d>)>,
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
                        match value.get_ref() {
                            DeValue::Table(table) => {
                                all.push(Section::read(
                                    part,
                                    format!("{name}[{index}]"),
                                    value.span(),
                                    table,
                                    report,
                                ));
                            }
                            _ => report.error(
                                &spot,
                                format!("{name}[{index}] is no section"),
                                format!("write [[{name}]]"),
                            ),
                        }
                    }
                }
                (_, false) => report.error(
                    &spot,
                    format!("`{name}` is a section"),
                    format!("write [{name}] on a line of its own"),
                ),
                (_, true) => {
                    report.error(
                        &spot,
                        format!("`{name}` is a section that may stand several times"),
                        format!("write [[{name}]]"),
                    );
                }
            }
        }
        Self { all, end }
    }

    /// The section of this name; an empty one if it is not in the file.
    pub(super) fn one(&self, name: &'static str) -> Section<'d> {
        let absent = || Section {
            part: keys::part(name).unwrap_or(&Part { name: "", repeated: false, doc: "", keys: &[] }),
            path: name.to_owned(),
            header: self.end..self.end,
            found: Vec::new(),
        };
        self.each(name).next().map_or_else(absent, |section| Section {
            part: section.part,
            path: section.path.clone(),
            header: section.header.clone(),
            found: section.found.clone(),
        })
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

impl<'d> Section<'d> {
    fn read(
        part: &'static Part,
        path: String,
        header: Range<usize>,
        table: &'d DeTable<'d>,
        report: &mut Report<'_>,
    ) -> Self {
        let names: Vec<&str> = part.keys.iter().map(|key| key.name).collect();
        let found = recognise(table, &names, &path, report)
            .into_iter()
            .filter_map(|(name, _, value)| Some((part.key(name)?, value)))
            .collect();
        Self { part, path, header, found }
    }

    /// Whether the key is written.
    pub(super) fn has(&self, name: &str) -> bool {
        self.found.iter().any(|(key, _)| key.name == name)
    }

    /// Where a key stands, or the section's head where it does not.
    pub(super) fn spot(&self, name: &str) -> Spot {
        let found = self.found.iter().find(|(key, _)| key.name == name);
        let secret = self.part.key(name).is_none_or(|key| key.kind == Kind::Secret);
        Spot {
            key: format!("{}.{name}", self.path),
            span: Some(found.map_or_else(|| self.header.clone(), |(_, value)| value.span())),
            // A section's head may be an inline table with secrets in it.
            show: if secret || found.is_none() { Show::Key } else { Show::Line },
        }
    }

    /// A string.
    pub(super) fn text(&self, name: &'static str, report: &mut Report<'_>) -> Option<Located<String>> {
        self.value(name, report, |_, value, spot, _| {
            let value = value.as_str()?.to_owned();
            Some(Located { value, spot: spot.clone() })
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &'static str, report: &mut Report<'_>) -> Option<bool> {
        self.value(name, report, |_, value, _, _| value.as_bool())
    }

    /// One of the key's words.
    pub(super) fn choice(&self, name: &'static str, report: &mut Report<'_>) -> Option<&'static str> {
        self.value(name, report, |key, value, spot, report| {
            let (text, Kind::Choice(words)) = (value.as_str()?, key.kind) else { return None };
            let found = words.iter().find(|word| **word == text).copied();
            if found.is_none() {
                let near = nearest(text, words);
                report.error_near(
                    spot,
                    format!("\"{text}\" is not known here"),
                    format!("write {}", key.kind.wants()),
                    near,
                );
            }
            Some(found)
        })?
    }

    /// A whole number within the key's bounds.
    pub(super) fn count(&self, name: &'static str, report: &mut Report<'_>) -> Option<u64> {
        self.value(name, report, |key, value, spot, report| {
            let (number, Kind::Count(least, most)) = (value.as_integer()?, key.kind) else { return None };
            let digits = number.as_str().replace('_', "");
            let count = u64::from_str_radix(digits.trim_start_matches('+'), number.radix()).ok();
            Some(within(count, least, most, u64::to_string, spot, report))
        })?
    }

    /// A duration within the key's bounds.
    pub(super) fn duration(&self, name: &'static str, report: &mut Report<'_>) -> Option<Duration> {
        let millis = self.value(name, report, |key, value, spot, report| {
            let (text, Kind::Duration(least, most)) = (value.as_str()?, key.kind) else { return None };
            let write = |millis: &u64| unit::write_duration(Duration::from_millis(*millis));
            Some(match unit::duration(text) {
                Ok(span) => within(u64::try_from(span.as_millis()).ok(), least, most, write, spot, report),
                Err(error) => refused(text, error, key, spot, report),
            })
        })?;
        millis.map(Duration::from_millis)
    }

    /// A size in bytes within the key's bounds.
    pub(super) fn size(&self, name: &'static str, report: &mut Report<'_>) -> Option<u64> {
        self.value(name, report, |key, value, spot, report| {
            let (text, Kind::Size(least, most)) = (value.as_str()?, key.kind) else { return None };
            Some(match unit::size(text) {
                Ok(bytes) => within(Some(bytes), least, most, |bytes| unit::write_size(*bytes), spot, report),
                Err(error) => refused(text, error, key, spot, report),
            })
        })?
    }

    /// A list of strings.
    pub(super) fn texts(&self, name: &'static str, report: &mut Report<'_>) -> Option<Vec<Located<String>>> {
        self.value(name, report, |_, value, spot, report| list(value, spot, report))
    }

    /// `true`, `false` or a list of strings.
    pub(super) fn flag_or_texts(&self, name: &'static str, report: &mut Report<'_>) -> Option<FlagOrTexts> {
        self.value(name, report, |_, value, spot, report| match value.as_bool() {
            Some(flag) => Some(FlagOrTexts::Flag(flag)),
            None => list(value, spot, report).map(FlagOrTexts::Texts),
        })
    }

    /// A reference to a secret. A secret itself is refused, and never repeated.
    pub(super) fn secret(&self, name: &'static str, report: &mut Report<'_>) -> Option<Located<SecretWords>> {
        self.value(name, report, |key, value, spot, report| {
            let DeValue::Table(table) = value else {
                let what = if value.is_str() {
                    "a secret may not stand in this file"
                } else {
                    "not a reference to a secret"
                };
                let fix =
                    "put it in a file that only this user can read (chmod 600) and write { file = \"...\" }";
                report.error(spot, what, fix);
                return Some(None);
            };
            Some(reference(table, key, spot, report).map(|value| Located { value, spot: spot.clone() }))
        })?
    }

    /// Reads a key's value, or its default's. `None` from `read` means: the wrong type.
    fn value<T>(
        &self,
        name: &'static str,
        report: &mut Report<'_>,
        read: impl Fn(&'static Key, &DeValue<'_>, &Spot, &mut Report<'_>) -> Option<T>,
    ) -> Option<T> {
        let spot = self.spot(name);
        let key = self.part.key(name)?;
        if let Some((_, value)) = self.found.iter().find(|(found, _)| found.name == name) {
            let read = read(key, value.get_ref(), &spot, report);
            if read.is_none() {
                report.error(
                    &spot,
                    format!("not the right type of value: {}", type_of(value.get_ref())),
                    format!("write {}", key.kind.wants()),
                );
            }
            return read;
        }
        match key.absent {
            Absent::Refused => {
                report.missing(
                    &spot,
                    "this key is missing",
                    format!("add {name} = ... to [{}]: {}", self.part.name, key.doc),
                );
                None
            }
            Absent::Is(default) => {
                let value = DeValue::parse(default).ok()?;
                read(key, value.get_ref(), &Spot { span: None, ..spot }, report)
            }
            Absent::Means(_) => None,
        }
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
        (true, _, _) if word == "admin" => {
            ("[admin] is not built in this version".to_owned(), "remove the section".to_owned())
        }
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
    let distance = |name: &str| strsim::damerau_levenshtein(&word.to_lowercase(), name);
    let best = known.iter().map(|name| distance(name)).min().unwrap_or(usize::MAX);
    let near_enough = |name: &str| best <= 1.max(name.chars().count().min(word.chars().count()) / 3);
    known
        .iter()
        .filter(|name| distance(name) == best && near_enough(name))
        .map(|name| (*name).to_owned())
        .collect()
}

fn list(value: &DeValue<'_>, spot: &Spot, report: &mut Report<'_>) -> Option<Vec<Located<String>>> {
    let mut texts = Vec::new();
    for (index, element) in value.as_array()?.iter().enumerate() {
        let spot = spot.element(index, element.span());
        match element.get_ref().as_str() {
            Some(text) => texts.push(Located { value: text.to_owned(), spot }),
            None => report.error(
                &spot,
                format!("not a string but {}", type_of(element.get_ref())),
                "put it in quotes",
            ),
        }
    }
    Some(texts)
}

fn reference(table: &DeTable<'_>, key: &Key, spot: &Spot, report: &mut Report<'_>) -> Option<SecretWords> {
    let mut entries = table.iter().map(|(name, value)| (name.get_ref().as_ref(), value.get_ref().as_str()));
    match (entries.next(), entries.next()) {
        (Some(("file", Some(path))), None) if !path.is_empty() => Some(SecretWords::File(path.to_owned())),
        (Some(("credential", Some(name))), None) if !name.is_empty() => {
            Some(SecretWords::Credential(name.to_owned()))
        }
        (Some(("hero_proc", _)), None) => {
            report.error(
                spot,
                "hero_proc secrets are not built in this version",
                "use { file = \"...\" } or { credential = \"...\" }",
            );
            None
        }
        _ => {
            report.error(spot, "not a reference to a secret", format!("write {}", key.kind.wants()));
            None
        }
    }
}

fn within(
    number: Option<u64>,
    least: u64,
    most: u64,
    write: impl Fn(&u64) -> String,
    spot: &Spot,
    report: &mut Report<'_>,
) -> Option<u64> {
    let number = number.filter(|number| (least..=most).contains(number));
    if number.is_none() {
        report.error(
            spot,
            "out of bounds",
            format!("write a value from {} to {}", write(&least), write(&most)),
        );
    }
    number
}

fn refused(
    text: &str,
    error: unit::UnitError,
    key: &Key,
    spot: &Spot,
    report: &mut Report<'_>,
) -> Option<u64> {
    report.error(spot, format!("\"{text}\": {error}"), format!("write {}", key.kind.wants()));
    None
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
