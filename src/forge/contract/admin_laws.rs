//! Accounts as our client makes, finds and resets them (`docs/FORGEJO.md` 4).

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::browser::Browser;
use super::lab::{Account, Lab};
use super::law::{Law, broken, holds, same};
use crate::base::account::UserId;
use crate::base::entropy::OsEntropy;
use crate::base::secret::{AdminToken, ClientSecret, InitialPassword};
use crate::forge::admin::{
    AccountInfo, AdminError, CreateUserOutput, ForgeAdmin as _, HttpForgeAdmin, NewUser, PasswordKind,
    PlaceholderDomain, Username,
};
use crate::forge::http::Settings;

const CHANGE: &str = "/user/settings/change_password";

/// Our client for this server. Symbols are no harm where none are asked for.
fn client(lab: &Lab) -> Law<HttpForgeAdmin> {
    let Ok(url) = lab.wire.base.parse() else { return broken("the server's address is no web address") };
    let settings = Settings {
        url,
        internal_url: None,
        ca_pem: None,
        client_id: String::new(),
        client_secret: ClientSecret::new(""),
        timeout: Duration::from_secs(30),
    };
    match HttpForgeAdmin::new(&settings, PasswordKind::WithSymbols, Arc::new(OsEntropy)) {
        Ok(client) => Ok(client),
        Err(error) => broken(error.to_string()),
    }
}

fn worked<T>(what: &str, result: Result<T, AdminError>) -> Law<T> {
    result.or_else(|error| broken(format!("{what}: {error}")))
}

fn somebody(what: &str, found: Option<AccountInfo>) -> Law<AccountInfo> {
    found.map_or_else(|| broken(format!("{what}: nobody")), Ok)
}

fn username(login: &str) -> Law<Username> {
    Username::parse(login).or_else(|_| broken(format!("{login} is no name")))
}

fn new_user(login: &str) -> Law<NewUser> {
    NewUser::parse(login, Some("Ada <Contract>"), None, &PlaceholderDomain::default())
        .or_else(|_| broken(format!("{login} is no name")))
}

/// Makes an account by our client; says it and its first password.
async fn make(lab: &Lab, client: &HttpForgeAdmin) -> Law<(UserId, Account)> {
    let login = lab.fresh_login();
    let output = worked("making", client.create_user(&lab.admin_token(), &new_user(&login)?).await)?;
    lab.forget("", Some(&login));
    same("its name", output.forge_username.as_str(), login.as_str())?;
    Ok((output.user_id, Account { login, password: first(output.initial_password)? }))
}

fn first(password: Option<InitialPassword>) -> Law<String> {
    password.map_or_else(|| broken("there is no first password"), |password| Ok(password.expose().to_owned()))
}

/// Whether this password is the account's: the page does not say what else is the matter with it.
async fn opens(lab: &Lab, account: &Account) -> Law<bool> {
    let path = "/api/v1/version";
    let answer = lab.with_password(account, Method::GET, path, &Value::Null).await?;
    match answer.status {
        200 | 403 => Ok(true),
        401 => Ok(false),
        _ => broken(format!("{path}: {}", answer.in_short())),
    }
}

pub(super) async fn an_account_is_made_once_and_then_left_alone(lab: &Lab) -> Law {
    let (client, token) = (client(lab)?, lab.admin_token());
    let login = lab.fresh_login();
    let name = username(&login)?;
    same("before", worked("looking", client.user_exists(&token, &name).await)?, None)?;
    let output = worked("making", client.create_user(&token, &new_user(&login)?).await)?;
    lab.forget("", Some(&login));
    let account = Account { login: login.clone(), password: first(output.initial_password)? };
    holds("the first password opens it", opens(lab, &account).await?)?;
    let answer = lab.with_password(&account, Method::GET, "/api/v1/version", &Value::Null).await?;
    answer.is("it must be changed first", 403)?;

    let there = somebody("after", worked("looking", client.user_exists(&token, &name).await)?)?;
    same("id", &there.id, &output.user_id)?;
    same("display name", there.display_name.as_deref(), Some("Ada <Contract>"))?;
    same("address", there.email.as_deref(), Some(format!("{login}@nomail.demo.ourworld.tf").as_str()))?;
    same("last sign-in", there.last_sign_in, None)?;
    holds("a person like others", !there.site_admin && there.local && there.created.is_some())?;

    let upper = login.to_ascii_uppercase();
    let again = worked("again", client.create_user(&token, &new_user(&upper)?).await)?;
    same("the same", (again.user_id, again.forge_username), (there.id.clone(), login))?;
    holds("no password the second time", again.initial_password.is_none())?;
    let unchanged = worked("looking", client.user_by_id(&token, &there.id).await)?;
    same("unchanged", unchanged, Some(there))?;
    holds("the first password still opens it", opens(lab, &account).await?)
}

pub(super) async fn two_who_make_one_name_make_one_account(lab: &Lab) -> Law {
    let (client, token) = (client(lab)?, lab.admin_token());
    let login = lab.fresh_login();
    let new = new_user(&login)?;
    let make = || client.create_user(&token, &new);
    let (a, b, c, d) = tokio::join!(make(), make(), make(), make());
    lab.forget("", Some(&login));
    let mut passwords = Vec::new();
    for one in [a, b, c, d] {
        match one {
            Ok(CreateUserOutput { initial_password: Some(password), .. }) => passwords.push(password),
            // A database may say of the losers that something went wrong.
            Ok(_) | Err(AdminError::PasswordLost(_)) => {}
            Err(error) => return broken(format!("a loser was told: {error}")),
        }
    }
    same("passwords", passwords.len(), 1)?;
    let account = Account { login, password: first(passwords.pop())? };
    holds("it opens the account", opens(lab, &account).await?)
}

pub(super) async fn people_organizations_and_old_names_are_told_apart(lab: &Lab) -> Law {
    let (client, token) = (client(lab)?, lab.admin_token());
    let owner = lab.account().await?;
    let organization = format!("{}_org", owner.login);
    let body = json!({"username": organization});
    lab.with_password(&owner, Method::POST, "/api/v1/orgs", &body)
        .await?
        .is("making an organization", 201)?;
    for outcome in [
        client.user_exists(&token, &username(&organization)?).await.map(drop),
        client.create_user(&token, &new_user(&organization)?).await.map(drop),
    ] {
        same("an organization", outcome, Err(AdminError::TakenByOrganization))?;
    }
    let (id, account) = make(lab, &client).await?;
    let now = lab.fresh_login();
    let rename = format!("/api/v1/admin/users/{}/rename", account.login);
    lab.admin(Method::POST, &rename, &json!({"new_username": now})).await?.is("renaming", 204)?;
    lab.forget(&account.login, Some(&now));
    for outcome in [
        client.user_exists(&token, &username(&account.login)?).await.map(drop),
        client.create_user(&token, &new_user(&account.login)?).await.map(drop),
    ] {
        same("an old name", outcome, Err(AdminError::RenamedTo(now.clone())))?;
    }
    let found = somebody("by id", worked("by id", client.user_by_id(&token, &id).await)?)?;
    same("by id", found.login, now)?;
    let nobody = UserId("987654321".into());
    same("an id of nobody", worked("by id", client.user_by_id(&token, &nobody).await)?, None)
}

pub(super) async fn names_that_are_refused_here_are_refused_there(lab: &Lab) -> Law {
    let run = lab.fresh_login();
    let long = "x".repeat(41);
    for name in [
        "admin",
        "API",
        "user",
        "ghost",
        "v2",
        "favicon.ico",
        "a--b",
        "a-",
        "_a",
        ".",
        "..",
        "-",
        "a b",
        "a/b",
        "a%2fb",
        "ünal",
        "",
        &long,
        &format!("{run}.keys"),
        &format!("{run}.PNG"),
        &format!("{run}_"),
    ] {
        same(name, Username::parse(name).is_err(), true)?;
        let body = json!({
            "username": name, "email": format!("{run}@example.org"), "password": "Contract-1-refused",
        });
        lab.admin(Method::POST, "/api/v1/admin/users", &body)
            .await?
            .is(&format!("the name {name:?}"), 422)?;
    }
    Ok(())
}

pub(super) async fn a_reset_demands_a_new_password_and_ends_nothing_else(lab: &Lab) -> Law {
    let (client, token) = (client(lab)?, lab.admin_token());
    let account = lab.account().await?;
    let found = worked("looking", client.user_exists(&token, &username(&account.login)?).await)?;
    let id = somebody("looking", found)?.id;
    let browser = Browser::on(&lab.wire);
    browser.sign_in(&account.login, &account.password).await?;
    let personal = mint(lab, &account, &["read:user"]).await?;

    let output = worked("resetting", client.reset_password(&token, &id).await)?;
    same("whom", (&output.user_id, &output.forge_username), (&id, &account.login))?;
    let now = Account { login: account.login.clone(), password: first(output.initial_password)? };
    holds("the old password is dead", !opens(lab, &account).await?)?;
    holds("the new one opens it", opens(lab, &now).await?)?;
    let refused = lab.with_token(personal.expose(), Method::GET, "/api/v1/user", &Value::Null).await?;
    refused.is("a personal token before the change", 403)?;

    // The browser of before is still signed in, and gets no further than this page.
    browser.get(CHANGE).await?.is("the password page", 200)?;
    let chosen = format!("{}-chosen", account.password);
    browser.post(CHANGE, &[("password", &chosen), ("retype", &chosen)]).await?.is("the change", 303)?;
    let answer = lab.with_token(personal.expose(), Method::GET, "/api/v1/user", &Value::Null).await?;
    answer.is("a personal token after the change", 200)?;
    let nobody = client.reset_password(&token, &UserId("987654321".into())).await.map(drop);
    same("nobody's reset", nobody, Err(AdminError::NoSuchUser))
}

/// A personal token, as its owner makes one.
async fn mint(lab: &Lab, owner: &Account, scopes: &[&str]) -> Law<AdminToken> {
    let path = format!("/api/v1/users/{}/tokens", owner.login);
    let body = json!({"name": scopes.join(" "), "scopes": scopes});
    let answer = lab.with_password(owner, Method::POST, &path, &body).await?;
    answer.is("making a personal token", 201)?;
    Ok(AdminToken::new(answer.text("sha1")))
}

pub(super) async fn an_admin_token_tells_what_it_may_do(lab: &Lab) -> Law {
    let client = client(lab)?;
    let report = worked("the admin's", client.check_token(&lab.admin_token()).await)?;
    holds("the admin's token works", report.works() && report.login.is_some())?;
    if !report.beyond.is_empty() {
        lab.note(format!("the admin's token can do more than it needs: {}", report.beyond.join(", ")));
    }
    let owner = lab.account().await?;
    for (scopes, site_admin, missing, beyond) in [
        (&["write:admin", "read:user"][..], false, &[][..], &[][..]),
        (&["read:admin", "read:user"], true, &["write:admin"], &[]),
        (&["write:admin"], false, &["read:user"], &[]),
        (&["write:user", "write:issue"], true, &["write:admin"], &["write:user", "issue"]),
        (&["all"], false, &[], &["write:user", "issue", "repository", "organization", "notification"]),
    ] {
        let token = mint(lab, &owner, scopes).await?;
        let report = worked("a user's", client.check_token(&token).await)?;
        // Who lacks the scope is not told about being an admin.
        same("site admin", report.site_admin, site_admin)?;
        same("missing", report.missing.as_slice(), missing)?;
        same("beyond", report.beyond.as_slice(), beyond)?;
        holds("it does not work", !report.works())?;
    }
    let unknown = client.check_token(&AdminToken::new("0".repeat(40))).await.map(drop);
    holds("an unknown token is told", matches!(unknown, Err(AdminError::Token(_))))
}
