//! The line from a process to the forge: the port, with what can go wrong on the way. A request that has left goes on
//! whatever becomes of the process or of the future that waits for it.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hero_proxy::base::account::{Identity, Standing, UserId};
use hero_proxy::base::port::Answer;
use hero_proxy::base::secret::{AuthCode, IdToken, Nonce, PkceVerifier, RefreshToken};
use hero_proxy::forge::api::{Authorization, ForgeOauth, Introspection, Profile, TokenSet};
use hero_proxy::forge::error::{ForgeError, IdTokenFault, OauthCode};
use hero_proxy::wire::ForgeToken;
use tokio::sync::oneshot;
use tokio::time::timeout;
use url::Url;

use crate::forge::{Fate, Given, Refusal};
use crate::process::{FORGE_TIMEOUT, ISSUER, Life};
use crate::weather::ForgeFault;
use crate::world::{State, World, pass};

pub struct Line {
    world: Arc<World>,
    life: Life,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

/// Watches over a token set on its way, until it is in the hands of the caller.
struct Way {
    world: Arc<World>,
    life: Life,
    cargo: Arc<Mutex<Cargo>>,
    ended: bool,
}

/// What is on its way, if the forge has given it out already, and whether the caller still wants it.
#[derive(Default)]
struct Cargo {
    issue: Option<usize>,
    dropped: bool,
}

impl Way {
    fn end(&mut self, fate: Fate) {
        self.ended = true;
        let mut cargo = self.cargo.lock().unwrap();
        cargo.dropped = fate == Fate::Dropped;
        if let Some(issue) = cargo.issue {
            self.world.lock().fate(issue, fate);
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if !self.ended && !self.life.is_over() {
            self.end(Fate::Dropped);
            let (process, mut state) = (self.life.process, self.world.lock());
            state.tell(format_args!("P{process} drops a call to the token endpoint"));
        }
    }
}

impl Line {
    pub fn new(world: Arc<World>, life: Life) -> Self {
        Self { world, life }
    }

    /// One call. `effect` is what the forge does, unless the request is lost.
    async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, ForgeError> + Send + 'static,
        issue_of: impl Fn(&T) -> Option<usize> + Send + 'static,
    ) -> Result<T, ForgeError> {
        self.life.go_on().await;
        let (process, number) = (self.life.process, self.life.number);
        let plan = {
            let state = &mut *self.world.lock();
            let plan = state.weather.forge_plan(&mut state.chance);
            state.truth.called_forge(name);
            if plan.fault != ForgeFault::None || plan.is_slow() {
                state.trouble();
                state.tell(format_args!(
                    "P{process} {name}: {:?} ({}+{} ms)",
                    plan.fault,
                    plan.before.as_millis(),
                    plan.after.as_millis()
                ));
            }
            plan
        };
        let arrives = !matches!(
            plan.fault,
            ForgeFault::Down
                | ForgeFault::Odd
                | ForgeFault::RequestLost
                | ForgeFault::Misconfigured
                | ForgeFault::DiesBefore
        );
        if plan.fault == ForgeFault::DiesBefore {
            self.die(name).await;
        }
        let cargo = Arc::<Mutex<Cargo>>::default();
        let (answer, answered) = oneshot::channel();
        if arrives {
            let (world, cargo) = (Arc::clone(&self.world), Arc::clone(&cargo));
            tokio::spawn(async move {
                pass(plan.before).await;
                let done = {
                    let state = &mut *world.lock();
                    let done = effect(state);
                    let issued = done.as_ref().ok().and_then(&issue_of);
                    cargo.lock().unwrap().issue = issued;
                    if let Some(at) = issued {
                        state.fate(at, Fate::OnItsWay { process, life: number });
                    }
                    let outcome = done.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned());
                    state.tell(format_args!("forge, for P{process}: {name}: {outcome}"));
                    done
                };
                pass(plan.after).await;
                let lost = matches!(
                    plan.fault,
                    ForgeFault::AnswerLost | ForgeFault::AnswerCut | ForgeFault::AnswerHangs
                );
                let left = match (lost, answer.is_closed()) {
                    (false, false) => answer.send(done).err().is_some(),
                    _ => true,
                };
                // Nobody takes the set any more: the caller has given up, or the line is down.
                let (cargo, state) = (cargo.lock().unwrap(), &mut *world.lock());
                if let Some(at) = cargo.issue
                    && left
                    && matches!(state.forge.issues[at].fate, Fate::OnItsWay { .. })
                {
                    state.fate(at, if cargo.dropped { Fate::Dropped } else { Fate::Lost });
                }
            });
        }
        let mut way = Way { world: Arc::clone(&self.world), life: self.life.clone(), cargo, ended: false };
        let outcome = self.wait(name, plan.fault, plan.before + plan.after, answered).await;
        self.life.go_on().await;
        match outcome {
            Ok(done) => {
                way.end(Fate::Delivered { process, life: number });
                if plan.fault == ForgeFault::DiesAfter {
                    self.die(name).await;
                }
                done
            }
            Err(failed) => {
                way.end(Fate::Lost);
                Err(failed)
            }
        }
    }

    /// What the caller sees of it.
    async fn wait<T>(
        &self,
        name: &'static str,
        fault: ForgeFault,
        quick: Duration,
        answered: oneshot::Receiver<Result<T, ForgeError>>,
    ) -> Result<Result<T, ForgeError>, ForgeError> {
        match fault {
            ForgeFault::None | ForgeFault::DiesAfter => match timeout(FORGE_TIMEOUT, answered).await {
                Ok(Ok(done)) => Ok(done),
                _ => Err(ForgeError::Unavailable("timeout")),
            },
            ForgeFault::Down => {
                pass(quick).await;
                Err(ForgeError::Unavailable("503"))
            }
            ForgeFault::Odd => {
                pass(quick).await;
                Err(ForgeError::Garbled("HTML"))
            }
            ForgeFault::Misconfigured => {
                pass(quick).await;
                Err(ForgeError::Misconfigured(OauthCode::InvalidClient))
            }
            ForgeFault::AnswerLost => {
                pass(quick.min(FORGE_TIMEOUT)).await;
                Err(ForgeError::Unavailable("closed"))
            }
            ForgeFault::AnswerCut => {
                pass(quick.min(FORGE_TIMEOUT)).await;
                Err(ForgeError::Garbled("cut"))
            }
            ForgeFault::RequestLost | ForgeFault::AnswerHangs => {
                pass(FORGE_TIMEOUT).await;
                Err(ForgeError::Unavailable("timeout"))
            }
            ForgeFault::DiesWhileWaiting => {
                pass(quick / 2).await;
                self.die(name).await;
                pending().await
            }
            ForgeFault::DiesBefore => pending().await,
        }
    }

    async fn die(&self, at: &str) {
        self.world.lock().died(&self.life, at);
        self.life.go_on().await;
    }

    async fn token_set(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut State) -> Result<Given, Refusal> + Send + 'static,
    ) -> Result<TokenSet, ForgeError> {
        let effect = move |state: &mut State| {
            effect(state).map_err(|refusal| {
                ForgeError::Spent(match refusal {
                    Refusal::Unauthorized => OauthCode::UnauthorizedClient,
                    Refusal::InvalidGrant => OauthCode::InvalidGrant,
                })
            })
        };
        let (given, life) = {
            let given = self.call(name, effect, |given: &Given| Some(given.issue)).await?;
            (given, self.world.lock().forge.life)
        };
        Ok(TokenSet {
            access: ForgeToken::new(given.access).unwrap(),
            life: Duration::from_secs(life.unsigned_abs()),
            refresh: Some(RefreshToken::new(given.refresh)),
            id_token: Some(IdToken::new(given.id_token)),
        })
    }

    /// An id_token here is its claims, and always genuine.
    fn read<'a>(
        &'a self,
        id_token: &'a IdToken,
        nonce: Option<&'a Nonce>,
        timely: bool,
    ) -> Answer<'a, Result<Identity, ForgeError>> {
        Box::pin(async move {
            let parts: Vec<&str> = id_token.expose().split('|').collect();
            let [id, login, its_nonce, from, ends] = parts[..] else { unreachable!() };
            let now = timely.then(|| i64::try_from(self.world.lock().time.machine().secs()).unwrap());
            let (from, ends): (i64, i64) = (from.parse().unwrap(), ends.parse().unwrap());
            if now.is_some_and(|now| from > now + 60 || ends + 60 <= now) {
                return Err(ForgeError::BadIdToken(IdTokenFault::Time));
            }
            if nonce.is_some_and(|nonce| nonce.expose() != its_nonce) {
                return Err(ForgeError::BadIdToken(IdTokenFault::Nonce));
            }
            Ok(Identity {
                id: UserId(id.into()),
                login: login.to_owned(),
                name: None,
                email: None,
                groups: Vec::new(),
            })
        })
    }
}

impl ForgeOauth for Line {
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

    fn authorize_url<'a>(&'a self, ask: Authorization<'a>) -> Answer<'a, Result<String, ForgeError>> {
        let mut url: Url = ISSUER.parse().unwrap();
        url.query_pairs_mut()
            .append_pair("scope", ask.scope)
            .append_pair("state", ask.state.expose())
            .append_pair("nonce", ask.nonce.expose())
            .append_pair("verifier", ask.verifier.expose());
        Box::pin(async move { Ok(url.into()) })
    }

    fn redeem<'a>(
        &'a self,
        code: AuthCode,
        verifier: PkceVerifier,
        _: &'a str,
    ) -> Answer<'a, Result<TokenSet, ForgeError>> {
        Box::pin(self.token_set("redeem", move |state| {
            let now = state.time.at_forge();
            state.truth.observe(&state.forge, now);
            let given = state.forge.redeem(code.expose(), verifier.expose(), now);
            if let Ok(given) = &given {
                let user = state.forge.issues[given.issue].user;
                state.truth.standings[user].redeemed_at = Some(state.time.real());
            }
            given
        }))
    }

    fn refresh<'a>(&'a self, token: &'a RefreshToken) -> Answer<'a, Result<TokenSet, ForgeError>> {
        let token = token.expose().to_owned();
        let life = self.life.clone();
        Box::pin(self.token_set("refresh", move |state| {
            let now = state.time.at_forge();
            state.truth.observe(&state.forge, now);
            let given = state.forge.refresh(&token, now);
            if let Ok(given) = &given {
                crate::laws::refreshed(state, &life, given.issue);
            }
            given
        }))
    }

    fn verify<'a>(
        &'a self,
        id_token: &'a IdToken,
        nonce: Option<&'a Nonce>,
    ) -> Answer<'a, Result<Identity, ForgeError>> {
        self.read(id_token, nonce, true)
    }

    fn whose<'a>(&'a self, id_token: &'a IdToken) -> Answer<'a, Result<Identity, ForgeError>> {
        self.read(id_token, None, false)
    }

    fn introspect<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Introspection, ForgeError>> {
        let token = token.expose().to_owned();
        let effect = move |state: &mut State| {
            let now = state.time.at_forge();
            Ok(match state.forge.introspect(&token, now) {
                Some(scope) => Introspection::Active { scope },
                None => Introspection::Inactive,
            })
        };
        Box::pin(self.call("introspect", effect, |_| None))
    }

    fn standing<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Standing, ForgeError>> {
        let token = token.expose().to_owned();
        let effect = move |state: &mut State| {
            let user = state.forge.bearer(&token, state.time.at_forge()).ok_or(ForgeError::Unauthorized)?;
            crate::laws::looked_at(state, user, &token);
            Ok(state.forge.users[user].standing)
        };
        Box::pin(self.call("standing", effect, |_| None))
    }

    fn profile<'a>(&'a self, token: &'a ForgeToken) -> Answer<'a, Result<Profile, ForgeError>> {
        let token = token.expose().to_owned();
        let effect = move |state: &mut State| {
            let Some(user) = state.forge.bearer(&token, state.time.at_forge()) else {
                // It has ended since the question before: that one is asked again.
                state.trouble();
                return Err(ForgeError::Unauthorized);
            };
            let user = &state.forge.users[user];
            if user.standing != Standing::Good {
                // A page about the account, where JSON was asked for: the round is not whole, and is tried again.
                state.trouble();
                return Err(ForgeError::Garbled("HTML"));
            }
            let (sub, login) = (user.id.clone(), user.login.clone());
            Ok(Profile { sub, login, name: None, email: None, groups: Vec::new() })
        };
        Box::pin(self.call("profile", effect, |_| None))
    }
}
