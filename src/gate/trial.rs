//! An app calls a visitor's token invalid, and is believed: the forge may have ended it before its time. The token is renewed
//! once, and the request judged again. What an app says costs one call to the forge in a minute and account at most, over
//! all processes on the store.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::base::clock::Timestamp;
use crate::base::secret::same;
use crate::gate::flight::Flight;
use crate::gate::keeper::{ForgeKeeper, Ticket};
use crate::gate::near::Known;
use crate::gate::renew::{self, Renewal};
use crate::gate::settings::RouteRule;
use crate::gate::verdict::{Trial, Verdict};
use crate::session::id::SessionKey;
use crate::wire::ForgeToken;
use crate::wire::inject::Injection;

/// How soon an account's token is renewed again on an app's word.
const BELIEVED_AGAIN: Duration = Duration::from_mins(1);

/// Whether the upstream of this route is believed about the token that it gets.
pub(super) fn is_wanted(route: &RouteRule, injection: &Injection) -> bool {
    route.renew_on_401 && injection.token.is_some()
}

impl ForgeKeeper {
    /// Pass, and see what the upstream says of the token.
    pub(super) fn on_trial(&self, injection: Injection, known: &Known, ticket: Ticket) -> Verdict {
        let (keeper, key, account) = (self.clone(), known.session.key, Arc::clone(&known.account));
        let trial = Trial::new(move || {
            let tasks = keeper.shared.tasks.clone();
            let refused = account.grant.access.clone();
            let working = tasks.spawn(keeper.after_refusal(key, ticket, refused));
            Box::pin(async move { working.await.ok().flatten() })
        });
        Verdict::PassOnTrial(injection, trial)
    }

    /// None: there is nothing better than what was refused.
    async fn after_refusal(self, key: SessionKey, ticket: Ticket, refused: ForgeToken) -> Option<Verdict> {
        let known = self.known(key).await.ok()??;
        if is_still(&known, &refused) {
            if let Some(flight) = self.renewed_on_its_word(&known, refused.clone()).await {
                drop(tokio::time::timeout(self.terms.settings.wait, flight.landed()).await);
            }
            let known = self.known(key).await.ok()??;
            if is_still(&known, &refused) {
                return None;
            }
        }
        // Judged as any request: whose grant has turned out dead is sent to sign in.
        let verdict = self.signed_in(key, ticket).await;
        let has_token = |injection: &Injection| injection.token.is_some();
        match verdict {
            Verdict::Pass(injection) | Verdict::PassOnTrial(injection, _) if has_token(&injection) => {
                Some(Verdict::Pass(injection))
            }
            Verdict::Pass(_) | Verdict::PassOnTrial(..) => None,
            answer @ Verdict::Answer(_) => Some(answer),
        }
    }

    /// Joins the renewal under way, or begins one unless an app was believed a moment ago.
    async fn renewed_on_its_word(&self, known: &Known, refused: ForgeToken) -> Option<Flight<Renewal>> {
        let (shared, account, now) = (&self.shared, known.session.owner(), self.shared.clock.now());
        // A moment to come is none: the clock was set back.
        let is_recent = |at: &Timestamp| *at <= now && now.since(*at) < BELIEVED_AGAIN;
        if let Some(flight) = shared.renewals.under_way(account.key()) {
            return Some(flight);
        }
        if shared.accused.get(&account.key()).as_ref().is_some_and(is_recent) {
            return None;
        }
        shared.accused.insert(account.key(), now);
        // Another process may have believed it: what an app says is said to all of them.
        if !shared.vault.claim_word(account, now, now.plus(BELIEVED_AGAIN)).await.ok()? {
            return None;
        }
        info!(account = %account.key(), "an app calls a token invalid before its time; it is renewed");
        renew::force(shared, account, self.law(), refused)
    }
}

/// Whether the account has nothing but the token that was refused.
fn is_still(known: &Known, refused: &ForgeToken) -> bool {
    let grant = &known.account.grant;
    !grant.dead && same(grant.access.expose(), refused.expose())
}
