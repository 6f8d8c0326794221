//! The forge's public keys, and which algorithm each may be used with: the key says that, never the token.
//!
//! Sources: RFC 7517, RFC 8725 §3.1; docs/FORGEJO.md 1.8.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::forge::error::{ForgeError, IdTokenFault, Unfit};

/// The most keys read; Forgejo shows one.
const MAX_KEYS: usize = 64;

/// A key set (RFC 7517 §5) without what cannot be used here.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// A public key for checking signatures.
#[derive(Debug)]
pub(crate) struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(crate) public: DecodingKey,
}

#[derive(Deserialize)]
struct Raw {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a key set; a key that cannot be read or used is skipped.
    ///
    /// # Errors
    /// [`ForgeError::Garbled`]: no key set, or an empty one. [`ForgeError::Unfit`]: nothing but keys that are refused.
    pub(crate) fn read(body: &[u8]) -> Result<Self, ForgeError> {
        let raw: Raw = serde_json::from_slice(body).map_err(|_| ForgeError::Garbled("no key set"))?;
        if raw.keys.is_empty() || raw.keys.len() > MAX_KEYS {
            return Err(ForgeError::Garbled("a key set without keys"));
        }
        // Forgejo shows `{"kty":"oct","alg":"HS256"}` without key material when it signs with the client secret.
        let symmetric = raw.keys.iter().any(|key| key.get("kty").and_then(Value::as_str) == Some("oct"));
        let keys: Vec<Key> = raw.keys.into_iter().filter_map(Key::read).collect();
        match (keys.is_empty(), symmetric) {
            (false, _) => Ok(Self { keys }),
            (true, true) => Err(ForgeError::Unfit(Unfit::SharedSecret)),
            (true, false) => Err(ForgeError::Unfit(Unfit::Algorithm)),
        }
    }

    /// The key that a token's header means: the one with its id; without an id the only one that fits.
    /// None: no such key, so the key set may be out of date.
    ///
    /// # Errors
    /// [`IdTokenFault::Form`]: the key is there, but not for this algorithm. [`IdTokenFault::Signature`]: no id, and
    /// several keys fit.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Option<&Key>, IdTokenFault> {
        let mut named = self.keys.iter().filter(|key| kid.is_none() || key.kid.as_deref() == kid).peekable();
        if named.peek().is_none() {
            return Ok(None);
        }
        let mut fitting = named.filter(|key| key.algorithms.contains(&algorithm));
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(IdTokenFault::Form),
            (Some(key), None) => Ok(Some(key)),
            (Some(_), Some(_)) => Err(IdTokenFault::Signature),
        }
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let common = &jwk.common;
        let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature))
            && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let possible: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                &[Algorithm::ES256]
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
                &[Algorithm::ES384]
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA]
            }
            _ => &[],
        };
        let announced = |algorithm: Algorithm| match common.key_algorithm {
            None => true,
            Some(announced) => announced == KeyAlgorithm::from(algorithm),
        };
        let algorithms: Vec<Algorithm> = possible.iter().copied().filter(|one| announced(*one)).collect();
        if !signs || algorithms.is_empty() {
            return None;
        }
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { kid: jwk.common.key_id, algorithms, public })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const N: &str =
        "yHDePSofFJwUeZSdn2Sm32Erf7SWaoWY0i-_WjiYDtZhp_RK1bWEsZp5VwoJ1q_kXR44gnfdAc6RDdq-ZHjdsnpT";

    fn rsa(kid: &str) -> Value {
        json!({"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "e": "AQAB", "n": N})
    }

    fn set(keys: &[Value]) -> Result<KeySet, ForgeError> {
        KeySet::read(&serde_json::to_vec(&json!({ "keys": keys })).unwrap())
    }

    /// Holds: I16.
    #[test]
    fn a_key_that_cannot_be_read_or_used_is_skipped() {
        let ec = |curve: &str| json!({"kty": "EC", "crv": curve, "x": "AA", "y": "AA"});
        let mut for_encryption = rsa("enc");
        for_encryption["use"] = "enc".into();
        let mut for_signing = rsa("ops");
        for_signing["key_ops"] = json!(["sign"]);
        let mut pss = rsa("pss");
        pss["alg"] = "PS256".into();
        let odd = [
            json!(7),
            json!({}),
            json!({"kty": "RSA", "n": 1}),
            json!({"kty": "RSA", "kid": "x", "n": "?", "e": "AQAB"}),
            json!({"kty": "quantum", "kid": "x"}),
            json!({"kty": "oct", "alg": "HS256"}),
            json!({"kty": "oct", "k": "AAAA"}),
            ec("P-521"),
            ec("secp256k1"),
            for_encryption,
            for_signing,
            pss,
            rsa("good"),
        ];
        let keys = set(&odd).unwrap().keys;
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].kid.as_deref(), Some("good"));
    }

    #[test]
    fn a_set_without_a_usable_key_says_whether_the_client_secret_signs() {
        let unfit = |keys: &[Value]| set(keys).unwrap_err();
        assert!(matches!(
            unfit(&[json!({"kty": "oct", "alg": "HS256"})]),
            ForgeError::Unfit(Unfit::SharedSecret)
        ));
        assert!(matches!(
            unfit(&[json!({"kty": "EC", "crv": "P-521"})]),
            ForgeError::Unfit(Unfit::Algorithm)
        ));
        assert!(matches!(unfit(&[]), ForgeError::Garbled(_)));
        assert!(matches!(unfit(&vec![rsa("x"); MAX_KEYS + 1]), ForgeError::Garbled(_)));
        assert!(matches!(KeySet::read(b"<html>"), Err(ForgeError::Garbled(_))));
    }

    /// Holds: I6, I7.
    #[test]
    fn a_token_without_a_key_id_is_taken_only_when_one_key_fits() {
        let mut other = rsa("two");
        other["alg"] = "RS512".into();
        let one = set(&[rsa("one"), other]).unwrap();
        assert_eq!(one.find(None, Algorithm::RS256).unwrap().unwrap().kid.as_deref(), Some("one"));
        let two = set(&[rsa("one"), rsa("two")]).unwrap();
        assert_eq!(two.find(None, Algorithm::RS256).unwrap_err(), IdTokenFault::Signature);
        assert_eq!(two.find(Some("two"), Algorithm::RS256).unwrap().unwrap().kid.as_deref(), Some("two"));
        assert!(two.find(Some("three"), Algorithm::RS256).unwrap().is_none());
    }

    /// Holds: O18.
    #[test]
    fn the_key_says_the_algorithm() {
        let keys = set(&[rsa("one")]).unwrap();
        for algorithm in
            [Algorithm::HS256, Algorithm::RS512, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA]
        {
            assert_eq!(keys.find(Some("one"), algorithm).unwrap_err(), IdTokenFault::Form);
        }
    }
}
