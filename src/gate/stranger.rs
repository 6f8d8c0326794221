//! Somebody without a session: sent to the forge, or told where the sign-in is; and the links and cookies of that.

use http::{HeaderValue, header};
use url::Url;

use crate::gate::answer::{self, Offer};
use crate::gate::keeper::{ForgeKeeper, Ticket, target};
use crate::gate::pages::Action;
use crate::gate::reason;
use crate::gate::sign_in;
use crate::gate::verdict::{Answer, Reader, Verdict};

/// What somebody reads whose form met the end of the session. A browser sends a form once more when its answer is reloaded.
const NOT_SENT_ON: &str = "What you sent has not reached the app. To send it as it is, sign in in another tab, then reload this page.";

impl ForgeKeeper {
    /// Somebody without a session on a route that wants one.
    pub(super) async fn stranger(&self, ticket: Ticket) -> Verdict {
        if let Some(refusal) = self.refuse_stranger(&ticket) {
            return Verdict::Answer(Box::new(refusal));
        }
        let mut answer = sign_in::begin(self, &target(&ticket), 0, &ticket).await;
        self.clear_odd_cookie(&mut answer, &ticket);
        Verdict::Answer(Box::new(answer))
    }

    /// The answer to a stranger who is not sent to the forge: who is no navigation, or has signed out on purpose.
    pub(super) fn refuse_stranger(&self, ticket: &Ticket) -> Option<Answer> {
        let mut answer = match ticket.asked.reader {
            Reader::Page | Reader::Program => self.sign_in_first(ticket),
            Reader::Navigation if self.has_signed_out(ticket) => self.signed_out(ticket, &target(ticket)),
            Reader::Navigation => return None,
        };
        self.clear_odd_cookie(&mut answer, ticket);
        Some(answer)
    }

    /// Whether this browser has signed out on purpose.
    pub(super) fn has_signed_out(&self, ticket: &Ticket) -> bool {
        let marker = &self.terms.cookies.names().signed_out;
        ticket.cookies.iter().any(|cookie| cookie.name == *marker)
    }

    /// The page with the button that signs in again.
    pub(super) fn signed_out(&self, ticket: &Ticket, target: &str) -> Answer {
        let lines = vec![format!("The forge is {}", self.terms.settings.forge_url)];
        let actions = self.sign_in_actions(target);
        answer::refuse(reason::SIGNED_OUT, Offer { lines, actions, ..Offer::default() }, &ticket.asked)
    }

    /// A session cookie that is none is cleared, but not by the answer to a program: that might be another tab's.
    fn clear_odd_cookie(&self, answer: &mut Answer, ticket: &Ticket) {
        if ticket.odd_cookie && ticket.asked.reader != Reader::Program {
            self.clear_cookie(answer, &self.terms.cookies.names().session);
        }
    }

    /// What somebody without a session gets who cannot be sent to the forge: a form, a frame, a script.
    pub(super) fn sign_in_first(&self, ticket: &Ticket) -> Answer {
        let login_url = Some(format!("{}{}", self.terms.origin, self.path("/auth/login")));
        // Whoever has typed something is not left to wonder where it went.
        let sent = (!ticket.method.is_safe()).then(|| NOT_SENT_ON.to_owned());
        // The target of a form or a script is no page to come back to.
        let offer = Offer {
            lines: sent.into_iter().collect(),
            actions: self.sign_in_actions("/"),
            login_url,
            ..Offer::default()
        };
        let mut refusal = answer::refuse(reason::SIGN_IN_REQUIRED, offer, &ticket.asked);
        let challenge =
            format!("Cookie realm=\"{}\", form-action=\"{}\"", self.terms.origin, self.path("/auth/login"));
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            refusal.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        refusal
    }

    pub(super) fn sign_in_actions(&self, target: &str) -> Vec<Action> {
        let applications = self.forge_link("user/settings/applications");
        vec![
            Action {
                id: "sign-in",
                href: self.login_link(target),
                label: "Sign in",
                main: true,
                apart: false,
            },
            Action { id: "forge", href: applications, label: "Go to the forge", main: false, apart: false },
        ]
    }

    pub(super) fn login_link(&self, target: &str) -> String {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", target).finish();
        format!("{}?{query}", self.path("/auth/login"))
    }

    /// A page of the forge, as the browser reaches it.
    pub(super) fn forge_link(&self, page: &str) -> String {
        let mut base = self.terms.settings.forge_url.parts().clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join(page).map_or_else(|_| base.to_string(), |url: Url| url.to_string())
    }

    pub(super) fn path(&self, below: &str) -> String {
        format!("{}{below}", self.terms.settings.prefix)
    }

    pub(super) fn clear_cookie(&self, answer: &mut Answer, name: &str) {
        if let Ok(line) = self.terms.cookies.clear(name) {
            answer.headers_mut().append(header::SET_COOKIE, line);
        }
    }
}
