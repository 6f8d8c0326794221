//! What follows from what is known: the rules of passing, as one pure function.

use http::HeaderValue;

use crate::base::account::Standing;
use crate::base::clock::Timestamp;
use crate::base::path::PathForm;
use crate::gate::near::Known;
use crate::gate::rules;
use crate::gate::scope;
use crate::gate::settings::{GroupsFor, RouteRule, Settings, WithoutToken};
use crate::session::record::{Freshness, ScopeVerdict};
use crate::wire::encode;
use crate::wire::inject::Injection;

/// What a request may do.
#[derive(Debug)]
pub(super) enum Judgement {
    /// Pass with this; and what is to be done behind it.
    Pass(Injection, Behind),
    /// The token is too old to be passed on: wait for its renewal, then judge again.
    Renew,
    /// Signed in, and not allowed here.
    Forbidden,
    /// Signed in, and the forge does not let the account act.
    Barred(Standing),
    /// The session counts no more: ended, or its grant is dead.
    SignIn,
    /// A live token is wanted and cannot be had, and the operator wants that to be a 503.
    NoToken,
}

/// Work that a passing request starts and does not wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// None.
    Nothing,
    /// Renew the token.
    Renew,
    /// Ask the forge again what the token may do.
    AskScope,
}

/// Judges a request of a known session. `waited`: a renewal was waited for, so that what is there now has to do.
pub(super) fn judge(
    settings: &Settings,
    route: &RouteRule,
    form: PathForm,
    known: &Known,
    now: Timestamp,
    waited: bool,
) -> Judgement {
    let Known { session, account } = known;
    let grant = &account.grant;
    if session.has_ended(now, settings.session.idle) || grant.dead {
        return Judgement::SignIn;
    }
    if grant.standing != Standing::Good {
        // Where nobody needs to sign in, they are nobody.
        return if route.public {
            Judgement::Pass(Injection::default(), Behind::Nothing)
        } else {
            Judgement::Barred(grant.standing)
        };
    }
    let who = &grant.identity;
    if !route.public && !rules::may_pass(&settings.routes, route, form, &settings.allow, who) {
        return Judgement::Forbidden;
    }
    let mut injection = Injection {
        visitor: Some(account.visitor.clone()),
        groups: groups(route, known),
        compat: settings.compat_oauth2_proxy,
        ..Injection::default()
    };
    if !settings.forge_token_pass_through || !rules::wants_token(route, who) {
        return Judgement::Pass(injection, Behind::Nothing);
    }
    let Some(token) = &account.token else {
        // Withheld: an old consent is wider than what was asked for, or nobody knows what it is.
        let ask = grant.verdict == ScopeVerdict::Unknown && scope::is_due(grant.asked_at, now);
        // Of a token that is dead it can be asked only after its renewal.
        let can = grant.refresh.is_some() || grant.freshness(now, settings.min_ttl) != Freshness::Expired;
        let behind = if ask && can { Behind::AskScope } else { Behind::Nothing };
        return Judgement::Pass(injection, behind);
    };
    let behind = match grant.freshness(now, settings.min_ttl) {
        Freshness::Ageing if grant.refresh.is_some() => Behind::Renew,
        Freshness::Stale | Freshness::Expired if !waited && grant.refresh.is_some() => {
            return Judgement::Renew;
        }
        // The renewal did not work out for now. The old one serves while it lives; its Expires header tells the truth.
        Freshness::Ageing | Freshness::Stale | Freshness::Fresh => Behind::Nothing,
        Freshness::Expired => {
            return match settings.without_token {
                WithoutToken::Unavailable if !route.public => Judgement::NoToken,
                WithoutToken::Forward | WithoutToken::Unavailable => {
                    Judgement::Pass(injection, Behind::Nothing)
                }
            };
        }
    };
    injection.token = Some(token.clone());
    Judgement::Pass(injection, behind)
}

fn groups(route: &RouteRule, known: &Known) -> Option<HeaderValue> {
    match &route.groups {
        GroupsFor::None => None,
        GroupsFor::All => known.account.visitor.groups.clone(),
        GroupsFor::Only(_) => {
            let groups = rules::known_groups(route, &known.account.grant.identity);
            encode::groups_value(groups.into_iter().map(|group| (group.org.as_str(), group.team.as_deref())))
        }
    }
}
