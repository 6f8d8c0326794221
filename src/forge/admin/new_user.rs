//! What a new account may be called: the forge's own rules, applied before anything is sent.
//!
//! A name that passes is one segment of a path, whatever reads it: so it reaches no other endpoint. For addresses the
//! rule is a little narrower than the forge's: no quoted names, no addresses of numbers, ASCII only.
//!
//! Source: docs/FORGEJO.md 4.6.

use std::fmt;

/// The longest name, in characters.
const MAX_USERNAME: usize = 40;
/// The longest name for people, in characters.
const MAX_DISPLAY_NAME: usize = 100;
/// The longest address, in bytes.
const MAX_EMAIL: usize = 254;
/// The longest part of an address before the `@` (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;

/// Names that the forge keeps for itself, in small letters; the fake has a list of its own, so that a slip here shows there.
pub(in crate::forge) const RESERVED: [&str; 29] = [
    "api",
    "metrics",
    "v2",
    "assets",
    "attachments",
    "avatar",
    "avatars",
    "repo-avatars",
    "captcha",
    "login",
    "org",
    "repo",
    "user",
    "admin",
    "explore",
    "issues",
    "pulls",
    "milestones",
    "notifications",
    "report_abuse",
    "favicon.ico",
    "manifest.json",
    "robots.txt",
    "sitemap.xml",
    "ssh_info",
    "swagger.v1.json",
    "ghost",
    "gitea-actions",
    "forgejo-actions",
];
/// Ends of names that the forge keeps for itself.
pub(in crate::forge) const RESERVED_SUFFIXES: [&str; 5] = [".keys", ".gpg", ".rss", ".atom", ".png"];

/// A name that the forge would take for a new account.
///
/// # Shapes
/// 1 to 40 of `A-Z a-z 0-9 _ - .`, letters or digits at both ends, no two of `_-.` in a row, not reserved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username(String);

impl Username {
    /// Reads a name.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Complaint>> {
        let complaints = about_username(text);
        if complaints.is_empty() { Ok(Self(text.to_owned())) } else { Err(complaints) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the addresses of those lie who gave none: `<username>@<domain>`, since the forge wants one of everybody. Mail to
/// it should go nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceholderDomain(String);

impl PlaceholderDomain {
    /// Reads a domain; none if it is none, or so long that a name would not fit before it.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() + 1 + MAX_USERNAME <= MAX_EMAIL && is_domain(text);
        fits.then(|| Self(text.to_ascii_lowercase()))
    }
}

impl Default for PlaceholderDomain {
    fn default() -> Self {
        Self("nomail.demo.ourworld.tf".to_owned())
    }
}

impl fmt::Display for PlaceholderDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account to be made; it keeps the forge's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    username: Username,
    display_name: Option<String>,
    email: String,
}

impl NewUser {
    /// Reads what somebody filled in. White space around a display name or an address does not count; an empty one
    /// counts as none given. Without an address it is `<username>@<placeholder>`, in small letters.
    ///
    /// # Errors
    /// All that is wrong, field by field.
    pub fn parse(
        username: &str,
        display_name: Option<&str>,
        email: Option<&str>,
        placeholder: &PlaceholderDomain,
    ) -> Result<Self, Vec<Complaint>> {
        let given =
            |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let (display_name, email) = (given(display_name), given(email));
        let mut complaints = about_username(username);
        complaints.extend(display_name.as_deref().and_then(about_display_name));
        complaints.extend(email.as_deref().and_then(about_email));
        if !complaints.is_empty() {
            return Err(complaints);
        }
        let email = email.unwrap_or_else(|| format!("{}@{placeholder}", username.to_ascii_lowercase()));
        Ok(Self { username: Username(username.to_owned()), display_name, email })
    }

    /// The name.
    pub fn username(&self) -> &Username {
        &self.username
    }

    /// The name for people, if one was given.
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// The address, be it a placeholder.
    pub fn email(&self) -> &str {
        &self.email
    }
}

/// What is wrong with what somebody filled in. It repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Where.
    pub field: Field,
    /// What.
    pub problem: Problem,
}

/// A field of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `username`
    Username,
    /// `display_name`
    DisplayName,
    /// `email`
    Email,
}

impl Field {
    /// Its name in forms and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::DisplayName => "display_name",
            Self::Email => "email",
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// There is nothing.
    Empty,
    /// It has more characters than that.
    TooLong(usize),
    /// A name has characters beside letters, digits and `_-.`.
    BadCharacter,
    /// A name begins or ends with one of `_-.`.
    BadEnd,
    /// A name has two of `_-.` in a row.
    DoubledMark,
    /// The forge keeps the name for itself.
    Reserved,
    /// The forge keeps names that end so for itself.
    ReservedSuffix(&'static str),
    /// It has a control character in it, or one that turns the direction of writing.
    Unprintable,
    /// It is no address of the form `name@example.org`.
    NotAnAddress,
    /// The forge says no, and this page cannot say why.
    RefusedByForge,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong(most) => write!(f, "may have {most} characters at most"),
            Self::BadCharacter => f.write_str("may have the letters A to Z, digits, `_`, `-` and `.` only"),
            Self::BadEnd => f.write_str("must begin and end with a letter or a digit"),
            Self::DoubledMark => f.write_str("may not have two of `_`, `-` and `.` in a row"),
            Self::Reserved => f.write_str("is a name that the forge keeps for itself"),
            Self::ReservedSuffix(suffix) => write!(f, "may not end in `{suffix}`"),
            Self::Unprintable => f.write_str("has a character in it that cannot be shown"),
            Self::NotAnAddress => f.write_str("is not an e-mail address such as `name@example.org`"),
            Self::RefusedByForge => f.write_str("is not taken by the forge"),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field.name(), self.problem)
    }
}

fn about_username(text: &str) -> Vec<Complaint> {
    let complaint = |problem| Complaint { field: Field::Username, problem };
    if text.is_empty() {
        return vec![complaint(Problem::Empty)];
    }
    let is_mark = |c: char| matches!(c, '_' | '-' | '.');
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    let doubled = text.chars().zip(text.chars().skip(1)).any(|(one, next)| is_mark(one) && is_mark(next));
    let lower = text.to_ascii_lowercase();
    let suffix = RESERVED_SUFFIXES.into_iter().find(|suffix| lower.ends_with(suffix));
    [
        (text.chars().count() > MAX_USERNAME).then_some(Problem::TooLong(MAX_USERNAME)),
        (!text.chars().all(|c| is_plain(c) || is_mark(c))).then_some(Problem::BadCharacter),
        (text.starts_with(is_mark) || text.ends_with(is_mark)).then_some(Problem::BadEnd),
        doubled.then_some(Problem::DoubledMark),
        RESERVED.contains(&lower.as_str()).then_some(Problem::Reserved),
        suffix.map(Problem::ReservedSuffix),
    ]
    .into_iter()
    .flatten()
    .map(complaint)
    .collect()
}

fn about_display_name(text: &str) -> Option<Complaint> {
    let turns_writing = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let problem = if text.chars().count() > MAX_DISPLAY_NAME {
        Problem::TooLong(MAX_DISPLAY_NAME)
    } else if text.chars().any(|c| c.is_control() || turns_writing(c)) {
        Problem::Unprintable
    } else {
        return None;
    };
    Some(Complaint { field: Field::DisplayName, problem })
}

fn about_email(text: &str) -> Option<Complaint> {
    let problem = if text.len() > MAX_EMAIL {
        Problem::TooLong(MAX_EMAIL)
    } else if !text.split_once('@').is_some_and(|(local, domain)| is_local_part(local) && is_domain(domain)) {
        Problem::NotAnAddress
    } else {
        return None;
    };
    Some(Complaint { field: Field::Email, problem })
}

/// A dot-atom (RFC 5322 §3.2.3) that begins with no hyphen, which the forge refuses.
fn is_local_part(text: &str) -> bool {
    let is_atom = |atom: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
        !atom.is_empty() && atom.bytes().all(allowed)
    };
    text.len() <= MAX_LOCAL_PART && !text.starts_with('-') && text.split('.').all(is_atom)
}

/// Labels of letters, digits and inner hyphens (RFC 1123 §2.1); one is enough.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let ends = !label.starts_with('-') && !label.ends_with('-');
        (1..=63).contains(&label.len()) && ends && label.bytes().all(allowed)
    };
    text.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
