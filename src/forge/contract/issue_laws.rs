//! Filing issues (`docs/FORGEJO.md` 6).

use reqwest::Method;
use serde_json::{Value, json};

use super::browser::Sent;
use super::flow::Wish;
use super::lab::{Account, Lab};
use super::law::{Law, holds, same};

/// An owner with a repository, and a visitor's token with the scope of most sign-ins.
async fn visit(lab: &Lab, repository: &str) -> Law<(Account, Account, String)> {
    let (owner, visitor) = (lab.account().await?, lab.account().await?);
    lab.repository(&owner, repository, false).await?;
    let app = lab.app(&owner, true).await?;
    let token = lab.sign_in(&visitor, &app, Wish::default()).await?.access;
    Ok((owner, visitor, token))
}

pub(super) async fn an_issue_is_filed_under_its_authors_name(lab: &Lab) -> Law {
    let (owner, visitor, token) = visit(lab, "box").await?;
    let path = format!("/api/v1/repos/{}/box/issues", owner.login);
    let body = json!({"title": "é".repeat(300), "body": "words", "labels": [99_999]});
    let answer = lab.with_token(&token, Method::POST, &path, &body).await?;
    answer.is("filing", 201)?;
    same("author", answer.json["user"]["login"].as_str(), Some(visitor.login.as_str()))?;
    same("body", answer.text("body"), "words")?;
    same("labels, dropped without a word", &answer.json["labels"], &json!([]))?;
    let title = answer.text("title");
    holds("the title is cut at 255 bytes", title.len() <= 255 && title.len() > 200)?;
    let page = answer.text("html_url").to_owned();
    same("its page", page.as_str(), &format!("{}/{}/box/issues/1", lab.wire.base, owner.login))?;
    let page = lab.wire.send(Method::GET, &page, &[], Sent::Nothing).await?;
    page.is("its page", 200)?;
    // A second call is a second issue: there is no idempotency key.
    let again = lab.with_token(&token, Method::POST, &path, &body).await?;
    same("number", again.json["number"].as_u64(), Some(2))
}

pub(super) async fn a_renamed_repository_redirects_a_post(lab: &Lab) -> Law {
    let (owner, _, token) = visit(lab, "old").await?;
    let place = |name: &str| format!("/api/v1/repos/{}/{name}", owner.login);
    lab.with_password(&owner, Method::PATCH, &place("old"), &json!({"name": "new"}))
        .await?
        .is("renaming", 200)?;
    let body = json!({"title": "moved"});
    let answer = lab.with_token(&token, Method::POST, &format!("{}/issues", place("old")), &body).await?;
    answer.is("the old name", if lab.is_15_or_later() { 301 } else { 307 })?;
    let moved = format!("{}/issues", place("new"));
    same("where to, relative", answer.location(), moved.as_str())?;
    lab.with_token(&token, Method::POST, &moved, &body).await?.is("the new name", 201)
}

pub(super) async fn a_refused_issue_says_why(lab: &Lab) -> Law {
    let (owner, visitor, token) = visit(lab, "shut").await?;
    lab.repository(&owner, "hidden", true).await?;
    let place = |name: &str| format!("/api/v1/repos/{}/{name}", owner.login);
    let issues = |name: &str| format!("{}/issues", place(name));
    let body = json!({"title": "t"});
    let file = |name: &str| issues(name);
    lab.with_token(&token, Method::POST, &file("none"), &body).await?.is("no such repository", 404)?;
    lab.with_token(&token, Method::POST, &file("hidden"), &body).await?.is("an invisible one", 404)?;
    let answer = lab.with_token(&token, Method::POST, &file("shut"), &json!({"body": "b"})).await?;
    answer.is("no title", 422)?;
    same("no title", answer.text("message"), "[Title]: Required")?;
    let answer = lab.wire.send(Method::POST, &file("shut"), &[], Sent::Json(&body)).await?;
    answer.is("no token", 401)?;
    lab.with_token(&token, Method::GET, &place("shut"), &Value::Null)
        .await?
        .is("reading the repository", 403)?;
    lab.with_password(&owner, Method::PATCH, &place("shut"), &json!({"archived": true}))
        .await?
        .is("archiving", 200)?;
    lab.with_token(&token, Method::POST, &file("shut"), &body).await?.is("an archived one", 423)?;
    let app = lab.app(&owner, true).await?;
    let reader = lab.sign_in(&visitor, &app, Wish { scope: "openid read:issue", ..Wish::default() }).await?;
    let answer = lab.with_token(&reader.access, Method::POST, &file("shut"), &body).await?;
    answer.is("no scope", 403)?;
    let words = "token does not have at least one of required scope(s): [write:issue]";
    same("no scope", answer.text("message"), words)?;
    same("no scope has a url", answer.has("url"), true)
}
