//! The app's half of the hop: headers become typed values in the request's extensions, or nothing.
//!
//! 1. Extensions of our types are removed first, so that nothing upstream in the app can plant one.
//! 2. All headers of ours are removed from the request, whoever sent them: what is not in an extension is nowhere.
//! 3. A header counts only from a trusted peer, once, not empty, in its documented form.
//! 4. What came and does not count is a [`Refused`] in the extension [`Refusals`], for the app to log: this room has no
//!    log of its own. A refusal never holds the value.

use std::fmt;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tower_layer::Layer;
use tower_service::Service;

use crate::wire::encode::{VisitorGroup, decode, decode_groups};
use crate::wire::name::{EMAIL, FORGE_SCOPES, FORGE_TOKEN, FORGE_TOKEN_EXPIRES, GROUPS, USER, USER_ID};
use crate::wire::token::ForgeToken;
use crate::wire::trust::{PeerAddress, Trust};

/// Who is asking, as the proxy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The forge's numeric id in decimal: the key for whatever is stored about somebody, since all else changes hands.
    pub id: String,
    /// The login name of the moment.
    pub login: String,
    /// The e-mail address, if the proxy knows one.
    pub email: Option<String>,
    /// Organizations and teams; empty unless the proxy's route passes them on.
    pub groups: Vec<VisitorGroup>,
}

/// The visitor's forge token, passed on for this request.
#[derive(Clone, Debug)]
pub struct PassedToken {
    /// The token.
    pub token: ForgeToken,
    /// When it ends, in unix seconds; none if the sender did not say.
    pub expires_at_secs: Option<u64>,
    /// The scopes that the forge really granted; none if the sender did not say.
    pub scopes: Option<Vec<String>>,
}

impl PassedToken {
    /// Whether the token's scopes cover an API scope such as `write:issue`; none when they are not known.
    /// `write` covers `read`, `all` covers everything. Source: docs/FORGEJO.md 2.1.
    pub fn covers(&self, wanted: &str) -> Option<bool> {
        let covered = |scope: &String| {
            scope == wanted
                || scope == "all"
                || wanted.strip_prefix("read:").is_some_and(|what| scope.strip_prefix("write:") == Some(what))
        };
        self.scopes.as_ref().map(|scopes| scopes.iter().any(covered))
    }
}

/// Why a header that came does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The server did not say who the peer is; see [`PeerAddress`].
    UnknownPeer,
    /// The peer is not one of those that the app named.
    UntrustedPeer,
    /// More than one value.
    Repeated,
    /// An empty value; the proxy never sends one.
    Empty,
    /// Not in the documented form.
    Malformed,
    /// A login name without an id, or an id without a login name.
    Incomplete,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPeer => "the server does not say who sent it",
            Self::UntrustedPeer => "it was sent by a peer that is not trusted",
            Self::Repeated => "it came more than once",
            Self::Empty => "it is empty",
            Self::Malformed => "it is not in its documented form",
            Self::Incomplete => "its other half is missing",
        })
    }
}

/// A header that came and does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which one.
    pub header: HeaderName,
    /// Why.
    pub why: Refusal,
}

/// All headers of a request that came and do not count; an extension only if there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals(pub Vec<Refused>);

impl Refusals {
    /// Whether this header came and does not count.
    pub fn names(&self, header: &HeaderName) -> bool {
        self.0.iter().any(|refused| refused.header == header)
    }
}

/// All that the headers say.
#[derive(Clone, Debug, Default)]
pub struct Consumed {
    /// Who is asking.
    pub visitor: Option<Visitor>,
    /// Their token.
    pub token: Option<PassedToken>,
    /// What came and does not count.
    pub refused: Vec<Refused>,
}

/// Takes our headers out of `headers` and reads them: the whole law of this room, without a layer around it.
pub fn consume(headers: &mut HeaderMap, peer: Option<PeerAddress>, trust: &Trust) -> Consumed {
    let mut reader = Reader { headers, refused: Vec::new() };
    let distrust = match peer {
        None => Some(Refusal::UnknownPeer),
        Some(peer) if !trust.believes(peer) => Some(Refusal::UntrustedPeer),
        Some(_) => None,
    };
    if let Some(why) = distrust {
        for name in [FORGE_TOKEN, FORGE_TOKEN_EXPIRES, FORGE_SCOPES, USER, USER_ID, EMAIL, GROUPS] {
            if reader.headers.remove(&name).is_some() {
                reader.refused.push(Refused { header: name, why });
            }
        }
        return Consumed { refused: reader.refused, ..Consumed::default() };
    }
    let token = reader.passed_token();
    let visitor = reader.visitor();
    Consumed { visitor, token, refused: reader.refused }
}

struct Reader<'a> {
    headers: &'a mut HeaderMap,
    refused: Vec<Refused>,
}

/// What became of one header.
enum Found<T> {
    Absent,
    Refused,
    Value(T),
}

impl<T> Found<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Refused => None,
        }
    }
}

impl Reader<'_> {
    /// Token, expiry and scopes stand or fall together: if one of them is odd, somebody meddled with them.
    fn passed_token(&mut self) -> Option<PassedToken> {
        let token = self.take(FORGE_TOKEN, |text| ForgeToken::new(text).ok());
        let expires_at = self.take(FORGE_TOKEN_EXPIRES, decimal);
        let scopes = self.take(FORGE_SCOPES, scopes);
        let odd = matches!(expires_at, Found::Refused) || matches!(scopes, Found::Refused);
        match token {
            Found::Value(_) if odd => {
                self.refuse(FORGE_TOKEN, Refusal::Incomplete);
                None
            }
            Found::Value(token) => {
                Some(PassedToken { token, expires_at_secs: expires_at.value(), scopes: scopes.value() })
            }
            Found::Absent | Found::Refused => None,
        }
    }

    fn visitor(&mut self) -> Option<Visitor> {
        let id = self.take(USER_ID, |text| decimal(text).map(|_| text.to_owned()));
        let login = self.take(USER, decode);
        let email = self.take(EMAIL, decode).value();
        let groups = self.take(GROUPS, decode_groups).value().unwrap_or_default();
        match (id, login) {
            (Found::Value(id), Found::Value(login)) => Some(Visitor { id, login, email, groups }),
            (Found::Value(_), _) => {
                self.refuse(USER_ID, Refusal::Incomplete);
                None
            }
            (_, Found::Value(_)) => {
                self.refuse(USER, Refusal::Incomplete);
                None
            }
            _ => None,
        }
    }

    /// Removes a header, and reads it if it came exactly once.
    fn take<T>(&mut self, name: HeaderName, read: impl FnOnce(&str) -> Option<T>) -> Found<T> {
        let repeated = self.headers.get_all(&name).iter().nth(1).is_some();
        let Some(value) = self.headers.remove(&name) else { return Found::Absent };
        let read = if repeated { Err(Refusal::Repeated) } else { read_one(&value, read) };
        match read {
            Ok(value) => Found::Value(value),
            Err(why) => {
                self.refuse(name, why);
                Found::Refused
            }
        }
    }

    fn refuse(&mut self, header: HeaderName, why: Refusal) {
        self.refused.push(Refused { header, why });
    }
}

fn read_one<T>(value: &HeaderValue, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Refusal> {
    if value.is_empty() {
        return Err(Refusal::Empty);
    }
    value.to_str().ok().and_then(read).ok_or(Refusal::Malformed)
}

/// A number as the proxy writes it: digits, no sign, no zero in front.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Scope words, separated by blanks: the forge keeps them as they were asked for, doubled blanks included.
fn scopes(text: &str) -> Option<Vec<String>> {
    let known = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    let words: Vec<String> = text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    (text.bytes().all(known) && !words.is_empty()).then_some(words)
}

/// Reads what the proxy says and puts it into a request's extensions: [`Visitor`], [`PassedToken`], [`Refusals`].
///
/// # Example
/// ```
/// use hero_proxy::wire::consume::ConsumeForgeTokenLayer;
/// use hero_proxy::wire::trust::Trust;
/// // The app listens on a Unix socket that only the proxy can reach.
/// let layer = ConsumeForgeTokenLayer::new(Trust::unix_peer());
/// ```
#[derive(Clone, Debug)]
pub struct ConsumeForgeTokenLayer {
    trust: Trust,
}

impl ConsumeForgeTokenLayer {
    /// A layer that believes these peers.
    pub fn new(trust: Trust) -> Self {
        Self { trust }
    }
}

impl<S> Layer<S> for ConsumeForgeTokenLayer {
    type Service = ConsumeForgeToken<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConsumeForgeToken { inner, trust: self.trust.clone() }
    }
}

/// The service of [`ConsumeForgeTokenLayer`].
#[derive(Clone, Debug)]
pub struct ConsumeForgeToken<S> {
    inner: S,
    trust: Trust,
}

impl<S, B> Service<Request<B>> for ConsumeForgeToken<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let peer = PeerAddress::of(request.extensions());
        let consumed = consume(request.headers_mut(), peer, &self.trust);
        let extensions = request.extensions_mut();
        extensions.remove::<Visitor>();
        extensions.remove::<PassedToken>();
        extensions.remove::<Refusals>();
        if let Some(visitor) = consumed.visitor {
            extensions.insert(visitor);
        }
        if let Some(token) = consumed.token {
            extensions.insert(token);
        }
        if !consumed.refused.is_empty() {
            extensions.insert(Refusals(consumed.refused));
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests;
