//! `[access]`, and lists of visitors wherever they stand.

use crate::base::account::Group;
use crate::config::complaint::Report;
use crate::config::raw::{Located, Section, nearest};
use crate::gate::settings::Allow;

const FORMS: &str =
    "write \"user:NAME\", \"user-id:NUMBER\", \"org:NAME\", \"team:ORG/TEAM\" or \"any-user\"";

/// Reads a key that lists visitors. An empty list is refused: some read it as "everybody", some as "nobody".
pub(super) fn allow_list(
    section: &Section<'_>,
    name: &'static str,
    report: &mut Report<'_>,
) -> Option<Vec<Allow>> {
    let texts = section.texts(name, report)?;
    if texts.is_empty() {
        report.error(&section.spot(name), "the list is empty: nobody could pass", FORMS);
    }
    Some(visitors(&texts, report))
}

/// Reads the elements of a list of visitors.
pub(super) fn visitors(texts: &[Located<String>], report: &mut Report<'_>) -> Vec<Allow> {
    let mut all = Vec::new();
    for text in texts {
        let Some(allow) = visitor(text, report) else { continue };
        if all.contains(&allow) {
            report.warn(&text.spot, "this stands twice", "remove one of the two");
        }
        all.push(allow);
    }
    let everybody = texts.iter().find(|text| text.value == "any-user");
    if let Some(text) = everybody.filter(|_| texts.len() > 1) {
        let what = "\"any-user\" lets everybody pass, so the rest of the list says nothing";
        report.warn(&text.spot, what, "remove it, or all the others");
    }
    all
}

fn visitor(text: &Located<String>, report: &mut Report<'_>) -> Option<Allow> {
    let read = match text.value.split_once(':') {
        None if text.value == "any-user" => Some(Allow::AnyUser),
        Some(("user", name)) => name_of(name).map(Allow::User),
        Some(("user-id", id)) => id_of(id).map(Allow::UserId),
        Some(("org", org)) => name_of(org).map(|org| Allow::Group(Group { org, team: None })),
        Some(("team", team)) => team_of(team).map(Allow::Group),
        _ => None,
    };
    if read.is_none() {
        let (word, rest) = text.value.split_once(':').unwrap_or((&text.value, ""));
        let near = match nearest(word, &["user", "user-id", "org", "team", "any-user"]) {
            near if near.iter().any(|name| name == word) => Vec::new(),
            near if rest.is_empty() => near,
            near => near.iter().map(|name| format!("{name}:{rest}")).collect(),
        };
        report.error_near(&text.spot, format!("\"{}\" names nobody", text.value), FORMS.to_owned(), near);
    }
    read
}

/// A name as the forge allows it: letters, digits, `-`, `_`, `.`; never empty.
pub(super) fn name_of(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!text.is_empty() && text.chars().all(fits)).then(|| text.to_owned())
}

/// A positive number in its only spelling.
pub(super) fn id_of(text: &str) -> Option<String> {
    text.parse::<u64>().ok().filter(|id| *id > 0 && id.to_string() == text).map(|_| text.to_owned())
}

fn team_of(text: &str) -> Option<Group> {
    let (org, team) = text.split_once('/')?;
    Some(Group { org: name_of(org)?, team: Some(name_of(team)?) })
}

/// Reads the elements of a list of groups in the claim's own form: `org` or `org:team`.
pub(super) fn groups(texts: &[Located<String>], report: &mut Report<'_>) -> Vec<Group> {
    let is_name = |name: &str| name_of(name).is_some();
    let mut all = Vec::new();
    for text in texts {
        let read = Group::from_claim(&text.value)
            .filter(|group| is_name(&group.org) && group.team.as_deref().is_none_or(is_name));
        match read {
            Some(group) => all.push(group),
            None => report.error(
                &text.spot,
                format!("\"{}\" is no group", text.value),
                "write \"ORG\" or \"ORG:TEAM\"",
            ),
        }
    }
    all
}
