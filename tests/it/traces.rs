//! The program as it is started by an operator: what it writes, what it leaves on the machine, and a switched flag.

use std::path::Path;

use hero_proxy::forge::fake::{FakeForge, FakeSettings, NewUser};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::browser::{Browser, FETCH};
use crate::support::desk::{Desk, Run};
use crate::support::echo::{Echo, ok};
use crate::support::house::password;
use crate::support::program::Program;
use crate::support::raw::RawClient;

struct Street {
    forge: FakeForge,
    echo: Echo,
    desk: Desk,
}

impl Street {
    async fn new() -> Self {
        let forge = FakeForge::start(FakeSettings::default()).await.unwrap();
        forge.add_user(NewUser::new("alice", &password("alice")));
        forge.add_user(NewUser::new("mallory", &password("mallory")));
        let echo = Echo::tcp(|_| ok("app")).await;
        let desk = Desk::new(&forge, &echo.authority());
        Self { forge, echo, desk }
    }
}

/// `hero_proxy reload`, and how it ends.
async fn reload(config: &Path, pid: &str) -> i32 {
    let program = Program::start(&["reload", "--config", config.to_str().unwrap(), "--pid", pid], &[]);
    program.ended().await.unwrap()
}

async fn signed_in(process: &Run) -> Browser {
    let mut alice = process.browser();
    let page = alice.sign_in(&process.at("/"), "alice", &password("alice")).await;
    assert_eq!((page.status(), page.text().as_str()), (200, "app"));
    alice
}

/// Holds: H5, K11, V2.
#[tokio::test]
async fn a_switched_flag_holds_from_the_next_request_after_a_hang_up_or_the_reload_command() {
    let mut street = Street::new().await;
    let process = street.desk.start().await;
    let mut alice = signed_in(&process).await;
    let mut kept = RawClient::tcp(process.address).await;
    let cookies = alice.cookie_line("localhost");
    let mut reloads = 0;
    for (flag, by_command) in [(false, false), (true, true), (false, true), (true, false)] {
        *street.desk.section("features") = format!("forge_token_pass_through = {flag}\n");
        let config = street.desk.write();
        if by_command {
            let pid = process.program.pid().to_string();
            assert_eq!(reload(&config, &pid).await, 0);
        } else {
            process.program.tell(Signal::HUP);
        }
        reloads += 1;
        process.event("reload done: the new configuration is in force", reloads).await;
        let page = alice.fetch(&process.at("/x")).await;
        assert_eq!(page.status(), 200, "no session is lost");
        let fresh = street.echo.seen().pop().unwrap();
        let answer =
            kept.ask(format!("GET /x HTTP/1.1\r\nHost: localhost:1\r\nCookie: {cookies}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "no connection is lost");
        let old = street.echo.seen().pop().unwrap();
        for seen in [fresh, old] {
            for name in ["x-hero-forge-token", "x-hero-forge-token-expires", "x-hero-forge-scopes"] {
                assert_eq!(seen.values(name).len(), usize::from(flag), "{name} {flag}");
            }
            assert_eq!(seen.values("x-hero-user"), ["alice"]);
        }
    }

    // A bad file is refused whole, by the command before anybody is told, and by the process.
    *street.desk.section("features") = "forge_token_pass_thru = false\n".to_owned();
    let config = street.desk.write();
    let pid = process.program.pid().to_string();
    assert_eq!(reload(&config, &pid).await, 1);
    process.program.tell(Signal::HUP);
    process.event("reload refused: the configuration has errors; the old one stays in force", 1).await;
    assert_eq!(alice.fetch(&process.at("/x")).await.status(), 200);
    assert_eq!(street.echo.seen().pop().unwrap().values("x-hero-forge-token").len(), 1);
    assert_eq!(process.events("reload done: the new configuration is in force").len(), reloads);

    let out = alice.send("POST", &process.at("/_hero/auth/logout"), &FETCH, "").await;
    assert_eq!(out.status(), 200);
    for message in ["signed in", "signed out"] {
        let told = process.events(message);
        assert_eq!(told.len(), 1, "{message}");
        assert!(told[0]["session"].as_str().unwrap().len() == 8, "{told:?}");
    }
    process.stop().await;
    assert_eq!(process.events("stopped").len(), 1);
    drop(street.forge);
}

/// Holds: K5.
#[tokio::test]
async fn the_access_log_has_paths_and_no_queries() {
    let street = Street::new().await;
    let process = street.desk.start().await;
    let mut alice = process.browser();
    let landed =
        alice.sign_in(&process.at("/a/b?token=q1secret&x=q2secret#frag"), "alice", &password("alice")).await;
    assert_eq!(landed.status(), 200);
    for path in [
        "/api/v1/repos?access_token=q3secret",
        "/_hero/auth/callback?code=q4secret&state=q5secret",
        "/_hero/auth/login?return_to=%2Fx%3Ftoken%3Dq6secret",
        "/x?q7secret",
    ] {
        alice.fetch(&process.at(path)).await;
    }
    let mut client = RawClient::tcp(process.address).await;
    // In absolute form too, and with what some take for a second question mark.
    client.ask("GET http://localhost:1/y?a=q8secret?b=q9secret HTTP/1.1\r\nHost: localhost:1\r\n\r\n").await;
    process.stop().await;
    let text = process.program.text();
    assert!(!text.contains("secret"), "{text}");
    let lines = process.events("request");
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/a/b",
            "/_hero/auth/callback",
            "/a/b",
            "/api/v1/repos",
            "/_hero/auth/callback",
            "/_hero/auth/login",
            "/x",
            "/y",
        ]
    );
    for line in &lines {
        assert_eq!((&line["method"], &line["peer"]), (&"GET".into(), &"127.0.0.1".into()));
        assert!(
            line["status"].is_u64() && line["duration_ms"].is_u64() && line["request_id"].is_string(),
            "{line}"
        );
        let at = line["timestamp"].as_str().unwrap();
        assert!(at.ends_with('Z') && at.contains('.'), "UTC with fractions of a second: {at}");
    }
    assert!(!process.program.text().contains("secret"), "{}", process.program.text());
}

/// Holds: K11.
#[tokio::test]
async fn who_hammers_gets_some_lines_and_then_a_count() {
    let mut street = Street::new().await;
    *street.desk.section("log") = "level = \"info\"\nlines_per_minute = 3\n".to_owned();
    let process = street.desk.start().await;
    let mut client = RawClient::tcp(process.address).await;
    let head = "Host: localhost:1\r\n";
    for _ in 0..20 {
        let made_up = format!("GET /_hero/auth/callback?code=a&state=b HTTP/1.1\r\n{head}\r\n");
        assert_eq!(client.ask(made_up).await.status, 400);
    }
    // Whoever else is told of something is told.
    client.ask(format!("GET / HTTP/1.1\r\n{head}X-Hero-User: root\r\n\r\n")).await;
    process.stop().await;
    assert_eq!(process.events("a callback without its sign-in").len(), 3);
    assert_eq!(process.events("spoofed_headers_dropped").len(), 1);
    assert_eq!(process.events("request").len(), 21, "an access line for each request");
    let told = process.events("lines were left out of this log");
    assert_eq!(told.len(), 1, "{}", process.program.text());
    assert_eq!((&told[0]["line"], &told[0]["lines"]), (&"a callback without its sign-in".into(), &17.into()));
}

/// Holds: K6.
#[tokio::test]
async fn whatever_a_client_says_is_one_escaped_line() {
    let odd = [
        "/a\"b\\c{}",
        "/%0d%0a%1b[31m",
        "/\u{c2}\u{9b}31m\u{c2}\u{85}x",
        "/\u{e2}\u{80}\u{ae}dnuora",
        "/{\"message\":\"signed in\"}",
        "/a|b^c`d",
    ];
    for format in ["json", "text"] {
        let mut street = Street::new().await;
        *street.desk.section("log") =
            format!("level = \"trace\"\naccess = \"stderr\"\nformat = {format:?}\n");
        // The first line, which names the port, is read as JSON.
        let process = if format == "json" {
            street.desk.start().await
        } else {
            Run::start_with(&street.desk.write(), "serving address=").await
        };
        let mut asked = 0;
        for path in odd {
            let mut client = RawClient::tcp(process.address).await;
            let head = "Host: localhost:1\r\nUser-Agent: a\"b\\c\u{9b}31m\r\nReferer: x\"\r\nX-Hero-User: a\"\u{85}b\r\n";
            // Bytes, as they are: each character here is one.
            let request: Vec<u8> =
                format!("GET {path} HTTP/1.1\r\n{head}\r\n").chars().map(|byte| byte as u8).collect();
            assert!([400, 401].contains(&client.ask(&request).await.status), "{path}");
            asked += 1;
            for broken in [
                "GET /a\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\x1b\rb\r\n\r\n",
            ] {
                assert_eq!(RawClient::tcp(process.address).await.ask(broken).await.status, 400);
            }
        }
        process.stop().await;
        let text = process.program.text();
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(control), "{format}: {text:?}");
        assert!(!text.contains("\u{202e}"), "{format}: what turns the line around is escaped: {text:?}");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("hero_proxy::access")).collect();
        assert!(lines.len() <= asked && lines.len() >= 3, "{format}: {text}");
        assert!(text.contains("/%C2%9B31m%C2%85x"), "what is no visible ASCII is shown escaped: {text}");
        if format == "json" {
            let told: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(told.iter().all(|line| line["message"] == "request"));
            assert_eq!(process.events("signed in").len(), 0);
        }
    }
}

/// Holds: K4, X7.
#[tokio::test]
async fn the_process_leaves_no_core_file_and_shows_no_secret_to_its_neighbours() {
    let street = Street::new().await;
    let process = street.desk.start().await;
    signed_in(&process).await;
    let limits = process.proc("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let values: Vec<_> = core["Max core file size".len()..].split_whitespace().take(2).collect();
    assert_eq!(values, ["0", "0"], "soft and hard");
    let key = std::fs::read_to_string(street.desk.path("session_key")).unwrap();
    for name in ["cmdline", "environ", "comm"] {
        let shown = process.proc(name);
        for secret in [crate::support::house::CLIENT_SECRET, key.trim()] {
            assert!(!shown.contains(secret), "{name}");
        }
    }
    process.stop().await;
}
