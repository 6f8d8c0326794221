//! The authorize endpoint and the consent page (`docs/FORGEJO.md` 1.2 to 1.5), checks in Forgejo's order.

use axum::http::StatusCode;
use url::Url;

use super::ask::Ask;
use super::page::{Html, SITE, text};
use super::reply::{Answer, Reply};
use super::rows::{Application, Challenge, Code};
use super::server::Forge;
use super::visitor::{Visitor, admit, check_form, form_guard};
use super::world::World;

/// Unused input that is kept in a session, in bytes; what is longer is no honest client's.
const MOST_INPUT_BYTES: usize = 8192;

pub(super) fn authorize(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let visitor = admit(forge, &world, ask)?;
    let redirect_uri = ask.value("redirect_uri");
    let Some(application) = world.application_of_client(ask.value("client_id")) else {
        return Ok(error_page("unauthorized_client", "Client ID not registered"));
    };
    if !has_redirect_uri(application, redirect_uri) {
        return Ok(error_page("invalid_request", "Unregistered Redirect URI"));
    }
    if ask.target.len() > MOST_INPUT_BYTES {
        return Ok(Reply::empty(StatusCode::URI_TOO_LONG));
    }
    let refuse = |error, description| Ok(refusal(ask, redirect_uri, error, description));
    if ask.value("response_type") != "code" {
        return refuse("unsupported_response_type", "Only code response type is supported.");
    }
    let (id, confidential) = (application.id, application.confidential);
    let challenge = Challenge {
        method: ask.value("code_challenge_method").to_owned(),
        value: ask.value("code_challenge").to_owned(),
    };
    match challenge.method.as_str() {
        // Kept for the consent page. Without a method what an earlier request left stays there, as in Forgejo.
        "S256" | "plain" => {
            if let Some(session) = world.session_mut(&visitor.session) {
                session.challenge = challenge.clone();
            }
        }
        "" if !confidential => return refuse("invalid_request", "PKCE is required for public clients"),
        "" => {}
        _ => return refuse("invalid_request", "unsupported code challenge method"),
    }
    if let Some(grant) = world.grant_of(visitor.user, id).map(|grant| grant.id).filter(|_| confidential) {
        world.set_nonce(grant, ask.value("nonce"));
        let code = Code { grant, redirect_uri: redirect_uri.to_owned(), challenge };
        return Ok(send_back(forge, &mut world, ask, code));
    }
    if let Some(session) = world.session_mut(&visitor.session) {
        ask.value("client_id").clone_into(&mut session.client_id);
        redirect_uri.clone_into(&mut session.redirect_uri);
        ask.value("state").clone_into(&mut session.state);
    }
    Ok(consent_page(forge, &world, ask, id))
}

/// The consent page's buttons.
pub(super) fn consent(forge: &Forge, ask: &Ask) -> Answer {
    check_form(forge, ask)?;
    let mut world = forge.world();
    let Visitor { session, user } = admit(forge, &world, ask)?;
    let redirect_uri = ask.value("redirect_uri");
    let kept = world.session(&session).cloned().unwrap_or_default();
    // One memory for all tabs: the older tab's answer no longer fits.
    let fits = kept.client_id == ask.value("client_id")
        && kept.state == ask.value("state")
        && kept.redirect_uri == redirect_uri
        && !kept.client_id.is_empty();
    if !fits {
        return Ok(Reply::go_error(StatusCode::BAD_REQUEST, "Bad Request"));
    }
    if ask.value("granted") != "true" {
        return Ok(refusal(ask, redirect_uri, "access_denied", "the request is denied"));
    }
    let Some(application) = world.application_of_client(&kept.client_id).map(|app| app.id) else {
        return Ok(refusal(ask, redirect_uri, "unauthorized_client", "cannot find application"));
    };
    let scope = ask.value("scope");
    let grant = match world.grant_of(user, application) {
        Some(grant) if grant.scope != scope => {
            return Ok(refusal(ask, redirect_uri, "server_error", "a grant exists with different scope"));
        }
        Some(grant) => grant.id,
        None => world.add_grant(user, application, scope),
    };
    world.set_nonce(grant, ask.value("nonce"));
    let code = Code { grant, redirect_uri: redirect_uri.to_owned(), challenge: kept.challenge };
    Ok(send_back(forge, &mut world, ask, code))
}

fn send_back(forge: &Forge, world: &mut World, ask: &Ask, code: Code) -> Reply {
    let text = forge.code_text();
    let state = ask.value("state");
    let mut more = vec![("code", text.as_str())];
    if !state.is_empty() {
        more.push(("state", state));
    }
    let location = with_query(&code.redirect_uri, &more);
    world.add_code(text.clone(), code);
    Reply::see_other(ask, &location)
}

/// Whole string, ASCII case folded, one trailing slash ignored; for public clients a loopback address may have any port.
pub(super) fn has_redirect_uri(application: &Application, uri: &str) -> bool {
    if has(application, uri) {
        return true;
    }
    let Ok(mut parsed) = Url::parse(uri) else { return false };
    let numeric = matches!(parsed.host(), Some(url::Host::Ipv4(ip)) if ip.is_loopback())
        || matches!(parsed.host(), Some(url::Host::Ipv6(ip)) if ip.is_loopback());
    !application.confidential
        && parsed.scheme() == "http"
        && numeric
        && parsed.set_port(None).is_ok()
        && has(application, parsed.as_str())
}

fn has(application: &Application, uri: &str) -> bool {
    fn folded(uri: &str) -> &str {
        uri.strip_suffix('/').unwrap_or(uri)
    }
    let same = |registered: &String| folded(registered).eq_ignore_ascii_case(folded(uri));
    !uri.is_empty() && application.redirect_uris.iter().any(same)
}

/// An error that goes back to the client; `state` is there even when it is empty.
fn refusal(ask: &Ask, redirect_uri: &str, error: &str, description: &str) -> Reply {
    let more = [("error", error), ("error_description", description), ("state", ask.value("state"))];
    Reply::see_other(ask, &with_query(redirect_uri, &more))
}

/// The URI with these merged into its query, keys sorted as Go does.
fn with_query(uri: &str, more: &[(&str, &str)]) -> String {
    let (base, query) = uri.split_once('?').unwrap_or((uri, ""));
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| more.iter().all(|(name, _)| key != name))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    pairs.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    pairs.sort_by(|left, right| left.0.cmp(&right.0));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{base}?{query}")
}

fn error_page(error: &str, description: &str) -> Reply {
    let page =
        Html::new().add("<h1>Authorization failed</h1>").say(&format!("Error: {error}")).say(description);
    Reply::html(StatusCode::BAD_REQUEST, page.page(""))
}

fn consent_page(forge: &Forge, world: &World, ask: &Ask, application: u64) -> Reply {
    let Some(application) = world.applications.get(&application) else {
        return error_page("unauthorized_client", "Client ID not registered");
    };
    let owner = application.owner.and_then(|owner| world.users.get(&owner));
    let creator = owner.map_or_else(|| SITE.to_owned(), |owner| format!("@{}", owner.login));
    let mut hidden = form_guard(forge, ask);
    for name in ["client_id", "state", "scope", "nonce", "redirect_uri"] {
        hidden.push((name, ask.value(name)));
    }
    let back = Url::parse(ask.value("redirect_uri")).ok();
    let back = back.and_then(|back| back.host_str().map(str::to_owned)).unwrap_or_default();
    let page = Html::new()
        .add(&format!("<h1>Authorize \u{201c}{}\u{201d} to access your account?</h1>", text(&application.name)))
        .say(
            "If you grant the access, it will be able to access and write to all your account information, including \
             private repos and organizations.",
        )
        .say(&format!("This application was created by {creator}."))
        .say(&format!("With scopes: {}.", ask.value("scope")))
        .say(&format!("You will be redirected to {back} if you authorize this application."))
        .form("/login/oauth/grant", &hidden)
        .add(
            "<button type=\"submit\" name=\"granted\" value=\"true\" id=\"authorize-app\" class=\"main\">Authorize application</button>\n\
             <button type=\"submit\" name=\"granted\" value=\"false\">Cancel</button>\n</form>\n",
        );
    Reply::html(StatusCode::OK, page.page(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::forge::fake::rows::Hashed;

    fn application(confidential: bool, uri: &str) -> Application {
        Application {
            id: 1,
            owner: None,
            name: String::new(),
            client_id: String::new(),
            secret: Hashed::of(""),
            confidential,
            redirect_uris: vec![uri.to_owned()],
            created: Timestamp::default(),
        }
    }

    #[test]
    fn a_redirect_uri_matches_whole_but_for_case_and_one_slash() {
        let app = application(true, "http://127.0.0.1:8080/cb?x=1");
        assert!(has_redirect_uri(&app, "http://127.0.0.1:8080/CB?x=1"));
        assert!(has_redirect_uri(&app, "http://127.0.0.1:8080/cb?x=1/"));
        for bad in
            ["", "http://127.0.0.1:8080/cb", "http://127.0.0.1:9090/cb?x=1", "http://127.0.0.1:8080/cb?x=1//"]
        {
            assert!(!has_redirect_uri(&app, bad), "{bad}");
        }
    }

    #[test]
    fn only_public_clients_on_a_loopback_number_may_choose_the_port() {
        let (public, confidential) =
            (application(false, "http://127.0.0.1/cb"), application(true, "http://127.0.0.1/cb"));
        assert!(has_redirect_uri(&public, "http://127.0.0.1:5555/cb"));
        assert!(!has_redirect_uri(&confidential, "http://127.0.0.1:5555/cb"));
        assert!(!has_redirect_uri(&application(false, "http://localhost/cb"), "http://localhost:5555/cb"));
    }

    #[test]
    fn a_code_is_merged_into_the_query_with_sorted_keys() {
        assert_eq!(
            with_query("http://a/cb?z=1&code=old", &[("code", "c"), ("state", "s t")]),
            "http://a/cb?code=c&state=s+t&z=1"
        );
    }
}
