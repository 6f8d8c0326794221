//! Leases are given back: one that stays holds an account up until it lapses.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use crate::gate::keeper::Shared;
use crate::session::store::Lease;

/// How soon the store is asked again to take a lease back, and how often.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;

/// Gives a lease back; if the store does not take it for now, behind everybody's back.
pub(super) async fn give_back(shared: &Arc<Shared>, lease: Lease) {
    if shared.vault.release(lease.clone()).await.is_err() {
        give_back_behind(shared, lease);
    }
}

/// Goes on giving a lease back for a while: one that was, or that may have been taken although the store said nothing.
pub(super) fn give_back_behind(shared: &Arc<Shared>, lease: Lease) {
    let work = Arc::clone(shared);
    drop(shared.tasks.spawn(async move {
        for _ in 0..TRIES {
            sleep(PAUSE).await;
            if work.vault.release(lease.clone()).await.is_ok() {
                return;
            }
        }
        warn!("the session store does not take a lease back; it lapses by itself");
    }));
}
