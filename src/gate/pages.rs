//! The gate's pages: one template, filled with words. Small, self-contained, without a script.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The pages' style, in the page itself: a page that explains why nothing can be loaded must not need to load anything.
const STYLE: &str = include_str!("pages/page.css");

/// The policy of every page: our one style by its hash, forms to ourselves, nothing else.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
});

/// A link that looks like a button.
#[derive(Clone, Debug)]
pub(super) struct Action {
    /// The element's id.
    pub id: &'static str,
    /// Where it leads: a path of ours, or a page of the configured forge.
    pub href: String,
    /// What it says.
    pub label: &'static str,
    /// Whether it is the one that most people want.
    pub main: bool,
    /// Whether it opens apart, so that this page is still there for its next step: some cannot be had again.
    pub apart: bool,
}

/// A page. All text is escaped by the template.
#[derive(Debug, Template)]
#[template(path = "gate/pages/page.html", config = "src/askama.toml")]
pub(super) struct Page<'a> {
    pub title: &'a str,
    pub lines: Vec<String>,
    pub actions: Vec<Action>,
    pub sign_out: Option<String>,
    pub who: Option<&'a str>,
    pub reason: &'a str,
    pub request_id: &'a str,
    pub style: &'static str,
}

impl<'a> Page<'a> {
    /// A page with a title, a reason and a request's id.
    pub(super) fn new(title: &'a str, reason: &'a str, request_id: &'a str) -> Self {
        Self {
            title,
            lines: Vec::new(),
            actions: Vec::new(),
            sign_out: None,
            who: None,
            reason,
            request_id,
            style: STYLE,
        }
    }

    /// The page as HTML.
    pub(super) fn html(&self) -> String {
        // Writing into a string cannot fail; were it to, the title alone still tells what is the matter.
        self.render().unwrap_or_else(|_| self.title.to_owned())
    }
}

/// A moment as people say it, and exactly.
#[derive(Debug)]
pub(super) struct Moment {
    pub words: String,
    pub exact: String,
}

/// One of somebody's sessions.
#[derive(Debug)]
pub(super) struct SessionItem {
    /// Its handle; also the element's id.
    pub handle: String,
    /// What kind of browser.
    pub browser: String,
    /// Whether this very page was opened in it.
    pub this: bool,
    /// The origin that it was made at, if that is another one.
    pub elsewhere: Option<String>,
    pub signed_in: Moment,
    pub seen: Moment,
    pub ends: Moment,
}

/// The page of somebody's own sessions.
#[derive(Debug, Template)]
#[template(path = "gate/pages/sessions.html", config = "src/askama.toml")]
pub(super) struct SessionsPage<'a> {
    who: &'a str,
    items: Vec<SessionItem>,
    /// How many are there beyond those that are shown.
    more: usize,
    /// How many others than this one.
    others: usize,
    prefix: &'a str,
    request_id: &'a str,
    style: &'static str,
}

impl<'a> SessionsPage<'a> {
    /// Of `total` sessions those that are shown.
    pub(super) fn new(
        who: &'a str,
        items: Vec<SessionItem>,
        total: usize,
        prefix: &'a str,
        request_id: &'a str,
    ) -> Self {
        let (more, others) = (total.saturating_sub(items.len()), total.saturating_sub(1));
        Self { who, items, more, others, prefix, request_id, style: STYLE }
    }

    /// The page as HTML.
    pub(super) fn html(&self) -> String {
        // As above.
        self.render().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds: A15.
    #[test]
    fn markup_in_any_value_shows_as_text() {
        let evil = "\"><script>alert(1)</script>";
        let mut page = Page::new(evil, evil, evil);
        page.lines.push(evil.to_owned());
        page.who = Some(evil);
        page.actions.push(Action { id: "x", href: evil.to_owned(), label: "y", main: true, apart: false });
        assert!(!page.html().contains("<script"));
        let moment = || Moment { words: evil.to_owned(), exact: evil.to_owned() };
        let item = SessionItem {
            handle: evil.to_owned(),
            browser: evil.to_owned(),
            this: false,
            elsewhere: Some(evil.to_owned()),
            signed_in: moment(),
            seen: moment(),
            ends: moment(),
        };
        let page = SessionsPage::new(evil, vec![item], 3, evil, evil).html();
        assert!(!page.contains("<script") && page.contains("End all others"));
    }

    #[test]
    fn the_policy_names_the_style_that_the_page_carries() {
        assert!(Page::new("t", "r", "i").html().contains(&format!("<style>{STYLE}</style>")));
        assert!(!POLICY.contains("unsafe") && POLICY.contains("sha256-"));
    }
}
