//! `[forge]`.

use super::{address, secret};
use crate::base::secret::ClientSecret;
use crate::base::url::WebUrl;
use crate::config::complaint::Report;
use crate::config::raw::Section;
use crate::config::source::Source;
use crate::forge::http::Settings;
use crate::forge::scope::{self, ScopeComplaint};

/// What `[forge]` says.
pub(super) struct Forge {
    pub(super) settings: Settings,
    pub(super) scopes: Vec<String>,
}

/// Reads `[forge]`.
pub(super) fn check(section: &Section<'_>, source: &Source, report: &mut Report<'_>) -> Option<Forge> {
    let allow_plaintext = section.flag("allow_plaintext", report);
    let url = forge_url(section, "url", allow_plaintext, report);
    let internal_url = forge_url(section, "internal_url", allow_plaintext, report);
    let ca_pem = super::certificates(section, source, report);
    let client_id = client_id(section, report);
    let client_secret = section
        .secret("client_secret", report)
        .and_then(|words| secret::client_secret(&words, source, report));
    let scopes = scopes(section, report);
    let timeout = section.duration("timeout", report);
    let called = internal_url.as_ref().or(url.as_ref());
    if section.has("ca") && called.is_some_and(|url| url.parts().scheme() == "http") {
        report.error(
            &section.spot("ca"),
            "certificates for a forge without TLS",
            "remove it, or call the forge by https",
        );
    }
    let settings = Settings {
        url: url?,
        internal_url,
        ca_pem,
        client_id: client_id?,
        client_secret: ClientSecret::new(client_secret?.expose()),
        timeout: timeout?,
    };
    Some(Forge { settings, scopes: scopes? })
}

fn forge_url(
    section: &Section<'_>,
    name: &'static str,
    allow_plaintext: Option<bool>,
    report: &mut Report<'_>,
) -> Option<WebUrl> {
    let text = section.text(name, report)?;
    let url = address::url(&text, report)?;
    if allow_plaintext == Some(false) && address::is_plaintext_beyond_loopback(&url) {
        let fix = "write https://..., or allow_plaintext = true if nobody can listen on the way";
        report.error(&text.spot, "plain http: tokens and the client secret would travel in the clear", fix);
        return None;
    }
    Some(url)
}

fn client_id(section: &Section<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = section.text("client_id", report)?;
    let is_word = !text.value.is_empty() && text.value.chars().all(|c| c.is_ascii_graphic());
    if !is_word || text.value.chars().all(|c| c == '.') {
        let fix = "register an OAuth application at the forge and copy its client id";
        report.error(&text.spot, "this is no client id", fix);
        return None;
    }
    Some(text.value)
}

/// Reads the scope words and asks the forge room whether they are worth asking for: without a valid API scope, or with
/// an unknown word, the forge gives a token of full power.
fn scopes(section: &Section<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let texts = section.texts("scopes", report)?;
    let words: Vec<String> = texts.iter().map(|text| text.value.clone()).collect();
    for complaint in scope::check_request(&words) {
        let text = complaint.index().and_then(|index| texts.get(index));
        let spot = text.map_or_else(|| section.spot("scopes"), |text| text.spot.clone());
        let (what, fix, near) = about(&complaint);
        report.error_near(&spot, what, fix.to_owned(), near.into_iter().map(str::to_owned).collect());
    }
    Some(words)
}

/// What to say of a scope list, and the word that was probably meant.
fn about(complaint: &ScopeComplaint) -> (String, &'static str, Option<&'static str>) {
    let (what, fix) = match complaint {
        ScopeComplaint::NoApiScope => (
            "no word is an API scope: the forge would give a token of full power".to_owned(),
            "add one, such as \"read:user\" or \"write:issue\"",
        ),
        ScopeComplaint::Unknown { nearest, .. } => {
            let what = "the forge knows no such scope, and drops it without a word".to_owned();
            return (what, "correct or remove it", *nearest);
        }
        ScopeComplaint::Separator { .. } => (
            "the forge reads this as one unknown word, and gives a token of full power".to_owned(),
            "write each scope as a string of its own: [\"openid\", \"write:issue\"]",
        ),
        ScopeComplaint::Powerless => {
            ("public-only alone can do nothing".to_owned(), "add a scope, such as \"read:user\"")
        }
        ScopeComplaint::FullPower => {
            ("these words ask for full power".to_owned(), "name only the scopes that the app needs")
        }
        ScopeComplaint::Missing(word) => {
            (format!("\"{word}\" is missing: nobody could sign in"), "add it to the list")
        }
        ScopeComplaint::Duplicate { .. } => ("this scope stands twice".to_owned(), "remove one of the two"),
    };
    (what, fix, None)
}
