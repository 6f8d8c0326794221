//! Which sign-ins belong to one browser. The forge keeps one nonce per account, the last one it was asked with: tabs that
//! sign in at once are told each other's. A nonce of another tab is as good as the tab's own, for it was made for this
//! very browser, and for no other. What proves that is a sealed cookie: a request that begins or ends one sign-in and
//! carries another's cookie comes from the browser that has both. What a beginning proves is kept here, since the end of
//! the older sign-in may be on its way already, without the younger one's cookie.

use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;

use crate::base::secret::{Nonce, State};
use crate::gate::flow::{Flow, LIFE, MOST};

/// Sign-ins that are remembered at most. Only those are during which the same browser begins another one.
const MOST_REMEMBERED: u64 = 10_000;
/// Nonces that a browser is believed: each of its sign-ins may have been begun twice.
const MOST_NONCES: usize = 2 * MOST;

/// The nonces of one browser, the newest last.
type Family = Arc<Mutex<Vec<Nonce>>>;

/// The families of sign-ins under way. Forgetting one costs a visitor a second round, no more.
#[derive(Debug)]
pub(super) struct Siblings(Cache<[u8; 32], Family>);

impl Siblings {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(LIFE).build())
    }

    /// A sign-in begins in a browser that has these others under way.
    pub(super) fn begun(&self, flow: &Flow, others: &[Flow]) {
        let mut own: Option<Family> = None;
        for other in others {
            let family = self.0.get_with(digest(&other.state), || own.clone().unwrap_or_default());
            if own.as_ref().is_none_or(|own| !Arc::ptr_eq(own, &family)) {
                let mut nonces = family.lock().unwrap_or_else(PoisonError::into_inner);
                let surplus = (nonces.len() + 1).saturating_sub(MOST_NONCES);
                nonces.drain(..surplus);
                nonces.push(flow.nonce.clone());
            }
            own.get_or_insert(family);
        }
        if let Some(own) = own {
            self.0.insert(digest(&flow.state), own);
        }
    }

    /// The nonces, but its own, of the browser that ends this sign-in and has these others under way.
    pub(super) fn nonces(&self, state: &State, others: &[Flow]) -> Vec<Nonce> {
        let states = std::iter::once(state).chain(others.iter().map(|other| &other.state));
        let families = states.filter_map(|state| self.0.get(&digest(state)));
        let mut nonces: Vec<Nonce> = others.iter().map(|other| other.nonce.clone()).collect();
        let mut seen: Vec<Family> = Vec::new();
        for family in families {
            if !seen.iter().any(|seen| Arc::ptr_eq(seen, &family)) {
                nonces.extend(family.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
                seen.push(family);
            }
        }
        nonces
    }
}

/// A sign-in's key in memory.
pub(super) fn digest(state: &State) -> [u8; 32] {
    let mut key = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, state.expose().as_bytes());
    key.copy_from_slice(digest.as_ref());
    key
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::entropy::OsEntropy;

    fn new() -> Flow {
        Flow::begin(&OsEntropy, "/".to_owned(), Timestamp::default(), 0)
    }

    fn knows(siblings: &Siblings, flow: &Flow, others: &[Flow], of: &Flow) -> bool {
        siblings.nonces(&flow.state, others).iter().any(|nonce| nonce.expose() == of.nonce.expose())
    }

    /// Holds: O5.
    #[test]
    fn sign_ins_of_one_browser_know_each_other_and_no_stranger() {
        let siblings = Siblings::new();
        let (first, second, third, stranger, lone) = (new(), new(), new(), new(), new());
        siblings.begun(&first, &[]);
        siblings.begun(&second, from_ref(&first));
        siblings.begun(&third, from_ref(&first));
        siblings.begun(&stranger, from_ref(&lone));
        assert!(knows(&siblings, &first, &[], &second), "begun while the first was under way");
        assert!(knows(&siblings, &second, &[], &third), "both began beside the first");
        assert!(knows(&siblings, &first, from_ref(&stranger), &stranger), "its cookie came along");
        for flow in [&first, &second, &third] {
            assert!(!knows(&siblings, flow, &[], &stranger));
            assert!(!knows(&siblings, &stranger, &[], flow));
            assert!(!knows(&siblings, &new(), &[], flow));
        }
    }

    #[test]
    fn a_browser_is_believed_no_more_than_its_latest_nonces() {
        let siblings = Siblings::new();
        let first = new();
        let more: Vec<Flow> = std::iter::repeat_with(new).take(MOST_NONCES + 1).collect();
        for flow in &more {
            siblings.begun(flow, from_ref(&first));
        }
        assert_eq!(siblings.nonces(&first.state, &[]).len(), MOST_NONCES);
        assert!(
            knows(&siblings, &first, &[], &more[MOST_NONCES]) && !knows(&siblings, &first, &[], &more[0])
        );
    }
}
