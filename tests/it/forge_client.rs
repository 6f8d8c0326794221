//! The forge client against a server that says what it likes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use hero_proxy::base::clock::{Clock, ManualClock, Timestamp};
use hero_proxy::base::secret::{AuthCode, ClientSecret, IdToken, Nonce, PkceVerifier, RefreshToken, State};
use hero_proxy::forge::api::{Authorization, ForgeOauth, Introspection, TokenSet};
use hero_proxy::forge::error::{ForgeError, IdTokenFault, OauthCode, Unfit};
use hero_proxy::forge::http::{BadSettings, Settings};
use hero_proxy::forge::oauth::HttpForge;
use hero_proxy::wire::ForgeToken;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::canned::{Canned, Reply, Seen};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const TOKEN: &str = "/login/oauth/access_token";
const KEYS: &str = "/login/oauth/keys";
const INTROSPECT: &str = "/login/oauth/introspect";

/// All that the forge is told in secret, and all that it may say back, has this in it.
const CANARY: &str = "CANARY";
const SECRET: &str = "gto_CANARY:%+&= é";
const REDIRECT: &str = "https://vm1.example.org:443/_hero/auth/callback?a=b%20c";

struct Stage {
    server: Canned,
    forge: Arc<HttpForge>,
    clock: ManualClock,
}

impl Stage {
    async fn new() -> Self {
        let server = Canned::start().await;
        let (url, clock) = (server.url(), clock());
        server.set(DISCOVERY, discovery(&url, &url));
        server.set(KEYS, Signer::new("first").keys());
        let forge = Arc::new(HttpForge::new(settings(&url), Arc::new(clock.clone())).unwrap());
        Self { server, forge, clock }
    }

    async fn redeem(&self) -> Result<TokenSet, ForgeError> {
        let verifier = PkceVerifier::new("v-CANARY-0123456789-0123456789-0123456789-0123");
        self.forge.redeem(AuthCode::new("gta_CANARY"), verifier, REDIRECT).await
    }

    async fn refresh(&self) -> Result<TokenSet, ForgeError> {
        self.forge.refresh(&RefreshToken::new("r-CANARY")).await
    }

    async fn introspect(&self) -> Result<Introspection, ForgeError> {
        self.forge.introspect(&ForgeToken::new("t-CANARY").unwrap()).await
    }
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_secs(1_800_000_000))
}

fn settings(url: &str) -> Settings {
    Settings {
        url: url.parse().unwrap(),
        internal_url: None,
        ca_pem: None,
        client_id: "us".into(),
        client_secret: ClientSecret::new(SECRET),
        timeout: Duration::from_secs(10),
    }
}

fn discovery(issuer: &str, base: &str) -> Reply {
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/login/oauth/authorize"),
        "token_endpoint": format!("{base}{TOKEN}"),
        "jwks_uri": format!("{base}{KEYS}"),
        "introspection_endpoint": format!("{base}{INTROSPECT}"),
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    Reply::json(document.to_string())
}

fn refusal(code: &str) -> String {
    json!({"error": code, "error_description": format!("about {CANARY}")}).to_string()
}

fn pairs(seen: &Seen) -> Vec<(String, String)> {
    url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect()
}

fn assert_silent(what: &(impl std::fmt::Debug + ?Sized)) {
    let (plain, pretty) = (format!("{what:?}"), format!("{what:#?}"));
    assert!(!plain.contains(CANARY) && !pretty.contains(CANARY), "{plain}");
}

/// Holds: O9, O10.
#[tokio::test]
async fn a_code_goes_out_once_with_the_client_in_the_body_and_the_same_redirect_uri() {
    let stage = Stage::new().await;
    let answer = r#"{"access_token":"a-1","token_type":"Bearer","expires_in":3600,"refresh_token":"r-1","id_token":"x.y.z"}"#;
    stage.server.set(TOKEN, Reply::json(answer));
    let set = stage.redeem().await.unwrap();
    assert_eq!((set.access.expose(), set.life.as_secs()), ("a-1", 3600));
    assert_eq!((set.refresh.unwrap().expose(), set.id_token.unwrap().expose()), ("r-1", "x.y.z"));

    let seen = stage.server.seen(TOKEN);
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].head.contains("authorization:"), "one style of client authentication");
    assert!(seen[0].head.contains("content-type: application/x-www-form-urlencoded"));
    let mut pairs = pairs(&seen[0]);
    pairs.sort();
    let expected = [
        ("client_id", "us"),
        ("client_secret", SECRET),
        ("code", "gta_CANARY"),
        ("code_verifier", "v-CANARY-0123456789-0123456789-0123456789-0123"),
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// Holds: I21, R10.
#[tokio::test]
async fn a_refresh_brings_a_new_set_and_may_leave_out_the_refresh_token() {
    let stage = Stage::new().await;
    stage.server.set(TOKEN, Reply::json(r#"{"access_token":"a-2","token_type":"bearer"}"#));
    let set = stage.refresh().await.unwrap();
    assert_eq!((set.access.expose(), set.life.as_secs()), ("a-2", 300));
    assert!(set.refresh.is_none() && set.id_token.is_none());
    let seen = stage.server.seen(TOKEN);
    assert_eq!(seen.len(), 1);
    let pairs = pairs(&seen[0]);
    for (name, value) in
        [("grant_type", "refresh_token"), ("refresh_token", "r-CANARY"), ("client_secret", SECRET)]
    {
        assert!(pairs.contains(&(name.to_owned(), value.to_owned())), "{name}");
    }
}

/// Holds: O10, R4, R5, R6, D6, K7.
#[tokio::test]
async fn an_odd_answer_of_the_token_endpoint_proves_nothing_and_is_asked_for_once() {
    let stage = Stage::new().await;
    let elsewhere = Canned::start().await;
    let elsewhere_url = format!("{}/steal", elsewhere.url());
    let cut = r#"{"access_token":"CANARY","token_type":"bearer","expires_in":36"#;
    let huge = format!(r#"{{"access_token":"CANARY","pad":"{}"}}"#, "x".repeat(10 << 20));
    let cut_off = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{\"access_token\":\"CANARY";
    let replies = [
        Reply::redirect(&elsewhere_url),
        Reply::html("200 OK"),
        Reply::html("400 Bad Request"),
        Reply::html("403 Forbidden"),
        Reply::html("502 Bad Gateway"),
        Reply::json(cut),
        Reply::json(""),
        Reply::json("[]"),
        Reply::json(huge),
        Reply::json(r#"{"access_token":"CANARY","token_type":"mac"}"#),
        Reply::json(r#"{"access_token":"CANARY CANARY","token_type":"bearer"}"#),
        Reply::json(refusal("invalid_grant")),
        Reply::Endless,
        Reply::Raw(cut_off.to_vec()),
        Reply::Raw(b"CANARY no http\r\n\r\n".to_vec()),
        Reply::Raw(Vec::new()),
        // A refusal under a status that is not a token endpoint's: whoever says that is not the forge.
        Reply::new("503 Service Unavailable", "application/json", refusal("unauthorized_client")),
        Reply::new("429 Too Many Requests", "application/json", refusal("invalid_grant")),
        Reply::new("404 Not Found", "application/json", refusal("invalid_client")),
        Reply::new("400 Bad Request", "application/json", refusal("invalid_request")),
        Reply::new("400 Bad Request", "application/json", refusal("server_error")),
        Reply::new("400 Bad Request", "application/json", "{\"error\":7,\"x\":\"CANARY\"}"),
    ];
    // The document and the keys are there.
    assert!(stage.redeem().await.is_err());
    for (at, reply) in replies.into_iter().enumerate() {
        stage.server.set(TOKEN, reply);
        // By a code as by a refresh token.
        let before = stage.server.count();
        for error in [stage.refresh().await.unwrap_err(), stage.redeem().await.unwrap_err()] {
            assert!(error.is_transient(), "{at}: {error}");
            assert_silent(&error);
            assert_silent(&error.to_string());
        }
        assert_eq!(stage.server.count() - before, 2, "{at}: one call each");
    }
    assert_eq!(elsewhere.count(), 0, "a redirect is not followed");
}

/// Holds: O10, D6.
#[tokio::test]
async fn an_answer_beyond_1_mib_is_given_up_while_it_still_comes() {
    let stage = Stage::new().await;
    let sized = |bytes: usize| {
        let pad = "x".repeat(bytes - r#"{"access_token":"a","token_type":"bearer","pad":""}"#.len());
        Reply::json(format!(r#"{{"access_token":"a","token_type":"bearer","pad":"{pad}"}}"#))
    };
    stage.server.set(TOKEN, sized(1 << 20));
    assert!(stage.refresh().await.is_ok() && stage.redeem().await.is_ok());
    for reply in [sized((1 << 20) + 1), sized(10 << 20), Reply::Endless] {
        stage.server.set(TOKEN, reply);
        for error in [stage.refresh().await.unwrap_err(), stage.redeem().await.unwrap_err()] {
            assert!(matches!(error, ForgeError::Garbled("an answer that is too large")), "{error}");
        }
    }
}

/// Holds: R4, R5.
#[tokio::test]
async fn a_refusal_is_spent_or_misconfigured_whatever_it_describes() {
    let stage = Stage::new().await;
    for (status, code) in [
        ("400 Bad Request", "unauthorized_client"),
        ("400 Bad Request", "invalid_grant"),
        ("400 Bad Request", "invalid_client"),
        ("401 Unauthorized", "invalid_client"),
    ] {
        stage.server.set(TOKEN, Reply::new(status, "application/json;charset=utf-8", refusal(code)));
        for error in [stage.redeem().await.unwrap_err(), stage.refresh().await.unwrap_err()] {
            match error {
                ForgeError::Spent(OauthCode::UnauthorizedClient) => assert_eq!(code, "unauthorized_client"),
                ForgeError::Spent(OauthCode::InvalidGrant) => assert_eq!(code, "invalid_grant"),
                ForgeError::Misconfigured(OauthCode::InvalidClient) => assert_eq!(code, "invalid_client"),
                ref other => panic!("{code}: {other}"),
            }
            assert_silent(&error);
        }
    }
}

/// Holds: O10, R6.
#[tokio::test]
async fn a_forge_that_says_nothing_is_unavailable_after_the_configured_time() {
    let server = Canned::start().await;
    server.set(DISCOVERY, Reply::Silence);
    let mut settings = settings(&server.url());
    settings.timeout = Duration::from_millis(100);
    let forge = HttpForge::new(settings, Arc::new(clock())).unwrap();
    assert!(matches!(forge.discover().await.unwrap_err(), ForgeError::Unavailable("no answer in time")));
    assert_eq!(server.count(), 1);

    // The same of tokens: an answer that begins and never comes to its end costs that time and no more.
    let stage = Stage::new().await;
    let mut settings = self::settings(&stage.server.url());
    settings.timeout = Duration::from_millis(100);
    let forge = HttpForge::new(settings, Arc::new(clock())).unwrap();
    forge.discover().await.unwrap();
    stage.server.set(TOKEN, Reply::Silence);
    let verifier = PkceVerifier::new("v-CANARY-0123456789-0123456789-0123456789-0123");
    let redeemed = forge.redeem(AuthCode::new("gta_CANARY"), verifier, REDIRECT).await;
    assert!(matches!(redeemed.unwrap_err(), ForgeError::Unavailable("no answer in time")));
    assert_eq!(stage.server.seen(TOKEN).len(), 1, "and no second try");
}

/// Holds: R6 (nobody listens there, and a name that no one has).
#[tokio::test]
async fn a_forge_that_cannot_be_reached_is_unavailable_and_proves_nothing() {
    for url in ["http://127.0.0.1:1", "http://forge.invalid"] {
        let mut settings = settings(url);
        settings.timeout = Duration::from_secs(1);
        let forge = HttpForge::new(settings, Arc::new(clock())).unwrap();
        let error = forge.refresh(&RefreshToken::new("r-CANARY")).await.unwrap_err();
        assert!(matches!(error, ForgeError::Unavailable(_)) && error.is_transient(), "{url}: {error}");
    }
}

/// Holds: O11, O12, I15, I17.
#[tokio::test]
async fn discovery_says_what_is_wrong_and_heals_by_itself() {
    let stage = Stage::new().await;
    let url = stage.server.url();
    assert_eq!(stage.forge.issuer(), None);
    stage.server.set(DISCOVERY, Reply::html("404 Not Found"));
    assert!(matches!(stage.forge.discover().await.unwrap_err(), ForgeError::Garbled(_)));
    let wait = || stage.clock.advance(Duration::from_secs(15));

    wait();
    stage.server.set(DISCOVERY, Reply::html("200 OK"));
    assert!(matches!(stage.forge.discover().await.unwrap_err(), ForgeError::Garbled(_)));

    wait();
    stage.server.set(DISCOVERY, discovery("https://other.example/", &url));
    let error = stage.forge.discover().await.unwrap_err();
    assert!(matches!(error, ForgeError::Unfit(Unfit::Issuer { .. })));
    for part in [url.as_str(), "https://other.example/", "ROOT_URL"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(matches!(stage.redeem().await.unwrap_err(), ForgeError::Unfit(_)), "sign-in is off");

    wait();
    stage.server.set(DISCOVERY, discovery(&url, "http://evil.example"));
    assert!(matches!(stage.forge.discover().await.unwrap_err(), ForgeError::Unfit(Unfit::Endpoint(_))));

    wait();
    stage.server.set(DISCOVERY, discovery(&format!("{url}/"), &url));
    assert_eq!(&*stage.forge.discover().await.unwrap(), format!("{url}/"));
    assert_eq!(stage.forge.issuer().as_deref(), Some(format!("{url}/").as_str()));
    assert_eq!(stage.server.count(), 5);
}

/// Holds: O12, D4.
#[tokio::test]
async fn a_thousand_visitors_at_a_forge_that_is_down_make_one_call() {
    let stage = Stage::new().await;
    stage.server.set(DISCOVERY, Reply::html("502 Bad Gateway"));
    let mut visitors = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let forge = Arc::clone(&stage.forge);
        visitors.spawn(async move { forge.discover().await.is_err() });
    }
    assert!(visitors.join_all().await.into_iter().all(|failed| failed));
    assert_eq!(stage.server.count(), 1);
    stage.clock.advance(Duration::from_secs(1));
    stage.server.set(DISCOVERY, discovery(&stage.server.url(), &stage.server.url()));
    assert!(stage.forge.discover().await.is_ok(), "sign-in works again without a restart");
}

/// Holds: O13, O1.
#[tokio::test]
async fn the_browser_gets_the_public_address_and_every_call_goes_to_the_internal_one() {
    let server = Canned::start().await;
    let public = "https://forge.example.invalid";
    server.set(DISCOVERY, discovery(public, public));
    server.set(TOKEN, Reply::json(r#"{"access_token":"a","token_type":"bearer"}"#));
    server.set(INTROSPECT, Reply::json(r#"{"active":true,"scope":"openid read:user","aud":["us"]}"#));
    let signer = Signer::new("k-1");
    server.set(KEYS, signer.keys());
    let mut settings = settings(public);
    settings.internal_url = Some(server.url().parse().unwrap());
    let clock = clock();
    let forge = HttpForge::new(settings, Arc::new(clock.clone())).unwrap();
    let ask = Authorization {
        redirect_uri: REDIRECT,
        scope: "openid profile read:user",
        state: &State::new("s"),
        nonce: &Nonce::new("n"),
        verifier: &PkceVerifier::new("v"),
    };
    let url = forge.authorize_url(ask).await.unwrap();
    assert!(
        url.as_str().starts_with("https://forge.example.invalid/login/oauth/authorize?response_type=code&")
    );
    assert_eq!(forge.issuer().as_deref(), Some(public));
    forge.refresh(&RefreshToken::new("r")).await.unwrap();
    forge.introspect(&ForgeToken::new("t").unwrap()).await.unwrap();
    forge.verify(&signer.sign(public, &clock), None).await.unwrap();
    for path in [DISCOVERY, TOKEN, INTROSPECT, KEYS] {
        assert_eq!(server.seen(path).len(), 1, "{path}");
    }
}

/// Holds: O14.
#[tokio::test]
async fn introspection_is_asked_in_json_with_basic_and_odd_answers_are_unknown() {
    let stage = Stage::new().await;
    stage.server.set(INTROSPECT, Reply::json(r#"{"active":true,"scope":"openid read:user","aud":["us"]}"#));
    let active = Introspection::Active { scope: "openid read:user".into() };
    assert_eq!(stage.introspect().await.unwrap(), active);
    let seen = &stage.server.seen(INTROSPECT)[0];
    assert_eq!(seen.body, r#"{"token":"t-CANARY"}"#);
    assert!(seen.head.contains("content-type: application/json"));
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("us:{SECRET}")).to_lowercase();
    assert!(seen.head.contains(&format!("authorization: basic {basic}")));

    stage.server.set(INTROSPECT, Reply::json(r#"{"active":false}"#));
    assert_eq!(stage.introspect().await.unwrap(), Introspection::Inactive);
    for odd in [
        Reply::new("401 Unauthorized", "text/plain", "CANARY no valid authorization"),
        Reply::new("303 See Other", "text/html", "CANARY"),
        Reply::html("200 OK"),
        Reply::json("{\"active\":"),
        Reply::json(r#"{"active":true,"scope":"CANARY","aud":["them"]}"#),
        Reply::Endless,
    ] {
        stage.server.set(INTROSPECT, odd);
        let error = stage.introspect().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_silent(&error);
    }
}

/// A forge's signing key.
struct Signer {
    kid: &'static str,
    private: EncodingKey,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = aws_lc_rs::rand::SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self { kid, private: EncodingKey::from_ec_der(pkcs8.as_ref()) }
    }

    fn keys(&self) -> Reply {
        let mut jwk = Jwk::from_encoding_key(&self.private, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.kid.into());
        Reply::json(json!({ "keys": [{"kty": "unheard of"}, jwk] }).to_string())
    }

    fn sign(&self, issuer: &str, clock: &ManualClock) -> IdToken {
        self.sign_with(issuer, clock, &json!({}))
    }

    fn sign_with(&self, issuer: &str, clock: &ManualClock, more: &Value) -> IdToken {
        let now = clock.now().secs();
        let mut claims = json!({
            "iss": issuer, "sub": "42", "aud": ["us"], "iat": now, "exp": now + 3600, "nonce": "n-CANARY",
            "preferred_username": "alice",
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.into());
        IdToken::new(jsonwebtoken::encode(&header, &claims, &self.private).unwrap())
    }
}

/// Holds: I16, I19, I20.
#[tokio::test]
async fn a_rotated_key_is_fetched_once_and_further_unknown_keys_wait_a_minute() {
    let stage = Stage::new().await;
    let issuer = stage.server.url();
    let (old, new, foreign) = (Signer::new("k-1"), Signer::new("k-2"), Signer::new("k-3"));
    stage.server.set(KEYS, old.keys());
    let nonce = Nonce::new("n-CANARY");
    let verify =
        async |signer: &Signer| stage.forge.verify(&signer.sign(&issuer, &stage.clock), Some(&nonce)).await;
    let fetched = || stage.server.seen(KEYS).len();

    assert_eq!(verify(&old).await.unwrap().login, "alice");
    assert!(verify(&old).await.is_ok());
    assert_eq!(fetched(), 1);
    stage.server.set(KEYS, new.keys());
    assert_eq!(&*verify(&new).await.unwrap().id.0, "42");
    assert_eq!(fetched(), 2);
    for _ in 0..10 {
        let error = verify(&foreign).await.unwrap_err();
        assert!(matches!(error, ForgeError::BadIdToken(IdTokenFault::Signature)));
        assert_silent(&error);
    }
    assert_eq!(fetched(), 2, "throttled");
    stage.clock.advance(Duration::from_mins(1));
    assert!(verify(&foreign).await.is_err());
    assert_eq!(fetched(), 3);

    stage.clock.advance(Duration::from_mins(1));
    stage.server.set(KEYS, Reply::html("502 Bad Gateway"));
    assert!(verify(&foreign).await.unwrap_err().is_transient(), "nobody can tell now");
    assert!(verify(&new).await.is_ok(), "what is known stays known");
    assert_eq!(fetched(), 4);
}

/// Holds: R17.
#[tokio::test]
async fn no_code_is_used_up_before_the_keys_are_there_that_tell_whose_it_was() {
    let stage = Stage::new().await;
    stage.server.set(KEYS, Reply::html("503 Service Unavailable"));
    assert!(stage.redeem().await.unwrap_err().is_transient());
    assert!(stage.server.seen(TOKEN).is_empty());
    stage.server.set(KEYS, Signer::new("k").keys());
    stage.server.set(TOKEN, Reply::json(r#"{"access_token":"a-1","token_type":"Bearer","expires_in":3600}"#));
    stage.clock.advance(Duration::from_secs(15));
    assert!(stage.redeem().await.is_ok());
}

/// Holds: I22, O6.
#[tokio::test]
async fn an_id_token_of_another_issuer_or_sign_in_is_refused() {
    let stage = Stage::new().await;
    let (issuer, signer) = (stage.server.url(), Signer::new("k"));
    stage.server.set(KEYS, signer.keys());
    let refused =
        stage.forge.verify(&signer.sign("https://evil.example", &stage.clock), None).await.unwrap_err();
    assert!(matches!(refused, ForgeError::BadIdToken(IdTokenFault::Issuer)));
    let token = signer.sign(&issuer, &stage.clock);
    let refused = stage.forge.verify(&token, Some(&Nonce::new("n-CANARY-2"))).await.unwrap_err();
    assert!(matches!(refused, ForgeError::BadIdToken(IdTokenFault::Nonce)));
    assert_silent(&refused);
    assert!(stage.forge.verify(&token, None).await.is_ok());
}

/// Holds: O11.
#[tokio::test]
async fn a_forge_upgraded_from_11_to_12_loses_its_issuers_slash_without_a_restart_of_ours() {
    let stage = Stage::new().await;
    let (url, signer) = (stage.server.url(), Signer::new("k"));
    let with_slash = format!("{url}/");
    stage.server.set(DISCOVERY, discovery(&with_slash, &url));
    stage.server.set(KEYS, signer.keys());
    stage.forge.verify(&signer.sign(&with_slash, &stage.clock), None).await.unwrap();
    stage.server.set(DISCOVERY, discovery(&url, &url));
    stage.forge.verify(&signer.sign(&url, &stage.clock), None).await.unwrap();
    assert_eq!(stage.forge.issuer().as_deref(), Some(url.as_str()));
    let old = stage.forge.verify(&signer.sign(&with_slash, &stage.clock), None).await.unwrap_err();
    assert!(matches!(old, ForgeError::BadIdToken(IdTokenFault::Issuer)));
    assert_eq!(stage.server.seen(DISCOVERY).len(), 2);
}

/// Holds: O18.
#[tokio::test]
async fn a_forge_that_signs_with_the_client_secret_is_named_as_such() {
    let stage = Stage::new().await;
    stage.server.set(KEYS, Reply::json(r#"{"keys":[{"kty":"oct","alg":"HS256"}]}"#));
    let header = Header::new(Algorithm::HS256);
    let claims = json!({"iss": stage.server.url(), "sub": "1", "aud": ["us"]});
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    let error = stage.forge.verify(&IdToken::new(token), None).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unfit(Unfit::SharedSecret)));
    assert!(error.to_string().contains("JWT_SIGNING_ALGORITHM"));
}

/// Holds: O19.
#[tokio::test]
async fn an_id_token_that_names_another_access_token_is_not_handed_on() {
    let stage = Stage::new().await;
    let (issuer, signer) = (stage.server.url(), Signer::new("k"));
    let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    for (at_hash, fits) in [("77QmUPtjPfzWtF2AnpK9RQ", true), ("77QmUPtjPfzWtF2AnpK9RR", false)] {
        let id_token = signer.sign_with(&issuer, &stage.clock, &json!({ "at_hash": at_hash }));
        let answer = json!({"access_token": access, "token_type": "bearer", "id_token": id_token.expose()});
        stage.server.set(TOKEN, Reply::json(answer.to_string()));
        let set = stage.redeem().await.unwrap();
        assert_eq!((set.id_token.is_some(), set.access.expose()), (fits, access));
    }
}

/// Holds: K4, K7.
#[tokio::test]
async fn nothing_that_is_kept_or_handed_out_prints_a_secret() {
    let stage = Stage::new().await;
    let answer = r#"{"access_token":"a-CANARY","token_type":"bearer","refresh_token":"r-CANARY","id_token":"i-CANARY"}"#;
    stage.server.set(TOKEN, Reply::json(answer));
    let set = stage.redeem().await.unwrap();
    assert_silent(&set);
    assert_silent(&*stage.forge);
    assert_silent(&settings("https://h"));
    let ask = Authorization {
        redirect_uri: REDIRECT,
        scope: "openid",
        state: &State::new(CANARY),
        nonce: &Nonce::new(CANARY),
        verifier: &PkceVerifier::new(CANARY),
    };
    assert_silent(&ask);
    stage.server.set(KEYS, Reply::html("200 OK"));
    let error = stage.forge.verify(&IdToken::new(CANARY), None).await.unwrap_err();
    assert_silent(&error);
}

mod tls {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;

    struct Ca {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    impl Ca {
        fn new() -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).unwrap().pem();
            Self { issuer: Issuer::new(params, key), pem }
        }

        /// A server for 127.0.0.1 with a certificate for `name`.
        fn server(&self, name: &str, expired: bool) -> ServerConfig {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            if expired {
                params.not_after = date_time_ymd(2020, 1, 1);
            }
            let leaf = params.signed_by(&key, &self.issuer).unwrap();
            config(leaf.der().clone(), &key)
        }
    }

    fn config(leaf: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap()
    }

    async fn discover(server: ServerConfig, trusted: &str) -> Result<Arc<str>, ForgeError> {
        let server = Canned::start_tls(server).await;
        let url = format!("https://{}", server.address);
        server.set(DISCOVERY, discovery(&url, &url));
        let mut settings = settings(&url);
        settings.ca_pem = Some(trusted.as_bytes().to_vec());
        let forge = HttpForge::new(settings, Arc::new(clock())).unwrap();
        let answer = forge.discover().await;
        assert_eq!(server.count(), usize::from(answer.is_ok()), "a refused server is told nothing");
        answer
    }

    /// Holds: R6 (TLS), X6.
    #[tokio::test]
    async fn a_forge_with_a_bad_certificate_is_refused_and_one_of_our_own_ca_is_not() {
        let (ours, other) = (Ca::new(), Ca::new());
        assert!(discover(ours.server("127.0.0.1", false), &ours.pem).await.is_ok());
        let both = format!("{}{}", other.pem, ours.pem);
        assert!(discover(ours.server("127.0.0.1", false), &both).await.is_ok(), "a bundle");

        let self_signed = {
            let key = KeyPair::generate().unwrap();
            let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
            config(leaf.der().clone(), &key)
        };
        for (what, server) in [
            ("wrong name", ours.server("localhost", false)),
            ("expired", ours.server("127.0.0.1", true)),
            ("another authority", other.server("127.0.0.1", false)),
            ("self-signed", self_signed),
        ] {
            let error = discover(server, &ours.pem).await.unwrap_err();
            assert!(
                matches!(error, ForgeError::Unavailable("its certificate is not trusted")),
                "{what}: {error}"
            );
            assert!(error.is_transient(), "{what}: it says nothing about anybody");
        }
    }

    /// Holds: X5.
    #[test]
    fn a_ca_that_cannot_be_read_is_an_error_at_the_start() {
        let mut settings = settings("https://forge.example");
        settings.ca_pem = Some(b"no certificate".to_vec());
        assert_eq!(HttpForge::new(settings, Arc::new(clock())).unwrap_err(), BadSettings::Ca);
    }
}
