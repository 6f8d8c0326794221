//! The signing key: RS256 with a 2048-bit key, the only key in the JWKS, as Forgejo makes it by default.
//! The key comes from the crypto library's own generator; it is the one thing here that [`Entropy`] does not decide.
//!
//! [`Entropy`]: crate::base::entropy::Entropy

use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(super) struct SigningKey {
    pair: KeyPair,
    kid: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    /// The process's first key: making one costs up to a second in a debug build, and forges may share it.
    pub(super) fn first() -> Arc<Self> {
        static FIRST: OnceLock<Arc<SigningKey>> = OnceLock::new();
        Arc::clone(FIRST.get_or_init(|| Arc::new(Self::make())))
    }

    #[expect(clippy::expect_used, reason = "a generated RSA key has a DER form with two integers in it")]
    pub(super) fn make() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("the crypto library makes RSA keys");
        let spki: PublicKeyX509Der<'static> =
            pair.public_key().as_der().expect("an RSA key has an SPKI form");
        let kid = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki.as_ref());
        let (modulus, exponent) = integers(pair.public_key().as_ref())
            .expect("an RSA public key is two DER integers (RFC 8017 A.1.1)");
        let (kid, modulus, exponent) = (encode(kid.as_ref()), encode(modulus), encode(exponent));
        Self { pair, kid, modulus, exponent }
    }

    /// A compact JWT over these claims. PKCS #1 v1.5 is deterministic: equal claims are equal bytes.
    #[expect(clippy::expect_used, reason = "the signature buffer has the modulus's length")]
    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "kid": self.kid, "typ": "JWT"});
        let input =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .expect("the buffer has the right length");
        format!("{input}.{}", encode(&signature))
    }

    /// The claims of a JWT that this key signed.
    pub(super) fn claims(&self, token: &str) -> Option<Value> {
        let (input, signature) = token.rsplit_once('.')?;
        let (_, claims) = input.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.pair.public_key().as_ref())
            .verify(input.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    pub(super) fn jwks(&self) -> Value {
        json!({"keys": [{
            "alg": "RS256", "e": self.exponent, "kid": self.kid, "kty": "RSA", "n": self.modulus, "use": "sig",
        }]})
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 A.1.1), without leading zeroes.
fn integers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = element(0x30, der)?;
    let (modulus, rest) = element(0x02, body)?;
    let (exponent, _) = element(0x02, rest)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent.strip_prefix(&[0]).unwrap_or(exponent)))
}

/// The content of one DER element and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    (found == tag).then_some(())?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_token_reads_back_and_a_changed_one_does_not() {
        let key = SigningKey::first();
        let token = key.sign(&json!({"gnt": 1}));
        assert_eq!(key.claims(&token), Some(json!({"gnt": 1})));
        assert_eq!(token, key.sign(&json!({"gnt": 1})), "equal claims are equal bytes");
        let (head, tail) = token.split_once('.').unwrap();
        assert_eq!(key.claims(&format!("{head}.x{tail}")), None);
        assert_eq!(key.claims("a.b"), None);
        assert_eq!(key.claims("garbage"), None);
    }

    #[test]
    fn the_exponent_is_65537_and_the_modulus_2048_bits() {
        let jwks = SigningKey::first().jwks();
        assert_eq!(jwks["keys"][0]["e"], "AQAB");
        let modulus = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["n"].as_str().unwrap()).unwrap();
        assert_eq!(modulus.len(), 256);
    }
}
