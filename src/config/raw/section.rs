//! One section's values by their types. A value of the wrong type is told once, with what to write instead; a key that
//! is not written has its default from the key table.

use std::ops::Range;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{Value, nearest, recognise};
use crate::base::secret_file::Slot;
use crate::config::complaint::{Report, Show, Spot};
use crate::config::keys::{Absent, Key, Kind, Part};
use crate::config::unit;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(in crate::config) struct Located<T> {
    /// The value.
    pub(in crate::config) value: T,
    /// Where.
    pub(in crate::config) spot: Spot,
}

/// `true`, `false` or a list.
#[derive(Clone, Debug)]
pub(in crate::config) enum FlagOrTexts {
    /// For all, or for none.
    Flag(bool),
    /// For these.
    Texts(Vec<Located<String>>),
}

/// A reference to a secret, as written.
#[derive(Clone, Debug)]
pub(in crate::config) enum SecretWords {
    /// `{ file = ".." }`
    File(String),
    /// `{ credential = ".." }`
    Credential(String),
    /// `{ hero_proc = "context/KEY" }`
    HeroProc(Slot),
}

/// One section.
#[derive(Clone, Debug)]
pub(in crate::config) struct Section<'d> {
    pub(super) part: &'static Part,
    path: String,
    header: Range<usize>,
    found: Vec<(&'static Key, &'d Value<'d>)>,
}

impl<'d> Section<'d> {
    /// A section that is not in the file: its keys are missed at `end`.
    pub(super) fn absent(part: &'static Part, end: usize) -> Self {
        Self { part, path: part.name.to_owned(), header: end..end, found: Vec::new() }
    }

    /// Reads a section's table by its keys.
    pub(super) fn read(
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
    pub(in crate::config) fn has(&self, name: &str) -> bool {
        self.found.iter().any(|(key, _)| key.name == name)
    }

    /// Where a key stands, or the section's head where it does not.
    pub(in crate::config) fn spot(&self, name: &str) -> Spot {
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
    pub(in crate::config) fn text(
        &self,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Located<String>> {
        self.value(name, report, |_, value, spot, _| {
            let value = value.as_str()?.to_owned();
            Some(Located { value, spot: spot.clone() })
        })
    }

    /// `true` or `false`.
    pub(in crate::config) fn flag(&self, name: &'static str, report: &mut Report<'_>) -> Option<bool> {
        self.value(name, report, |_, value, _, _| value.as_bool())
    }

    /// One of the key's words.
    pub(in crate::config) fn choice(
        &self,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Option<&'static str> {
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
    pub(in crate::config) fn count(&self, name: &'static str, report: &mut Report<'_>) -> Option<u64> {
        self.value(name, report, |key, value, spot, report| {
            let (number, Kind::Count(least, most)) = (value.as_integer()?, key.kind) else { return None };
            let digits = number.as_str().replace('_', "");
            let count = u64::from_str_radix(digits.trim_start_matches('+'), number.radix()).ok();
            Some(within(count, least, most, u64::to_string, spot, report))
        })?
    }

    /// A duration within the key's bounds.
    pub(in crate::config) fn duration(
        &self,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Duration> {
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
    pub(in crate::config) fn size(&self, name: &'static str, report: &mut Report<'_>) -> Option<u64> {
        self.value(name, report, |key, value, spot, report| {
            let (text, Kind::Size(least, most)) = (value.as_str()?, key.kind) else { return None };
            Some(match unit::size(text) {
                Ok(bytes) => within(Some(bytes), least, most, |bytes| unit::write_size(*bytes), spot, report),
                Err(error) => refused(text, error, key, spot, report),
            })
        })?
    }

    /// A list of strings.
    pub(in crate::config) fn texts(
        &self,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Vec<Located<String>>> {
        self.value(name, report, |_, value, spot, report| list(value, spot, report))
    }

    /// `true`, `false` or a list of strings.
    pub(in crate::config) fn flag_or_texts(
        &self,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Option<FlagOrTexts> {
        self.value(name, report, |_, value, spot, report| match value.as_bool() {
            Some(flag) => Some(FlagOrTexts::Flag(flag)),
            None => list(value, spot, report).map(FlagOrTexts::Texts),
        })
    }

    /// A reference to a secret. A secret itself is refused, and never repeated.
    pub(in crate::config) fn secret(
        &self,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Located<SecretWords>> {
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
        (Some(("hero_proc", Some(name))), None) => {
            let slot = name.parse().ok();
            if slot.is_none() {
                let fix = "write { hero_proc = \"context/KEY\" } with letters, digits, `_`, `-` and `.`";
                report.error(spot, "not the name of a slot of hero_proc", fix);
            }
            slot.map(SecretWords::HeroProc)
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
