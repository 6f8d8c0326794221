//! Signing in: off to the forge, and back. The state is compared before anything else is done with a callback.

use std::sync::Arc;
use std::time::Duration;

use http::header;
use tracing::{error, info, warn};

use crate::base::secret::AuthCode;
use crate::forge::api::Authorization;
use crate::forge::error::ForgeError;
use crate::gate::answer::{self, Offer};
use crate::gate::end;
use crate::gate::exchange::{self, Failed, Opened};
use crate::gate::flow::{self, Flow};
use crate::gate::keeper::{ForgeKeeper, Ticket};
use crate::gate::own::only;
use crate::gate::pages::Action;
use crate::gate::reason::{self, Reason};
use crate::gate::return_path;
use crate::gate::siblings;
use crate::gate::verdict::{Answer, Asked};
use crate::session::id::{SessionId, SessionKey};
use crate::session::record::{GrantRecord, ScopeVerdict};

/// The longest value of a callback's parameter, in bytes.
const MAX_PARAMETER_BYTES: usize = 2048;

/// Sends the browser to the forge.
pub(super) async fn begin(keeper: &ForgeKeeper, target: &str, restarts: u8, ticket: &Ticket) -> Answer {
    let (shared, terms) = (&keeper.shared, &keeper.terms);
    let settings = &terms.settings;
    let return_to = return_path::checked(target, &settings.public_url, &settings.prefix);
    let flow = Flow::begin(&*shared.entropy, return_to, shared.clock.now(), restarts);
    let redirect_uri = redirect_uri(keeper);
    let ask = Authorization {
        redirect_uri: &redirect_uri,
        scope: &terms.scope,
        state: &flow.state,
        nonce: &flow.nonce,
        verifier: &flow.verifier,
    };
    let url = match shared.forge.authorize_url(ask).await {
        Ok(url) => url,
        Err(failed) => {
            warn!(error = %failed, "a sign-in could not begin");
            return answer::refuse(unable(&failed), Offer::default(), &ticket.asked);
        }
    };
    shared.siblings.begun(&flow, &others(keeper, ticket));
    let mut answer = answer::see_other(&url, &ticket.asked);
    let flows = terms.flows(&shared.flow_sealer);
    let (name, value) = (flows.name(flow.state.expose()), flows.value(&flow));
    match terms.cookies.set(&name, &value, flow::LIFE) {
        Ok(line) => answer.headers_mut().append(header::SET_COOKIE, line),
        Err(_) => return answer::refuse(reason::SIGN_IN_FAILED, Offer::default(), &ticket.asked),
    };
    for name in flows.crowded_out(&ticket.cookies, name.len() + value.len(), shared.clock.now()) {
        keeper.clear_cookie(&mut answer, &name);
    }
    answer
}

fn unable(failed: &ForgeError) -> Reason {
    match failed {
        ForgeError::Unavailable(_) | ForgeError::Garbled(_) => reason::FORGE_UNAVAILABLE,
        _ => reason::FORGE_MISCONFIGURED,
    }
}

/// Our redirect URI: from the configuration, never from a request; the same bytes at both endpoints.
fn redirect_uri(keeper: &ForgeKeeper) -> String {
    format!("{}{}", keeper.terms.origin, keeper.path("/auth/callback"))
}

/// What a callback says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Code { code: String, state: String, issuer: Option<String> },
    Error { code: String, state: String, issuer: Option<String> },
    Nonsense,
}

/// Reads a callback's query. A parameter that stands there twice is nonsense (RFC 6749 §3.1), and so is an answer that
/// is both a code and an error.
fn read(query: &str) -> Said {
    let mut found = [None, None, None, None];
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*key {
            "code" => 0,
            "state" => 1,
            "error" => 2,
            "iss" => 3,
            _ => continue,
        };
        match found.get_mut(place) {
            Some(slot @ None) if value.len() <= MAX_PARAMETER_BYTES => *slot = Some(value.into_owned()),
            _ => return Said::Nonsense,
        }
    }
    match found {
        [Some(code), Some(state), None, issuer] if !code.is_empty() => Said::Code { code, state, issuer },
        [None, Some(state), Some(code), issuer] => Said::Error { code, state, issuer },
        _ => Said::Nonsense,
    }
}

/// Answers the browser that comes back from the forge.
pub(super) async fn callback(keeper: &ForgeKeeper, mut ticket: Ticket) -> Answer {
    let (code, state, issuer) = match read(&ticket.query) {
        Said::Nonsense => return refuse(keeper, reason::CALLBACK_MALFORMED, Vec::new(), "/", &ticket.asked),
        Said::Error { code, state, issuer } => (Err(code), state, issuer),
        Said::Code { code, state, issuer } => (Ok(AuthCode::new(code)), state, issuer),
    };
    let (shared, terms) = (&keeper.shared, &keeper.terms);
    let flows = terms.flows(&shared.flow_sealer);
    let Some(flow) = flows.find(&state, &ticket.cookies, shared.clock.now()) else {
        return stray(keeper, "/", &ticket).await;
    };
    // The cookie was sealed by us, and still: what is used is checked where it is used.
    let return_to = return_path::checked(&flow.return_to, &terms.settings.public_url, &terms.settings.prefix);
    let comes_from_forge = match shared.forge.answered(issuer.as_deref()).await {
        Ok(ours) => ours,
        Err(failed) => {
            warn!(error = %failed, "a sign-in could not go on");
            // Nothing was used up: the same address works once the forge is back.
            return refuse(keeper, unable(&failed), Vec::new(), &return_to, &ticket.asked);
        }
    };
    let name = flows.name(&state);
    // It ends here, whatever comes of it: nobody below counts it among those under way.
    ticket.cookies.retain(|cookie| cookie.name != name);
    let mut answer = match code {
        _ if !comes_from_forge => {
            warn!("a callback names another issuer, or none where the forge promises to");
            refuse(keeper, reason::CALLBACK_MALFORMED, Vec::new(), &return_to, &ticket.asked)
        }
        Err(code) => refused_by_forge(keeper, &code, &return_to, &ticket.asked),
        Ok(code) => match redeem(keeper, flow, code, &return_to, &ticket).await {
            Ok(answer) => answer,
            Err(untouched) => return untouched,
        },
    };
    keeper.clear_cookie(&mut answer, &name);
    answer
}

/// Exchanges the code. `Err`: nothing was used up, so the same address works once store and forge have time for it.
async fn redeem(
    keeper: &ForgeKeeper,
    flow: Flow,
    code: AuthCode,
    return_to: &str,
    ticket: &Ticket,
) -> Result<Answer, Answer> {
    let (shared, settings) = (&keeper.shared, &keeper.terms.settings);
    let restarts = flow.restarts;
    let terms = exchange::Terms {
        redirect_uri: redirect_uri(keeper),
        origin: keeper.terms.origin.clone(),
        client_id: settings.client_id.clone(),
        asked_scope: keeper.terms.scope.clone(),
        law: keeper.law(),
        browser: ticket.browser.clone(),
    };
    let others = ticket.session.is_none().then(|| others(keeper, ticket));
    let work = Arc::clone(shared);
    // A double click joins the exchange; whoever comes after its end finds the state used.
    let flight = shared.exchanges.join(&shared.tasks, siblings::digest(&flow.state), || async move {
        let Some(under_way) = work.under_way.begin() else { return Err(Failed::Busy) };
        let exchange = async {
            let now = work.clock.now();
            match work.vault.claim(&flow.state, now, now.plus(flow::LIFE)).await {
                Ok(true) => {}
                Ok(false) => return Err(Failed::Used),
                Err(failed) => {
                    error!(error = %failed, "the session store failed during a sign-in");
                    return Err(Failed::NotBegun);
                }
            }
            exchange::run(&work, &terms, flow, others.as_deref(), code, under_way).await
        };
        exchange::announced(&work, terms.law, exchange).await.map(Arc::new)
    });
    let Some(landed) = flight.landed().await else {
        error!(request_id = ticket.asked.id(), "a panic ended a sign-in");
        return Ok(refuse(keeper, reason::INTERNAL_ERROR, Vec::new(), return_to, &ticket.asked));
    };
    Ok(match landed {
        Ok(opened) => land(keeper, &opened, return_to, ticket).await,
        Err(Failed::Used) => stray(keeper, return_to, ticket).await,
        // Another tab was quicker. If its session has been replaced by a third tab's since, the browser has that one now.
        Err(Failed::Crossed) if ticket.session.is_some() && !has_dead_grant(keeper, ticket).await => {
            answer::see_other(return_to, &ticket.asked)
        }
        Err(Failed::Crossed) if restarts == 0 => begin(keeper, return_to, 1, ticket).await,
        Err(failed) => {
            let reason = match failed {
                Failed::Crossed | Failed::Used => reason::SIGN_IN_CROSSED,
                Failed::Refused => reason::SIGN_IN_FAILED,
                Failed::ForgeDown => reason::FORGE_UNAVAILABLE,
                Failed::Misconfigured => reason::FORGE_MISCONFIGURED,
                Failed::StoreDown | Failed::NotBegun => reason::STORE_UNAVAILABLE,
                Failed::Busy => reason::SIGN_INS_BUSY,
            };
            let refusal = refuse(keeper, reason, Vec::new(), return_to, &ticket.asked);
            if matches!(failed, Failed::NotBegun | Failed::Busy) {
                return Err(refusal);
            }
            refusal
        }
    })
}

/// The sign-ins that this browser has under way.
fn others(keeper: &ForgeKeeper, ticket: &Ticket) -> Vec<Flow> {
    let shared = &keeper.shared;
    keeper.terms.flows(&shared.flow_sealer).live(&ticket.cookies, shared.clock.now())
}

/// The browser that has just signed in: a new cookie always, the old session ended, and on to the page it wanted.
async fn land(keeper: &ForgeKeeper, opened: &Opened, return_to: &str, ticket: &Ticket) -> Answer {
    let Opened { id, known } = opened;
    if let Some(old) = ticket.session.filter(|old| *old != id.key())
        && !keeper.end(old, end::REPLACED).await
    {
        end_behind(keeper, old);
    }
    let mut answer = match notice(keeper, &known.account.grant).await {
        None => answer::see_other(return_to, &ticket.asked),
        Some(notice) => {
            let revoke = keeper.forge_link("user/settings/applications");
            let offer = Offer {
                lines: vec![
                    format!(
                        "The forge says that this application may: {}",
                        shown(&known.account.grant.scope)
                    ),
                    format!("It asks for: {}", keeper.terms.scope),
                ],
                actions: vec![
                    Action {
                        id: "continue",
                        href: return_to.to_owned(),
                        label: "Go on to the app",
                        main: true,
                        apart: false,
                    },
                    Action {
                        id: "revoke",
                        href: revoke,
                        label: "Applications at the forge (new tab)",
                        main: false,
                        apart: true,
                    },
                    Action {
                        id: "sign-in-again",
                        href: keeper.login_link(return_to),
                        label: "Sign in again after revoking",
                        main: false,
                        apart: false,
                    },
                ],
                who: Some(known.account.grant.identity.login.clone()),
                ..Offer::default()
            };
            answer::refuse(notice, offer, &ticket.asked)
        }
    };
    set_session(keeper, &mut answer, id);
    keeper.clear_cookie(&mut answer, &keeper.terms.cookies.names().signed_out);
    answer
}

/// How often and after which pause the end of an old session is tried again; twice as late each time.
const END_TRIES: u32 = 6;
const END_PAUSE: Duration = Duration::from_millis(250);

/// Ends a session in the store that has not taken it yet. Here it counts no more already.
fn end_behind(keeper: &ForgeKeeper, old: SessionKey) {
    let keeper = keeper.clone();
    let tasks = keeper.shared.tasks.clone();
    drop(tasks.spawn(async move {
        for attempt in 0..END_TRIES {
            tokio::time::sleep(END_PAUSE * 2_u32.pow(attempt)).await;
            if keeper.end(old, end::REPLACED).await {
                return;
            }
        }
    }));
}

fn shown(scope: &str) -> &str {
    if scope.trim().is_empty() { "everything that you may do yourself" } else { scope }
}

fn set_session(keeper: &ForgeKeeper, answer: &mut Answer, id: &SessionId) {
    let line = keeper.terms.cookies.set_session(id, keeper.terms.settings.session.absolute);
    answer.headers_mut().append(header::SET_COOKIE, line);
}

/// How long it is remembered that somebody has read a notice: longer than his tokens, which go with his last session.
const READ: Duration = Duration::from_hours(24 * 365);

/// The notice about an old consent: once per account and scope text, and only where a token would be passed on.
async fn notice(keeper: &ForgeKeeper, grant: &GrantRecord) -> Option<Reason> {
    let notice = match grant.verdict {
        ScopeVerdict::Wider => reason::CONSENT_WIDER,
        ScopeVerdict::Narrower => reason::CONSENT_NARROWER,
        ScopeVerdict::Exact | ScopeVerdict::Unknown => return None,
    };
    if !keeper.terms.settings.forge_token_pass_through {
        return None;
    }
    let (vault, now) = (&keeper.shared.vault, keeper.shared.clock.now());
    let new = vault.claim_notice(&grant.account, &grant.scope, now, now.plus(READ)).await;
    // A store that cannot say: the notice is then shown once more, which harms nobody.
    if !new.unwrap_or(true) {
        return None;
    }
    info!(account = %grant.account.key(), reason = notice.code, "the visitor is told about an old consent");
    Some(notice)
}

async fn has_session(keeper: &ForgeKeeper, ticket: &Ticket) -> bool {
    match ticket.session {
        Some(key) => matches!(keeper.known(key).await, Ok(Some(_))),
        None => false,
    }
}

/// Whether the browser's session opens nothing since the forge has ended its account's grant. It may be another account's than
/// the one that signs in now: then the page asked for would lead here again and again.
async fn has_dead_grant(keeper: &ForgeKeeper, ticket: &Ticket) -> bool {
    match ticket.session {
        Some(key) => matches!(keeper.known(key).await, Ok(Some(known)) if known.account.grant.dead),
        None => false,
    }
}

/// A callback that belongs to no sign-in under way: a reload, the back button, or somebody else's doing.
async fn stray(keeper: &ForgeKeeper, return_to: &str, ticket: &Ticket) -> Answer {
    if has_session(keeper, ticket).await {
        return answer::see_other(return_to, &ticket.asked);
    }
    warn!(request_id = ticket.asked.id(), "a callback without its sign-in");
    let mut answer = refuse(keeper, reason::FLOW_UNKNOWN, Vec::new(), return_to, &ticket.asked);
    // A flow whose cookie is there but does not serve is of no use any more.
    if let Some(state) = only(&ticket.query, "state") {
        let name = keeper.terms.flows(&keeper.shared.flow_sealer).name(&state);
        if ticket.cookies.iter().any(|cookie| cookie.name == name) {
            keeper.clear_cookie(&mut answer, &name);
        }
    }
    answer
}

/// The forge's own "no": in our words, with its code, never with its text (RFC 6749 §4.1.2.1).
fn refused_by_forge(keeper: &ForgeKeeper, code: &str, return_to: &str, asked: &Asked) -> Answer {
    let known = match code {
        "access_denied" => "You chose not to allow this application at the forge.",
        "server_error" => {
            "The forge could not go on. If you allowed this application before with other rights, revoke that at the forge first."
        }
        "temporarily_unavailable" => "The forge is busy.",
        _ => "The forge gave a reason that this proxy does not know.",
    };
    let harmless = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let shown = if harmless { code } else { "(not shown)" };
    info!(code = shown, "the forge refused a sign-in");
    refuse(keeper, reason::FORGE_REFUSED, vec![known.to_owned(), format!("Code: {shown}")], return_to, asked)
}

/// A page with a way out. Never an automatic retry: that would loop.
fn refuse(
    keeper: &ForgeKeeper,
    reason: Reason,
    lines: Vec<String>,
    return_to: &str,
    asked: &Asked,
) -> Answer {
    let offer = Offer { lines, actions: keeper.sign_in_actions(return_to), ..Offer::default() };
    answer::refuse(reason, offer, asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds: O4.
    #[test]
    fn a_callback_is_one_code_or_one_error_with_one_state() {
        let code = |code: &str, state: &str| Said::Code {
            code: code.to_owned(),
            state: state.to_owned(),
            issuer: None,
        };
        let long = "a".repeat(MAX_PARAMETER_BYTES + 1);
        for (query, expected) in [
            ("code=a&state=b", code("a", "b")),
            ("state=b&code=a&other=1", code("a", "b")),
            (
                "error=access_denied&state=b&error_description=x",
                Said::Error { code: "access_denied".to_owned(), state: "b".to_owned(), issuer: None },
            ),
            ("code=a&state=b&state=b", Said::Nonsense),
            ("code=a&code=a&state=b", Said::Nonsense),
            ("error=a&error=a&state=b", Said::Nonsense),
            ("code=a&state=b&iss=x&iss=x", Said::Nonsense),
            ("code=a&error=b&state=c", Said::Nonsense),
            ("code=&state=b", Said::Nonsense),
            ("code=a", Said::Nonsense),
            ("", Said::Nonsense),
            (&format!("code={long}&state=b"), Said::Nonsense),
            (&format!("code=a&state={long}"), Said::Nonsense),
        ] {
            assert_eq!(read(query), expected, "{query}");
        }
    }
}
