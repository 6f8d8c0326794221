//! The service: what an operator can have done, whatever the face. Each of its functions is one action; JSON-RPC, the
//! page and the command line only put it into their words.
//!
//! 1. Nothing is done for anybody but a [`Caller`], which is whom somebody has let in.
//! 2. What was sent to the forge is seen through to the end in a task that no client can cancel.
//! 3. What is done is on record before it is done ("begun") and after it; what cannot be written down before is not done,
//!    what cannot be written down after is kept and tried again.
//! 4. A password is in the one answer that it belongs to. Nothing here keeps, logs or records it.
//! 5. There is nothing here that deletes an account, and nothing that makes a token.

mod create;
mod look;
mod reset;
mod vms;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use serde::Serialize;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use crate::admin::access::Rights;
use crate::admin::caller::Caller;
use crate::admin::error::AdminError;
use crate::admin::form::GOOD_FOR;
use crate::admin::rate::Rates;
use crate::admin::records::{Facts, NewAudit, Records, RecordsError};
use crate::admin::settings::Settings;
use crate::admin::turns::Turns;
use crate::base::account::UserId;
use crate::base::activity::Activity;
use crate::base::clock::{Clock, Timestamp};
use crate::base::entropy::{Entropy, random_bytes};
use crate::base::port::Answer;
use crate::base::secret::{AdminToken, InitialPassword};
use crate::base::tasks::Tasks;
use crate::forge::admin::{AccountInfo, AccountState, ForgeAdmin};

pub use create::NewUserForm;
pub use look::UserList;
pub use vms::{MAX_VM_ID, MAX_VM_URL};

/// Where the forge's admin token is kept. It is asked for each time, so that a new one counts at once, and nobody here
/// holds it longer than a call.
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// The token.
    ///
    /// # Errors
    /// It cannot be had now; the cause is in the log of whoever looked.
    fn token(&self) -> Answer<'_, Result<AdminToken, NoToken>>;
}

/// The admin token cannot be read from where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admin token cannot be read from where it is kept")]
pub struct NoToken;

/// What came of making an account or resetting its password: exactly these three members.
#[derive(Serialize)]
pub struct CreateUserOutput {
    /// Our id of the user.
    pub user_id: String,
    /// The name at the forge.
    pub forge_username: String,
    /// The password to hand over, this once. None: the account was there, and nothing was changed.
    #[serde(serialize_with = "shown_once")]
    pub initial_password: Option<InitialPassword>,
}

/// Where a password is written out for a program: into the answer of whoever asked for it. The page is the other place.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the member")]
fn shown_once<S: serde::Serializer>(password: &Option<InitialPassword>, out: S) -> Result<S::Ok, S::Error> {
    password.as_ref().map(InitialPassword::expose).serialize(out)
}

impl fmt::Debug for CreateUserOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateUserOutput")
            .field("user_id", &self.user_id)
            .field("forge_username", &self.forge_username)
            .field("initial_password", &self.initial_password.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

/// What the service works with.
#[derive(Debug)]
pub struct Ports {
    /// The forge's accounts.
    pub forge: Arc<dyn ForgeAdmin>,
    /// Where the admin token is kept.
    pub token: Arc<dyn TokenSource>,
    /// The records.
    pub records: Records,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Where work runs.
    pub handle: Handle,
}

/// The service. Clones share everything; [`Admin::with`] is the same one under other settings.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(super) settings: Arc<Settings>,
    pub(super) shared: Arc<Shared>,
}

/// What all generations of a configuration share.
#[derive(Debug)]
pub(super) struct Shared {
    pub forge: Arc<dyn ForgeAdmin>,
    pub token: Arc<dyn TokenSource>,
    pub records: Records,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub tasks: Tasks,
    pub turns: Turns,
    pub rights: Rights,
    pub rates: Rates,
    pub csrf_key: [u8; 32],
    /// Forms that have come back.
    pub spent_forms: Cache<String, ()>,
    /// What was done and could not be written down yet.
    late: Mutex<Vec<Late>>,
    /// Who was seen a moment ago.
    seen: Cache<UserId, Timestamp>,
    /// API keys that were used a moment ago.
    pub keys_used: Cache<String, Timestamp>,
}

/// Something that is done and not written down yet. It holds no password.
#[derive(Clone, Debug)]
enum Late {
    Settle { user_id: String, facts: Facts, password_at: Option<Timestamp>, line: NewAudit },
    HandedOver { user_id: String, line: NewAudit },
}

/// How many may wait to be written down; from there on nothing more is begun.
const MAX_LATE: usize = 1000;
/// How often a person's or a key's use is written down at most.
const TOUCH: Duration = Duration::from_mins(1);

impl Admin {
    /// A service for one configuration.
    pub fn new(settings: Settings, ports: Ports) -> Self {
        let Ports { forge, token, records, clock, entropy, handle } = ports;
        let touched = || Cache::builder().max_capacity(100_000).time_to_live(2 * TOUCH).build();
        let shared = Shared {
            forge,
            token,
            records,
            csrf_key: random_bytes(&*entropy),
            spent_forms: Cache::builder().max_capacity(100_000).time_to_live(GOOD_FOR).build(),
            clock,
            entropy,
            tasks: Tasks::on(handle),
            turns: Turns::default(),
            rights: Rights::default(),
            rates: Rates::default(),
            late: Mutex::default(),
            seen: touched(),
            keys_used: Cache::builder().max_capacity(10_000).time_to_live(2 * TOUCH).build(),
        };
        Self { settings: Arc::new(settings), shared: Arc::new(shared) }
    }

    /// The same service under other settings.
    #[must_use]
    pub fn with(&self, settings: Settings) -> Self {
        Self { settings: Arc::new(settings), shared: Arc::clone(&self.shared) }
    }

    /// The records, for what concerns them alone: API keys.
    pub fn records(&self) -> &Records {
        &self.shared.records
    }

    /// Writes down what could not be written down when it was done. To be called now and then; says whether all is.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn catch_up(&self) -> bool {
        let _turn = self.shared.turns.take("late").await;
        loop {
            let next = self.late().first().cloned();
            let Some(next) = next else { return true };
            if let Err(failed) = self.write_late(&next).await {
                warn!(cause = %failed.cause(), "what was done for users is not on record yet; it is held and tried again");
                return false;
            }
            self.late().remove(0);
        }
    }

    /// Asks the forge what the admin token is good for, and tells the log what is wrong with it: too little or too much.
    /// Says whether it can do its work; until then it is worth asking again, since the token is read anew each time.
    ///
    /// # Cancel safety
    /// Dropping the future ends the asking.
    pub async fn look_at_token(&self) -> bool {
        let report = match self.token().await {
            Ok(token) => self.shared.forge.check_token(&token).await.map_err(AdminError::from),
            Err(none) => Err(none),
        };
        // Said where it was met.
        let Ok(report) = report else { return false };
        if !report.works() {
            let missing = report.missing.join(" ");
            error!(site_admin = report.site_admin, missing, "the admin token cannot do its work");
        }
        if !report.beyond.is_empty() {
            let beyond = report.beyond.join(" ");
            warn!(
                beyond,
                "the admin token can do more than it needs: make one with write:admin and read:user only"
            );
        }
        if report.complaints().is_empty() {
            info!("the admin token has the scopes that it needs");
        }
        report.works()
    }

    /// Waits for work under way, and writes down what is left, `limit` at most; says whether all is done.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the work.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.shared.tasks.drain(limit).await && self.catch_up().await
    }

    fn late(&self) -> std::sync::MutexGuard<'_, Vec<Late>> {
        self.shared.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_late(&self, late: &Late) -> Result<(), RecordsError> {
        let records = &self.shared.records;
        match late.clone() {
            Late::Settle { user_id, facts, password_at, line } => {
                let now = self.now();
                records.settle(user_id, facts, password_at, Some(line), now).await.map(drop)
            }
            Late::HandedOver { user_id, line } => records.handed_over(user_id, line).await,
        }
    }

    /// Keeps what was done for later: the forge has done it, and the record could not be written.
    fn keep(&self, late: Late, failed: &RecordsError) {
        error!(cause = %failed.cause(), "something was done for a user and could not be put on record; it is held and tried again");
        self.late().push(late);
    }

    /// Nothing is begun that could not be written down at its end.
    fn has_room(&self) -> Result<(), AdminError> {
        if self.late().len() < MAX_LATE { Ok(()) } else { Err(AdminError::Records) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    async fn token(&self) -> Result<AdminToken, AdminError> {
        self.shared.token.token().await.map_err(|NoToken| AdminError::NoToken)
    }

    /// A new random id with this letter in front.
    pub(super) fn new_id(&self, letter: char) -> String {
        let mut id = String::from(letter);
        for byte in random_bytes::<10>(&*self.shared.entropy) {
            id.push_str(&format!("{byte:02x}"));
        }
        id
    }

    fn line(&self, by: &Caller, action: &'static str, target: &str, outcome: &'static str) -> NewAudit {
        NewAudit {
            at: self.now(),
            caller: by.who.to_string(),
            action,
            target: target.to_owned(),
            outcome,
            request_id: by.request_id.clone(),
        }
    }

    /// Notes an outcome that changed nothing. A trail that cannot be written does not turn a refusal into something else.
    async fn note(&self, user_id: Option<String>, line: NewAudit) {
        tell(&line);
        if let Err(failed) = self.shared.records.note(user_id, line).await {
            warn!(cause = %failed.cause(), "a refusal could not be put on record");
        }
    }

    /// Does work that no client can cancel.
    async fn seen_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, AdminError>> + Send + 'static,
    ) -> Result<T, AdminError> {
        match self.shared.tasks.spawn(work).await {
            Ok(done) => done,
            Err(over) => match over.try_into_panic() {
                // Whoever asked is told by the face that they came by.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(AdminError::Stopping),
            },
        }
    }
}

/// Tells the log how something came out; its target is whatever somebody wrote.
pub(super) fn tell(line: &NewAudit) {
    info!(
        caller = %line.caller.escape_default(), action = line.action, target = %line.target.escape_default(),
        outcome = line.outcome, request_id = %line.request_id, "admin action"
    );
}

/// The outcome of what is begun.
const BEGUN: &str = "begun";

/// What is written down of an account. None: an id that is no number, which no forge has.
pub(super) fn facts(info: &AccountInfo) -> Option<Facts> {
    Some(Facts {
        forge_id: info.id.0.parse().ok()?,
        username: info.login.clone(),
        display_name: info.display_name.clone().unwrap_or_default(),
        email: info.email.clone().unwrap_or_default(),
        suspended: info.state != AccountState::Active,
        last_login: info.last_sign_in,
    })
}

impl Activity for Admin {
    fn seen(&self, user: &UserId, at: Timestamp) {
        let Ok(forge_id) = user.0.parse::<u64>() else { return };
        let is_due = |last: Timestamp| at.since(last) >= TOUCH;
        // Several sessions of one person: one line a minute.
        if !self.shared.seen.get(user).is_none_or(is_due) {
            return;
        }
        self.shared.seen.insert(user.clone(), at);
        let admin = self.clone();
        drop(self.shared.tasks.spawn(async move {
            if let Err(failed) = admin.shared.records.seen(forge_id, at).await {
                tracing::debug!(cause = %failed.cause(), "the use of an account could not be noted");
            }
        }));
    }
}

#[cfg(test)]
mod tests;
