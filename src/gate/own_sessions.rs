//! Somebody's own sessions: which browsers are signed in, and an end to those that should not be. Nobody sees or ends
//! another account's: a name is looked for among one's own only.

use std::time::Duration;

use serde_json::json;

use crate::base::clock::Timestamp;
use crate::gate::answer::{self, Offer};
use crate::gate::end;
use crate::gate::keeper::{ForgeKeeper, Ticket};
use crate::gate::near::Known;
use crate::gate::own::only;
use crate::gate::pages::{Action, Moment, SessionItem, SessionsPage};
use crate::gate::reason;
use crate::gate::verdict::{Answer, Reader};
use crate::session::id::SessionKey;
use crate::session::record::SessionRecord;
use crate::session::store::StoreError;

/// How many sessions are shown at most: the newest.
const MOST_SHOWN: usize = 100;

impl ForgeKeeper {
    /// `GET auth/sessions`
    pub(super) async fn own_sessions(&self, ticket: &Ticket) -> Answer {
        let known = match self.present(ticket).await {
            Ok(known) => known,
            Err(refusal) => return *refusal,
        };
        let Ok(all) = self.sessions_of(&known).await else { return no_store(ticket) };
        if ticket.asked.reader != Reader::Program {
            return answer::page(&self.page_of(&known, &all, ticket), &ticket.asked);
        }
        let item = |(key, record): &(SessionKey, SessionRecord)| {
            json!({
                "id": key.handle().to_string(), "this": *key == known.session.key,
                "browser": record.browser, "origin": record.origin,
                "signed_in_at": record.created_at.secs(), "last_seen_at": record.seen_at.secs(),
                "expires_at": record.expires_at.secs(),
            })
        };
        let shown: Vec<_> = all.iter().take(MOST_SHOWN).map(item).collect();
        answer::document(&json!({ "sessions": shown, "total": all.len() }), &ticket.asked)
    }

    /// `POST auth/sessions?end=`
    pub(super) async fn end_some(&self, ticket: &Ticket) -> Answer {
        let known = match self.present(ticket).await {
            Ok(known) => known,
            Err(refusal) => return *refusal,
        };
        let Ok(all) = self.sessions_of(&known).await else { return no_store(ticket) };
        let (own, account) = (known.session.key, known.session.owner().clone());
        let wanted = only(&ticket.query, "end").unwrap_or_default();
        let (vault, mut keys) = (&self.shared.vault, all.into_iter().map(|(key, _)| key));
        let ended = if wanted == "others" {
            let others: Vec<SessionKey> = keys.filter(|key| *key != own).collect();
            let removing = vault.remove_sessions_of(account.key(), Some(own));
            self.end_all(&others, Some(account), removing, end::ENDED_BY_OWNER).await
        } else {
            let Some(key) = keys.find(|key| key.handle().to_string() == wanted) else {
                let href = self.path("/auth/sessions");
                let back = Action { id: "sessions", href, label: "Your sessions", main: true, apart: false };
                let offer = Offer { actions: vec![back], ..Offer::default() };
                return answer::refuse(reason::SESSION_UNKNOWN, offer, &ticket.asked);
            };
            if key == own {
                return self.log_out(ticket).await;
            }
            let removing = async { vault.remove_session(key).await.map(u64::from) };
            self.end_all(&[key], Some(account), removing, end::ENDED_BY_OWNER).await
        };
        match (ended, ticket.asked.reader) {
            (Err(_), _) => no_store(ticket),
            (Ok(ended), Reader::Program) => answer::document(&json!({ "ended": ended }), &ticket.asked),
            (Ok(_), _) => answer::see_other(&self.path("/auth/sessions"), &ticket.asked),
        }
    }

    /// The live sessions of somebody's account, newest first, at whichever of our origins.
    async fn sessions_of(&self, known: &Known) -> Result<Vec<(SessionKey, SessionRecord)>, StoreError> {
        let (now, idle) = (self.shared.clock.now(), self.terms.settings.session.idle);
        let all = self.shared.vault.sessions_of(known.session.owner(), now).await?;
        let live = all.into_iter().filter_map(|(key, found)| {
            let record = found.live()?;
            let seen_at = record.seen_at.max(self.shared.uses.last(key));
            Some((key, SessionRecord { seen_at, ..record }))
        });
        Ok(live.filter(|(key, record)| *key == known.session.key || !record.has_ended(now, idle)).collect())
    }

    fn page_of<'a>(
        &'a self,
        known: &'a Known,
        all: &[(SessionKey, SessionRecord)],
        ticket: &'a Ticket,
    ) -> SessionsPage<'a> {
        let now = self.shared.clock.now();
        let ago = |moment: Timestamp| Moment {
            words: match now.since(moment) {
                span if span < Duration::from_mins(2) => "just now".to_owned(),
                span => format!("{} ago", words(span)),
            },
            exact: moment.to_string(),
        };
        let item = |(key, record): &(SessionKey, SessionRecord)| SessionItem {
            handle: key.handle().to_string(),
            browser: record.browser.clone().unwrap_or_else(|| "A browser".to_owned()),
            this: *key == known.session.key,
            elsewhere: (record.origin != self.terms.origin).then(|| record.origin.clone()),
            signed_in: ago(record.created_at),
            seen: ago(record.seen_at),
            ends: Moment {
                words: format!("in {}", words(record.expires_at.since(now))),
                exact: record.expires_at.to_string(),
            },
        };
        SessionsPage::new(
            &known.account.grant.identity.login,
            all.iter().take(MOST_SHOWN).map(item).collect(),
            all.len(),
            &self.terms.settings.prefix,
            ticket.asked.id(),
        )
    }
}

fn no_store(ticket: &Ticket) -> Answer {
    answer::refuse(reason::STORE_UNAVAILABLE, Offer::default(), &ticket.asked)
}

/// A span in the largest unit that it has two of.
fn words(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    let (number, unit) = match minutes {
        0..120 => (minutes, "minute"),
        120..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_a_unit_that_people_use() {
        for (minutes, expected) in [
            (0, "0 minutes"),
            (1, "1 minute"),
            (119, "119 minutes"),
            (120, "2 hours"),
            (47 * 60, "47 hours"),
            (48 * 60, "2 days"),
            (60 * 24 * 30, "30 days"),
        ] {
            assert_eq!(words(Duration::from_mins(minutes)), expected);
        }
    }
}
