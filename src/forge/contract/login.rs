//! Discovery, the code flow, the `id_token` (`docs/FORGEJO.md` 0.1, 1.1, 1.2, 1.3, 1.6, 1.8).

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use super::browser::Sent;
use super::flow::{CALLBACK, Code, Tokens, Wish};
use super::lab::Lab;
use super::law::{Answer, Law, broken, holds, same};

async fn get(lab: &Lab, path: &str) -> Law<Answer> {
    let answer = lab.wire.send(Method::GET, path, &[], Sent::Nothing).await?;
    answer.is(path, 200)?;
    holds("it is JSON", answer.header("content-type").starts_with("application/json"))?;
    Ok(answer)
}

pub(super) async fn discovery_says_where_all_is_and_the_issuer_ends_by_version(lab: &Lab) -> Law {
    let answer = get(lab, "/.well-known/openid-configuration").await?;
    same("a slash ends the issuer", answer.text("issuer").ends_with('/'), lab.major < 12)?;
    let root = lab.issuer.trim_end_matches('/');
    for (name, path) in [
        ("authorization_endpoint", "/login/oauth/authorize"),
        ("token_endpoint", "/login/oauth/access_token"),
        ("jwks_uri", "/login/oauth/keys"),
        ("userinfo_endpoint", "/login/oauth/userinfo"),
        ("introspection_endpoint", "/login/oauth/introspect"),
    ] {
        same(name, answer.text(name), &format!("{root}{path}"))?;
    }
    for name in ["token_endpoint_auth_methods_supported", "end_session_endpoint", "revocation_endpoint"] {
        same(name, answer.has(name), false)?;
    }
    same(
        "code_challenge_methods_supported",
        &answer.json["code_challenge_methods_supported"],
        &json!(["plain", "S256"]),
    )?;
    same(
        "scopes_supported",
        &answer.json["scopes_supported"],
        &json!(["openid", "profile", "email", "groups"]),
    )
}

pub(super) async fn the_key_set_holds_one_key(lab: &Lab) -> Law {
    let answer = get(lab, "/login/oauth/keys").await?;
    let keys = answer.json["keys"].as_array().cloned().unwrap_or_default();
    same("keys", keys.len(), 1)?;
    same("use", answer.json["keys"][0]["use"].as_str(), Some("sig"))?;
    holds("it has a kid", answer.json["keys"][0]["kid"].is_string())
}

pub(super) async fn a_code_buys_a_token_response_without_scope(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let page = browser
        .get(&super::flow::authorize_path(&app, Wish::default(), Some(&super::flow::challenge("v"))))
        .await?;
    let back = lab.consent(&browser, &page, "true").await?;
    same("state", back.returned("state").as_deref(), Some("st"))?;
    same("iss beside the code", back.returned("iss"), None)?;
    let code = back.returned("code").unwrap_or_default();
    holds(
        "a code has its prefix and 52 signs",
        code.strip_prefix("gta_").is_some_and(|rest| rest.len() == 52),
    )?;
    let code = Code { text: code, verifier: "v".to_owned(), redirect_uri: CALLBACK.to_owned() };
    let answer = lab.redeem(&app, &code).await?;
    answer.is("the exchange", 200)?;
    let names: Vec<&str> =
        answer.json.as_object().into_iter().flatten().map(|member| member.0.as_str()).collect();
    let mut expected = vec!["access_token", "token_type", "expires_in", "refresh_token", "id_token"];
    expected.sort_unstable();
    let mut names = names;
    names.sort_unstable();
    same("members", names, expected)?;
    same("token_type", answer.text("token_type"), "bearer")?;
    same("expires_in", answer.json["expires_in"].as_u64(), Some(lab.lifetime.as_secs()))?;
    same("cache-control", answer.header("cache-control"), "max-age=0, private, must-revalidate, no-transform")
}

pub(super) async fn an_id_token_says_who_and_for_whom(lab: &Lab) -> Law {
    let user = lab.account_that(json!({"must_change_password": false, "full_name": "Ada Contract"})).await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let (code, _) =
        lab.code(&browser, &app, Wish { scope: "openid profile email groups", ..Wish::default() }).await?;
    let answer = lab.redeem(&app, &code).await?;
    let tokens = Tokens::of(&answer)?;
    same("iss", tokens.claim("iss"), &lab.issuer)?;
    same("aud", &tokens.claims["aud"], &json!([app.client_id]))?;
    same("nonce", tokens.claim("nonce"), "n1")?;
    holds("sub is a number as text", tokens.claim("sub").parse::<u64>().is_ok())?;
    same("preferred_username", tokens.claim("preferred_username"), &user.login)?;
    // Which of the two is the operator's choice (DEFAULT_SHOW_FULL_NAME), or the version's.
    holds(
        "name is the full name or the login",
        ["Ada Contract", &user.login].contains(&tokens.claim("name")),
    )?;
    same("email_verified", tokens.claims["email_verified"].as_bool(), Some(true))?;
    for name in ["at_hash", "azp", "auth_time", "groups"] {
        same(name, tokens.claims.get(name), None)?;
    }
    is_signed(lab, answer.text("id_token")).await?;
    let access = super::flow::claims(&tokens.access).unwrap_or(Value::Null);
    for name in ["sub", "aud", "iss", "scope", "jti"] {
        same("in the access token", access.get(name), None)?;
    }
    same("tt of an access token", access["tt"].as_u64(), Some(0))
}

pub(super) async fn groups_name_organizations_and_their_teams(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let app = lab.app(&user, true).await?;
    let organization = format!("{}_org", user.login);
    let body = json!({"username": organization});
    lab.with_password(&user, Method::POST, "/api/v1/orgs", &body).await?.is("making an organization", 201)?;
    let tokens = lab.sign_in(&user, &app, Wish { scope: "openid groups", ..Wish::default() }).await?;
    let groups: Vec<&str> =
        tokens.claims["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let team = format!("{organization}:");
    holds("the organization is there", groups.contains(&organization.as_str()))?;
    holds("its team is there", groups.iter().any(|group| group.starts_with(&team)))?;
    let info = lab.with_token(&tokens.access, Method::GET, "/login/oauth/userinfo", &Value::Null).await?;
    same("userinfo's", &info.json["groups"], &tokens.claims["groups"])
}

/// With RS256, which is the default; other algorithms are the operator's choice and not checked here.
async fn is_signed(lab: &Lab, token: &str) -> Law {
    let keys = get(lab, "/login/oauth/keys").await?;
    let key = &keys.json["keys"][0];
    if key["alg"] != "RS256" {
        lab.note("the signing algorithm is not RS256: signatures were not checked");
        return Ok(());
    }
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let number = |name: &str| decode(key[name].as_str().unwrap_or_default());
    let public = RsaPublicKeyComponents { n: number("n"), e: number("e") };
    let (input, signature) = token.rsplit_once('.').unwrap_or_default();
    let header: Value =
        serde_json::from_slice(&decode(input.split('.').next().unwrap_or_default())).unwrap_or_default();
    same("kid", &header["kid"], &key["kid"])?;
    let verified = public.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &decode(signature));
    holds("the key set's key signed the id_token", verified.is_ok())
}

pub(super) async fn only_the_same_bytes_of_a_redirect_uri_redeem_a_code(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let differs = "redirect_uri does not match the authorization request";
    let other_case = "http://127.0.0.1:8080/CB";
    let (code, _) = lab.code(&browser, &app, Wish { redirect_uri: other_case, ..Wish::default() }).await?;
    let registered =
        Code { redirect_uri: CALLBACK.to_owned(), text: code.text.clone(), verifier: code.verifier.clone() };
    lab.redeem(&app, &registered).await?.refuses(
        "the registered spelling",
        "unauthorized_client",
        differs,
    )?;
    let none =
        [("grant_type", "authorization_code"), ("code", &code.text), ("code_verifier", &code.verifier)];
    lab.token(&app, &none).await?.refuses("no redirect_uri", "unauthorized_client", differs)?;
    let foreign = Code { redirect_uri: "http://evil.example/cb".to_owned(), ..registered };
    let answer = lab.redeem(&app, &foreign).await?;
    answer.refuses("a foreign one", "unauthorized_client", "unexpected redirect URI")?;
    lab.redeem(&app, &code).await?.is("the same bytes", 200)
}

pub(super) async fn a_code_needs_its_verifier_and_a_failed_try_does_not_burn_it(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    // The first goes through the consent page, the second does not: the challenge travels on two ways.
    for way in ["with consent", "without consent"] {
        let (code, asked) = lab.code(&browser, &app, Wish::default()).await?;
        same(way, asked, way == "with consent")?;
        for verifier in ["x".repeat(43), String::new()] {
            let wrong = Code { verifier, text: code.text.clone(), redirect_uri: code.redirect_uri.clone() };
            let answer = lab.redeem(&app, &wrong).await?;
            answer.refuses(way, "unauthorized_client", "failed PKCE code challenge")?;
        }
        lab.redeem(&app, &code).await?.is(way, 200)?;
    }
    Ok(())
}

pub(super) async fn a_code_is_good_once(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, browser) = (lab.app(&user, true).await?, lab.browser(&user).await?);
    let (code, _) = lab.code(&browser, &app, Wish::default()).await?;
    let tokens = Tokens::of(&lab.redeem(&app, &code).await?)?;
    lab.redeem(&app, &code).await?.refuses("again", "unauthorized_client", "client is not authorized")?;
    // What came of the first use lives on.
    lab.refresh(&app, &tokens.refresh).await?.is("refreshing afterwards", 200)
}

pub(super) async fn codes_belong_to_their_client(lab: &Lab) -> Law {
    let user = lab.account().await?;
    let (app, other) = (lab.app(&user, true).await?, lab.app(&user, true).await?);
    let browser = lab.browser(&user).await?;
    let (code, _) = lab.code(&browser, &app, Wish::default()).await?;
    lab.redeem(&other, &code).await?.refuses("another client", "invalid_grant", "invalid grant")?;
    let tokens = Tokens::of(&lab.redeem(&app, &code).await?)?;
    let answer = lab.refresh(&other, &tokens.refresh).await?;
    answer.refuses("another client", "invalid_grant", "refresh token was not issued to this client")?;
    if tokens.refresh == tokens.access { broken("access and refresh token are the same") } else { Ok(()) }
}
