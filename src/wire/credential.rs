//! Which token the app acts with: the one that the proxy passed on, else the one that this visitor pasted, else none;
//! and which of them it was. A pasted token belongs to who pasted it.

use http::Extensions;

use crate::wire::consume::{PassedToken, Refusals, Visitor};
use crate::wire::name::USER_ID;
use crate::wire::token::ForgeToken;

/// Who is asking, as far as a pasted token is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker<'a> {
    /// The visitor with this forge user id.
    Known(&'a str),
    /// No `X-Hero-User-Id` came: the app stands alone, or the route is open.
    Unnamed,
    /// An `X-Hero-User-Id` came and does not count. Nobody's pasted token is theirs.
    Doubtful,
}

impl<'a> Asker<'a> {
    /// Who is asking, by what [`ConsumeForgeTokenLayer`](crate::wire::consume::ConsumeForgeTokenLayer) left.
    pub fn of(extensions: &'a Extensions) -> Self {
        match extensions.get::<Visitor>() {
            Some(visitor) => Self::Known(&visitor.id),
            None if extensions.get::<Refusals>().is_some_and(|refusals| refusals.names(&USER_ID)) => {
                Self::Doubtful
            }
            None => Self::Unnamed,
        }
    }
}

/// A token that somebody pasted ("bring your own"), and who that was.
#[derive(Clone, Debug)]
pub struct ByoToken {
    /// The token.
    pub token: ForgeToken,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose a pasted token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The visitor with this forge user id.
    User(String),
    /// It was pasted while no user id arrived.
    Unrecorded,
    /// What is on record belongs to another token: nobody may use this one.
    Unclear,
}

impl Owner {
    /// Whether a pasted token of this owner may be used, shown, replaced and removed by `asker`.
    pub fn is(&self, asker: Asker<'_>) -> bool {
        match (self, asker) {
            (Self::User(owner), Asker::Known(id)) => owner == id,
            (Self::Unrecorded, Asker::Unnamed) => true,
            (Self::User(_), Asker::Unnamed | Asker::Doubtful)
            | (Self::Unrecorded, Asker::Known(_) | Asker::Doubtful)
            | (Self::Unclear, _) => false,
        }
    }
}

/// Where a credential came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The proxy passed it on.
    PassThrough,
    /// This visitor pasted it.
    Byo,
    /// There is none.
    None,
}

/// The token to act with, and where it came from.
#[derive(Clone, Debug)]
pub enum ForgeCredential {
    /// The proxy passed it on with this request: for this request, not for a job that runs later.
    PassThrough(PassedToken),
    /// This visitor pasted it.
    Byo(ForgeToken),
    /// There is none: say what to do.
    None,
}

impl ForgeCredential {
    /// Pass-through, else the pasted token if it is this asker's, else none.
    pub fn resolve(passed: Option<PassedToken>, byo: Option<ByoToken>, asker: Asker<'_>) -> Self {
        match passed {
            Some(passed) => Self::PassThrough(passed),
            None => Self::pasted(byo, asker),
        }
    }

    /// As [`resolve`](Self::resolve), asking for the pasted token only when none was passed on.
    ///
    /// # Cancel safety
    /// Nothing is changed, so nothing is lost.
    pub async fn find(passed: Option<PassedToken>, slot: &impl ByoTokens, asker: Asker<'_>) -> Self {
        match passed {
            Some(passed) => Self::PassThrough(passed),
            None => Self::pasted(slot.pasted().await, asker),
        }
    }

    /// What is left when the forge refuses this credential (401, or a scope is missing): the same asker's pasted token
    /// after a passed one, else none. Nobody ever falls back to somebody else's token.
    #[must_use]
    pub fn after_refusal(&self, byo: Option<ByoToken>, asker: Asker<'_>) -> Self {
        match self {
            Self::PassThrough(_) => Self::pasted(byo, asker),
            Self::Byo(_) | Self::None => Self::None,
        }
    }

    fn pasted(byo: Option<ByoToken>, asker: Asker<'_>) -> Self {
        match byo.filter(|byo| byo.owner.is(asker)) {
            Some(byo) => Self::Byo(byo.token),
            None => Self::None,
        }
    }

    /// Where it came from.
    pub fn source(&self) -> Source {
        match self {
            Self::PassThrough(_) => Source::PassThrough,
            Self::Byo(_) => Source::Byo,
            Self::None => Source::None,
        }
    }

    /// The token, if there is one.
    pub fn token(&self) -> Option<&ForgeToken> {
        match self {
            Self::PassThrough(passed) => Some(&passed.token),
            Self::Byo(token) => Some(token),
            Self::None => None,
        }
    }
}

/// Where an app keeps the pasted token. An app without such a slot answers with none; `()` does.
pub trait ByoTokens {
    /// The pasted token, whoever's it is. What cannot be read is none: say so in the app's log.
    fn pasted(&self) -> impl Future<Output = Option<ByoToken>> + Send;
}

impl ByoTokens for () {
    async fn pasted(&self) -> Option<ByoToken> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed() -> PassedToken {
        PassedToken { token: ForgeToken::new("passed").unwrap(), expires_at_secs: None, scopes: None }
    }

    fn pasted(owner: Owner) -> ByoToken {
        ByoToken { token: ForgeToken::new("pasted").unwrap(), owner }
    }

    #[test]
    fn pass_through_comes_first_then_the_pasted_token_then_none() {
        let alice = Asker::Known("42");
        let hers = || Some(pasted(Owner::User("42".into())));
        let check = |passed, pasted, source, token: Option<&str>| {
            let credential = ForgeCredential::resolve(passed, pasted, alice);
            assert_eq!((credential.source(), credential.token().map(ForgeToken::expose)), (source, token));
        };
        check(Some(passed()), hers(), Source::PassThrough, Some("passed"));
        check(Some(passed()), None, Source::PassThrough, Some("passed"));
        check(None, hers(), Source::Byo, Some("pasted"));
        check(None, None, Source::None, None);
    }

    #[test]
    fn a_pasted_token_serves_only_who_pasted_it() {
        let user = || Owner::User("42".into());
        for (owner, asker, may) in [
            (user(), Asker::Known("42"), true),
            (user(), Asker::Known("43"), false),
            (user(), Asker::Known("042"), false),
            (user(), Asker::Unnamed, false),
            (user(), Asker::Doubtful, false),
            (Owner::Unrecorded, Asker::Unnamed, true),
            (Owner::Unrecorded, Asker::Known("42"), false),
            (Owner::Unrecorded, Asker::Doubtful, false),
            (Owner::Unclear, Asker::Known("42"), false),
            (Owner::Unclear, Asker::Unnamed, false),
        ] {
            let source = if may { Source::Byo } else { Source::None };
            let first = ForgeCredential::resolve(None, Some(pasted(owner.clone())), asker);
            assert_eq!(first.source(), source, "{owner:?} {asker:?}");
            let after_401 =
                ForgeCredential::PassThrough(passed()).after_refusal(Some(pasted(owner.clone())), asker);
            assert_eq!(after_401.source(), source, "{owner:?} {asker:?}");
        }
    }

    #[test]
    fn a_refused_pasted_token_has_nothing_behind_it() {
        let again = || Some(pasted(Owner::User("42".into())));
        let byo = ForgeCredential::resolve(None, again(), Asker::Known("42"));
        assert_eq!(byo.after_refusal(again(), Asker::Known("42")).source(), Source::None);
    }

    /// Holds: H15.
    #[test]
    fn a_refused_token_header_falls_back_to_the_pasted_token_of_the_same_visitor() {
        let mut extensions = Extensions::new();
        extensions.insert(Visitor {
            id: "42".into(),
            login: "alice".into(),
            email: None,
            groups: Vec::new(),
        });
        let credential =
            ForgeCredential::resolve(None, Some(pasted(Owner::User("42".into()))), Asker::of(&extensions));
        assert_eq!(credential.source(), Source::Byo);
    }
}
