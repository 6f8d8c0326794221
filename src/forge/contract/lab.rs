//! The server under test with what the laws need of it: accounts, applications, whole sign-ins.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::browser::{Browser, Sent, Wire, hidden_fields};
use super::law::{Answer, Fault, Law, broken, holds};
use super::{Passing, Target};
use crate::base::entropy::{OsEntropy, random_bytes, random_text};
use crate::wire::ForgeToken;

/// Where codes are sent; nothing needs to listen there, since redirects are read and not followed.
pub(super) const CALLBACK: &str = "http://127.0.0.1:8080/cb";
/// The scope of most sign-ins.
pub(super) const SCOPE: &str = "openid profile email read:user write:issue";
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

/// What a sign-in asks for.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) scope: &'a str,
    pub(super) nonce: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self { scope: SCOPE, nonce: "n1", redirect_uri: CALLBACK, state: "st" }
    }
}

/// A code and what redeems it.
pub(super) struct Code {
    pub(super) text: String,
    pub(super) verifier: String,
    pub(super) redirect_uri: String,
}

/// The tokens of one answer.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
    /// The `id_token`'s claims.
    pub(super) claims: Value,
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

    pub(super) async fn admin(&self, method: Method, path: &str, body: &Value) -> Law<Answer> {
        let token = format!("token {}", self.admin.expose());
        let sent = if body.is_null() { Sent::Nothing } else { Sent::Json(body) };
        self.wire.send(method, path, &[("authorization", &token)], sent).await
    }

    pub(super) async fn account(&self) -> Law<Account> {
        self.account_that(json!({"must_change_password": false})).await
    }

    pub(super) async fn account_that(&self, mut body: Value) -> Law<Account> {
        let login = format!("deployer_test_{}_{}", self.run, self.next());
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

    // --- the code flow

    /// Everything from authorize to consent, with S256; says whether consent was asked.
    pub(super) async fn code(&self, browser: &Browser, app: &App, wish: Wish<'_>) -> Law<(Code, bool)> {
        let verifier = random_text::<32>(&OsEntropy);
        let answer = browser.get(&authorize_path(app, wish, Some(&challenge(&verifier)))).await?;
        let (answer, asked) = match answer.status {
            200 => (self.consent(browser, &answer, "true").await?, true),
            _ => (answer, false),
        };
        answer.is("the way back from consent", 303)?;
        let Some(code) = answer.returned("code") else {
            return broken(format!("no code came back, but error {:?}", answer.returned("error")));
        };
        Ok((Code { text: code, verifier, redirect_uri: wish.redirect_uri.to_owned() }, asked))
    }

    /// Answers a consent page.
    pub(super) async fn consent(&self, browser: &Browser, page: &Answer, granted: &str) -> Law<Answer> {
        let hidden = hidden_fields(&page.body, "/login/oauth/grant")?;
        let mut fields: Vec<(&str, &str)> =
            hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fields.push(("granted", granted));
        browser.post("/login/oauth/grant", &fields).await
    }

    pub(super) async fn redeem(&self, app: &App, code: &Code) -> Law<Answer> {
        let Code { text, verifier, redirect_uri } = code;
        self.token(
            app,
            &[
                ("grant_type", "authorization_code"),
                ("code", text),
                ("code_verifier", verifier),
                ("redirect_uri", redirect_uri),
            ],
        )
        .await
    }

    pub(super) async fn refresh(&self, app: &App, token: &str) -> Law<Answer> {
        self.token(app, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// The token endpoint, the client known by Basic.
    pub(super) async fn token(&self, app: &App, fields: &[(&str, &str)]) -> Law<Answer> {
        let basic = basic(&app.client_id, &app.secret);
        let path = "/login/oauth/access_token";
        self.wire.send(Method::POST, path, &[("authorization", &basic)], Sent::Form(fields)).await
    }

    /// A whole sign-in in a browser of its own.
    pub(super) async fn sign_in(&self, account: &Account, app: &App, wish: Wish<'_>) -> Law<Tokens> {
        let browser = self.browser(account).await?;
        self.sign_in_with(&browser, app, wish).await
    }

    pub(super) async fn sign_in_with(&self, browser: &Browser, app: &App, wish: Wish<'_>) -> Law<Tokens> {
        let (code, _) = self.code(browser, app, wish).await?;
        Tokens::of(&self.redeem(app, &code).await?)
    }

    /// Introspection with a JSON body.
    pub(super) async fn introspect(&self, app: &App, token: &str) -> Law<Answer> {
        let basic = basic(&app.client_id, &app.secret);
        let body = json!({"token": token});
        self.wire
            .send(Method::POST, "/login/oauth/introspect", &[("authorization", &basic)], Sent::Json(&body))
            .await
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

impl Tokens {
    pub(super) fn of(answer: &Answer) -> Law<Self> {
        answer.is("a token response", 200)?;
        let claims = claims(answer.text("id_token")).unwrap_or(Value::Null);
        Ok(Self {
            access: answer.text("access_token").to_owned(),
            refresh: answer.text("refresh_token").to_owned(),
            claims,
        })
    }

    pub(super) fn claim(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A JWT's claims, unchecked.
pub(super) fn claims(token: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// Path and query of an authorize request.
pub(super) fn authorize_path(app: &App, wish: Wish<'_>, challenge: Option<&str>) -> String {
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &app.client_id)
        .append_pair("redirect_uri", wish.redirect_uri)
        .append_pair("state", wish.state)
        .append_pair("scope", wish.scope);
    if !wish.nonce.is_empty() {
        query.append_pair("nonce", wish.nonce);
    }
    if let Some(challenge) = challenge {
        query.append_pair("code_challenge", challenge).append_pair("code_challenge_method", "S256");
    }
    format!("/login/oauth/authorize?{}", query.finish())
}
