//! What a browser asks of the page: addresses, the list's query, and forms (pure).

use http::Method;
use url::form_urlencoded;

use crate::admin::records::{ListQuery, SortBy};

/// Rows of a page of the list.
pub(super) const ROWS: u64 = 25;
/// The longest text that is searched for, in characters: the longest e-mail address.
pub(super) const MAX_SEARCH: usize = 254;
/// The last page that anybody may turn to.
const LAST_PAGE: u64 = 1_000_000;

/// What stands at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Route {
    /// The way to the list.
    Start,
    /// The list.
    Users,
    /// The form for a new user, and its answer.
    New,
    /// A user and their trail.
    User(String),
    /// The confirmation of a reset, and its answer.
    Reset(String),
    /// The style.
    Style,
    /// The script.
    Script,
}

impl Route {
    /// By the path, and the part of it below our prefix. Where there is only a way on, nothing else can be asked for.
    pub(in crate::admin) fn of(method: &Method, path: &str, below: Option<&str>) -> Option<Self> {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if path == "/" {
            return is_read.then_some(Self::Start);
        }
        Some(match below?.strip_prefix("/admin")? {
            "" | "/" if is_read => Self::Start,
            "/users" => Self::Users,
            "/users/new" => Self::New,
            "/page.css" => Self::Style,
            "/page.js" => Self::Script,
            deeper => match deeper.strip_prefix("/users/")?.split_once('/') {
                None => Self::User(user_id(deeper.strip_prefix("/users/")?)?),
                Some((id, "reset")) => Self::Reset(user_id(id)?),
                Some(_) => return None,
            },
        })
    }

    /// Whether forms are sent here.
    pub(super) fn takes_forms(&self) -> bool {
        matches!(self, Self::New | Self::Reset(_))
    }
}

/// An id as we give them: a letter, then hexadecimal digits.
fn user_id(text: &str) -> Option<String> {
    let digits = text.strip_prefix('u')?;
    let is_id =
        !digits.is_empty() && digits.len() <= 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_owned())
}

/// Which part of the list somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListAsk {
    pub search: String,
    pub sort: SortBy,
    pub descending: bool,
    /// From 1 on; 0 is the same as 1.
    pub page: u64,
}

impl ListAsk {
    /// Reads a query. What makes no sense counts as not said: an address that somebody typed should lead somewhere.
    pub(super) fn read(query: &str) -> Self {
        let mut ask = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "search" => ask.search = value.trim().chars().take(MAX_SEARCH).collect(),
                "sort" => ask.sort = SortBy::named(&value).unwrap_or_default(),
                "order" => ask.descending = value == "desc",
                "page" => ask.page = value.parse().unwrap_or(1).min(LAST_PAGE),
                _ => {}
            }
        }
        Self { page: ask.page.max(1), ..ask }
    }

    pub(super) fn offset(&self) -> u64 {
        self.page.saturating_sub(1) * ROWS
    }

    pub(super) fn query(&self) -> ListQuery {
        ListQuery {
            search: self.search.clone(),
            sort: self.sort,
            descending: self.descending,
            offset: self.offset(),
            limit: ROWS,
        }
    }

    /// The same as a query, without what goes without saying; empty, or with its question mark.
    pub(super) fn written(&self) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        if !self.search.is_empty() {
            pairs.append_pair("search", &self.search);
        }
        if self.sort != SortBy::default() {
            pairs.append_pair("sort", name_of(self.sort));
        }
        if self.descending {
            pairs.append_pair("order", "desc");
        }
        if self.page > 1 {
            pairs.append_pair("page", &self.page.to_string());
        }
        let query = pairs.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }
}

/// The name of a column in the interface.
fn name_of(sort: SortBy) -> &'static str {
    SortBy::ALL.iter().find(|(_, known)| *known == sort).map_or("", |(name, _)| name)
}

/// The line of the trail that somebody has read up to.
pub(super) fn before(query: &str) -> Option<u64> {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "before");
    found.and_then(|(_, value)| value.parse().ok())
}

/// A form's fields, in this order; a missing one is empty. None: it has one that is not asked for, or one twice.
pub(super) fn fields<const N: usize>(body: &[u8], names: [&str; N]) -> Option<[String; N]> {
    let mut found: [Option<String>; N] = std::array::from_fn(|_| None);
    for (name, value) in form_urlencoded::parse(body) {
        let at = names.iter().position(|known| *known == name)?;
        let place = found.get_mut(at)?;
        if place.is_some() {
            return None;
        }
        *place = Some(value.into_owned());
    }
    Some(found.map(Option::unwrap_or_default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_page_lead_somewhere() {
        let of = |path: &str| Route::of(&Method::GET, path, path.strip_prefix("/_hero"));
        let id = || "u00112233445566778899".to_owned();
        for (path, expected) in [
            ("/", Some(Route::Start)),
            ("/_hero/admin", Some(Route::Start)),
            ("/_hero/admin/", Some(Route::Start)),
            ("/_hero/admin/users", Some(Route::Users)),
            ("/_hero/admin/users/new", Some(Route::New)),
            ("/_hero/admin/users/u00112233445566778899", Some(Route::User(id()))),
            ("/_hero/admin/users/u00112233445566778899/reset", Some(Route::Reset(id()))),
            ("/_hero/admin/page.css", Some(Route::Style)),
            ("/_hero/admin/users/", None),
            ("/_hero/admin/users/u", None),
            ("/_hero/admin/users/alice", None),
            ("/_hero/admin/users/u0/reset/", None),
            ("/_hero/admin/users/u0/delete", None),
            ("/_hero/admin/users/../users", None),
            ("/_hero/admin/users/u%30", None),
            ("/_hero/administrators", None),
            ("/admin/users", None),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
        assert_eq!(Route::of(&Method::POST, "/_hero/admin", Some("/admin")), None);
        assert_eq!(Route::of(&Method::POST, "/", None), None);
    }

    #[test]
    fn a_lists_address_says_what_is_listed() {
        let asked = "?search=a%26b&sort=created_at&order=desc&page=3";
        let ask = ListAsk::read(asked.trim_start_matches('?'));
        assert_eq!(
            (ask.search.as_str(), ask.sort, ask.descending, ask.page),
            ("a&b", SortBy::CreatedAt, true, 3)
        );
        assert_eq!((ask.written().as_str(), ask.offset()), (asked, 50));
        for odd in ["", "sort=password&order=up&page=-1&x=y", "page=0", "page=99999999999999999999"] {
            let ask = ListAsk::read(odd);
            assert_eq!((ask.written().as_str(), ask.offset()), ("", 0), "{odd}");
        }
        assert_eq!(ListAsk::read(&format!("search={}", "x".repeat(400))).search.len(), MAX_SEARCH);
    }

    /// Holds: A6.
    #[test]
    fn a_form_with_other_fields_or_a_doubled_one_is_none_of_ours() {
        let names = ["form", "username"];
        let read = |body: &str| fields(body.as_bytes(), names);
        assert_eq!(read("username=a+b&form=x"), Some(["x".to_owned(), "a b".to_owned()]));
        assert_eq!(read(""), Some([String::new(), String::new()]));
        for wrong in
            ["username=a&username=b", "username=a&is_admin=true", "must_change_password=false", "USERNAME=a"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
