//! The forge client and the fake forge, each read from the other side of the same page: a whole sign-in.

use std::sync::Arc;
use std::time::Duration;

use hero_proxy::base::clock::{Clock, ManualClock, Timestamp};
use hero_proxy::base::secret::{AuthCode, ClientSecret, Nonce, PkceVerifier, State};
use hero_proxy::forge::api::{Authorization, ForgeOauth, Introspection};
use hero_proxy::forge::error::{ForgeError, IdTokenFault, OauthCode};
use hero_proxy::forge::fake::{FakeForge, FakeSettings, FakeVersion, NewApplication, NewUser};
use hero_proxy::forge::http::Settings;
use hero_proxy::forge::oauth::HttpForge;
use hero_proxy::forge::scope::{Comparison, compare};
use hero_proxy::wire::ForgeToken;
use url::Url;

const REDIRECT: &str = "http://127.0.0.1:8080/_hero/auth/callback";
const SECRET: &str = "gto_a:b%c+d";
const SCOPE: &str = "openid profile email groups read:user write:issue";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

struct Story {
    fake: FakeForge,
    forge: HttpForge,
    clock: ManualClock,
    browser: reqwest::Client,
    cookie: String,
}

impl Story {
    async fn new(version: FakeVersion) -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
        let told: Arc<dyn Clock> = Arc::new(clock.clone());
        let settings = FakeSettings { version, clock: Arc::clone(&told), ..FakeSettings::default() };
        let fake = FakeForge::start(settings).await.unwrap();
        fake.add_user(NewUser::new("ada", "Lovelace-1815"));
        fake.add_member("ada", "acme", Some("ops"));
        fake.add_application(NewApplication::new("proxy", "us", SECRET, REDIRECT));
        // A consent of before: the forge then sends a signed-in browser straight back (docs/FORGEJO.md 1.5).
        fake.set_grant_scope("ada", "us", SCOPE).unwrap();
        let settings = Settings {
            url: fake.url().as_str().parse().unwrap(),
            internal_url: None,
            ca_pem: None,
            client_id: "us".into(),
            client_secret: ClientSecret::new(SECRET),
            timeout: Duration::from_secs(10),
        };
        let forge = HttpForge::new(settings, told).unwrap();
        let browser = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let sign_in = browser.post(fake.url().join("/user/login").unwrap());
        let sign_in = sign_in.header("content-type", "application/x-www-form-urlencoded");
        let signed_in = sign_in.body("user_name=ada&password=Lovelace-1815").send().await.unwrap();
        assert_eq!(signed_in.status(), 303);
        let cookies = signed_in.headers().get_all("set-cookie").iter();
        let cookies = cookies.filter_map(|line| line.to_str().unwrap().split(';').next()).collect::<Vec<_>>();
        Self { cookie: cookies.join("; "), fake, forge, clock, browser }
    }

    /// Sends the browser to the forge and says with which code it came back.
    async fn code(&self, nonce: &str) -> AuthCode {
        let ask = Authorization {
            redirect_uri: REDIRECT,
            scope: SCOPE,
            state: &State::new("s-1"),
            nonce: &Nonce::new(nonce),
            verifier: &PkceVerifier::new(VERIFIER),
        };
        let url = self.forge.authorize_url(ask).await.unwrap();
        let back = self.browser.get(url).header("cookie", &self.cookie).send().await.unwrap();
        assert_eq!(back.status(), 303);
        let back: Url = back.headers()["location"].to_str().unwrap().parse().unwrap();
        assert!(back.as_str().starts_with(REDIRECT));
        let find = |name: &str| back.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        assert_eq!(find("state"), "s-1");
        AuthCode::new(find("code"))
    }
}

/// Holds: I1, I8, I21, O1, O10.
#[tokio::test]
async fn somebody_signs_in_is_known_and_stays_signed_in() {
    for version in [FakeVersion::V15, FakeVersion::V11] {
        let story = Story::new(version).await;
        let forge = &story.forge;
        let set = forge.redeem(story.code("n-1").await, PkceVerifier::new(VERIFIER), REDIRECT).await.unwrap();
        assert_eq!(set.life, Duration::from_hours(1));
        let who = forge.verify(set.id_token.as_ref().unwrap(), Some(&Nonce::new("n-1"))).await.unwrap();
        let groups: Vec<_> =
            who.groups.iter().map(|group| (group.org.as_str(), group.team.as_deref())).collect();
        assert_eq!((who.login.as_str(), who.email.as_deref()), ("ada", Some("ada@example.org")));
        assert_eq!(groups, [("acme", None), ("acme", Some("ops"))]);
        match forge.introspect(&set.access).await.unwrap() {
            Introspection::Active { scope } => assert_eq!(compare(SCOPE, &scope), Comparison::Exact),
            Introspection::Inactive => panic!("a fresh token is active"),
        }

        let old = set.refresh.unwrap();
        let renewed = forge.refresh(&old).await.unwrap();
        assert_eq!(forge.verify(renewed.id_token.as_ref().unwrap(), None).await.unwrap(), who);
        assert!(renewed.refresh.is_some());
        let spent = forge.refresh(&old).await.unwrap_err();
        assert!(matches!(spent, ForgeError::Spent(OauthCode::UnauthorizedClient)), "{spent}");
        let garbage = ForgeToken::new("garbage").unwrap();
        assert_eq!(forge.introspect(&garbage).await.unwrap(), Introspection::Inactive);
    }
}

/// Holds: I12, I19, O6, O14, R4.
#[tokio::test]
async fn what_the_forge_does_behind_our_back_is_noticed() {
    let story = Story::new(FakeVersion::V15).await;
    let forge = &story.forge;
    let first = story.code("n-1").await;
    let second = story.code("n-2").await;
    // One nonce a grant: the later sign-in has moved it.
    let set = forge.redeem(first, PkceVerifier::new(VERIFIER), REDIRECT).await.unwrap();
    let crossed = forge.verify(set.id_token.as_ref().unwrap(), Some(&Nonce::new("n-1"))).await.unwrap_err();
    assert!(matches!(crossed, ForgeError::BadIdToken(IdTokenFault::Nonce)));
    let wrong = PkceVerifier::new("0123456789012345678901234567890123456789012");
    let refused = forge.redeem(second, wrong, REDIRECT).await.unwrap_err();
    assert!(matches!(refused, ForgeError::Spent(OauthCode::UnauthorizedClient)));
    assert!(refused.may_be_client_secret());

    story.fake.set_grant_scope("ada", "us", "openid profile").unwrap();
    match forge.introspect(&set.access).await.unwrap() {
        Introspection::Active { scope } => assert_eq!(compare(SCOPE, &scope), Comparison::Wider),
        Introspection::Inactive => panic!("still active"),
    }

    story.fake.rotate_key();
    story.fake.set_grant_scope("ada", "us", SCOPE).unwrap();
    let set = forge.redeem(story.code("n-3").await, PkceVerifier::new(VERIFIER), REDIRECT).await.unwrap();
    let id_token = set.id_token.unwrap();
    assert!(forge.verify(&id_token, Some(&Nonce::new("n-3"))).await.is_ok(), "no restart");
    story.clock.advance(Duration::from_hours(2));
    let late = forge.verify(&id_token, None).await.unwrap_err();
    assert!(matches!(late, ForgeError::BadIdToken(IdTokenFault::Time)));

    story.fake.revoke_grant("ada", "us").unwrap();
    let gone = forge.refresh(&set.refresh.unwrap()).await.unwrap_err();
    assert!(matches!(gone, ForgeError::Spent(OauthCode::InvalidGrant)), "{gone}");
}
