//! What the page says when something was not done (pure).

use http::StatusCode;

use crate::admin::error::AdminError;
use crate::admin::refusal::Refusal;
use crate::forge::admin::Field;

/// Why something was not done, in a page's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub status: StatusCode,
    /// A whole sentence.
    pub title: String,
    /// What to do.
    pub advice: String,
    /// What is wrong with which field, in whole sentences.
    pub complaints: Vec<(Field, String)>,
    /// Whose password to reset, where that helps.
    pub reset: Option<String>,
}

impl Notice {
    fn new(status: StatusCode, title: &str, advice: &str) -> Self {
        let advice = advice.to_owned();
        Self { status, title: sentence(title), advice, complaints: Vec::new(), reset: None }
    }

    /// An action that failed.
    pub(super) fn of(failed: &AdminError) -> Self {
        let mut notice = Self::new(status(failed), &failed.to_string(), advice(failed));
        notice.complaints = complaints(failed);
        if let AdminError::PasswordLost { user_id, .. } = failed {
            notice.reset = Some(user_id.clone());
        }
        notice
    }

    /// A form that this caller was not given, or too long ago.
    pub(super) fn stale() -> Self {
        let title = "this form has lain open for too long";
        Self::new(StatusCode::FORBIDDEN, title, "Nothing was done. Send it again if you still mean it.")
    }

    /// A form that has come before.
    pub(super) fn spent() -> Self {
        let advice = "Nothing was done this time. If the password of the first time has not reached you, reset it once more.";
        Self::new(StatusCode::CONFLICT, "this form was sent before", advice)
    }

    /// A request that was not looked into.
    pub(super) fn turned_away(refusal: &Refusal) -> Self {
        let advice = match refusal.status {
            StatusCode::FORBIDDEN if refusal.reason == "admin_foreign_origin" => {
                "Nothing was done. Open this page itself and send its form from there."
            }
            StatusCode::FORBIDDEN => {
                "Operators are the site admins of the forge, or whom the configuration lists. Sign out to come back as somebody else."
            }
            StatusCode::SERVICE_UNAVAILABLE => "Nothing was done. Try the same again in a moment.",
            StatusCode::TOO_MANY_REQUESTS => {
                "Nothing was done. Wait as long as it takes to read this, then try again."
            }
            _ => "Nothing was done.",
        };
        Self::new(refusal.status, refusal.title, advice)
    }
}

/// A first letter in upper case, and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    first.into_iter().chain(letters).chain(end.chars()).collect()
}

/// The marks around names, as people set them.
fn quoted(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let set = parts.map(|(at, part)| if at % 2 == 1 { format!("“{part}”") } else { part.to_owned() });
    set.collect()
}

fn status(failed: &AdminError) -> StatusCode {
    match failed {
        AdminError::Fields(_) | AdminError::TakenByOrganization | AdminError::RenamedTo(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        AdminError::NoSuchUser | AdminError::NoSuchVm => StatusCode::NOT_FOUND,
        AdminError::VmTaken
        | AdminError::TooManyVms
        | AdminError::SiteAdmin
        | AdminError::ExternalAccount
        | AdminError::Busy
        | AdminError::PasswordLost { .. } => StatusCode::CONFLICT,
        AdminError::PasswordRule(_) | AdminError::Token(_) | AdminError::NoToken | AdminError::Uncertain => {
            StatusCode::BAD_GATEWAY
        }
        AdminError::ForgeUnavailable | AdminError::Records | AdminError::Stopping => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// What to do, where the words for programs would not help a person.
fn advice(failed: &AdminError) -> &'static str {
    match failed {
        AdminError::Fields(_) | AdminError::TakenByOrganization | AdminError::RenamedTo(_) => {
            "Nothing was done. Correct what stands beside the fields."
        }
        AdminError::NoSuchUser => "Nothing was done. Look for it in the list.",
        AdminError::PasswordLost { .. } => "Reset its password for one to hand over.",
        other => other.face().advice,
    }
}

/// What is wrong with which field.
fn complaints(failed: &AdminError) -> Vec<(Field, String)> {
    match failed {
        AdminError::Fields(complaints) => complaints
            .iter()
            .map(|(field, problem)| (*field, quoted(&format!("{} {problem}.", label(*field)))))
            .collect(),
        AdminError::TakenByOrganization => {
            vec![(Field::Username, "This name is taken by an organization: choose another.".to_owned())]
        }
        AdminError::RenamedTo(name) => {
            let says = format!(
                "The account of this name is called {name} now: choose another, or create {name} to see it here."
            );
            vec![(Field::Username, says)]
        }
        _ => Vec::new(),
    }
}

/// What stands above a field.
fn label(field: Field) -> &'static str {
    match field {
        Field::Username => "The forge username",
        Field::DisplayName => "The display name",
        Field::Email => "The e-mail address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_reads_as_a_sentence() {
        assert_eq!(quoted("two of `_` and `.` in a row"), "two of “_” and “.” in a row");
        assert_eq!(quoted("nothing to quote"), "nothing to quote");
        assert_eq!(sentence("no token"), "No token.");
    }
}
