//! `[forge]`.

use secrecy::ExposeSecret as _;
use url::Url;

use super::{address, secret};
use crate::base::secret::ClientSecret;
use crate::config::complaint::Report;
use crate::config::raw::Section;
use crate::config::source::Source;
use crate::forge::http::Settings;
use crate::forge::scope;

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
    let ca = section.has("ca").then(|| super::certificates(section, source, report));
    let client_id = client_id(section, report);
    let client_secret =
        section.secret("client_secret", report).and_then(|words| secret::client_secret(&words, source, report));
    let scopes = scopes(section, report);
    let timeout = section.duration("timeout", report);
    let called = internal_url.as_ref().or(url.as_ref());
    if ca.is_some() && called.is_some_and(|url| url.scheme() == "http") {
        report.error(&section.spot("ca"), "certificates for a forge without TLS", "remove it, or call the forge by https");
    }
    let settings = Settings {
        url: url?,
        internal_url,
        ca_pem: ca.flatten(),
        client_id: client_id?,
        client_secret: ClientSecret::new(client_secret?.expose_secret()),
        timeout: timeout?,
    };
    Some(Forge { settings, scopes: scopes? })
}

fn forge_url(
    section: &Section<'_>,
    name: &'static str,
    allow_plaintext: Option<bool>,
    report: &mut Report<'_>,
) -> Option<Url> {
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
        let spot = complaint.word.and_then(|index| texts.get(index)).map_or_else(|| section.spot("scopes"), |text| text.spot.clone());
        report.error_near(&spot, complaint.what, complaint.fix, complaint.near);
    }
    Some(words)
}
