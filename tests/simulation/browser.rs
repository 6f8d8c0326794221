//! Browsers: a jar of cookies, and tabs that follow redirects between the proxy and the forge.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hero_proxy::base::account::Standing;
use http::header::{COOKIE, HOST, LOCATION, ORIGIN as ORIGIN_NAME, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use tokio::time::Instant;
use tower::Service as _;
use url::Url;

use crate::laws;
use crate::process::{ISSUER, Nothing, ORIGIN, PASSED, Town, WAIT};
use crate::truth::Sent;
use crate::world::pass;

/// The longest that a sign-out takes, in milliseconds.
const LEAVING: i64 = 30_000;
const SESSION: &str = "__Host-hero_session";

pub struct Browser {
    pub number: usize,
    /// Who is signed in at the forge.
    pub user: usize,
    pub jar: BTreeMap<String, String>,
}

pub type Tab = Arc<Mutex<Browser>>;

/// What a tab does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Opens the app, and follows to the forge and back.
    Visit,
    /// A script of the app's page.
    Fetch,
    /// A script that asks an app which looks at the token itself, and is believed when it calls it invalid.
    FetchStrict,
    /// A route for everybody.
    Public,
    /// The sign-in button.
    SignIn,
    SignOut,
    SignOutEverywhere,
}

/// How an errand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The app answered, after so many rounds at the forge.
    Served(u32),
    /// A page or problem of the proxy's.
    Refused(StatusCode),
    /// The tab was closed.
    Left,
    /// The process is gone.
    Cut,
    /// It did not come to an end.
    Lost,
}

enum Seen {
    Answer(Response<()>, bool),
    Left,
    Cut,
}

/// How a tab behaves on its way.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Closes itself after so long without an answer.
    pub leaves_after: Option<Duration>,
    /// Goes to this process; else to any.
    pub to: Option<usize>,
}

impl Manners {
    pub const PATIENT: Self = Self { leaves_after: None, to: None };
}

/// Runs one errand of a tab.
pub async fn run(town: Arc<Town>, tab: Tab, errand: Errand, manners: Manners) -> End {
    let mut rounds = 0;
    let (mut method, mut target) = match errand {
        Errand::Visit | Errand::Fetch => (Method::GET, "/app".to_owned()),
        Errand::FetchStrict => (Method::GET, "/strict".to_owned()),
        Errand::Public => (Method::GET, "/public".to_owned()),
        Errand::SignIn => (Method::GET, "/_hero/auth/login?return_to=%2Fapp".to_owned()),
        Errand::SignOut => (Method::POST, "/_hero/auth/logout".to_owned()),
        Errand::SignOutEverywhere => (Method::POST, "/_hero/auth/logout?everywhere=true".to_owned()),
    };
    for _ in 0..12 {
        let (answer, passed) = match send(&town, &tab, errand, &method, &target, manners).await {
            Seen::Answer(answer, passed) => (answer, passed),
            Seen::Left => return End::Left,
            Seen::Cut => return End::Cut,
        };
        if passed {
            return End::Served(rounds);
        }
        let Some(location) = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned()) else {
            return End::Refused(answer.status());
        };
        if matches!(errand, Errand::SignOut | Errand::SignOutEverywhere) {
            return End::Refused(answer.status());
        }
        method = Method::GET;
        target = if location.starts_with(ISSUER) {
            rounds += 1;
            // Each but the first takes another sign-in, or a sign-out, that crossed it.
            if rounds > 5 {
                town.world.lock().broken(format_args!("a sign-in goes in circles"));
                return End::Lost;
            }
            match at_the_forge(&town, &tab, &location).await {
                Some(back) => back,
                None => return End::Left,
            }
        } else {
            location
        };
    }
    town.world.lock().broken(format_args!("redirects without an end"));
    End::Lost
}

/// The forge's authorize page.
async fn at_the_forge(town: &Town, tab: &Tab, location: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    let said = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let there = town.world.lock().chance.span(1, 400);
    pass(there).await;
    let (code, back) = {
        let user = tab.lock().unwrap().user;
        let state = &mut *town.world.lock();
        state.truth.sign_ins += 1;
        if !state.calm && state.chance.one_in(40) {
            return Some(format!("/_hero/auth/callback?error=access_denied&state={}", said("state")));
        }
        let number = tab.lock().unwrap().number;
        if state.forge.users[user].standing == Standing::MustChangePassword && state.chance.one_in(2) {
            state.bar(user, Standing::Good);
        }
        let code = state.forge.authorize(user, &said("scope"), &said("nonce"), &said("verifier"));
        let Some(code) = code else {
            state.tell(format_args!("forge: B{number} is user {user}, and is not let in"));
            return None;
        };
        state.tell(format_args!("forge: B{number} is user {user}, {code}"));
        (code, state.chance.span(1, 200))
    };
    pass(back).await;
    Some(format!("/_hero/auth/callback?code={code}&state={}", said("state")))
}

async fn send(
    town: &Arc<Town>,
    tab: &Tab,
    errand: Errand,
    method: &Method,
    target: &str,
    manners: Manners,
) -> Seen {
    let world = &town.world;
    let (mut process, leaves_after) = {
        let state = &mut *world.lock();
        (manners.to.unwrap_or_else(|| state.chance.below(2)), manners.leaves_after)
    };
    if town.process(process).is_none() {
        process = 1 - process;
    }
    let Some(running) = town.process(process) else { return Seen::Cut };
    let (browser, session, request, number) = {
        let browser = tab.lock().unwrap();
        let state = &mut *world.lock();
        let number = state.truth.sent.len() as u64;
        let session = browser.jar.get(SESSION).cloned();
        let at = state.time.real();
        let life = running.life.number;
        let public = errand == Errand::Public;
        let sent = Sent {
            browser: browser.number,
            process,
            life,
            session: session.clone(),
            public,
            strict: errand == Errand::FetchStrict,
            at,
            moment: Instant::now(),
        };
        state.truth.sent.insert(number, sent);
        (browser.number, session, dress(&browser, errand, method, target, number), number)
    };
    let callback = target.starts_with("/_hero/auth/callback");
    let signs_out = matches!(errand, Errand::SignOut | Errand::SignOutEverywhere);
    let everybody = errand == Errand::SignOutEverywhere;
    let ending = note_wishes(town, session.as_deref(), callback || signs_out, everybody);
    {
        let shown = target.split(['?', '&']).next().unwrap_or_default();
        let with = session.as_deref().map_or("no session", |session| &session[..4]);
        world.lock().tell(format_args!("B{browser} -> P{process}: {method} {shown} #{number} ({with})"));
    }
    let mut gate = running.gate.clone();
    let answering = gate.call(request);
    let answer = tokio::select! {
        biased;
        () = running.life.ended() => None,
        answer = answering => Some(answer.unwrap()),
        () = pass(leaves_after.unwrap_or(Duration::from_secs(3600))) => {
            world.lock().tell(format_args!("B{browser} closes #{number}"));
            return Seen::Left;
        }
    };
    let Some(answer) = answer else {
        world.lock().tell(format_args!("B{browser} is cut off in #{number}"));
        return Seen::Cut;
    };
    let answer = answer.map(drop);
    let renewed = keep_cookies(town, tab, target, &answer);
    let by_app = answer.headers().contains_key(PASSED);
    let state = &mut *world.lock();
    let passed = by_app && answer.status().is_success();
    let sent = state.truth.sent[&number].clone();
    let took = i64::try_from(sent.moment.elapsed().as_millis()).unwrap();
    state.tell(format_args!(
        "B{browser} <- P{process}: {} {} #{number} after {took} ms",
        answer.status(),
        if by_app { "from the app" } else { "" }
    ));
    let to_forge =
        answer.headers().get(LOCATION).is_some_and(|to| to.as_bytes().starts_with(ISSUER.as_bytes()));
    let anonymous = errand == Errand::Public;
    if !callback && !signs_out && errand != Errand::SignIn && !anonymous {
        if to_forge || (answer.status() == StatusCode::UNAUTHORIZED && !by_app) {
            laws::asked_to_sign_in(state, &sent);
        }
        if answer.status() == StatusCode::FORBIDDEN {
            laws::barred(state, &sent);
        }
        // Whoever signs out elsewhere meanwhile may find the tokens dropped.
        let leaves = sent.session.as_ref().and_then(|session| state.truth.sessions.get(session));
        let leaves = leaves.is_some_and(|session| session.wished > 0);
        if answer.status().is_server_error() && !leaves && !state.is_trouble() && !state.is_held_up() {
            state.broken(format_args!("B{browser} gets {} and nothing was wrong", answer.status()));
        }
        // One that its app sends back for another token goes the way twice.
        let waits = if sent.strict { 6 } else { 3 };
        if took > i64::try_from((WAIT * waits).as_millis()).unwrap() + 1000 {
            state.broken(format_args!("B{browser} waited {took} ms for an answer"));
        }
    }
    if callback && !renewed {
        // The sign-in came to nothing, so it ends nothing either.
        for session in &ending {
            state.truth.sessions.get_mut(session).unwrap().wished -= 1;
        }
    }
    // "Signed out", or "signed out here; of the others nobody knows", which ends nothing elsewhere.
    let (done, here) = (StatusCode::SEE_OTHER, StatusCode::UNAUTHORIZED);
    if signs_out && [done, here].contains(&answer.status()) {
        let (at, life) = (state.time.real(), running.life.number);
        for text in ending {
            let Some(known) = state.truth.sessions.get_mut(&text) else { continue };
            if answer.status() == done || Some(&text) == session.as_ref() {
                known.ended.get_or_insert((at, life));
            } else {
                known.wished -= 1;
            }
        }
    }
    Seen::Answer(answer, passed)
}

/// Which sessions the owner wants to end with this request.
fn note_wishes(town: &Town, session: Option<&str>, ends: bool, everybody: bool) -> Vec<String> {
    let state = &mut *town.world.lock();
    let Some(session) = session.filter(|_| ends) else { return Vec::new() };
    let Some(user) = state.truth.sessions.get(session).map(|session| session.user) else { return Vec::new() };
    if everybody {
        // Work goes on when its client has left; after that nothing new ends.
        state.truth.leaving.insert(user, state.time.real() + LEAVING);
    }
    let mut ending = Vec::new();
    for (text, known) in &mut state.truth.sessions {
        let meant = text == session || (everybody && known.user == user);
        if meant {
            known.wished += 1;
            ending.push(text.clone());
        }
    }
    ending
}

fn dress(browser: &Browser, errand: Errand, method: &Method, target: &str, number: u64) -> Request<Nothing> {
    let mut request = Request::builder().method(method).uri(target).header(HOST, &ORIGIN["https://".len()..]);
    request = request.header("x-story", number);
    request = match errand {
        Errand::Fetch | Errand::FetchStrict => {
            request.header("sec-fetch-mode", "cors").header("sec-fetch-site", "same-origin")
        }
        _ => request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document").header(
            "sec-fetch-site",
            if target.contains("/callback") { "cross-site" } else { "same-origin" },
        ),
    };
    if method == Method::POST {
        request = request.header(ORIGIN_NAME, ORIGIN);
    }
    let jar: Vec<String> = browser.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !jar.is_empty() {
        request = request.header(COOKIE, jar.join("; "));
    }
    request.body(Nothing::new()).unwrap()
}

/// Says whether there was a new session among them.
fn keep_cookies(town: &Town, tab: &Tab, target: &str, answer: &Response<()>) -> bool {
    let mut browser = tab.lock().unwrap();
    let mut renewed = false;
    for line in answer.headers().get_all(SET_COOKIE) {
        let line = line.to_str().unwrap();
        let (pair, rest) = line.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        if rest.contains("Max-Age=0") {
            browser.jar.remove(name);
            continue;
        }
        if name == SESSION {
            renewed = true;
            let code = target.split(['&', '=']).nth(1).unwrap();
            let user = code.rsplit_once('-').unwrap().1.parse().unwrap();
            let state = &mut *town.world.lock();
            let now = state.time.real();
            state.truth.given(value, user, now);
            state.tell(format_args!("B{} has session {} (user {user})", browser.number, &value[..4]));
        }
        browser.jar.insert(name.to_owned(), value.to_owned());
    }
    renewed
}
