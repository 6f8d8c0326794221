//! Whether the process says that it is ready: red for what visitors need, not for each lost answer.

use hero_proxy::forge::fake::{Endpoint, Fault};
use url::Url;

use crate::support::browser::Browser;
use crate::support::house::{Plan, TestHouse};
use crate::support::logs::Logs;
use crate::support::moody::{Mood, Moody};

async fn ready(house: &TestHouse) -> (u16, String) {
    let ready: Url = format!("http://{}/readyz", house.health.unwrap()).parse().unwrap();
    let page = Browser::default().navigate(&ready).await;
    (page.status(), page.text())
}

const NO_FORGE: &str = r#"{"ready":false,"reasons":{"forge":"forge_unavailable"}}"#;
const NO_STORE: &str = r#"{"ready":false,"reasons":{"store":"store_unavailable"}}"#;

/// Holds: O12, V6.
#[tokio::test]
async fn a_forge_that_goes_away_turns_readiness_red_after_a_while_and_green_at_once_when_it_is_back() {
    let store = Moody::new();
    let plan = Plan { own_store: Some(store.clone()), ..Plan::default() };
    let house = TestHouse::start(plan.with("server", "health = \"127.0.0.1:0\"")).await;
    let mut watch = house.house.watch(house.readiness.clone());
    assert_eq!(ready(&house).await.0, 503, "nobody has looked yet");
    let well = watch.look().await;
    assert_eq!(ready(&house).await.0, 200);
    let mut alice = house.signed_in("alice").await;

    let logs = Logs::listen();
    house.forge.break_next(Endpoint::Discovery, Fault::Close, 1);
    let soon = watch.look().await;
    assert!(soon < well, "it is looked at again sooner");
    assert_eq!(ready(&house).await.0, 200, "one lost answer takes nothing away");
    assert_eq!(watch.look().await, well);

    house.forge.break_next(Endpoint::Discovery, Fault::html(502), 1000);
    for look in 1..=4 {
        watch.look().await;
        let expected = if look < 3 { 200 } else { 503 };
        assert_eq!(ready(&house).await.0, expected, "{look}");
    }
    assert_eq!(ready(&house).await, (503, NO_FORGE.to_owned()));
    // Who is signed in goes on, and who is not is still sent there: what is known of the forge stays known.
    assert_eq!(alice.navigate(&house.at("/")).await.text(), "app");
    assert_eq!(house.browser().navigate(&house.at("/")).await.status(), 303);
    let told = logs.events("the forge does not answer; sign-ins wait for it, sessions go on");
    assert_eq!(told.len(), 5);

    house.forge.heal();
    watch.look().await;
    assert_eq!(ready(&house).await.0, 200);
    assert_eq!(logs.events("the forge answers again").len(), 1);

    // The store is needed for nearly everything: there the first failure counts.
    store.be(Mood::Down);
    watch.look().await;
    assert_eq!(ready(&house).await, (503, NO_STORE.to_owned()));
    store.be(Mood::Well);
    watch.look().await;
    assert_eq!(ready(&house).await.0, 200);
}
