//! The reference cockpit on real sockets, between a proxy that is played by hand and a forge that answers as told.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hero_proxy::base::clock::{ManualClock, Timestamp};
use hero_proxy::base::entropy::SeededEntropy;
use hero_proxy::demo::cockpit::{Cockpit, CockpitSettings, Listen};
use hero_proxy::wire::encode::encode;
use hero_proxy::wire::trust::Trust;

use crate::support::echo::{Echo, Gate, Seen, Step, canned};
use crate::support::logs::Logs;
use crate::support::raw::{RawAnswer, RawClient};
use crate::support::{DEADLINE, soon};

const NOW_SECS: u64 = 1_790_000_000;
const PASSED: &str = "passed-canary-0123456789abcdef";
const PASTED: &str = "pasted-canary-0123456789abcdef0123beef";

/// The headers that the proxy sends for alice, with her token.
const ALICE: &str = "X-Hero-User: alice\r\nX-Hero-User-Id: 42\r\nX-Hero-Email: alice@example.org\r\n\
    X-Hero-Forge-Token: passed-canary-0123456789abcdef\r\nX-Hero-Forge-Token-Expires: 1790003600\r\n\
    X-Hero-Forge-Scopes: openid write:issue\r\n";
/// The same without her token.
const ALICE_WITHOUT: &str = "X-Hero-User: alice\r\nX-Hero-User-Id: 42\r\n";
const BOB_WITHOUT: &str = "X-Hero-User: bob\r\nX-Hero-User-Id: 43\r\n";
const BOB: &str =
    "X-Hero-User: bob\r\nX-Hero-User-Id: 43\r\nX-Hero-Forge-Token: passed-canary-0123456789abcdef\r\n";

const LIST: &str = "/api/v1/repos/acme/feedback/issues";
const SWAGGER: &str = r#""url":"http://forge.test/api/swagger""#;

struct House {
    cockpit: Cockpit,
    forge_url: String,
    folder: tempfile::TempDir,
}

async fn house(forge_url: String) -> House {
    house_with(forge_url, |_| {}).await
}

async fn house_with(forge_url: String, change: impl FnOnce(&mut CockpitSettings)) -> House {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = CockpitSettings {
        listen: Listen::Unix(folder.path().join("cockpit.sock")),
        forge_url: forge_url.parse().unwrap(),
        repository: "acme/feedback".parse().unwrap(),
        slot_dir: folder.path().join("secrets"),
        trust: Trust::unix_peer(),
        proxy_prefix: "/_hero".into(),
        hosts: Vec::new(),
        forge_timeout: DEADLINE / 2,
    };
    change(&mut settings);
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(NOW_SECS)));
    let cockpit = Cockpit::start(settings, clock, Arc::new(SeededEntropy::new(1))).await.unwrap();
    House { cockpit, forge_url, folder }
}

impl House {
    async fn ask(&self, head: &str, headers: &str, body: &str) -> Page {
        let mut client = match self.cockpit.address() {
            Listen::Unix(path) => RawClient::unix(path).await,
            Listen::Tcp(address) => RawClient::tcp(*address).await,
        };
        let host = if headers.contains("Host:") { "" } else { "Host: vm.test\r\n" };
        let length = body.len();
        let request = format!("{head} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\n\r\n{body}");
        Page(client.ask(request).await)
    }

    async fn get(&self, path: &str, headers: &str) -> Page {
        self.ask(&format!("GET {path}"), headers, "").await
    }

    async fn post(&self, path: &str, headers: &str, fields: &[(&str, &str)]) -> Page {
        let mut body = String::new();
        for (name, value) in fields {
            write!(body, "&{name}={}", encode(value)).unwrap();
        }
        let headers = format!("{headers}Content-Type: application/x-www-form-urlencoded\r\n");
        self.ask(&format!("POST {path}"), &headers, body.trim_start_matches('&')).await
    }

    /// Fills in the form that stands on the feedback page now, and sends it.
    async fn file(&self, headers: &str, title: &str, body: &str) -> Page {
        let form = self.get("/", headers).await.form();
        self.post("/feedback", headers, &[("form", &form), ("title", title), ("body", body)]).await
    }

    async fn paste(&self, headers: &str) {
        let done = self.post("/settings/token", headers, &[("token", PASTED)]).await;
        assert_eq!((done.0.status, done.0.value("location")), (303, Some("/settings?done=saved")));
    }

    fn secret(&self, key: &str) -> PathBuf {
        self.folder.path().join("secrets/cockpit").join(key)
    }
}

struct Page(RawAnswer);

impl Page {
    fn html(&self) -> String {
        let html = String::from_utf8(self.0.body.clone()).unwrap();
        assert!(!html.contains("canary"), "a token is on the page: {html}");
        html
    }

    /// The value of the first `name="…"` after `id="…"`.
    fn attribute(&self, id: &str, name: &str) -> String {
        let html = self.html();
        let tag = html.split(&format!("id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("no #{id}: {html}"));
        let tag = tag.split('>').next().unwrap();
        let value = tag.split(&format!(" {name}=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {tag}"));
        value.split('"').next().unwrap().to_owned()
    }

    fn code(&self) -> String {
        self.attribute("message", "data-code")
    }

    fn form(&self) -> String {
        self.attribute("form-id", "value")
    }

    fn source(&self) -> String {
        self.attribute("token-source", "data-source")
    }

    /// What was written is still there.
    fn keeps(&self, title: &str, body: &str) {
        assert_eq!(self.attribute("feedback-title", "value"), title);
        assert!(self.html().contains(&format!(">\n{body}</textarea>")), "{}", self.html());
    }
}

fn answer(status: u16, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    canned(format!("HTTP/1.1 {status} -\r\n{headers}Content-Length: {length}\r\n\r\n{body}"))
}

fn created(number: u64) -> Vec<Step> {
    answer(201, "", &format!(r#"{{"id":9,"number":{number},"html_url":"http://elsewhere.test/x"}}"#))
}

/// A forge that answers by target and token.
async fn forge(script: impl Fn(&str, &str) -> Vec<Step> + Send + Sync + 'static) -> Echo {
    Echo::tcp(move |seen: &Seen| {
        assert!(seen.line().starts_with("POST "), "{}", seen.line());
        let token = seen.values("authorization").concat();
        script(seen.target(), token.strip_prefix("Bearer ").unwrap_or_default())
    })
    .await
}

fn url(echo: &Echo) -> String {
    format!("http://{}", echo.authority())
}

fn targets(echo: &Echo) -> Vec<String> {
    echo.seen().iter().map(|seen| seen.target().to_owned()).collect()
}

fn tokens(echo: &Echo) -> Vec<String> {
    let token = |value: &str| value.strip_prefix("Bearer ").unwrap_or("none").to_owned();
    echo.seen().iter().map(|seen| token(&seen.values("authorization").concat())).collect()
}

#[tokio::test]
async fn feedback_is_filed_as_the_visitor_and_the_page_says_where() {
    let forge = forge(|_, _| created(7)).await;
    let house = house(url(&forge)).await;
    let home = house.get("/", ALICE).await;
    assert_eq!(home.source(), "pass-through");
    assert_eq!(home.attribute("who", "data-user-id"), "42");
    assert_eq!(home.attribute("token-expiry", "data-expires-at"), "1790003600");
    assert!(home.html().contains("in 60 minutes") && home.html().contains("openid write:issue"));

    let page = house.file(ALICE, "It's \"broken\"", "a & b\r\nsecond line").await;
    assert_eq!((page.0.status, page.code().as_str()), (201, "filed"));
    let link = format!("{}/acme/feedback/issues/7", house.forge_url);
    assert_eq!(page.attribute("issue-link", "href"), link);
    assert!(page.html().contains("filed under your name"));
    page.keeps("", "");

    let seen = forge.only();
    assert_eq!(seen.target(), LIST);
    assert_eq!(seen.values("authorization"), [format!("Bearer {PASSED}")]);
    let sent: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(sent, serde_json::json!({"title": "It's \"broken\"", "body": "a & b\nsecond line"}));
}

#[tokio::test]
async fn a_renamed_repository_gets_the_same_post_on_the_same_server() {
    for status in [301, 307] {
        let forge = forge(move |target, _| match target {
            LIST => answer(status, "Location: /api/v1/repos/acme/new/issues\r\n", ""),
            _ => created(3),
        })
        .await;
        let page = house(url(&forge)).await.file(ALICE, "t", "b").await;
        assert_eq!(page.code(), "filed");
        assert_eq!(targets(&forge), [LIST, "/api/v1/repos/acme/new/issues"]);
        let seen = forge.seen();
        assert_eq!(seen[0].body, seen[1].body);
        assert_eq!(tokens(&forge), [PASSED, PASSED]);
    }
}

#[tokio::test]
async fn the_token_never_follows_a_redirect_to_another_server() {
    let evil = Echo::tcp(|_| created(1)).await;
    let location = format!("Location: {}{LIST}\r\n", url(&evil));
    let forge = forge(move |_, _| answer(301, &location, "")).await;
    let page = house(url(&forge)).await.file(ALICE, "t", "b").await;
    assert_eq!(page.code(), "elsewhere");
    page.keeps("t", "b");
    assert!(evil.is_untouched());
}

#[tokio::test]
async fn renames_without_end_are_given_up_after_two() {
    let forge = forge(|target, _| {
        let other = if target == LIST { "/api/v1/repos/acme/other/issues" } else { LIST };
        answer(307, &format!("Location: {other}\r\n"), "")
    })
    .await;
    let page = house(url(&forge)).await.file(ALICE, "t", "b").await;
    assert_eq!((page.code().as_str(), forge.seen().len()), ("elsewhere", 3));
}

#[tokio::test]
async fn a_forge_that_hangs_is_reported_and_never_asked_again() {
    let never = Gate::closed();
    let waits = never.clone();
    let forge = forge(move |_, _| vec![Step::ReadBody, Step::Wait(waits.clone())]).await;
    let house = house_with(url(&forge), |settings| settings.forge_timeout = Duration::from_millis(300)).await;
    house.paste(ALICE).await;
    let page = house.file(ALICE, "t", "b").await;
    assert_eq!((page.0.status, page.code().as_str()), (202, "forge-timeout"));
    assert_eq!(page.attribute("look-link", "href"), format!("{}/acme/feedback/issues", house.forge_url));
    page.keeps("t", "b");
    assert_eq!(forge.seen().len(), 1, "a pasted token is no reason to file again");
}

#[tokio::test]
async fn a_broken_connection_or_an_odd_answer_leaves_it_open_whether_it_was_filed() {
    let table: [(Vec<Step>, &str); 4] = [
        (vec![Step::ReadBody, Step::Close], "forge-cut-short"),
        (canned("no http at all\r\n\r\n"), "forge-cut-short"),
        (answer(500, "", r#"{"message":""}"#), "forge-odd-answer"),
        (answer(200, "", "<html>welcome to the hotel</html>"), "forge-odd-answer"),
    ];
    for (steps, code) in table {
        let forge = forge(move |_, _| steps.clone()).await;
        let house = house(url(&forge)).await;
        house.paste(ALICE).await;
        let page = house.file(ALICE, "t", "b").await;
        assert_eq!((page.0.status, page.code().as_str()), (202, code));
        page.keeps("t", "b");
        assert_eq!(forge.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_forge_that_is_down_got_nothing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let page = house(format!("http://{free}")).await.file(ALICE, "t", "b").await;
    assert_eq!(page.code(), "forge-unreachable");
    page.keeps("t", "b");
}

#[tokio::test]
async fn a_refused_token_falls_back_to_the_pasted_one_of_the_same_visitor_only() {
    let scope = format!(
        r#"{{"message":"token does not have at least one of required scope(s): [write:issue]",{SWAGGER}}}"#
    );
    for (status, body, code) in [(401, String::new(), "passed-token-refused"), (403, scope, "missing-scope")]
    {
        let forge =
            forge(move |_, token| if token == PASTED { created(5) } else { answer(status, "", &body) }).await;
        let house = house(url(&forge)).await;
        house.paste(ALICE).await;

        let page = house.file(BOB, "t", "b").await;
        assert_eq!(page.code(), code, "bob has no token of his own");
        page.keeps("t", "b");
        assert_eq!(tokens(&forge), [PASSED]);

        let page = house.file(ALICE, "t", "b").await;
        assert_eq!(page.code(), "filed");
        assert!(page.html().contains("with the token that you pasted"));
        assert_eq!(tokens(&forge), [PASSED, PASSED, PASTED]);
    }
}

/// Where the operator believes the app (`renew_on_401`), the next request is right; elsewhere a sign-in by hand helps.
#[tokio::test]
async fn a_dead_token_is_told_to_the_proxy_and_the_visitor_signs_in_without_losing_the_text() {
    let forge = forge(|_, _| answer(401, "", "")).await;
    let house = house_with(url(&forge), |settings| settings.proxy_prefix = "/-".into()).await;
    let page = house.file(ALICE, "t", "b").await;
    assert_eq!((page.0.status, page.code().as_str()), (401, "passed-token-refused"));
    assert_eq!(page.0.value("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    page.keeps("t", "b");
    assert!(page.html().contains("Nothing was filed.") && !page.html().contains("fresh"), "{}", page.html());
    assert_eq!(page.attribute("sign-in-link", "href"), "/-/auth/login?return_to=%2F");
    assert_eq!(page.attribute("sign-in-link", "target"), "_blank");

    // The proxy knows nothing of a token that was pasted.
    house.paste(ALICE_WITHOUT).await;
    let page = house.file(ALICE_WITHOUT, "t", "b").await;
    assert_eq!((page.0.status, page.code().as_str()), (422, "pasted-token-refused"));
    assert_eq!(page.0.value("www-authenticate"), None);
}

#[tokio::test]
async fn other_refusals_are_said_in_words_and_no_other_token_is_tried() {
    let with_url = |message: &str| format!(r#"{{"message":"{message} canary",{SWAGGER}}}"#);
    let table = [
        (403, r#"{"message":"You must change your password. canary"}"#.to_owned(), "account-state"),
        (403, with_url("user is blocked by the poster or repository owner"), "not-allowed"),
        (404, with_url("The target couldn't be found."), "not-found"),
        (422, with_url("[Title]: Required"), "rejected"),
        (423, with_url("Repository 1:acme/r2 is archived"), "archived"),
    ];
    for (status, body, code) in table {
        let forge = forge(move |_, _| answer(status, "", &body)).await;
        let house = house(url(&forge)).await;
        house.paste(ALICE).await;
        let page = house.file(ALICE, "t", "b").await;
        assert_eq!(page.code(), code);
        page.keeps("t", "b");
        assert_eq!(forge.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_scope_that_is_known_to_be_missing_is_not_tried() {
    let forge = forge(|_, _| created(5)).await;
    let house = house(url(&forge)).await;
    let narrow = ALICE.replace("openid write:issue", "openid read:user");
    let page = house.file(&narrow, "t", "b").await;
    assert_eq!(page.code(), "missing-scope");
    assert!(page.attribute("revoke-link", "href").ends_with("/user/settings/applications"));
    assert!(forge.is_untouched());
    house.paste(&narrow).await;
    assert_eq!(house.file(&narrow, "t", "b").await.code(), "filed");
    assert_eq!(tokens(&forge), [PASTED]);
}

#[tokio::test]
async fn the_end_of_a_token_is_told_in_seconds_and_then_in_minutes() {
    let house = house("http://forge.test".into()).await;
    for (left, words) in
        [(0, "now"), (1, "in 1 second"), (2, "in 2 seconds"), (119, "in 119 seconds"), (120, "in 2 minutes")]
    {
        let headers = ALICE.replace("1790003600", &(NOW_SECS + left).to_string());
        let home = house.get("/", &headers).await.html();
        assert!(home.contains(&format!(">{words}</span>")), "{left}: {home}");
    }
}

/// Holds: K7, X7.
#[tokio::test]
async fn neither_page_nor_log_holds_a_token_or_the_forges_words() {
    let logs = Logs::listen();
    let forge = forge(|_, token| {
        answer(401, "", &format!(r#"{{"message":"access token does not exist [sha: {token}]",{SWAGGER}}}"#))
    })
    .await;
    let house = house(url(&forge)).await;
    house.paste(ALICE).await;
    let page = house.file(ALICE, "t", "b").await;
    assert_eq!(page.code(), "pasted-token-refused");
    assert!(!page.html().contains("does not exist"));
    house.get("/", &format!("{ALICE}X-Hero-Forge-Token: second-canary\r\n")).await.html();

    let log = logs.text();
    assert!(log.contains("it came more than once") && log.contains("feedback was not filed"), "{log}");
    for line in log.lines().filter(|line| line.contains("hero_proxy")) {
        assert!(!line.contains("canary") && !line.contains("does not exist"), "{line}");
    }
    assert!(!format!("{:?}", house.cockpit).contains("canary"));
}

#[tokio::test]
async fn one_form_files_one_issue_however_often_it_is_sent() {
    let gate = Gate::closed();
    let waits = gate.clone();
    let forge = forge(move |_, _| {
        [vec![Step::ReadBody, Step::Wait(waits.clone())], created(8).split_off(1)].concat()
    })
    .await;
    let house = house(url(&forge)).await;
    let form = house.get("/", ALICE).await.form();
    let fields = [("form", form.as_str()), ("title", "t"), ("body", "b")];
    let both = async {
        tokio::join!(house.post("/feedback", ALICE, &fields), house.post("/feedback", ALICE, &fields))
    };
    let open = async {
        forge.until("the issue arrives", |forge| !forge.seen().is_empty()).await;
        gate.open();
    };
    let ((first, second), ()) = tokio::join!(both, open);
    let third = house.post("/feedback", ALICE, &fields).await;
    for page in [&first, &second, &third] {
        assert_eq!(page.code(), "filed");
        assert!(page.attribute("issue-link", "href").ends_with("/issues/8"));
    }
    assert_eq!(forge.seen().len(), 1);
    let changed = [("form", form.as_str()), ("title", "t"), ("body", "another thought")];
    let page = house.post("/feedback", ALICE, &changed).await;
    assert_eq!((page.0.status, page.code().as_str()), (409, "stale-form"));
    page.keeps("t", "another thought");
    assert_eq!(forge.seen().len(), 1);
}

#[tokio::test]
async fn a_browser_that_hangs_up_does_not_lose_the_issue() {
    let gate = Gate::closed();
    let waits = gate.clone();
    let forge = forge(move |_, _| {
        [vec![Step::ReadBody, Step::Wait(waits.clone())], created(8).split_off(1)].concat()
    })
    .await;
    let house = house(url(&forge)).await;
    let form = house.get("/", ALICE).await.form();
    let fields = [("form", form.as_str()), ("title", "t"), ("body", "b")];
    tokio::select! {
        _ = house.post("/feedback", ALICE, &fields) => panic!("the gate is closed"),
        () = forge.until("the issue arrives", |forge| !forge.seen().is_empty()) => {}
    }
    gate.open();
    let page = soon("the page", house.post("/feedback", ALICE, &fields)).await;
    assert_eq!((page.code().as_str(), forge.seen().len()), ("filed", 1));
}

#[tokio::test]
async fn what_cannot_be_filed_comes_back_as_it_was_written() {
    let forge = forge(|_, _| created(1)).await;
    let house = house(url(&forge)).await;
    let long = "ä".repeat(128);
    let table = [
        ("", "text", "title-missing"),
        ("   ", "text", "title-missing"),
        (long.as_str(), "text", "title-too-long"),
    ];
    for (title, body, code) in table {
        let page = house.file(ALICE, title, body).await;
        assert_eq!((page.0.status, page.code().as_str()), (422, code));
        page.keeps(title.trim(), body);
    }
    let page = house.file(ALICE, "", "</textarea><script>alert(1)</script>").await;
    assert!(!page.html().contains("<script"), "{}", page.html());
    let page = house.post("/feedback", ALICE, &[("form", "made-up"), ("title", "t"), ("body", "b")]).await;
    assert_eq!(page.code(), "stale-form");
    page.keeps("t", "b");
    let page = house.file(ALICE, "t", &"b".repeat(300 * 1024)).await;
    assert_eq!((page.0.status, page.code().as_str()), (413, "form-unreadable"));
    assert!(forge.is_untouched());
}

#[tokio::test]
async fn the_pasted_token_is_seen_and_changed_by_its_owner_only() {
    let forge = forge(|_, _| created(1)).await;
    let house = house(url(&forge)).await;
    let state =
        async |headers: &str| house.get("/settings", headers).await.attribute("byo-state", "data-state");
    assert_eq!(state(ALICE_WITHOUT).await, "empty");
    assert_eq!(house.get("/", ALICE_WITHOUT).await.source(), "none");
    house.paste(ALICE_WITHOUT).await;
    let page = house.get("/settings?done=saved", ALICE_WITHOUT).await;
    assert_eq!((page.code().as_str(), state(ALICE_WITHOUT).await.as_str()), ("byo-saved", "yours"));
    assert!(page.html().contains("set, its last letters are beef"));
    assert_eq!(house.get("/", ALICE_WITHOUT).await.source(), "pasted");
    assert_eq!(house.get("/", ALICE).await.source(), "pass-through");

    for other in [BOB_WITHOUT, ""] {
        let page = house.get("/settings", other).await;
        assert_eq!(page.attribute("byo-state", "data-state"), "not-yours");
        assert!(!page.html().contains("beef") && !page.html().contains("byo-save"));
        assert_eq!(house.get("/", other).await.source(), "none");
        let refused = house.post("/settings/token", other, &[("token", "other")]).await;
        assert_eq!((refused.0.status, refused.code().as_str()), (403, "byo-not-yours"));
        assert_eq!(house.post("/settings/token/remove", other, &[]).await.0.status, 403);
        // Nobody is told to paste where there is nothing to paste into.
        let home = house.get("/", other).await.html();
        assert!(home.contains("holds somebody else&#39;s") && !home.contains("paste one"), "{home}");
        let page = house.file(other, "t", "b").await;
        assert_eq!((page.0.status, page.code().as_str()), (422, "slot-taken"));
        page.keeps("t", "b");
        assert!(!page.html().contains("paste it") && !page.html().contains("token-link"), "{}", page.html());
    }
    assert!(forge.is_untouched());
    for key in ["USER_FORGE_TOKEN", "USER_FORGE_TOKEN_OWNER"] {
        assert_eq!(std::fs::metadata(house.secret(key)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(house.post("/settings/token", ALICE, &[("token", "two words")]).await.code(), "byo-malformed");
    assert_eq!(house.post("/settings/token/remove", ALICE, &[]).await.0.status, 303);
    assert_eq!(state(BOB_WITHOUT).await, "empty");
}

#[tokio::test]
async fn a_token_from_before_the_sign_in_is_used_for_nobody_and_gives_way_to_a_visitors_own() {
    let forge = forge(|_, _| created(1)).await;
    let house = house(url(&forge)).await;
    // cockpit stood alone, and somebody pasted a token. Then a proxy came, and with it a name for everybody.
    house.paste("").await;
    assert_eq!(house.get("/", "").await.source(), "pasted");
    for visitor in [ALICE_WITHOUT, BOB_WITHOUT] {
        let page = house.get("/settings", visitor).await;
        assert_eq!(page.attribute("byo-state", "data-state"), "unclaimed");
        assert!(!page.html().contains("beef"), "{}", page.html());
        assert_eq!(house.get("/", visitor).await.source(), "none");
        assert_eq!(house.file(visitor, "t", "b").await.code(), "no-token");
        assert_eq!(house.post("/settings/token/remove", visitor, &[]).await.0.status, 403);
    }
    assert!(forge.is_untouched(), "the old token is used for nobody");
    let own = "another-canary-0123456789abcdef0123cafe";
    assert_eq!(house.post("/settings/token", ALICE_WITHOUT, &[("token", own)]).await.0.status, 303);
    assert!(house.get("/settings", ALICE_WITHOUT).await.html().contains("set, its last letters are cafe"));
    assert_eq!(house.get("/", ALICE_WITHOUT).await.source(), "pasted");
    for other in [BOB_WITHOUT, ""] {
        let page = house.get("/settings", other).await;
        assert_eq!(page.attribute("byo-state", "data-state"), "not-yours", "whose it is is known now");
    }
}

#[tokio::test]
async fn a_slot_that_others_can_read_is_not_used() {
    let house = house("http://forge.test".into()).await;
    house.paste(ALICE_WITHOUT).await;
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(house.secret("USER_FORGE_TOKEN"), open).unwrap();
    let page = house.get("/settings", ALICE_WITHOUT).await;
    assert_eq!(page.attribute("byo-state", "data-state"), "unreadable");
    assert_eq!(house.get("/", ALICE_WITHOUT).await.source(), "none");
    let refused = house.post("/settings/token", ALICE_WITHOUT, &[("token", PASTED)]).await;
    assert_eq!((refused.0.status, refused.code().as_str()), (503, "byo-unavailable"));
}

/// Holds: H15.
#[tokio::test]
async fn what_does_not_count_is_no_token_and_the_pasted_one_is_used() {
    let forge = forge(|_, _| created(1)).await;
    let house = house(url(&forge)).await;
    house.paste(ALICE_WITHOUT).await;
    for odd in [
        "X-Hero-Forge-Token: one-canary\r\nX-Hero-Forge-Token: two-canary\r\n",
        "X-Hero-Forge-Token:\r\n",
        "X-Hero-Forge-Token: one two\r\n",
        "X-Hero-Forge-Token: caf\u{e9}\r\n",
    ] {
        let headers = format!("{ALICE_WITHOUT}{odd}");
        assert_eq!(house.get("/", &headers).await.source(), "pasted", "{odd}");
        assert_eq!(house.file(&headers, "t", "b").await.code(), "filed");
    }
    assert_eq!(tokens(&forge), [PASTED; 4]);
}

/// Holds: H15.
#[tokio::test]
async fn a_peer_that_is_not_trusted_is_nobody() {
    let forge = forge(|_, _| created(1)).await;
    let house = house_with(url(&forge), |settings| {
        settings.listen = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    })
    .await;
    let page = house.get("/", ALICE).await;
    assert_eq!(page.source(), "none");
    assert!(page.html().contains("Nobody is signed in"));
    house.paste("").await;
    let token_alone = format!("X-Hero-Forge-Token: {PASSED}\r\n");
    assert_eq!(house.get("/", &token_alone).await.source(), "pasted", "cockpit stands alone here");
    assert_eq!(house.get("/", ALICE).await.source(), "none", "who claims to be somebody is nobody's heir");
    assert_eq!(house.file(&token_alone, "t", "b").await.code(), "filed");
    assert_eq!(tokens(&forge), [PASTED]);
}

#[tokio::test]
async fn no_other_site_sends_cockpits_forms() {
    let forge = forge(|_, _| created(1)).await;
    let house = house(url(&forge)).await;
    let form = house.get("/", ALICE).await.form();
    for foreign in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://evil.test\r\n",
        "Origin: null\r\n",
    ] {
        for path in ["/feedback", "/settings/token", "/settings/token/remove"] {
            let fields = [("form", form.as_str()), ("title", "t"), ("body", "b"), ("token", "x")];
            let page = house.post(path, &format!("{ALICE}{foreign}"), &fields).await;
            assert_eq!(page.0.status, 403, "{foreign} {path}");
        }
    }
    assert!(forge.is_untouched() && !house.secret("USER_FORGE_TOKEN").exists());
    let own = format!("{ALICE}Origin: https://vm.test\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(house.file(&own, "t", "b").await.code(), "filed");
}

#[tokio::test]
async fn a_foreign_host_is_misdirected() {
    let house =
        house_with("http://forge.test".into(), |settings| settings.hosts = vec!["vm.test:8080".into()]).await;
    for (host, status) in [("vm.test:8080", 200), ("VM.test:8080", 200), ("vm.test", 421), ("evil.test", 421)]
    {
        assert_eq!(house.get("/", &format!("Host: {host}\r\n")).await.0.status, status, "{host}");
    }
}

#[tokio::test]
async fn every_page_has_its_place_and_its_policy() {
    let house = house("http://forge.test".into()).await;
    let view = house.get("/app/view?x=1&y=%3Cb%3E", ALICE).await;
    assert!(
        view.html().contains(r#"<code id="view-path">/app/view?x=1&#38;y=%3Cb%3E</code>"#),
        "{}",
        view.html()
    );
    let home = house.get("/", ALICE).await;
    assert!(home.html().contains(r#"method="post" action="/_hero/auth/logout""#));
    assert!(
        !house.get("/", "").await.html().contains("signout\""),
        "nobody can sign out who is not signed in"
    );
    let style = house.get("/assets/cockpit.css", ALICE).await;
    assert_eq!(style.0.value("content-type"), Some("text/css; charset=utf-8"));
    let missing = house.get("/nothing", ALICE).await;
    assert_eq!((missing.0.status, missing.code().as_str()), (404, "no-page"));
    for page in [view, home, style, missing] {
        let policy = page.0.value("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        assert_eq!(page.0.value("x-content-type-options"), Some("nosniff"));
        assert!(!page.html().contains("style=") && !page.html().contains("<script"));
    }
}

#[tokio::test]
async fn it_stops_when_dropped_and_starts_over_a_stale_socket() {
    let house = house("http://forge.test".into()).await;
    let Listen::Unix(path) = house.cockpit.address().clone() else { unreachable!("it listens on a socket") };
    house.cockpit.stop(DEADLINE).await;
    assert!(!path.exists());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket that nobody listens on");
    let again = house_with("http://forge.test".into(), |settings| settings.listen = Listen::Unix(path)).await;
    assert_eq!(again.get("/", ALICE).await.source(), "pass-through");
}
