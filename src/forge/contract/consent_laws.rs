//! Authorize and consent (`docs/FORGEJO.md` 1.2, 1.4, 1.5, 2.4).

use super::browser::Browser;
use super::flow::{Wish, authorize_path, challenge};
use super::lab::{App, Lab};
use super::law::{Law, holds, same};

pub(super) async fn an_authorize_request_is_checked_in_order(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let path = authorize_path(&app, Wish::default(), Some(&challenge("v")));
    let stranger = Browser::on(&lab.wire);
    let answer = stranger.get(&path).await?;
    answer.is("signed out", 303)?;
    same("signed out", answer.location(), "/user/login")?;
    holds("where to go is kept", stranger.cookie("redirect_to").is_some())?;
    same("after signing in", stranger.sign_in(&user.login, &user.password).await?, path)?;
    let unknown = App { client_id: "nope".to_owned(), ..app.clone() };
    stranger.get(&authorize_path(&unknown, Wish::default(), None)).await?.is("an unknown client", 400)?;
    let foreign = Wish { redirect_uri: "http://evil.example/cb", ..Wish::default() };
    stranger.get(&authorize_path(&app, foreign, None)).await?.is("a foreign redirect URI", 400)?;
    let token =
        authorize_path(&app, Wish::default(), None).replace("response_type=code", "response_type=token");
    let answer = stranger.get(&token).await?;
    same("another response type", answer.returned("error").as_deref(), Some("unsupported_response_type"))?;
    let method = format!(
        "{}&code_challenge=x&code_challenge_method=S512",
        authorize_path(&app, Wish::default(), None)
    );
    let answer = stranger.get(&method).await?;
    same("another challenge method", answer.returned("error").as_deref(), Some("invalid_request"))?;
    same("state of an error", answer.returned("state").as_deref(), Some("st"))
}

pub(super) async fn consent_is_asked_once_of_a_confidential_client(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    same("asked first", lab.code(&browser, &app, Wish::default()).await?.1, true)?;
    same("asked again", lab.code(&browser, &app, Wish::default()).await?.1, false)?;
    let other = lab.browser(&user).await?;
    same("asked in another browser", lab.code(&other, &app, Wish::default()).await?.1, false)
}

pub(super) async fn a_denied_consent_goes_back_as_an_error(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let page = browser.get(&authorize_path(&app, Wish::default(), Some(&challenge("v")))).await?;
    page.is("the consent page", 200)?;
    holds("the page says the scope", page.body.contains("openid profile email read:user write:issue"))?;
    let answer = lab.consent(&browser, &page, "false").await?;
    answer.is("denied", 303)?;
    same("error", answer.returned("error").as_deref(), Some("access_denied"))?;
    same("words", answer.returned("error_description").as_deref(), Some("the request is denied"))?;
    same("state", answer.returned("state").as_deref(), Some("st"))
}

pub(super) async fn two_tabs_share_one_memory_of_consent(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let tab = |state| authorize_path(&app, Wish { state, ..Wish::default() }, Some("x"));
    let older = browser.get(&tab("s1")).await?;
    let newer = browser.get(&tab("s2")).await?;
    lab.consent(&browser, &older, "true").await?.is("the older tab", 400)?;
    lab.consent(&browser, &newer, "true").await?.is("the newer tab", 303)
}

pub(super) async fn a_public_client_is_asked_each_time_and_cannot_change_its_scope(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, false).await?, lab.browser(&user).await?);
    let answer = browser.get(&authorize_path(&app, Wish::default(), None)).await?;
    same(
        "no PKCE",
        answer.returned("error_description").as_deref(),
        Some("PKCE is required for public clients"),
    )?;
    for time in ["first", "second"] {
        same(time, lab.code(&browser, &app, Wish::default()).await?.1, true)?;
    }
    let wider = Wish { scope: "openid read:user", ..Wish::default() };
    let page = browser.get(&authorize_path(&app, wider, Some("x"))).await?;
    let answer = lab.consent(&browser, &page, "true").await?;
    same("another scope", answer.returned("error").as_deref(), Some("server_error"))?;
    let words = answer.returned("error_description");
    same("another scope", words.as_deref(), Some("a grant exists with different scope"))
}
