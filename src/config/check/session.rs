//! `[session]`.

use std::path::PathBuf;

use super::secret;
use crate::config::complaint::Report;
use crate::config::raw::Section;
use crate::config::source::{SecretReference, Source};
use crate::gate::settings::SessionSettings;

/// Whether this build can keep sessions in SQLite.
const SQLITE_IS_BUILT_IN: bool = cfg!(feature = "store-sqlite");

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In memory: gone at the end of the process, sealed by a key that is made at its start.
    Memory,
    /// In a SQLite file.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The key that seals what is in it: a file may be missing while the store is empty ([`key_plan`]).
        key: SecretReference,
    },
}

/// What to do about the session key at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlan {
    /// Read it.
    Read,
    /// Make one: nothing is sealed yet.
    Make,
    /// Refuse to start: what is in the store was sealed by a key that is gone, and a new one would sign everybody out.
    Refuse,
}

/// Decides about the session key. A new one is made in a file only, and only while the store is empty.
pub fn key_plan(key: &SecretReference, key_exists: bool, store_is_empty: bool) -> KeyPlan {
    match (key, key_exists, store_is_empty) {
        (_, true, _) => KeyPlan::Read,
        (SecretReference::File(_), false, true) => KeyPlan::Make,
        (_, false, _) => KeyPlan::Refuse,
    }
}

/// Reads `[session]`.
pub(super) fn check(
    section: &Section<'_>,
    source: &Source,
    report: &mut Report<'_>,
) -> Option<(Store, SessionSettings)> {
    let lives = lives(section, report);
    let store = match section.choice("store", report) {
        None => None,
        Some("memory") => {
            for name in ["path", "key"] {
                if section.has(name) {
                    let fix = "remove it, or write store = \"sqlite\"";
                    report.warn(&section.spot(name), "not used: the store is in memory", fix);
                }
            }
            Some(Store::Memory)
        }
        Some(_) => sqlite(section, source, report),
    };
    Some((store?, lives?))
}

fn lives(section: &Section<'_>, report: &mut Report<'_>) -> Option<SessionSettings> {
    let idle = section.duration("idle", report);
    let absolute = section.duration("absolute", report);
    let recheck = section.duration("recheck", report);
    let (idle, absolute) = idle.zip(absolute)?;
    if idle > absolute {
        let name = if section.has("idle") { "idle" } else { "absolute" };
        let what = "the idle life is longer than the absolute one";
        report.error(&section.spot(name), what, "write idle no longer than absolute");
    }
    Some(SessionSettings { idle, absolute, recheck: recheck? })
}

fn sqlite(section: &Section<'_>, source: &Source, report: &mut Report<'_>) -> Option<Store> {
    if !SQLITE_IS_BUILT_IN {
        let fix = "build it with the feature store-sqlite, or write \"memory\"";
        report.error(&section.spot("store"), "this program was built without SQLite", fix);
    }
    let path = section.text("path", report).map(|text| source.path(&text.value));
    let key = section.secret("key", report).and_then(|words| secret::reference(&words, source, report));
    if let Some(path) = &path {
        secret::store_file(path, &section.spot("path"), report);
    }
    let (path, key) = path.zip(key)?;
    secret::session_key(&key, &section.spot("key"), &path, report);
    Some(Store::Sqlite { path, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_key_is_made_only_as_a_file_and_only_while_the_store_is_empty() {
        let file = SecretReference::File("key".into());
        let credential = SecretReference::Credential("key".into());
        assert_eq!(key_plan(&file, true, false), KeyPlan::Read);
        assert_eq!(key_plan(&file, true, true), KeyPlan::Read);
        assert_eq!(key_plan(&file, false, true), KeyPlan::Make);
        assert_eq!(key_plan(&file, false, false), KeyPlan::Refuse);
        assert_eq!(key_plan(&credential, false, true), KeyPlan::Refuse);
        assert_eq!(key_plan(&credential, true, false), KeyPlan::Read);
    }
}
