//! The gate's own endpoints. They match exactly; whatever else lies below the prefix is an ordinary protected path.

use http::Method;
use http::header::HeaderMap;
use serde_json::json;
use tokio::time::Instant;

use crate::base::account::Standing;
use crate::gate::answer::{self, Offer};
use crate::gate::end;
use crate::gate::keeper::{ForgeKeeper, Ticket};
use crate::gate::near::Known;
use crate::gate::pages::Action;
use crate::gate::reason::{self, Reason};
use crate::gate::rules;
use crate::gate::scope;
use crate::gate::sign_in;
use crate::gate::verdict::{Answer, Reader};
use crate::session::id::SessionKey;
use crate::session::record::ScopeVerdict;
use crate::session::store::StoreError;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// `GET auth/login?return_to=`: begins a sign-in.
    Login,
    /// `GET auth/callback`: where the forge sends the browser back to.
    Callback,
    /// `POST auth/logout`, `?everywhere=true`: ends this session, or all of the account's.
    Logout,
    /// `GET auth/whoami`: who is signed in, until when; never a token.
    Whoami,
    /// `GET auth/sessions`: the visitor's own sessions; `POST auth/sessions?end=HANDLE` or `?end=others` ends some.
    Sessions,
}

impl Own {
    /// The endpoint at a path.
    pub(super) fn at(path: &str, prefix: &str) -> Option<Self> {
        match path.strip_prefix(prefix)? {
            "/auth/login" => Some(Self::Login),
            "/auth/callback" => Some(Self::Callback),
            "/auth/logout" => Some(Self::Logout),
            "/auth/whoami" => Some(Self::Whoami),
            "/auth/sessions" => Some(Self::Sessions),
            _ => None,
        }
    }

    /// Why a request is not taken, and which methods would be.
    pub(super) fn refuses(
        self,
        method: &Method,
        headers: &HeaderMap,
        origin: &str,
    ) -> Option<(Reason, Option<&'static str>)> {
        match (self, method) {
            (Self::Logout | Self::Sessions, &Method::POST) => {
                rules::comes_from_elsewhere(headers, origin).then_some((reason::FOREIGN_ORIGIN, None))
            }
            (Self::Logout, _) => Some((reason::BAD_METHOD, Some("POST"))),
            (_, &Method::GET) => None,
            (Self::Sessions, _) => Some((reason::BAD_METHOD, Some("GET, POST"))),
            _ => Some((reason::BAD_METHOD, Some("GET"))),
        }
    }
}

/// How far a sign-out went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// To this browser; of whom that was is not known, or was not asked.
    Here,
    /// To all browsers of the account.
    Everywhere,
}

impl ForgeKeeper {
    /// Answers at one of our endpoints.
    pub(super) async fn own(self, own: Own, ticket: Ticket) -> Answer {
        match own {
            // A picture or a script that points here must not begin sign-ins: ten of them would end all real ones.
            Own::Login if ticket.asked.reader != Reader::Navigation => self.sign_in_first(&ticket),
            // Signed out on purpose: a link on somebody's page does not sign in again, the button on ours does.
            Own::Login if ticket.from_elsewhere && self.has_signed_out(&ticket) => {
                self.signed_out(&ticket, "/")
            }
            Own::Login => {
                let target = only(&ticket.query, "return_to").unwrap_or_else(|| "/".to_owned());
                sign_in::begin(&self, &target, 0, &ticket).await
            }
            Own::Callback => sign_in::callback(&self, ticket).await,
            Own::Logout => self.log_out(&ticket).await,
            Own::Whoami => self.whoami(&ticket).await,
            Own::Sessions if ticket.method == Method::POST => self.end_some(&ticket).await,
            Own::Sessions => self.own_sessions(&ticket).await,
        }
    }

    pub(super) async fn log_out(&self, ticket: &Ticket) -> Answer {
        let everywhere = only(&ticket.query, "everywhere").as_deref() == Some("true");
        let ended = match ticket.session {
            Some(key) if everywhere => self.end_everywhere(key).await,
            Some(key) => self.end_here(key).await.map(|_| Reach::Here),
            None => Ok(Reach::Here),
        };
        let Ok(reach) = ended else {
            // What the visitor is told is that nothing has happened, so nothing has: he can try again.
            return answer::refuse(reason::STORE_UNAVAILABLE, Offer::default(), &ticket.asked);
        };
        let mut answer = match ticket.asked.reader {
            _ if everywhere && reach == Reach::Here => self.perhaps_elsewhere(ticket),
            Reader::Program => answer::document(&json!({ "signed_out": true }), &ticket.asked),
            Reader::Navigation | Reader::Page => answer::see_other("/", &ticket.asked),
        };
        let names = self.terms.cookies.names();
        self.clear_cookie(&mut answer, &names.session);
        for cookie in
            ticket.cookies.iter().filter(|cookie| self.terms.cookies.flow_id(&cookie.name).is_some())
        {
            self.clear_cookie(&mut answer, &cookie.name);
        }
        // The forge would sign this browser in again without a word: from here on it is asked first.
        if let Ok(line) = self.terms.cookies.set(&names.signed_out, "1", self.terms.settings.session.absolute)
        {
            answer.headers_mut().append(http::header::SET_COOKIE, line);
        }
        answer
    }

    async fn end_here(&self, key: SessionKey) -> Result<u64, StoreError> {
        // Whose it is, before the mark hides it.
        let owner = self.owner(key).await;
        let removing = async { self.shared.vault.remove_session(key).await.map(u64::from) };
        self.end_all(&[key], owner, removing, end::SIGNED_OUT).await
    }

    /// Says to somebody who wanted to sign out everywhere that nobody knows whose sessions those are, and how to do it.
    fn perhaps_elsewhere(&self, ticket: &Ticket) -> Answer {
        let sessions = self.path("/auth/sessions");
        let href = self.login_link(&sessions);
        let sign_in =
            Action { id: "sign-in", href, label: "Sign in and see your sessions", main: true, apart: false };
        let login_url = Some(format!("{}{}", self.terms.origin, self.path("/auth/login")));
        let offer = Offer { actions: vec![sign_in], login_url, ..Offer::default() };
        answer::refuse(reason::PERHAPS_ELSEWHERE, offer, &ticket.asked)
    }

    /// Ends all sessions of the account that this one belongs to, or belonged to until just now: another tab may have
    /// signed out a moment ago, or this is the second of two clicks.
    async fn end_everywhere(&self, key: SessionKey) -> Result<Reach, StoreError> {
        let (vault, now) = (&self.shared.vault, self.shared.clock.now());
        let known = self.known(key).await.map_err(|()| StoreError::Unavailable("no answer".into()))?;
        let owner = match known {
            Some(known) => Some(known.session.owner().clone()),
            None => self.shared.near.just_signed_out(key, now),
        };
        let Some(owner) = owner else { return self.end_here(key).await.map(|_| Reach::Here) };
        let all = vault.sessions_of(&owner, now).await?;
        let mut keys: Vec<SessionKey> = all.into_iter().map(|(key, _)| key).collect();
        keys.push(key);
        keys.sort_unstable();
        keys.dedup();
        let removing = vault.remove_sessions_of(owner.key(), None);
        self.end_all(&keys, Some(owner), removing, end::SIGNED_OUT_EVERYWHERE).await?;
        Ok(Reach::Everywhere)
    }

    async fn whoami(&self, ticket: &Ticket) -> Answer {
        match self.present(ticket).await {
            Ok(known) => answer::document(&self.description(&known), &ticket.asked),
            Err(refusal) => *refusal,
        }
    }

    /// Who is signed in, or the answer to somebody who is not, or whom the forge does not let act.
    pub(super) async fn present(&self, ticket: &Ticket) -> Result<Known, Box<Answer>> {
        let refuse = |reason, offer| Err(Box::new(answer::refuse(reason, offer, &ticket.asked)));
        let until = Instant::now() + self.terms.settings.wait;
        let known = match ticket.session {
            None => None,
            Some(key) => match self.looked_at(key, ticket.asked.reader, until).await {
                Ok(known) => known,
                Err(()) => return refuse(reason::STORE_UNAVAILABLE, Offer::default()),
            },
        };
        let now = self.shared.clock.now();
        let live = known.filter(|known| {
            !known.account.grant.dead && !known.session.has_ended(now, self.terms.settings.session.idle)
        });
        let Some(known) = live else {
            let login_url = Some(format!("{}{}", self.terms.origin, self.path("/auth/login")));
            let offer = Offer { actions: self.sign_in_actions("/"), login_url, ..Offer::default() };
            return refuse(reason::SIGN_IN_REQUIRED, offer);
        };
        match known.account.grant.standing {
            Standing::Good => Ok(known),
            standing => Err(Box::new(self.barred(standing, &known, ticket))),
        }
    }

    /// What a visitor may know of himself: never a token.
    fn description(&self, Known { session, account }: &Known) -> serde_json::Value {
        let grant = &account.grant;
        let state = match grant.verdict {
            _ if !self.terms.settings.forge_token_pass_through => "off",
            ScopeVerdict::Exact | ScopeVerdict::Narrower => "passed",
            ScopeVerdict::Wider => "withheld_wider_consent",
            ScopeVerdict::Unknown => "withheld_scope_unknown",
        };
        let groups: Vec<String> = grant
            .identity
            .groups
            .iter()
            .map(|group| match &group.team {
                Some(team) => format!("{}:{team}", group.org),
                None => group.org.clone(),
            })
            .collect();
        json!({
            "user": {
                "id": grant.identity.id, "login": grant.identity.login, "name": grant.identity.name,
                "email": grant.identity.email, "groups": groups,
            },
            "session": {
                "signed_in_at": session.record.created_at.secs(),
                "expires_at": session.record.expires_at.secs(),
                "idle_seconds": self.terms.settings.session.idle.as_secs(),
            },
            "forge_token": { "state": state, "reason": scope::reason(&grant.verdict), "scopes": grant.scope, "revoke_at": self.forge_link("user/settings/applications") },
        })
    }
}

/// The value of a query parameter that stands there once.
pub(super) fn only(query: &str, name: &str) -> Option<String> {
    let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.into_owned())
}
