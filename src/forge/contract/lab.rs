//! The server under test with what the laws need of it: accounts, applications, whole sign-ins.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::browser::{Browser, Sent, Wire};
use super::flow::{CALLBACK, basic};
use super::law::{Answer, Fault, Law, broken, holds};
use super::{Passing, Target};
use crate::base::entropy::{OsEntropy, random_bytes};
use crate::base::secret::AdminToken;
use crate::wire::ForgeToken;

/// What every account here has for a password, up to its random part.
const PASSWORD: &str = "Contract-1";

pub(super) struct Lab {
    pub(super) wire: Wire,
    pub(super) lifetime: Duration,
    /// The major number of the version, which most differences hang on.
    pub(super) major: u32,
    pub(super) issuer: String,
    pub(super) passing: Passing,
    admin: ForgeToken,
    run: String,
    count: AtomicUsize,
    made: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
}

/// An account of ours.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) login: String,
    pub(super) password: String,
}

/// An application of ours.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) secret: String,
}

impl Lab {
    pub(super) async fn open(target: Target) -> Law<Self> {
        let wire = Wire::to(target.url.as_str())?;
        let answer = wire.send(Method::GET, "/api/v1/version", &[], Sent::Nothing).await?;
        let version = answer.text("version").to_owned();
        let Some(major) = version.split('.').next().and_then(|major| major.parse().ok()) else {
            return broken(format!("no version: {}", answer.in_short()));
        };
        let discovery =
            wire.send(Method::GET, "/.well-known/openid-configuration", &[], Sent::Nothing).await?;
        let issuer = discovery.text("issuer").to_owned();
        holds("the server calls itself what we call it", issuer.trim_end_matches('/') == wire.base)?;
        let run =
            random_bytes::<4>(&OsEntropy).iter().fold(String::new(), |run, byte| format!("{run}{byte:02x}"));
        let notes = Mutex::new(vec![
            format!("version {version}"),
            format!("accounts of this run: deployer_test_{run}_*"),
        ]);
        Ok(Self {
            wire,
            lifetime: target.token_lifetime,
            major,
            issuer,
            passing: target.passing,
            admin: target.admin,
            run,
            count: AtomicUsize::new(0),
            made: Mutex::default(),
            notes,
        })
    }

    /// Says something about the server that is worth knowing.
    pub(super) fn note(&self, words: impl Into<String>) {
        self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(words.into());
    }

    /// Whether this server has what came with the patches of May 2026 that only the 15 line got in full.
    pub(super) fn is_15_or_later(&self) -> bool {
        self.major >= 15
    }

    fn next(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    // --- the admin's part

    /// The admin's token, for the client that makes accounts.
    pub(super) fn admin_token(&self) -> AdminToken {
        AdminToken::new(self.admin.expose())
    }

    /// A name that nobody has, of ours; say so with [`Lab::forget`] once somebody has it.
    pub(super) fn fresh_login(&self) -> String {
        format!("deployer_test_{}_{}", self.run, self.next())
    }

    pub(super) async fn admin(&self, method: Method, path: &str, body: &Value) -> Law<Answer> {
        let token = format!("token {}", self.admin.expose());
        let sent = if body.is_null() { Sent::Nothing } else { Sent::Json(body) };
        self.wire.send(method, path, &[("authorization", &token)], sent).await
    }

    pub(super) async fn account(&self) -> Law<Account> {
        self.account_that(json!({"must_change_password": false})).await
    }

    pub(super) async fn account_that(&self, mut body: Value) -> Law<Account> {
        let login = self.fresh_login();
        let password = format!("{PASSWORD}-{}", self.run);
        for (name, value) in [
            ("username", login.clone()),
            ("email", format!("{login}@example.org")),
            ("password", password.clone()),
        ] {
            if let Some(members) = body.as_object_mut() {
                members.insert(name.to_owned(), value.into());
            }
        }
        self.admin(Method::POST, "/api/v1/admin/users", &body).await?.is("making an account", 201)?;
        self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(login.clone());
        Ok(Account { login, password })
    }

    pub(super) async fn change_account(&self, login: &str, body: &Value) -> Law {
        let path = format!("/api/v1/admin/users/{login}");
        self.admin(Method::PATCH, &path, body).await?.is("changing an account", 200)
    }

    /// An account has another name, or none any more.
    pub(super) fn forget(&self, login: &str, now: Option<&str>) {
        let mut made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        made.retain(|one| one != login);
        made.extend(now.map(str::to_owned));
    }

    /// Deletes what was made and says what was found out, and what is left.
    pub(super) async fn close(self) -> Vec<String> {
        let made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut left = Vec::new();
        for login in made {
            let path = format!("/api/v1/admin/users/{login}?purge=true");
            let gone = self
                .admin(Method::DELETE, &path, &Value::Null)
                .await
                .is_ok_and(|answer| answer.status == 204);
            if !gone {
                left.push(login);
            }
        }
        let mut notes = self.notes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !left.is_empty() {
            notes.push(format!("left at the server: {}", left.join(" ")));
        }
        notes
    }

    // --- what users do

    /// An API call with a user's password.
    pub(super) async fn with_password(
        &self,
        account: &Account,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Law<Answer> {
        let basic = basic(&account.login, &account.password);
        let sent = if body.is_null() { Sent::Nothing } else { Sent::Json(body) };
        self.wire.send(method, path, &[("authorization", &basic)], sent).await
    }

    /// An API call with an access token.
    pub(super) async fn with_token(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Law<Answer> {
        let bearer = format!("Bearer {token}");
        let sent = if body.is_null() { Sent::Nothing } else { Sent::Json(body) };
        self.wire.send(method, path, &[("authorization", &bearer)], sent).await
    }

    /// An application that belongs to a user; all users can sign in to it.
    pub(super) async fn app(&self, owner: &Account, confidential: bool) -> Law<App> {
        let name = format!("contract {} {}", self.run, self.next());
        let body = json!({"name": name, "redirect_uris": [CALLBACK], "confidential_client": confidential});
        let answer =
            self.with_password(owner, Method::POST, "/api/v1/user/applications/oauth2", &body).await?;
        answer.is("making an application", 201)?;
        let id = answer.json.get("id").map(Value::to_string).unwrap_or_default();
        Ok(App {
            id,
            client_id: answer.text("client_id").to_owned(),
            secret: answer.text("client_secret").to_owned(),
        })
    }

    /// A public repository with nothing in it.
    pub(super) async fn repository(&self, owner: &Account, name: &str, private: bool) -> Law {
        let body = json!({"name": name, "private": private, "auto_init": false});
        self.with_password(owner, Method::POST, "/api/v1/user/repos", &body)
            .await?
            .is("making a repository", 201)
    }

    /// A browser in which a user is signed in.
    pub(super) async fn browser(&self, account: &Account) -> Law<Browser> {
        let browser = Browser::on(&self.wire);
        browser.sign_in(&account.login, &account.password).await?;
        Ok(browser)
    }

    /// Lets the access tokens of now expire; not tried when that would take long.
    pub(super) async fn outlive(&self) -> Law {
        let span = self.lifetime + Duration::from_secs(1);
        match &self.passing {
            Passing::Turned(clock) => clock.advance(span),
            Passing::Waited if self.lifetime <= Duration::from_secs(30) => tokio::time::sleep(span).await,
            Passing::Waited => {
                let words = format!(
                    "tokens live {} s there; make it 30 at most to have this tried",
                    self.lifetime.as_secs()
                );
                return Err(Fault::NotTried(words));
            }
        }
        Ok(())
    }
}
