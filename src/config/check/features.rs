//! `[features]`.

use http::HeaderName;

use crate::config::complaint::Report;
use crate::config::raw::{Located, Section};
use crate::gate::settings::WithoutToken;

/// Headers without which no request gets through: they cannot be reserved.
const NEEDED: [&str; 9] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
];

/// What `[features]` says.
pub(super) struct Features {
    pub(super) forge_token_pass_through: bool,
    pub(super) without_token: WithoutToken,
    pub(super) compat_oauth2_proxy: bool,
    pub(super) extra_reserved: Vec<String>,
}

/// Reads `[features]`.
pub(super) fn check(section: &Section<'_>, report: &mut Report<'_>) -> Option<Features> {
    let forge_token_pass_through = section.flag("forge_token_pass_through", report);
    let without_token = section.choice("without_token", report);
    let compat = section.choice("compat", report);
    let extra_reserved = reserved(section, report);
    Some(Features {
        forge_token_pass_through: forge_token_pass_through?,
        without_token: if without_token? == "forward" {
            WithoutToken::Forward
        } else {
            WithoutToken::Unavailable
        },
        compat_oauth2_proxy: compat? == "oauth2-proxy",
        extra_reserved: extra_reserved?,
    })
}

/// Reads header names in their only form: what a lenient backend may fold (`_`, `.`) is folded already by us, so that
/// a name with such a byte would look like a rule of its own and be none.
fn reserved(section: &Section<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for Located { value, spot } in section.texts("reserved_headers", report)? {
        let folded: String = value.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let folded = folded.trim_matches('-');
        if value.is_empty() || HeaderName::from_bytes(folded.as_bytes()).is_err() {
            report.error(&spot, "not the name of a header", "write a name such as \"X-My-User\"");
        } else if folded != value {
            let near = vec![folded.to_owned()];
            let fix = "write letters, digits and `-` only: all other spellings of a name are dropped with it";
            report.error_near(
                &spot,
                "not the usual spelling of a header name".to_owned(),
                fix.to_owned(),
                near,
            );
        } else if NEEDED.contains(&value.to_ascii_lowercase().as_str()) {
            report.error(&spot, "no request gets through without this header", "remove it");
        } else {
            names.push(value.to_ascii_lowercase());
        }
    }
    Some(names)
}
