//! What the gate must be told. The config room makes it; somebody else's proxy may make it by hand.

use std::time::Duration;

use crate::base::account::Group;
use crate::base::path::RouteTable;
use crate::base::peer::TrustedPeers;
use crate::base::url::WebUrl;
use crate::forge::http::token_timeout;

/// What a lease leaves for the store.
pub(super) const STORE_TIME: Duration = Duration::from_secs(10);

/// All that a gate needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the browser sees: scheme, host, port; no path.
    pub public_url: WebUrl,
    /// Our own endpoints lie below this path, `/_hero` by default: no trailing slash.
    pub prefix: String,
    /// The forge as the browser sees it, for links on our pages.
    pub forge_url: WebUrl,
    /// Our OAuth client id.
    pub client_id: String,
    /// The scope words to ask for, in order; the config check has made sure that they are worth asking.
    pub scopes: Vec<String>,
    /// The flag: whether tokens are passed on at all.
    pub forge_token_pass_through: bool,
    /// Who may pass where no route says otherwise.
    pub allow: Vec<Allow>,
    /// The routes.
    pub routes: RouteTable<RouteRule>,
    /// A session's lives.
    pub session: SessionSettings,
    /// A token that has less life left is renewed before it is passed on; 60 s by default.
    pub min_ttl: Duration,
    /// How long a request waits for the forge or the store at most.
    pub wait: Duration,
    /// The longest that one call to the forge may take; one for tokens twice as long.
    pub forge_timeout: Duration,
    /// What happens when no live token can be had although one is wanted.
    pub without_token: WithoutToken,
    /// Whose `X-Forwarded-*` are believed.
    pub trusted_proxies: TrustedPeers,
    /// Header names to drop from what clients send, beside the built-in list.
    pub extra_reserved: Vec<String>,
    /// Also set oauth2-proxy's header names.
    pub compat_oauth2_proxy: bool,
}

impl Settings {
    /// The longest that a renewal's call may take: discovery and the token endpoint. An exchange reads the keys, too, once in
    /// the life of a process.
    pub(super) fn token_call(&self) -> Duration {
        self.forge_timeout + token_timeout(self.forge_timeout)
    }

    /// The longest that one renewal may take: a lease lasts so long, and so does the drain of a process. A call for tokens,
    /// and some seconds for the store.
    pub fn lease(&self) -> Duration {
        self.token_call() + STORE_TIME
    }
}

/// A session's lives.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// A session ends after so long without a request.
    pub idle: Duration,
    /// A session ends so long after its sign-in, whatever happens.
    pub absolute: Duration,
    /// How long what the forge said of an account counts, 5 minutes by default: whoever is suspended there loses access
    /// here by then. The forge is asked at most once in this time for each account that is in use.
    pub recheck: Duration,
}

/// A live token is wanted and cannot be had for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutToken {
    /// Forward with the identity, without the token: the app falls back to the pasted one.
    Forward,
    /// Answer 503 with `Retry-After`.
    Unavailable,
}

/// One line of `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// `user:alice`: by login name, compared without regard to ASCII case as the forge does.
    User(String),
    /// `user-id:42`
    UserId(String),
    /// `org:acme` or `team:acme/ops`: membership, the organization compared without regard to ASCII case.
    Group(Group),
    /// `any-user`: whoever can sign in at the forge.
    AnyUser,
}

/// What a route says to the gate.
#[derive(Clone, Debug)]
pub struct RouteRule {
    /// Nobody needs to sign in here.
    pub public: bool,
    /// Who may pass; none: the gate's `allow`.
    pub allow: Option<Vec<Allow>>,
    /// Whether this route's upstream may have the visitor's token.
    pub forge_token: ForgeTokenFor,
    /// Whether this route's upstream may have the visitor's groups.
    pub groups: GroupsFor,
    /// Whether unsafe methods may come from other origins.
    pub cross_origin: bool,
    /// Whether the upstream is believed when it calls the visitor's token invalid.
    pub renew_on_401: bool,
}

/// Whose token a route's upstream may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForgeTokenFor {
    /// Nobody's.
    Nobody,
    /// Everybody's who may pass.
    Everybody,
    /// These visitors' only.
    Only(Vec<Allow>),
}

/// Which groups a route's upstream may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupsFor {
    /// None.
    None,
    /// All that the visitor is in; they name private organizations too.
    All,
    /// These only.
    Only(Vec<Group>),
}
