//! The store that the processes share: the memory store as shipped, with what can go wrong on the way to it. A failure
//! may come before a write took effect, or after; either way it says "cannot answer".

use std::fmt;
use std::sync::Arc;

use hero_proxy::base::account::AccountKey;
use hero_proxy::base::clock::Timestamp;
use hero_proxy::base::port::Answer;
use hero_proxy::session::id::SessionKey;
use hero_proxy::session::memory::MemoryStore;
use hero_proxy::session::store::{GrantRow, Lease, SessionRow, SessionStore, StoreError, Swap};

use crate::process::Life;
use crate::weather::StoreFault;
use crate::world::{State, World, pass, ready};

pub struct Shared {
    world: Arc<World>,
    rows: Arc<MemoryStore>,
    life: Life,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

fn failed() -> StoreError {
    StoreError::Unavailable("it rains".into())
}

impl Shared {
    pub fn new(world: Arc<World>, rows: Arc<MemoryStore>, life: Life) -> Self {
        Self { world, rows, life }
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        writes: bool,
        act: impl FnOnce(&MemoryStore) -> Result<T, StoreError> + Send + 'a,
        note: impl FnOnce(&mut State, &T) + Send + 'a,
    ) -> Answer<'a, Result<T, StoreError>> {
        Box::pin(async move {
            self.life.go_on().await;
            let process = self.life.process;
            let plan = {
                let state = &mut *self.world.lock();
                let plan = state.weather.store_plan(writes, &mut state.chance);
                if plan.fault != StoreFault::None || plan.is_slow() {
                    state.trouble();
                    state.truth.store_fails(state.time.real());
                    state.tell(format_args!(
                        "P{process} store {name}: {:?} ({} ms)",
                        plan.fault,
                        (plan.before + plan.after).as_millis()
                    ));
                }
                plan
            };
            if plan.fault == StoreFault::DiesBefore {
                self.die(name).await;
            }
            pass(plan.before).await;
            self.life.go_on().await;
            if plan.fault == StoreFault::FailsBefore {
                return Err(failed());
            }
            let done = {
                let state = &mut *self.world.lock();
                let now = state.time.at_forge();
                state.truth.observe(&state.forge, now);
                let done = act(&self.rows)?;
                note(state, &done);
                state.truth.observe(&state.forge, now);
                done
            };
            if plan.fault == StoreFault::DiesAfter {
                self.die(name).await;
            }
            pass(plan.after).await;
            self.life.go_on().await;
            if plan.fault == StoreFault::FailsAfter { Err(failed()) } else { Ok(done) }
        })
    }

    async fn die(&self, at: &str) {
        self.world.lock().died(&self.life, at);
        self.life.go_on().await;
    }
}

fn nothing<T>(_: &mut State, _: &T) {}

impl SessionStore for Shared {
    fn insert_session(&self, key: SessionKey, row: SessionRow) -> Answer<'_, Result<(), StoreError>> {
        let kept = row.clone();
        self.call(
            "insert_session",
            true,
            move |rows| ready(rows.insert_session(key, row)),
            move |state, ()| state.truth.inserted(key, &kept),
        )
    }

    fn session(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Result<Option<SessionRow>, StoreError>> {
        self.call("session", false, move |rows| ready(rows.session(key, now)), nothing)
    }

    fn touch_session(&self, key: SessionKey, seen_at: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        self.call(
            "touch_session",
            true,
            move |rows| ready(rows.touch_session(key, seen_at)),
            move |state, there| crate::laws::touched(state, key, *there, seen_at),
        )
    }

    fn remove_session(&self, key: SessionKey) -> Answer<'_, Result<bool, StoreError>> {
        self.call(
            "remove_session",
            true,
            move |rows| ready(rows.remove_session(key)),
            move |state, _| state.truth.removed(key, state.time.real()),
        )
    }

    fn sessions_of(
        &self,
        account: AccountKey,
        now: Timestamp,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        self.call("sessions_of", false, move |rows| ready(rows.sessions_of(account, now)), nothing)
    }

    fn remove_sessions_of(
        &self,
        account: AccountKey,
        except: Option<SessionKey>,
    ) -> Answer<'_, Result<u64, StoreError>> {
        self.call(
            "remove_sessions_of",
            true,
            move |rows| ready(rows.remove_sessions_of(account, except)),
            move |state, _| state.truth.removed_all(account, except, state.time.real()),
        )
    }

    fn sessions_after(
        &self,
        after: Option<SessionKey>,
        now: Timestamp,
        most: usize,
    ) -> Answer<'_, Result<Vec<(SessionKey, SessionRow)>, StoreError>> {
        let act = move |rows: &MemoryStore| ready(rows.sessions_after(after, now, most));
        self.call("sessions_after", false, act, nothing)
    }

    fn drop_grant(
        &self,
        account: AccountKey,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        self.call(
            "drop_grant",
            true,
            move |rows| ready(rows.drop_grant(account, now, seen_after)),
            move |state, dropped| {
                if *dropped {
                    state.tell(format_args!("a grant is dropped"));
                    crate::laws::dropped(state, account);
                }
            },
        )
    }

    fn grant(&self, account: AccountKey) -> Answer<'_, Result<Option<GrantRow>, StoreError>> {
        self.call("grant", false, move |rows| ready(rows.grant(account)), nothing)
    }

    fn swap_grant(
        &self,
        account: AccountKey,
        seen: Option<u64>,
        next: GrantRow,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        let process = self.life.process;
        self.call(
            "swap_grant",
            true,
            move |rows| ready(rows.swap_grant(account, seen, next)),
            move |state, swap| {
                if *swap == Swap::Done {
                    crate::laws::written(state, process, account);
                }
            },
        )
    }

    fn lease(&self, lease: Lease, now: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        self.call("lease", true, move |rows| ready(rows.lease(lease, now)), nothing)
    }

    fn release(&self, lease: Lease) -> Answer<'_, Result<(), StoreError>> {
        self.call("release", true, move |rows| ready(rows.release(lease)), nothing)
    }

    fn exchange_under_way(&self, now: Timestamp, latest: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        let look = move |rows: &MemoryStore| ready(rows.exchange_under_way(now, latest));
        self.call("exchanges", false, look, nothing)
    }

    fn claim(
        &self,
        once: [u8; 32],
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Result<bool, StoreError>> {
        self.call("claim", true, move |rows| ready(rows.claim(once, now, until)), nothing)
    }

    fn sweep(&self, now: Timestamp) -> Answer<'_, Result<u64, StoreError>> {
        self.call("sweep", true, move |rows| ready(rows.sweep(now)), nothing)
    }

    fn ping(&self) -> Answer<'_, Result<(), StoreError>> {
        self.call("ping", false, |rows| ready(rows.ping()), nothing)
    }
}
