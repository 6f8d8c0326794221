//! A forge's accounts for tests of this room: a few people, and bad days to order. What it was asked is on record.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::admin::records::Records;
use crate::admin::service::{Admin, NoToken, Ports, TokenSource};
use crate::admin::settings::{MayCall, Settings};
use crate::base::account::UserId;
use crate::base::clock::{ManualClock, Timestamp};
use crate::base::entropy::SeededEntropy;
use crate::base::port::Answer;
use crate::base::secret::{AdminToken, InitialPassword};
use crate::base::sqlite::SqliteSettings;
use crate::forge::admin::{
    AccountInfo, AccountState, AdminError, CreateUserOutput, ForgeAdmin, NewUser, PlaceholderDomain,
    TokenReport, Username,
};

/// When every test begins.
pub(super) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// The admin token, never to be seen anywhere.
pub(super) const TOKEN: &str = "canary-admin-token";

/// The accounts.
#[derive(Debug)]
pub(super) struct Accounts {
    people: Mutex<Vec<AccountInfo>>,
    next: AtomicU64,
    /// What is answered first, in order, instead of the truth.
    pub bad: Mutex<VecDeque<AdminError>>,
    /// Every call, as it came.
    pub asked: Mutex<Vec<String>>,
    /// How many creations and resets may begin; many by default.
    pub gate: Semaphore,
    /// Whether a refusal comes after the deed.
    pub after: AtomicBool,
    /// Whether a question breaks whoever asks it.
    pub breaks: AtomicBool,
}

pub(super) fn person(id: u64, login: &str) -> AccountInfo {
    AccountInfo {
        id: UserId(id.to_string().into()),
        login: login.to_owned(),
        display_name: None,
        email: Some(format!("{login}@example.org")),
        created: None,
        last_sign_in: None,
        site_admin: false,
        state: AccountState::Active,
        local: true,
    }
}

impl Accounts {
    fn new() -> Self {
        let root = AccountInfo { site_admin: true, ..person(1, "root1") };
        Self {
            people: Mutex::new(vec![root, person(2, "bob")]),
            next: AtomicU64::new(7),
            bad: Mutex::default(),
            asked: Mutex::default(),
            gate: Semaphore::new(1000),
            after: AtomicBool::new(false),
            breaks: AtomicBool::new(false),
        }
    }

    /// Changes an account at the forge, behind everybody's back.
    pub(super) fn change(&self, id: u64, change: impl FnOnce(&mut AccountInfo)) {
        let mut people = self.people.lock().unwrap();
        change(people.iter_mut().find(|person| *person.id.0 == id.to_string()).unwrap());
    }

    /// Removes one.
    pub(super) fn remove(&self, id: u64) {
        self.people.lock().unwrap().retain(|person| *person.id.0 != id.to_string());
    }

    /// What was asked so far.
    pub(super) fn calls(&self, of: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|call| call.starts_with(of)).count()
    }

    fn begin(&self, token: &AdminToken, call: String) -> Result<(), AdminError> {
        assert_eq!(token.expose(), TOKEN);
        assert!(!self.breaks.load(Ordering::SeqCst), "canary: broken on purpose at {call}");
        self.asked.lock().unwrap().push(call);
        if self.after.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.bad.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    fn end(&self) -> Result<(), AdminError> {
        if self.after.load(Ordering::SeqCst) {
            return self.bad.lock().unwrap().pop_front().map_or(Ok(()), Err);
        }
        Ok(())
    }

    fn find(&self, wanted: impl Fn(&AccountInfo) -> bool) -> Option<AccountInfo> {
        self.people.lock().unwrap().iter().find(|person| wanted(person)).cloned()
    }

    fn password(&self) -> InitialPassword {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        InitialPassword::new(format!("canary-password-{number:016}"))
    }
}

impl ForgeAdmin for Accounts {
    fn user_exists<'a>(
        &'a self,
        token: &'a AdminToken,
        username: &'a Username,
    ) -> Answer<'a, Result<Option<AccountInfo>, AdminError>> {
        Box::pin(async move {
            self.begin(token, format!("user_exists {username}"))?;
            Ok(self.find(|person| person.login.eq_ignore_ascii_case(username.as_str())))
        })
    }

    fn user_by_id<'a>(
        &'a self,
        token: &'a AdminToken,
        id: &'a UserId,
    ) -> Answer<'a, Result<Option<AccountInfo>, AdminError>> {
        Box::pin(async move {
            self.begin(token, format!("user_by_id {id}"))?;
            Ok(self.find(|person| person.id == *id))
        })
    }

    fn create_user<'a>(
        &'a self,
        token: &'a AdminToken,
        new: &'a NewUser,
    ) -> Answer<'a, Result<CreateUserOutput, AdminError>> {
        Box::pin(async move {
            self.begin(token, format!("create_user {}", new.username()))?;
            self.gate.acquire().await.unwrap().forget();
            let name = new.username().as_str();
            if let Some(there) = self.find(|person| person.login.eq_ignore_ascii_case(name)) {
                let (user_id, forge_username) = (there.id, there.login);
                return Ok(CreateUserOutput { user_id, forge_username, initial_password: None });
            }
            let made = AccountInfo {
                display_name: new.display_name().map(str::to_owned),
                email: Some(new.email().to_owned()),
                ..person(self.next.fetch_add(1, Ordering::SeqCst), name)
            };
            self.people.lock().unwrap().push(made.clone());
            match self.end() {
                Err(AdminError::PasswordLost(_)) => return Err(AdminError::PasswordLost(Box::new(made))),
                other => other?,
            }
            let (user_id, forge_username) = (made.id, made.login);
            Ok(CreateUserOutput { user_id, forge_username, initial_password: Some(self.password()) })
        })
    }

    fn reset_password<'a>(
        &'a self,
        token: &'a AdminToken,
        id: &'a UserId,
    ) -> Answer<'a, Result<CreateUserOutput, AdminError>> {
        Box::pin(async move {
            self.begin(token, format!("reset_password {id}"))?;
            self.gate.acquire().await.unwrap().forget();
            let there = self.find(|person| person.id == *id).ok_or(AdminError::NoSuchUser)?;
            if there.site_admin {
                return Err(AdminError::SiteAdmin);
            }
            let (user_id, forge_username) = (there.id, there.login);
            Ok(CreateUserOutput { user_id, forge_username, initial_password: Some(self.password()) })
        })
    }

    fn check_token<'a>(&'a self, _: &'a AdminToken) -> Answer<'a, Result<TokenReport, AdminError>> {
        Box::pin(async move {
            Ok(TokenReport { login: None, site_admin: true, missing: Vec::new(), beyond: Vec::new() })
        })
    }
}

#[derive(Debug)]
struct Here;

impl TokenSource for Here {
    fn token(&self) -> Answer<'_, Result<AdminToken, NoToken>> {
        Box::pin(async { Ok(AdminToken::new(TOKEN)) })
    }
}

/// The room on a bench.
#[derive(Debug)]
pub(super) struct Lab {
    pub admin: Admin,
    pub accounts: Arc<Accounts>,
    pub clock: ManualClock,
    pub folder: TempDir,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::sized(1 << 30)
    }

    /// With records that may take so many bytes.
    pub(super) fn sized(max_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.db");
        let records = Records::open(&SqliteSettings { max_bytes, ..SqliteSettings::at(path) }).unwrap();
        let (accounts, clock) = (Arc::new(Accounts::new()), ManualClock::at(START));
        let settings = Settings {
            allow: vec![MayCall::SiteAdmin],
            placeholder: PlaceholderDomain::default(),
            calls_per_minute: 1200,
            unused_after: std::time::Duration::from_hours(7 * 24),
        };
        let ports = Ports {
            forge: Arc::clone(&accounts) as Arc<dyn ForgeAdmin>,
            token: Arc::new(Here),
            records,
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::new(1)),
            handle: Handle::current(),
        };
        Self { admin: Admin::new(settings, ports), accounts, clock, folder }
    }
}
