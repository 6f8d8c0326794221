//! Accounts by the forge's admin client, on the fake forge and on a server that says what it likes.

use std::sync::Arc;
use std::time::Duration;

use hero_proxy::base::account::UserId;
use hero_proxy::base::entropy::OsEntropy;
use hero_proxy::base::secret::{AdminToken, ClientSecret};
use hero_proxy::forge::admin::{
    AccountState, AdminError, CreateUserOutput, ForgeAdmin as _, HttpForgeAdmin, NewUser as Wanted,
    PasswordKind, PasswordRule, PlaceholderDomain, TokenFault, Username,
};
use hero_proxy::forge::fake::{
    Endpoint, FakeForge, FakeSettings, FakeVersion, Fault, Gate, NewUser, PasswordPolicy, Shown,
};
use hero_proxy::forge::http::Settings;
use serde_json::Value;

use crate::support::canned::{Canned, Reply};
use crate::support::soon;

const VERSIONS: [FakeVersion; 2] = [FakeVersion::V15, FakeVersion::V11];

fn settings(url: &str, timeout: Duration) -> Settings {
    Settings {
        url: url.parse().unwrap(),
        internal_url: None,
        ca_pem: None,
        client_id: String::new(),
        client_secret: ClientSecret::new(""),
        timeout,
    }
}

fn client(url: &str, timeout: Duration, passwords: PasswordKind) -> HttpForgeAdmin {
    HttpForgeAdmin::new(&settings(url, timeout), passwords, Arc::new(OsEntropy)).unwrap()
}

fn wanted(login: &str) -> Wanted {
    Wanted::parse(login, Some("Ada <b>L</b>"), None, &PlaceholderDomain::default()).unwrap()
}

fn name(login: &str) -> Username {
    Username::parse(login).unwrap()
}

/// A fake forge, its admin, and a client for them.
struct Desk {
    forge: FakeForge,
    client: HttpForgeAdmin,
    token: AdminToken,
}

impl Desk {
    async fn new(version: FakeVersion) -> Self {
        Self::with(FakeSettings { version, ..FakeSettings::default() }, Duration::from_secs(10)).await
    }

    async fn with(settings: FakeSettings, timeout: Duration) -> Self {
        let forge = FakeForge::start(settings).await.unwrap();
        forge.add_user(NewUser { site_admin: true, ..NewUser::new("root1", "Root-password-1") });
        let token = forge.add_personal_token("root1", &["write:admin", "read:user"]).unwrap();
        let client = client(forge.url().as_str(), timeout, PasswordKind::default());
        Self { forge, client, token: AdminToken::new(token.expose()) }
    }

    async fn create(&self, login: &str) -> Result<CreateUserOutput, AdminError> {
        self.client.create_user(&self.token, &wanted(login)).await
    }

    async fn reset(&self, id: &UserId) -> Result<CreateUserOutput, AdminError> {
        self.client.reset_password(&self.token, id).await
    }

    async fn id(&self, login: &str) -> UserId {
        self.client.user_exists(&self.token, &name(login)).await.unwrap().unwrap().id
    }

    /// Whether a browser gets in with this password.
    async fn opens(&self, login: &str, password: &str) -> bool {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("user_name", login).append_pair("password", password);
        let post = http.post(self.forge.url().join("user/login").unwrap());
        let post = post.header("content-type", "application/x-www-form-urlencoded").body(body.finish());
        post.send().await.unwrap().status() == 303
    }

    fn token_for(&self, login: &str, scopes: &[&str]) -> AdminToken {
        AdminToken::new(self.forge.add_personal_token(login, scopes).unwrap().expose())
    }
}

fn password(output: &CreateUserOutput) -> &str {
    output.initial_password.as_ref().expect("a first password").expose()
}

/// Holds: A9, A13.
#[tokio::test]
async fn a_new_account_gets_one_password_and_asking_again_changes_nothing() {
    for version in VERSIONS {
        let desk = Desk::new(version).await;
        let made = desk.create("Alice").await.unwrap();
        assert_eq!((made.forge_username.as_str(), password(&made).len()), ("Alice", 32));
        assert!(!format!("{made:?}").contains(password(&made)));
        assert!(desk.opens("Alice", password(&made)).await);
        let there = desk.client.user_by_id(&desk.token, &made.user_id).await.unwrap().unwrap();
        assert_eq!(there.display_name.as_deref(), Some("Ada <b>L</b>"));
        assert_eq!(there.email.as_deref(), Some("alice@nomail.demo.ourworld.tf"));
        assert_eq!((there.state, there.site_admin, there.local), (AccountState::Active, false, true));
        let posts = desk.forge.count(Endpoint::AdminUsers);
        for login in ["Alice", "ALICE", "alice"] {
            let again = desk.create(login).await.unwrap();
            assert_eq!((again.user_id, again.forge_username.as_str()), (made.user_id.clone(), "Alice"));
            assert!(again.initial_password.is_none());
        }
        assert_eq!(desk.forge.count(Endpoint::AdminUsers), posts, "nothing more was asked to be made");
        assert!(desk.opens("Alice", password(&made)).await);
    }
}

/// Holds: A9.
#[tokio::test]
async fn eight_admins_at_once_make_one_account_and_one_of_them_has_the_password() {
    for version in VERSIONS {
        let desk = Desk::new(version).await;
        // All have looked and found nobody before the first one makes the account.
        let gate = Gate::closed();
        desk.forge.break_next(Endpoint::AdminUsers, Fault::Wait(gate.clone()), usize::MAX);
        let opening = async {
            soon("all eight ask for it", gate.reached(8)).await;
            gate.open();
        };
        let one = || desk.create("alice");
        let (eight, ()) = tokio::join!(
            async { tokio::join!(one(), one(), one(), one(), one(), one(), one(), one()) },
            opening
        );
        let (a, b, c, d, e, f, g, h) = eight;
        let outcomes: Vec<_> = [a, b, c, d, e, f, g, h].into_iter().map(Result::unwrap).collect();
        let with_password: Vec<_> = outcomes.iter().filter(|one| one.initial_password.is_some()).collect();
        assert_eq!(with_password.len(), 1, "{version:?}");
        assert!(outcomes.iter().all(|one| one.user_id == outcomes[0].user_id));
        assert!(desk.opens("alice", password(with_password[0])).await);
    }
}

/// Holds: A8, A9.
#[tokio::test]
async fn an_account_that_was_made_and_whose_answer_was_lost_is_found_and_points_at_the_reset() {
    let instead =
        |status| Fault::AnswerInstead { status, content_type: "application/json", body: "{}".to_owned() };
    for version in VERSIONS {
        for fault in [instead(500), instead(201), Fault::LoseAnswer] {
            let desk = Desk::new(version).await;
            desk.forge.break_next(Endpoint::AdminUsers, fault.clone(), 1);
            let error = desk.create("alice").await.unwrap_err();
            let AdminError::PasswordLost(account) = &error else { panic!("{fault:?}: {error:?}") };
            assert!(error.to_string().contains("reset the password"), "{error}");
            let again = desk.create("alice").await.unwrap();
            assert_eq!((&again.user_id, again.initial_password.is_none()), (&account.id, true));
            let reset = desk.reset(&account.id).await.unwrap();
            assert!(desk.opens("alice", password(&reset)).await);
        }
    }
}

/// Holds: A8.
#[tokio::test]
async fn a_forge_that_fails_without_making_anything_is_told_as_that_and_again_works() {
    let desk = Desk::new(FakeVersion::V15).await;
    for (fault, words) in [
        (Fault::html(500), "Internal Server Error"),
        (Fault::html(502), "Bad Gateway"),
        (Fault::json(503, "{}"), "Service Unavailable"),
    ] {
        desk.forge.break_next(Endpoint::AdminUsers, fault, 1);
        assert_eq!(desk.create("alice").await.unwrap_err(), AdminError::Unavailable(words));
    }
    desk.forge.break_next(Endpoint::AdminUsers, Fault::Close, 1);
    assert_eq!(desk.create("alice").await.unwrap_err(), AdminError::Uncertain, "it may be at work still");
    for fault in [Fault::html(200), Fault::json(200, "[]"), Fault::Huge { bytes: 10 * 1024 * 1024 }] {
        desk.forge.break_next(Endpoint::Api, fault, 1);
        assert!(matches!(desk.create("alice").await.unwrap_err(), AdminError::Garbled(_)));
    }
    desk.forge.break_next(Endpoint::AdminUsers, Fault::Huge { bytes: 10 * 1024 * 1024 }, 1);
    assert_eq!(desk.create("alice").await.unwrap_err(), AdminError::Uncertain);
    assert!(desk.create("alice").await.unwrap().initial_password.is_some());
}

/// Holds: A8.
#[tokio::test]
async fn a_slow_forge_is_given_up_and_what_it_did_is_not_known_until_it_can_be_asked() {
    let desk = Desk::with(FakeSettings::default(), Duration::from_millis(500)).await;
    let gate = Gate::closed();
    desk.forge.break_next(Endpoint::Api, Fault::Wait(gate.clone()), 1);
    assert!(matches!(desk.create("alice").await.unwrap_err(), AdminError::Unavailable(_)));
    let held = Gate::closed();
    desk.forge.break_next(Endpoint::AdminUsers, Fault::HoldAnswer(held.clone()), 1);
    let breaking = async {
        soon("the account is made", held.reached(1)).await;
        desk.forge.break_next(Endpoint::Api, Fault::html(502), usize::MAX);
    };
    let (created, ()) = tokio::join!(desk.create("alice"), breaking);
    assert_eq!(created.unwrap_err(), AdminError::Uncertain);
    desk.forge.heal();
    assert!(desk.create("alice").await.unwrap().initial_password.is_none(), "asking again says how it is");
}

/// Holds: A8, A11.
#[tokio::test]
async fn organizations_old_names_and_taken_addresses_are_told_apart() {
    for version in VERSIONS {
        let desk = Desk::new(version).await;
        desk.forge.add_user(NewUser::new("bob", "Password-of-bob"));
        desk.forge.add_member("bob", "acme", None);
        assert_eq!(desk.create("ACME").await.unwrap_err(), AdminError::TakenByOrganization);
        let id = desk.id("bob").await;
        desk.forge.rename_user("bob", "robert").unwrap();
        assert_eq!(desk.create("bob").await.unwrap_err(), AdminError::RenamedTo("robert".into()));
        assert_eq!(desk.client.user_exists(&desk.token, &name("nobody")).await, Ok(None));
        let found = desk.client.user_by_id(&desk.token, &id).await.unwrap().unwrap();
        assert_eq!(found.login, "robert");
        for nobody in ["987654", "0", "-1", "x", "", "1&uid=2"] {
            let found = desk.client.user_by_id(&desk.token, &UserId(nobody.into())).await;
            assert_eq!(found, Ok(None), "{nobody}");
        }
        let taken =
            Wanted::parse("carol", None, Some("BOB@example.org"), &PlaceholderDomain::default()).unwrap();
        let refused = desk.client.create_user(&desk.token, &taken).await;
        assert_eq!(refused.unwrap_err(), AdminError::EmailTaken);
        assert_eq!(desk.client.user_exists(&desk.token, &name("carol")).await, Ok(None));
    }
}

/// Holds: A8, A12.
#[tokio::test]
async fn what_is_wrong_with_the_admin_token_is_said_and_an_oauth_token_is_not_sent() {
    for version in VERSIONS {
        let desk = Desk::new(version).await;
        desk.forge.add_user(NewUser::new("bob", "Password-of-bob"));
        let asked = desk.forge.seen().len();
        for (token, fault) in [
            (AdminToken::new("0".repeat(40)), TokenFault::Unknown),
            (desk.token_for("root1", &["read:user"]), TokenFault::Scope),
            (desk.token_for("bob", &["write:admin", "read:user"]), TokenFault::NotAdmin),
            (AdminToken::new("eyJhbGciOiJSUzI1NiJ9.eyJnbnQiOjF9.c2ln"), TokenFault::Form),
            (AdminToken::new("a\r\nSudo: bob"), TokenFault::Form),
        ] {
            let refused = desk.client.create_user(&token, &wanted("alice")).await.unwrap_err();
            assert_eq!(refused, AdminError::Token(fault), "{version:?}");
        }
        let seen = desk.forge.seen();
        assert!(seen[asked..].iter().all(|one| one.shown == Shown::PersonalToken));
        desk.forge.suspend("root1", true).unwrap();
        assert_eq!(desk.create("alice").await.unwrap_err(), AdminError::Token(TokenFault::Blocked));
        desk.forge.suspend("root1", false).unwrap();
        desk.forge.break_next(Endpoint::AdminUsers, Fault::html(403), 1);
        let error = desk.create("alice").await.unwrap_err();
        assert!(matches!(error, AdminError::Garbled(_)), "somebody else's refusal says nothing of the token");
    }
}

/// Holds: A13.
#[tokio::test]
async fn a_forge_that_wants_other_passwords_is_named_and_symbols_help() {
    for (policy, rule) in [
        (PasswordPolicy { complex: true, ..PasswordPolicy::default() }, PasswordRule::Complexity),
        (PasswordPolicy { shortest: 40, ..PasswordPolicy::default() }, PasswordRule::Length),
        (PasswordPolicy { leak_check_fails: true, ..PasswordPolicy::default() }, PasswordRule::Leaked),
    ] {
        let settings = FakeSettings { passwords: policy, ..FakeSettings::default() };
        let desk = Desk::with(settings, Duration::from_secs(10)).await;
        desk.forge.add_user(NewUser::new("bob", "Password-of-bob"));
        assert_eq!(desk.create("alice").await.unwrap_err(), AdminError::PasswordRule(rule));
        assert_eq!(desk.reset(&desk.id("bob").await).await.unwrap_err(), AdminError::PasswordRule(rule));
        assert!(desk.opens("bob", "Password-of-bob").await);
        let url = desk.forge.url().as_str();
        let symbols = client(url, Duration::from_secs(10), PasswordKind::WithSymbols);
        let made = symbols.create_user(&desk.token, &wanted("alice")).await;
        assert_eq!(made.is_ok(), rule == PasswordRule::Complexity);
    }
}

/// Holds: A13, A14.
#[tokio::test]
async fn a_reset_makes_a_new_password_for_that_very_account_and_for_no_admin() {
    for version in VERSIONS {
        let desk = Desk::new(version).await;
        let made = desk.create("alice").await.unwrap();
        let reset = desk.reset(&made.user_id).await.unwrap();
        assert_eq!((&reset.user_id, reset.forge_username.as_str()), (&made.user_id, "alice"));
        assert_ne!(password(&reset), password(&made));
        assert!(!desk.opens("alice", password(&made)).await && desk.opens("alice", password(&reset)).await);
        let signed_in = desk.client.user_by_id(&desk.token, &made.user_id).await.unwrap().unwrap();
        assert!(signed_in.last_sign_in.is_some());

        desk.forge.rename_user("alice", "alicia").unwrap();
        let renamed = desk.reset(&made.user_id).await.unwrap();
        assert_eq!(renamed.forge_username, "alicia");

        assert_eq!(desk.reset(&desk.id("root1").await).await.unwrap_err(), AdminError::SiteAdmin);
        assert!(desk.opens("root1", "Root-password-1").await);
        desk.forge.set_login_source("alicia", 3).unwrap();
        assert_eq!(desk.reset(&made.user_id).await.unwrap_err(), AdminError::ExternalAccount);
        desk.forge.delete_user("alicia").unwrap();
        assert_eq!(desk.reset(&made.user_id).await.unwrap_err(), AdminError::NoSuchUser);
    }
}

#[tokio::test]
async fn a_reset_whose_answer_was_lost_is_sent_again_with_the_same_password() {
    let desk = Desk::new(FakeVersion::V15).await;
    let made = desk.create("alice").await.unwrap();
    let failed =
        Fault::AnswerInstead { status: 500, content_type: "application/json", body: "{}".to_owned() };
    for fault in [failed.clone(), Fault::LoseAnswer, Fault::Close, Fault::html(502)] {
        desk.forge.break_next(Endpoint::AdminUsers, fault, 1);
        let reset = desk.reset(&made.user_id).await.unwrap();
        assert!(desk.opens("alice", password(&reset)).await);
    }
    desk.forge.break_next(Endpoint::AdminUsers, failed, 2);
    assert_eq!(desk.reset(&made.user_id).await.unwrap_err(), AdminError::Uncertain);
}

/// Holds: A12.
#[tokio::test]
async fn a_token_that_can_do_too_little_or_too_much_is_named() {
    for version in VERSIONS {
        let desk = Desk::new(version).await;
        let users = desk.forge.seen().len();
        let good = desk.client.check_token(&desk.token).await.unwrap();
        assert!(good.works() && good.beyond.is_empty(), "{good:?}");
        assert_eq!((good.login.as_deref(), good.complaints().len()), (Some("root1"), 0));
        let of = |scopes: &[&str]| desk.token_for("root1", scopes);
        let narrow = desk.client.check_token(&of(&["read:admin"])).await.unwrap();
        assert_eq!(narrow.missing, ["read:user", "write:admin"]);
        assert!(narrow.complaints()[0].contains("lacks read:user and write:admin"));
        let wide = desk.client.check_token(&of(&["all"])).await.unwrap();
        assert!(wide.works() && wide.complaints()[0].contains("more than it needs (write:user, issue"));
        assert_eq!(wide.beyond, ["write:user", "issue", "repository", "organization", "notification"]);
        assert!(desk.client.check_token(&AdminToken::new("0".repeat(40))).await.is_err());
        assert_eq!(desk.client.user_exists(&desk.token, &name("nobody")).await, Ok(None));
        let asked = &desk.forge.seen()[users..];
        assert!(asked.iter().all(|one| one.method != "DELETE" && one.status != Some(201)), "questions only");
    }
}

/// Holds: A6, A12.
#[tokio::test]
async fn exactly_the_members_of_the_plan_are_sent_and_no_header_that_acts_for_somebody() {
    let server = Canned::start().await;
    let token = AdminToken::new("CANARY-0123456789");
    let not_found = r#"{"message":"user redirect does not exist [name: alice]","url":"x"}"#;
    server.set("/api/v1/users/alice", Reply::new("404 Not Found", "application/json", not_found));
    let account = r#"{"id":7,"login":"alice","is_admin":false,"source_id":0}"#;
    server.set("/api/v1/admin/users", Reply::new("201 Created", "application/json", account));
    let found = format!(r#"{{"ok":true,"data":[{account}]}}"#);
    server.set("/api/v1/users/search?uid=7&limit=1", Reply::json(&found));
    server.set("/api/v1/admin/users/alice", Reply::json(account));
    let client = client(&server.url(), Duration::from_secs(5), PasswordKind::default());
    let made = client.create_user(&token, &wanted("alice")).await.unwrap();
    let reset = client.reset_password(&token, &made.user_id).await.unwrap();
    let sent = |path: &str| serde_json::from_str::<Value>(&server.seen(path)[0].body).unwrap();
    let expected = serde_json::json!({
        "username": "alice", "email": "alice@nomail.demo.ourworld.tf", "full_name": "Ada <b>L</b>",
        "password": password(&made), "must_change_password": true,
    });
    assert_eq!(sent("/api/v1/admin/users"), expected);
    let expected = serde_json::json!({"password": password(&reset), "must_change_password": true});
    assert_eq!(sent("/api/v1/admin/users/alice"), expected);
    for path in ["/api/v1/users/alice", "/api/v1/admin/users", "/api/v1/admin/users/alice"] {
        let head = &server.seen(path)[0].head;
        assert!(head.contains("authorization: token canary-0123456789") && !head.contains("sudo"), "{head}");
    }
}

/// Holds: A11.
#[tokio::test]
async fn a_redirect_is_followed_nowhere_and_the_token_goes_to_nobody_else() {
    let (server, other) = (Canned::start().await, Canned::start().await);
    let token = AdminToken::new("CANARY-0123456789");
    let client = client(&server.url(), Duration::from_secs(5), PasswordKind::default());
    let to_other = format!("{}/api/v1/users/alice2", other.url());
    for (to, error) in [
        (to_other.as_str(), AdminError::Garbled("a redirect")),
        ("/api/v1/users/alice2", AdminError::RenamedTo("alice2".into())),
        ("/api/v1/users/alice", AdminError::Garbled("a redirect")),
        ("/user/login", AdminError::Garbled("a redirect")),
    ] {
        server.set("/api/v1/users/alice", Reply::redirect(to));
        assert_eq!(client.create_user(&token, &wanted("alice")).await.unwrap_err(), error, "{to}");
    }
    assert_eq!(server.count(), server.seen("/api/v1/users/alice").len(), "nothing was followed");
    assert_eq!(other.count(), 0);
}

/// Holds: A19.
#[tokio::test]
async fn over_a_whole_life_no_token_is_made_for_anybody_and_no_user_is_deleted() {
    for version in VERSIONS {
        let desk = Desk::new(version).await;
        desk.client.check_token(&desk.token).await.unwrap();
        let made = desk.create("alice").await.unwrap();
        desk.create("alice").await.unwrap();
        desk.reset(&made.user_id).await.unwrap();
        desk.forge.break_next(Endpoint::AdminUsers, Fault::LoseAnswer, 1);
        desk.create("bob").await.unwrap_err();
        for one in desk.forge.seen() {
            assert!(!one.path.contains("/tokens") && one.method != "DELETE", "{one:?}");
            assert_eq!(one.shown, Shown::PersonalToken, "{one:?}");
        }
    }
}
