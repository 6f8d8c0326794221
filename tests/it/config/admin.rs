//! `[admin]`: what is refused, what is warned about, where it ends up.

use hero_proxy::config::{Config, Place};

use super::{CLIENT_SECRET, Desk, SMALL};
use crate::support::hero_proc::StandIn;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("admin_token", CLIENT_SECRET, 0o600);
    desk
}

fn section(lines: &str) -> String {
    let public_url =
        if lines.contains("public_url") { "" } else { "public_url = \"https://admin.example.org\"\n" };
    let allow = if lines.contains("allow =") { "" } else { "allow = [\"site-admin\"]\n" };
    let token = if lines.contains("token =") { "" } else { "token = { file = \"admin_token\" }\n" };
    format!("[admin]\n{public_url}{allow}{token}{lines}\n")
}

fn with(lines: &str) -> Config {
    desk().good(&format!("{SMALL}{}", section(lines)))
}

/// The complaints about a section's lines, as `key: what`.
fn about(lines: &str) -> Vec<String> {
    let checked = desk().check(&format!("{SMALL}{}", section(lines)));
    checked.complaints.iter().map(|one| format!("{}: {}", one.key, one.what)).collect()
}

#[test]
fn without_the_section_there_is_no_admin_part() {
    assert!(desk().good(SMALL).admin.is_none());
}

/// Holds: A18.
#[test]
fn it_has_an_origin_of_its_own_or_says_that_it_has_not() {
    assert_eq!(with("").admin.unwrap().place, Place::Host);
    let own = with("listen = [\"127.0.0.1:8081\"]").admin.unwrap().place;
    assert_eq!(own, Place::Own(vec!["127.0.0.1:8081".parse().unwrap()]));
    let apps = "public_url = \"https://vm1.example.org\"";
    assert!(
        about(apps)[0].starts_with("admin.public_url: the app has this address too"),
        "{:?}",
        about(apps)
    );
    let said = about(&format!("{apps}\nallow_same_origin = true"));
    assert!(
        said.len() == 1 && said[0].starts_with("admin.allow_same_origin: the admin part shares"),
        "{said:?}"
    );
    let port = about("public_url = \"https://vm1.example.org:8443\"");
    assert!(port[0].contains("cookies know no ports"), "{port:?}");
    // On loopback it is told, and runs.
    let loopback = SMALL.replace("https://vm1.example.org", "http://localhost:8080");
    let at = |url: &str| {
        let checked = desk().check(&format!("{loopback}{}", section(&format!("public_url = \"{url}\""))));
        assert!(checked.config.is_some(), "{:?}", checked.complaints);
        checked.complaints.iter().filter(|one| one.what.contains("cookies know no ports")).count()
    };
    assert_eq!((at("http://localhost:8081"), at("http://127.0.0.1:8081")), (1, 0));
    let forge = about("public_url = \"https://forge.example.org\"");
    assert!(forge[0].contains("the forge has this address too"), "{forge:?}");
    let plain = about("public_url = \"http://admin.example.org\"");
    assert!(plain[0].contains("plain http"), "{plain:?}");
    let taken = about("listen = [\"127.0.0.1:8080\"]");
    assert!(taken[0].starts_with("admin.listen: visitors or probers"), "{taken:?}");
}

#[test]
fn without_routes_it_runs_alone() {
    let forge = "[forge]\nurl = \"https://forge.example.org\"\nclient_id = \"x\"\n\
                 client_secret = { file = \"secrets/forge_client_secret\" }\n";
    let config = desk().good(&format!("{forge}{}", section("listen = [\"127.0.0.1:8081\"]")));
    assert_eq!(config.admin.as_ref().unwrap().place, Place::Alone);
    assert_eq!(config.gate.public_url.origin(), "https://admin.example.org");
    assert_eq!(config.serve.listen, ["127.0.0.1:8081".parse().unwrap()]);
    assert!(config.routes.is_empty());
    let text = format!("{forge}[server]\npublic_url = \"https://vm1.example.org\"\n{}", section(""));
    let said: Vec<_> = desk().check(&text).complaints.iter().map(|one| one.key.clone()).collect();
    assert_eq!(said, ["server.public_url"], "not used, and told");
}

/// Holds: X5, A12.
#[test]
fn a_bad_token_stops_the_start_and_is_not_shown() {
    let desk = desk();
    desk.put("open_token", CLIENT_SECRET, 0o644);
    desk.put("short_token", "hunter2", 0o600);
    for (token, what) in [
        ("{ file = \"missing\" }", "no such file"),
        ("{ file = \"open_token\" }", ""),
        ("{ file = \"short_token\" }", "short or a sample"),
        ("\"gto_in_the_file_itself_0123456789\"", "a secret may not stand in this file"),
        ("{ credential = \"absent\" }", ""),
    ] {
        let checked = desk.check(&format!("{SMALL}{}", section(&format!("token = {token}"))));
        assert!(checked.config.is_none(), "{token}");
        let said = format!("{:?}", checked.complaints);
        assert!(said.contains("admin.token") && said.contains(what), "{said}");
        assert!(
            !said.contains("hunter2") && !said.contains(CLIENT_SECRET) && !said.contains("gto_in"),
            "{said}"
        );
    }
}

/// Holds: X5, A12.
#[test]
fn the_token_may_lie_in_hero_proc_and_the_papers_say_so() {
    let hero_proc = StandIn::start();
    let text = format!(
        "{SMALL}{}[hero_proc]\nsocket = {:?}\n",
        section("token = { hero_proc = \"deployer/FORGE_TOKEN\" }"),
        hero_proc.socket
    );
    let said = |text: &str| {
        let checked = desk().check(text);
        let errors = checked.complaints.iter().map(|one| format!("{}: {} {}", one.key, one.what, one.fix));
        (checked.config, errors.collect::<Vec<_>>().concat())
    };
    let (config, words) = said(&text);
    assert!(config.is_none() && words.contains("admin.token: hero_proc: there is no secret"), "{words}");
    hero_proc.put("deployer", "FORGE_TOKEN", "hunter2");
    let (config, words) = said(&text);
    assert!(config.is_none() && words.contains("short or a sample") && !words.contains("hunter2"), "{words}");
    hero_proc.put("deployer", "FORGE_TOKEN", CLIENT_SECRET);
    let token = said(&text).0.unwrap().admin.unwrap().token;
    assert_eq!(token.read().unwrap().expose(), CLIENT_SECRET);
    // It is read anew each time, and never kept.
    let asked = hero_proc.asked().len();
    hero_proc.put("deployer", "FORGE_TOKEN", "another-0123456789abcdefghij");
    assert_eq!(token.read().unwrap().expose(), "another-0123456789abcdefghij");
    assert_eq!(hero_proc.asked().len(), asked + 1);
    assert!(!format!("{token:?}").contains("another"));
    for (name, paper) in [
        ("proxy.example.toml", include_str!("../../../proxy.example.toml")),
        ("docs/USERS.md", include_str!("../../../docs/USERS.md")),
    ] {
        for place in ["{ file = ", "{ credential = ", "{ hero_proc = \"deployer/FORGE_TOKEN\" }"] {
            let plain = paper.replace("\n# ", " ");
            assert!(plain.contains(place), "{name} names {place}");
        }
    }
}

#[test]
fn who_and_what_is_read_with_care() {
    for (lines, key) in [
        ("allow = []", "admin.allow"),
        ("allow = [\"any-user\"]", "admin.allow[0]"),
        ("allow = [\"org:acme\"]", "admin.allow[0]"),
        ("socket = \"127.0.0.1:1\"", "admin.socket"),
        ("socket = \"/run/x.sock\"", "admin.socket"),
        ("placeholder_domain = \"a b\"", "admin.placeholder_domain"),
        ("calls_per_minute = 0", "admin.calls_per_minute"),
        ("toekn = { file = \"admin_token\" }", "admin.toekn"),
    ] {
        let said = about(lines);
        assert!(said.iter().any(|one| one.starts_with(&format!("{key}:"))), "{lines}: {said:?}");
    }
}
