//! The command line: exit codes, JSON, and nothing secret in any of it.

use std::process::{Command, Output};

use serde_json::Value;

use super::{CLIENT_SECRET, Desk, SMALL, project_file};

fn hero_proxy(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hero_proxy"))
        .args(arguments)
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The configuration as a file on a desk.
fn file(desk: &Desk, text: &str) -> String {
    desk.put("proxy.toml", text, 0o644);
    desk.path("proxy.toml").display().to_string()
}

#[test]
fn a_good_configuration_ends_with_0_and_says_what_it_means() {
    let desk = Desk::new();
    let config = file(&desk, &format!("{SMALL}forge_token = true\n"));
    let done = hero_proxy(&["check", "--config", &config]);
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{said}");
    for words in [
        "no errors, no warnings",
        "Listens on      127.0.0.1:8080",
        "Redirect URI    https://vm1.example.org/_hero/auth/callback",
        "- read and write issues in every repository you can reach",
        "/ -> http://127.0.0.1:9000",
        "may pass: members of acme",
        "token:    of everybody who is signed in and may pass",
        "The flag is off",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert!(!said.contains(CLIENT_SECRET));
}

/// Holds: V1.
#[test]
fn a_bad_configuration_ends_with_1_and_a_frame_for_each_complaint() {
    let desk = Desk::new();
    let config = file(&desk, &SMALL.replace("public_url =", "public_ulr =").replace("org:acme", "orgs:acme"));
    let done = hero_proxy(&["check", "--config", &config]);
    assert_eq!(done.status.code(), Some(1));
    let expected = format!(
        "{config}:2:1: error: server.public_ulr: no such key\n    2 | public_ulr = ...\n      | ^^^^^^^^^^\n      \
         = correct the name; did you mean `public_url`?\n\n\
         {config}:10:10: error: access.allow[0]: \"orgs:acme\" names nobody\n   10 | allow = [\"orgs:acme\"]\n      \
         |          ^^^^^^^^^^^\n      \
         = write \"user:NAME\", \"user-id:NUMBER\", \"org:NAME\", \"team:ORG/TEAM\" or \"any-user\"; \
         did you mean `org:acme`?\n\n{config}: 2 errors, no warnings\n"
    );
    assert_eq!(text(&done.stdout), expected);
}

#[test]
fn programs_get_the_same_as_json() {
    let desk = Desk::new();
    let config = file(&desk, &SMALL.replace("public_url =", "public_ulr ="));
    let done = hero_proxy(&["check", "--config", &config, "--format", "json"]);
    assert_eq!(done.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&said["ok"], &said["errors"], &said["warnings"]), (&false.into(), &1.into(), &0.into()));
    assert_eq!(said["summary"], Value::Null);
    assert_eq!(
        said["complaints"][0],
        serde_json::json!({
            "severity": "error",
            "place": { "line": 2, "column": 1, "length": 10 },
            "key": "server.public_ulr",
            "what": "no such key",
            "fix": "correct the name",
            "did_you_mean": ["public_url"],
        })
    );
    let config = file(&desk, SMALL);
    let done = hero_proxy(&["check", "--config", &config, "--format", "json"]);
    assert_eq!(done.status.code(), Some(0));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["ok"], true);
    assert_eq!(said["summary"]["redirect_uri"], "https://vm1.example.org/_hero/auth/callback");
    assert_eq!(said["summary"]["routes"][0]["upstream"], "http://127.0.0.1:9000");
    assert!(!text(&done.stdout).contains(CLIENT_SECRET));
}

#[test]
fn a_file_that_cannot_be_read_ends_with_1_and_a_wrong_command_line_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let name = |name: &str| folder.path().join(name).display().to_string();
    let (folder, binary, long) = (name("."), name("binary"), name("long"));
    std::fs::write(&binary, b"canary7\xff").unwrap();
    std::fs::write(&long, "# canary7\n".repeat(200_000)).unwrap();
    for (path, what) in [
        (
            "no/such/file.toml",
            "cannot be read: No such file or directory (os error 2)\n      = make the file, or correct its path\n",
        ),
        (&folder, "cannot be read: Is a directory (os error 21)\n      = name a file in this folder\n"),
        (&binary, "is not UTF-8 text\n      = name a TOML file; "),
        (&long, "is longer than 1 MiB\n      = name a TOML file; "),
    ] {
        let done = hero_proxy(&["check", "--config", path]);
        assert_eq!(done.status.code(), Some(1));
        let said = text(&done.stdout);
        assert!(said.starts_with(&format!("{path}: error: the configuration file {what}")), "{said}");
        assert!(!said.contains("canary7"), "{said}");
    }
    for arguments in [
        &["check"][..],
        &["chek"],
        &["run"],
        &["reload", "--config", "x"],
        &["check", "--format", "xml"],
        &[],
    ] {
        assert_eq!(hero_proxy(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let help = hero_proxy(&["check", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("1  the configuration has errors"));
    let version = hero_proxy(&["--version"]);
    assert_eq!(text(&version.stdout), format!("hero_proxy {}\n", env!("CARGO_PKG_VERSION")));
}

/// Holds: V1.
#[test]
fn nothing_starts_with_a_bad_configuration_and_a_log_does_not_quote_it() {
    let desk = Desk::new();
    let config = file(&desk, &SMALL.replace("allow = [\"org:acme\"]", "allow = [\"orgs:acme\"] # canary7"));
    let done = hero_proxy(&["run", "--config", &config]);
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stderr);
    assert!(said.starts_with(&format!("{config}: error: line 10, column 10: access.allow[0]: ")), "{said}");
    assert!(said.trim_end().ends_with("did you mean `org:acme`?"), "{said}");
    assert!(!said.contains("canary7"), "{said}");
}

#[test]
fn a_reload_with_a_bad_configuration_tells_nobody_and_a_stranger_is_never_signalled() {
    let desk = Desk::new();
    let ourselves = std::process::id().to_string();
    let bad = file(&desk, &SMALL.replace("org:acme", "orgs:acme"));
    let done = hero_proxy(&["reload", "--config", &bad, "--pid", &ourselves]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("the running proxy was left alone"));
    let good = file(&desk, SMALL);
    let done = hero_proxy(&["reload", "--config", &good, "--pid", &ourselves]);
    assert_eq!(done.status.code(), Some(3));
    assert!(text(&done.stderr).contains("is not a hero_proxy: nothing was done"));
}

#[test]
fn the_example_itself_passes_the_command_but_for_its_secrets() {
    let example = project_file("proxy.example.toml");
    let done = hero_proxy(&["check", "--config", &example.display().to_string()]);
    assert_eq!(done.status.code(), Some(1));
    // The client secret, and the folder that the session key is to lie in.
    assert!(text(&done.stdout).ends_with(": 2 errors, no warnings\n"), "{}", text(&done.stdout));
}
