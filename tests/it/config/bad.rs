//! What is refused: each complaint with its line, its column, its key and what was probably meant.

use super::{Desk, SMALL};
use crate::support::hero_proc::{Mood, StandIn};

/// A complaint in one line: `line:column key: what [meant]`; the start of `what` is enough in an expectation.
fn told(desk: &Desk, text: &str) -> Vec<String> {
    let checked = desk.check(text);
    let is_refused = checked.complaints.iter().any(|c| format!("{:?}", c.severity) == "Error");
    assert_eq!(checked.config.is_none(), is_refused, "an error refuses the file, a warning does not: {text}");
    let lines = checked.complaints.iter().map(|complaint| {
        let place = complaint.place.unwrap_or_else(|| panic!("no place: {complaint:?}"));
        let meant = complaint.did_you_mean.join("|");
        assert!(!complaint.fix.is_empty(), "nothing to do: {complaint:?}");
        format!("{}:{} {}: {} [{meant}]", place.line, place.column, complaint.key, complaint.what)
    });
    lines.collect()
}

/// Checks a text against the complaints expected, each cut where its words do not matter.
fn expect(text: &str, expected: &[(&str, &str)]) {
    expect_at(&Desk::new(), text, expected);
}

fn expect_at(desk: &Desk, text: &str, expected: &[(&str, &str)]) {
    let told = told(desk, text);
    let fits = told.len() == expected.len()
        && told
            .iter()
            .zip(expected)
            .all(|(line, (start, meant))| line.starts_with(start) && line.ends_with(&format!(" [{meant}]")));
    assert!(fits, "expected {expected:#?}\ntold {told:#?}\nof\n{text}");
}

/// [`SMALL`] with one line in place of another.
fn with(old: &str, new: &str) -> String {
    assert!(SMALL.contains(old), "{old}");
    SMALL.replace(old, new)
}

/// [`SMALL`] with more at its end.
fn and(more: &str) -> String {
    format!("{SMALL}{more}")
}

#[test]
fn the_smallest_configuration_has_no_complaints() {
    expect(SMALL, &[]);
}

/// Holds: V1.
#[test]
fn everything_that_is_wrong_is_told_at_once_with_place_key_and_nearest_match() {
    let text = r#"[sever]
listn = ["127.0.0.1:8080"]
public_url = "http://vm1.example.org"
trusted_proxies = "10.0.0.1"

[forge]
url = "https://forge.example.org"
client_secret = { file = "secrets/forge_client_secret" }
timeout = "10"
path = "x.db"

[sesion]
idle = "40d"
store = "sqllite"

[[routes]]
path = "app"
upstream = "127.0.0.1:9000"
forge_token = "yes"

[[routes]]
path = "/b"
upstrem = "http://127.0.0.1:9000"
groups = ["acme", 7]

[limits]
max_headers = 5
max_body_size = "4GB"

[colours]
"#;
    expect(
        text,
        &[
            ("1:2 sever: no such section", "server"),
            ("2:1 server.listn: no such key", "listen"),
            ("3:14 server.public_url: plain http", ""),
            ("4:19 server.trusted_proxies: not the right type of value: a string", ""),
            ("6:1 forge.client_id: this key is missing", ""),
            ("9:11 forge.timeout: \"10\": a unit is missing", ""),
            ("10:1 forge.path: this key does not belong here", ""),
            ("12:2 sesion: no such section", "session"),
            ("13:8 session.idle: the idle life is longer", ""),
            ("14:9 session.store: \"sqllite\" is not known here", "sqlite"),
            ("17:8 routes[0].path: a path starts with a slash", ""),
            ("18:12 routes[0].upstream: not the address of an upstream", ""),
            ("19:15 routes[0].forge_token: not the right type of value: a string", ""),
            ("23:1 routes[1].upstrem: no such key", "upstream"),
            ("24:19 routes[1].groups[1]: not a string but a whole number", ""),
            ("27:15 limits.max_headers: out of bounds", ""),
            ("28:17 limits.max_body_size: \"4GB\": not a number with a unit", ""),
            ("30:2 colours: no such section", ""),
            ("31:1 access.allow: this key is missing", ""),
        ],
    );
}

/// Holds: V1.
#[test]
fn a_text_that_is_no_toml_is_told_line_by_line_and_the_rest_is_still_read() {
    let text = with("client_id = \"3b1c6f2e\"", "client_id = 3b1c6f2e")
        .replace("path = \"/\"", "path = \"/")
        .replace("public_url", "public_ulr");
    expect(
        &text,
        &[
            ("2:1 server.public_ulr: no such key", "public_url"),
            ("6:14 : this is no TOML", ""),
            ("13:10 : this is no TOML", ""),
        ],
    );
    expect("[server\n", &[("1:8 : this is no TOML", "")]);
}

/// Holds: V1.
#[test]
fn a_list_without_an_end_is_told_once_where_it_begins() {
    let text = with("[\"org:acme\"]", "[\"org:acme\"") + "[features]\nforge_token_pass_through = true\n";
    expect(&text, &[("10:9 : this is no TOML: this list has no end", "")]);
    let text = text.replace("path = \"/\"", "path = \"/");
    expect(&text, &[("10:9 : this is no TOML: this list has no end", ""), ("13:10 : this is no TOML", "")]);
}

/// Holds: V1.
#[test]
fn a_name_that_stands_twice_is_told_with_its_path_and_the_line_of_the_first() {
    let text = and("upstream = \"http://127.0.0.1:9001\"\n[access]\n");
    let at = |line| format!("this is no TOML: the name stands in line {line} already");
    expect(
        &text,
        &[(&format!("15:1 routes[0].upstream: {}", at(14)), ""), (&format!("16:2 access: {}", at(9)), "")],
    );
}

/// Holds: G13.
#[test]
fn without_a_list_of_who_may_pass_nothing_starts() {
    expect(&with("allow = [\"org:acme\"]\n", ""), &[("9:1 access.allow: this key is missing", "")]);
    expect(
        &with("[access]\nallow = [\"org:acme\"]\n", ""),
        &[("13:1 access.allow: this key is missing", "")],
    );
    expect(&with("[\"org:acme\"]", "[]"), &[("10:9 access.allow: the list is empty", "")]);
    expect(
        &with(
            "[\"org:acme\"]",
            "[\"users:alice\", \"alice\", \"user-id:007\", \"team:acme\", \"org:a b\", \"site-admin\"]",
        ),
        &[
            ("10:10 access.allow[0]: \"users:alice\" names nobody", "user:alice"),
            ("10:25 access.allow[1]: \"alice\" names nobody", ""),
            ("10:34 access.allow[2]: \"user-id:007\" names nobody", ""),
            ("10:49 access.allow[3]: \"team:acme\" names nobody", ""),
            ("10:62 access.allow[4]: \"org:a b\" names nobody", ""),
            ("10:73 access.allow[5]: \"site-admin\" names nobody", ""),
        ],
    );
}

/// Holds: O15.
#[test]
fn a_scope_list_that_would_give_a_token_of_full_power_is_refused() {
    let scopes = |list: &str| with("[access]", &format!("scopes = {list}\n[access]"));
    expect(
        &scopes(r#"["openid", "profile", "email"]"#),
        &[("9:10 forge.scopes: no word is an API scope: the forge would give a token of full power", "")],
    );
    expect(
        &scopes(r#"["openid", "profile", "read:user", "write:issues"]"#),
        &[("9:45 forge.scopes[3]: the forge knows no such scope", "write:issue")],
    );
    expect(
        &scopes(r#"["openid,profile,write:issue"]"#),
        &[
            ("9:10 forge.scopes: \"openid\" is missing", ""),
            ("9:10 forge.scopes: \"profile\" is missing", ""),
            ("9:10 forge.scopes: no word is an API scope", ""),
            ("9:11 forge.scopes[0]: the forge reads this as one unknown word", ""),
        ],
    );
    expect(
        &scopes(r#"["openid", "profile", "all"]"#),
        &[("9:10 forge.scopes: these words ask for full power", "")],
    );
}

/// Holds: V1.
#[test]
fn a_header_name_in_another_than_its_usual_spelling_is_refused() {
    expect(
        &and(
            "[features]\nreserved_headers = [\"X-My-User\", \"X_My_User\", \"x.my.user\", \"X My\", \"Host\", \"\"]\n",
        ),
        &[
            ("16:34 features.reserved_headers[1]: not the usual spelling", "X-My-User"),
            ("16:47 features.reserved_headers[2]: not the usual spelling", "x-my-user"),
            ("16:60 features.reserved_headers[3]: not the usual spelling", "X-My"),
            ("16:68 features.reserved_headers[4]: no request gets through without this header", ""),
            ("16:76 features.reserved_headers[5]: not the name of a header", ""),
        ],
    );
}

/// Holds: V1.
#[test]
fn values_that_clash_are_refused() {
    expect(
        &with(
            "[server]\n",
            "[server]\nlisten = [\"127.0.0.1:80\", \"127.0.0.1:80\"]\nhealth = \"127.0.0.1:80\"\n",
        ),
        &[
            ("2:27 server.listen[1]: this address stands twice", ""),
            ("3:10 server.health: visitors come in at this address", ""),
        ],
    );
    expect(
        &with("[server]\n", "[server]\nhealth = \"0.0.0.0:9180\"\n"),
        &[("2:10 server.health: the health listener may be on loopback", "")],
    );
    expect(
        &with("https://vm1.example.org", "https://forge.example.org"),
        &[("2:14 server.public_url: the forge has this address too", "")],
    );
    expect(
        &and(
            "public = true\nallow = [\"user:a\"]\nca = \"none.pem\"\n[[routes]]\npath = \"/app/\"\nupstream = \"unix:/a\"\n[[routes]]\npath = \"/app\"\nupstream = \"unix:b\"\n[[routes]]\npath = \"/_hero/auth\"\nupstream = \"unix:/a\"\n",
        ),
        &[
            ("15:10 routes[0].public: public lets everybody in", ""),
            ("17:6 routes[0].ca: the file of certificates cannot be read: No such file or directory", ""),
            ("17:6 routes[0].ca: certificates for an upstream without TLS", ""),
            ("22:8 routes[2].path: another route has this path", ""),
            ("23:12 routes[2].upstream: not the path of a socket", ""),
            ("25:8 routes[3].path: our own endpoints lie there", ""),
        ],
    );
    expect(
        &and("[limits]\nmax_head_size = \"8KiB\"\nmax_target_size = \"16KiB\"\n"),
        &[("17:19 limits.max_target_size: a target larger than the whole head", "")],
    );
}

#[test]
fn odd_paths_and_addresses_are_refused() {
    for path in ["/a/../b", "/a//b", "/a%2fb", "/a;b", "/a?b", "/\u{e4}", "/a b", "/./a"] {
        expect(
            &with("path = \"/\"", &format!("path = \"{path}\"")),
            &[("13:8 routes[0].path: a path that different", "")],
        );
    }
    for upstream in [
        "http://127.0.0.1:9000/app",
        "http://127.0.0.1:9000/?x=1",
        "http://",
        "https:///a b",
        "http:\\\\\\\\a",
    ] {
        let text = with("http://127.0.0.1:9000", upstream);
        assert_eq!(told(&Desk::new(), &text).len(), 1, "{upstream}");
    }
    for prefix in ["_hero", "/", "/_hero/", "/a//b", "/a/../b", "/\u{e4}"] {
        expect(
            &with("[server]\n", &format!("[server]\nprefix = \"{prefix}\"\n")),
            &[("2:10 server.prefix: not a path prefix", "")],
        );
    }
    for proxy in ["localhost", "10.0.0.0/33", "", "*"] {
        expect(
            &with("[server]\n", &format!("[server]\ntrusted_proxies = [\"{proxy}\"]\n")),
            &[("2:20 server.trusted_proxies[0]: not an address or a network", "")],
        );
    }
    expect(
        &with("[server]\n", "[server]\ntrusted_proxies = [\"10.1.2.3/16\"]\n"),
        &[("2:20 server.trusted_proxies[0]: an address within a network", "")],
    );
}

#[test]
fn tokens_and_cookies_travel_in_the_clear_on_loopback_only_unless_the_operator_says_so() {
    expect(
        &with("https://vm1.example.org", "http://vm1.example.org"),
        &[("2:14 server.public_url: plain http", "")],
    );
    for host in ["localhost:8080", "127.0.0.1", "[::1]:80"] {
        expect(&with("https://vm1.example.org", &format!("http://{host}")), &[]);
    }
    expect(
        &with("https://forge.example.org", "http://forge.example.org"),
        &[("5:7 forge.url: plain http", "")],
    );
    expect(
        &with("[access]", "internal_url = \"http://10.0.0.5\"\n[access]"),
        &[("9:16 forge.internal_url: plain http", "")],
    );
    expect(&with("[access]", "internal_url = \"http://10.0.0.5\"\nallow_plaintext = true\n[access]"), &[]);
    let route = |more: &str| {
        with("upstream = \"http://127.0.0.1:9000\"", &format!("upstream = \"http://10.0.0.7:9000\"\n{more}"))
    };
    expect(&route(""), &[]);
    expect(
        &route("forge_token = true"),
        &[("14:12 routes[0].upstream: visitors' tokens would travel in the clear", "")],
    );
    expect(&route("forge_token = [\"user:alice\"]\nallow_plaintext = true"), &[]);
}

#[test]
fn a_socket_without_a_folder_is_told_before_the_start_refuses_it() {
    let server = |line: &str| with("[server]\n", &format!("[server]\n{line}\n"));
    expect(
        &server("listen = [\"unix:/nofolder/x\"]"),
        &[("2:11 server.listen[0]: /nofolder: there is no such folder", "")],
    );
    expect(
        &server("health = \"unix:/nofolder/x\""),
        &[("2:10 server.health: /nofolder: there is no such folder", "")],
    );
}

/// Holds: X5.
#[test]
fn a_secret_that_is_missing_open_short_or_literal_is_refused_and_never_shown() {
    let desk = Desk::new();
    let canary = "canary7";
    desk.put("open", "gto_canary7q3vw7ixb2d5jslmu4phyz6tkfaeoc3n7", 0o644);
    desk.put("short", canary, 0o600);
    desk.put("sample", "changeme-canary7-changeme", 0o600);
    desk.put("empty", "", 0o600);
    let secret = |reference: &str| with("{ file = \"secrets/forge_client_secret\" }", reference);
    let at = |what: &str| format!("7:17 forge.client_secret: {what}");
    let path = |name: &str| desk.path(name).display().to_string();
    for (reference, what) in [
        ("\"canary7\"", "a secret may not stand in this file".to_owned()),
        ("7", "not a reference to a secret".to_owned()),
        ("{ file = \"none\" }", format!("{}: there is no such file", path("none"))),
        ("{ file = \"open\" }", format!("{}: others than its owner may use it (mode 0644)", path("open"))),
        ("{ file = \"short\" }", "this secret is short or a sample".to_owned()),
        ("{ file = \"sample\" }", "this secret is short or a sample".to_owned()),
        ("{ file = \"empty\" }", format!("{}: the secret is empty", path("empty"))),
        ("{ file = \"secrets\" }", format!("{}: this is not a regular file", path("secrets"))),
        ("{ credential = \"none\" }", format!("{}: there is no such file", path("credentials/none"))),
        ("{ credential = \"../open\" }", "not the name of a credential".to_owned()),
        (
            "{ hero_proc = \"deployer/FORGE_TOKEN\" }",
            "hero_proc: /run/hero_proc/rpc.sock: there is no such socket".to_owned(),
        ),
        ("{ hero_proc = \"FORGE_TOKEN\" }", "not the name of a slot of hero_proc".to_owned()),
        ("{ hero_proc = \"../x/y\" }", "not the name of a slot of hero_proc".to_owned()),
        ("{ hero_proc = 7 }", "not a reference to a secret".to_owned()),
        ("{ file = \"a\", credential = \"b\" }", "not a reference to a secret".to_owned()),
        ("{ value = \"canary7\" }", "not a reference to a secret".to_owned()),
    ] {
        let text = secret(reference);
        expect_at(&desk, &text, &[(&at(&what), "")]);
        let checked = desk.check(&text);
        let shown = hero_proxy::config::render::text("proxy.toml", &checked);
        let value = hero_proxy::config::render::value("proxy.toml", &checked).to_string();
        assert!(!shown.contains(canary) && !value.contains(canary), "{shown}\n{value}");
        assert!(!format!("{checked:?}").contains(canary));
    }
    expect_at(&desk, &secret("{ credential = \"forge_client_secret\" }"), &[]);
}

/// Holds: X5.
#[test]
fn a_secret_of_hero_proc_is_read_and_what_keeps_it_back_is_said_with_what_to_do() {
    let (desk, stand_in) = (Desk::new(), StandIn::start());
    stand_in.put("vm1", "CLIENT", "gto_canary7q3vw7ixb2d5jslmu4phyz6tkfaeoc3n7");
    stand_in.put("vm1", "SHORT", "canary7");
    let text = |slot: &str| {
        let reference =
            with("{ file = \"secrets/forge_client_secret\" }", &format!("{{ hero_proc = {slot:?} }}"));
        format!("{reference}\n[hero_proc]\nsocket = {:?}\n", stand_in.socket)
    };
    expect_at(&desk, &text("vm1/CLIENT"), &[]);
    let at = "7:17 forge.client_secret: ";
    expect_at(&desk, &text("vm1/SHORT"), &[(&format!("{at}this secret is short or a sample"), "")]);
    expect_at(&desk, &text("vm1/NONE"), &[(&format!("{at}hero_proc: there is no secret in vm1/NONE"), "")]);
    stand_in.set_mood(Mood::Says(b"<html>canary7\n".to_vec()));
    expect_at(&desk, &text("vm1/CLIENT"), &[(&format!("{at}hero_proc's answer makes no sense"), "")]);
    let checked = desk.check(&text("vm1/CLIENT"));
    let shown = hero_proxy::config::render::text("proxy.toml", &checked);
    assert!(shown.contains("compare the names in [hero_proc]") && !shown.contains("canary7"), "{shown}");
    let empty = format!("{}[hero_proc]\nmethod = \"\"\n", SMALL);
    assert!(desk.check(&empty).config.is_none(), "an empty name is none");
}

/// Holds: X5.
#[test]
fn a_broken_line_with_a_secret_in_it_is_not_shown() {
    let desk = Desk::new();
    for broken in [
        "client_secret = canary7",
        "client_secret = \"canary7",
        "client_secret \"canary7\"",
        "client_secert = \"canary7\"",
        "token = \"canary7\"",
        "url = \"https://alice:canary7@forge.example.org\"",
        "client_secret = '''\ncanary7",
        "extra = { client_id = \"x\", client_secret = \"canary7\" }",
    ] {
        let text = with("client_id = \"3b1c6f2e\"\n", &format!("{broken}\n"));
        let checked = desk.check(&text);
        assert!(checked.config.is_none());
        let shown = hero_proxy::config::render::text("proxy.toml", &checked);
        assert!(!shown.contains("canary7"), "{broken}:\n{shown}");
        assert!(!checked.complaints.iter().any(|complaint| complaint.to_string().contains("canary7")));
    }
}

/// Wherever an address with a password is written, and however it is spoilt: neither the check in its two forms nor a log
/// repeats it. Holds: K4 (passwords in the configuration), X5.
#[test]
fn a_password_in_an_address_is_shown_nowhere_whatever_key_it_is_written_to() {
    let desk = Desk::new();
    let addresses = [
        "https://alice:canary7@forge.example.org",
        "https://alice:canary7@forge.example.org:99999",
        "https://alice:canary7@[::1",
        "https://alice:canary7%40forge.example.org/",
        "https://alice:canary7",
        "http://alice:canary7:9000",
        "redis://:canary7@10.0.0.1:6379/0",
        "alice:canary7@10.0.0.1:9000",
        "//alice:canary7@h",
        "https://alice:canary7\u{ff20}h/",
        "https://h/?password=canary7",
        "https://h/#canary7",
        "unix:/run/x?canary7@h",
        "http://alice:can canary7@h",
    ];
    let mut refused = 0;
    let mut silent = |text: &str| {
        let checked = desk.check(text);
        refused += usize::from(checked.config.is_none());
        let mut all = hero_proxy::config::render::text("proxy.toml", &checked);
        all += &hero_proxy::config::render::value("proxy.toml", &checked).to_string();
        for complaint in &checked.complaints {
            all += &hero_proxy::config::render::line("proxy.toml", complaint);
        }
        assert!(!all.contains("canary7"), "{text}\n{all}");
    };
    for address in addresses {
        for part in hero_proxy::config::keys::PARTS {
            let head = if part.repeated { format!("[[{}]]", part.name) } else { format!("[{}]", part.name) };
            for key in part.keys.iter().map(|key| key.name).chain(["no_such_key"]) {
                for value in [
                    format!("\"{address}\""),
                    format!("[\"{address}\"]"),
                    format!("[\n  \"{address}\",\n]"),
                    format!("{{ file = \"{address}\" }}"),
                    format!("{{ credential = \"{address}\" }}"),
                    format!("\"{address}"),
                    format!("'''\n{address}\n"),
                    address.to_owned(),
                ] {
                    silent(&format!("{head}\n{key} = {value}\n"));
                }
            }
        }
        for line in [
            format!("\"{address}\" = 1"),
            format!("[\"{address}\"]"),
            format!("[{address}]"),
            address.to_owned(),
        ] {
            silent(&and(&format!("{line}\n")));
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// Holds: X5.
#[test]
fn a_bad_session_key_an_open_store_and_a_bad_ca_file_are_refused() {
    let desk = Desk::new();
    desk.put("short_key", "c2hvcnQ=", 0o600);
    desk.put("open.db", "", 0o640);
    desk.put("not.pem", "canary7", 0o644);
    let session = |lines: &str| and(&format!("[session]\n{lines}\n"));
    expect_at(
        &desk,
        &session("key = { file = \"short_key\" }"),
        &[(
            &format!("16:7 session.key: {}: the key in line 1 has 5 bytes", desk.path("short_key").display()),
            "",
        )],
    );
    expect_at(
        &desk,
        &session("path = \"open.db\""),
        &[
            ("15:1 session.key: ", ""),
            (&format!("16:8 session.path: {}: others than its owner", desk.path("open.db").display()), ""),
        ],
    );
    expect_at(&desk, &session("path = \"none/x.db\""), &[("16:8 session.path: ", "")]);
    let key = session("path = \"x.db\"\nkey = { file = \"none/k\" }");
    let folder = desk.path("none").display().to_string();
    expect_at(&desk, &key, &[(&format!("17:7 session.key: {folder}: there is no such folder"), "")]);
    expect_at(
        &desk,
        &session("store = \"redis\""),
        &[("16:9 session.store: \"redis\" is not known here", "")],
    );
    for (file, what) in [
        ("none.pem", "the file of certificates cannot be read: No such file or directory (os error 2)"),
        ("not.pem", "there is no certificate"),
    ] {
        expect_at(
            &desk,
            &with("[access]", &format!("ca = \"{file}\"\n[access]")),
            &[(&format!("9:6 forge.ca: {what}"), "")],
        );
    }
}

#[test]
fn what_is_dangerous_and_allowed_is_warned_about() {
    expect(
        &with("org:acme", "any-user").replace("9000\"", "9000\"\nforge_token = true"),
        &[("15:15 routes[0].forge_token: whoever runs this upstream gets a token of every user", "")],
    );
    expect(
        &with("[server]\n", "[server]\nlisten = [\"0.0.0.0:8080\"]\ntrusted_proxies = [\"0.0.0.0/0\"]\n"),
        &[
            ("2:11 server.listen[0]: other machines reach this address", ""),
            ("3:20 server.trusted_proxies[0]: everybody's X-Forwarded-* headers are believed", ""),
        ],
    );
    expect(
        &and("forge_token = true\ncross_origin = true\n[session]\nstore = \"memory\"\npath = \"x.db\"\n"),
        &[
            ("16:16 routes[0].cross_origin: cross_origin with forge_token", ""),
            ("19:8 session.path: not used", ""),
        ],
    );
    expect(
        &and("[features]\nforge_token_pass_through = true\n"),
        &[("16:28 features.forge_token_pass_through: no route", "")],
    );
}
