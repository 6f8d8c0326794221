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
:root{color-scheme:light dark;--ink:light-dark(#1f1a17,#efe9e4);--paper:light-dark(#fffdfa,#1a1614);--line:light-dark(#8c8078,#8f837b);--accent:light-dark(#9a3412,#fdba74)}
*{box-sizing:border-box}
body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:0 auto;padding:1rem;background:var(--paper);color:var(--ink)}
header{border-bottom:2px solid var(--accent);padding:.25rem 0 .75rem;margin-bottom:1.75rem}header a{color:inherit;text-decoration:none}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem;overflow-wrap:anywhere}a{color:var(--accent)}p,li,pre{overflow-wrap:anywhere}
label{display:block;margin:.75rem 0}
input{font:inherit;display:block;width:100%;margin-top:.2rem;padding:.5rem;color:inherit;background:var(--paper);border:1px solid var(--line);border-radius:.4rem}
button{font:inherit;padding:.5rem 1rem;margin:.5rem .5rem 0 0;cursor:pointer;color:inherit;background:none;border:1px solid var(--line);border-radius:.4rem}
button.main{color:var(--paper);background:var(--accent);border-color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.box{border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem;margin:1rem 0}
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
