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
        page.actions.push(Action { id: "x", href: evil.to_owned(), label: "y", main: true });
        assert!(!page.html().contains("<script"));
    }

    #[test]
    fn the_policy_names_the_style_that_the_page_carries() {
        assert!(Page::new("t", "r", "i").html().contains(&format!("<style>{STYLE}</style>")));
        assert!(!POLICY.contains("unsafe") && POLICY.contains("sha256-"));
    }
}
