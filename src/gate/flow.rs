//! A sign-in under way: kept sealed in the browser that began it, so that a million begun sign-ins cost no memory here.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::base::entropy::{Entropy, random_text};
use crate::base::seal::Sealer;
use crate::base::secret::{Nonce, PkceVerifier, State, same};
use crate::session::cookie::CookieNames;
use crate::wire::scrub::OwnCookie;

/// How long a sign-in may take: a forced change of the password may stand in its way.
pub(super) const LIFE: Duration = Duration::from_mins(15);
/// Sign-ins under way in one browser; one more ends the oldest.
pub(super) const MOST: usize = 10;
/// All their cookies together, in bytes: many a server takes header lines of 8 KiB and no more.
const MOST_BYTES: usize = 6 * 1024;

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

impl Sealed {
    fn of(flow: &Flow) -> Self {
        Self {
            s: flow.state.expose().to_owned(),
            v: flow.verifier.expose().to_owned(),
            n: flow.nonce.expose().to_owned(),
            r: flow.return_to.clone(),
            t: flow.started_at.millis(),
            k: flow.restarts,
        }
    }
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
}

/// How flows are kept in browsers at one origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flows<'a> {
    pub names: &'a CookieNames,
    pub origin: &'a str,
    pub sealer: &'a Sealer,
}

impl Flows<'_> {
    /// The name of a flow's cookie: eight hexadecimal digits of its state's hash.
    pub(super) fn name(&self, state: &str) -> String {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, state.as_bytes());
        hash.as_ref()
            .iter()
            .take(4)
            .fold(self.names.names().flow_prefix.clone(), |name, byte| format!("{name}{byte:02x}"))
    }

    /// The value of a flow's cookie, sealed to its name and its origin.
    pub(super) fn value(&self, flow: &Flow) -> String {
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&Sealed::of(flow)).unwrap_or_default());
        let owner = self.owner(&self.name(flow.state.expose()));
        URL_SAFE_NO_PAD.encode(self.sealer.seal(owner.as_bytes(), &plain))
    }

    fn owner(&self, name: &str) -> String {
        format!("{name} at {}", self.origin)
    }

    fn open(&self, cookie: &OwnCookie) -> Option<Flow> {
        let bytes = URL_SAFE_NO_PAD.decode(&cookie.value).ok()?;
        let plain = self.sealer.open(self.owner(&cookie.name).as_bytes(), &bytes).ok()?;
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

    /// The flow that a callback's `state` belongs to, if this browser began it and it still lives. The state is compared
    /// in constant time, and before anything else is done with the callback.
    pub(super) fn find(&self, state: &str, cookies: &[OwnCookie], now: Timestamp) -> Option<Flow> {
        let name = self.name(state);
        let mut named = cookies.iter().filter(|cookie| cookie.name == name);
        let flow = self.open(named.next()?)?;
        // Two cookies of one name: somebody planted one.
        let alone = named.next().is_none();
        (alone && same(flow.state.expose(), state) && is_live(&flow, now)).then_some(flow)
    }

    /// The sign-ins under way in this browser.
    pub(super) fn live(&self, cookies: &[OwnCookie], now: Timestamp) -> Vec<Flow> {
        let named = cookies.iter().filter(|cookie| self.names.flow_id(&cookie.name).is_some());
        let flows = named.filter_map(|cookie| self.open(cookie));
        flows.filter(|flow| is_live(flow, now)).take(MOST).collect()
    }

    /// The names of flow cookies that have to go so that one more of `room` bytes fits: dead ones, and the oldest. Those of
    /// another proxy on this host are not ours to judge.
    pub(super) fn crowded_out(&self, cookies: &[OwnCookie], room: usize, now: Timestamp) -> Vec<String> {
        let mut live: Vec<(Timestamp, &OwnCookie)> = Vec::new();
        let mut gone: Vec<String> = Vec::new();
        for cookie in cookies.iter().filter(|cookie| self.names.flow_id(&cookie.name).is_some()) {
            match self.open(cookie) {
                Some(flow) if is_live(&flow, now) => live.push((flow.started_at, cookie)),
                _ => gone.push(cookie.name.clone()),
            }
        }
        // The youngest stay.
        live.sort_unstable_by_key(|(started_at, _)| std::cmp::Reverse(*started_at));
        let (mut count, mut bytes) = (1, room);
        for (_, cookie) in live {
            count += 1;
            bytes += cookie.name.len() + cookie.value.len() + 3;
            if count > MOST || bytes > MOST_BYTES {
                gone.push(cookie.name.clone());
            }
        }
        gone
    }
}

fn is_live(flow: &Flow, now: Timestamp) -> bool {
    now.since(flow.started_at) < LIFE && flow.started_at.since(now) < LIFE
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::entropy::SeededEntropy;
    use crate::base::seal::{KeyRing, SealKey};

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn sealer() -> Sealer {
        Sealer::new(
            &KeyRing::of(SealKey::random(&SeededEntropy::new(1))),
            "flow",
            Arc::new(SeededEntropy::new(2)),
        )
    }

    fn names(url: &str) -> CookieNames {
        CookieNames::for_origin(&url.parse().unwrap()).unwrap()
    }

    fn begun(flows: &Flows<'_>, entropy: &SeededEntropy, target: &str, after: u64) -> (OwnCookie, String) {
        let flow = Flow::begin(entropy, target.to_owned(), START.plus(Duration::from_secs(after)), 0);
        let state = flow.state.expose().to_owned();
        (OwnCookie { name: flows.name(&state), value: flows.value(&flow).into_bytes() }, state)
    }

    /// Holds: O2, S7.
    #[test]
    fn a_flow_counts_under_its_own_name_at_its_own_origin_and_in_its_time() {
        let (sealer, entropy) = (sealer(), SeededEntropy::new(3));
        let (here, there) = (names("https://vm1.example.org"), names("https://vm2.example.org"));
        let flows = Flows { names: &here, origin: "https://vm1.example.org", sealer: &sealer };
        let (cookie, state) = begun(&flows, &entropy, "/x", 0);
        let (other, _) = begun(&flows, &entropy, "/y", 0);
        let find = |flows: &Flows<'_>, cookies: &[OwnCookie], after| {
            flows.find(&state, cookies, START.plus(Duration::from_secs(after))).map(|flow| flow.return_to)
        };
        assert_eq!(find(&flows, std::slice::from_ref(&cookie), 0).as_deref(), Some("/x"));
        assert_eq!(find(&flows, std::slice::from_ref(&cookie), 899).as_deref(), Some("/x"));
        assert_eq!(find(&flows, std::slice::from_ref(&cookie), 900), None);
        assert_eq!(find(&flows, &[cookie.clone(), cookie.clone()], 0), None);
        let moved = OwnCookie { name: cookie.name.clone(), value: other.value };
        assert_eq!(find(&flows, &[moved], 0), None);
        let elsewhere = Flows { names: &there, origin: "https://vm2.example.org", sealer: &sealer };
        assert_eq!(find(&elsewhere, &[cookie], 0), None);
    }

    /// The name of a flow's cookie is a few bytes of a hash. What counts is the state that is sealed in it.
    ///
    /// Holds: O2, X1.
    #[test]
    fn a_flow_under_the_name_of_another_state_is_not_that_states() {
        let (sealer, entropy) = (sealer(), SeededEntropy::new(5));
        let here = names("https://vm1.example.org");
        let flows = Flows { names: &here, origin: "https://vm1.example.org", sealer: &sealer };
        let flow = Flow::begin(&entropy, "/x".to_owned(), START, 0);
        let other = Flow::begin(&entropy, "/x".to_owned(), START, 0);
        let under_the_name_of = |state: &State| {
            let name = flows.name(state.expose());
            let plain = serde_json::to_vec(&Sealed::of(&flow)).unwrap();
            let value = URL_SAFE_NO_PAD.encode(sealer.seal(flows.owner(&name).as_bytes(), &plain));
            OwnCookie { name, value: value.into_bytes() }
        };
        assert!(flows.find(flow.state.expose(), &[under_the_name_of(&flow.state)], START).is_some());
        assert!(flows.find(other.state.expose(), &[under_the_name_of(&other.state)], START).is_none());
    }

    /// Holds: O1.
    #[test]
    fn a_flow_begins_with_secrets_of_its_own_that_are_long_enough() {
        let entropy = crate::base::entropy::OsEntropy;
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let flow = Flow::begin(&entropy, "/".to_owned(), START, 0);
            // Six bits a character of base64url: 192, 256 and 128 bits.
            for (secret, length) in
                [(flow.state.expose(), 32), (flow.verifier.expose(), 43), (flow.nonce.expose(), 22)]
            {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                assert!(secret.len() == length && secret.bytes().all(is_plain), "{secret}");
                assert!(seen.insert(secret.to_owned()), "new each time");
            }
        }
    }

    /// Holds: O5.
    #[test]
    fn the_oldest_give_way_in_number_and_in_bytes_and_nobody_elses() {
        let (sealer, entropy) = (sealer(), SeededEntropy::new(4));
        let here = names("https://vm1.example.org");
        let flows = Flows { names: &here, origin: "https://vm1.example.org", sealer: &sealer };
        let mut cookies: Vec<OwnCookie> = (0..10).map(|at| begun(&flows, &entropy, "/", at).0).collect();
        let neighbour = names("https://vm1.example.org:8443");
        let theirs = Flows { names: &neighbour, origin: "https://vm1.example.org:8443", sealer: &sealer };
        cookies.push(begun(&theirs, &entropy, "/", 0).0);
        cookies.push(OwnCookie { name: format!("{}zzz", here.names().flow_prefix), value: b"junk".to_vec() });
        let gone = flows.crowded_out(&cookies, 400, START.plus(Duration::from_secs(10)));
        assert_eq!(gone, [cookies[11].name.clone(), cookies[0].name.clone()]);
        let long = format!("/{}", "a".repeat(1000));
        let heavy: Vec<OwnCookie> = (0..9).map(|at| begun(&flows, &entropy, &long, at).0).collect();
        let gone = flows.crowded_out(&heavy, heavy[0].value.len(), START.plus(Duration::from_secs(10)));
        let left: usize =
            heavy.iter().filter(|cookie| !gone.contains(&cookie.name)).map(|cookie| cookie.value.len()).sum();
        assert!(left + heavy[0].value.len() <= MOST_BYTES && gone.len() < 8, "{left} in {}", gone.len());
    }
}
