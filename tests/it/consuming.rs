//! docs/CONSUMING.md does what it says: its snippets run, its names and numbers are the code's, and what it costs to follow
//! it is counted.

use std::io::Write;
use std::process::{Command, Stdio};

use hero_proxy::wire::{encode, name, token};

use crate::support::echo::{Echo, Step, canned};
use crate::support::raw::RawClient;

// The snippet for Rust; its own crate under tests/consumer/ proves that it needs feature `axum` alone.
#[path = "../consumer/axum/src/lib.rs"]
mod snippet;

const PAPER: &str = include_str!("../../docs/CONSUMING.md");

/// The code block of the paper that opens with this line.
fn block(opening: &str) -> &'static str {
    let block = PAPER.split(&format!("```{opening}\n")).nth(1).unwrap();
    block.split("```").next().unwrap()
}

#[test]
fn the_rust_snippet_is_the_consumer_crate_word_for_word() {
    assert_eq!(block("rust,ignore"), include_str!("../consumer/axum/src/lib.rs"));
}

#[tokio::test]
async fn the_rust_snippet_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let server = tokio::spawn(snippet::serve(tokio::net::UnixListener::bind(&path).unwrap()));
    let headers = "X-Hero-User: alice\r\nX-Hero-User-Id: 42\r\nX-Hero-Forge-Token: t\r\n";
    let mut client = RawClient::unix(&path).await;
    let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{headers}\r\n")).await;
    assert_eq!(answer.text(), "alice, token: PassThrough");
    server.abort();
}

/// What is asked of the snippet for Python; it prints one line of JSON.
const PYTHON_DRIVER: &str = r#"
import sys
from email.message import Message

def headers(*lines):
    message = Message()
    for name, value in lines:
        message.add_header(name, value)
    return message

forge, dead = sys.argv[1:]
alice = headers(("x-hero-user", "zo%C3%AB"), ("x-hero-user-id", "42"), ("x-hero-groups", "acme,acme:a%2Cb%3A"))
print(json.dumps([
    visitor(alice),
    visitor(headers(("X-Hero-User", "a"), ("X-Hero-User-Id", "1"), ("X-Hero-User-Id", "2"))),
    one(headers(("X-Hero-Forge-Token", "")), "X-Hero-Forge-Token"),
    [file_issue(forge, f"acme/{name}", "t", "title", "body") for name in
        ("renamed", "gone", "stolen", "forbidden", "broken", "hangup")],
    file_issue(dead, "acme/x", "t", "title", "body"),
]))
"#;

fn forge_for_snippets(elsewhere: String) -> impl Fn(&crate::support::echo::Seen) -> Vec<Step> {
    move |seen| {
        let answer = |status: u16, header: &str| {
            canned(format!("HTTP/1.1 {status} -\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n"))
        };
        let name = seen.target().split('/').nth(5).unwrap_or_default();
        match (seen.line().split(' ').next().unwrap(), name) {
            ("POST", "new") => answer(201, ""),
            ("POST", "renamed") => answer(301, "Location: /api/v1/repos/acme/renamed-again/issues\r\n"),
            ("POST", "renamed-again") => answer(307, "Location: /api/v1/repos/acme/new/issues\r\n"),
            ("POST", "stolen") => {
                answer(307, &format!("Location: http://{elsewhere}/api/v1/repos/a/b/issues\r\n"))
            }
            ("POST", "forbidden") => answer(403, ""),
            ("POST", "broken") => answer(500, ""),
            ("POST", "hangup") => vec![Step::ReadBody, Step::Close],
            _ => answer(404, ""),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_snippet_runs() {
    let evil = Echo::tcp(|_| canned("HTTP/1.1 201 -\r\nContent-Length: 0\r\n\r\n")).await;
    let forge = Echo::tcp(forge_for_snippets(evil.authority())).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = format!("{}{PYTHON_DRIVER}", block("python"));
    let arguments = [format!("http://{}", forge.authority()), format!("http://{free}")];
    let run = tokio::task::spawn_blocking(move || {
        Command::new("python3")
            .args(["-I", "-c", &program])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
    });
    let output = match run.await.unwrap() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            writeln!(std::io::stderr(), "SKIPPED the_python_snippet_runs: there is no python3").unwrap();
            return;
        }
        Err(error) => panic!("python3 does not start: {error}"),
    };
    assert!(output.status.success());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        said,
        serde_json::json!([
            {"id": "42", "login": "zoë", "groups": [["acme"], ["acme", "a,b:"]]},
            null,
            null,
            ["filed", 404, 307, 403, "unknown", "unknown"],
            "unknown",
        ])
    );
    assert!(evil.is_untouched());
    assert!(forge.seen().iter().all(|seen| seen.values("authorization") == ["Bearer t"]));
}

#[test]
fn the_paper_names_every_header_and_tells_the_codes_numbers() {
    let paper = PAPER.to_ascii_lowercase();
    for header in [
        name::FORGE_TOKEN,
        name::FORGE_TOKEN_EXPIRES,
        name::FORGE_SCOPES,
        name::USER,
        name::USER_ID,
        name::EMAIL,
        name::GROUPS,
        name::REQUEST_ID,
        name::FORWARDED_FOR,
        http::header::FORWARDED,
        http::header::VIA,
    ] {
        assert!(paper.contains(&format!("`{header}`")), "{header}");
    }
    let inject = include_str!("../../src/wire/inject.rs").split("mod tests").next().unwrap();
    let compat: Vec<_> =
        inject.split("from_static(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(compat.len(), 5);
    for header in compat {
        assert!(paper.contains(&format!("`{header}`")), "{header}");
    }
    let row = |header: &str| paper.lines().find(|line| line.starts_with(&format!("| `{header}`"))).unwrap();
    let with_comma = |bytes: usize| format!("{},{:03} bytes", bytes / 1000, bytes % 1000);
    for (header, bytes) in [
        ("x-hero-user", encode::MAX_TEXT_BYTES),
        ("x-hero-email", encode::MAX_TEXT_BYTES),
        ("x-hero-groups", encode::MAX_GROUPS_BYTES),
        ("x-hero-forge-token", token::MAX_TOKEN_BYTES),
    ] {
        assert!(row(header).contains(&with_comma(bytes)), "{header}: {}", row(header));
    }
}

#[test]
fn a_consumer_without_features_pays_for_eight_small_crates() {
    let lock = include_str!("../consumer/none/Cargo.lock");
    let names: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    let others: Vec<_> =
        names.iter().filter(|name| !["\"hero_proxy\"", "\"consumer-none\""].contains(name)).collect();
    assert_eq!(others.len(), 8, "{others:?}");
}
