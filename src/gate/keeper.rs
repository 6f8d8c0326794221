//! The gatekeeper that answers by the forge.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, header};
use moka::sync::Cache;
use tokio::runtime::Handle;
use tracing::{debug, error, warn};
use url::Url;

use crate::base::account::AccountKey;
use crate::base::clock::{Clock, Timestamp};
use crate::base::entropy::{Entropy, random_bytes};
use crate::base::fault::Fault;
use crate::base::path::{self, PathForm};
use crate::base::peer::Peer;
use crate::base::seal::{KeyRing, Sealer};
use crate::base::tasks::Tasks;
use crate::forge::api::ForgeOauth;
use crate::gate::answer::{self, Offer};
use crate::gate::exchange::{Failed, Opened};
use crate::gate::flight::Flights;
use crate::gate::judge::{Behind, Judgement, judge};
use crate::gate::near::{Known, Look, Near, NearAccount, NearSession};
use crate::gate::own::Own;
use crate::gate::pages::Action;
use crate::gate::reason::{self, Reason};
use crate::gate::renew::{self, Law, Renewal};
use crate::gate::rules;
use crate::gate::scope;
use crate::gate::settings::Settings;
use crate::gate::sign_in;
use crate::gate::unsaved::{Exchanges, Unsaved};
use crate::gate::verdict::{Answer, Asked, Decision, Gatekeeper, Reader, Verdict};
use crate::session::cookie::{CookieNames, UnsafeOrigin};
use crate::session::id::{SessionId, SessionKey};
use crate::session::store::{SessionStore, StoreError};
use crate::session::vault::{Found, Vault};
use crate::wire::inject::{ForwardedHeaders, Injection};
use crate::wire::scrub::{OwnCookie, ScrubRules, Scrubbed, SessionCookie, fold};

/// How often the use of a session is noted in the store at most.
const TOUCH: Duration = Duration::from_mins(1);

/// What a keeper works with.
#[derive(Debug)]
pub struct Ports {
    /// The forge.
    pub forge: Arc<dyn ForgeOauth>,
    /// Where sessions and grants are kept.
    pub store: Arc<dyn SessionStore>,
    /// What they are sealed with.
    pub keys: KeyRing,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Where store and forge work runs; it may be another runtime than the one that serves.
    pub handle: Handle,
}

/// What all generations of a configuration share.
#[derive(Debug)]
pub(super) struct Shared {
    pub forge: Arc<dyn ForgeOauth>,
    pub vault: Vault,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub tasks: Tasks,
    pub near: Near,
    pub flow_sealer: Sealer,
    pub loads: Flights<SessionKey, Loaded>,
    pub renewals: Flights<AccountKey, Renewal>,
    pub exchanges: Flights<[u8; 32], Result<Arc<Opened>, Failed>>,
    /// Accounts whose renewal failed a moment ago, and until when they rest.
    pub rests: Cache<AccountKey, Timestamp>,
    pub asks: Flights<AccountKey, ()>,
    /// Accounts whose scope was asked for a moment ago, and when.
    pub asked: Cache<AccountKey, Timestamp>,
    /// Token sets that are not stored yet.
    pub unsaved: Unsaved,
    /// Exchanges that have not come so far yet.
    pub under_way: Exchanges,
}

/// What a look at the store brings: somebody, nobody, or no answer.
pub(super) type Loaded = Result<Option<Known>, ()>;

/// One configuration, and what follows from it.
#[derive(Debug)]
pub(super) struct Terms {
    pub settings: Settings,
    /// Our origin as browsers write it (RFC 6454 §6.2).
    pub origin: String,
    /// The Host that we answer to, and with an explicit default port too.
    hosts: [String; 2],
    pub cookies: CookieNames,
    rules: ScrubRules,
    pub scope: String,
    proto: HeaderValue,
}

/// A gatekeeper that signs visitors in at a forge, keeps their sessions and their tokens fresh. Clones share everything.
#[derive(Clone, Debug)]
pub struct ForgeKeeper {
    pub(super) terms: Arc<Terms>,
    pub(super) shared: Arc<Shared>,
}

impl ForgeKeeper {
    /// A keeper for one configuration.
    ///
    /// # Errors
    /// [`UnsafeOrigin`] when the public URL is plain http beyond loopback: its cookies could be read on the way.
    pub fn new(settings: Settings, ports: Ports) -> Result<Self, UnsafeOrigin> {
        let Ports { forge, store, keys, clock, entropy, handle } = ports;
        let shared = Shared {
            flow_sealer: Sealer::new(&keys, "flow", Arc::clone(&entropy)),
            vault: Vault::new(store, &keys, Arc::clone(&entropy)),
            forge,
            clock,
            entropy,
            tasks: Tasks::on(handle),
            near: Near::new(),
            loads: Flights::default(),
            renewals: Flights::default(),
            exchanges: Flights::default(),
            rests: rests(),
            asks: Flights::default(),
            asked: rests(),
            unsaved: Unsaved::default(),
            under_way: Exchanges::default(),
        };
        Ok(Self { terms: Arc::new(terms(settings)?), shared: Arc::new(shared) })
    }

    /// The same keeper under another configuration: it shares sessions, tokens and all work under way.
    ///
    /// # Errors
    /// As [`ForgeKeeper::new`].
    pub fn with(&self, settings: Settings) -> Result<Self, UnsafeOrigin> {
        Ok(Self { terms: Arc::new(terms(settings)?), shared: Arc::clone(&self.shared) })
    }

    /// Waits until renewals, sign-ins and store writes under way have ended, `limit` at most; says whether they have.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the work.
    pub async fn drain(&self, limit: Duration) -> bool {
        for held in self.shared.unsaved.all() {
            renew::save_behind(&self.shared, self.law(), held);
        }
        self.shared.tasks.drain(limit).await
    }

    /// Drops expired rows from the store.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot answer.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.shared.vault.sweep(self.shared.clock.now()).await
    }
}

fn rests() -> Cache<AccountKey, Timestamp> {
    Cache::builder().max_capacity(100_000).time_to_live(Duration::from_mins(1)).build()
}

fn terms(settings: Settings) -> Result<Terms, UnsafeOrigin> {
    let cookies = CookieNames::for_origin(&settings.public_url)?;
    let rules = ScrubRules {
        cookies: cookies.names().clone(),
        extra: settings.extra_reserved.iter().map(|name| fold(name)).collect(),
    };
    let host = settings.public_url.host_str().unwrap_or_default().to_owned();
    let port = settings.public_url.port_or_known_default().unwrap_or_default();
    let bare = if settings.public_url.port().is_some() { format!("{host}:{port}") } else { host.clone() };
    Ok(Terms {
        origin: settings.public_url.origin().ascii_serialization(),
        hosts: [bare, format!("{host}:{port}")],
        cookies,
        rules,
        scope: settings.scopes.join(" "),
        proto: HeaderValue::from_static(if settings.public_url.scheme() == "https" {
            "https"
        } else {
            "http"
        }),
        settings,
    })
}

/// What is kept of a request while the store or the forge is asked.
#[derive(Debug)]
pub(super) struct Ticket {
    pub path: String,
    pub query: String,
    pub form: PathForm,
    pub asked: Asked,
    pub cookies: Vec<OwnCookie>,
    pub session: Option<SessionKey>,
    pub odd_cookie: bool,
    forwarded: ForwardedHeaders,
}

impl Gatekeeper for ForgeKeeper {
    type Later = Pin<Box<dyn Future<Output = Verdict> + Send>>;

    fn rules(&self) -> &ScrubRules {
        &self.terms.rules
    }

    fn believes_peer(&self, head: &Parts) -> bool {
        self.terms.settings.trusted_proxies.believes(head.extensions.get::<Peer>())
    }

    fn new_request_id(&self) -> HeaderValue {
        let mut text = [0_u8; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(random_bytes::<16>(&*self.shared.entropy)) {
            pair.copy_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-"))
    }

    fn decide(&self, head: &Parts, scrubbed: Scrubbed, asked: &mut Asked) -> Decision<Self::Later> {
        let terms = &*self.terms;
        if scrubbed.spoofed > 0 {
            warn!(request_id = ?asked.request_id, lines = scrubbed.spoofed, "spoofed_headers_dropped");
        }
        let path = head.uri.path();
        let form = path::form(path);
        if let Some(reason) = misshapen(head, form, &terms.hosts) {
            return now(answer::refuse(reason, Offer::default(), asked));
        }
        let forwarded = forwarded(head, &scrubbed, terms);
        let (session, odd_cookie) = match &scrubbed.session {
            SessionCookie::Absent => (None, false),
            SessionCookie::Odd => {
                warn!(request_id = ?asked.request_id, "odd_session_cookie");
                (None, true)
            }
            SessionCookie::One(text) => {
                let id = SessionId::parse(text.as_bytes());
                (id.as_ref().map(SessionId::key), id.is_none())
            }
        };
        let ticket = |forwarded| Ticket {
            path: path.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            form,
            asked: asked.clone(),
            cookies: scrubbed.cookies,
            session,
            odd_cookie,
            forwarded,
        };
        if let Some(own) = Own::at(path, &terms.settings.prefix) {
            return match own.refuses(&head.method, &head.headers, &terms.origin) {
                Some((reason, allow)) => {
                    let mut refusal = answer::refuse(reason, Offer::default(), asked);
                    if let Some(allow) = allow {
                        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
                    }
                    now(refusal)
                }
                None => self.later(ticket(forwarded), move |keeper, ticket| async move {
                    Verdict::Answer(Box::new(keeper.own(own, ticket).await))
                }),
            };
        }
        let Some(route) = terms.settings.routes.find(path) else {
            return now(answer::refuse(reason::NO_ROUTE, Offer::default(), asked));
        };
        if !route.public && !route.cross_origin && rules::is_foreign_write(head, &terms.origin) {
            return now(answer::refuse(reason::FOREIGN_ORIGIN, Offer::default(), asked));
        }
        let Some(key) = session else {
            if route.public {
                return Decision::Now(Verdict::Pass(Injection { forwarded, ..Injection::default() }));
            }
            let ticket = ticket(forwarded);
            // A crowd of strangers costs no task each, except those who are sent to the forge.
            return match self.refuse_stranger(&ticket) {
                Some(refusal) => now(refusal),
                None => self.later(ticket, |keeper, ticket| async move { keeper.stranger(ticket).await }),
            };
        };
        let at = self.shared.clock.now();
        if let Look::Known(known, look_again) = self.shared.near.look(key, at) {
            if look_again {
                drop(self.load(key));
            }
            let judgement = judge(&terms.settings, route, form, &known, at, false);
            if let Judgement::Pass(injection, behind) = judgement {
                self.behind(&known, behind, at);
                asked.signed_in = true;
                return Decision::Now(Verdict::Pass(Injection { forwarded, ..injection }));
            }
        }
        self.later(
            ticket(forwarded),
            move |keeper, ticket| async move { keeper.signed_in(key, ticket).await },
        )
    }

    fn explain(&self, fault: &Fault, asked: &Asked) -> Answer {
        answer::explain(fault.status, fault.reason, fault.title, "", Offer::default(), asked)
    }
}

fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

fn now<L>(answer: Answer) -> Decision<L> {
    Decision::Now(Verdict::Answer(Box::new(answer)))
}

/// Whether the request is one that nobody here answers to, whoever sends it.
fn misshapen(head: &Parts, form: PathForm, hosts: &[String; 2]) -> Option<Reason> {
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Some(reason::BAD_METHOD);
    }
    if form == PathForm::Broken {
        return Some(reason::BAD_PATH);
    }
    // RFC 9112 §3.2.2: the authority of an absolute target wins over the Host field.
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut lines = head.headers.get_all(header::HOST).iter();
    let (host, more) = (lines.next(), lines.next());
    let Some(host) = authority.or(host.map(HeaderValue::as_bytes)).filter(|_| more.is_none()) else {
        return Some(reason::BAD_HOST);
    };
    let served = hosts.iter().any(|ours| host.eq_ignore_ascii_case(ours.as_bytes()));
    (!served).then_some(reason::UNKNOWN_HOST)
}

/// What the backend learns of where the request came from: from the connection, and from a believed peer's words.
fn forwarded(head: &Parts, scrubbed: &Scrubbed, terms: &Terms) -> ForwardedHeaders {
    let peer = match head.extensions.get::<Peer>() {
        Some(Peer::Ip(address)) => Some(address.ip().to_canonical().to_string()),
        Some(Peer::Unix) | None => None,
    };
    let client = match (&scrubbed.forwarded_for, peer) {
        (Some(before), Some(peer)) => {
            HeaderValue::from_bytes(&[before.as_bytes(), b", ", peer.as_bytes()].concat()).ok()
        }
        (Some(before), None) => Some(before.clone()),
        (None, Some(peer)) => HeaderValue::from_str(&peer).ok(),
        (None, None) => None,
    };
    ForwardedHeaders {
        client,
        // What the browser sees is configured, not guessed, so a header cannot alter it.
        proto: Some(terms.proto.clone()),
        host: head.headers.get(header::HOST).cloned(),
    }
}

impl ForgeKeeper {
    /// Work on a ticket, on the runtime that store and forge belong to. A client that goes away ends its own waiting only.
    fn later<F>(
        &self,
        ticket: Ticket,
        work: impl FnOnce(Self, Ticket) -> F,
    ) -> Decision<<Self as Gatekeeper>::Later>
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        let asked = ticket.asked.clone();
        let working = self.shared.tasks.spawn(work(self.clone(), ticket));
        Decision::Later(Box::pin(async move {
            working.await.unwrap_or_else(|crashed| {
                error!(request_id = ?asked.request_id, cancelled = crashed.is_cancelled(), "a decision did not come to an end");
                refused(reason::SHUTTING_DOWN, Offer::default(), &asked)
            })
        }))
    }

    /// Looks at the store; joins a look that is under way.
    fn load(&self, key: SessionKey) -> crate::gate::flight::Flight<Loaded> {
        let (shared, idle, origin) =
            (Arc::clone(&self.shared), self.terms.settings.session.idle, self.terms.origin.clone());
        self.shared.loads.join(&self.shared.tasks, key, || async move {
            look_up(&shared, key, idle, &origin).await.map_err(|failed| {
                warn!(error = %failed, "the session store cannot answer");
            })
        })
    }

    /// The session of a key, as fresh as five seconds; an `Err` is "cannot know".
    pub(super) async fn known(&self, key: SessionKey) -> Loaded {
        match self.shared.near.look(key, self.shared.clock.now()) {
            Look::Known(known, _) => Ok(Some(known)),
            Look::Unknown => {
                let wait = self.terms.settings.wait;
                tokio::time::timeout(wait, self.load(key).landed()).await.ok().flatten().unwrap_or(Err(()))
            }
        }
    }

    async fn signed_in(self, key: SessionKey, ticket: Ticket) -> Verdict {
        // A route that is gone here was there when the ticket was written: the terms are the same.
        let Some(route) = self.terms.settings.routes.find(&ticket.path) else {
            return refused(reason::NO_ROUTE, Offer::default(), &ticket.asked);
        };
        let known = match self.known(key).await {
            Ok(Some(known)) => known,
            Ok(None) => return self.unknown_session(ticket).await,
            Err(()) => return refused(reason::STORE_UNAVAILABLE, Offer::default(), &ticket.asked),
        };
        let settings = &self.terms.settings;
        let at = self.shared.clock.now();
        let mut judgement = judge(settings, route, ticket.form, &known, at, false);
        let mut known = known;
        if matches!(judgement, Judgement::Renew) {
            if let Some(flight) = renew::start(&self.shared, known.session.owner(), self.law()) {
                drop(tokio::time::timeout(settings.wait, flight.landed()).await);
            }
            // What was known before the wait may be over by now: signed out, or too old to count.
            known = match self.known(key).await {
                Ok(Some(known)) => known,
                Ok(None) => return self.unknown_session(ticket).await,
                Err(()) => return refused(reason::STORE_UNAVAILABLE, Offer::default(), &ticket.asked),
            };
            judgement = judge(settings, route, ticket.form, &known, self.shared.clock.now(), true);
        }
        match judgement {
            Judgement::Pass(injection, behind) => {
                self.behind(&known, behind, at);
                Verdict::Pass(Injection { forwarded: ticket.forwarded, ..injection })
            }
            Judgement::Forbidden => {
                let who = known.account.grant.identity.login.clone();
                let offer =
                    Offer { who: Some(who), sign_out: Some(self.path("/auth/logout")), ..Offer::default() };
                refused(reason::NOT_ALLOWED, offer, &ticket.asked)
            }
            Judgement::NoToken | Judgement::Renew => {
                refused(reason::TOKEN_UNAVAILABLE, Offer::default(), &ticket.asked)
            }
            Judgement::SignIn if known.session.has_ended(self.shared.clock.now(), settings.session.idle) => {
                self.end(key).await;
                self.unknown_session(ticket).await
            }
            // The account's grant is dead. A sign-in in another browser brings this session back, so its cookie stays.
            Judgement::SignIn => self.without_session(ticket).await,
        }
    }

    async fn unknown_session(&self, mut ticket: Ticket) -> Verdict {
        ticket.odd_cookie = true;
        self.without_session(ticket).await
    }

    async fn without_session(&self, ticket: Ticket) -> Verdict {
        if self.terms.settings.routes.find(&ticket.path).is_some_and(|route| route.public) {
            return Verdict::Pass(Injection { forwarded: ticket.forwarded, ..Injection::default() });
        }
        self.stranger(ticket).await
    }

    /// Somebody without a session on a route that wants one.
    async fn stranger(&self, ticket: Ticket) -> Verdict {
        if let Some(refusal) = self.refuse_stranger(&ticket) {
            return Verdict::Answer(Box::new(refusal));
        }
        let mut answer = sign_in::begin(self, &target(&ticket), 0, &ticket).await;
        self.clear_odd_cookie(&mut answer, &ticket);
        Verdict::Answer(Box::new(answer))
    }

    /// The answer to a stranger who is not sent to the forge: who is no navigation, or has signed out on purpose.
    fn refuse_stranger(&self, ticket: &Ticket) -> Option<Answer> {
        let names = self.terms.cookies.names();
        let mut answer = match ticket.asked.reader {
            Reader::Page | Reader::Program => self.sign_in_first(ticket),
            Reader::Navigation if ticket.cookies.iter().any(|cookie| cookie.name == names.signed_out) => {
                let lines = vec![format!("The forge: {}", self.terms.settings.forge_url)];
                let actions = self.sign_in_actions(&target(ticket));
                answer::refuse(
                    reason::SIGNED_OUT,
                    Offer { lines, actions, ..Offer::default() },
                    &ticket.asked,
                )
            }
            Reader::Navigation => return None,
        };
        self.clear_odd_cookie(&mut answer, ticket);
        Some(answer)
    }

    /// A session cookie that is none is cleared, but not by the answer to a program: that might be another tab's.
    fn clear_odd_cookie(&self, answer: &mut Answer, ticket: &Ticket) {
        if ticket.odd_cookie && ticket.asked.reader != Reader::Program {
            self.clear_cookie(answer, &self.terms.cookies.names().session);
        }
    }

    /// What somebody without a session gets who cannot be sent to the forge: a form, a frame, a script.
    pub(super) fn sign_in_first(&self, ticket: &Ticket) -> Answer {
        let login_url = Some(format!("{}{}", self.terms.origin, self.path("/auth/login")));
        // The target of a form or a script is no page to come back to.
        let offer = Offer { actions: self.sign_in_actions("/"), login_url, ..Offer::default() };
        let mut refusal = answer::refuse(reason::SIGN_IN_REQUIRED, offer, &ticket.asked);
        let challenge =
            format!("Cookie realm=\"{}\", form-action=\"{}\"", self.terms.origin, self.path("/auth/login"));
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            refusal.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        refusal
    }

    pub(super) fn sign_in_actions(&self, target: &str) -> Vec<Action> {
        let applications = self.forge_link("user/settings/applications");
        vec![
            Action { id: "sign-in", href: self.login_link(target), label: "Sign in", main: true },
            Action { id: "forge", href: applications, label: "Open the forge", main: false },
        ]
    }

    pub(super) fn login_link(&self, target: &str) -> String {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", target).finish();
        format!("{}?{query}", self.path("/auth/login"))
    }

    /// A page of the forge, as the browser reaches it.
    pub(super) fn forge_link(&self, page: &str) -> String {
        let mut base = self.terms.settings.forge_url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join(page).map_or_else(|_| base.to_string(), |url: Url| url.to_string())
    }

    pub(super) fn path(&self, below: &str) -> String {
        format!("{}{below}", self.terms.settings.prefix)
    }

    pub(super) fn clear_cookie(&self, answer: &mut Answer, name: &str) {
        if let Ok(line) = self.terms.cookies.clear(name) {
            answer.headers_mut().append(header::SET_COOKIE, line);
        }
    }

    /// Work that a passing request starts and does not wait for.
    fn behind(&self, known: &Known, behind: Behind, at: Timestamp) {
        let shared = &self.shared;
        // Of a session that idles out sooner than that, each quarter of its idle life.
        let interval = TOUCH.min(self.terms.settings.session.idle / 4);
        if known.session.is_due_for_touch(at, interval) {
            let (shared, key) = (Arc::clone(shared), known.session.key);
            drop(self.shared.tasks.spawn(async move {
                if let Err(failed) = shared.vault.touch_session(key, at).await {
                    debug!(error = %failed, "the use of a session could not be noted");
                }
            }));
        }
        match behind {
            Behind::Nothing => {}
            Behind::Renew => drop(renew::start(shared, known.session.owner(), self.law())),
            Behind::AskScope => {
                scope::ask_behind(shared, known.session.owner(), &self.terms.scope, self.law());
            }
        }
    }

    /// What the configuration says about renewals.
    pub(super) fn law(&self) -> Law {
        let settings = &self.terms.settings;
        Law {
            min_ttl: settings.min_ttl,
            absolute: settings.session.absolute,
            wait: settings.wait,
            lease: settings.lease(),
        }
    }

    /// Ends a session here and in the store; says whether the store took it.
    pub(super) async fn end(&self, key: SessionKey) -> bool {
        self.shared.near.end(key);
        match self.shared.vault.remove_session(key).await {
            Ok(_) => true,
            Err(failed) => {
                error!(session = %key, error = %failed, "a session could not be ended in the store");
                false
            }
        }
    }
}

/// The page that a navigation wanted, as path and query.
pub(super) fn target(ticket: &Ticket) -> String {
    if ticket.query.is_empty() { ticket.path.clone() } else { format!("{}?{}", ticket.path, ticket.query) }
}

pub(super) fn refused(reason: Reason, offer: Offer, asked: &Asked) -> Verdict {
    Verdict::Answer(Box::new(answer::refuse(reason, offer, asked)))
}

async fn look_up(
    shared: &Shared,
    key: SessionKey,
    idle: Duration,
    origin: &str,
) -> Result<Option<Known>, StoreError> {
    let now = shared.clock.now();
    let session = match shared.vault.session(key, now).await? {
        // A session counts at the origin that it was made at, and nowhere else.
        Found::Live(record) if record.origin == origin => NearSession::new(key, record, now),
        Found::Live(_) | Found::Absent => {
            shared.near.forget(key);
            return Ok(None);
        }
        Found::Spoilt(spoilt) => {
            error!(session = %key, reason = ?spoilt.reason, "a stored session cannot be opened; its owner signs in again");
            shared.near.forget(key);
            return Ok(None);
        }
    };
    if session.has_ended(now, idle) {
        shared.near.end(key);
        shared.vault.remove_session(key).await?;
        return Ok(None);
    }
    let grant = match shared.vault.grant(session.owner()).await? {
        Found::Live(grant) => grant,
        Found::Absent | Found::Spoilt(_) => {
            warn!(session = %key, account = %session.account, "a session without a usable grant");
            return Ok(None);
        }
    };
    let known = Known { session: Arc::new(session), account: Arc::new(NearAccount::new(grant)) };
    Ok(shared.near.note(&known).then_some(known))
}
