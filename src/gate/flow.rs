//! A sign-in under way: kept sealed in the browser that began it, so that a million begun sign-ins cost no memory here.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::base::entropy::{Entropy, random_text};
use crate::base::seal::Sealer;
use crate::base::secret::{Nonce, PkceVerifier, State, same};
use crate::wire::scrub::OwnCookie;

/// How long a sign-in may take: a forced change of the password may stand in its way.
pub(super) const LIFE: Duration = Duration::from_mins(15);
/// Sign-ins under way in one browser; one more ends the oldest.
pub(super) const MOST: usize = 10;
/// How many characters of the state name its cookie.
const NAME_CHARS: usize = 8;

/// A sign-in under way.
#[derive(Debug)]
pub(super) struct Flow {
    /// 192 random bits; short, since the forge keeps the whole authorize URL in a cookie.
    pub state: State,
    /// 256 random bits (RFC 7636 §4.1).
    pub verifier: PkceVerifier,
    /// 128 random bits.
    pub nonce: Nonce,
    /// Where the visitor wanted to go; checked before it was put here, and again before it is used.
    pub return_to: String,
    /// When it began.
    pub started_at: Timestamp,
    /// How often it was started over by itself.
    pub restarts: u8,
}

/// The sealed form. The names are short: ten of these travel with every request while they last.
#[derive(Serialize, Deserialize)]
struct Sealed {
    s: String,
    v: String,
    n: String,
    r: String,
    t: u64,
    k: u8,
}

impl Drop for Sealed {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.s.zeroize();
        self.v.zeroize();
        self.n.zeroize();
    }
}

impl Flow {
    /// A new one.
    pub(super) fn begin(entropy: &dyn Entropy, return_to: String, now: Timestamp, restarts: u8) -> Self {
        Self {
            state: State::new(random_text::<24>(entropy)),
            verifier: PkceVerifier::new(random_text::<32>(entropy)),
            nonce: Nonce::new(random_text::<16>(entropy)),
            return_to,
            started_at: now,
            restarts,
        }
    }

    /// The name of its cookie.
    pub(super) fn cookie_name(&self, prefix: &str) -> String {
        name_for(prefix, self.state.expose())
    }

    /// The value of its cookie, sealed to that name.
    pub(super) fn cookie_value(&self, prefix: &str, sealer: &Sealer) -> String {
        let sealed = Sealed {
            s: self.state.expose().to_owned(),
            v: self.verifier.expose().to_owned(),
            n: self.nonce.expose().to_owned(),
            r: self.return_to.clone(),
            t: self.started_at.millis(),
            k: self.restarts,
        };
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&sealed).unwrap_or_default());
        URL_SAFE_NO_PAD.encode(sealer.seal(self.cookie_name(prefix).as_bytes(), &plain))
    }
}

fn name_for(prefix: &str, state: &str) -> String {
    format!("{prefix}{}", state.chars().take(NAME_CHARS).collect::<String>())
}

fn open(cookie: &OwnCookie, sealer: &Sealer) -> Option<Flow> {
    let bytes = URL_SAFE_NO_PAD.decode(&cookie.value).ok()?;
    let plain = sealer.open(cookie.name.as_bytes(), &bytes).ok()?;
    let mut sealed: Sealed = serde_json::from_slice(&plain).ok()?;
    Some(Flow {
        state: State::new(std::mem::take(&mut sealed.s)),
        verifier: PkceVerifier::new(std::mem::take(&mut sealed.v)),
        nonce: Nonce::new(std::mem::take(&mut sealed.n)),
        return_to: std::mem::take(&mut sealed.r),
        started_at: Timestamp::from_millis(sealed.t),
        restarts: sealed.k,
    })
}

fn is_live(flow: &Flow, now: Timestamp) -> bool {
    now.since(flow.started_at) < LIFE && flow.started_at.since(now) < LIFE
}

/// The flow that a callback's `state` belongs to, if this browser began it and it still lives. The state is compared in
/// constant time, and before anything else is done with the callback.
pub(super) fn find(
    state: &str,
    cookies: &[OwnCookie],
    prefix: &str,
    sealer: &Sealer,
    now: Timestamp,
) -> Option<Flow> {
    let name = name_for(prefix, state);
    let mut named = cookies.iter().filter(|cookie| cookie.name == name);
    let flow = open(named.next()?, sealer)?;
    // Two cookies of one name: somebody planted one.
    let alone = named.next().is_none();
    (alone && same(flow.state.expose(), state) && is_live(&flow, now)).then_some(flow)
}

/// The names of flow cookies that have to go so that one more fits: dead ones, and the oldest.
pub(super) fn crowded_out(
    cookies: &[OwnCookie],
    prefix: &str,
    sealer: &Sealer,
    now: Timestamp,
) -> Vec<String> {
    let mut live: Vec<(Timestamp, &str)> = Vec::new();
    let mut gone: Vec<String> = Vec::new();
    for cookie in cookies.iter().filter(|cookie| cookie.name.starts_with(prefix)) {
        match open(cookie, sealer) {
            Some(flow) if is_live(&flow, now) => live.push((flow.started_at, &cookie.name)),
            _ => gone.push(cookie.name.clone()),
        }
    }
    live.sort_unstable();
    let surplus = (live.len() + 1).saturating_sub(MOST);
    gone.extend(live.iter().take(surplus).map(|(_, name)| (*name).to_owned()));
    // A name that a header cannot carry was never ours to set.
    gone.retain(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')));
    gone
}
