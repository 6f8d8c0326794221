//! Signing in and out and changing a password, as a browser does it (`docs/FORGEJO.md` 4.7, 9.3).

use axum::http::StatusCode;
use serde_json::json;

use super::ask::Ask;
use super::page::{Html, text};
use super::password_rule::Lack;
use super::reply::{Answer, Reply};
use super::rows::{Hashed, WebSession};
use super::server::Forge;
use super::visitor::{self, CHANGE_PASSWORD, admit, check_form, destination, form_guard};

pub(super) fn home(forge: &Forge, ask: &Ask) -> Reply {
    let world = forge.world();
    let user = visitor::signed_in(forge, &world, ask).and_then(|visitor| world.users.get(&visitor.user));
    let page = match user {
        Some(user) => Html::new()
            .add(&format!("<h1>Signed in as {}</h1>", text(user.display_name())))
            .add(
                "<p><a href=\"/user/settings/applications\">Applications with access to your account</a></p>",
            )
            .form("/user/logout", &form_guard(forge, ask))
            .add("<button type=\"submit\">Sign out</button></form>"),
        None => Html::new()
            .add("<h1>A forge for trying things out</h1>")
            .say("It speaks as Forgejo does and forgets everything when it ends.")
            .add("<p><a href=\"/user/login\">Sign in</a></p>"),
    };
    Reply::html(StatusCode::OK, page.page(""))
}

pub(super) fn login_page(forge: &Forge, ask: &Ask) -> Reply {
    let signed_in = visitor::signed_in(forge, &forge.world(), ask).is_some();
    if signed_in { go_on(ask) } else { login_form(forge, ask, "") }
}

fn login_form(forge: &Forge, ask: &Ask, complaint: &str) -> Reply {
    let mut page = Html::new().add("<h1>Sign in</h1>");
    if !complaint.is_empty() {
        page = page.add(&format!("<p role=\"alert\"><strong>{}</strong></p>", text(complaint)));
    }
    let page = page.form("/user/login", &form_guard(forge, ask)).add(
        "<label>Username or email address <input name=\"user_name\" autocomplete=\"username\" required autofocus></label>\n\
         <label>Password <input type=\"password\" name=\"password\" autocomplete=\"current-password\" required></label>\n\
         <button type=\"submit\" class=\"main\">Sign in</button></form>",
    );
    Reply::html(StatusCode::OK, page.page("Sign in"))
}

/// No CSRF check here on any version. A failure is a 200 page.
pub(super) fn login(forge: &Forge, ask: &Ask) -> Reply {
    let mut world = forge.world();
    if visitor::signed_in(forge, &world, ask).is_some() {
        return go_on(ask);
    }
    let (name, password) = (ask.value("user_name"), Hashed::of(ask.value("password")));
    let user = world.user_named(name).or_else(|| world.user_with_email(name));
    let Some(id) = user.filter(|user| user.is_person() && user.password == password).map(|user| user.id)
    else {
        drop(world);
        return login_form(forge, ask, "Username or password is incorrect.");
    };
    let Some(user) = world.users.get_mut(&id) else { return Reply::empty(StatusCode::INTERNAL_SERVER_ERROR) };
    if user.prohibit_login || !user.active {
        return visitor::suspended();
    }
    user.last_login = forge.now();
    "en-US".clone_into(&mut user.language);
    let session = forge.random();
    world.add_session(session.clone(), WebSession { user: id, ..WebSession::default() });
    let version = forge.settings.version;
    let mut reply = go_on(ask).cookie(version.session_cookie(), &session).cookie("lang", "en-US");
    if version == super::settings::FakeVersion::V11 {
        reply = reply.drop_cookie("_csrf");
    }
    if destination(ask).is_some() { reply.drop_cookie("redirect_to") } else { reply }
}

/// To where the browser wanted to go before it had to sign in.
fn go_on(ask: &Ask) -> Reply {
    Reply::see_other(ask, destination(ask).as_deref().unwrap_or("/"))
}

/// No CSRF check here either: the cookie's `SameSite=Lax` is all that guards it.
pub(super) fn logout(forge: &Forge, ask: &Ask) -> Reply {
    let version = forge.settings.version;
    if let Some(session) = ask.cookie(version.session_cookie()) {
        forge.world().end_session(session);
    }
    let mut reply =
        script_or_page(ask, "/").drop_cookie(version.session_cookie()).drop_cookie(version.remember_cookie());
    if version == super::settings::FakeVersion::V11 {
        reply = reply.drop_cookie("_csrf");
    }
    reply.drop_cookie("redirect_to")
}

/// Forgejo's own pages post these by script and follow the JSON; a browser without our script is redirected instead.
pub(super) fn script_or_page(ask: &Ask, place: &str) -> Reply {
    if ask.wants_page() {
        Reply::see_other(ask, place)
    } else {
        Reply::json(StatusCode::OK, &json!({"redirect": place}))
    }
}

pub(super) fn password_page(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    admit(forge, &world, ask)?;
    Ok(password_form(forge, ask, ""))
}

fn password_form(forge: &Forge, ask: &Ask, complaint: &str) -> Reply {
    let mut page = Html::new().add("<h1>Update your password</h1>");
    if !complaint.is_empty() {
        page = page.add(&format!("<p role=\"alert\"><strong>{}</strong></p>", text(complaint)));
    }
    let page = page.form(CHANGE_PASSWORD, &form_guard(forge, ask)).add(
        "<label>New password <input type=\"password\" name=\"password\" autocomplete=\"new-password\" required autofocus></label>\n\
         <label>Confirm new password <input type=\"password\" name=\"retype\" autocomplete=\"new-password\" required></label>\n\
         <button type=\"submit\" class=\"main\">Update password</button></form>",
    );
    Reply::html(StatusCode::OK, page.page("Update your password"))
}

pub(super) fn change_password(forge: &Forge, ask: &Ask) -> Answer {
    check_form(forge, ask)?;
    let mut world = forge.world();
    let user = admit(forge, &world, ask)?.user;
    let password = ask.value("password");
    let complaint = match forge.settings.passwords.lack(password) {
        Some(Lack::Length) => {
            format!("Length must be at least {} characters.", forge.settings.passwords.shortest)
        }
        _ if password != ask.value("retype") => "The passwords do not match.".to_owned(),
        Some(Lack::Complexity) => "Password does not pass complexity requirements.".to_owned(),
        Some(Lack::LeakCheck) => "Could not complete request to HaveIBeenPwned".to_owned(),
        None => String::new(),
    };
    let Some(user) =
        world.users.get_mut(&user).filter(|user| complaint.is_empty() && user.must_change_password)
    else {
        drop(world);
        let reply = if complaint.is_empty() {
            Reply::see_other(ask, "/")
        } else {
            password_form(forge, ask, &complaint)
        };
        return Ok(reply);
    };
    user.password = Hashed::of(password);
    user.must_change_password = false;
    let reply = go_on(ask);
    let reply = if destination(ask).is_some() { reply.drop_cookie("redirect_to") } else { reply };
    Ok(reply.flash(forge, "Your password has been updated. From now on, use your new password to sign in."))
}
