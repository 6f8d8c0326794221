//! A forge in memory: Forgejo's law of grants (docs/FORGEJO.md 1.2, 1.6 to 1.8, 2.4) and nothing else. One grant, one
//! counter and one nonce per user, the scope of the first consent kept for ever, codes that are used once, tokens that end
//! on whole seconds, and equal access tokens within one second.

use std::collections::BTreeMap;

use hero_proxy::base::account::Standing;

use crate::chance::Chance;

/// What is asked for.
pub const SCOPE: &str = "openid profile read:user write:issue";
/// Old consents that the forge keeps.
const WIDER: &str = "openid profile";
const NARROWER: &str = "openid profile read:user";

pub struct User {
    pub id: String,
    pub login: String,
    /// Whether the account may act. Tokens are renewed and described whatever it is: only calls of the API see it.
    pub standing: Standing,
    /// Whether it is deleted.
    pub gone: bool,
}

pub struct Grant {
    /// Grants are never the same again: a revoked one's tokens fit no later one.
    pub serial: u32,
    pub scope: String,
    nonce: String,
    counter: u32,
}

struct Code {
    user: usize,
    serial: u32,
    verifier: String,
}

/// What became of a token set that the forge gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    OnItsWay {
        process: usize,
        life: u32,
    },
    Delivered {
        process: usize,
        life: u32,
    },
    /// By the world's fault.
    Lost,
    /// The proxy did not wait for it although nothing was wrong.
    Dropped,
}

/// A token set that was given out.
pub struct Issue {
    pub user: usize,
    pub serial: u32,
    pub number: u32,
    /// When its access token ends, in the forge's milliseconds.
    pub ends_at: i64,
    /// Which set's refresh token it was given for; none for a code.
    pub from: Option<usize>,
    pub fate: Fate,
    /// Whether a store has it, or had it.
    pub stored: bool,
    /// Whether its account had nobody left who needs it before it was stored.
    pub is_unwanted: bool,
}

/// A token response.
#[derive(Clone)]
pub struct Given {
    pub issue: usize,
    pub access: String,
    pub refresh: String,
    pub id_token: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Unauthorized,
    InvalidGrant,
}

pub struct Forge {
    /// Whether a refresh token counts once (`INVALIDATE_REFRESH_TOKENS`).
    pub rotates: bool,
    /// How long access tokens live, in seconds.
    pub life: i64,
    pub users: Vec<User>,
    grants: Vec<Option<Grant>>,
    codes: BTreeMap<String, Code>,
    pub issues: Vec<Issue>,
    access: BTreeMap<String, usize>,
    refresh: BTreeMap<String, usize>,
    last: u32,
}

impl Forge {
    pub fn new(chance: &mut Chance) -> Self {
        let many = 1 + chance.below(3);
        let mut forge = Self {
            rotates: chance.percent(75),
            life: chance.pick(&[8, 20, 30, 60, 120, 150, 300]),
            users: Vec::new(),
            grants: Vec::new(),
            codes: BTreeMap::new(),
            issues: Vec::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            last: 0,
        };
        for user in 0..many {
            forge.add_user();
            if chance.one_in(6) {
                forge.consent(user, chance.pick(&[WIDER, NARROWER]));
            }
        }
        forge
    }

    /// Somebody new; no id is ever given again.
    pub fn add_user(&mut self) -> usize {
        let at = self.users.len();
        let (id, login) = (format!("{}", at + 7), format!("user{}", at + 7));
        self.users.push(User { id, login, standing: Standing::Good, gone: false });
        self.grants.push(None);
        at
    }

    /// Ends an account and all that it granted.
    pub fn delete(&mut self, user: usize) {
        self.users[user].gone = true;
        self.revoke(user);
    }

    fn number(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    fn consent(&mut self, user: usize, scope: &str) {
        let serial = self.number();
        self.grants[user] = Some(Grant { serial, scope: scope.to_owned(), nonce: String::new(), counter: 0 });
    }

    pub fn grant(&self, user: usize) -> Option<&Grant> {
        self.grants[user].as_ref()
    }

    /// A signed-in user comes to the authorize page and agrees; none if the forge shows a page about the account instead.
    pub fn authorize(&mut self, user: usize, scope: &str, nonce: &str, verifier: &str) -> Option<String> {
        if self.users[user].gone || self.users[user].standing != Standing::Good {
            return None;
        }
        if self.grants[user].is_none() {
            self.consent(user, scope);
        }
        let number = self.number();
        let grant = self.grants[user].as_mut().unwrap();
        nonce.clone_into(&mut grant.nonce);
        let code = format!("code-{number}-{user}");
        let verifier = verifier.to_owned();
        self.codes.insert(code.clone(), Code { user, serial: grant.serial, verifier });
        Some(code)
    }

    pub fn redeem(&mut self, code: &str, verifier: &str, now: i64) -> Result<Given, Refusal> {
        let fits = self.codes.get(code).is_some_and(|code| code.verifier == verifier);
        let Some(code) = fits.then(|| self.codes.remove(code)).flatten() else {
            return Err(Refusal::Unauthorized);
        };
        match &self.grants[code.user] {
            Some(grant) if grant.serial == code.serial => Ok(self.issue(code.user, None, now)),
            _ => Err(Refusal::InvalidGrant),
        }
    }

    pub fn refresh(&mut self, token: &str, now: i64) -> Result<Given, Refusal> {
        let Some(from) = self.refresh.get(token).copied() else { return Err(Refusal::Unauthorized) };
        let issue = &self.issues[from];
        let user = issue.user;
        match &self.grants[user] {
            Some(grant) if grant.serial == issue.serial => {
                if self.rotates && issue.number != grant.counter {
                    return Err(Refusal::Unauthorized);
                }
            }
            _ => return Err(Refusal::InvalidGrant),
        }
        Ok(self.issue(user, Some(from), now))
    }

    fn issue(&mut self, user: usize, from: Option<usize>, now: i64) -> Given {
        let at = self.issues.len();
        let grant = self.grants[user].as_mut().unwrap();
        grant.counter += u32::from(self.rotates);
        let (from_sec, ends_sec) = (now / 1000, now / 1000 + self.life);
        let (serial, number) = (grant.serial, grant.counter);
        let access = format!("at-{serial}-{ends_sec}");
        let refresh = format!("rt-{serial}-{number}-{from_sec}");
        let login = &self.users[user].login;
        let id_token = format!("{}|{login}|{}|{from_sec}|{ends_sec}", self.users[user].id, grant.nonce);
        let fate = Fate::OnItsWay { process: usize::MAX, life: 0 };
        self.issues.push(Issue {
            user,
            serial,
            number,
            ends_at: ends_sec * 1000,
            from,
            fate,
            stored: false,
            is_unwanted: false,
        });
        self.access.insert(access.clone(), at);
        self.refresh.insert(refresh.clone(), at);
        Given { issue: at, access, refresh, id_token }
    }

    /// The scope of the grant that a token belongs to.
    pub fn introspect(&self, token: &str, now: i64) -> Option<String> {
        let issue = &self.issues[*self.access.get(token)?];
        let grant = self.grants[issue.user].as_ref()?;
        (grant.serial == issue.serial && issue.ends_at > now).then(|| grant.scope.clone())
    }

    /// Whose live token this is.
    pub fn bearer(&self, token: &str, now: i64) -> Option<usize> {
        self.introspect(token, now)?;
        self.by_access(token).map(|issue| issue.user)
    }

    pub fn revoke(&mut self, user: usize) {
        self.grants[user] = None;
    }

    pub fn by_access(&self, token: &str) -> Option<&Issue> {
        self.access.get(token).map(|at| &self.issues[*at])
    }

    pub fn by_refresh(&self, token: &str) -> Option<usize> {
        self.refresh.get(token).copied()
    }

    /// Whether the refresh token of a set has the bytes of another one's: without rotation those of one second have.
    pub fn is_twin(&self, issue: usize) -> bool {
        let set = &self.issues[issue];
        let is_same = |other: &Issue| {
            (other.serial, other.number, other.ends_at) == (set.serial, set.number, set.ends_at)
        };
        self.issues.iter().filter(|other| is_same(other)).count() > 1
    }

    /// The last set that a user's grant has given out, if there is a grant.
    pub fn latest(&self, user: usize) -> Option<&Issue> {
        let serial = self.grants[user].as_ref()?.serial;
        self.issues.iter().rev().find(|issue| issue.user == user && issue.serial == serial)
    }
}

/// Whether a token of this scope may be passed on when [`SCOPE`] was asked for.
pub fn may_be_passed(scope: &str) -> bool {
    scope != WIDER
}
