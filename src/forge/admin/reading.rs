//! How the forge's answers about accounts are read. Its texts are matched by their beginnings where nothing else tells
//! them apart, and never kept: they may repeat what was sent.
//!
//! Source: docs/FORGEJO.md 3.3, 4.1, 4.2, 4.4.

use http::header::LOCATION;
use http::{Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::base::account::UserId;
use crate::base::clock::Timestamp;
use crate::forge::admin::error::{AdminError, PasswordRule, TokenFault};
use crate::forge::admin::new_user::{Complaint, Field, Problem};
use crate::forge::admin::{AccountInfo, AccountState};
use crate::forge::error::ForgeError;
use crate::forge::http::{is_json, odd_status};

/// The longest name that is believed.
const MAX_LOGIN: usize = 255;

/// What came of a request to make an account.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It is made.
    Account(AccountInfo),
    /// Somebody or something has the name: look who.
    NameTaken,
    /// No, and nothing was made.
    Refused(AdminError),
    /// Nobody can tell from this: look. The error is what to say if there is no such account.
    Unclear(AdminError),
}

/// What came of a request to set a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reset {
    /// It is set.
    Done(AccountInfo),
    /// The account was renamed since we looked: look again.
    Moved,
    /// No.
    Refused(AdminError),
    /// Nobody can tell from this: the same again does no harm.
    Unclear,
}

/// Reads the answer to "who has this name?". `called` is the URL that was asked.
pub(super) fn named(
    response: &Response<Vec<u8>>,
    name: &str,
    called: &Url,
) -> Result<Option<AccountInfo>, AdminError> {
    match response.status() {
        StatusCode::OK => {
            let account = account(response)?;
            if !account.login.eq_ignore_ascii_case(name) {
                return Err(AdminError::Garbled("an account of another name"));
            }
            Ok(Some(account))
        }
        // Somebody else's 404 would read as "nobody has this name".
        StatusCode::NOT_FOUND if said(response).is_some() => Ok(None),
        status if status.is_redirection() => Err(match new_name(response, called) {
            Some(now) if !now.eq_ignore_ascii_case(name) => AdminError::RenamedTo(now),
            _ => AdminError::Garbled("a redirect"),
        }),
        _ => Err(refusal(response)),
    }
}

/// Reads the answer to "which person has this id?".
pub(super) fn person(response: &Response<Vec<u8>>, id: &UserId) -> Result<Option<AccountInfo>, AdminError> {
    #[derive(Deserialize)]
    struct Found {
        data: Vec<RawUser>,
    }
    if response.status() != StatusCode::OK {
        return Err(refusal(response));
    }
    let found: Found = json(response)?;
    // A forge that does not know the question answers with everybody.
    let found = found.data.into_iter().find(|user| user.id.to_string() == *id.0);
    found.map(AccountInfo::try_from).transpose()
}

/// Reads the answer to "make this account".
pub(super) fn made(response: &Response<Vec<u8>>, name: &str) -> Made {
    let words = said(response).map(|said| said.message);
    let begins = |with: &str| words.as_deref().is_some_and(|words| words.starts_with(with));
    let refused = |field, problem| Made::Refused(AdminError::Refused(Complaint { field, problem }));
    let rule = |rule| Made::Refused(AdminError::PasswordRule(rule));
    match response.status().as_u16() {
        201 => match account(response) {
            Ok(account) if account.login.eq_ignore_ascii_case(name) => Made::Account(account),
            Ok(_) => Made::Unclear(AdminError::Garbled("an account of another name")),
            Err(error) => Made::Unclear(error),
        },
        400 if begins("PasswordIsRequired") => rule(PasswordRule::Length),
        400 if begins("PasswordComplexity") => rule(PasswordRule::Complexity),
        400 if begins("PasswordPwned") => rule(PasswordRule::Leaked),
        422 if begins("e-mail already in use") => Made::Refused(AdminError::EmailTaken),
        422 if begins("[Email]") || begins("e-mail") => refused(Field::Email, Problem::RefusedByForge),
        422 if begins("[FullName]") => refused(Field::DisplayName, Problem::RefusedByForge),
        422 if begins("name is reserved") => refused(Field::Username, Problem::Reserved),
        422 if begins("[Username]") || begins("name ") => refused(Field::Username, Problem::RefusedByForge),
        409 | 422 => Made::NameTaken,
        401 | 403 => Made::Refused(refusal(response)),
        _ => Made::Unclear(refusal(response)),
    }
}

/// Reads the answer to "set this password".
pub(super) fn reset(response: &Response<Vec<u8>>, id: &UserId) -> Reset {
    let words = said(response).map(|said| said.message);
    let has = |part: &str| words.as_deref().is_some_and(|words| words.contains(part));
    let rule = |rule| Reset::Refused(AdminError::PasswordRule(rule));
    match response.status().as_u16() {
        200 => match account(response) {
            Ok(account) if account.id == *id => Reset::Done(account),
            Ok(_) => Reset::Refused(AdminError::Garbled("an account of another id")),
            Err(_) => Reset::Unclear,
        },
        400 if has("characters") => rule(PasswordRule::Length),
        400 if has("complex") => rule(PasswordRule::Complexity),
        400 if has("pwned") => rule(PasswordRule::Leaked),
        404 if words.is_some() => Reset::Refused(AdminError::NoSuchUser),
        300..=399 => Reset::Moved,
        408 | 429 | 500.. => Reset::Unclear,
        _ => Reset::Refused(refusal(response)),
    }
}

/// What an answer means that the asker cannot use.
pub(super) fn refusal(response: &Response<Vec<u8>>) -> AdminError {
    match (response.status(), said(response)) {
        (StatusCode::UNAUTHORIZED, Some(_)) => AdminError::Token(TokenFault::Unknown),
        // An account's own trouble is told without `url`; these two are not translated.
        (StatusCode::FORBIDDEN, Some(said)) => AdminError::Token(match said {
            Said { url: None, .. } => TokenFault::Blocked,
            said if said.message.contains("scope") => TokenFault::Scope,
            _ => TokenFault::NotAdmin,
        }),
        (status, _) => match odd_status(status) {
            ForgeError::Unavailable(why) => AdminError::Unavailable(why),
            ForgeError::Garbled(why) => AdminError::Garbled(why),
            _ => AdminError::Garbled("an unexpected status"),
        },
    }
}

/// The body of the forge's errors.
#[derive(Deserialize)]
struct Said {
    message: String,
    url: Option<String>,
}

fn said(response: &Response<Vec<u8>>) -> Option<Said> {
    json(response).ok()
}

/// A JSON body.
pub(super) fn json<T: for<'de> Deserialize<'de>>(response: &Response<Vec<u8>>) -> Result<T, AdminError> {
    if !is_json(response.headers()) {
        return Err(AdminError::Garbled("no JSON"));
    }
    serde_json::from_slice(response.body()).map_err(|_| AdminError::Garbled("JSON of another kind"))
}

/// An account of the body.
pub(super) fn account(response: &Response<Vec<u8>>) -> Result<AccountInfo, AdminError> {
    json::<RawUser>(response)?.try_into()
}

/// The name behind a redirect of `/api/v1/users/{name}`, if it leads there on the same server.
fn new_name(response: &Response<Vec<u8>>, called: &Url) -> Option<String> {
    let to = called.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()?;
    let (before, name) = to.path().rsplit_once('/')?;
    let here = to.origin() == called.origin() && before.ends_with("/api/v1/users");
    (here && is_login(name)).then(|| name.to_owned())
}

/// Whether a name of the forge's is one segment of a path, and can be shown.
fn is_login(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_LOGIN).contains(&text.len()) && !matches!(text, "." | "..") && text.bytes().all(allowed)
}

#[derive(Deserialize)]
struct RawUser {
    id: u64,
    login: String,
    full_name: Option<String>,
    email: Option<String>,
    created: Option<String>,
    last_login: Option<String>,
    #[serde(default)]
    is_admin: bool,
    active: Option<bool>,
    #[serde(default)]
    prohibit_login: bool,
    #[serde(default)]
    source_id: u64,
}

impl TryFrom<RawUser> for AccountInfo {
    type Error = AdminError;

    fn try_from(raw: RawUser) -> Result<Self, AdminError> {
        if raw.id == 0 || !is_login(&raw.login) {
            return Err(AdminError::Garbled("no account"));
        }
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let state = match (raw.prohibit_login, raw.active) {
            (true, _) => AccountState::Suspended,
            (false, Some(false)) => AccountState::Inactive,
            (false, _) => AccountState::Active,
        };
        Ok(Self {
            id: UserId(raw.id.to_string().into()),
            login: raw.login,
            display_name: filled(raw.full_name),
            email: filled(raw.email),
            created: raw.created.as_deref().and_then(moment),
            // Who never signed in did so at the epoch.
            last_sign_in: raw.last_login.as_deref().and_then(moment).filter(|at| *at != Timestamp::default()),
            site_admin: raw.is_admin,
            state,
            local: raw.source_id == 0,
        })
    }
}

/// A time of RFC 3339 §5.6, to the second; none before 1970.
fn moment(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse().ok()
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let rest = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let ahead = match rest.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let at = text.len() - 5;
            let span = number(at..at + 2)? * 3600 + number(at + 3..at + 5)? * 60;
            if *sign == b'+' { span } else { -span }
        }
        _ => return None,
    };
    // Days since 1970: H. Hinnant, "chrono-compatible low-level date algorithms".
    let (year, month_index) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * month_index + 2) / 5 + day - 1;
    let days = era * 146_097 + day_of_era - 719_468;
    let secs = days * 86_400 + hour * 3600 + minute * 60 + second - ahead;
    u64::try_from(secs).ok().map(Timestamp::from_secs)
}

#[cfg(test)]
mod tests;
