//! Sessions between the store and what is near.

use std::sync::Arc;

use tracing::{error, warn};

use crate::gate::asking::Asking;
use crate::gate::end;
use crate::gate::flight::Flight;
use crate::gate::keep;
use crate::gate::keeper::{ForgeKeeper, Loaded, Shared};
use crate::gate::near::{Known, Look, NearSession};
use crate::gate::renew::Law;
use crate::session::id::SessionKey;
use crate::session::record::SessionRecord;
use crate::session::store::StoreError;
use crate::session::vault::Found;

impl ForgeKeeper {
    /// Looks at the store; joins a look that is under way.
    pub(super) fn load(&self, key: SessionKey) -> Flight<Loaded> {
        let (shared, law, origin) = (Arc::clone(&self.shared), self.law(), self.terms.origin.clone());
        self.shared.loads.join(&self.shared.tasks, key, || async move {
            look_up(&shared, key, law, &origin).await.map_err(|failed| {
                warn!(error = %failed, "the session store cannot answer");
            })
        })
    }

    /// The session of a key, as fresh as five seconds; an `Err` is "cannot know".
    pub(super) async fn known(&self, key: SessionKey) -> Loaded {
        let origin = &self.terms.origin;
        match self.shared.near.look(key, Asking::now(&*self.shared.clock), origin) {
            Look::Known(known, _) => Ok(Some(known)),
            Look::Unknown => {
                let wait = self.terms.settings.wait;
                let landed = tokio::time::timeout(wait, self.load(key).landed()).await.ok().flatten();
                // A look may have been joined that another origin began.
                landed
                    .unwrap_or(Err(()))
                    .map(|known| known.filter(|known| known.session.record.origin == *origin))
            }
        }
    }

    /// The same. If its time seems to be up the store is asked once more: another process may have seen it used since.
    pub(super) async fn still_known(&self, key: SessionKey) -> Loaded {
        let Some(known) = self.known(key).await? else { return Ok(None) };
        let now = self.shared.clock.now();
        if !known.session.has_ended(now, self.terms.settings.session.idle) {
            return Ok(Some(known));
        }
        if known.session.record.expires_at <= now {
            // Ended is ended, whoever turns the clock back.
            self.end_in_time(&known.session).await;
            return Ok(None);
        }
        self.shared.near.forget(key);
        self.known(key).await
    }
}

async fn look_up(
    shared: &Arc<Shared>,
    key: SessionKey,
    law: Law,
    origin: &str,
) -> Result<Option<Known>, StoreError> {
    shared.steady.look(&*shared.clock);
    // Before the store is asked, which may be told of it meanwhile.
    let (asking, used_at) = (Asking::now(&*shared.clock), shared.uses.last(key));
    let now = asking.at;
    let session = match shared.vault.session(key, now).await? {
        // A session counts at the origin that it was made at, and nowhere else.
        Found::Live(record) if record.origin == origin => {
            let seen_at = record.seen_at.max(used_at).max(shared.uses.last(key));
            NearSession::new(key, SessionRecord { seen_at, ..record }, asking)
        }
        // It may well go on there.
        Found::Live(_) => {
            shared.near.forget(key);
            end::tell(key, end::ELSEWHERE);
            return Ok(None);
        }
        Found::Absent => {
            shared.near.forget(key);
            end::tell(key, end::UNKNOWN);
            shared.watch.tell(key);
            return Ok(None);
        }
        Found::Spoilt(spoilt) => {
            error!(session = %key, reason = ?spoilt.reason, "a stored session cannot be opened; its owner signs in again");
            end::tell(key, end::UNREADABLE);
            shared.watch.tell(key);
            shared.near.forget(key);
            return Ok(None);
        }
    };
    if session.has_ended(now, law.idle) {
        let marked = shared.near.end(key, None);
        match shared.vault.remove_session(key).await {
            Ok(removed) => {
                if removed {
                    end::tell(key, session.way_out(now));
                }
                shared.watch.tell(key);
            }
            Err(failed) => {
                // Another process may have seen it used, and be about to tell.
                if marked {
                    shared.near.revive(key);
                }
                return Err(failed);
            }
        }
        keep::drop_unused(shared, session.account, law).await;
        return Ok(None);
    }
    let grant = match shared.vault.grant(session.owner()).await? {
        Found::Live(grant) => grant,
        Found::Absent | Found::Spoilt(_) => {
            warn!(session = %key, account = %session.account, "a session without a usable grant");
            end::tell(key, end::NO_GRANT);
            shared.watch.tell(key);
            return Ok(None);
        }
    };
    let known = Known { session: Arc::new(session), account: Arc::new(shared.judged(grant)) };
    Ok(shared.near.note(&known).then_some(known))
}
