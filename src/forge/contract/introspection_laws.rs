//! Introspection and userinfo (`docs/FORGEJO.md` 1.8).

use reqwest::Method;
use serde_json::{Value, json};

use super::browser::Sent;
use super::flow::{Wish, basic};
use super::lab::{App, Lab};
use super::law::{Law, holds, same};

pub(super) async fn a_json_body_is_always_answered_with_json(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, other) = (lab.app(&user, true).await?, lab.app(&user, true).await?);
    let tokens = lab.sign_in(&user, &app, Wish::default()).await?;
    let sub = tokens.claim("sub");
    // Any client may ask; a refresh token is told as active too.
    for (who, token) in [(&app, &tokens.access), (&other, &tokens.access), (&app, &tokens.refresh)] {
        let answer = lab.introspect(who, token).await?;
        answer.is("a live token", 200)?;
        let expected = json!({
            "active": true, "scope": Wish::default().scope, "username": user.login, "sub": sub, "aud": [app.client_id],
        });
        let issuer = answer.text("iss").trim_end_matches('/') == lab.issuer.trim_end_matches('/');
        holds("it names the issuer", issuer)?;
        for name in ["active", "scope", "username", "sub", "aud"] {
            same(name, &answer.json[name], &expected[name])?;
        }
        holds("it tells nothing else", answer.json.as_object().is_some_and(|members| members.len() == 6))?;
    }
    let answer = lab.introspect(&app, "garbage").await?;
    answer.is("garbage", 200)?;
    same("garbage", &answer.json, &json!({"active": false}))?;
    let liar = App { secret: "nope".to_owned(), ..app };
    let answer = lab.introspect(&liar, &tokens.access).await?;
    answer.is("a wrong secret", 401)?;
    holds("it asks for Basic", answer.header("www-authenticate").starts_with("Basic"))
}

/// By default up to 15 the sign-in code reads the form's `token` first: 401 in place of `{"active":false}`.
pub(super) async fn a_form_body_meets_the_sign_in_code_or_not(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let authorization = basic(&app.client_id, &app.secret);
    let path = "/login/oauth/introspect";
    let form = Sent::Form(&[("token", "garbage")]);
    let answer = lab.wire.send(Method::POST, path, &[("authorization", &authorization)], form).await?;
    if answer.status == 200 {
        lab.note("tokens in forms are not taken as credentials (DISABLE_QUERY_AUTH_TOKEN, or 16)");
        return same("garbage", &answer.json, &json!({"active": false}));
    }
    lab.note("tokens in forms are taken as credentials: introspection needs a JSON body");
    answer.is("garbage", 401)?;
    holds("it is text", answer.header("content-type").starts_with("text/plain"))
}

pub(super) async fn userinfo_needs_no_scope_and_an_access_token(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let tokens = lab.sign_in(&user, &app, Wish { scope: "openid write:issue", ..Wish::default() }).await?;
    let path = "/login/oauth/userinfo";
    let answer = lab.with_token(&tokens.access, Method::GET, path, &Value::Null).await?;
    answer.is("an access token", 200)?;
    same("sub", answer.text("sub"), tokens.claim("sub"))?;
    same("preferred_username", answer.text("preferred_username"), &user.login)?;
    holds("it tells the address whatever the scope", answer.text("email").starts_with(&user.login))?;
    lab.with_token(&tokens.refresh, Method::GET, path, &Value::Null).await?.is("a refresh token", 401)?;
    let answer = lab.wire.send(Method::GET, path, &[], Sent::Nothing).await?;
    answer.is("no token", 401)?;
    holds("it asks for Bearer", answer.header("www-authenticate").starts_with("Bearer"))
}
