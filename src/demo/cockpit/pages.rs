//! The pages, and what stands on each of them. Templates escape everything; there is no script.

use askama::Template;
use http::StatusCode;

use crate::base::byo::ByoState;
use crate::base::clock::Timestamp;
use crate::demo::cockpit::words::Message;
use crate::wire::consume::{PassedToken, Visitor};
use crate::wire::credential::ForgeCredential;

/// The style sheet, under a path of its own since the policy allows no inline style.
pub(super) const STYLE: &str = include_str!("pages/cockpit.css");

/// What stands around every page.
pub(super) struct Shell {
    /// The page's own path, for the navigation.
    pub(super) here: &'static str,
    pub(super) visitor: Option<Visitor>,
    /// The proxy's endpoint.
    pub(super) sign_out: String,
}

/// The feedback page.
#[derive(Template)]
#[template(path = "demo/cockpit/pages/home.html", config = "src/askama.toml")]
pub(super) struct Home {
    pub(super) shell: Shell,
    pub(super) message: Option<Message>,
    pub(super) token: TokenWords,
    pub(super) form: FeedbackForm,
    pub(super) issues_page: String,
    pub(super) repository: String,
}

/// The form, filled with what was written.
#[derive(Default)]
pub(super) struct FeedbackForm {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) body: String,
}

/// The settings page.
#[derive(Template)]
#[template(path = "demo/cockpit/pages/settings.html", config = "src/askama.toml")]
pub(super) struct Settings {
    pub(super) shell: Shell,
    pub(super) message: Option<Message>,
    pub(super) slot: SlotWords,
    pub(super) make_token: String,
}

/// A page below the entrance, to show that a sign-in leads back to what was asked for.
#[derive(Template)]
#[template(path = "demo/cockpit/pages/view.html", config = "src/askama.toml")]
pub(super) struct View {
    pub(super) shell: Shell,
    pub(super) asked: String,
}

/// A page with a message alone.
#[derive(Template)]
#[template(path = "demo/cockpit/pages/plain.html", config = "src/askama.toml")]
pub(super) struct Plain {
    pub(super) shell: Shell,
    pub(super) message: Message,
}

/// Where the token came from, in words. Never the token.
pub(super) struct TokenWords {
    pub(super) source: &'static str,
    pub(super) text: &'static str,
    pub(super) expiry: Option<Expiry>,
    pub(super) scopes: Option<String>,
}

/// When the token ends.
pub(super) struct Expiry {
    pub(super) at_secs: u64,
    pub(super) text: String,
}

impl TokenWords {
    /// Without a token it matters whether somebody else's lies where one could be pasted.
    pub(super) fn of(credential: &ForgeCredential, slot_is_taken: bool, now: Timestamp) -> Self {
        match credential {
            ForgeCredential::PassThrough(passed) => Self {
                source: "pass-through",
                text: "Your forge token came through the proxy with this request. There is nothing to set up.",
                expiry: expiry(passed, now),
                scopes: passed.scopes.as_ref().map(|scopes| scopes.join(" ")),
            },
            ForgeCredential::Byo(_) => Self {
                source: "pasted",
                text: "No token came through the proxy; the one that you pasted under Settings is used.",
                expiry: None,
                scopes: None,
            },
            ForgeCredential::None if slot_is_taken => Self {
                source: "none",
                text: "There is no forge token for you: none came through the proxy, and the one place for a pasted token \
                       holds somebody else's. To file feedback, ask them to remove it under Settings, or whoever runs this \
                       machine to remove it or to let the proxy pass on each visitor's own.",
                expiry: None,
                scopes: None,
            },
            ForgeCredential::None => Self {
                source: "none",
                text: "There is no forge token for you: none came through the proxy, and you have pasted none. To file \
                       feedback, paste one under Settings.",
                expiry: None,
                scopes: None,
            },
        }
    }
}

fn expiry(passed: &PassedToken, now: Timestamp) -> Option<Expiry> {
    let at_secs = passed.expires_at_secs?;
    let left_secs = at_secs.saturating_sub(now.secs());
    let text = match left_secs {
        0 => "now".to_owned(),
        1 => "in 1 second".to_owned(),
        2..=119 => format!("in {left_secs} seconds"),
        _ => format!("in {} minutes", left_secs / 60),
    };
    Some(Expiry { at_secs, text })
}

/// The field's label when there is nothing to replace.
const PASTE: &str = "Paste a token";

/// What the settings page says of the slot.
pub(super) struct SlotWords {
    pub(super) state: &'static str,
    pub(super) text: String,
    pub(super) label: &'static str,
    pub(super) may_paste: bool,
    pub(super) may_remove: bool,
}

impl SlotWords {
    /// None: the slot cannot be read.
    pub(super) fn of(state: Option<ByoState>) -> Self {
        let words = |state, text: &str, label, may_paste, may_remove| Self {
            state,
            text: text.to_owned(),
            label,
            may_paste,
            may_remove,
        };
        match state {
            Some(ByoState::Empty) => words("empty", "not set", PASTE, true, false),
            Some(ByoState::Yours { ends_in: None }) => words("yours", "set", "Replace it", true, true),
            Some(ByoState::Yours { ends_in: Some(end) }) => {
                words("yours", &format!("set, its last letters are {end}"), "Replace it", true, true)
            }
            Some(ByoState::Spoiled) => words(
                "spoiled",
                "another token lies there than the one you pasted; paste yours again",
                PASTE,
                true,
                true,
            ),
            Some(ByoState::Unclaimed) => words(
                "unclaimed",
                "a token from before there was a sign-in is set; it is not used for you. Paste one of your own, and it is gone",
                "Put your own in its place",
                true,
                false,
            ),
            Some(ByoState::NotYours) => words(
                "not-yours",
                "somebody else's token is set, and only they can use or remove it. Whoever runs this machine can remove it \
                 too: the secret cockpit/USER_FORGE_TOKEN",
                PASTE,
                false,
                false,
            ),
            None => words(
                "unreadable",
                "cannot be read now; whoever runs this machine finds the reason in cockpit's log",
                PASTE,
                false,
                false,
            ),
        }
    }
}

/// Renders a page.
pub(super) fn render(status: StatusCode, page: &impl Template) -> (StatusCode, axum::response::Html<String>) {
    match page.render() {
        Ok(html) => (status, axum::response::Html(html)),
        Err(error) => {
            // Writing to a string does not fail; a template's own fault would.
            tracing::error!(%error, "cockpit cannot render a page");
            (StatusCode::INTERNAL_SERVER_ERROR, axum::response::Html(String::new()))
        }
    }
}
