//! Where a request came from: the connection says it, and peers that the operator named; nobody else.

use std::io::Write as _;
use std::path::Path;

use hero_proxy::serve::settings::{Limits, Listen, Settings};
use hero_proxy::serve::{Listeners, Readiness};

use crate::support::browser::FETCH;
use crate::support::echo::Seen;
use crate::support::house::{Plan, TestHouse};
use crate::support::logs::Logs;
use crate::support::raw::{RawAnswer, RawClient};

/// What somebody may say of an address.
fn addresses() -> Vec<String> {
    let fifty: Vec<String> = (0..50).map(|last| format!("10.0.0.{last}")).collect();
    ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost", "unknown", "\"[::1]:80\"", "", &fifty.join(", ")]
        .map(str::to_owned)
        .into()
}

/// Everything that somebody may say of where a request came from and where it wants to go.
fn lies(address: &str, ours: &str) -> String {
    format!(
        "X-Forwarded-For: {address}\r\nX-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: {ours}\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Uri: /open\r\n\
         X-Forwarded-Method: OPTIONS\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /open\r\n\
         X-Forwarded-Server: evil.example\r\nX-Real-IP: {address}\r\nX-Client-IP: {address}\r\n\
         True-Client-IP: {address}\r\nForwarded: for={address};host=evil.example;proto=https\r\n\
         X-Original-URL: /open\r\nX-Original-URI: /open\r\nX-Rewrite-URL: /open\r\nX-Original-Method: OPTIONS\r\n"
    )
}

/// What the backend was told of where a request came from, by any name.
fn told(seen: &Seen) -> Vec<String> {
    let about = |name: &String| {
        ["forward", "real-ip", "client-ip", "original", "rewrite"].iter().any(|word| name.contains(word))
    };
    let mut names: Vec<String> = seen.names().into_iter().filter(about).collect();
    names.sort();
    names.into_iter().map(|name| format!("{name}: {}", seen.values(&name).join(" | "))).collect()
}

const ROUTES: &str = r#"
[[routes]]
path = "/"
upstream = "ECHO"
[[routes]]
path = "/open"
upstream = "ECHO"
public = true
"#;

/// Holds: H12, G10.
#[tokio::test]
async fn nobody_is_believed_unless_the_operator_says_so() {
    for trusted in ["[]", "[\"10.0.0.0/8\", \"unix\"]"] {
        let plan = Plan { routes: Some(ROUTES.to_owned()), ..Plan::default() };
        let house = TestHouse::start(plan.with("server", &format!("trusted_proxies = {trusted}"))).await;
        let alice = house.signed_in("alice").await;
        let logs = Logs::listen();
        let ours = house.authority();
        let cookies = alice.cookie_line(house.host());
        let programs: String = FETCH.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        for address in addresses() {
            let lies = lies(&address, &ours);
            let ask = async |host: &str, more: &str| {
                let mut client = RawClient::tcp(house.address).await;
                client.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{programs}{more}{lies}\r\n")).await
            };
            let before = house.echo.seen().len();
            let stranger = ask(&ours, "").await;
            assert_eq!(
                (stranger.status, reason(&stranger)),
                (401, "sign_in_required".to_owned()),
                "{address}"
            );
            let elsewhere = ask("evil.example", &format!("Cookie: {cookies}\r\n")).await;
            assert_eq!((elsewhere.status, reason(&elsewhere)), (421, "unknown_host".to_owned()), "{address}");
            assert_eq!(house.echo.seen().len(), before, "{address}");

            let answer = ask(&ours, &format!("Cookie: {cookies}\r\n")).await;
            assert_eq!(answer.status, 200, "{address}");
            let seen = house.echo.seen().pop().unwrap();
            let expected = [
                "x-forwarded-for: 127.0.0.1".to_owned(),
                format!("x-forwarded-host: {ours}"),
                "x-forwarded-proto: http".to_owned(),
            ];
            assert_eq!((seen.target(), told(&seen)), ("/", expected.into()), "{address}");
        }
        let lines = logs.events("request");
        assert_eq!(lines.len(), 3 * addresses().len());
        assert!(
            lines.iter().all(|line| line["peer"] == "127.0.0.1" && line["path"] == "/"),
            "{}",
            logs.text()
        );
        let dropped = logs.events("spoofed_headers_dropped");
        assert_eq!(dropped.len(), lines.len(), "each request is told once");
        assert!(dropped.iter().all(|line| line["lines"].as_u64() > Some(10)));
    }
}

fn reason(answer: &RawAnswer) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    problem["reason"].as_str().unwrap().to_owned()
}

/// A way into a house, and what is told of whoever comes by it.
struct Door {
    listen: Listen,
    peer: Option<&'static str>,
}

impl Door {
    async fn client(&self) -> RawClient {
        match &self.listen {
            Listen::Tcp(address) => RawClient::tcp(*address).await,
            Listen::Unix(path) => RawClient::unix(path).await,
        }
    }
}

/// Further doors to a house: IPv4, IPv6, IPv4 mapped into IPv6, a Unix socket.
async fn doors(house: &TestHouse, folder: &Path) -> Vec<Door> {
    let unix = format!("unix:{}", folder.join("door.sock").display());
    let mut doors = Vec::new();
    for (listen, peer) in [
        ("127.0.0.1:0", Some("127.0.0.1")),
        ("[::1]:0", Some("::1")),
        ("[::ffff:127.0.0.1]:0", Some("127.0.0.1")),
        (&unix, None),
    ] {
        let settings = Settings {
            listen: vec![listen.parse().unwrap()],
            health: None,
            limits: Limits::default(),
            unix_mode: 0o660,
        };
        match Listeners::bind(&settings).await {
            Ok(listeners) => {
                doors.push(Door { listen: listeners.addresses().remove(0), peer });
                drop(listeners.serve(house.house.front(), Readiness::of([])));
            }
            Err(failed) => writeln!(std::io::stderr(), "SKIPPED: {failed}: {}", failed.source).unwrap(),
        }
    }
    assert!(doors.len() >= 2, "the first and the last are everywhere");
    doors
}

/// Holds: H13.
#[tokio::test]
async fn a_trusted_peer_is_believed_as_far_as_what_it_says_makes_sense() {
    let fifty = addresses().pop().unwrap();
    let cases = [
        (vec![], ""),
        (vec!["203.0.113.7"], "203.0.113.7"),
        (vec!["203.0.113.7", "198.51.100.2,10.0.0.1"], "203.0.113.7, 198.51.100.2, 10.0.0.1"),
        (vec!["2001:db8::1, 10.0.0.1"], "2001:db8::1, 10.0.0.1"),
        (vec!["2001:DB8:0:0::1"], "2001:db8::1"),
        (vec!["::ffff:203.0.113.7"], "203.0.113.7"),
        (vec!["[2001:db8::1]:4711, 203.0.113.7:80, [::1]"], "2001:db8::1, 203.0.113.7, ::1"),
        (vec!["127.0.0.1"], "127.0.0.1"),
        (vec![fifty.as_str()], fifty.as_str()),
        (vec!["203.0.113.7,, 10.0.0.1,"], "203.0.113.7, 10.0.0.1"),
        // What stands left of junk came through nobody knows whom.
        (vec!["198.51.100.2, <script>, 203.0.113.7"], "203.0.113.7"),
        (vec!["198.51.100.2, unknown, 203.0.113.7"], "203.0.113.7"),
        (vec!["198.51.100.2, _hidden"], ""),
        (vec!["203.0.113.256", "10.0.0.1"], "10.0.0.1"),
        (vec!["10.0.0.1", "203.0.113.7; DROP"], ""),
        (vec!["\"[2001:db8::1]\""], ""),
        (vec!["localhost"], ""),
        (vec!["1.2.3.4\t5.6.7.8"], ""),
        (vec![""], ""),
    ];
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { routes: Some(ROUTES.to_owned()), ..Plan::default() };
    let trusted = "trusted_proxies = [\"127.0.0.0/8\", \"::1\", \"unix\"]";
    let mut house = TestHouse::start(plan.with("server", trusted)).await;
    let doors = doors(&house, folder.path()).await;
    let ours = house.authority();
    let logs = Logs::listen();
    let mut asked = 0;
    for door in &doors {
        for (lines, kept) in &cases {
            let sent: String = lines.iter().map(|line| format!("X-Forwarded-For: {line}\r\n")).collect();
            let more = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nForwarded: for=junk, \
                        for=\"[2001:DB8::17]:80\";proto=https;host=evil.example\r\nX-Real-IP: 10.0.0.1\r\n";
            let request = format!("GET /open HTTP/1.1\r\nHost: {ours}\r\n{sent}{more}\r\n");
            assert_eq!(door.client().await.ask(request).await.status, 200, "{} {lines:?}", door.listen);
            asked += 1;
            let seen = house.echo.seen().pop().unwrap();
            let hops: Vec<&str> =
                [*kept].into_iter().filter(|kept| !kept.is_empty()).chain(door.peer).collect();
            let mut expected =
                vec![format!("x-forwarded-host: {ours}"), "x-forwarded-proto: http".to_owned()];
            if !hops.is_empty() {
                expected.insert(0, format!("x-forwarded-for: {}", hops.join(", ")));
            }
            // The other spelling of the same, extended by the same hop.
            let last = door.peer.map(|peer| match peer.contains(':') {
                true => format!(", for=\"[{peer}]\""),
                false => format!(", for={peer}"),
            });
            expected.insert(0, format!("forwarded: for=\"[2001:db8::17]\"{}", last.unwrap_or_default()));
            assert_eq!(told(&seen), expected, "{} {lines:?}", door.listen);
        }
    }
    let peers: Vec<_> = logs.events("request");
    assert_eq!(peers.len(), asked);
    for line in &peers {
        assert!(["127.0.0.1", "::1", "unix"].contains(&line["peer"].as_str().unwrap()), "{line}");
    }
    assert_eq!(logs.events("spoofed_headers_dropped"), [""; 0], "a proxy that is trusted forges nothing");

    // The trust ends with the next request after a reload.
    house.reload(|plan| plan.more.clear());
    for door in &doors {
        let request = format!("GET /open HTTP/1.1\r\nHost: {ours}\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n");
        assert_eq!(door.client().await.ask(request).await.status, 200);
        let seen = house.echo.seen().pop().unwrap();
        assert_eq!(seen.values("x-forwarded-for"), door.peer.into_iter().collect::<Vec<_>>());
    }
}
