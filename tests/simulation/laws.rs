//! What is asked of every story, at each step.

use std::time::Duration;

use hero_proxy::base::account::{AccountKey, Standing};
use hero_proxy::base::clock::Timestamp;
use hero_proxy::session::id::SessionKey;
use http::HeaderMap;

use crate::forge::{Fate, may_be_passed};
use crate::process::{FORGE_TIMEOUT, LEASE, Life, MIN_TTL, WAIT};
use crate::truth::Sent;
use crate::world::State;

/// How long an end that was made elsewhere may be overlooked: what is near counts for five seconds.
pub const NEAR: i64 = 5_000;
/// The forge counts in whole seconds.
const SECOND: i64 = 1_000;
/// How long a look that told nothing makes that the next one is made behind a request.
const AFTER: i64 = 120_000;

/// How much life a token has at least that was renewed in time.
fn margin(state: &State) -> i64 {
    let life = state.forge.life * 1000;
    i64::try_from(MIN_TTL.as_millis()).unwrap().min(life / 2)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A request came through to the app.
pub fn at_the_app(state: &mut State, headers: &HeaderMap) {
    let number: u64 = text(headers, "x-story").unwrap().parse().unwrap();
    let sent = state.truth.sent[&number].clone();
    let times = state.truth.passed.entry(number).or_default();
    *times += 1;
    let times = *times;
    if times > if sent.strict { 2 } else { 1 } {
        state.broken(format_args!("#{number} comes to the app for the {times}. time"));
    }
    if headers.get_all("x-hero-forge-token").iter().count() > 1 {
        state.broken(format_args!("two tokens in one request"));
    }
    let who = text(headers, "x-hero-user-id").map(str::to_owned);
    let token = text(headers, "x-hero-forge-token").map(str::to_owned);
    let Some(user) = sent.session.as_ref().and_then(|session| state.truth.sessions.get(session)) else {
        if who.is_some() || token.is_some() || !sent.public {
            state.broken(format_args!("a stranger passes, or carries somebody's identity"));
        }
        return;
    };
    let (user, key, ended) = (user.user, user.key, user.ended);
    let Some(who) = who else {
        if !sent.public {
            state.broken(format_args!("a request passes without an identity"));
        }
        return;
    };
    if state.forge.users[user].id != who {
        state.broken(format_args!("a request of user {user} carries the identity of another ({who})"));
    }
    is_session_alive(state, &sent, key, ended);
    is_welcome(state, &sent, user);
    if let Some(token) = token {
        is_token_good(state, &sent, user, &token, headers);
    }
}

fn is_session_alive(state: &mut State, sent: &Sent, key: SessionKey, ended: Option<(i64, u32)>) {
    let late = |at| NEAR + state.truth.set_back_since(at);
    if let Some((at, life)) = ended
        && (sent.at > at + late(at) || (sent.life == life && sent.at > at))
    {
        state.broken(format_args!("B{} passes {} ms after its sign-out", sent.browser, sent.at - at));
    }
    let now = state.time.real();
    let machine = state.time.machine();
    let Some(row) = state.truth.rows.get(&key) else { return };
    let (expires_at, removed_at) = (row.expires_at, row.removed_at);
    let late = |at| NEAR + state.truth.set_back_since(at);
    if removed_at.is_some_and(|at| sent.at > at + late(at)) {
        state.broken(format_args!("B{} passes at {now} with a session that no store has", sent.browser));
    }
    if expires_at <= machine {
        state.broken(format_args!("B{} passes after its session's absolute end", sent.browser));
    }
}

/// Whoever is barred or deleted at the forge comes through no longer than the interval, unless the forge could not be asked:
/// then it is asked behind the next request.
fn is_welcome(state: &mut State, sent: &Sent, user: usize) {
    let (Some(house), known) = (state.truth.house, state.truth.standings[user]) else { return };
    let at_forge = &state.forge.users[user];
    let Some(barred_at) = known.barred_at.filter(|_| at_forge.gone || at_forge.standing != Standing::Good)
    else {
        return;
    };
    let (interval, troubled_at) = (millis(house.recheck), state.truth.troubled_at());
    let grace = NEAR + SECOND + millis(WAIT);
    let late = |at: i64| sent.at > at + interval + grace + state.truth.set_back_since(at - interval);
    if !late(barred_at) {
        return;
    }
    let since = sent.at - barred_at;
    if troubled_at < barred_at - interval - AFTER {
        return state
            .broken(format_args!("B{} passes {since} ms after its account was barred", sent.browser));
    }
    if late(troubled_at + AFTER) {
        let first = *state.truth.late.entry((sent.life, user)).or_insert(sent.at);
        if first > troubled_at && sent.at > first + millis(WAIT) * 3 {
            state.broken(format_args!(
                "B{} still passes {since} ms after its account was barred",
                sent.browser
            ));
        }
    } else {
        state.truth.late.remove(&(sent.life, user));
    }
}

/// A request was refused since the forge does not let its account act.
pub fn barred(state: &mut State, sent: &Sent) {
    let Some(session) = sent.session.as_ref().and_then(|session| state.truth.sessions.get(session)) else {
        return;
    };
    let (user, house) = (session.user, state.truth.house.unwrap());
    let known = state.truth.standings[user];
    if state.forge.users[user].gone || state.forge.users[user].standing != Standing::Good {
        return;
    }
    // What was known goes on while the forge cannot be asked.
    let lifted_at = known.lifted_at.map(|at| at.max(state.truth.troubled_at() + AFTER));
    let grace = millis(house.recheck) + NEAR + SECOND + millis(WAIT);
    let set_back = lifted_at.map_or(0, |at| state.truth.set_back_since(at - millis(house.recheck)));
    let Some(lifted_at) = lifted_at else {
        return state.broken(format_args!("B{} is refused, and user {user} was never barred", sent.browser));
    };
    if sent.at > lifted_at + grace + set_back {
        // One request may find that the forge is to be asked behind it.
        let first = state.truth.refused.entry((sent.life, user)).or_insert(sent.at);
        if *first < lifted_at {
            *first = sent.at;
        }
        if sent.at > *first + millis(WAIT) * 3 {
            state.broken(format_args!("B{} is still refused although user {user} may act", sent.browser));
        }
    }
}

/// The forge is asked whether an account may act.
pub fn looked_at(state: &mut State, user: usize, token: &str) {
    let (now, house) = (state.time.real(), state.truth.house.unwrap());
    let serial = state.forge.by_access(token).map_or(0, |issue| issue.serial);
    let barred = state.forge.users[user].standing != Standing::Good;
    let known = state.truth.standings[user];
    state.truth.standings[user].looked_at = Some((now, serial, barred));
    let Some((last, by, was_barred)) = known.looked_at else { return };
    let signs_in = known.redeemed_at.is_some_and(|at| now - at < 10 * SECOND);
    // What it said may have been lost, or the clock says that more time went by.
    let excused = signs_in
        || was_barred
        || by != serial
        || state.truth.troubled_at() >= last - 10 * SECOND
        || state.truth.jumped_at >= last;
    if !excused && now - last < millis(house.recheck) - 2 * SECOND {
        state.broken(format_args!("user {user} is looked at again after {} ms", now - last));
    }
}

/// A token with this much life was renewed. Nothing but an app's word explains that while it is fresh, and such a word counts
/// once in a minute.
fn is_called_for(state: &mut State, life: &Life, user: usize, left: i64, is_own: bool) {
    let now = state.time.real();
    // Its life is counted from the question, and the forge may have taken its time: of a long one, more than a second.
    let slow = if state.forge.life * 1000 > 4 * margin(state) { millis(FORGE_TIMEOUT) } else { 0 };
    if left <= 2 * margin(state) + SECOND + slow
        || state.time.skew() != 0
        || now - state.truth.jumped_at < 600 * SECOND
    {
        return;
    }
    // Another's, of which it is not known whether it was obtained before the clock was set back, is renewed once.
    let set_back = state.truth.set_back.len();
    if !is_own
        && state.truth.set_back_since(state.truth.begun[&life.number]) > 0
        && state.truth.doubted.insert((life.number, user, set_back))
    {
        return;
    }
    let accused = state.truth.standings[user].accused_at.is_some_and(|at| now - at < 60 * SECOND);
    if !accused {
        state.broken(format_args!("P{} renews a token of user {user} with {left} ms of life", life.process));
    }
    if let Some(last) = state.truth.forced.insert((life.number, user), now)
        && now - last < 50 * SECOND
        && !state.is_trouble()
    {
        state.broken(format_args!("P{} is talked into a second renewal of user {user}", life.process));
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap()
}

fn is_token_good(state: &mut State, sent: &Sent, user: usize, token: &str, headers: &HeaderMap) {
    let now = state.time.at_forge();
    let Some(issue) = state.forge.by_access(token) else {
        return state.broken(format_args!("a token that the forge never gave out"));
    };
    let (owner, serial, left) = (issue.user, issue.serial, issue.ends_at - now);
    let is_own = given_to(issue.fate) == Some(sent.life);
    if owner != user {
        state.broken(format_args!("a request of user {user} carries the token of user {owner}"));
    }
    if !state.truth.stored.contains(token) && !state.truth.blind {
        state.broken(format_args!("a token is used that is not stored"));
    }
    // A clock that was set back makes a token seem to live longer to whoever did not see it, or has looked just before.
    let began = state.time.real() + left - state.forge.life * 1000;
    let clock = state.truth.unseen_since(began, sent, is_own);
    if left + SECOND + clock <= 0 {
        state.broken(format_args!(
            "B{} at P{}: a token is sent {} ms after its end",
            sent.browser, sent.process, -left
        ));
    }
    // Whose owner is signing out may find the tokens dropped, and nothing to be renewed.
    let wished = sent.session.as_ref().is_some_and(|session| state.truth.sessions[session].wished > 0);
    let is_excused = wished || state.is_trouble() || state.is_held_up();
    if left + SECOND + clock < margin(state) && !is_excused {
        state.broken(format_args!(
            "B{} at P{}: a token is sent with {left} ms of life, and nothing was wrong",
            sent.browser, sent.process
        ));
    }
    let grant = state.forge.grant(user).filter(|grant| grant.serial == serial);
    let scope = grant.map(|grant| grant.scope.clone());
    let said = text(headers, "x-hero-forge-scopes").unwrap_or_default();
    if let Some(scope) = scope
        && (!may_be_passed(&scope) || scope != said)
    {
        state.broken(format_args!("a token of scope {scope:?} is sent as {said:?}"));
    }
    let expires: i64 = text(headers, "x-hero-forge-token-expires").unwrap().parse().unwrap();
    if expires * 1000 > now + left + SECOND + state.time.skew().max(0) + clock {
        let more = expires * 1000 - now - left;
        state.broken(format_args!("a token is said to live {more} ms longer than it does"));
    }
}

/// Which process got a set from the forge, if one did.
fn given_to(fate: Fate) -> Option<u32> {
    match fate {
        Fate::Delivered { life, .. } | Fate::OnItsWay { life, .. } => Some(life),
        Fate::Lost | Fate::Dropped => None,
    }
}

/// The forge has renewed a token.
pub fn refreshed(state: &mut State, life: &Life, issue: usize) {
    let from = state.forge.issues[issue].from;
    if let Some(set) = from.map(|from| &state.forge.issues[from]) {
        let (user, left) = (set.user, set.ends_at - state.time.at_forge());
        let is_own = given_to(set.fate) == Some(life.number);
        is_called_for(state, life, user, left, is_own);
    }
    let twin = state.forge.issues[..issue].iter().rev().find(|set| set.from == from);
    let excused = from.is_some_and(|from| state.forge.is_twin(from))
        || twin.is_none_or(|twin| match twin.fate {
            Fate::Lost => true,
            Fate::OnItsWay { life, .. } | Fate::Delivered { life, .. }
                if state.truth.over.contains(&life) =>
            {
                true
            }
            // Leases have lapsed, if the clock has jumped.
            Fate::Delivered { .. } | Fate::OnItsWay { .. }
                if state.time.real() - state.truth.jumped_at < 60_000 =>
            {
                true
            }
            Fate::Delivered { .. } => !twin.stored && state.is_trouble(),
            Fate::OnItsWay { .. } => false,
            Fate::Dropped => false,
        });
    if !excused {
        let twin = twin.map(|twin| (twin.user, twin.number, twin.fate, twin.stored));
        state.broken(format_args!("P{} renews a version that was renewed before: {twin:?}", life.process));
    }
}

/// A grant's row was written: what is in it may be used from here on.
pub fn written(state: &mut State, process: usize, account: AccountKey) {
    let Some(user) = state.truth.user_of(account) else {
        state.truth.blind = true;
        return;
    };
    let Some(grant) = state.truth.grant(user) else { return };
    state.truth.stored.insert(grant.access.expose().to_owned());
    let refresh = grant.refresh.as_ref().map(|refresh| refresh.expose().to_owned()).unwrap_or_default();
    if let Some(issue) = state.forge.by_refresh(&refresh) {
        state.forge.issues[issue].stored = true;
    }
    let (version, dead, verdict) = (grant.version, if grant.dead { ", dead" } else { "" }, &grant.verdict);
    state
        .tell(format_args!("P{process} stores user {user}: version {version}, {refresh}{dead}, {verdict:?}"));
}

/// A grant's row went with the last session that needed it: what a renewal still brings is for nobody.
pub fn dropped(state: &mut State, account: AccountKey) {
    let Some(user) = state.truth.user_of(account) else { return };
    for set in state.forge.issues.iter_mut().filter(|set| set.user == user && set.from.is_some()) {
        set.is_unwanted |= !set.stored;
    }
}

/// The use of a session was noted.
pub fn touched(state: &mut State, key: SessionKey, there: bool, seen_at: Timestamp) {
    let (latest, idle) = (state.truth.latest.max(state.time.machine()), state.truth.house.unwrap().idle);
    if let Some(row) = state.truth.rows.get_mut(&key).filter(|_| there) {
        row.was_up |= row.is_up(latest, idle);
        row.seen_at = row.seen_at.max(seen_at);
    }
}

/// A request with a session was answered as if it had none.
pub fn asked_to_sign_in(state: &mut State, sent: &Sent) {
    let Some(session) = sent.session.as_ref().and_then(|session| state.truth.sessions.get(session)) else {
        return;
    };
    let (user, key, wished) = (session.user, session.key, session.wished);
    let idle = state.truth.house.unwrap().idle;
    let now = state.time.at_forge();
    state.truth.latest = state.truth.latest.max(state.time.machine());
    state.truth.observe(&state.forge, now);
    let grace = NEAR + SECOND + state.truth.set_back_since(sent.at - NEAR - SECOND);
    let dead = state.truth.justified_at(user).is_some_and(|at| at >= sent.at - grace);
    if wished > 0 || dead || state.truth.time_is_up(key, idle) {
        return;
    }
    let latest = state.forge.latest(user).map(|set| (set.number, set.fate, set.stored));
    // A clock that jumps by more than a lease ends what another process has announced; its set revives the session once it is
    // stored.
    let since = sent.at - millis(LEASE);
    let jumped = state.truth.set_ahead_at >= since || state.truth.set_back_since(since) > millis(LEASE);
    if jumped && latest.is_some_and(|(_, _, stored)| !stored) {
        return;
    }
    state.broken(format_args!(
        "B{} at P{} is signed out although user {user} has a grant (last set: {latest:?})",
        sent.browser, sent.process
    ));
}
