//! The pages as values for the templates, which escape all of them.

use askama::Template;

use super::ask::{ListAsk, MAX_SEARCH, ROWS};
use super::say::Notice;
use crate::admin::access::Denied;
use crate::admin::caller::Who;
use crate::admin::records::{AuditRow, SortBy};
use crate::admin::service::{CreateUserOutput, UserList};
use crate::admin::user::{State, User, rfc3339};
use crate::base::secret::InitialPassword;
use crate::forge::admin::Field;

/// A page as HTML. Writing into a string cannot fail.
pub(super) fn html(page: &impl Template) -> String {
    page.render().unwrap_or_default()
}

/// Whose page it is, in a few words.
pub(super) fn name_of(who: &Who) -> String {
    match who {
        Who::Person { login, .. } => login.clone(),
        Who::Key { name, .. } => name.clone(),
        other => other.to_string(),
    }
}

/// What all pages have around them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub prefix: &'a str,
    pub request_id: &'a str,
    /// Who is signed in.
    pub who: Option<&'a str>,
}

/// A moment, to the minute for people and exactly for programs.
#[derive(Debug)]
pub(super) struct Moment {
    pub exact: String,
    pub words: String,
}

impl Moment {
    fn of(exact: &str) -> Self {
        let words = exact.get(..16).unwrap_or(exact).replace('T', " ");
        Self { exact: exact.to_owned(), words }
    }
}

/// How an account stands: a word, and what it means.
#[derive(Debug)]
pub(super) struct Standing {
    pub word: &'static str,
    pub means: &'static str,
}

impl Standing {
    fn of(state: State) -> Self {
        let word = State::ALL.iter().find(|(_, known)| *known == state).map_or("", |(word, _)| word);
        let means = match state {
            State::Creating => "begun here, and not seen at the forge yet",
            State::Active => "can sign in",
            State::Unused => "can sign in; the first password was never used",
            State::Renamed => "can sign in; was called otherwise when it came on record",
            State::Suspended => "the forge does not let it sign in",
            State::Vanished => "the forge does not know it any more",
        };
        Self { word, means }
    }
}

/// A user on a page.
#[derive(Debug)]
pub(super) struct Person {
    pub user_id: String,
    pub username: String,
    pub display_name: String,
    pub email: String,
    pub vm_count: u64,
    pub created: Moment,
    pub seen: Option<Moment>,
    pub standing: Standing,
}

impl Person {
    fn of(user: &User) -> Self {
        Self {
            user_id: user.user_id.clone(),
            username: user.forge_username.clone(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            vm_count: user.vm_count,
            created: Moment::of(&user.created_at),
            seen: user.last_activity.as_deref().map(Moment::of),
            standing: Standing::of(user.state),
        }
    }
}

/// A column that the list can be sorted by.
#[derive(Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub label: &'static str,
    /// Leads to the list sorted by it; the other way round where it is already.
    pub href: String,
    /// `ascending` or `descending`, where the list is sorted by it.
    pub sorted: Option<&'static str>,
}

fn label(sort: SortBy) -> &'static str {
    match sort {
        SortBy::Username => "Forge username",
        SortBy::DisplayName => "Display name",
        SortBy::VmCount => "VMs",
        SortBy::CreatedAt => "Created",
        SortBy::LastActivity => "Last activity",
    }
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "admin/page/users.html", config = "src/askama.toml")]
pub(super) struct UsersPage<'a> {
    frame: Frame<'a>,
    search: &'a str,
    max_search: usize,
    descending: bool,
    columns: Vec<Column>,
    people: Vec<Person>,
    total: u64,
    /// Whether there is anybody to look for.
    searchable: bool,
    /// The numbers of the first and the last one shown.
    shown: (u64, u64),
    earlier: Option<String>,
    later: Option<String>,
}

impl<'a> UsersPage<'a> {
    pub(super) fn new(frame: Frame<'a>, ask: &'a ListAsk, found: &UserList) -> Self {
        let columns = SortBy::ALL.iter().map(|(name, sort)| {
            let is_sorted = ask.sort == *sort;
            let other =
                ListAsk { sort: *sort, descending: is_sorted && !ask.descending, page: 1, ..ask.clone() };
            let sorted = is_sorted.then_some(if ask.descending { "descending" } else { "ascending" });
            Column { name, label: label(*sort), href: other.written(), sorted }
        });
        let to = |page: u64| ListAsk { page, ..ask.clone() }.written();
        let count = found.users.len() as u64;
        // From beyond the end it is back to the last page.
        let last = found.total.div_ceil(ROWS).max(1);
        let earlier = (ask.page > 1).then(|| to((ask.page - 1).min(last)));
        let later = (ask.offset() + count < found.total && count > 0).then(|| to(ask.page + 1));
        Self {
            frame,
            search: &ask.search,
            max_search: MAX_SEARCH,
            descending: ask.descending,
            columns: columns.collect(),
            people: found.users.iter().map(Person::of).collect(),
            total: found.total,
            searchable: found.total > 0 || !ask.search.is_empty(),
            shown: (ask.offset() + 1, ask.offset() + count),
            earlier,
            later,
        }
    }
}

/// What somebody has typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    pub username: String,
    pub display_name: String,
    pub email: String,
}

/// A field of the form.
#[derive(Debug)]
pub(super) struct Input {
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub kind: &'static str,
    pub value: String,
    pub complaints: Vec<String>,
    /// Whether the cursor stands here.
    pub first: bool,
}

/// The form for a new user.
#[derive(Debug, Template)]
#[template(path = "admin/page/new.html", config = "src/askama.toml")]
pub(super) struct NewPage<'a> {
    frame: Frame<'a>,
    token: String,
    notice: Option<Notice>,
    inputs: [Input; 3],
}

impl<'a> NewPage<'a> {
    pub(super) fn new(frame: Frame<'a>, token: String, filled: Filled, notice: Option<Notice>) -> Self {
        let complaints = notice.as_ref().map(|notice| notice.complaints.as_slice()).unwrap_or_default();
        let first = complaints.first().map_or(Field::Username, |(field, _)| *field);
        let input = |field: Field, label, hint, kind, value| Input {
            name: field.name(),
            label,
            hint,
            kind,
            value,
            complaints: complaints
                .iter()
                .filter(|(of, _)| *of == field)
                .map(|(_, says)| says.clone())
                .collect(),
            first: field == first,
        };
        let inputs = [
            input(
                Field::Username,
                "Forge username",
                "Letters, digits, and single marks of _ - . between them; 40 characters at most.",
                "text",
                filled.username,
            ),
            input(
                Field::DisplayName,
                "Display name (optional)",
                "As people call them.",
                "text",
                filled.display_name,
            ),
            input(
                Field::Email,
                "E-mail address (optional)",
                "Without one a placeholder is made up, and mail to it goes nowhere.",
                "email",
                filled.email,
            ),
        ];
        Self { frame, token, notice, inputs }
    }
}

/// What somebody may take along, this once.
#[derive(Debug, Template)]
#[template(path = "admin/page/handed.html", config = "src/askama.toml")]
pub(super) struct HandedPage<'a> {
    frame: Frame<'a>,
    title: String,
    user_id: &'a str,
    username: &'a str,
    password: Option<&'a InitialPassword>,
}

impl<'a> HandedPage<'a> {
    pub(super) fn created(frame: Frame<'a>, made: &'a CreateUserOutput) -> Self {
        let name = &made.forge_username;
        let title = match made.initial_password {
            Some(_) => format!("{name} was created"),
            None => format!("{name} was there already"),
        };
        Self::of(frame, title, made)
    }

    pub(super) fn reset(frame: Frame<'a>, made: &'a CreateUserOutput) -> Self {
        Self::of(frame, format!("{} has a new password", made.forge_username), made)
    }

    fn of(frame: Frame<'a>, title: String, made: &'a CreateUserOutput) -> Self {
        let (user_id, username) = (&made.user_id, &made.forge_username);
        Self { frame, title, user_id, username, password: made.initial_password.as_ref() }
    }
}

/// A line of the trail.
#[derive(Debug)]
pub(super) struct Line {
    pub at: Moment,
    pub caller: String,
    pub action: String,
    pub outcome: String,
    pub request_id: String,
}

/// How many lines of the trail the service gives at once.
const LINES: usize = 50;

/// A user and their trail.
#[derive(Debug, Template)]
#[template(path = "admin/page/user.html", config = "src/askama.toml")]
pub(super) struct UserPage<'a> {
    frame: Frame<'a>,
    person: Person,
    lines: Vec<Line>,
    /// Whether newer lines are left out.
    is_older: bool,
    /// The line from which on there may be older ones.
    before: Option<u64>,
}

impl<'a> UserPage<'a> {
    pub(super) fn new(frame: Frame<'a>, user: &User, trail: Vec<AuditRow>, is_older: bool) -> Self {
        let before = (trail.len() >= LINES).then(|| trail.last().map(|row| row.id)).flatten();
        let lines = trail.into_iter().map(|row| Line {
            at: Moment::of(&rfc3339(row.at)),
            caller: row.caller,
            action: row.action.replace('_', " "),
            outcome: row.outcome.replace('_', " "),
            request_id: row.request_id,
        });
        Self { frame, person: Person::of(user), lines: lines.collect(), is_older, before }
    }
}

/// The confirmation of a reset.
#[derive(Debug, Template)]
#[template(path = "admin/page/reset.html", config = "src/askama.toml")]
pub(super) struct ResetPage<'a> {
    frame: Frame<'a>,
    person: Person,
    token: String,
    notice: Option<Notice>,
}

impl<'a> ResetPage<'a> {
    pub(super) fn new(frame: Frame<'a>, user: &User, token: String, notice: Option<Notice>) -> Self {
        Self { frame, person: Person::of(user), token, notice }
    }
}

/// Something that cannot be shown.
#[derive(Debug, Template)]
#[template(path = "admin/page/refusal.html", config = "src/askama.toml")]
pub(super) struct RefusalPage<'a> {
    frame: Frame<'a>,
    notice: &'a Notice,
    reason: &'a str,
    /// Whether the same may work later.
    again: bool,
    /// Whether the list is there for whoever reads this.
    back: bool,
}

impl<'a> RefusalPage<'a> {
    pub(super) fn new(frame: Frame<'a>, notice: &'a Notice, reason: &'a str) -> Self {
        let again = notice.status.is_server_error() || notice.status == http::StatusCode::TOO_MANY_REQUESTS;
        Self { frame, notice, reason, again, back: reason != Denied::NotAllowed.reason() }
    }
}
