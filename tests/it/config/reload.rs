//! What a reload may change at once, and what waits for the next start.

use std::collections::BTreeSet;

use hero_proxy::config::change::diff;
use hero_proxy::config::keys::{PARTS, Reload};

use super::{CLIENT_SECRET, Desk, SMALL};

/// A value beside the default for each key: the key, and the line to add to its section, or to put in place of the one
/// that is there.
const CHANGES: &[(&str, &str)] = &[
    ("server.listen", "listen = [\"127.0.0.1:8081\"]"),
    ("server.public_url", "public_url = \"https://vm2.example.org\""),
    ("server.trusted_proxies", "trusted_proxies = [\"10.0.0.0/8\"]"),
    ("server.health", "health = \"127.0.0.1:9180\""),
    ("server.prefix", "prefix = \"/_h\""),
    ("forge.url", "url = \"https://forge2.example.org\""),
    ("forge.internal_url", "internal_url = \"https://10.0.0.5\""),
    ("forge.ca", "ca = \"ca.pem\""),
    ("forge.client_id", "client_id = \"other\""),
    ("forge.client_secret", "client_secret = { file = \"other_secret\" }"),
    ("forge.scopes", "scopes = [\"openid\", \"profile\", \"read:user\"]"),
    ("forge.timeout", "timeout = \"11s\""),
    ("features.forge_token_pass_through", "forge_token_pass_through = true"),
    ("features.without_token", "without_token = \"unavailable\""),
    ("features.compat", "compat = \"oauth2-proxy\""),
    ("features.reserved_headers", "reserved_headers = [\"X-Mine\"]"),
    ("access.allow", "allow = [\"user:bob\"]"),
    ("session.store", "store = \"memory\""),
    ("session.path", "path = \"other.db\""),
    ("session.key", "key = { file = \"other_key\" }"),
    ("routes.renew_on_401", "renew_on_401 = true"),
    ("session.recheck", "recheck = \"1m\""),
    ("session.idle", "idle = \"1h\""),
    ("session.absolute", "absolute = \"8d\""),
    ("routes.path", "path = \"/app\""),
    ("routes.upstream", "upstream = \"http://127.0.0.1:9001\""),
    ("routes.forge_token", "forge_token = true"),
    ("routes.groups", "groups = true"),
    ("routes.allow", "allow = [\"user:bob\"]"),
    ("routes.public", "public = true"),
    ("routes.cross_origin", "cross_origin = true"),
    ("limits.max_connections", "max_connections = 9"),
    ("limits.head_timeout", "head_timeout = \"9s\""),
    ("limits.client_idle_timeout", "client_idle_timeout = \"9s\""),
    ("limits.max_headers", "max_headers = 99"),
    ("limits.max_head_size", "max_head_size = \"32KiB\""),
    ("limits.max_target_size", "max_target_size = \"4KiB\""),
    ("limits.max_body_size", "max_body_size = \"1MiB\""),
    ("limits.connect_timeout", "connect_timeout = \"9s\""),
    ("limits.response_timeout", "response_timeout = \"9s\""),
    ("limits.upstream_idle_timeout", "upstream_idle_timeout = \"9s\""),
    ("limits.pool_idle", "pool_idle = \"9s\""),
    ("limits.max_requests_per_upstream", "max_requests_per_upstream = 9"),
    ("limits.wait", "wait = \"9s\""),
    ("limits.token_min_ttl", "token_min_ttl = \"9s\""),
    ("limits.drain", "drain = \"9s\""),
    ("admin.listen", "listen = [\"127.0.0.1:8081\"]"),
    ("admin.public_url", "public_url = \"https://admin2.example.org\""),
    ("admin.allow", "allow = [\"user:root1\"]"),
    ("admin.token", "token = { file = \"other_token\" }"),
    ("admin.path", "path = \"other_admin.db\""),
    ("admin.socket", "socket = \"unix:/run/admin.sock\""),
    ("admin.placeholder_domain", "placeholder_domain = \"nomail.example.org\""),
    ("admin.password_symbols", "password_symbols = true"),
    ("admin.calls_per_minute", "calls_per_minute = 9"),
    ("admin.unused_after", "unused_after = \"9d\""),
    ("log.level", "level = \"debug\""),
    ("log.format", "format = \"json\""),
    ("log.access", "access = \"off\""),
    ("log.lines_per_minute", "lines_per_minute = 7"),
];

/// Keys whose change cannot be seen alone: they allow another one, belong to an https upstream, or say how a secret of
/// hero_proc is read.
const ALONE_WITHOUT_EFFECT: &[&str] = &[
    "forge.allow_plaintext",
    "routes.allow_plaintext",
    "routes.ca",
    "admin.allow_same_origin",
    "hero_proc.socket",
    "hero_proc.uid",
    "hero_proc.timeout",
    "hero_proc.method",
    "hero_proc.context",
    "hero_proc.key",
    "hero_proc.value",
];

/// The optional section, as it is before a change.
const ADMIN: &str = "[admin]\npublic_url = \"https://admin.example.org\"\nallow = [\"site-admin\"]\n\
                     token = { file = \"admin_token\" }\n";

/// [`SMALL`] with one key changed.
fn changed(key: &str, line: &str) -> String {
    let (part, name) = key.split_once('.').unwrap();
    let head = if part == "routes" { "[[routes]]".to_owned() } else { format!("[{part}]") };
    let old = format!("{name} = ");
    let whole = format!("{SMALL}[features]\n[session]\n[limits]\n[log]\n{ADMIN}");
    let mut lines: Vec<&str> = Vec::new();
    let mut inside = false;
    for word in whole.lines() {
        if word.starts_with('[') {
            inside = word == head;
        }
        if !(inside && word.starts_with(&old)) {
            lines.push(word);
        }
        if word == head {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("other_secret", &CLIENT_SECRET.replace("gto_q", "gto_z"), 0o600);
    for token in ["admin_token", "other_token"] {
        desk.put(token, CLIENT_SECRET, 0o600);
    }
    desk.put_ca("ca.pem");
    desk
}

/// Holds: V2.
#[test]
fn each_key_that_waits_for_a_restart_is_named_and_no_other() {
    let desk = desk();
    let old = desk.good(&format!("{SMALL}{ADMIN}"));
    let mut seen = BTreeSet::new();
    for (name, line) in CHANGES {
        let new = desk.good(&changed(name, line));
        if *name != "forge.client_secret" {
            assert_ne!(format!("{old:?}"), format!("{new:?}"), "{name}");
        }
        let needs: Vec<_> = diff(&old, &new).iter().map(|key| key.0).collect();
        let (part, key) = name.split_once('.').unwrap();
        let key = PARTS.iter().find(|known| known.name == part).unwrap().key(key).unwrap();
        let expected = if key.reload == Reload::Restart { vec![*name] } else { Vec::new() };
        assert_eq!(needs, expected, "{name}");
        seen.insert((*name).to_owned());
    }
    let all = PARTS.iter().flat_map(|part| part.keys.iter().map(|key| format!("{}.{}", part.name, key.name)));
    let all: BTreeSet<String> = all.filter(|key| !ALONE_WITHOUT_EFFECT.contains(&key.as_str())).collect();
    assert_eq!(seen, all, "each key of the table is changed here");
}

/// Holds: H5, V2.
#[test]
fn a_reload_switches_the_flag_and_leaves_what_needs_a_restart() {
    let desk = desk();
    let old = desk.good(SMALL);
    let text = changed("features.forge_token_pass_through", "forge_token_pass_through = true");
    let text = text
        .replace("vm1.example.org", "vm2.example.org")
        .replace("9000", "9001")
        .replace("3b1c6f2e", "other");
    let new = desk.good(&text);
    let next = old.reloaded(new.clone());
    assert!(next.gate.forge_token_pass_through && !old.gate.forge_token_pass_through);
    assert_eq!((&next.gate.public_url, &next.gate.client_id), (&old.gate.public_url, &old.gate.client_id));
    assert_eq!(next.forge.client_id, old.forge.client_id);
    assert_eq!(next.forward.routes.find("/"), new.forward.routes.find("/"));
    assert_eq!(diff(&old, &next), Vec::new());
}
