//! The port: what the gate asks of a forge.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::base::account::{Group, Identity, Standing};
use crate::base::port::Answer;
use crate::base::secret::{AuthCode, IdToken, Nonce, PkceVerifier, RefreshToken, State};
use crate::forge::error::ForgeError;
use crate::wire::ForgeToken;

/// What goes into the authorize URL (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1).
#[derive(Debug)]
pub struct Authorization<'a> {
    /// Our registered redirect URI: the same bytes go to the token endpoint.
    pub redirect_uri: &'a str,
    /// The scope, separated by single spaces.
    pub scope: &'a str,
    /// The state.
    pub state: &'a State,
    /// The nonce.
    pub nonce: &'a Nonce,
    /// The verifier whose S256 challenge is sent.
    pub verifier: &'a PkceVerifier,
}

/// A token response (docs/FORGEJO.md 1.6).
#[derive(Debug)]
pub struct TokenSet {
    /// The access token.
    pub access: ForgeToken,
    /// Its announced life; 300 s when the forge did not say, or said nonsense.
    pub life: Duration,
    /// The refresh token, if one came.
    pub refresh: Option<RefreshToken>,
    /// The id_token, if one came.
    pub id_token: Option<IdToken>,
}

/// What introspection says (RFC 7662 §2.2; docs/FORGEJO.md 1.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// Alive, with this scope text.
    Active {
        /// The grant's scope as the forge keeps it, byte for byte.
        scope: String,
    },
    /// The forge does not know this token.
    Inactive,
}

/// Who somebody is at this moment, by userinfo (docs/FORGEJO.md 1.8). It does not say whether the address is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The forge's user id as decimal text.
    pub sub: String,
    /// The login name.
    pub login: String,
    /// The display name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Organizations and teams; none unless the grant has the scope `groups`.
    pub groups: Vec<Group>,
}

/// What the gate asks of a forge. Futures are cancel safe in memory, but a `redeem` or `refresh` that was sent may have
/// taken effect at the forge: callers run them in tasks that nobody cancels.
pub trait ForgeOauth: Debug + Send + Sync + 'static {
    /// The issuer, byte for byte as discovery says it; none before discovery has succeeded once.
    fn issuer(&self) -> Option<Arc<str>>;
    /// Makes sure that the discovery document is known, asking for it if it is not.
    fn discover(&self) -> Answer<'_, Result<Arc<str>, ForgeError>>;
    /// Asks for the discovery document, known or not: whether the forge answers, and sensibly. What is known stays.
    fn ping(&self) -> Answer<'_, Result<(), ForgeError>>;
    /// Whether an answer of the authorize endpoint that names this issuer, or none, is this forge's: a name must be its
    /// very issuer, and may be missing unless the forge promises it (RFC 9207 §2.4). Asks for the discovery document
    /// first if it is not known.
    fn answered<'a>(&'a self, issuer: Option<&'a str>) -> Answer<'a, Result<bool, ForgeError>>;
    /// The URL to send a browser to, absolute; asks for the discovery document first if it is not known.
    fn authorize_url<'a>(&'a self, ask: Authorization<'a>) -> Answer<'a, Result<String, ForgeError>>;
    /// Exchanges a code. `redirect_uri`: the same bytes as in the authorize request.
    fn redeem<'a>(
        &'a self,
        code: AuthCode,
        verifier: PkceVerifier,
        redirect_uri: &'a str,
    ) -> Answer<'a, Result<TokenSet, ForgeError>>;
    /// Trades a refresh token for a new set.
    fn refresh<'a>(&'a self, token: &'a RefreshToken) -> Answer<'a, Result<TokenSet, ForgeError>>;
    /// Checks an id_token; with a nonce, that too (a refresh's id_token carries the last login's nonce: pass none).
    fn verify<'a>(
        &'a self,
        id_token: &'a IdToken,
        nonce: Option<&'a Nonce>,
    ) -> Answer<'a, Result<Identity, ForgeError>>;
    /// Whose grant an id_token speaks of: checked as by `verify`, but for the nonce and the time. A refused sign-in outdates
    /// that account's stored set all the same, on a machine whose clock is wrong too.
    fn whose<'a>(&'a self, id_token: &'a IdToken) -> Answer<'a, Result<Identity, ForgeError>>;
    /// Asks what a token is good for.
    fn introspect<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Introspection, ForgeError>>;
    /// Asks, with an account's own access token, whether the account may act. [`ForgeError::Unauthorized`]: the token is
    /// dead, which says nothing about the account; every other error says nothing at all.
    fn standing<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Standing, ForgeError>>;
    /// Asks, with an account's own access token, who that is now. Errors as for `standing`.
    fn profile<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Profile, ForgeError>>;
}
