//! Somebody whose account the forge does not let act: looked at before a request goes on, told what is the matter, and let
//! in again as soon as it is over. Nobody is signed out for it.

use tokio::time::Instant;

use crate::base::account::Standing;
use crate::base::clock::Timestamp;
use crate::gate::answer::{self, Offer};
use crate::gate::keeper::{ForgeKeeper, Loaded, Ticket};
use crate::gate::near::Known;
use crate::gate::pages::Action;
use crate::gate::reason;
use crate::gate::recheck::{self, Due};
use crate::gate::round;
use crate::gate::verdict::{Answer, Reader};
use crate::session::id::SessionKey;

impl ForgeKeeper {
    /// Whether the forge is to be asked about this account.
    pub(super) fn is_due(&self, known: &Known, reader: Reader, at: Timestamp) -> Due {
        let grant = &known.account.grant;
        let interval = recheck::counts_for(grant.standing, reader, self.terms.settings.session.recheck);
        recheck::due(grant, at, interval, || self.shared.failing.get(&known.session.account))
    }

    /// The session of a key, once the forge has been asked about its account if that is due; waits until `until` at most. An
    /// `Err` is "cannot know".
    pub(super) async fn looked_at(&self, key: SessionKey, reader: Reader, until: Instant) -> Loaded {
        let Some(known) = self.still_known(key).await? else { return Ok(None) };
        let at = self.shared.clock.now();
        // Whoever has ended is not asked about.
        if known.session.has_ended(at, self.terms.settings.session.idle) {
            return Ok(Some(known));
        }
        let due = self.is_due(&known, reader, at);
        if due == Due::No {
            return Ok(Some(known));
        }
        // Begun here even if nobody waits: whoever turns out barred does not come to what others begin when they pass.
        let flight = round::start(&self.shared, &known.account.grant, self.law());
        if due == Due::Behind {
            return Ok(Some(known));
        }
        if tokio::time::timeout_at(until, flight.landed()).await.is_err() {
            round::is_late(&self.shared, &known.account.grant);
        }
        // What was known before the wait may be over by now: signed out, suspended, or too old to count. A forge that told
        // nothing changes nothing about that.
        self.still_known(key).await
    }

    /// The page of somebody who is barred: what is the matter, and the way out.
    pub(super) fn barred(&self, standing: Standing, known: &Known, ticket: &Ticket) -> Answer {
        let reason = recheck::reason(standing).unwrap_or(reason::ACCOUNT_REFUSED);
        // An empty reference is the page's own address. What a form was sent to is nothing to open.
        let again = match ticket.asked.reader {
            Reader::Navigation => "",
            Reader::Page | Reader::Program => "/",
        };
        let (page, label) = match standing {
            Standing::MustChangePassword => {
                ("user/settings/change_password", "Change the password at the forge")
            }
            Standing::Good | Standing::Suspended | Standing::Refused => ("", "Go to the forge"),
        };
        let actions = vec![
            Action { id: "forge", href: self.forge_link(page), label, main: true, apart: false },
            Action { id: "again", href: again.to_owned(), label: "Go on", main: false, apart: false },
        ];
        let offer = Offer {
            actions,
            who: Some(known.account.grant.identity.login.clone()),
            sign_out: Some(self.path("/auth/logout")),
            ..Offer::default()
        };
        answer::refuse(reason, offer, &ticket.asked)
    }
}
