//! Whether forge and store are there: looked at again and again, and told as readiness.
//!
//! A forge that has been there is gone only when it has not answered several times in a row. Who is signed in does not need
//! it, all instances ask the same one, and a balancer that takes them all away because of one lost answer makes an outage
//! of a hiccup. The store is needed for nearly everything: there one failure counts.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::app::admin::{self, Admin};
use crate::forge::api::ForgeOauth;
use crate::gate::ForgeKeeper;
use crate::serve::Readiness;
use crate::session::store::SessionStore;

/// How soon is looked again while all is well, and while it is not.
const WELL: Duration = Duration::from_mins(1);
const UNWELL: Duration = Duration::from_secs(5);
/// A forge that does not answer so many times in a row is gone.
const MISSES: u32 = 3;

/// Looks at forge and store, and sweeps the store.
#[derive(Debug)]
pub struct Watch {
    pub(super) forge: Arc<dyn ForgeOauth>,
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) keeper: ForgeKeeper,
    pub(super) readiness: Readiness,
    pub(super) health: ForgeHealth,
    pub(super) admin: Option<Admin>,
    pub(super) token_works: bool,
}

/// What is known of the forge from the looks so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForgeHealth {
    /// It has never answered.
    Unknown,
    /// It answered the last time, or so many looks before that.
    Answers { misses: u32 },
    /// It has answered once, and does not any more.
    Gone,
}

impl ForgeHealth {
    /// What is known after another look.
    fn after(self, answered: bool) -> Self {
        match self {
            _ if answered => Self::Answers { misses: 0 },
            Self::Answers { misses } if misses + 1 < MISSES => Self::Answers { misses: misses + 1 },
            Self::Answers { .. } | Self::Gone => Self::Gone,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl Watch {
    /// Looks for as long as it is polled.
    ///
    /// # Cancel safety
    /// Dropping the future ends the looking.
    pub async fn run(mut self) {
        loop {
            let pause = self.look().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks once; says when to look again.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a look half done; the next one makes up for it.
    pub async fn look(&mut self) -> Duration {
        let forge = self.look_at_forge().await;
        let store = self.look_at_store().await;
        // Last: nobody's readiness waits for it.
        if let Some(admin) = &self.admin {
            admin::look_after(admin).await;
            // A forge that is down says nothing of a token, and was told of above.
            if forge && !self.token_works {
                self.token_works = admin::look_at_token(admin).await;
            }
        }
        if forge && store { WELL } else { UNWELL }
    }

    async fn look_at_forge(&mut self) -> bool {
        let answer = match self.forge.issuer() {
            // The first visitor is not to wait for what can be known before.
            None => self.forge.discover().await.map(drop),
            Some(_) => self.forge.ping().await,
        };
        let (before, now) = (self.health, self.health.after(answer.is_ok()));
        self.health = now;
        match now {
            ForgeHealth::Answers { misses: 0 } => {
                self.readiness.up("forge");
                if before == ForgeHealth::Gone {
                    info!("the forge answers again");
                }
            }
            ForgeHealth::Answers { .. } => {}
            ForgeHealth::Unknown | ForgeHealth::Gone => self.readiness.down("forge", "forge_unavailable"),
        }
        if let Err(failed) = &answer {
            warn!(error = %failed, "the forge does not answer; sign-ins wait for it, sessions go on");
        }
        answer.is_ok()
    }

    async fn look_at_store(&self) -> bool {
        let answer = self.store.ping().await;
        match &answer {
            Ok(()) => self.readiness.up("store"),
            Err(failed) => {
                self.readiness.down("store", "store_unavailable");
                warn!(error = %failed, "the session store does not answer");
            }
        }
        let mut swept = 0;
        // Each sweep takes a bounded number of rows, so that nobody waits long behind it.
        while let Ok(rows @ 1..) = self.keeper.sweep().await {
            swept += rows;
        }
        if swept > 0 {
            info!(rows = swept, "expired rows are gone from the session store");
        }
        answer.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_that_was_there_is_gone_after_several_misses_and_back_at_once() {
        let mut health = ForgeHealth::Unknown;
        let mut look = |answered| {
            health = health.after(answered);
            health
        };
        assert_eq!(look(false), ForgeHealth::Unknown);
        assert_eq!(look(true), ForgeHealth::Answers { misses: 0 });
        assert_eq!(look(false), ForgeHealth::Answers { misses: 1 });
        assert_eq!(look(true), ForgeHealth::Answers { misses: 0 });
        for misses in [1, 2] {
            assert_eq!(look(false), ForgeHealth::Answers { misses });
        }
        assert_eq!([look(false), look(false)], [ForgeHealth::Gone; 2]);
        assert_eq!(look(true), ForgeHealth::Answers { misses: 0 });
    }
}
