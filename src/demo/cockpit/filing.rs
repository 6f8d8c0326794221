//! Filing one issue: which token is tried, when another one may be, and what it all came to. No issue is filed twice:
//! a second token is tried only after an answer that says that nothing was filed.

use http::Extensions;
use url::Url;

use crate::demo::cockpit::answer::{Answer, Refusal};
use crate::demo::cockpit::forge_calls::{Fault, ForgeIssues, Issue};
use crate::wire::consume::{PassedToken, Visitor};
use crate::wire::credential::{Asker, ByoTokens, ForgeCredential, Source};

/// The scope that filing needs.
pub(super) const SCOPE: &str = "write:issue";

/// What became of a piece of feedback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is on the forge.
    Filed {
        number: Option<u64>,
        /// As the forge names it.
        page: Option<Url>,
        /// With which token.
        by: Source,
    },
    /// It may be on the forge: somebody must look before it is sent again.
    Doubtful(Doubt),
    /// It is not on the forge.
    NotFiled(Reason),
}

/// Why nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    TimedOut,
    CutShort,
    /// An answer that does not say it: a fault inside the forge, or of what stands before it.
    OddAnswer,
}

/// Why it is not on the forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Neither a passed nor a pasted token.
    NoToken,
    /// The forge could not be reached.
    Unreachable,
    /// The forge said no to this token.
    Refused(Refusal, Source),
}

/// Who files, as far as filing is concerned; owned, since the work outlives the request.
#[derive(Clone, Debug)]
pub(super) struct Filer {
    passed: Option<PassedToken>,
    visitor_id: Option<String>,
    doubtful: bool,
}

impl Filer {
    pub(super) fn of(extensions: &Extensions) -> Self {
        Self {
            passed: extensions.get().cloned(),
            visitor_id: extensions.get::<Visitor>().map(|visitor| visitor.id.clone()),
            doubtful: Asker::of(extensions) == Asker::Doubtful,
        }
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        match &self.visitor_id {
            Some(id) => Asker::Known(id),
            None if self.doubtful => Asker::Doubtful,
            None => Asker::Unnamed,
        }
    }
}

/// Files the issue with the passed token, else with the filer's own pasted one.
///
/// # Cancel safety
/// None: run it in a task that nobody cancels.
pub(super) async fn file(forge: &ForgeIssues, slot: &impl ByoTokens, filer: Filer, issue: &Issue) -> Outcome {
    let asker = filer.asker();
    let mut credential = ForgeCredential::find(filer.passed.clone(), slot, asker).await;
    let mut reason = Reason::NoToken;
    while let Some(token) = credential.token() {
        let by = credential.source();
        let refusal = if lacks_scope(&credential) {
            Refusal::MissingScope
        } else {
            match settle(forge.file(token, issue).await, by) {
                Ok(outcome) => return outcome,
                Err(refusal) => refusal,
            }
        };
        reason = Reason::Refused(refusal, by);
        credential = credential.after_refusal(slot.pasted().await, asker);
    }
    Outcome::NotFiled(reason)
}

/// Whether it is known beforehand that this token cannot file: then the forge need not be asked.
fn lacks_scope(credential: &ForgeCredential) -> bool {
    matches!(credential, ForgeCredential::PassThrough(passed) if passed.covers(SCOPE) == Some(false))
}

/// What one try came to; an error if another token may be tried.
fn settle(answer: Result<Answer, Fault>, by: Source) -> Result<Outcome, Refusal> {
    Ok(match answer {
        Ok(Answer::Filed { number, page }) => Outcome::Filed { number, page, by },
        Ok(Answer::Refused(refusal @ (Refusal::DeadToken | Refusal::MissingScope))) => return Err(refusal),
        Ok(Answer::Refused(refusal)) => Outcome::NotFiled(Reason::Refused(refusal, by)),
        Ok(Answer::Renamed(_)) => Outcome::NotFiled(Reason::Refused(Refusal::Elsewhere, by)),
        Ok(Answer::Doubtful) => Outcome::Doubtful(Doubt::OddAnswer),
        Err(Fault::NotSent) => Outcome::NotFiled(Reason::Unreachable),
        Err(Fault::TimedOut) => Outcome::Doubtful(Doubt::TimedOut),
        Err(Fault::CutShort) => Outcome::Doubtful(Doubt::CutShort),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_token_lets_another_token_be_tried() {
        let by = Source::PassThrough;
        for refusal in [Refusal::DeadToken, Refusal::MissingScope] {
            assert_eq!(settle(Ok(Answer::Refused(refusal)), by), Err(refusal));
        }
        for refusal in [
            Refusal::AccountState,
            Refusal::NotAllowed,
            Refusal::NotFound,
            Refusal::Rejected,
            Refusal::TooLarge,
            Refusal::Archived,
            Refusal::Busy,
            Refusal::Elsewhere,
        ] {
            let settled = Ok(Outcome::NotFiled(Reason::Refused(refusal, by)));
            assert_eq!(settle(Ok(Answer::Refused(refusal)), by), settled);
        }
    }

    #[test]
    fn what_was_sent_and_not_answered_is_in_doubt_and_what_was_not_sent_is_not() {
        let check = |answer, outcome| assert_eq!(settle(answer, Source::Byo), Ok(outcome));
        check(Err(Fault::NotSent), Outcome::NotFiled(Reason::Unreachable));
        check(Err(Fault::TimedOut), Outcome::Doubtful(Doubt::TimedOut));
        check(Err(Fault::CutShort), Outcome::Doubtful(Doubt::CutShort));
        check(Ok(Answer::Doubtful), Outcome::Doubtful(Doubt::OddAnswer));
    }
}
