//! The code flow from authorize to tokens, as a browser and a proxy walk it together.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::browser::{Browser, Sent, hidden_fields};
use super::lab::{Account, App, Lab};
use super::law::{Answer, Law, broken};
use crate::base::entropy::{OsEntropy, random_text};

/// Where codes are sent; nothing needs to listen there, since redirects are read and not followed.
pub(super) const CALLBACK: &str = "http://127.0.0.1:8080/cb";
/// The scope of most sign-ins.
pub(super) const SCOPE: &str = "openid profile email read:user write:issue";
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
