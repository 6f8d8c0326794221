use super::*;

fn of_name(text: &str) -> Vec<Problem> {
    about_username(text).into_iter().map(|complaint| complaint.problem).collect()
}

fn parse(email: &str) -> Result<NewUser, Vec<Complaint>> {
    NewUser::parse("alice", None, Some(email), &PlaceholderDomain::default())
}

/// Holds: A10.
#[test]
fn a_name_that_could_reach_another_endpoint_is_no_name() {
    for name in [
        "../orgs/x",
        "..",
        ".",
        "a/b",
        "a%2fb",
        "a%2Fb",
        "a?b",
        "a#b",
        "a\\b",
        "a b",
        "a;b",
        "a\0",
        "a\n",
        "?",
        "#",
        "%",
        " alice",
        "alice ",
        "a@b",
        "a:b",
        "Ünal",
        "аdmin",
        "a\u{202e}b",
        "-",
        "_",
    ] {
        assert!(Username::parse(name).is_err(), "{name:?}");
    }
}

/// Holds: A10.
#[test]
fn the_forges_rule_for_names_holds_here() {
    for name in ["a", "A1", "alice", "alice.b", "a-b_c.d", "x.key", "Admin2", &"x".repeat(40)] {
        assert_eq!(of_name(name), [], "{name}");
    }
    assert_eq!(of_name(""), [Problem::Empty]);
    assert_eq!(of_name(&"x".repeat(41)), [Problem::TooLong(40)]);
    assert_eq!(of_name(&"x".repeat(300)), [Problem::TooLong(40)]);
    assert_eq!(of_name("a--b"), [Problem::DoubledMark]);
    assert_eq!(of_name("a-"), [Problem::BadEnd]);
    assert_eq!(of_name("_a"), [Problem::BadEnd]);
    for name in ["admin", "api", "user", "ADMIN", "Ghost", "v2", "repo-avatars", "swagger.v1.json"] {
        assert_eq!(of_name(name), [Problem::Reserved], "{name}");
    }
    assert_eq!(of_name("x.KEYS"), [Problem::ReservedSuffix(".keys")]);
}

#[test]
fn all_complaints_come_at_once() {
    let long = "x".repeat(101);
    let complaints =
        NewUser::parse("-a b--", Some(&long), Some("nobody"), &PlaceholderDomain::default()).unwrap_err();
    let said: Vec<(&str, Problem)> =
        complaints.iter().map(|complaint| (complaint.field.name(), complaint.problem)).collect();
    assert_eq!(
        said,
        [
            ("username", Problem::BadCharacter),
            ("username", Problem::BadEnd),
            ("username", Problem::DoubledMark),
            ("display_name", Problem::TooLong(100)),
            ("email", Problem::NotAnAddress),
        ]
    );
    assert!(complaints.iter().all(|complaint| !complaint.to_string().contains("nobody")));
}

#[test]
fn without_an_address_a_placeholder_is_made_of_the_name() {
    let placeholder = PlaceholderDomain::parse("Nomail.Example").unwrap();
    for email in [None, Some(""), Some("  ")] {
        let new = NewUser::parse("Alice", Some(" "), email, &placeholder).unwrap();
        assert_eq!((new.username().as_str(), new.email()), ("Alice", "alice@nomail.example"));
        assert_eq!(new.display_name(), None);
    }
    assert_eq!(PlaceholderDomain::default().to_string(), "nomail.demo.ourworld.tf");
    for domain in ["", ".", "a..b", "-a", "a b", "x@y", "a/b", &"x.".repeat(120)] {
        assert_eq!(PlaceholderDomain::parse(domain), None, "{domain}");
    }
}

#[test]
fn an_address_is_a_plain_one() {
    for email in ["a@b", "a.b+c@example.org", "x'y@sub.example.org", " a@b "] {
        assert!(parse(email).is_ok(), "{email}");
    }
    let long = format!("{}@example.org", "x".repeat(65));
    for email in [
        "a",
        "@b",
        "a@",
        "a@@b",
        "a b@c",
        "a@b c",
        "Ada <a@b>",
        "<a@b>",
        "\"a b\"@c",
        "a@[127.0.0.1]",
        "a@b.",
        ".a@b",
        "a..b@c",
        "-a@b",
        "a@-b",
        "a@b\r\nBcc: c@d",
        "a,b@c",
        "ä@b",
        "a@b,c@d",
        &long,
    ] {
        assert!(parse(email).is_err(), "{email:?}");
    }
    let domain = format!("a@{}", ["x".repeat(63).as_str(); 4].join("."));
    assert_eq!(parse(&domain).unwrap_err()[0].problem, Problem::TooLong(254));
}

#[test]
fn a_display_name_is_any_text_that_can_be_shown() {
    let parse = |name: &str| NewUser::parse("alice", Some(name), None, &PlaceholderDomain::default());
    assert_eq!(parse(" <b>Ada</b> Lövelace ").unwrap().display_name(), Some("<b>Ada</b> Lövelace"));
    for name in ["a\nb", "a\0b", "a\u{202e}b", "a\u{85}b"] {
        assert_eq!(parse(name).unwrap_err()[0].problem, Problem::Unprintable, "{name:?}");
    }
}
