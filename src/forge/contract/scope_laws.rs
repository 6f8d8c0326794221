//! What scopes are worth (`docs/FORGEJO.md` 2.1, 2.4).

use reqwest::Method;
use serde_json::{Value, json};

use super::flow::Wish;
use super::lab::Lab;
use super::law::{Law, same};

/// Scope, whether an issue can be filed, whether `GET /user` answers, whether an `id_token` comes.
const TABLE: [(&str, bool, bool, bool); 10] = [
    ("", true, true, false),
    ("openid profile email", true, true, true),
    ("openid profile email write:issue", true, false, true),
    ("write:issue,read:user", true, true, false),
    ("openid,profile,write:issue", true, true, false),
    ("openid write:issues", true, true, true),
    ("openid write:issue offline_access", true, false, true),
    ("openid public-only", false, false, true),
    ("openid read:user", false, true, true),
    ("openid sudo", true, true, true),
];

pub(super) async fn a_scope_is_worth_what_its_words_say_or_everything(lab: &Lab) -> Law {
    let user = lab.account().await?;
    lab.repository(&user, "power", false).await?;
    let browser = lab.browser(&user).await?;
    let issues = format!("/api/v1/repos/{}/power/issues", user.login);
    let status = |allowed: bool, good: u16| if allowed { good } else { 403 };
    for (scope, files, reads, speaks) in TABLE {
        let app = lab.app(&user, true).await?;
        let tokens = lab.sign_in_with(&browser, &app, Wish { scope, ..Wish::default() }).await?;
        same(&format!("id_token with {scope:?}"), tokens.claims.is_object(), speaks)?;
        let filed = lab.with_token(&tokens.access, Method::POST, &issues, &json!({"title": "power"})).await?;
        filed.is(&format!("filing with {scope:?}"), status(files, 201))?;
        let read = lab.with_token(&tokens.access, Method::GET, "/api/v1/user", &Value::Null).await?;
        read.is(&format!("reading with {scope:?}"), status(reads, 200))?;
        if !reads {
            let words = "token does not have at least one of required scope(s): [read:user]";
            same("words", read.text("message"), words)?;
            same("a missing scope has a url", read.has("url"), true)?;
        }
    }
    Ok(())
}

pub(super) async fn the_first_consents_scope_is_frozen(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    lab.sign_in_with(&browser, &app, Wish { scope: "openid profile", ..Wish::default() }).await?;
    let (code, asked) =
        lab.code(&browser, &app, Wish { scope: "openid read:user", ..Wish::default() }).await?;
    same("consent for another scope", asked, false)?;
    let tokens = super::flow::Tokens::of(&lab.redeem(&app, &code).await?)?;
    same("scope", lab.introspect(&app, &tokens.access).await?.text("scope"), "openid profile")?;
    // A refresh cannot narrow it either.
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str()), ("scope", "openid")];
    let tokens = super::flow::Tokens::of(&lab.token(&app, &fields).await?)?;
    same("scope after a refresh", lab.introspect(&app, &tokens.access).await?.text("scope"), "openid profile")
}
