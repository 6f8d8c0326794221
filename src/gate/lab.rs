//! A keeper between a forge with a script and a store that fails on command, for the laws of tokens. Time is tokio's
//! paused one for pauses, and a clock that is turned by hand for the lives of tokens.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::base::account::{Account, AccountKey, Identity, Standing, UserId};
use crate::base::clock::{Clock as _, ManualClock, Timestamp};
use crate::base::entropy::OsEntropy;
use crate::base::path::RouteTable;
use crate::base::peer::TrustedPeers;
use crate::base::port::Answer;
use crate::base::seal::{KeyRing, SealKey};
use crate::base::secret::{AuthCode, IdToken, Nonce, PkceVerifier, RefreshToken};
use crate::forge::api::{Authorization, ForgeOauth, Introspection, Profile, TokenSet};
use crate::forge::error::{ForgeError, IdTokenFault, OauthCode};
use crate::gate::exchange::{self, Failed, Opened};
use crate::gate::flow::Flow;
use crate::gate::keeper::{ForgeKeeper, Ports, Shared};
use crate::gate::renew::Law;
use crate::gate::settings::{SessionSettings, Settings, WithoutToken};
use crate::session::id::{SessionId, SessionKey};
use crate::session::memory::MemoryStore;
use crate::session::record::{GrantRecord, ScopeVerdict, SessionRecord};
use crate::session::store::{GrantRow, Lease, SessionRow, SessionStore, StoreError, Swap};
use crate::wire::ForgeToken;

const HOUR: Duration = Duration::from_hours(1);
const ISSUER: &str = "https://forge";

type Step<T> = Answer<'static, Result<T, ForgeError>>;

/// A forge that answers what it was told to, in this order. What it was not told it refuses.
#[derive(Default)]
pub(super) struct Script {
    refreshes: Mutex<VecDeque<Step<TokenSet>>>,
    introspections: Mutex<VecDeque<Step<Introspection>>>,
    standings: Mutex<VecDeque<Step<Standing>>>,
    profiles: Mutex<VecDeque<Step<Profile>>>,
    /// The access tokens that were asked about.
    pub looked: Mutex<Vec<String>>,
    /// Held up before an id_token is checked.
    verifying: Mutex<Option<Step<()>>>,
    /// Whether the nonce of every `id_token` is another sign-in's.
    pub crossed: AtomicBool,
    /// What a code is exchanged for.
    code: Mutex<Option<TokenSet>>,
    pub tried: Mutex<Vec<String>>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    pub(super) fn refreshes(
        &self,
        step: impl Future<Output = Result<TokenSet, ForgeError>> + Send + 'static,
    ) {
        self.refreshes.lock().unwrap().push_back(Box::pin(step));
    }

    pub(super) fn introspects(
        &self,
        step: impl Future<Output = Result<Introspection, ForgeError>> + Send + 'static,
    ) {
        self.introspections.lock().unwrap().push_back(Box::pin(step));
    }

    pub(super) fn stands(&self, step: impl Future<Output = Result<Standing, ForgeError>> + Send + 'static) {
        self.standings.lock().unwrap().push_back(Box::pin(step));
    }

    pub(super) fn is(&self, step: impl Future<Output = Result<Profile, ForgeError>> + Send + 'static) {
        self.profiles.lock().unwrap().push_back(Box::pin(step));
    }

    pub(super) fn verifies_after(&self, step: impl Future<Output = ()> + Send + 'static) {
        *self.verifying.lock().unwrap() = Some(Box::pin(async {
            step.await;
            Ok(())
        }));
    }

    /// It cannot tell for a moment whose the next `id_token` is.
    pub(super) fn loses_its_keys(&self) {
        *self.verifying.lock().unwrap() = Some(Box::pin(async { Err(ForgeError::Unavailable("no keys")) }));
    }

    pub(super) fn refresh_calls(&self) -> usize {
        self.tried.lock().unwrap().len()
    }
}

impl ForgeOauth for Script {
    fn issuer(&self) -> Option<Arc<str>> {
        Some(ISSUER.into())
    }

    fn discover(&self) -> Answer<'_, Result<Arc<str>, ForgeError>> {
        Box::pin(async { Ok(ISSUER.into()) })
    }

    fn ping(&self) -> Answer<'_, Result<(), ForgeError>> {
        Box::pin(async { Ok(()) })
    }

    fn answered<'a>(&'a self, _: Option<&'a str>) -> Answer<'a, Result<bool, ForgeError>> {
        Box::pin(async { Ok(true) })
    }

    fn authorize_url<'a>(&'a self, _: Authorization<'a>) -> Answer<'a, Result<String, ForgeError>> {
        Box::pin(async { Err(ForgeError::Unavailable("not in the script")) })
    }

    fn redeem<'a>(
        &'a self,
        _: AuthCode,
        _: PkceVerifier,
        _: &'a str,
    ) -> Answer<'a, Result<TokenSet, ForgeError>> {
        let set = self.code.lock().unwrap().take();
        Box::pin(async { set.ok_or(ForgeError::Unavailable("not in the script")) })
    }

    fn refresh<'a>(&'a self, token: &'a RefreshToken) -> Answer<'a, Result<TokenSet, ForgeError>> {
        self.tried.lock().unwrap().push(token.expose().to_owned());
        let step = self.refreshes.lock().unwrap().pop_front();
        step.unwrap_or_else(|| Box::pin(async { Err(spent()) }))
    }

    fn verify<'a>(
        &'a self,
        _: &'a IdToken,
        nonce: Option<&'a Nonce>,
    ) -> Answer<'a, Result<Identity, ForgeError>> {
        let held = self.verifying.lock().unwrap().take();
        let crossed = nonce.is_some() && self.crossed.load(Ordering::SeqCst);
        Box::pin(async move {
            if let Some(held) = held {
                held.await?;
            }
            if crossed { Err(ForgeError::BadIdToken(IdTokenFault::Nonce)) } else { Ok(identity()) }
        })
    }

    fn whose<'a>(&'a self, id_token: &'a IdToken) -> Answer<'a, Result<Identity, ForgeError>> {
        self.verify(id_token, None)
    }

    fn introspect<'a>(&'a self, _: &'a ForgeToken) -> Answer<'a, Result<Introspection, ForgeError>> {
        let step = self.introspections.lock().unwrap().pop_front();
        step.unwrap_or_else(|| Box::pin(async { Ok(Introspection::Active { scope: SCOPE.to_owned() }) }))
    }

    fn standing<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Standing, ForgeError>> {
        self.looked.lock().unwrap().push(token.expose().to_owned());
        let step = self.standings.lock().unwrap().pop_front();
        step.unwrap_or_else(|| Box::pin(async { Ok(Standing::Good) }))
    }

    fn profile<'a>(&'a self, _: &'a ForgeToken) -> Answer<'a, Result<Profile, ForgeError>> {
        let step = self.profiles.lock().unwrap().pop_front();
        step.unwrap_or_else(|| Box::pin(async { Ok(profile()) }))
    }
}

/// A memory store that does not take the next writes of grants.
#[derive(Debug)]
pub(super) struct Balky {
    inner: MemoryStore,
    pub refuses: AtomicUsize,
    /// How many of the next leases it takes without saying so.
    pub mute: AtomicUsize,
    /// Whether it takes no note of sessions' uses and ends.
    pub deaf: AtomicBool,
    /// Whether it finds no session, and how often it was asked for one meanwhile.
    pub blind: AtomicBool,
    pub blind_looks: AtomicUsize,
}

macro_rules! balky {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $kind),*) -> Answer<'_, Result<$out, StoreError>> {
            self.inner.$name($($arg),*)
        })*
    };
}

impl SessionStore for Balky {
    fn swap_grant(
        &self,
        account: AccountKey,
        seen: Option<u64>,
        next: GrantRow,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        let refused =
            self.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refused.is_ok() {
            return Box::pin(async { Err(StoreError::Unavailable("full on purpose".into())) });
        }
        self.inner.swap_grant(account, seen, next)
    }

    fn session(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Result<Option<SessionRow>, StoreError>> {
        if self.blind.load(Ordering::SeqCst) {
            self.blind_looks.fetch_add(1, Ordering::SeqCst);
            return Box::pin(async { Err(StoreError::Unavailable("blind on purpose".into())) });
        }
        self.inner.session(key, now)
    }

    fn touch_session(&self, key: SessionKey, seen_at: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        if self.deaf.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Unavailable("deaf on purpose".into())) });
        }
        self.inner.touch_session(key, seen_at)
    }

    fn remove_session(&self, key: SessionKey) -> Answer<'_, Result<bool, StoreError>> {
        if self.deaf.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Unavailable("deaf on purpose".into())) });
        }
        self.inner.remove_session(key)
    }

    fn lease(&self, lease: Lease, now: Timestamp) -> Answer<'_, Result<bool, StoreError>> {
        let taken = self.inner.lease(lease, now);
        let mute = self.mute.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if mute.is_ok() {
            return Box::pin(async {
                taken.await.and(Err(StoreError::Unavailable("mute on purpose".into())))
            });
        }
        taken
    }

    balky! {
        insert_session(key: SessionKey, row: SessionRow) -> ();
        sessions_of(account: AccountKey, now: Timestamp) -> Vec<(SessionKey, SessionRow)>;
        remove_sessions_of(account: AccountKey, except: Option<SessionKey>) -> u64;
        sessions_after(after: Option<SessionKey>, now: Timestamp, most: usize) -> Vec<(SessionKey, SessionRow)>;
        drop_grant(account: AccountKey, now: Timestamp, seen_after: Timestamp) -> bool;
        grant(account: AccountKey) -> Option<GrantRow>;
        release(lease: Lease) -> ();
        exchange_under_way(now: Timestamp, latest: Timestamp) -> bool;
        claim(once: [u8; 32], now: Timestamp, until: Timestamp) -> bool;
        sweep(now: Timestamp) -> u64;
        ping() -> ();
    }
}

pub(super) const SCOPE: &str = "openid read:user write:issue";

pub(super) fn spent() -> ForgeError {
    ForgeError::Spent(OauthCode::UnauthorizedClient)
}

/// The token set number `number`, an hour long.
pub(super) fn set(number: u32) -> TokenSet {
    TokenSet {
        access: ForgeToken::new(format!("access-{number}")).unwrap(),
        life: HOUR,
        refresh: Some(RefreshToken::new(format!("refresh-{number}"))),
        id_token: None,
    }
}

pub(super) fn account() -> Account {
    Account { issuer: ISSUER.into(), client_id: "vm".into(), sub: UserId("7".into()) }
}

/// Who the account is, as userinfo says it.
pub(super) fn profile() -> Profile {
    let (sub, login) = ("7".to_owned(), "alice".to_owned());
    Profile { sub, login, name: None, email: None, groups: Vec::new() }
}

fn identity() -> Identity {
    let id = UserId("7".into());
    Identity { id, login: "alice".to_owned(), name: None, email: None, groups: Vec::new() }
}

/// The keeper and what it works with.
pub(super) struct Lab {
    pub keeper: ForgeKeeper,
    pub forge: Arc<Script>,
    pub store: Arc<Balky>,
    pub clock: ManualClock,
}

impl Lab {
    pub(super) fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
        let (forge, entropy) = (Arc::new(Script::default()), Arc::new(OsEntropy));
        let store = Arc::new(Balky {
            inner: MemoryStore::new(100),
            refuses: AtomicUsize::new(0),
            mute: AtomicUsize::new(0),
            deaf: AtomicBool::new(false),
            blind: AtomicBool::new(false),
            blind_looks: AtomicUsize::new(0),
        });
        let ports = Ports {
            forge: forge.clone(),
            store: store.clone(),
            keys: KeyRing::of(SealKey::random(&*entropy)),
            clock: Arc::new(clock.clone()),
            entropy,
            handle: Handle::current(),
        };
        let keeper = ForgeKeeper::new(settings(), ports).unwrap();
        Self { keeper, forge, store, clock }
    }

    /// With the grant number 1 and a session stored, its token at its end.
    pub(super) async fn with_grant() -> Self {
        let lab = Self::new();
        lab.write(lab.grant(1, 1)).await;
        lab.open_session().await;
        lab.clock.advance(HOUR);
        lab
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.keeper.shared
    }

    pub(super) fn law(&self) -> Law {
        self.keeper.law()
    }

    /// A grant with the token set number `number`, obtained now.
    pub(super) fn grant(&self, version: u64, number: u32) -> GrantRecord {
        let (now, set) = (self.clock.now(), set(number));
        GrantRecord {
            version,
            account: account(),
            identity: identity(),
            access: set.access,
            access_expires_at: now.plus(HOUR),
            access_life: HOUR,
            refresh: set.refresh,
            dead: false,
            scope: SCOPE.to_owned(),
            verdict: ScopeVerdict::Exact,
            asked_at: now,
            standing: Standing::Good,
            checked_at: now,
            spares: Vec::new(),
            begun: 0,
        }
    }

    /// Somebody is signed in, in some browser.
    pub(super) async fn open_session(&self) -> SessionKey {
        self.open_session_of(account()).await
    }

    pub(super) async fn open_session_of(&self, account: Account) -> SessionKey {
        let now = self.clock.now();
        let record = SessionRecord {
            account,
            origin: "http://localhost".to_owned(),
            browser: None,
            created_at: now,
            seen_at: now,
            expires_at: now.plus(HOUR * 24),
        };
        let key = SessionId::random(&OsEntropy).key();
        self.shared().vault.insert_session(key, &record).await.unwrap();
        key
    }

    /// Somebody writes; whoever reads and writes in between finds that out.
    pub(super) async fn write(&self, grant: GrantRecord) {
        let until = self.clock.now().plus(HOUR * 24);
        assert_eq!(self.shared().vault.swap_grant(&grant, until).await.unwrap(), Swap::Done);
    }

    /// What is stored: version, access token, whether it is dead.
    pub(super) async fn stored(&self) -> GrantRecord {
        self.shared().vault.grant(&account()).await.unwrap().live().unwrap()
    }

    /// A code's exchange, which brings the token set number `number`.
    pub(super) async fn exchange(&self, number: u32) -> Result<Opened, Failed> {
        let id_token = Some(IdToken::new("id"));
        *self.forge.code.lock().unwrap() = Some(TokenSet { id_token, ..set(number) });
        let terms = exchange::Terms {
            redirect_uri: "http://localhost/cb".to_owned(),
            origin: "http://localhost".to_owned(),
            client_id: "vm".to_owned(),
            asked_scope: SCOPE.to_owned(),
            law: self.law(),
            browser: None,
        };
        let flow = Flow::begin(&OsEntropy, "/".to_owned(), self.clock.now(), 0);
        let under_way = self.shared().under_way.begin().unwrap();
        let code = AuthCode::new("code");
        let exchange = exchange::run(self.shared(), &terms, flow, None, code, under_way);
        exchange::announced(self.shared(), terms.law, exchange).await
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        public_url: "http://localhost".parse().unwrap(),
        prefix: "/_hero".to_owned(),
        forge_url: ISSUER.parse().unwrap(),
        client_id: "vm".to_owned(),
        scopes: vec![SCOPE.to_owned()],
        forge_token_pass_through: true,
        allow: Vec::new(),
        routes: RouteTable::new([]),
        session: SessionSettings { idle: HOUR * 24, absolute: HOUR * 24, recheck: Duration::from_mins(5) },
        min_ttl: Duration::from_mins(1),
        wait: Duration::from_secs(5),
        forge_timeout: Duration::from_secs(10),
        without_token: WithoutToken::Forward,
        trusted_proxies: TrustedPeers::default(),
        extra_reserved: Vec::new(),
        compat_oauth2_proxy: false,
    }
}
