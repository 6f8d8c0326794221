use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header as JwtHeader};
use serde_json::json;

use super::*;
use crate::forge::keys::KeySet;

const ISSUER: &str = "https://forge.example";
const US: &str = "client-1";
const NOW: u64 = 1_800_000_000;

struct Signer {
    algorithm: Algorithm,
    private: EncodingKey,
    keys: KeySet,
}

impl Signer {
    fn rsa() -> Self {
        use aws_lc_rs::encoding::AsDer as _;
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(pkcs8.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        Self::new(Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap())
    }

    fn ec() -> Self {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let random = aws_lc_rs::rand::SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::new(Algorithm::ES256, EncodingKey::from_ec_der(pkcs8.as_ref()))
    }

    fn ed() -> Self {
        let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
        Self::new(Algorithm::EdDSA, EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()))
    }

    fn new(algorithm: Algorithm, private: EncodingKey) -> Self {
        let mut jwk = Jwk::from_encoding_key(&private, algorithm).unwrap();
        jwk.common.key_id = Some("k".into());
        let keys = KeySet::read(&serde_json::to_vec(&json!({ "keys": [jwk] })).unwrap()).unwrap();
        Self { algorithm, private, keys }
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = JwtHeader::new(self.algorithm);
        header.kid = Some("k".into());
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }

    fn with_header(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.private, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "42", "aud": [US], "exp": NOW + 3600, "iat": NOW, "nonce": "n-1",
        "preferred_username": "alice", "name": "Alice A.", "email": "alice@example.org", "email_verified": true,
        "groups": ["acme", "acme:ops"],
    })
}

fn but(change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let mut claims = claims();
    change(claims.as_object_mut().unwrap());
    claims
}

fn with(name: &str, value: Value) -> Value {
    but(|claims| drop(claims.insert(name.into(), value)))
}

fn without(name: &str) -> Value {
    but(|claims| drop(claims.remove(name)))
}

fn judge_at(signer: &Signer, token: &str, nonce: Option<&str>, now: u64) -> Result<Identity, IdTokenFault> {
    let header = header(token)?;
    let key = signer.keys.find(header.kid.as_deref(), header.algorithm)?.ok_or(IdTokenFault::Signature)?;
    let nonce = nonce.map(Nonce::new);
    let now = Some(Timestamp::from_secs(now));
    identity(token, &header, key, &Expected { issuer: ISSUER, client_id: US, nonce: nonce.as_ref(), now })
}

fn judge(signer: &Signer, token: &str) -> Result<Identity, IdTokenFault> {
    judge_at(signer, token, Some("n-1"), NOW)
}

/// Holds: I1, I8.
#[test]
fn a_good_token_of_each_key_type_says_who_somebody_is() {
    for signer in [Signer::rsa(), Signer::ec(), Signer::ed()] {
        let identity = judge(&signer, &signer.sign(&claims())).unwrap();
        assert_eq!((&*identity.id.0, identity.login.as_str()), ("42", "alice"));
        assert_eq!(
            (identity.name.as_deref(), identity.email.as_deref()),
            (Some("Alice A."), Some("alice@example.org"))
        );
        let ops = Group { org: "acme".into(), team: Some("ops".into()) };
        assert_eq!(identity.groups, [Group { org: "acme".into(), team: None }, ops]);
    }
}

/// Holds: I2, I3, I4, I5, I22, I24, I25, O19.
#[test]
fn a_token_for_or_from_somebody_else_is_refused() {
    use IdTokenFault::{Audience, Claims, Issuer};
    let signer = Signer::ec();
    let check = |claims: &Value, fault: Option<IdTokenFault>| {
        assert_eq!(judge(&signer, &signer.sign(claims)).err(), fault, "{claims}");
    };
    for iss in
        [json!("https://forge.example/"), json!("https://evil"), json!([ISSUER]), json!(null), json!("")]
    {
        check(&with("iss", iss), Some(Issuer));
    }
    check(&without("iss"), Some(Issuer));
    check(&with("aud", json!(US)), None);
    for aud in
        [json!("them"), json!(["them"]), json!([]), json!(null), json!([[US]]), json!([US, 7]), json!({})]
    {
        check(&with("aud", aud), Some(Audience));
    }
    check(&without("aud"), Some(Audience));
    check(&with("aud", json!([US, "them"])), Some(Audience));
    let several = |azp: &str| {
        but(|claims| {
            claims.insert("aud".into(), json!([US, "them"]));
            claims.insert("azp".into(), azp.into());
        })
    };
    check(&several(US), None);
    check(&several("them"), Some(Audience));
    check(&with("azp", json!("them")), Some(Audience));
    check(&with("azp", json!(US)), None);
    for sub in
        [json!(""), json!(42), json!(null), json!("a b"), json!("a\nb"), json!("é"), json!("x".repeat(65))]
    {
        check(&with("sub", sub), Some(Claims));
    }
    for name in ["sub", "iat", "exp", "preferred_username"] {
        check(&without(name), Some(Claims));
    }
    check(&with("preferred_username", json!("")), Some(Claims));
}

/// Holds: O19.
#[test]
fn the_times_are_judged_by_our_clock_with_a_minute_of_leeway() {
    let signer = Signer::ec();
    let check = |claims: &Value, now: u64, fault: Option<IdTokenFault>| {
        assert_eq!(judge_at(&signer, &signer.sign(claims), None, now).err(), fault, "{claims} at {now}");
    };
    let time = Some(IdTokenFault::Time);
    check(&claims(), NOW + 3600 + 59, None);
    check(&claims(), NOW + 3600 + 60, time);
    check(&claims(), NOW - 60, None);
    check(&claims(), NOW - 61, time);
    check(&with("nbf", json!(NOW + 60)), NOW, None);
    check(&with("nbf", json!(NOW + 61)), NOW, time);
    check(&with("exp", json!(1e300)), NOW, None);
    check(&with("exp", json!(3600.5)), NOW, time);
    check(&with("iat", json!(1e300)), NOW, time);
    for odd in [json!("1800000000"), json!(-1), json!([]), json!(true)] {
        check(&with("exp", odd.clone()), NOW, Some(IdTokenFault::Claims));
        check(&with("iat", odd.clone()), NOW, Some(IdTokenFault::Claims));
        check(&with("nbf", odd), NOW, Some(IdTokenFault::Claims));
    }
}

/// Holds: I12.
#[test]
fn the_nonce_is_that_of_this_sign_in_and_not_looked_at_after_a_refresh() {
    let signer = Signer::ec();
    let check =
        |claims: &Value, nonce: Option<&str>| judge_at(&signer, &signer.sign(claims), nonce, NOW).err();
    assert_eq!(check(&claims(), Some("n-1")), None);
    assert_eq!(check(&claims(), Some("n-2")), Some(IdTokenFault::Nonce));
    assert_eq!(check(&without("nonce"), Some("n-1")), Some(IdTokenFault::Nonce));
    assert_eq!(check(&with("nonce", json!(1)), Some("1")), Some(IdTokenFault::Nonce));
    assert_eq!(check(&with("nonce", json!("")), Some("n-1")), Some(IdTokenFault::Nonce));
    assert_eq!(check(&without("nonce"), None), None);
}

/// Holds: I9, I10, I18, O18.
#[test]
fn a_token_of_another_form_is_refused_however_it_is_signed() {
    let signer = Signer::rsa();
    let good = signer.sign(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let form = |token: &str| assert_eq!(judge(&signer, token).err(), Some(IdTokenFault::Form), "{token}");
    for header in [
        json!({"alg": "none", "kid": "k"}),
        json!({"alg": "None", "kid": "k"}),
        json!({"alg": "HS256", "kid": "k"}),
        json!({"alg": "RS512", "kid": "k"}),
        json!({"alg": "PS256", "kid": "k"}),
        json!({"alg": "ES512", "kid": "k"}),
        json!({"alg": 7, "kid": "k"}),
        json!({"kid": "k"}),
        json!({"alg": "RS256", "kid": 7}),
        json!({"alg": "RS256", "kid": "k", "crit": ["exp"]}),
        json!({"alg": "RS256", "kid": "k", "crit": []}),
        json!({"alg": "RS256", "kid": "k", "jku": "https://evil/keys"}),
        json!({"alg": "RS256", "kid": "k", "x5u": "https://evil/cert"}),
        json!({"alg": "RS256", "kid": "k", "x5c": []}),
        json!({"alg": "RS256", "kid": "k", "jwk": {}}),
        json!({"alg": "RS256", "kid": "k", "typ": "logout+jwt"}),
        json!({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "k"}),
        json!([]),
    ] {
        form(&signer.with_header(&header, &claims()));
    }
    form("");
    form("..");
    form(&format!("{good}.{}.{}", parts[1], parts[2]));
    form(&format!("{}.{}", parts[0], parts[1]));
    form(&signer.sign(&with("name", json!("x".repeat(MAX_BYTES)))));
    form(&signer.sign(&json!([1])));

    let signature = |token: &str| assert_eq!(judge(&signer, token).err(), Some(IdTokenFault::Signature));
    signature(&Signer::rsa().sign(&claims()));
    signature(&format!("{}.{}.", parts[0], parts[1]));
    let other = URL_SAFE_NO_PAD.encode(with("sub", json!("1")).to_string());
    signature(&format!("{}.{other}.{}", parts[0], parts[2]));
    signature(&signer.with_header(&json!({"alg": "RS256", "kid": "other"}), &claims()));
    assert!(
        judge(&signer, &signer.with_header(&json!({"alg": "RS256"}), &claims())).is_ok(),
        "one key: no id needed"
    );
}

/// Holds: O18.
#[test]
fn a_token_signed_with_the_public_key_as_if_it_were_a_secret_is_refused() {
    let signer = Signer::rsa();
    let jwk = Jwk::from_encoding_key(&signer.private, Algorithm::RS256).unwrap();
    let mut header = JwtHeader::new(Algorithm::HS256);
    header.kid = Some("k".into());
    let public = serde_json::to_vec(&jwk).unwrap();
    let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&public)).unwrap();
    assert_eq!(judge(&signer, &token).err(), Some(IdTokenFault::Form));
}

/// An access token of Forgejo's is signed with the same key; it must not pass for an id_token.
#[test]
fn an_access_token_is_no_id_token() {
    let signer = Signer::rsa();
    let access = signer.sign(&json!({"gnt": 3, "tt": 0, "exp": NOW + 3600, "iat": NOW}));
    assert_eq!(judge(&signer, &access).err(), Some(IdTokenFault::Issuer));
}

/// Holds: O20, G11, I13.
#[test]
fn what_is_absent_stays_absent() {
    let signer = Signer::ec();
    let read = |claims: &Value| judge(&signer, &signer.sign(claims)).unwrap();
    for unverified in [
        without("email_verified"),
        with("email_verified", json!(false)),
        with("email_verified", json!("true")),
    ] {
        assert_eq!(read(&unverified).email, None, "{unverified}");
    }
    for name in ["email", "name"] {
        for odd in [json!(null), json!(""), json!(7), json!([])] {
            let identity = read(&with(name, odd));
            assert!(if name == "email" { identity.email.is_none() } else { identity.name.is_none() });
        }
    }
    for none in [
        without("groups"),
        with("groups", json!(null)),
        with("groups", json!("acme")),
        with("groups", json!({})),
    ] {
        assert_eq!(read(&none).groups, [], "{none}");
    }
    let groups = read(&with("groups", json!(["", ":x", "x:", 7, null, ["y"], "ok"]))).groups;
    assert_eq!(groups, [Group { org: "ok".into(), team: None }]);
}

/// Holds: O19.
#[test]
fn an_access_hash_is_right_or_absent() {
    let signer = Signer::ec();
    let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    // The example of OpenID Connect Core, appendix A.3.
    assert!(belongs_to(&signer.sign(&with("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ"))), access));
    assert!(belongs_to(&signer.sign(&claims()), access));
    for wrong in [json!("77QmUPtjPfzWtF2AnpK9RR"), json!(""), json!(7), json!(null)] {
        assert!(!belongs_to(&signer.sign(&with("at_hash", wrong)), access));
    }
    let ed = Signer::ed();
    let hash = digest::digest(&digest::SHA512, access.as_bytes());
    assert!(belongs_to(
        &ed.sign(&with("at_hash", json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..32])))),
        access
    ));
}
