//! Pages: one frame, text escaped where it goes in. Light and dark, no script.

use std::fmt::Write as _;

/// Text that is safe inside HTML: only made by escaping or by constants of this crate.
pub(super) struct Html(String);

/// Escaped for element content and quoted attributes.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for sign in raw.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            sign => out.push(sign),
        }
    }
    out
}

const STYLE: &str = "
:root{color-scheme:light dark;--line:light-dark(#ccc,#444);--accent:light-dark(#9a3412,#fdba74)}
body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}
header{border-bottom:2px solid var(--accent);margin-bottom:1.5rem}header a{color:inherit;text-decoration:none}
label{display:block;margin:.75rem 0}input{font:inherit;display:block;width:100%;box-sizing:border-box;padding:.4rem}
button{font:inherit;padding:.45rem 1rem;margin:.5rem .5rem 0 0;cursor:pointer}
.box{border:1px solid var(--line);border-radius:.4rem;padding:.75rem 1rem;margin:1rem 0}
pre{white-space:pre-wrap;font:inherit;margin:0}code{overflow-wrap:anywhere}";

impl Html {
    /// Starts the content of a page.
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    /// Adds markup of ours; texts in it must have gone through [`text`].
    #[must_use]
    pub(super) fn add(mut self, markup: &str) -> Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a paragraph.
    #[must_use]
    pub(super) fn say(self, words: &str) -> Self {
        let paragraph = format!("<p>{}</p>\n", text(words));
        self.add(&paragraph)
    }

    /// Opens a form that posts to a path, with its hidden fields.
    #[must_use]
    pub(super) fn form(self, action: &str, hidden: &[(&str, &str)]) -> Self {
        let mut markup = format!("<form method=\"post\" action=\"{}\">\n", text(action));
        for (name, value) in hidden {
            let _ =
                writeln!(markup, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", text(value)).is_ok();
        }
        self.add(&markup)
    }

    /// The whole page. An empty subject leaves the site's name alone in the title.
    pub(super) fn page(self, subject: &str) -> String {
        let title = if subject.is_empty() { String::new() } else { format!("{} - ", text(subject)) };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>{title}{SITE}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<style>{STYLE}</style></head>\n\
             <body><header><strong><a href=\"/\">{SITE}</a></strong></header>\n<main>\n{}</main></body></html>\n",
            self.0
        )
    }
}

/// The site's name: it says what it is.
pub(super) const SITE: &str = "Fake forge";
