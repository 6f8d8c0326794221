//! Id_tokens of every kind, through the whole sign-in: a good one opens a session, a bad one opens none and reaches nobody.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hero_proxy::base::clock::Clock as _;
use hero_proxy::forge::fake::{Endpoint, Fault};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Map, Value, json};

use crate::support::browser::{Browser, Page};
use crate::support::house::{CLIENT_ID, Plan, TestHouse, password};

/// A signing key of a forge.
struct Signer {
    kid: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
    public_pem: String,
}

impl Signer {
    fn ec(kid: &'static str) -> Self {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = aws_lc_rs::rand::SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let private = EncodingKey::from_ec_der(pkcs8.as_ref());
        Self { kid, algorithm: Algorithm::ES256, private, public_pem: String::new() }
    }

    fn rsa(kid: &'static str) -> Self {
        use aws_lc_rs::encoding::{Pkcs8V1Der, PublicKeyX509Der};
        use aws_lc_rs::signature::KeyPair as _;
        // Making one takes up to a second in a debug build.
        static PAIR: LazyLock<aws_lc_rs::rsa::KeyPair> =
            LazyLock::new(|| aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap());
        let pem = |label: &str, der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
        };
        let private: Pkcs8V1Der<'_> = PAIR.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = PAIR.public_key().as_der().unwrap();
        let private = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).unwrap();
        Self { kid, algorithm: Algorithm::RS256, private, public_pem: pem("PUBLIC KEY", public.as_ref()) }
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    /// The JOSE header that this key's tokens have.
    fn header(&self) -> Value {
        json!({"alg": self.algorithm, "kid": self.kid, "typ": "JWT"})
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.private, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// A house whose forge says what the test wants: a key set of its own, and one id_token at a time.
struct Stage {
    house: TestHouse,
    attempts: usize,
}

impl Stage {
    async fn with(keys: &[Value]) -> Self {
        let house = TestHouse::start(Plan { allow: vec!["any-user"], ..Plan::default() }).await;
        let scope = "openid profile email groups read:user write:issue";
        let known = json!({"active": true, "scope": scope, "aud": [CLIENT_ID]});
        house.forge.break_next(Endpoint::Introspect, Fault::json(200, known.to_string()), usize::MAX);
        house.forge.break_next(Endpoint::Api, Fault::json(200, r#"{"version":"15.0.3"}"#), usize::MAX);
        let stage = Self { house, attempts: 0 };
        stage.publish(keys);
        stage
    }

    fn publish(&self, keys: &[Value]) {
        let keys = json!({ "keys": keys }).to_string();
        self.house.forge.break_next(Endpoint::Keys, Fault::json(200, keys), usize::MAX);
    }

    /// The claims of an honest token for this sign-in.
    fn claims(&self, nonce: &str) -> Value {
        let (now, issuer) = (self.house.clock.now().secs(), self.house.forge.url().as_str());
        json!({
            "iss": issuer.trim_end_matches('/'), "sub": "4242", "aud": [CLIENT_ID], "iat": now, "exp": now + 3600,
            "nonce": nonce, "preferred_username": "carol", "email": "carol@example.org",
        })
    }

    /// A sign-in whose code is answered with the id_token that `make` makes of the honest claims, and what else `more`
    /// says of the answer.
    async fn sign_in_with(
        &mut self,
        more: &Value,
        make: impl FnOnce(Value) -> Option<String>,
    ) -> (Browser, Page) {
        self.attempts += 1;
        let mut browser = self.house.browser();
        let authorize = browser.navigate(&self.house.at("/wanted")).await.location().unwrap();
        let nonce = authorize.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
        let callback = browser.at_forge(&authorize, "alice", &password("alice")).await;
        let mut answer = json!({
            "access_token": "an-opaque-token", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "another",
        });
        let members = answer.as_object_mut().unwrap();
        members.extend(make(self.claims(&nonce)).map(|token| ("id_token".to_owned(), token.into())));
        members.extend(more.as_object().cloned().unwrap_or_default());
        self.house.forge.break_next(Endpoint::Token, Fault::json(200, answer.to_string()), 1);
        let page = browser.navigate(&callback).await;
        assert_eq!(self.house.forge.count(Endpoint::Token), self.attempts, "one call each");
        (browser, page)
    }

    async fn accepts(&mut self, what: &str, make: impl FnOnce(Value) -> String) {
        let before = self.house.echo.seen().len();
        let (mut browser, page) = self.sign_in_with(&json!({}), |claims| Some(make(claims))).await;
        assert_eq!(page.location(), Some(self.house.at("/wanted")), "{what}: {}", page.text());
        assert_eq!(browser.follow(page).await.text(), "app");
        let seen = &self.house.echo.seen()[before];
        assert_eq!(
            (seen.values("x-hero-user"), seen.values("x-hero-user-id")),
            (vec!["carol"], vec!["4242"])
        );
        assert_eq!(seen.values("x-hero-forge-token"), ["an-opaque-token"], "{what}: never decoded");
    }

    async fn refuses(&mut self, what: &str, make: impl FnOnce(Value) -> Option<String>) {
        let before = self.house.echo.seen().len();
        let (browser, page) = self.sign_in_with(&json!({}), make).await;
        let got = (page.status(), page.reason());
        assert_eq!(got, (502, Some("sign_in_failed".to_owned())), "{what}");
        assert!(page.link("sign-in").is_some() && page.location().is_none(), "{what}: a button, no loop");
        assert_eq!(self.house.session(&browser), None, "{what}");
        assert_eq!(self.house.echo.seen().len(), before, "{what}");
    }
}

fn but(mut claims: Value, change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    change(claims.as_object_mut().unwrap());
    claims
}

fn set(claims: Value, name: &str, value: Value) -> Value {
    but(claims, |members| drop(members.insert(name.to_owned(), value)))
}

fn without(claims: Value, name: &str) -> Value {
    but(claims, |members| drop(members.remove(name)))
}

/// Holds: I1, I2, I3, I4, I5, I8, O19.
#[tokio::test]
async fn only_claims_that_name_this_forge_this_client_and_this_time_open_a_session() {
    let signer = Signer::rsa("k");
    let mut stage = Stage::with(&[signer.jwk()]).await;
    let now = stage.house.clock.now().secs();
    stage.accepts("all is well", |claims| signer.sign(&claims)).await;
    stage.accepts("aud as a string", |claims| signer.sign(&set(claims, "aud", CLIENT_ID.into()))).await;
    let two = json!([CLIENT_ID, "another"]);
    let azp = |claims, azp: &str| set(set(claims, "aud", two.clone()), "azp", azp.into());
    stage.accepts("two aud and our azp", |claims| signer.sign(&azp(claims, CLIENT_ID))).await;
    let skewed = |claims| set(claims, "iat", (now + 59).into());
    stage.accepts("a clock 59 s off", |claims| signer.sign(&skewed(claims))).await;

    let issuer = stage.house.forge.url().as_str().to_owned();
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(issuer)),
        ("iss", json!(["a"])),
        ("sub", json!("")),
        ("sub", json!({})),
        ("aud", json!("another")),
        ("aud", json!(["another"])),
        ("aud", json!([])),
        ("aud", two.clone()),
        ("azp", json!("another")),
        ("exp", json!(now - 61)),
        ("exp", json!("later")),
        ("iat", json!(now + 61)),
        ("iat", json!("now")),
        ("nbf", json!(now + 61)),
    ] {
        let what = format!("{name}: {value}");
        stage.refuses(&what, |claims| Some(signer.sign(&set(claims, name, value)))).await;
    }
    stage.refuses("another azp of two", |claims| Some(signer.sign(&azp(claims, "another")))).await;
    for name in ["iss", "sub", "aud", "iat", "exp", "preferred_username"] {
        stage.refuses(name, |claims| Some(signer.sign(&without(claims, name)))).await;
    }
    stage.refuses("no id_token at all", |_| None).await;
    stage.accepts("and still", |claims| signer.sign(&claims)).await;
}

/// Holds: I9, I10, O18.
#[tokio::test]
async fn only_a_signature_of_the_forges_key_by_a_pinned_algorithm_opens_a_session() {
    let (signer, stranger) = (Signer::rsa("k"), Signer::ec("k"));
    let mut stage = Stage::with(&[signer.jwk()]).await;
    stage.accepts("all is well", |claims| signer.sign(&claims)).await;
    let header = |change: &[(&str, Value)]| {
        but(signer.header(), |members| {
            members.extend(change.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        })
    };

    stage
        .refuses("alg none", |claims| {
            Some(format!("{}.", unsigned(&header(&[("alg", "none".into())]), &claims)))
        })
        .await;
    stage
        .refuses("alg none, signed", |claims| {
            Some(signer.sign_as(&header(&[("alg", "none".into())]), &claims))
        })
        .await;
    stage.refuses("no signature", |claims| Some(format!("{}.", unsigned(&header(&[]), &claims)))).await;
    for secret in [signer.public_pem.as_bytes(), crate::support::house::CLIENT_SECRET.as_bytes()] {
        for alg in [Algorithm::HS256, Algorithm::HS512] {
            stage
                .refuses("HMAC with what others know", |claims| {
                    let message = unsigned(&header(&[("alg", json!(alg))]), &claims);
                    let key = EncodingKey::from_secret(secret);
                    Some(format!(
                        "{message}.{}",
                        jsonwebtoken::crypto::sign(message.as_bytes(), &key, alg).unwrap()
                    ))
                })
                .await;
        }
    }
    for (name, value) in [
        ("alg", json!("RS1")),
        ("alg", json!("rs256")),
        ("alg", json!("PS512")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
    ] {
        let what = format!("{name}: {value}");
        stage.refuses(&what, |claims| Some(signer.sign_as(&header(&[(name, value)]), &claims))).await;
    }
    // Keys that the token itself brings: another key's signature, and where to find that key.
    for (name, value) in [
        ("jwk", stranger.jwk()),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
    ] {
        let named = header(&[("alg", json!(stranger.algorithm)), (name, value)]);
        stage.refuses(name, |claims| Some(stranger.sign_as(&named, &claims))).await;
    }
    stage.refuses("another key of that name", |claims| Some(stranger.sign(&claims))).await;
    stage
        .refuses("a flipped bit", |claims| {
            let token = signer.sign(&claims);
            let (message, signature) = token.rsplit_once('.').unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
            bytes[7] ^= 1;
            Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes)))
        })
        .await;
    stage
        .refuses("other claims under that signature", |claims| {
            let token = signer.sign(&claims);
            let signature = token.rsplit_once('.').unwrap().1;
            Some(format!("{}.{signature}", unsigned(&signer.header(), &set(claims, "sub", "1".into()))))
        })
        .await;
    stage.refuses("a JWE", |claims| Some(format!("{}.a.b.c", signer.sign(&claims)))).await;
    stage.refuses("not a token", |_| Some("hello".to_owned())).await;
    stage.refuses("empty", |_| Some(String::new())).await;
    let long = "x".repeat(200 * 1024);
    stage.refuses("oversized", |claims| Some(signer.sign(&set(claims, "long", long.into())))).await;
    stage.accepts("and still", |claims| signer.sign(&claims)).await;
}

/// Holds: I6, I7.
#[tokio::test]
async fn a_token_that_names_no_key_counts_while_there_is_but_one() {
    let (one, two) = (Signer::ec("k-1"), Signer::ec("k-2"));
    let nameless = json!({"alg": one.algorithm});
    let mut stage = Stage::with(&[one.jwk()]).await;
    stage.accepts("one key", |claims| one.sign_as(&nameless, &claims)).await;
    let mut stage = Stage::with(&[one.jwk(), two.jwk()]).await;
    stage.refuses("two keys", |claims| Some(one.sign_as(&nameless, &claims))).await;
    stage.accepts("two keys, named", |claims| two.sign(&claims)).await;
}

/// Holds: I12, O6.
#[tokio::test]
async fn a_nonce_of_another_sign_in_starts_over_and_a_missing_one_does_too() {
    let signer = Signer::ec("k");
    let mut stage = Stage::with(&[signer.jwk()]).await;
    for wrong in [json!("another"), json!(""), json!(7), Value::Null] {
        let make = |claims| Some(signer.sign(&set(claims, "nonce", wrong.clone())));
        let (browser, page) = stage.sign_in_with(&json!({}), make).await;
        let next = page.location().unwrap_or_else(|| panic!("{wrong}: {}", page.text()));
        assert_eq!((next.path(), stage.house.session(&browser)), ("/login/oauth/authorize", None), "{wrong}");
    }
    assert!(stage.house.echo.is_untouched());
}

/// Holds: I16, I19, I20.
#[tokio::test]
async fn a_key_that_the_forge_changed_is_fetched_once_and_the_next_sign_in_works() {
    let (old, new, foreign) = (Signer::ec("k-1"), Signer::ec("k-2"), Signer::ec("k-3"));
    let mut stage = Stage::with(&[json!({"kty": "unheard of"}), old.jwk()]).await;
    stage.accepts("the first key", |claims| old.sign(&claims)).await;
    stage.accepts("known by now", |claims| old.sign(&claims)).await;
    assert_eq!(stage.house.forge.count(Endpoint::Keys), 1);
    // Changed between the code and its exchange, as far as anybody here can tell.
    stage.publish(&[new.jwk()]);
    stage.accepts("the new key", |claims| new.sign(&claims)).await;
    assert_eq!(stage.house.forge.count(Endpoint::Keys), 2);
    for _ in 0..3 {
        stage.refuses("a key that nobody has", |claims| Some(foreign.sign(&claims))).await;
    }
    assert_eq!(stage.house.forge.count(Endpoint::Keys), 2, "further unknown keys wait a minute");
}

/// Holds: O19.
#[tokio::test]
async fn an_id_token_of_another_access_token_opens_no_session() {
    let signer = Signer::ec("k");
    let mut stage = Stage::with(&[signer.jwk()]).await;
    let token = json!({"access_token": "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"});
    for (at_hash, fits) in [("77QmUPtjPfzWtF2AnpK9RQ", true), ("77QmUPtjPfzWtF2AnpK9RR", false)] {
        let make = |claims| Some(signer.sign(&set(claims, "at_hash", at_hash.into())));
        let (browser, page) = stage.sign_in_with(&token, make).await;
        assert_eq!(page.status(), if fits { 303 } else { 502 }, "{at_hash}");
        assert_eq!(stage.house.session(&browser).is_some(), fits);
    }
}
