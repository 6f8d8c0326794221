//! The fake forge as a tool: what tests and the demo lean on beyond Forgejo's own behaviour.

use std::sync::Arc;
use std::time::Duration;

use hero_proxy::base::clock::{ManualClock, Timestamp};
use hero_proxy::forge::fake::{
    Endpoint, FakeForge, FakeSettings, Fault, Gate, NewApplication, NewRepository, NewUser,
};

use crate::support::soon;

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

async fn forge() -> FakeForge {
    let forge = FakeForge::start(FakeSettings::default()).await.unwrap();
    forge
        .add_user(NewUser { full_name: "Ada <Lovelace>".to_owned(), ..NewUser::new("ada", "Lovelace-1815") });
    forge.add_application(NewApplication::new(
        "cockpit & co",
        "client",
        "secret",
        "http://127.0.0.1:8080/cb",
    ));
    forge
}

fn discovery(forge: &FakeForge) -> String {
    forge.url().join(".well-known/openid-configuration").unwrap().to_string()
}

/// The cookies of an answer as a `Cookie` header.
fn cookies(response: &reqwest::Response) -> String {
    let lines = response.headers().get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap().split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

async fn sign_in(forge: &FakeForge) -> String {
    let login = client().post(forge.url().join("user/login").unwrap());
    let login = login.header("content-type", "application/x-www-form-urlencoded");
    cookies(&login.body("user_name=ada&password=Lovelace-1815").send().await.unwrap())
}

#[tokio::test]
async fn a_name_that_is_not_its_own_gets_421() {
    let forge = forge().await;
    let port = forge.url().port().unwrap();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("127.0.0.1".to_owned(), 421),
        (format!("127.0.0.1:{}", port ^ 1), 421),
        (format!("evil.example:{port}"), 421),
        (format!("127.0.0.1.evil.example:{port}"), 421),
    ] {
        let response = client().get(discovery(&forge)).header("host", &host).send().await.unwrap();
        assert_eq!(response.status(), status, "{host}");
    }
    let open =
        FakeForge::start(FakeSettings { own_names_only: false, ..FakeSettings::default() }).await.unwrap();
    let response = client().get(discovery(&open)).header("host", "forge.example").send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let settings = FakeSettings { listen: "0.0.0.0:0".parse().unwrap(), ..FakeSettings::default() };
    assert!(FakeForge::start(settings).await.is_err());
}

#[tokio::test]
async fn a_broken_endpoint_fails_as_told_and_as_often_as_told() {
    let forge = forge().await;
    let ask = || client().get(discovery(&forge)).send();
    forge.break_next(Endpoint::Discovery, Fault::html(503), 2);
    for status in [503, 503, 200] {
        assert_eq!(ask().await.unwrap().status(), status);
    }
    forge.break_next(Endpoint::Discovery, Fault::Close, 1);
    assert!(ask().await.is_err());
    forge.break_next(Endpoint::Discovery, Fault::LoseAnswer, usize::MAX);
    assert!(ask().await.is_err());
    forge.heal();
    forge.break_next(Endpoint::Discovery, Fault::Huge { bytes: 3_000_000 }, 1);
    assert_eq!(ask().await.unwrap().bytes().await.unwrap().len(), 3_000_000);
    assert_eq!(ask().await.unwrap().status(), 200);
    assert_eq!(forge.count(Endpoint::Discovery), 7);
    assert_eq!(forge.count(Endpoint::Token), 0);
    let statuses: Vec<Option<u16>> = forge.seen().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(200), None, None, Some(200), Some(200)]);
}

#[tokio::test]
async fn a_gate_holds_requests_until_it_opens() {
    let forge = forge().await;
    let gate = Gate::closed();
    forge.break_next(Endpoint::Discovery, Fault::Wait(gate.clone()), 2);
    let url = discovery(&forge);
    let asking: Vec<_> = (0..2).map(|_| tokio::spawn(client().get(url.clone()).send())).collect();
    soon("both at the gate", gate.reached(2)).await;
    assert!(asking.iter().all(|one| !one.is_finished()));
    gate.open();
    for one in asking {
        assert_eq!(soon("an answer", one).await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn it_ends_when_it_is_dropped_even_while_a_request_hangs() {
    let forge = forge().await;
    let gate = Gate::closed();
    forge.break_next(Endpoint::Discovery, Fault::Wait(gate.clone()), 1);
    let asking = tokio::spawn(client().get(discovery(&forge)).send());
    soon("at the gate", gate.reached(1)).await;
    soon("the end", forge.shutdown()).await;
    assert!(soon("the client's error", asking).await.unwrap().is_err());
}

#[tokio::test]
async fn the_consent_page_says_what_it_is_about_and_escapes_it() {
    let forge = forge().await;
    let cookies = sign_in(&forge).await;
    let query = "login/oauth/authorize?response_type=code&client_id=client&scope=openid+write:issue&state=%3Cs%22\
                 &redirect_uri=http://127.0.0.1:8080/cb";
    let page = client().get(forge.url().join(query).unwrap()).header("cookie", cookies).send().await.unwrap();
    let page = page.text().await.unwrap();
    for words in [
        "cockpit &amp; co",
        "access and write to all your account information",
        "With scopes: openid write:issue.",
        "name=\"state\" value=\"&lt;s&#34;\"",
        "id=\"authorize-app\"",
    ] {
        assert!(page.contains(words), "{words}:\n{page}");
    }
}

#[tokio::test]
async fn a_form_from_another_site_is_refused() {
    let forge = forge().await;
    let cookies = sign_in(&forge).await;
    let own = forge.url().as_str().trim_end_matches('/').to_owned();
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 400),
        ("origin", "http://evil.example", 403),
        ("origin", own.as_str(), 400),
    ] {
        let post = client().post(forge.url().join("login/oauth/grant").unwrap());
        let response = post.header("cookie", &cookies).header(name, value).send().await.unwrap();
        assert_eq!(response.status(), status, "{name}: {value}");
    }
}

#[tokio::test]
async fn an_issue_shows_under_its_authors_name() {
    let forge = forge().await;
    forge
        .add_repository(NewRepository { owner: "ada".to_owned(), name: "engine".to_owned(), private: false })
        .unwrap();
    let token = forge.add_personal_token("ada", &["write:issue"]).unwrap();
    let api = client().post(forge.url().join("api/v1/repos/ada/engine/issues").unwrap());
    let api = api.header("authorization", format!("token {}", token.expose()));
    let issue = api.json(&serde_json::json!({"title": "<b>It</b> works"})).send().await.unwrap();
    let issue: serde_json::Value = issue.json().await.unwrap();
    let page = client().get(issue["html_url"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("&lt;b&gt;It&lt;/b&gt; works") && page.contains("Ada &lt;Lovelace&gt;"), "{page}");
    assert_eq!(forge.issues("ada", "engine"), [("<b>It</b> works".to_owned(), "ada".to_owned())]);
}

#[tokio::test]
async fn a_new_signing_key_changes_the_key_set_and_voids_tokens() {
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let settings = FakeSettings { clock: Arc::new(clock.clone()), ..FakeSettings::default() };
    let forge = FakeForge::start(settings).await.unwrap();
    let keys = || async {
        client()
            .get(forge.url().join("login/oauth/keys").unwrap())
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let before = keys().await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(keys().await, before);
    forge.rotate_key();
    assert_ne!(keys().await, before);
}

#[tokio::test]
async fn a_person_who_looks_around_finds_words_wherever_they_look() {
    let forge = forge().await;
    forge
        .add_repository(NewRepository { owner: "ada".to_owned(), name: "notes".to_owned(), private: false })
        .unwrap();
    let session = sign_in(&forge).await;
    let look = async |path: &str| {
        let ask = client().get(forge.url().join(path).unwrap()).header("cookie", &session);
        let response = ask.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, page) = look("ada/notes").await;
    assert!(status == 200 && page.contains("Issues of ada/notes"), "{status} {page}");
    for path in ["ada/nothing", "nobody", "explore/repos", "a/b/c/d"] {
        let (status, page) = look(path).await;
        assert!(status == 404 && page.contains("<h1>Not found</h1>"), "{path}: {status} {page}");
    }
    // Browsers ask for it on every page, and call a 404 an error.
    assert_eq!(look("favicon.ico").await, (204, String::new()));
    // A link to here says that a token can be made by hand.
    let (_, page) = look("user/settings/applications").await;
    assert!(page.contains("no tokens by hand") && page.contains("demo --flag off"), "{page}");
}
