//! Accounts in odd states, and what an admin does to them (`docs/FORGEJO.md` 3.2, 3.3, 4.1 to 4.3, 4.7).

use reqwest::Method;
use serde_json::{Value, json};

use super::browser::{Browser, Sent};
use super::flow::{Tokens, Wish, authorize_path, challenge};
use super::lab::Lab;
use super::law::{Answer, Law, broken, holds, same};

const CHANGE: &str = "/user/settings/change_password";

/// A 403 of the account checks: it has no `url`, and so differs from a missing scope's.
fn is_account_refusal(answer: &Answer) -> Law {
    answer.is("an account's refusal", 403)?;
    same("its url", answer.has("url"), false)?;
    holds("it says why", !answer.text("message").is_empty())
}

pub(super) async fn a_password_that_must_change_changes_on_the_way_and_blocks_the_api(lab: &Lab) -> Law {
    let owner = lab.account().await?;
    let app = lab.app(&owner, true).await?;
    let user = lab.account_that(json!({"must_change_password": true})).await?;
    let browser = Browser::on(&lab.wire);
    let path = authorize_path(&app, Wish::default(), Some(&challenge("v")));
    browser.get(&path).await?.is("signed out", 303)?;
    same("after signing in", browser.sign_in(&user.login, &user.password).await?, path.clone())?;
    let answer = browser.get(&path).await?;
    answer.is("before the change", 303)?;
    same("before the change", answer.location(), CHANGE)?;
    browser.get(CHANGE).await?.is("the password page", 200)?;
    let password = format!("{}-new", user.password);
    let answer = browser.post(CHANGE, &[("password", &password), ("retype", &password)]).await?;
    answer.is("the change", 303)?;
    same("after the change", answer.location(), path.as_str())?;
    let tokens = lab.sign_in_with(&browser, &app, Wish::default()).await?;
    lab.change_account(
        &user.login,
        &json!({"must_change_password": true, "password": format!("{password}-2")}),
    )
    .await?;
    for path in ["/api/v1/user", "/api/v1/version"] {
        is_account_refusal(&lab.with_token(&tokens.access, Method::GET, path, &Value::Null).await?)?;
    }
    neither_refresh_nor_introspection_see_it(lab, &app, &tokens).await
}

async fn neither_refresh_nor_introspection_see_it(lab: &Lab, app: &super::lab::App, tokens: &Tokens) -> Law {
    same("introspection", lab.introspect(app, &tokens.access).await?.json["active"].as_bool(), Some(true))?;
    lab.refresh(app, &tokens.refresh).await?.is("refreshing", 200)
}

pub(super) async fn a_suspended_account_is_seen_by_api_calls_only(lab: &Lab) -> Law {
    let owner = lab.account().await?;
    let app = lab.app(&owner, true).await?;
    let user = lab.account().await?;
    let browser = lab.browser(&user).await?;
    let tokens = lab.sign_in_with(&browser, &app, Wish::default()).await?;
    lab.change_account(&user.login, &json!({"prohibit_login": true})).await?;
    // Without any scope, so this is the call to ask with.
    is_account_refusal(&lab.with_token(&tokens.access, Method::GET, "/api/v1/version", &Value::Null).await?)?;
    let page = browser.get(&authorize_path(&app, Wish::default(), Some("x"))).await?;
    page.is("authorize", 200)?;
    holds("it is a page", page.header("content-type").starts_with("text/html"))?;
    neither_refresh_nor_introspection_see_it(lab, &app, &tokens).await?;
    lab.change_account(&user.login, &json!({"prohibit_login": false})).await?;
    lab.with_token(&tokens.access, Method::GET, "/api/v1/version", &Value::Null).await?.is("after that", 200)
}

/// The one call by which a proxy looks at an account: the same token, and each answer means one thing.
pub(super) async fn the_version_tells_a_barred_account_from_a_dead_token(lab: &Lab) -> Law {
    let owner = lab.account().await?;
    let app = lab.app(&owner, true).await?;
    let user = lab.account().await?;
    let tokens = lab.sign_in(&user, &app, Wish { scope: "openid write:issue", ..Wish::default() }).await?;
    let version = async || lab.with_token(&tokens.access, Method::GET, "/api/v1/version", &Value::Null).await;
    version().await?.is("in good standing", 200)?;
    let (must, need_not) = (json!({"must_change_password": true}), json!({"must_change_password": false}));
    for (what, bar, lift, words) in [
        (
            "suspended",
            json!({"prohibit_login": true}),
            json!({"prohibit_login": false}),
            "This account is prohibited from signing in",
        ),
        ("not active", json!({"active": false}), json!({"active": true}), "This account is "),
        ("must change the password", must, need_not, "You must change your password"),
    ] {
        lab.change_account(&user.login, &bar).await?;
        let answer = version().await?;
        is_account_refusal(&answer)?;
        holds(what, answer.text("message").starts_with(words))?;
        lab.change_account(&user.login, &lift).await?;
        version().await?.is("after that", 200)?;
    }
    lab.admin(Method::DELETE, &format!("/api/v1/admin/users/{}", user.login), &Value::Null)
        .await?
        .is("deleting", 204)?;
    lab.forget(&user.login, None);
    let answer = version().await?;
    answer.is("deleted", 401)?;
    holds("it is JSON with a message", !answer.text("message").is_empty())
}

/// What a proxy reads again, with a token of before.
pub(super) async fn userinfo_tells_the_names_and_groups_of_the_moment(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let owner = lab.account().await?;
    let app = lab.app(&owner, true).await?;
    let scope = "openid profile groups write:issue";
    let tokens = lab.sign_in(&user, &app, Wish { scope, ..Wish::default() }).await?;
    let userinfo =
        async || lab.with_token(&tokens.access, Method::GET, "/login/oauth/userinfo", &Value::Null).await;
    let before = userinfo().await?;
    before.is("userinfo", 200)?;
    same("groups of a member of none", before.has("groups"), false)?;
    let organization = format!("{}_now", user.login);
    let body = json!({"username": organization});
    lab.with_password(&user, Method::POST, "/api/v1/orgs", &body).await?.is("making an organization", 201)?;
    let renamed = format!("{}n", user.login);
    let rename = format!("/api/v1/admin/users/{}/rename", user.login);
    lab.admin(Method::POST, &rename, &json!({"new_username": renamed})).await?.is("renaming", 204)?;
    lab.forget(&user.login, Some(&renamed));
    let now = userinfo().await?;
    same("sub", now.text("sub"), before.text("sub"))?;
    same("preferred_username", now.text("preferred_username"), renamed.as_str())?;
    let groups: Vec<&str> =
        now.json["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    holds("the organization is there", groups.contains(&organization.as_str()))
}

pub(super) async fn a_rename_keeps_the_id_and_a_deletion_ends_all(lab: &Lab) -> Law {
    let owner = lab.account().await?;
    let app = lab.app(&owner, true).await?;
    let user = lab.account().await?;
    let tokens = lab.sign_in(&user, &app, Wish::default()).await?;
    let (admin, renamed) = (format!("/api/v1/admin/users/{}", user.login), format!("{}r", user.login));
    let rename = json!({"new_username": renamed});
    lab.admin(Method::POST, &format!("{admin}/rename"), &rename).await?.is("renaming", 204)?;
    lab.forget(&user.login, Some(&renamed));
    let answer = lab.admin(Method::PATCH, &admin, &json!({"full_name": "x"})).await?;
    answer.is("the old name", 307)?;
    let moved = format!("/api/v1/admin/users/{renamed}");
    same("the old name", answer.location(), moved.as_str())?;
    let newer = Tokens::of(&lab.refresh(&app, &tokens.refresh).await?)?;
    same("sub", newer.claim("sub"), tokens.claim("sub"))?;
    same("preferred_username", newer.claim("preferred_username"), &renamed)?;
    lab.admin(Method::DELETE, &moved, &Value::Null).await?.is("deleting", 204)?;
    lab.forget(&renamed, None);
    let answer = lab.refresh(&app, &newer.refresh).await?;
    answer.refuses("the refresh token", "invalid_grant", "grant does not exist")?;
    lab.with_token(&newer.access, Method::GET, "/api/v1/user", &Value::Null)
        .await?
        .is("the access token", 401)
}

pub(super) async fn names_are_taken_once(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let body = |login: &str, email: &str, password: &str| json!({"username": login, "email": email, "password": password, "must_change_password": false});
    let free = format!("{}x", user.login);
    let (email, taken) = (format!("{free}@example.org"), format!("{}@example.org", user.login));
    for (what, body, status, words) in [
        ("a taken name", body(&user.login.to_uppercase(), &email, "Contract-1"), 422, "user already exists"),
        ("a taken address", body(&free, &taken, "Contract-1"), 422, "e-mail already in use"),
        ("a reserved name", body("admin", &email, "Contract-1"), 422, "name is reserved"),
        ("a bad name", body("a--b", &email, "Contract-1"), 422, "[Username]: invalid username"),
        ("a short password", body(&free, &email, "short"), 400, "PasswordIsRequired"),
    ] {
        let answer = lab.admin(Method::POST, "/api/v1/admin/users", &body).await?;
        answer.is(what, status)?;
        if !answer.text("message").starts_with(words) {
            return broken(format!("{what}: {:?} instead of {words:?}", answer.text("message")));
        }
    }
    Ok(())
}

pub(super) async fn bad_credentials_are_never_downgraded(lab: &Lab) -> Law {
    for path in ["/api/v1/user", "/api/v1/version"] {
        let answer = lab.with_token("bad", Method::GET, path, &Value::Null).await?;
        answer.is("a bad token", 401)?;
        holds("message and url", answer.has("message") && answer.has("url"))?;
        same("www-authenticate", answer.header("www-authenticate"), "")?;
        // From 15 on it repeats the token: such bodies are never logged.
        same("the token is repeated", answer.text("message").contains("bad]"), lab.is_15_or_later())?;
    }
    let header = [("authorization", "Bearer")];
    let answer = lab.wire.send(Method::GET, "/api/v1/version", &header, Sent::Nothing).await?;
    answer.is("a malformed header counts as none", 200)?;
    let answer = lab.wire.send(Method::GET, "/api/v1/user", &[], Sent::Nothing).await?;
    answer.is("no token", 401)?;
    same("no token", answer.text("message"), "token is required")
}
