//! User administration, as far as the exchanges and the contract need it (`docs/FORGEJO.md` 4.1 to 4.3).

use axum::http::StatusCode;

use super::api::{page, user_named};
use super::api_json::{self, View};
use super::ask::Ask;
use super::caller::require_admin;
use super::json_body::{Members, invalid};
use super::names;
use super::password_rule::Lack;
use super::reply::{Answer, Reply};
use super::rows::{Hashed, Kind, User};
use super::server::Forge;
use super::world::World;

pub(super) fn list(forge: &Forge, ask: &Ask) -> Answer {
    let world = forge.world();
    require_admin(forge, &world, ask, "read:admin")?;
    let mut users: Vec<&User> = world.users.values().filter(|user| user.is_person()).collect();
    users.sort_by_key(|user| user.login.to_ascii_lowercase());
    let rows = users.into_iter().map(|user| api_json::user(forge, user, View::Full)).collect();
    Ok(page(forge, ask, rows))
}

pub(super) fn create(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    require_admin(forge, &world, ask, "write:admin")?;
    let members = Members::of(forge, ask)?;
    check_members(forge, &members)?;
    let (login, email) = (members.text_or_empty("username"), members.text_or_empty("email"));
    let local = members.number("source_id").unwrap_or_default() == 0;
    let lack = forge.settings.passwords.lack(members.text_or_empty("password"));
    if let Some(lack) = lack.filter(|_| local) {
        let words = match lack {
            Lack::Length => "PasswordIsRequired",
            Lack::Complexity => "PasswordComplexity",
            Lack::LeakCheck => "PasswordPwned",
        };
        return Err(Reply::api_error(forge, StatusCode::BAD_REQUEST, words));
    }
    if !local {
        // This forge knows no other place of passwords.
        let words =
            format!("login source does not exist [id: {}]", members.number("source_id").unwrap_or_default());
        return Err(unprocessable(forge, &words));
    }
    check_name(forge, &world, login)?;
    if world.user_with_email(email).is_some() {
        return Err(unprocessable(forge, &format!("e-mail already in use [email: {email}]")));
    }
    let id = world.next_id("user");
    let password = members.text_or_empty("password");
    let mut user = User::fresh(id, login, email, password, Kind::Person, forge.now());
    members.text_or_empty("full_name").clone_into(&mut user.full_name);
    members.text_or_empty("login_name").clone_into(&mut user.login_name);
    user.must_change_password = members.flag("must_change_password").unwrap_or(true);
    user.restricted = members.flag("restricted").unwrap_or(false);
    members
        .text("visibility")
        .filter(|text| !text.is_empty())
        .unwrap_or("public")
        .clone_into(&mut user.visibility);
    let body = api_json::user(forge, &user, View::Full);
    world.add_user(user);
    Ok(Reply::json(StatusCode::CREATED, &body))
}

/// Validation in the order of the struct's fields; the first failure is told.
fn check_members(forge: &Forge, members: &Members) -> Result<(), Reply> {
    let (login, email) = (members.text_or_empty("username"), members.text_or_empty("email"));
    let longer = |name: &str, most: usize| members.text_or_empty(name).chars().count() > most;
    let complaint = if login.is_empty() {
        Some(("Username", "Required".to_owned()))
    } else if !names::is_username(login) {
        Some(("Username", "invalid username".to_owned()))
    } else if longer("username", 40) {
        Some(("Username", "MaxSize".to_owned()))
    } else if longer("full_name", 100) {
        Some(("FullName", "MaxSize".to_owned()))
    } else if email.is_empty() {
        Some(("Email", "Required".to_owned()))
    } else if !names::is_email(email) {
        Some(("Email", names::email_refusal(forge.settings.version, email)))
    } else if longer("email", 254) {
        Some(("Email", "MaxSize".to_owned()))
    } else if longer("password", 255) {
        Some(("Password", "MaxSize".to_owned()))
    } else if !matches!(members.text_or_empty("visibility"), "" | "public" | "limited" | "private") {
        Some(("Visibility", "In".to_owned()))
    } else {
        None
    };
    complaint.map_or(Ok(()), |(field, reason)| Err(invalid(forge, field, &reason)))
}

/// Whether a new account may have this name; users and organizations share names.
fn check_name(forge: &Forge, world: &World, login: &str) -> Result<(), Reply> {
    if let Some(words) = names::refusal(login) {
        return Err(unprocessable(forge, &words));
    }
    match world.user_named(login) {
        Some(_) => Err(unprocessable(forge, &format!("user already exists [name: {login}]"))),
        None => Ok(()),
    }
}

fn unprocessable(forge: &Forge, words: &str) -> Reply {
    Reply::api_error(forge, StatusCode::UNPROCESSABLE_ENTITY, words)
}

/// Not atomic, as in Forgejo: a bad address leaves the new password in force. The password of an account that another
/// system keeps is ignored without a word.
pub(super) fn change(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    require_admin(forge, &world, ask, "write:admin")?;
    let id = user_named(forge, &world, ask, ask.param("login"))?.id;
    let members = Members::of(forge, ask)?;
    if members.number("source_id").is_some() != members.text("login_name").is_some() {
        return Err(unprocessable(forge, "source_id and login_name must be specified together"));
    }
    let bad = |words: &str| Reply::api_error(forge, StatusCode::BAD_REQUEST, words);
    let email = members.text("email");
    let taken = email.and_then(|email| world.user_with_email(email)).is_some_and(|user| user.id != id);
    let user = world.users.get_mut(&id).ok_or_else(|| Reply::api_not_found(forge))?;
    if let Some(password) = members.text("password").filter(|_| user.source_id == 0) {
        match forge.settings.passwords.lack(password) {
            None => user.password = Hashed::of(password),
            Some(Lack::Length) => {
                let shortest = forge.settings.passwords.shortest;
                return Err(bad(&format!("password must be at least {shortest} characters")));
            }
            Some(Lack::Complexity) => return Err(bad("password not complex enough")),
            Some(Lack::LeakCheck) => return Err(bad("password has been pwned")),
        }
    }
    set(&mut user.must_change_password, members.flag("must_change_password"));
    if let Some(email) = email {
        if !names::is_email(email) {
            return Err(bad(&names::email_refusal(forge.settings.version, email)));
        }
        if taken {
            return Err(bad(&format!("e-mail already in use [email: {email}]")));
        }
        email.clone_into(&mut user.email);
    }
    set(&mut user.active, members.flag("active"));
    set(&mut user.prohibit_login, members.flag("prohibit_login"));
    set(&mut user.restricted, members.flag("restricted"));
    if let Some(admin) = members.flag("admin") {
        user.kind = if admin { Kind::SiteAdmin } else { Kind::Person };
    }
    for (name, place) in [
        ("full_name", &mut user.full_name),
        ("login_name", &mut user.login_name),
        ("website", &mut user.website),
        ("location", &mut user.location),
        ("description", &mut user.description),
        ("visibility", &mut user.visibility),
    ] {
        if let Some(text) = members.text(name) {
            text.clone_into(place);
        }
    }
    Ok(Reply::json(StatusCode::OK, &api_json::user(forge, user, View::Full)))
}

fn set(place: &mut bool, value: Option<bool>) {
    *place = value.unwrap_or(*place);
}

pub(super) fn rename(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    require_admin(forge, &world, ask, "write:admin")?;
    let user = user_named(forge, &world, ask, ask.param("login"))?;
    let (id, old) = (user.id, user.login.clone());
    let login = Members::of(forge, ask)?.text_or_empty("new_username").to_owned();
    if !names::is_username(&login) {
        return Err(invalid(forge, "NewName", "invalid username"));
    }
    if !login.eq_ignore_ascii_case(&old) {
        check_name(forge, &world, &login)?;
    }
    world.rename_user(id, &login);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(super) fn delete(forge: &Forge, ask: &Ask) -> Answer {
    let mut world = forge.world();
    let caller = require_admin(forge, &world, ask, "write:admin")?;
    let user = user_named(forge, &world, ask, ask.param("login"))?;
    let (id, person) = (user.id, user.is_person());
    if !person {
        return Err(unprocessable(forge, &format!("{} is an organization not a user", ask.param("login"))));
    }
    if id == caller.user {
        return Err(unprocessable(forge, "you cannot delete yourself"));
    }
    let purge = ask.query("purge") == Some("true");
    if !purge && world.repositories.values().any(|repository| repository.owner == id) {
        return Err(unprocessable(forge, &format!("user still has ownership of repositories [uid: {id}]")));
    }
    world.remove_user(id);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
