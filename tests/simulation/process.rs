//! A process: a keeper with tasks of its own behind the layer. It dies at any call to a port: from then on none of its
//! calls returns, so nothing that it still had in hand has any effect, and its clients lose their connections.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hero_proxy::base::path::RouteTable;
use hero_proxy::base::peer::TrustedPeers;
use hero_proxy::base::seal::{KeyRing, SealKey};
use hero_proxy::gate::body::Untrailed;
use hero_proxy::gate::keeper::Ports;
use hero_proxy::gate::settings::{
    Allow, ForgeTokenFor, GroupsFor, RouteRule, SessionSettings, Settings, WithoutToken,
};
use hero_proxy::gate::{ForgeAuth, ForgeAuthLayer, ForgeKeeper};
use hero_proxy::session::memory::MemoryStore;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tower::{Layer as _, Service};

use crate::chance::Dice;
use crate::forge::SCOPE;
use crate::line::Line;
use crate::store::Shared;
use crate::world::World;

pub const ORIGIN: &str = "https://vm.test";
pub const ISSUER: &str = "https://forge.test";
pub const CLIENT: &str = "vm";
/// What the app says on all of its answers.
pub const PASSED: &str = "x-passed";
/// How long a request waits at most.
pub const WAIT: Duration = Duration::from_secs(5);
pub const MIN_TTL: Duration = Duration::from_secs(60);
pub const FORGE_TIMEOUT: Duration = Duration::from_secs(10);
/// As the gate's settings have it.
pub const LEASE: Duration = Duration::from_secs(40);

/// What differs between stories.
#[derive(Clone, Copy, Debug)]
pub struct House {
    pub seed: u64,
    pub idle: Duration,
    pub absolute: Duration,
    pub without_token: WithoutToken,
    /// How often the forge is asked whether an account may still act.
    pub recheck: Duration,
    /// Whether accounts are barred and deleted, and apps look at tokens. The first stories are of a smaller world, so that
    /// those that once broke stay what they were.
    pub grown: bool,
}

/// One life of a process, between a start and its end.
#[derive(Clone, Debug)]
pub struct Life {
    pub process: usize,
    pub number: u32,
    dead: CancellationToken,
}

impl Life {
    pub fn is_over(&self) -> bool {
        self.dead.is_cancelled()
    }

    pub fn end(&self) {
        self.dead.cancel();
    }

    pub async fn ended(&self) {
        self.dead.cancelled().await;
    }

    /// The dead go no further.
    pub async fn go_on(&self) {
        if self.is_over() {
            pending::<()>().await;
        }
    }
}

/// The app behind the gate: it looks at what it is given, and answers.
#[derive(Clone)]
pub struct App {
    world: Arc<World>,
}

pub type Nothing = Empty<Bytes>;

impl Service<Request<Untrailed<Nothing>>> for App {
    type Response = Response<Nothing>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Nothing>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Untrailed<Nothing>>) -> Self::Future {
        let mut state = self.world.lock();
        crate::laws::at_the_app(&mut state, request.headers());
        let mut response = Response::new(Empty::new());
        response.headers_mut().insert(PASSED, HeaderValue::from_static("1"));
        if request.uri().path() == "/strict" && state.app_minds(request.headers()) {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            let invalid = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, invalid);
        }
        ready(Ok(response))
    }
}

/// A running process.
#[derive(Clone)]
pub struct Process {
    pub life: Life,
    pub keeper: ForgeKeeper,
    pub gate: ForgeAuth<App, ForgeKeeper>,
}

/// The processes and the store that they share.
pub struct Town {
    pub world: Arc<World>,
    pub house: House,
    pub rows: Arc<MemoryStore>,
    processes: Mutex<[Option<Process>; 2]>,
    lives: Mutex<u32>,
}

pub fn ring(seed: u64) -> KeyRing {
    KeyRing::of(SealKey::random(&Dice::new(seed)))
}

impl Town {
    pub fn new(world: Arc<World>, house: House) -> Arc<Self> {
        let rows = Arc::new(MemoryStore::new(1000));
        world.lock().truth.watch(&rows, house);
        Arc::new(Self { world, house, rows, processes: Mutex::default(), lives: Mutex::default() })
    }

    /// Starts a process from what the store holds.
    pub fn start(&self, process: usize) {
        let number = {
            let mut lives = self.lives.lock().unwrap();
            *lives += 1;
            *lives
        };
        let life = Life { process, number, dead: CancellationToken::new() };
        let time = self.world.lock().time.clone();
        let ports = Ports {
            forge: Arc::new(Line::new(Arc::clone(&self.world), life.clone())),
            store: Arc::new(Shared::new(Arc::clone(&self.world), Arc::clone(&self.rows), life.clone())),
            keys: ring(self.house.seed),
            clock: Arc::new(time),
            entropy: Arc::new(Dice::new(self.house.seed ^ (u64::from(number) << 32))),
            handle: Handle::current(),
        };
        let settings = settings(self.house);
        assert_eq!(settings.lease(), LEASE);
        let keeper = ForgeKeeper::new(settings, ports).unwrap();
        let gate = ForgeAuthLayer::new(keeper.clone()).layer(App { world: Arc::clone(&self.world) });
        let state = &mut *self.world.lock();
        state.truth.begun.insert(number, state.time.real());
        state.tell(format_args!("P{process} starts (life {number})"));
        self.processes.lock().unwrap()[process] = Some(Process { life, keeper, gate });
    }

    /// A process, if it runs.
    pub fn process(&self, process: usize) -> Option<Process> {
        self.processes.lock().unwrap()[process].clone().filter(|process| !process.life.is_over())
    }
}

fn settings(house: House) -> Settings {
    let route = |public, renew_on_401| RouteRule {
        public,
        allow: None,
        forge_token: ForgeTokenFor::Everybody,
        groups: GroupsFor::None,
        cross_origin: false,
        renew_on_401,
    };
    Settings {
        public_url: ORIGIN.parse().unwrap(),
        prefix: "/_hero".to_owned(),
        forge_url: ISSUER.parse().unwrap(),
        client_id: CLIENT.to_owned(),
        scopes: vec![SCOPE.to_owned()],
        forge_token_pass_through: true,
        allow: vec![Allow::AnyUser],
        routes: RouteTable::new([
            ("/".to_owned(), false, route(false, false)),
            ("/public".to_owned(), true, route(true, false)),
            ("/strict".to_owned(), false, route(false, true)),
        ]),
        session: SessionSettings { idle: house.idle, absolute: house.absolute, recheck: house.recheck },
        min_ttl: MIN_TTL,
        wait: WAIT,
        forge_timeout: FORGE_TIMEOUT,
        without_token: house.without_token,
        trusted_proxies: TrustedPeers::default(),
        extra_reserved: Vec::new(),
        compat_oauth2_proxy: false,
    }
}
