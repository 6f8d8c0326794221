//! What is said to the visitor: plain words for each outcome, and a way out. Pure.

use url::Url;

use crate::demo::cockpit::answer::Refusal;
use crate::demo::cockpit::filing::{Doubt, Outcome, Reason};
use crate::demo::cockpit::settings::below;
use crate::wire::credential::Source;

/// How a message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    /// Nobody can tell: look first.
    Unsure,
}

impl Tone {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unsure => "unsure",
        }
    }

    /// A screen reader waits with good news and interrupts for bad.
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::Good => "status",
            Self::Bad | Self::Unsure => "alert",
        }
    }
}

/// A message to the visitor.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) tone: Tone,
    /// Stays the same when the words change.
    pub(super) code: &'static str,
    pub(super) title: String,
    pub(super) text: &'static str,
    pub(super) link: Option<Link>,
}

/// A way out. The address is always one that was built from the settings.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: &'static str,
    pub(super) href: String,
    pub(super) text: String,
    /// In a tab of its own: what was written on this page is kept.
    pub(super) new_tab: bool,
}

/// The pages that messages lead to.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The forge.
    forge: Url,
    /// The repository's issues.
    pub(super) issues: Url,
    /// The proxy's endpoint that begins a sign-in; it leads back to the feedback page.
    sign_in: String,
}

impl Places {
    pub(super) fn new(forge: Url, owner: &str, repository: &str, proxy_prefix: &str) -> Self {
        let issues = below(&forge, &[owner, repository, "issues"]);
        Self { forge, issues, sign_in: format!("{proxy_prefix}/auth/login?return_to=%2F") }
    }

    /// Where a visitor makes tokens and revokes what was granted to applications.
    pub(super) fn applications(&self) -> Url {
        below(&self.forge, &["user", "settings", "applications"])
    }

    /// An issue's page: as the forge names it if that is on the forge, else where it ought to be.
    fn issue(&self, number: u64, page: Option<&Url>) -> Url {
        let named = page.filter(|page| page.origin() == self.forge.origin());
        named.cloned().unwrap_or_else(|| below(&self.issues, &[&number.to_string()]))
    }
}

/// A message without a link.
pub(super) fn say(tone: Tone, code: &'static str, title: &str, text: &'static str) -> Message {
    Message { tone, code, title: title.to_owned(), text, link: None }
}

fn with_link(message: Message, id: &'static str, href: &Url, text: &str) -> Message {
    let link = Link { id, href: href.to_string(), text: text.to_owned(), new_tab: false };
    Message { link: Some(link), ..message }
}

/// What an outcome means for the visitor.
pub(super) fn of_outcome(outcome: &Outcome, places: &Places) -> Message {
    match outcome {
        Outcome::Filed { number, page, by } => filed(*number, page.as_ref(), *by, places),
        Outcome::Doubtful(doubt) => {
            with_link(doubtful(*doubt), "look-link", &places.issues, "Look at the issues on the forge")
        }
        Outcome::NotFiled(Reason::NoToken) => no_token(places),
        Outcome::NotFiled(Reason::Unreachable) => say(
            Tone::Bad,
            "forge-unreachable",
            "Not filed: the forge cannot be reached",
            "Nothing was sent. Your text is below; press “File it” again in a while.",
        ),
        Outcome::NotFiled(Reason::Refused(refusal, by)) => refused(*refusal, *by, places),
    }
}

fn filed(number: Option<u64>, page: Option<&Url>, by: Source, places: &Places) -> Message {
    let text = match by {
        Source::Byo => {
            "It was filed with the token that you pasted, under the name that the token belongs to."
        }
        Source::PassThrough | Source::None => "It was filed under your name.",
    };
    let Some(number) = number else {
        let message = say(Tone::Good, "filed", "Filed", text);
        return with_link(message, "look-link", &places.issues, "See it among the issues on the forge");
    };
    let message = say(Tone::Good, "filed", &format!("Filed as #{number}"), text);
    let name = format!("Open issue #{number} on the forge");
    with_link(message, "issue-link", &places.issue(number, page), &name)
}

fn doubtful(doubt: Doubt) -> Message {
    const TEXT: &str =
        "It may have been filed. Look at the forge before you press “File it” again; your text is below.";
    match doubt {
        Doubt::TimedOut => say(Tone::Unsure, "forge-timeout", "The forge did not answer in time", TEXT),
        Doubt::CutShort => say(Tone::Unsure, "forge-cut-short", "The connection to the forge broke", TEXT),
        Doubt::OddAnswer => say(Tone::Unsure, "forge-odd-answer", "The forge's answer made no sense", TEXT),
    }
}

fn no_token(places: &Places) -> Message {
    let message = say(
        Tone::Bad,
        "no-token",
        "Not filed: there is no forge token for you",
        "The proxy passed none on, and you have pasted none. Make one on the forge with the permission write:issue, \
         paste it under Settings, and press “File it” again: your text is below.",
    );
    with_link(message, "token-link", &places.applications(), "Make a token on the forge")
}

/// The slot has room for one token, and it is somebody else's: pasting is no way out.
pub(super) fn slot_taken() -> Message {
    say(
        Tone::Bad,
        "slot-taken",
        "Not filed: there is no forge token for you",
        "The proxy passed none on, and the one place for a pasted token holds somebody else's. They can remove it under \
         Settings; whoever runs this machine can remove it too, or let the proxy pass on each visitor's own. Your text is \
         below.",
    )
}

/// What helps whether the proxy believes cockpit (`renew_on_401`) or finds out later: a token that was renewed by then is
/// replaced, and one whose consent was revoked is asked for anew.
fn sign_in_anew(places: &Places) -> Message {
    let message = say(
        Tone::Bad,
        "passed-token-refused",
        "Not filed: the forge does not take your token any more",
        "Nothing was filed. Perhaps you revoked this application at the forge. Sign in again in a new tab, with the \
         link here; then press “File it” again in this one, where your text stays below.",
    );
    let link = Link {
        id: "sign-in-link",
        href: places.sign_in.clone(),
        text: "Sign in again (in a new tab)".to_owned(),
        new_tab: true,
    };
    Message { link: Some(link), ..message }
}

fn refused(refusal: Refusal, by: Source, places: &Places) -> Message {
    let bad = |code, title, text| say(Tone::Bad, code, title, text);
    match refusal {
        Refusal::DeadToken if by == Source::Byo => with_link(
            bad(
                "pasted-token-refused",
                "Not filed: the forge does not take the token that you pasted",
                "It has expired or was deleted. Make a new one, paste it under Settings, and press “File it” again: \
                 your text is below.",
            ),
            "token-link",
            &places.applications(),
            "Make a token on the forge",
        ),
        Refusal::DeadToken => sign_in_anew(places),
        Refusal::MissingScope => with_link(
            bad(
                "missing-scope",
                "Not filed: your token may not write issues",
                "The forge keeps what you agreed to at your first sign-in. Revoke this application on the forge, sign out \
                 here, sign in again and agree anew; or paste a token of your own with the permission write:issue under \
                 Settings. Your text is below.",
            ),
            "revoke-link",
            &places.applications(),
            "Revoke it on the forge",
        ),
        Refusal::AccountState => with_link(
            bad(
                "account-state",
                "Not filed: the forge does not let your account act now",
                "You may have to set a new password or a second factor there first, or the account is suspended. The \
                 forge tells you which. Your text is below.",
            ),
            "forge-link",
            &places.forge,
            "Go to the forge",
        ),
        Refusal::NotAllowed => bad(
            "not-allowed",
            "Not filed: you may not write there",
            "The forge refuses issues of yours in this repository. Your text is below.",
        ),
        Refusal::NotFound => bad(
            "not-found",
            "Not filed: the repository was not found, or you have no access",
            "The forge does not say which. Ask whoever runs this machine. Your text is below.",
        ),
        Refusal::Rejected => bad(
            "rejected",
            "Not filed: the forge does not accept this text",
            "Change the title or the text below and try again.",
        ),
        Refusal::TooLarge => bad(
            "too-large",
            "Not filed: this is too much text for the forge",
            "Shorten it below and try again.",
        ),
        Refusal::Archived => bad(
            "archived",
            "Not filed: the repository is archived",
            "It takes no issues any more. Ask whoever runs this machine. Your text is below.",
        ),
        Refusal::Busy => bad(
            "forge-busy",
            "Not filed: the forge has too much to do",
            "Press “File it” again in a while; your text is below.",
        ),
        Refusal::Elsewhere => bad(
            "elsewhere",
            "Not filed: the forge pointed to another place",
            "Your token does not go there. Ask whoever runs this machine whether the repository has moved. Your text is \
             below.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new("http://forge.test/git/".parse().unwrap(), "acme", "feedback", "/_hero")
    }

    #[test]
    fn every_outcome_has_words_of_its_own_and_says_that_the_text_is_kept() {
        let refusals = [
            Refusal::DeadToken,
            Refusal::MissingScope,
            Refusal::AccountState,
            Refusal::NotAllowed,
            Refusal::NotFound,
            Refusal::Rejected,
            Refusal::TooLarge,
            Refusal::Archived,
            Refusal::Busy,
            Refusal::Elsewhere,
        ];
        let mut outcomes: Vec<_> = refusals
            .into_iter()
            .map(|refusal| Outcome::NotFiled(Reason::Refused(refusal, Source::PassThrough)))
            .collect();
        outcomes.push(Outcome::NotFiled(Reason::Refused(Refusal::DeadToken, Source::Byo)));
        outcomes.push(Outcome::NotFiled(Reason::NoToken));
        outcomes.push(Outcome::NotFiled(Reason::Unreachable));
        outcomes.extend([Doubt::TimedOut, Doubt::CutShort, Doubt::OddAnswer].map(Outcome::Doubtful));
        let mut codes = std::collections::HashSet::from([slot_taken().code]);
        for outcome in &outcomes {
            let message = of_outcome(outcome, &places());
            assert!(codes.insert(message.code), "{} is said twice", message.code);
            assert!(message.text.contains("below"), "{outcome:?}");
            let surely_not = matches!(outcome, Outcome::NotFiled(_));
            assert_eq!(message.title.starts_with("Not filed"), surely_not, "{outcome:?}");
        }
    }

    #[test]
    fn a_link_never_leaves_the_forge() {
        let link = |page: Option<&str>| {
            let page = page.map(|page| page.parse().unwrap());
            let filed = Outcome::Filed { number: Some(7), page, by: Source::PassThrough };
            of_outcome(&filed, &places()).link.unwrap().href
        };
        let ours = "http://forge.test/git/acme/feedback/issues/7";
        assert_eq!(link(None), ours);
        assert_eq!(
            link(Some("http://forge.test/git/acme/renamed/issues/7")),
            "http://forge.test/git/acme/renamed/issues/7"
        );
        for page in ["https://forge.test/x", "http://evil.test/x", "javascript:alert(1)", "data:text/html,x"]
        {
            assert_eq!(link(Some(page)), ours, "{page}");
        }
    }
}
