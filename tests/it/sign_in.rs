//! Signing in: what is sent, what is believed of what comes back, and that nothing else opens a session.

use hero_proxy::forge::fake::{Endpoint, FakeSettings, FakeVersion};

use crate::support::house::{Plan, TestHouse};

/// Holds: I1.
#[tokio::test]
async fn a_visitor_signs_in_and_lands_on_the_page_first_asked_for() {
    for version in [FakeVersion::V15, FakeVersion::V11] {
        let fake = FakeSettings { version, ..FakeSettings::default() };
        let house = TestHouse::start(Plan { fake, ..Plan::default() }).await;
        let mut browser = house.browser();
        let page = house.sign_in(&mut browser, "/a/b?c=d&e=%2F", "alice").await;
        assert_eq!((page.status(), page.text().as_str()), (200, "app"), "{version:?}");
        assert_eq!(page.url, house.at("/a/b?c=d&e=%2F"));
        let seen = house.echo.only();
        assert_eq!(seen.target(), "/a/b?c=d&e=%2F");
        assert_eq!(seen.values("x-hero-user"), ["alice"]);
        assert_eq!(seen.values("x-hero-forge-token").len(), 1);
        assert_eq!(house.forge.count(Endpoint::Token), 1);
    }
}
