//! What an id_token must be before anybody is believed to be who it says. Pure: the token, the key and the time are
//! handed in.
//!
//! 1. Its header is read without trust: only `alg` and `kid` are used, and a key must agree with them.
//! 2. A header that brings a key along, says where one is, or wants an extension understood (`crit`) is refused.
//! 3. The signature is checked before any claim is read.
//! 4. The times are measured with our clock, 60 s of difference allowed.
//! 5. Absent stays absent: no e-mail that is not called verified, no group that is not in the claim.
//!
//! Sources: OpenID Connect Core §3.1.3.7, RFC 7515 §4.1, RFC 8725 §3; docs/FORGEJO.md 1.8.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::base::account::{Group, Identity, UserId};
use crate::base::clock::Timestamp;
use crate::base::secret::{self, Nonce};
use crate::forge::error::IdTokenFault;
use crate::forge::keys::Key;

/// The longest id_token looked at, in bytes; Forgejo's have about 1,000, groups come on top.
pub(crate) const MAX_BYTES: usize = 16 * 1024;

/// How far the forge's clock and ours may differ, in seconds.
const LEEWAY_SECS: u64 = 60;

/// The longest `sub` taken, in bytes; Forgejo's is a decimal number.
const MAX_SUB: usize = 64;

/// Header members that would let the token choose its key, or hide what it is (RFC 7515 §4.1, RFC 7516 §4.1).
const REFUSED_HEADERS: [&str; 9] = ["crit", "jku", "jwk", "x5u", "x5c", "enc", "zip", "epk", "b64"];

/// What a token's header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
}

/// Whom and when a token must be for.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: Option<&'a Nonce>,
    /// None: whose it is counts, not whether its time is right.
    pub(crate) now: Option<Timestamp>,
}

/// The claims that are looked at, as they came.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    sub: Value,
    #[serde(default)]
    aud: Value,
    #[serde(default)]
    azp: Value,
    #[serde(default)]
    exp: Value,
    #[serde(default)]
    iat: Value,
    #[serde(default)]
    nbf: Value,
    #[serde(default)]
    nonce: Value,
    #[serde(default)]
    preferred_username: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    email: Value,
    #[serde(default)]
    email_verified: Value,
    #[serde(default)]
    groups: Value,
}

/// Reads a token's header.
///
/// # Errors
/// [`IdTokenFault::Form`]: no signed token of three parts, or a header that is refused.
pub(crate) fn header(token: &str) -> Result<Header, IdTokenFault> {
    if token.len() > MAX_BYTES || token.split('.').count() != 3 {
        return Err(IdTokenFault::Form);
    }
    let header = part(token, 0).ok_or(IdTokenFault::Form)?;
    let is_jwt = match header.get("typ") {
        None => true,
        Some(kind) => kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("JWT")),
    };
    if !is_jwt || REFUSED_HEADERS.iter().any(|name| header.contains_key(*name)) {
        return Err(IdTokenFault::Form);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(|name| name.parse().ok());
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(IdTokenFault::Form),
    };
    Ok(Header { algorithm: algorithm.ok_or(IdTokenFault::Form)?, kid })
}

/// Checks a token against the key that its header means, and says who it is about.
///
/// # Errors
/// The first [`IdTokenFault`] found: form and signature, then issuer, audience, time, claims, and last the nonce.
pub(crate) fn identity(
    token: &str,
    header: &Header,
    key: &Key,
    expected: &Expected<'_>,
) -> Result<Identity, IdTokenFault> {
    let claims = signed_claims(token, header, key)?;
    if claims.iss.as_str() != Some(expected.issuer) {
        return Err(IdTokenFault::Issuer);
    }
    audience(&claims, expected.client_id)?;
    if let Some(now) = expected.now {
        times(&claims, now.secs())?;
    }
    let identity = who(&claims).ok_or(IdTokenFault::Claims)?;
    if let Some(nonce) = expected.nonce {
        let came = claims.nonce.as_str().ok_or(IdTokenFault::Nonce)?;
        if !secret::same(came, nonce.expose()) {
            return Err(IdTokenFault::Nonce);
        }
    }
    Ok(identity)
}

/// Whether a token may belong to an access token: its `at_hash` is absent, as Forgejo leaves it, or right.
/// The token's signature is not looked at here. Source: OpenID Connect Core §3.1.3.8.
pub(crate) fn belongs_to(token: &str, access: &str) -> bool {
    let Some(at_hash) = part(token, 1).and_then(|claims| claims.get("at_hash").cloned()) else { return true };
    let algorithm = match header(token).map(|header| header.algorithm) {
        Ok(Algorithm::RS256 | Algorithm::ES256) => &digest::SHA256,
        Ok(Algorithm::RS384 | Algorithm::ES384) => &digest::SHA384,
        Ok(Algorithm::RS512 | Algorithm::EdDSA) => &digest::SHA512,
        _ => return false,
    };
    let hash = digest::digest(algorithm, access.as_bytes());
    let half = hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default();
    at_hash.as_str().is_some_and(|came| secret::same(came, &URL_SAFE_NO_PAD.encode(half)))
}

/// One of the first two parts of a token as a JSON object.
fn part(token: &str, index: usize) -> Option<Map<String, Value>> {
    if token.len() > MAX_BYTES {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index)?).ok()?).ok()
}

fn signed_claims(token: &str, header: &Header, key: &Key) -> Result<Claims, IdTokenFault> {
    use jsonwebtoken::errors::ErrorKind;
    // jsonwebtoken checks the signature; the claims are ours, since it has a wall clock of its own, takes an `iss`
    // that is an array, and requires neither `iss` nor `aud` (it would accept a token without them).
    let mut rules = Validation::new(header.algorithm);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    let data =
        jsonwebtoken::decode::<Claims>(token, &key.public, &rules).map_err(|error| match error.kind() {
            ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::InvalidAlgorithm => IdTokenFault::Form,
            _ => IdTokenFault::Signature,
        })?;
    Ok(data.claims)
}

fn audience(claims: &Claims, client_id: &str) -> Result<(), IdTokenFault> {
    let (for_us, several) = match &claims.aud {
        Value::String(one) => (one == client_id, false),
        Value::Array(all) => {
            let texts = all.iter().all(Value::is_string);
            (texts && all.iter().any(|one| one.as_str() == Some(client_id)), all.len() > 1)
        }
        _ => (false, false),
    };
    let azp_is_us = match &claims.azp {
        Value::Null => !several,
        azp => azp.as_str() == Some(client_id),
    };
    if for_us && azp_is_us { Ok(()) } else { Err(IdTokenFault::Audience) }
}

fn times(claims: &Claims, now_secs: u64) -> Result<(), IdTokenFault> {
    let exp = moment(&claims.exp).ok_or(IdTokenFault::Claims)?;
    let iat = moment(&claims.iat).ok_or(IdTokenFault::Claims)?;
    let nbf = if claims.nbf.is_null() { 0 } else { moment(&claims.nbf).ok_or(IdTokenFault::Claims)? };
    let latest_start = now_secs.saturating_add(LEEWAY_SECS);
    if exp.saturating_add(LEEWAY_SECS) <= now_secs || iat > latest_start || nbf > latest_start {
        return Err(IdTokenFault::Time);
    }
    Ok(())
}

/// A `NumericDate` (RFC 7519 §2) in whole seconds; one before 1970 is none.
fn moment(value: &Value) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; it saturates")]
    let whole = |secs: f64| (secs >= 0.0).then_some(secs as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

fn who(claims: &Claims) -> Option<Identity> {
    let sub = claims.sub.as_str()?;
    if !(1..=MAX_SUB).contains(&sub.len()) || !sub.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    // A login is not made up: rules and headers speak of it, and anybody may call themselves by another's number.
    let login = text(&claims.preferred_username)?;
    let verified = claims.email_verified == Value::Bool(true);
    let groups = claims.groups.as_array().map(Vec::as_slice).unwrap_or_default();
    Some(Identity {
        id: UserId(sub.into()),
        login,
        name: text(&claims.name),
        email: text(&claims.email).filter(|_| verified),
        groups: groups.iter().filter_map(Value::as_str).filter_map(Group::from_claim).collect(),
    })
}

/// A text that is there and not empty.
fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
