//! `[hero_proc]`.

use crate::base::hero_proc::Settings;
use crate::config::complaint::Report;
use crate::config::raw::{Located, Section};
use crate::config::source::Source;

/// Reads `[hero_proc]`.
pub(super) fn check(section: &Section<'_>, source: &Source, report: &mut Report<'_>) -> Option<Settings> {
    let socket = filled(section.text("socket", report), report);
    let uid = section.count("uid", report);
    let timeout = section.duration("timeout", report);
    let get = filled(section.text("method", report), report);
    let context = filled(section.text("context", report), report);
    let key = filled(section.text("key", report), report);
    let value = filled(section.text("value", report), report);
    Some(Settings {
        socket: source.path(&socket?),
        uid: uid.and_then(|uid| u32::try_from(uid).ok()),
        timeout: timeout?,
        get: get?,
        context: context?,
        key: key?,
        value: value?,
        // We write nothing there.
        ..Settings::default()
    })
}

fn filled(text: Option<Located<String>>, report: &mut Report<'_>) -> Option<String> {
    let text = text?;
    if text.value.is_empty() {
        report.error(&text.spot, "this is empty", "write what hero_proc calls it, or remove the line");
        return None;
    }
    Some(text.value)
}
