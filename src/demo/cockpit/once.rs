//! One form files one issue, however often it is sent.
//!
//! 1. A form carries a number that this process gave out. What it came to is remembered: the same form again, also
//!    while the first is under way, gets that and files nothing.
//! 2. The memory is bounded. What is older than it reaches is refused, never filed a second time.
//! 3. A refused form is no loss: the page comes back with all that was written and a new number.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::base::entropy::{Entropy, random_text};
use crate::demo::cockpit::filing::Outcome;
use crate::demo::cockpit::forge_calls::Issue;

/// How many sent forms are remembered.
const REMEMBERED: usize = 1024;

/// What becomes of a form; none while it is under way.
pub(super) type Fate = watch::Receiver<Option<Outcome>>;

/// The forms that this process gave out.
#[derive(Debug)]
pub(super) struct Forms {
    /// Told apart from the forms of a process before this one.
    process: String,
    next: AtomicU64,
    sent: Mutex<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    /// Forms below this number have been forgotten.
    floor: u64,
    /// By number and sender: nobody can use up somebody else's form.
    fates: BTreeMap<(u64, String), (u64, Fate)>,
}

/// What to do with a form that came in.
#[derive(Debug)]
pub(super) enum Turn {
    /// File it, and say here what it came to.
    First(watch::Sender<Option<Outcome>>),
    /// It was sent before: this is what becomes of it.
    Again(Fate),
    /// Not one that can be filed: show it again, under a new number.
    Stale,
}

impl Forms {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        Self { process: random_text::<9>(entropy), next: AtomicU64::new(0), sent: Mutex::default() }
    }

    /// The id of a new form.
    pub(super) fn give_out(&self) -> String {
        format!("{}.{}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a form in.
    pub(super) fn take(&self, id: &str, sender: &str, issue: &Issue) -> Turn {
        let Some(number) = self.number(id) else { return Turn::Stale };
        let text = fingerprint(issue);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if number < sent.floor {
            return Turn::Stale;
        }
        let key = (number, sender.to_owned());
        match sent.fates.get(&key) {
            Some((known, fate)) if *known == text => return Turn::Again(fate.clone()),
            // The visitor went back and wrote something else: that is another piece of feedback.
            Some(_) => return Turn::Stale,
            None => {}
        }
        let (tell, fate) = watch::channel(None);
        sent.fates.insert(key, (text, fate));
        if sent.fates.len() > REMEMBERED
            && let Some(((oldest, _), _)) = sent.fates.pop_first()
        {
            sent.floor = oldest + 1;
        }
        Turn::First(tell)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let number: u64 = id.strip_prefix(&self.process)?.strip_prefix('.')?.parse().ok()?;
        (number < self.next.load(Ordering::Relaxed)).then_some(number)
    }
}

fn fingerprint(issue: &Issue) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&issue.title, &issue.body).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::entropy::SeededEntropy;

    fn forms(seed: u64) -> Forms {
        Forms::new(&SeededEntropy::new(seed))
    }

    fn issue(title: &str) -> Issue {
        Issue { title: title.into(), body: String::new() }
    }

    #[test]
    fn a_form_is_filed_once_and_the_second_sending_learns_what_became_of_it() {
        let forms = forms(1);
        let id = forms.give_out();
        let Turn::First(tell) = forms.take(&id, "42", &issue("a")) else { unreachable!("it is new") };
        let Turn::Again(fate) = forms.take(&id, "42", &issue("a")) else { unreachable!("it is known") };
        assert_eq!(*fate.borrow(), None);
        let filed =
            Outcome::Filed { number: Some(7), page: None, by: crate::wire::credential::Source::PassThrough };
        tell.send_replace(Some(filed.clone()));
        assert_eq!(*fate.borrow(), Some(filed));
    }

    #[test]
    fn a_used_form_with_another_text_is_shown_again_and_not_swallowed() {
        let forms = forms(1);
        let id = forms.give_out();
        assert!(matches!(forms.take(&id, "42", &issue("a")), Turn::First(_)));
        assert!(matches!(forms.take(&id, "42", &issue("b")), Turn::Stale));
    }

    #[test]
    fn nobody_uses_up_somebody_elses_form() {
        let forms = forms(1);
        let id = forms.give_out();
        assert!(matches!(forms.take(&id, "43", &issue("a")), Turn::First(_)));
        assert!(matches!(forms.take(&id, "42", &issue("a")), Turn::First(_)));
    }

    #[test]
    fn a_form_that_this_process_did_not_give_out_is_stale() {
        let forms = forms(1);
        let other = Forms::new(&SeededEntropy::new(2)).give_out();
        let unborn = forms.give_out().replace(".0", ".1");
        for id in ["", ".", "0", other.as_str(), unborn.as_str(), &format!("{}.-1", forms.process)] {
            assert!(matches!(forms.take(id, "42", &issue("a")), Turn::Stale), "{id}");
        }
    }

    #[test]
    fn what_is_forgotten_is_never_filed_again() {
        let forms = forms(1);
        let ids: Vec<_> = (0..REMEMBERED + 5).map(|_| forms.give_out()).collect();
        for id in &ids {
            assert!(matches!(forms.take(id, "42", &issue("a")), Turn::First(_)));
        }
        assert_eq!(forms.sent.lock().unwrap().fates.len(), REMEMBERED);
        assert!(ids.iter().all(|id| !matches!(forms.take(id, "42", &issue("a")), Turn::First(_))));
    }
}
