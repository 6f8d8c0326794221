//! What is true of sessions, rows and token sets, seen from above all processes: the ground on which `laws` judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hero_proxy::base::account::{Account, AccountKey, Standing, UserId};
use hero_proxy::base::clock::Timestamp;
use hero_proxy::base::entropy::OsEntropy;
use hero_proxy::session::id::{SessionId, SessionKey};
use hero_proxy::session::memory::MemoryStore;
use hero_proxy::session::record::GrantRecord;
use hero_proxy::session::store::SessionRow;
use hero_proxy::session::vault::Vault;

use http::HeaderMap;
use tokio::time::Instant;

use crate::forge::{Fate, Forge};
use crate::laws::NEAR;
use crate::process::{CLIENT, House, ISSUER, LEASE, Life, WAIT, ring};
use crate::world::{State, ready};

/// How long after a fault requests may still feel it: a lease lapses, a failed renewal rests, a request waits.
const AFTERMATH: i64 = 60_000;

/// A session that some browser was given.
pub struct Session {
    pub key: SessionKey,
    pub user: usize,
    /// Its owner has asked for its end: logged out, or signed in anew in its place.
    pub wished: u32,
    /// Its owner was told that it has ended: when, and by which life of which process.
    pub ended: Option<(i64, u32)>,
}

/// A session's row as the store has it, or had it.
pub struct Row {
    pub account: AccountKey,
    pub expires_at: Timestamp,
    pub seen_at: Timestamp,
    pub removed_at: Option<i64>,
    /// Whether its time was up at some moment by the machine's clock. A process that saw it holds to that, whoever turns the
    /// clock back.
    pub was_up: bool,
}

impl Row {
    /// Whether its idle or its absolute end is not after this moment.
    pub fn is_up(&self, latest: Timestamp, idle: Duration) -> bool {
        self.expires_at <= latest || self.seen_at.plus(idle) <= latest
    }
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub browser: usize,
    pub process: usize,
    pub life: u32,
    pub session: Option<String>,
    /// Whether it goes where everybody may pass.
    pub public: bool,
    /// Whether it goes to an app that is believed about the token.
    pub strict: bool,
    pub at: i64,
    /// The same without what the machine sleeps through.
    pub moment: Instant,
}

/// What was done to a user at the forge, and when the forge was asked about it.
#[derive(Clone, Copy, Default)]
pub struct Standings {
    /// When the account was barred or deleted last, and when that was lifted.
    pub barred_at: Option<i64>,
    pub lifted_at: Option<i64>,
    /// When the forge was asked last, by a token of which grant, and whether it barred the account then.
    pub looked_at: Option<(i64, u32, bool)>,
    /// When a code was redeemed last: a sign-in asks, too.
    pub redeemed_at: Option<i64>,
    /// When the app called its token invalid last.
    pub accused_at: Option<i64>,
}

pub struct Truth {
    pub accounts: Vec<Account>,
    pub standings: Vec<Standings>,
    /// When a request of a barred user came through last that had to be the last one: by life and user.
    pub late: BTreeMap<(u32, usize), i64>,
    /// When one was refused first that ought to pass: by life and user.
    pub refused: BTreeMap<(u32, usize), i64>,
    /// Renewals that nothing but an app's word explains: by life and user.
    pub forced: BTreeMap<(u32, usize), i64>,
    /// Which process has renewed whose token after how many set-backs.
    pub doubted: BTreeSet<(u32, usize, usize)>,
    pub house: Option<House>,
    vault: Option<Vault>,
    pub sent: BTreeMap<u64, Sent>,
    /// How often each request came to the app.
    pub passed: BTreeMap<u64, u32>,
    pub sessions: BTreeMap<String, Session>,
    pub rows: BTreeMap<SessionKey, Row>,
    /// Access tokens that a store has, or had.
    pub stored: BTreeSet<String>,
    /// Rows were written that the truth cannot read: the keeper keeps accounts of its own making.
    pub blind: bool,
    /// When each user was last known to have nothing left to live by.
    justified_at: Vec<Option<i64>>,
    /// Who had nothing, and has nothing stored since: what is on its way brings nobody back yet.
    ended: Vec<bool>,
    pub over: BTreeSet<u32>,
    store_failed_at: i64,
    pub trouble_until: i64,
    /// The furthest that the machine's clock has been.
    pub latest: Timestamp,
    /// When it was set back, and by how much; and when it last jumped at all.
    pub set_back: Vec<(i64, i64)>,
    /// When it was set ahead, or the machine slept.
    pub moved: Vec<i64>,
    /// When each process began.
    pub begun: BTreeMap<u32, i64>,
    pub jumped_at: i64,
    /// When it was last set ahead by more than a lease, or the machine slept.
    pub set_ahead_at: i64,
    pub jumps: usize,
    /// Where the machine's clock was when it was set back: marks of then count again when it comes there.
    pub set_back_from: Timestamp,
    pub calls: BTreeMap<&'static str, usize>,
    pub sign_ins: usize,
    /// Until when a sign-out everywhere of a user may be under way.
    pub leaving: BTreeMap<usize, i64>,
}

impl Truth {
    pub fn new(forge: &Forge) -> Self {
        let mut truth = Self {
            accounts: Vec::new(),
            standings: Vec::new(),
            late: BTreeMap::new(),
            forced: BTreeMap::new(),
            doubted: BTreeSet::new(),
            refused: BTreeMap::new(),
            house: None,
            vault: None,
            sent: BTreeMap::new(),
            passed: BTreeMap::new(),
            sessions: BTreeMap::new(),
            rows: BTreeMap::new(),
            stored: BTreeSet::new(),
            blind: false,
            justified_at: Vec::new(),
            ended: Vec::new(),
            over: BTreeSet::new(),
            store_failed_at: i64::MIN / 2,
            trouble_until: i64::MIN / 2,
            latest: Timestamp::default(),
            set_back: Vec::new(),
            moved: Vec::new(),
            begun: BTreeMap::new(),
            jumped_at: i64::MIN / 2,
            set_ahead_at: i64::MIN / 2,
            jumps: 0,
            set_back_from: Timestamp::default(),
            calls: BTreeMap::new(),
            sign_ins: 0,
            leaving: BTreeMap::new(),
        };
        truth.meet(forge);
        truth
    }

    /// Gets to know users that are new at the forge.
    pub fn meet(&mut self, forge: &Forge) {
        for user in &forge.users[self.accounts.len()..] {
            self.accounts.push(Account {
                issuer: ISSUER.into(),
                client_id: CLIENT.into(),
                sub: UserId(user.id.as_str().into()),
            });
            self.standings.push(Standings::default());
            self.justified_at.push(None);
            self.ended.push(false);
        }
    }

    /// When something was wrong last.
    pub fn troubled_at(&self) -> i64 {
        self.trouble_until - AFTERMATH
    }

    /// Looks into the rows from here on.
    pub fn watch(&mut self, rows: &Arc<MemoryStore>, house: House) {
        self.house = Some(house);
        self.vault = Some(Vault::new(rows.clone(), &ring(house.seed), Arc::new(OsEntropy)));
    }

    /// The grant that is stored of a user.
    pub fn grant(&self, user: usize) -> Option<GrantRecord> {
        let vault = self.vault.as_ref()?;
        ready(vault.grant(&self.accounts[user])).ok()?.live()
    }

    pub fn user_of(&self, key: AccountKey) -> Option<usize> {
        self.accounts.iter().position(|account| account.key() == key)
    }

    pub fn called_forge(&mut self, name: &'static str) {
        *self.calls.entry(name).or_default() += 1;
    }

    pub fn store_fails(&mut self, now: i64) {
        self.store_failed_at = now;
    }

    pub fn inserted(&mut self, key: SessionKey, row: &SessionRow) {
        let (account, expires_at, seen_at) = (row.account, row.expires_at, row.seen_at);
        self.rows.insert(key, Row { account, expires_at, seen_at, removed_at: None, was_up: false });
    }

    pub fn removed(&mut self, key: SessionKey, now: i64) {
        if let Some(row) = self.rows.get_mut(&key) {
            row.removed_at.get_or_insert(now);
        }
    }

    pub fn removed_all(&mut self, account: AccountKey, except: Option<SessionKey>, now: i64) {
        let all = self.rows.iter_mut().filter(|(key, _)| Some(**key) != except);
        for (_, row) in all.filter(|(_, row)| row.account == account) {
            row.removed_at.get_or_insert(now);
        }
    }

    /// A browser was given a session.
    pub fn given(&mut self, text: &str, user: usize, now: i64) {
        let key = SessionId::parse(text.as_bytes()).unwrap().key();
        // It may be among those that a sign-out everywhere has ended meanwhile.
        let wished = u32::from(self.leaving.get(&user).is_some_and(|until| *until >= now));
        let session = Session { key, user, wished, ended: None };
        self.sessions.entry(text.to_owned()).or_insert(session);
    }

    /// Notes which users have nothing left to live by at this moment. To be called before and after whatever changes that.
    pub fn observe(&mut self, forge: &Forge, at_forge: i64) {
        let now = at_forge - 1_800_000_000_000;
        for user in 0..self.justified_at.len() {
            let reachable = self.is_reachable(forge, user, now);
            self.ended[user] = reachable.is_none_or(|stored| self.ended[user] && !stored);
            if self.ended[user] {
                self.justified_at[user] = Some(now);
            }
        }
    }

    /// Whether there is a token set that the forge would still renew, stored or in the hands of somebody who can store it;
    /// and whether one is stored.
    fn is_reachable(&self, forge: &Forge, user: usize, now: i64) -> Option<bool> {
        let serial = forge.grant(user)?.serial;
        let sets = forge.issues.iter().rev().filter(|set| set.user == user && set.serial == serial);
        // With rotation the last one only.
        let sets = sets.take(if forge.rotates { 1 } else { usize::MAX });
        let store_fails = now - self.store_failed_at < AFTERMATH;
        let reachable = sets.filter(|set| match set.fate {
            _ if set.stored => true,
            _ if set.is_unwanted => false,
            Fate::OnItsWay { life, .. } => !self.over.contains(&life),
            Fate::Delivered { life, .. } => !self.over.contains(&life) && !store_fails,
            Fate::Dropped => true,
            Fate::Lost => false,
        });
        reachable.map(|set| set.stored).reduce(|one, other| one || other)
    }

    /// By how much the clock was set back since a moment.
    pub fn set_back_since(&self, moment: i64) -> i64 {
        self.set_back.iter().filter(|(at, _)| *at >= moment).map(|(_, by)| by).sum()
    }

    /// The same, less what the process that got a request has seen: it looks when it gets one, and then not for a while. Of what
    /// befell the clock between two looks it sees the sum.
    pub fn unseen_since(&self, moment: i64, sent: &Sent, is_own: bool) -> i64 {
        let looks = || {
            let known = self.sent.values().filter(|other| other.life == sent.life && other.session.is_some());
            known.map(|other| other.at)
        };
        let is_muddled = |at| {
            let before = looks().filter(|look| *look < at).max().unwrap_or(self.begun[&sent.life]) - NEAR;
            let after = looks().filter(|look| *look > at).min().unwrap_or(sent.at) + NEAR;
            self.moved.iter().any(|other| (before..=after).contains(other))
        };
        let lease = i64::try_from(LEASE.as_millis()).unwrap();
        let is_unseen = |at| {
            // Another's that was on its way when the clock was set back may be stored as one of since.
            let on_its_way = !is_own && at - moment <= lease;
            on_its_way || at <= self.begun[&sent.life] || at + NEAR >= sent.at || is_muddled(at)
        };
        // Less than a second is seen together with others only.
        let is_unseen = |&&(at, by): &&(i64, i64)| at >= moment && (by <= 1_000 || is_unseen(at));
        self.set_back.iter().filter(is_unseen).map(|(_, by)| by).sum()
    }

    /// When a user last had nothing left to live by.
    pub fn justified_at(&self, user: usize) -> Option<i64> {
        self.justified_at[user]
    }

    /// Whether a session's time was up at some moment so far.
    pub fn time_is_up(&self, key: SessionKey, idle: Duration) -> bool {
        let row = self.rows.get(&key);
        row.is_none_or(|row| row.was_up || row.is_up(self.latest, idle))
    }
}

impl State {
    /// Something is wrong at this moment; requests may feel it for a while.
    pub fn trouble(&mut self) {
        self.truth.trouble_until = self.truth.trouble_until.max(self.time.real() + AFTERMATH);
    }

    pub fn is_trouble(&self) -> bool {
        self.time.real() < self.truth.trouble_until
    }

    /// The forge bars an account, or lets it act again.
    pub fn bar(&mut self, user: usize, standing: Standing) {
        let now = self.time.real();
        let known = &mut self.truth.standings[user];
        if standing == Standing::Good {
            known.lifted_at = Some(now);
        } else if self.forge.users[user].standing == Standing::Good {
            known.barred_at = Some(now);
        }
        self.forge.users[user].standing = standing;
        self.tell(format_args!("forge: user {user} is {standing:?}"));
    }

    /// An account is deleted; its owner gets another one, which is returned.
    pub fn delete(&mut self, user: usize) -> usize {
        let now = self.time.at_forge();
        self.truth.observe(&self.forge, now);
        self.forge.delete(user);
        let next = self.forge.add_user();
        self.truth.meet(&self.forge);
        self.truth.standings[user].barred_at = Some(self.time.real());
        self.truth.observe(&self.forge, now);
        self.tell(format_args!("forge: user {user} is deleted; user {next} is new"));
        next
    }

    /// Whether the app calls the token of a request invalid: if it is, and now and then for no reason.
    pub fn app_minds(&mut self, headers: &HeaderMap) -> bool {
        let Some(token) = headers.get("x-hero-forge-token").and_then(|token| token.to_str().ok()) else {
            return false;
        };
        let now = self.time.at_forge();
        let minds = self.forge.bearer(token, now).is_none() || self.chance.one_in(8);
        if minds && let Some(user) = self.forge.by_access(token).map(|issue| issue.user) {
            self.truth.standings[user].accused_at = Some(self.time.real());
            self.tell(format_args!("the app calls the token of user {user} invalid"));
        }
        minds
    }

    /// Whether a mark in the store of before the clock was set back may hold somebody up: a lease that could not be given
    /// back, an exchange that was announced, somebody's look at an account. Who came before it lapsed may wait for it.
    pub fn is_held_up(&self) -> bool {
        // One that ends later than in two leases is none.
        let begins = self.time.machine().plus(LEASE * 2 + Duration::from_secs(2));
        self.leaves_marks() && self.truth.set_back_from <= begins
    }

    /// Whether that may still come.
    pub fn leaves_marks(&self) -> bool {
        self.time.machine() <= self.truth.set_back_from.plus(LEASE + WAIT)
    }

    /// What became of a token set.
    pub fn fate(&mut self, issue: usize, fate: Fate) {
        let now = self.time.at_forge();
        self.truth.observe(&self.forge, now);
        self.forge.issues[issue].fate = fate;
        self.truth.observe(&self.forge, now);
    }

    /// The machine's clock is set to this much ahead of the true time.
    pub fn set_clock(&mut self, ahead: i64) {
        let (now, moved) = (self.time.real(), ahead - self.time.skew());
        if moved == 0 {
            return;
        }
        self.truth.latest = self.truth.latest.max(self.time.machine());
        self.time.set_skew(ahead);
        self.truth.latest = self.truth.latest.max(self.time.machine());
        if u128::try_from(moved).is_ok_and(|moved| moved > LEASE.as_millis()) {
            self.truth.set_ahead_at = now;
        }
        if moved < 0 {
            self.truth.set_back.push((now, -moved));
            self.truth.set_back_from = self.truth.latest;
        } else {
            self.truth.moved.push(now);
        }
        self.truth.jumped_at = now;
        self.truth.jumps += 1;
        self.trouble();
        self.tell(format_args!("the clock jumps by {moved} ms"));
    }

    /// The machine does not notice that so much time goes by.
    pub fn sleep_through(&mut self, span: i64) {
        let now = self.time.real();
        for until in self.truth.leaving.values_mut().filter(|until| **until >= now) {
            *until += span;
        }
        self.time.sleep_through(span);
        self.truth.moved.push(self.time.real());
        self.truth.latest = self.truth.latest.max(self.time.machine());
        self.truth.jumped_at = self.time.real();
        self.truth.set_ahead_at = self.time.real();
        self.truth.jumps += 1;
        self.trouble();
        self.tell(format_args!("the machine slept for {span} ms"));
    }

    /// A process dies here.
    pub fn died(&mut self, life: &Life, at: &str) {
        self.tell(format_args!("P{} dies at {at}", life.process));
        let now = self.time.at_forge();
        self.truth.observe(&self.forge, now);
        self.truth.over.insert(life.number);
        self.truth.observe(&self.forge, now);
        self.trouble();
        life.end();
    }
}
