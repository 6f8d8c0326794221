//! Refresh, counter, nonce, expiry, revocation (`docs/FORGEJO.md` 1.6, 1.7, 1.8).

use reqwest::Method;
use serde_json::{Value, json};

use super::flow::{Tokens, Wish, claims};
use super::lab::{App, Lab};
use super::law::{Law, broken, holds, same};

pub(super) async fn every_token_error_is_a_400_with_the_forges_own_words(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let (code, _) = lab.code(&browser, &app, Wish::default()).await?;
    let liar = App { secret: "nope".to_owned(), ..app.clone() };
    lab.redeem(&liar, &code).await?.refuses(
        "a wrong secret, code",
        "unauthorized_client",
        "invalid client secret",
    )?;
    let tokens = Tokens::of(&lab.redeem(&app, &code).await?)?;
    let answer = lab.refresh(&liar, &tokens.refresh).await?;
    answer.refuses("a wrong secret, refresh", "invalid_client", "invalid client secret")?;
    let answer = lab.token(&app, &[("grant_type", "password")]).await?;
    let words = "Only refresh_token or authorization_code grant type is supported";
    answer.refuses("another grant type", "unsupported_grant_type", words)?;
    let answer = lab.refresh(&app, "garbage").await?;
    answer.refuses("garbage", "unauthorized_client", "unable to parse refresh token")?;
    let nobody = App { client_id: "nope".to_owned(), ..app.clone() };
    let words = "cannot load client with client id: 'nope'";
    lab.redeem(&nobody, &code).await?.refuses("an unknown client, code", "invalid_client", words)?;
    let words = "cannot load client with client id: \"nope\"";
    lab.refresh(&nobody, &tokens.refresh).await?.refuses(
        "an unknown client, refresh",
        "invalid_client",
        words,
    )
}

const USED: &str = "token was already used";

/// Whether the server invalidates refresh tokens is found out here; both ways are laws.
pub(super) async fn a_second_sign_in_supersedes_or_keeps_the_first_refresh_token(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let first = lab.sign_in(&user, &app, Wish::default()).await?;
    let second = lab.sign_in(&user, &app, Wish::default()).await?;
    let answer = lab.refresh(&app, &first.refresh).await?;
    let keeps = answer.status == 200;
    lab.note(format!("INVALIDATE_REFRESH_TOKENS = {}", !keeps));
    if !keeps {
        answer.refuses("the first browser's", "unauthorized_client", USED)?;
    }
    let newer = Tokens::of(&lab.refresh(&app, &second.refresh).await?)?;
    let again = lab.refresh(&app, &second.refresh).await?;
    if keeps {
        again.is("the second browser's again", 200)?;
    } else {
        again.refuses("the second browser's again", "unauthorized_client", USED)?;
        // Nothing is revoked by that: the newest lives on, and so do access tokens.
        lab.refresh(&app, &newer.refresh).await?.is("the newest", 200)?;
    }
    lab.with_token(&first.access, Method::GET, "/api/v1/user", &Value::Null)
        .await?
        .is("the first access token", 200)
}

/// The counter is one: of several who come with one refresh token at once one is served, or all where none is invalidated.
pub(super) async fn of_many_refreshes_at_once_one_is_served_or_all(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let tokens = lab.sign_in(&user, &app, Wish::default()).await?;
    let ask = async || lab.refresh(&app, &tokens.refresh).await;
    let (one, two, three, four) = tokio::join!(ask(), ask(), ask(), ask());
    let mut newest = None;
    let mut served = 0;
    for answer in [one?, two?, three?, four?] {
        if answer.status == 200 {
            served += 1;
            newest = Some(Tokens::of(&answer)?);
            continue;
        }
        let lost = [
            "400 invalid_grant cannot increase the grant counter",
            "400 unauthorized_client token was already used",
        ];
        holds("the others are told that they are late", lost.contains(&answer.in_short().as_str()))?;
    }
    holds("one is served, or all", served == 1 || served == 4)?;
    let Some(newest) = newest else { return broken("nobody is served") };
    lab.refresh(&app, &newest.refresh).await?.is("what was served", 200)
}

pub(super) async fn an_access_token_is_no_refresh_token(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let tokens = lab.sign_in(&user, &app, Wish::default()).await?;
    let answer = lab.refresh(&app, &tokens.access).await?;
    if lab.is_15_or_later() {
        answer.refuses("as a refresh token", "unauthorized_client", "token is not a refresh token")?;
    } else if answer.status == 200 {
        lab.note("an access token is accepted as a refresh token (up to 11, while refresh tokens are kept)");
    } else {
        answer.refuses("as a refresh token", "unauthorized_client", USED)?;
    }
    let refresh = claims(&tokens.refresh).unwrap_or(Value::Null);
    same("tt of a refresh token", refresh["tt"].as_u64(), Some(1))?;
    let api = lab.with_token(&tokens.refresh, Method::GET, "/api/v1/user", &Value::Null).await?;
    api.is("a refresh token at the API", 401)
}

pub(super) async fn the_nonce_is_that_of_the_last_sign_in(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let (one, _) = lab.code(&browser, &app, Wish { nonce: "one", ..Wish::default() }).await?;
    let other = lab.browser(&user).await?;
    let (two, _) = lab.code(&other, &app, Wish { nonce: "two", ..Wish::default() }).await?;
    let one = Tokens::of(&lab.redeem(&app, &one).await?)?;
    same("the first sign-in's", one.claim("nonce"), "two")?;
    let two = Tokens::of(&lab.redeem(&app, &two).await?)?;
    let refreshed = Tokens::of(&lab.refresh(&app, &two.refresh).await?)?;
    same("after a refresh", refreshed.claim("nonce"), "two")?;
    let bare = lab.sign_in(&user, &app, Wish { nonce: "", ..Wish::default() }).await?;
    same("of a sign-in without one", bare.claim("nonce"), "two")
}

pub(super) async fn an_expired_access_token_is_dead_and_its_refresh_token_is_not(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let tokens = lab.sign_in(&user, &app, Wish::default()).await?;
    lab.with_token(&tokens.access, Method::GET, "/api/v1/user", &Value::Null).await?.is("before", 200)?;
    lab.outlive().await?;
    lab.with_token(&tokens.access, Method::GET, "/api/v1/user", &Value::Null).await?.is("the API", 401)?;
    let answer = lab.with_token(&tokens.access, Method::GET, "/login/oauth/userinfo", &Value::Null).await?;
    answer.is("userinfo", 401)?;
    same("introspection", lab.introspect(&app, &tokens.access).await?.json["active"].as_bool(), Some(false))?;
    let newer = Tokens::of(&lab.refresh(&app, &tokens.refresh).await?)?;
    lab.with_token(&newer.access, Method::GET, "/api/v1/user", &Value::Null).await?.is("the new token", 200)
}

pub(super) async fn a_revoked_grant_kills_its_tokens_at_once(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let tokens = lab.sign_in_with(&browser, &app, Wish::default()).await?;
    let Some(grant) = claims(&tokens.access).and_then(|claims| claims["gnt"].as_u64()) else {
        return broken("the access token names no grant");
    };
    let path = format!("/user/settings/applications/oauth2/{}/revoke/{grant}", app.id);
    browser.get("/user/settings/applications").await?.is("the page", 200)?;
    let answer = browser.post(&path, &[]).await?;
    answer.is("revoking", 200)?;
    same("where the page goes", answer.text("redirect"), "/user/settings/applications")?;
    lab.with_token(&tokens.access, Method::GET, "/api/v1/user", &Value::Null).await?.is("the API", 401)?;
    // The call that needs no scope tells it too; that is where a proxy finds it out.
    lab.with_token(&tokens.access, Method::GET, "/api/v1/version", &Value::Null)
        .await?
        .is("the version", 401)?;
    same("introspection", &lab.introspect(&app, &tokens.access).await?.json, &json!({"active": false}))?;
    let answer = lab.refresh(&app, &tokens.refresh).await?;
    answer.refuses("the refresh token", "invalid_grant", "grant does not exist")?;
    same("consent is asked again", lab.code(&browser, &app, Wish::default()).await?.1, true)
}

pub(super) async fn a_deleted_application_is_an_unknown_client(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let tokens = lab.sign_in(&user, &app, Wish::default()).await?;
    let path = format!("/api/v1/user/applications/oauth2/{}", app.id);
    lab.with_password(&user, Method::DELETE, &path, &Value::Null).await?.is("deleting it", 204)?;
    let answer = lab.refresh(&app, &tokens.refresh).await?;
    same("error", answer.text("error"), "invalid_client")?;
    holds(
        "its tokens are dead",
        lab.with_token(&tokens.access, Method::GET, "/api/v1/user", &Value::Null).await?.status == 401,
    )
}
