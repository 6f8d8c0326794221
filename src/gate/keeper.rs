//! The gatekeeper that answers by the forge.

use std::pin::Pin;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::base::account::{AccountKey, UserId};
use crate::base::activity::Activity;
use crate::base::clock::{Clock, Timestamp};
use crate::base::crash::Caught;
use crate::base::entropy::Entropy;
use crate::base::fault::Fault;
use crate::base::path::{self, PathForm};
use crate::base::peer::Peer;
use crate::base::seal::{KeyRing, Sealer};
use crate::base::session_end::SessionEnd;
use crate::base::tasks::Tasks;
use crate::forge::api::ForgeOauth;
use crate::gate::answer::{self, Offer};
use crate::gate::asking::Asking;
use crate::gate::browser;
use crate::gate::end;
use crate::gate::exchange::{Failed, Opened};
use crate::gate::flight::Flights;
use crate::gate::judge::{Behind, Judgement, judge};
use crate::gate::near::{Known, Look, Near, NearAccount};
use crate::gate::own::Own;
use crate::gate::reason::{self, Reason};
use crate::gate::recheck::{Due, Failing};
use crate::gate::renew::{self, Law, Renewal, Rest};
use crate::gate::request_id::RequestIds;
use crate::gate::round::{self, Round};
use crate::gate::rules;
use crate::gate::scope;
use crate::gate::settings::Settings;
use crate::gate::siblings::Siblings;
use crate::gate::steady::Steady;
use crate::gate::terms::{Terms, forwarded, misshapen};
use crate::gate::trial;
use crate::gate::unsaved::{Exchanges, Unsaved};
use crate::gate::uses::{self, Uses};
use crate::gate::verdict::{Answer, Asked, Decision, Gatekeeper, Verdict};
use crate::gate::watch::{Teller, Watch};
use crate::session::cookie::UnsafeOrigin;
use crate::session::id::{SessionId, SessionKey};
use crate::session::record::{Freshness, GrantRecord};
use crate::session::store::{SessionStore, StoreError};
use crate::session::vault::Vault;
use crate::wire::inject::{ForwardedHeaders, Injection};
use crate::wire::scrub::{OwnCookie, ScrubRules, Scrubbed, SessionCookie};

/// How often the use of a session is noted in the store at most.
const TOUCH: Duration = Duration::from_mins(1);

/// How long it is remembered that the forge told nothing of an account.
const FAILING: Duration = Duration::from_mins(10);

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
    pub request_ids: RequestIds,
    pub near: Near,
    /// The scope that is asked for today.
    pub scope: RwLock<String>,
    pub flow_sealer: Sealer,
    pub loads: Flights<SessionKey, Loaded>,
    pub renewals: Flights<AccountKey, Renewal>,
    pub exchanges: Flights<[u8; 32], Result<Arc<Opened>, Failed>>,
    pub siblings: Siblings,
    pub watch: Watch,
    /// Accounts whose renewal failed a moment ago, and until when they rest.
    pub rests: Cache<AccountKey, Rest>,
    pub asks: Flights<AccountKey, ()>,
    /// Accounts whose scope was asked for a moment ago, and when.
    pub asked: Cache<AccountKey, Timestamp>,
    pub rounds: Flights<AccountKey, Round>,
    /// Accounts of which the forge told nothing when it was asked last.
    pub failing: Cache<AccountKey, Failing>,
    /// Accounts whose token an app called invalid a moment ago, and when.
    pub accused: Cache<AccountKey, Timestamp>,
    /// Token sets that are not stored yet.
    pub unsaved: Unsaved,
    /// By how much the clock was set back.
    pub steady: Steady,
    /// Uses of sessions that the store does not know of yet.
    pub uses: Uses,
    pub tellings: Flights<(), ()>,
    /// Exchanges whose session is not there yet.
    pub under_way: Exchanges,
    /// Who wants to hear of visitors.
    pub activity: OnceLock<Arc<dyn Activity>>,
}

impl Shared {
    /// Tells whoever wants to hear it that a visitor was here.
    pub(super) fn was_here(&self, user: &UserId, at: Timestamp) {
        if let Some(activity) = self.activity.get() {
            activity.seen(user, at);
        }
    }
}

impl Shared {
    /// A grant as today's scope judges it, ready for requests.
    pub(super) fn judged(&self, grant: GrantRecord) -> NearAccount {
        // It ends sooner by a clock that was set back since.
        self.steady.look(&*self.clock);
        let hidden = self.steady.hidden_since(&grant);
        let grant = GrantRecord { access_expires_at: grant.access_expires_at.minus(hidden), ..grant };
        let asked = self.scope.read().unwrap_or_else(PoisonError::into_inner);
        NearAccount::new(grant, &asked, Asking::now(&*self.clock))
    }

    /// How a stored access token stands now.
    pub(super) fn freshness(&self, grant: &GrantRecord, min_ttl: Duration) -> Freshness {
        grant.freshness(self.clock.now().plus(self.steady.hidden_since(grant)), min_ttl)
    }

    /// From here on this scope is asked for: what is near was judged by another one.
    fn ask_for(&self, scope: &str) {
        let mut asked = self.scope.write().unwrap_or_else(PoisonError::into_inner);
        if *asked != scope {
            scope.clone_into(&mut asked);
            self.near.forget_accounts();
        }
    }
}

/// What a look at the store brings: somebody, nobody, or no answer.
pub(super) type Loaded = Result<Option<Known>, ()>;

/// A gatekeeper that signs visitors in at a forge, keeps their sessions and their tokens fresh. Clones share everything.
#[derive(Clone, Debug)]
pub struct ForgeKeeper {
    pub(super) terms: Arc<Terms>,
    pub(super) shared: Arc<Shared>,
    /// Who tells of the ends of sessions; none inside, where no request comes in.
    teller: Option<Arc<Teller>>,
    hands_over_ends: bool,
}

impl ForgeKeeper {
    /// A keeper for one configuration.
    ///
    /// # Errors
    /// [`UnsafeOrigin`] when the public URL is plain http beyond loopback: its cookies could be read on the way.
    pub fn new(settings: Settings, ports: Ports) -> Result<Self, UnsafeOrigin> {
        let Ports { forge, store, keys, clock, entropy, handle } = ports;
        let terms = Terms::new(settings)?;
        let shared = Shared {
            scope: RwLock::new(terms.scope.clone()),
            request_ids: RequestIds::new(&*entropy),
            flow_sealer: Sealer::new(&keys, "flow", Arc::clone(&entropy)),
            vault: Vault::new(store, &keys, Arc::clone(&entropy)),
            forge,
            steady: Steady::new(&*clock),
            clock,
            entropy,
            tasks: Tasks::on(handle),
            near: Near::new(),
            loads: Flights::default(),
            renewals: Flights::default(),
            exchanges: Flights::default(),
            siblings: Siblings::new(),
            watch: Watch::default(),
            rests: rests(),
            asks: Flights::default(),
            asked: rests(),
            rounds: Flights::default(),
            accused: Cache::builder().max_capacity(100_000).time_to_live(FAILING).build(),
            failing: Cache::builder().max_capacity(100_000).time_to_live(FAILING).build(),
            unsaved: Unsaved::default(),
            uses: Uses::default(),
            tellings: Flights::default(),
            under_way: Exchanges::default(),
            activity: OnceLock::new(),
        };
        Ok(Self::at_the_door(terms, Arc::new(shared)))
    }

    /// The same keeper under another configuration: it shares sessions, tokens and all work under way.
    ///
    /// # Errors
    /// As [`ForgeKeeper::new`].
    pub fn with(&self, settings: Settings) -> Result<Self, UnsafeOrigin> {
        let terms = Terms::new(settings)?;
        self.shared.ask_for(&terms.scope);
        let next = Self::at_the_door(terms, Arc::clone(&self.shared));
        Ok(Self { hands_over_ends: self.hands_over_ends, ..next })
    }

    /// The same keeper, and the service behind the gate sees to the ends of sessions itself: it finds a [`SessionEnd`] in the
    /// extensions of each request that passes with a session, by which it is told when that session ends. Without this an
    /// answer under way breaks off then.
    #[must_use]
    pub fn telling_ends(mut self) -> Self {
        self.hands_over_ends = true;
        self
    }

    pub(super) fn end_of(&self, key: SessionKey) -> Option<SessionEnd> {
        let teller: Arc<Teller> = Arc::clone(self.teller.as_ref()?);
        Some(SessionEnd::new(teller, key.0))
    }

    fn at_the_door(terms: Terms, shared: Arc<Shared>) -> Self {
        let terms = Arc::new(terms);
        shared.watch.judge_by(&terms);
        let teller = Teller { terms: Arc::clone(&terms), shared: Arc::clone(&shared) };
        Self { teller: Some(Arc::new(teller)), ..Self::of(terms, shared) }
    }

    pub(super) fn of(terms: Arc<Terms>, shared: Arc<Shared>) -> Self {
        Self { terms, shared, teller: None, hands_over_ends: false }
    }

    /// From now on somebody hears of visitors: at a sign-in, and once a minute and session while it is used. Only the first
    /// one who wants to.
    pub fn tell(&self, activity: Arc<dyn Activity>) {
        drop(self.shared.activity.set(activity));
    }

    /// Waits until renewals, sign-ins and store writes under way have ended, `limit` at most; says whether they have.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the work.
    pub async fn drain(&self, limit: Duration) -> bool {
        for held in self.shared.unsaved.all() {
            renew::save_behind(&self.shared, held.account.key(), self.law());
        }
        uses::tell_behind(&self.shared);
        let ended = self.shared.tasks.drain(limit).await;
        let untold = self.shared.uses.of(None).len();
        if untold > 0 {
            warn!(
                sessions = untold,
                "the store does not know how late sessions were used; they may end for want of use"
            );
        }
        ended
    }

    /// Drops expired rows from the store, and sees to it that it is told, behind, what it did not take before.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot answer.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.shared.steady.look(&*self.shared.clock);
        uses::tell_behind(&self.shared);
        self.shared.vault.sweep(self.shared.clock.now()).await
    }
}

fn rests<T: Clone + Send + Sync + 'static>() -> Cache<AccountKey, T> {
    Cache::builder().max_capacity(100_000).time_to_live(Duration::from_mins(1)).build()
}

/// What is kept of a request while the store or the forge is asked. It has no `Debug`: codes and states stand in queries.
pub(super) struct Ticket {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub form: PathForm,
    pub asked: Asked,
    pub cookies: Vec<OwnCookie>,
    pub session: Option<SessionKey>,
    pub odd_cookie: bool,
    /// Whether the browser says that another page than ours led here.
    pub from_elsewhere: bool,
    /// What kind of browser this is; asked at our own endpoints only.
    pub browser: Option<String>,
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
        self.shared.request_ids.next()
    }

    fn decide(&self, head: &Parts, scrubbed: Scrubbed, asked: &mut Asked) -> Decision<Self::Later> {
        let terms = &*self.terms;
        if scrubbed.spoofed > 0 {
            warn!(request_id = asked.id(), lines = scrubbed.spoofed, "spoofed_headers_dropped");
        }
        let path = head.uri.path();
        let form = path::form(path);
        if let Some(reason) = misshapen(head, form, terms) {
            return now(answer::refuse(reason, Offer::default(), asked));
        }
        let forwarded = forwarded(head, &scrubbed, terms);
        let (session, odd_cookie) = match &scrubbed.session {
            SessionCookie::Absent => (None, false),
            SessionCookie::Odd => {
                warn!(request_id = asked.id(), "odd_session_cookie");
                (None, true)
            }
            SessionCookie::One(text) => {
                let id = SessionId::parse(text.as_bytes());
                (id.as_ref().map(SessionId::key), id.is_none())
            }
        };
        let ticket = |forwarded| Ticket {
            method: head.method.clone(),
            path: path.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            form,
            asked: asked.clone(),
            cookies: scrubbed.cookies,
            session,
            odd_cookie,
            from_elsewhere: rules::comes_from_elsewhere(&head.headers, &terms.origin),
            browser: None,
            forwarded,
        };
        if let Some(own) = Own::at(path, &terms.settings.prefix) {
            if let Some((reason, allow)) = own.refuses(&head.method, &head.headers, &terms.origin) {
                let mut refusal = answer::refuse(reason, Offer::default(), asked);
                if let Some(allow) = allow {
                    refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
                }
                return now(refusal);
            }
            let ticket = Ticket { browser: browser::label(&head.headers), ..ticket(forwarded) };
            return self.later(ticket, move |keeper, ticket| async move {
                Verdict::Answer(Box::new(keeper.own(own, ticket).await))
            });
        }
        let Some(route) = terms.settings.routes.find(path) else {
            return now(answer::refuse(reason::NO_ROUTE, Offer::default(), asked));
        };
        let foreign = !route.cross_origin && rules::is_foreign_write(head, &terms.origin);
        if foreign && !route.public {
            return now(answer::refuse(reason::FOREIGN_ORIGIN, Offer::default(), asked));
        }
        // What another site sends to a public route, it sends as a stranger: nobody's identity rides along.
        let Some(key) = session.filter(|_| !foreign) else {
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
        let asking = Asking::now(&*self.shared.clock);
        let at = asking.at;
        if let Look::Known(known, look_again) = self.shared.near.look(key, asking, &terms.origin) {
            if look_again {
                drop(self.load(key));
            }
            let due = self.is_due(&known, asked.reader, at);
            if due != Due::First
                && let Judgement::Pass(injection, behind) =
                    judge(&terms.settings, route, form, &known, at, false)
            {
                self.behind(&known, behind, due, at);
                let signed_in = injection.visitor.is_some();
                let verdict = if trial::is_wanted(route, &injection) {
                    let injection = Injection { forwarded: forwarded.clone(), ..injection };
                    self.on_trial(injection, &known, ticket(forwarded))
                } else {
                    Verdict::Pass(Injection { forwarded, ..injection })
                };
                asked.signed_in = signed_in;
                asked.session_end = self.end_of(key);
                return Decision::Now(verdict);
            }
        }
        let ticket = ticket(forwarded);
        asked.session_end = self.end_of(key);
        self.later(ticket, move |keeper, ticket| async move { keeper.signed_in(key, ticket).await })
    }

    fn hands_over_ends(&self) -> bool {
        self.hands_over_ends
    }

    fn explain(&self, fault: &Fault, asked: &Asked) -> Answer {
        let advice = Reason::advice_on(fault).unwrap_or(match fault.status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if fault.reason == "head_too_large" => {
                "Mostly a browser sends too many cookies, or too large ones. Delete this site's cookies in your browser, then open the page again."
            }
            StatusCode::REQUEST_TIMEOUT => "It stopped on its way here. Sending it again may help.",
            status if status.is_server_error() && status != StatusCode::HTTP_VERSION_NOT_SUPPORTED => {
                "Nothing is wrong with your sign-in. Try again in a moment; if it keeps happening, tell the operator the request id below."
            }
            _ => "The request cannot be served as it was sent. Sending it again as it is will not help.",
        });
        answer::explain(fault.status, fault.reason, fault.title, advice, Offer::default(), asked)
    }
}

fn now<L>(answer: Answer) -> Decision<L> {
    Decision::Now(Verdict::Answer(Box::new(answer)))
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
        // Whoever is answered at once has somebody near who was looked up a moment ago.
        self.shared.steady.look(&*self.shared.clock);
        let asked = ticket.asked.clone();
        let working = self.shared.tasks.spawn(Caught::new(work(self.clone(), ticket)));
        Decision::Later(Box::pin(async move {
            match working.await {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(crash)) => {
                    error!(request_id = asked.id(), place = %crash, "a panic ended this request");
                    refused(reason::INTERNAL_ERROR, Offer::default(), &asked)
                }
                Err(_) => {
                    error!(request_id = asked.id(), "a decision did not come to an end");
                    refused(reason::SHUTTING_DOWN, Offer::default(), &asked)
                }
            }
        }))
    }

    pub(super) async fn signed_in(self, key: SessionKey, ticket: Ticket) -> Verdict {
        // A route that is gone here was there when the ticket was written: the terms are the same.
        let Some(route) = self.terms.settings.routes.find(&ticket.path) else {
            return refused(reason::NO_ROUTE, Offer::default(), &ticket.asked);
        };
        let settings = &self.terms.settings;
        // What it waits for at the forge, together. The store has as long for each look at it.
        let until = Instant::now() + settings.wait;
        let mut known = match self.looked_at(key, ticket.asked.reader, until).await {
            Ok(Some(known)) => known,
            Ok(None) => return self.unknown_session(ticket).await,
            Err(()) => return refused(reason::STORE_UNAVAILABLE, Offer::default(), &ticket.asked),
        };
        let at = self.shared.clock.now();
        let mut judgement = judge(settings, route, ticket.form, &known, at, false);
        if matches!(judgement, Judgement::Renew) {
            if let Some(flight) = renew::start(&self.shared, known.session.owner(), self.law()) {
                drop(tokio::time::timeout_at(until, flight.landed()).await);
            }
            // What was known before the wait may be over by now: signed out, or too old to count.
            known = match self.still_known(key).await {
                Ok(Some(known)) => known,
                Ok(None) => return self.unknown_session(ticket).await,
                Err(()) => return refused(reason::STORE_UNAVAILABLE, Offer::default(), &ticket.asked),
            };
            judgement = judge(settings, route, ticket.form, &known, self.shared.clock.now(), true);
        }
        match judgement {
            Judgement::Pass(injection, behind) => {
                self.behind(&known, behind, Due::No, at);
                if trial::is_wanted(route, &injection) {
                    let injection = Injection { forwarded: ticket.forwarded.clone(), ..injection };
                    self.on_trial(injection, &known, ticket)
                } else {
                    Verdict::Pass(Injection { forwarded: ticket.forwarded, ..injection })
                }
            }
            Judgement::Barred(standing) => Verdict::Answer(Box::new(self.barred(standing, &known, &ticket))),
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
                let (end, owner) =
                    (known.session.way_out(self.shared.clock.now()), known.session.owner().clone());
                let removing = async { self.shared.vault.remove_session(key).await.map(u64::from) };
                if self.end_all(&[key], Some(owner), removing, end).await.is_err() {
                    return refused(reason::STORE_UNAVAILABLE, Offer::default(), &ticket.asked);
                }
                self.unknown_session(ticket).await
            }
            // The account's grant is dead. A sign-in in another browser brings this session back, so its cookie stays.
            Judgement::SignIn => {
                end::tell(key, end::GRANT_ENDED);
                self.without_session(ticket).await
            }
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

    /// Work that a passing request starts and does not wait for.
    fn behind(&self, known: &Known, behind: Behind, due: Due, at: Timestamp) {
        let shared = &self.shared;
        if due == Due::Behind {
            drop(round::start(shared, &known.account.grant, self.law()));
        }
        // Of a session that idles out sooner than that, each quarter of its idle life.
        let interval = TOUCH.min(self.terms.settings.session.idle / 4);
        if known.session.is_due_for_touch(at, interval) {
            shared.was_here(&known.account.grant.identity.id, at);
            uses::note(shared, &known.session, at);
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
            idle: settings.session.idle,
            absolute: settings.session.absolute,
            wait: settings.wait,
            call: settings.token_call(),
            lease: settings.lease(),
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
