//! The end of sessions: one word for each way, the same in the log and in the operator's list, and the one place where
//! ends are made.

use tracing::{error, info};

use crate::base::account::{Account, AccountKey};
use crate::gate::keep;
use crate::gate::keeper::ForgeKeeper;
use crate::gate::near::{NearSession, SignedOut};
use crate::session::id::SessionKey;
use crate::session::store::StoreError;

/// Why a session is over, or counts no more. Each stands in the log as `reason`, beside the session's eight digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End(&'static str);

macro_rules! ends {
    ($($(#[$words:meta])+ $name:ident $code:literal)*) => {
        $($(#[$words])+ pub const $name: End = End($code);)*
        /// All of them, as the documents list them.
        pub const ALL: &[End] = &[$($name),*];
    };
}

ends! {
    /// The visitor signed out in this browser.
    SIGNED_OUT "signed_out_here"
    /// The visitor signed out in all browsers.
    SIGNED_OUT_EVERYWHERE "signed_out_everywhere"
    /// The visitor ended it from the list of his sessions.
    ENDED_BY_OWNER "ended_by_owner"
    /// The same browser signed in again.
    REPLACED "replaced"
    /// Nobody used it for as long as `session.idle`.
    UNUSED "unused"
    /// It came to its absolute end while somebody used it.
    TOO_OLD "too_old"
    /// A cookie came, or an answer is under way, whose session the store does not know.
    UNKNOWN "unknown_session"
    /// The session is another origin's.
    ELSEWHERE "made_at_another_origin"
    /// What the store holds cannot be opened.
    UNREADABLE "unreadable"
    /// The account's tokens are not in the store, or cannot be opened.
    NO_GRANT "no_grant"
    /// The forge does not renew the account's tokens any more.
    GRANT_ENDED "grant_ended"
}

impl End {
    /// The code: lower case, underscores.
    pub const fn code(self) -> &'static str {
        self.0
    }
}

/// Tells the log why a session is over, or why a cookie opens nothing.
pub(super) fn tell(key: SessionKey, end: End) {
    if matches!(end, SIGNED_OUT | SIGNED_OUT_EVERYWHERE | ENDED_BY_OWNER) {
        info!(session = %key, reason = end.code(), "signed out");
    } else {
        info!(session = %key, reason = end.code(), "a session counts no more");
    }
}

impl ForgeKeeper {
    /// Ends a session here and in the store, and what its account has no more use for; says whether the store took it.
    /// Here it counts no more either way.
    pub(super) async fn end(&self, key: SessionKey, end: End) -> bool {
        // Before it is marked, which hides it.
        let owner = self.owner(key).await;
        self.shared.near.end(key, None);
        let removed = self.shared.vault.remove_session(key).await;
        self.ended(&[key], owner, removed.map(u64::from), end).await.is_ok()
    }

    /// Ends a session whose time is up, unless that has been done.
    pub(super) async fn end_in_time(&self, session: &NearSession) {
        let (key, now) = (session.key, self.shared.clock.now());
        if !self.shared.near.end(key, None) {
            return;
        }
        let removed = self.shared.vault.remove_session(key).await.map(u64::from);
        // A store that does not take it for now finds it over at the next look.
        drop(self.ended(&[key], Some(session.owner().clone()), removed, session.way_out(now)).await);
    }

    /// Ends sessions of one account for somebody who is told whether that worked: either the store takes it, or nothing has
    /// happened, and he can try again. What somebody else has ended meanwhile stays so. Says how many ended.
    pub(super) async fn end_all(
        &self,
        keys: &[SessionKey],
        owner: Option<Account>,
        removing: impl Future<Output = Result<u64, StoreError>>,
        end: End,
    ) -> Result<u64, StoreError> {
        let by = owner
            .as_ref()
            .filter(|_| matches!(end, SIGNED_OUT | SIGNED_OUT_EVERYWHERE))
            .map(|account| SignedOut { account: account.clone(), at: self.shared.clock.now() });
        let marked: Vec<SessionKey> =
            keys.iter().copied().filter(|key| self.shared.near.end(*key, by.clone())).collect();
        let ended = self.ended(keys, owner, removing.await, end).await;
        if ended.is_err() {
            for key in marked {
                self.shared.near.revive(key);
            }
        }
        ended
    }

    async fn ended(
        &self,
        keys: &[SessionKey],
        owner: Option<Account>,
        removed: Result<u64, StoreError>,
        end: End,
    ) -> Result<u64, StoreError> {
        match &removed {
            Ok(_) => {
                for key in keys {
                    tell(*key, end);
                    self.shared.watch.tell(*key);
                }
                if let Some(owner) = owner {
                    self.drop_unused(owner.key()).await;
                }
            }
            Err(failed) => {
                for key in keys {
                    error!(session = %key, error = %failed, "a session could not be ended in the store");
                }
            }
        }
        removed
    }

    /// Drops an account's tokens if no session is left that needs them.
    pub(super) async fn drop_unused(&self, account: AccountKey) {
        keep::drop_unused(&self.shared, account, self.law()).await;
    }

    /// Whose a session is, as far as that can be known.
    pub(super) async fn owner(&self, key: SessionKey) -> Option<Account> {
        self.known(key).await.ok().flatten().map(|known| known.session.owner().clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::base::clock::Clock as _;
    use crate::forge::api::Introspection;
    use crate::gate::exchange::Failed;
    use crate::gate::lab::{Lab, SCOPE, account, set};
    use crate::gate::renew;
    use crate::session::record::GrantRecord;

    /// Holds: R3, R11.
    #[tokio::test(start_paused = true)]
    async fn a_sign_in_keeps_its_tokens_though_the_last_other_session_ends_meanwhile() {
        let lab = Arc::new(Lab::with_grant().await);
        let leaving = Arc::clone(&lab);
        lab.forge.introspects(async move {
            let (vault, owner) = (&leaving.shared().vault, account().key());
            assert_eq!(vault.remove_sessions_of(owner, None).await.unwrap(), 1);
            // Here one waits for sign-ins under way; another process does not.
            let now = leaving.clock.now();
            assert!(vault.drop_grant(owner, now, now).await.unwrap(), "nobody needs it");
            Ok(Introspection::Active { scope: SCOPE.to_owned() })
        });
        let opened = lab.exchange(2).await.unwrap();
        assert_eq!(lab.stored().await.access.expose(), "access-2");
        assert_eq!(opened.known.account.grant.access.expose(), "access-2");
    }

    /// Holds: R3, R11.
    #[tokio::test(start_paused = true)]
    async fn what_a_sign_in_brought_is_put_back_beside_what_another_one_has_put_there() {
        for later in [false, true] {
            let lab = Arc::new(Lab::new());
            let other = Arc::clone(&lab);
            lab.forge.introspects(async move {
                // Another process: its last session ends, and the set of a sign-in that is older, or younger, is put back.
                let (vault, clock, owner) = (&other.shared().vault, &other.clock, account());
                assert!(vault.drop_grant(owner.key(), clock.now(), clock.now()).await.unwrap());
                let way = std::time::Duration::from_secs(1);
                clock.set(if later { clock.now().plus(way) } else { clock.now().minus(way) });
                let again = GrantRecord { version: clock.now().plus(way * 2).millis(), ..other.grant(1, 1) };
                vault.begin_grant(&again, clock.now().plus(way * 9999)).await.unwrap();
                Ok(Introspection::Active { scope: SCOPE.to_owned() })
            });
            lab.exchange(2).await.unwrap();
            let stored = lab.stored().await;
            let spares: Vec<_> = stored.spares.iter().map(|spare| spare.expose().to_owned()).collect();
            let (first, second) = if later { (1, 2) } else { (2, 1) };
            assert_eq!(stored.access.expose(), format!("access-{first}"));
            assert_eq!(spares, [format!("refresh-{second}")], "which one the forge takes nobody knows");
            assert_eq!(lab.shared().near.account(account().key()).unwrap().grant.version, stored.version);
        }
    }

    /// Holds: R11, R17.
    #[tokio::test(start_paused = true)]
    async fn what_a_refused_sign_in_brought_is_there_for_one_that_is_not_through_yet() {
        let lab = Arc::new(Lab::new());
        let other = Arc::clone(&lab);
        lab.forge.introspects(async move {
            other.forge.crossed.store(true, Ordering::SeqCst);
            assert!(matches!(other.exchange(2).await, Err(Failed::Crossed)));
            Ok(Introspection::Active { scope: SCOPE.to_owned() })
        });
        let opened = lab.exchange(1).await.unwrap();
        assert!(lab.keeper.drain(std::time::Duration::from_mins(1)).await);
        // The forge takes the younger one only.
        lab.clock.advance(std::time::Duration::from_hours(1));
        lab.forge.refreshes(async { Ok(set(3)) });
        renew::start(lab.shared(), &account(), lab.law()).unwrap().landed().await;
        assert_eq!(*lab.forge.tried.lock().unwrap(), ["refresh-2"]);
        // Once nobody needs it, it goes.
        assert!(lab.keeper.end(opened.known.session.key, SIGNED_OUT).await);
        assert!(lab.shared().vault.grant(&account()).await.unwrap().live().is_none());
        lab.forge.crossed.store(true, Ordering::SeqCst);
        assert!(matches!(lab.exchange(4).await, Err(Failed::Crossed)));
        assert!(lab.keeper.drain(std::time::Duration::from_mins(1)).await);
        assert!(lab.shared().vault.grant(&account()).await.unwrap().live().is_none());
    }

    /// Holds: R11, R17.
    #[tokio::test(start_paused = true)]
    async fn tokens_are_not_dropped_while_another_process_exchanges_a_code() {
        let lab = Lab::with_grant().await;
        let (vault, now) = (&lab.shared().vault, lab.clock.now());
        let announced = vault.exchange_lease(now.plus(lab.law().lease));
        assert!(vault.take(&announced, now).await.unwrap());
        vault.remove_sessions_of(account().key(), None).await.unwrap();
        lab.keeper.drop_unused(account().key()).await;
        assert!(
            vault.grant(&account()).await.unwrap().live().is_some(),
            "its session may be about to need them"
        );
        vault.release(announced).await.unwrap();
        assert!(lab.keeper.drain(std::time::Duration::from_mins(1)).await);
        assert!(vault.grant(&account()).await.unwrap().live().is_none());
    }

    /// Holds: R11, R12.
    #[tokio::test(start_paused = true)]
    async fn a_version_is_never_given_again_after_tokens_were_dropped() {
        let lab = Lab::new();
        let first = lab.exchange(1).await.unwrap().known;
        let late = lab.stored().await;
        assert!(lab.keeper.end(first.session.key, SIGNED_OUT).await);
        assert!(lab.keeper.drain(std::time::Duration::from_mins(1)).await);
        assert!(lab.shared().near.account(account().key()).is_none(), "nor is anything kept here");
        lab.clock.advance(std::time::Duration::from_secs(1));
        lab.exchange(2).await.unwrap();
        let stored = lab.stored().await;
        assert!(stored.version > late.version);
        // Who read the old grant and comes late writes over nothing.
        let version = late.version + 1;
        let late = GrantRecord { version, ..late };
        let until = lab.clock.now().plus(std::time::Duration::from_hours(1));
        let swapped = lab.shared().vault.swap_grant(&late, until).await.unwrap();
        assert_eq!(swapped, crate::session::store::Swap::Stale);
        assert_eq!(lab.stored().await.access.expose(), "access-2");
    }

    #[test]
    fn a_code_is_given_once_and_is_plain() {
        for (at, end) in ALL.iter().enumerate() {
            let code = end.code();
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
            assert!(ALL.iter().skip(at + 1).all(|other| other != end), "{code}");
        }
    }
}
