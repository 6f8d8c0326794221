//! The story of the README by a plain HTTP client, on the demo as it comes: forge, cockpit, and the proxy between them.

use hero_proxy::app::demo::{CLIENT_ID, Demo, DemoAccount, DemoSettings, REPOSITORY};
use hero_proxy::forge::fake::{Endpoint, FakeVersion};
use url::Url;

use crate::support::browser::{Browser, Page};

const VERSIONS: [FakeVersion; 2] = [FakeVersion::V15, FakeVersion::V11];

struct Story {
    demo: Demo,
    browser: Browser,
}

impl Story {
    async fn begin(version: FakeVersion, pass_through: bool) -> Self {
        let settings = DemoSettings {
            version,
            pass_through,
            proxy_port: 0,
            admin_port: 0,
            forge_port: 0,
            ..DemoSettings::default()
        };
        let demo = Demo::start(&settings).await.unwrap();
        let browser = Self::browser(&demo);
        Self { demo, browser }
    }

    fn browser(demo: &Demo) -> Browser {
        let port = demo.url.port().unwrap();
        Browser::knowing(&format!("localhost:{port}"), ([127, 0, 0, 1], port).into())
    }

    fn at(&self, path: &str) -> Url {
        self.demo.url.join(path).unwrap()
    }

    fn account(&self, login: &str) -> DemoAccount {
        self.demo.accounts.iter().find(|account| account.login == login).unwrap().clone()
    }

    async fn sign_in(&mut self, path: &str, login: &str) -> Page {
        let (url, account) = (self.at(path), self.account(login));
        self.browser.sign_in(&url, account.login, &account.password).await
    }

    /// Writes feedback and files it; says what cockpit answers.
    async fn file(&mut self, title: &str) -> Page {
        let home = self.browser.navigate(&self.at("/")).await;
        let form = home.form("/feedback").unwrap();
        self.browser.submit(&form.with("title", title).with("body", "It works.")).await
    }

    /// Presses "Sign out" on cockpit's page; says where that ends.
    async fn sign_out(&mut self) -> Page {
        let home = self.browser.navigate(&self.at("/")).await;
        let page = self.browser.submit(&home.form("/_hero/auth/logout").unwrap()).await;
        assert_eq!(page.status(), 303);
        self.browser.follow(page).await
    }

    /// Makes a token at the forge, as a person would, and pastes it into cockpit's settings.
    async fn paste_a_token(&mut self, login: &str) -> Page {
        let token = self.demo.forge.add_personal_token(login, &["write:issue"]).unwrap();
        let form = self.browser.navigate(&self.at("/settings")).await.form("/settings/token").unwrap();
        let page = self.browser.submit(&form.with("token", token.expose())).await;
        let page = self.browser.follow(page).await;
        assert!(!page.text().contains(token.expose()), "never shown again");
        page
    }

    fn issues(&self) -> Vec<(String, String)> {
        self.demo.forge.issues(REPOSITORY.0, REPOSITORY.1)
    }
}

fn assert_source(page: &Page, source: &str) {
    let text = page.text();
    assert!(text.contains(&format!("data-source=\"{source}\"")), "{text}");
}

fn assert_message(page: &Page, code: &str) {
    assert!(page.text().contains(&format!("data-code=\"{code}\"")), "{}", page.text());
}

fn filed(title: &str, by: &str) -> (String, String) {
    (title.to_owned(), by.to_owned())
}

#[tokio::test]
async fn a_visitor_signs_in_files_feedback_as_themselves_signs_out_and_in_again() {
    for version in VERSIONS {
        let mut story = Story::begin(version, true).await;
        // The consent page shows what the application may do.
        let wanted = story.at("/app/a?b=c&d=%2F");
        let authorize = story.browser.navigate(&wanted).await.location().unwrap();
        let alice = story.account("alice");
        let mut look = story.browser.clone();
        let form = look.visit(&authorize).await.form("/user/login").unwrap();
        let page = look.submit(&form.with("user_name", "alice").with("password", &alice.password)).await;
        let consent = look.follow(page).await;
        assert!(consent.form("/login/oauth/grant").is_some());
        assert!(consent.text().contains("openid profile email groups read:user write:issue"), "{version:?}");

        let page = story.sign_in("/app/a?b=c&d=%2F", "alice").await;
        assert_eq!((page.status(), &page.url), (200, &wanted), "back on the page first asked for");
        let home = story.browser.navigate(&story.at("/")).await;
        assert!(home.text().contains("You are signed in as <strong>alice</strong>"), "{}", home.text());
        assert_source(&home, "pass-through");

        let page = story.file("A thought").await;
        assert_message(&page, "filed");
        assert_eq!(story.issues(), [filed("A thought", "alice")], "{version:?}");
        let issue = page.link("issue-link").unwrap();
        let issue = story.browser.navigate(&issue).await;
        assert!(issue.text().contains("@alice") && issue.text().contains("A thought"));

        let page = story.sign_out().await;
        assert_eq!((page.status(), page.reason().as_deref()), (401, Some("signed_out")));
        let authorized = story.demo.forge.count(Endpoint::Authorize);
        let page = story.browser.visit(&story.at("/app/later")).await;
        assert_eq!(page.reason().as_deref(), Some("signed_out"));
        assert_eq!(story.demo.forge.count(Endpoint::Authorize), authorized, "no silent sign-in");
        let button = page.link("sign-in").unwrap();
        let page = story.browser.visit(&button).await;
        assert_eq!((page.status(), page.url), (200, story.at("/app/later")));
        assert_message(&story.file("Another").await, "filed");
        assert_eq!(story.issues().len(), 2);
        story.demo.stop().await;
    }
}

#[tokio::test]
async fn with_the_flag_off_cockpit_says_what_to_do_and_uses_the_token_that_the_visitor_pastes() {
    for version in VERSIONS {
        let mut story = Story::begin(version, false).await;
        let home = story.sign_in("/", "alice").await;
        assert!(
            home.text().contains("You are signed in as <strong>alice</strong>"),
            "the identity comes still"
        );
        assert_source(&home, "none");
        let page = story.file("Too early").await;
        assert_message(&page, "no-token");
        assert!(page.text().contains("value=\"Too early\""), "what was written is kept");
        assert!(story.issues().is_empty());

        assert_message(&story.paste_a_token("alice").await, "byo-saved");
        assert_source(&story.browser.navigate(&story.at("/")).await, "pasted");
        assert_message(&story.file("By hand").await, "filed");
        assert_eq!(story.issues(), [filed("By hand", "alice")]);

        // Another visitor of the same machine has none of it.
        let alice = std::mem::replace(&mut story.browser, Story::browser(&story.demo));
        let home = story.sign_in("/", "nina").await;
        assert_source(&home, "none");
        assert_message(&story.file("As somebody else").await, "slot-taken");
        assert_eq!(story.issues().len(), 1);
        story.browser = alice;
        assert_source(&story.browser.navigate(&story.at("/")).await, "pasted");
        story.demo.stop().await;
    }
}

#[tokio::test]
async fn with_an_old_wider_consent_the_identity_arrives_the_token_does_not_and_the_visitor_reads_why_once() {
    for version in VERSIONS {
        let mut story = Story::begin(version, true).await;
        let wide = "openid profile email groups read:user write:issue write:repository";
        story.demo.forge.set_grant_scope("alice", CLIENT_ID, wide).unwrap();
        let notice = story.sign_in("/app/first", "alice").await;
        assert_eq!(notice.reason().as_deref(), Some("consent_wider"), "{version:?}: {}", notice.text());
        assert!(notice.text().contains("revoke the access of this application"));
        let next = notice.link("continue").unwrap();
        assert_eq!(next, story.at("/app/first"));
        assert_eq!(story.browser.navigate(&next).await.status(), 200);
        let home = story.browser.navigate(&story.at("/")).await;
        assert!(home.text().contains("<strong>alice</strong>"));
        assert_source(&home, "none");
        assert_message(&story.file("Without").await, "no-token");
        let page = story.sign_out().await;
        let button = page.link("sign-in").unwrap();
        let page = story.browser.visit(&button).await;
        assert_eq!((page.status(), page.reason()), (200, None), "read once");

        // What the notice says to do: revoke it at the forge, sign in again.
        let applications = story.browser.navigate(&notice.link("revoke").unwrap()).await;
        let grant = applications.text().split("action=\"").find_map(|rest| {
            let action = rest.split('"').next()?;
            action.contains("/revoke/").then(|| action.to_owned())
        });
        let form = applications.form(&grant.expect("a grant to revoke")).unwrap();
        story.browser.submit(&form).await;
        assert_eq!(story.demo.forge.grant_scope("alice", CLIENT_ID), None);
        story.sign_out().await;
        let again = story.at("/_hero/auth/login?return_to=/");
        let alice = story.account("alice");
        let home = story.browser.sign_in(&again, "alice", &alice.password).await;
        assert_source(&home, "pass-through");
        assert_message(&story.file("With").await, "filed");
        assert_eq!(story.issues(), [filed("With", "alice")]);
        story.demo.stop().await;
    }
}

#[tokio::test]
async fn after_a_revocation_the_next_press_leads_to_the_sign_in_and_the_one_after_files() {
    for version in VERSIONS {
        let mut story = Story::begin(version, true).await;
        story.sign_in("/", "alice").await;
        story.demo.forge.revoke_grant("alice", CLIENT_ID).unwrap();
        let page = story.file("Once more").await;
        assert_eq!(page.status(), 401, "{version:?}: {}", page.text());
        assert_message(&page, "passed-token-refused");
        assert!(page.text().contains("value=\"Once more\""), "what was written is kept");
        // The proxy asks the forge behind the answer: until that is done the app says the same again.
        let mut page = page;
        let again = loop {
            let form = page.form("/feedback").unwrap().with("body", "It works.");
            let again = story.browser.submit(&form).await;
            if again.reason().is_some() {
                break again;
            }
            assert_message(&again, "passed-token-refused");
            page = again;
        };
        assert_eq!((again.status(), again.reason().as_deref()), (401, Some("sign_in_required")));
        assert!(again.text().contains("has not reached the app"), "{}", again.text());
        // In a tab beside the form; what was typed is sent as it stands there.
        let alice = story.account("alice");
        let anew = page.link("sign-in-link").unwrap();
        story.browser.sign_in(&anew, "alice", &alice.password).await;
        let form = page.form("/feedback").unwrap().with("body", "It works.");
        let page = story.browser.submit(&form).await;
        assert_message(&page, "filed");
        assert_eq!(story.issues(), [filed("Once more", "alice")]);
        story.demo.stop().await;
    }
}

#[tokio::test]
async fn a_newcomer_who_must_change_the_password_lands_where_they_wanted() {
    for version in VERSIONS {
        let mut story = Story::begin(version, true).await;
        let page = story.sign_in("/app/first?x=1", "nina").await;
        assert_eq!((page.status(), page.url), (200, story.at("/app/first?x=1")), "{version:?}");
        assert_message(&story.file("First words").await, "filed");
        assert_eq!(story.issues(), [filed("First words", "nina")]);
        // The password that was handed over works no more.
        let mut other = Story::browser(&story.demo);
        let authorize = other.navigate(&story.at("/")).await.location().unwrap();
        let form = other.visit(&authorize).await.form("/user/login").unwrap();
        let old = story.account("nina").password;
        let page = other.submit(&form.with("user_name", "nina").with("password", &old)).await;
        assert!(page.text().contains("incorrect"));
        story.demo.stop().await;
    }
}
