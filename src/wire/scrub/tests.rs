use proptest::prelude::*;

use super::*;

fn rules() -> ScrubRules {
    ScrubRules {
        cookies: OwnCookies {
            session: "__Host-hero_session".to_owned(),
            flow_prefix: "__Host-hero_flow_".to_owned(),
            signed_out: "__Host-hero_signed_out".to_owned(),
        },
        extra: vec!["x-acme-user".to_owned()],
    }
}

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

fn left(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

fn check(lines: &[(&str, &str)], expected: &[(&str, &str)]) -> Scrubbed {
    let mut headers = map(lines);
    let seen = scrub(&mut headers, &rules(), false);
    let expected: Vec<(String, String)> =
        expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    assert_eq!(left(&headers), expected, "{lines:?}");
    seen
}

#[test]
fn the_first_letters_are_those_of_all_reserved_names() {
    let names = RESERVED.iter().chain(&RESERVED_PREFIXES);
    assert!(names.clone().all(|name| RESERVED_FIRST.contains(&name.as_bytes()[0])));
    assert!(RESERVED_FIRST.iter().all(|first| names.clone().any(|name| name.as_bytes()[0] == *first)));
}

/// Holds: H1, H3, P1.
#[test]
fn reserved_names_and_their_aliases_are_dropped_and_counted() {
    for name in [
        "X-Hero-Forge-Token",
        "x_hero_forge_token",
        "x.hero.forge.token",
        "X-Hero_Anything",
        "x!hero~user",
        "Remote-User",
        "remote_user",
        "X-Forwarded-User",
        "x_forwarded_for",
        "X-Auth-Request-Email",
        "X-WEBAUTH-USER",
        "X-authentik-username",
        "Tailscale-User-Login",
        "X-SSL-Client-Cert",
        "Transfer_Encoding",
        "transfer.encoding",
        "Content_Length",
        "Co0kie_x-acme",
        "X_Acme_User",
        "Forwarded",
        "X-Real-IP",
        "x_request_id",
        "Sudo",
        "V`ia",
    ] {
        // Two that only look like it stay.
        let stays = matches!(name, "Co0kie_x-acme" | "V`ia");
        let expected: Vec<(&str, &str)> = if stays { vec![] } else { vec![("accept", "*/*")] };
        let mut headers = map(&[("accept", "*/*"), (name, "forged"), (name, "again")]);
        let seen = scrub(&mut headers, &rules(), false);
        if stays {
            assert_eq!(seen.spoofed, 0, "{name}");
        } else {
            assert_eq!(
                left(&headers),
                expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>(),
                "{name}"
            );
            assert_eq!(seen.spoofed, 2, "{name}");
        }
    }
}

/// Holds: H4.
#[test]
fn connection_removes_what_it_names_but_never_host_framing_or_cookies() {
    check(
        &[
            ("host", "vm1"),
            ("connection", "X-Real, Host, content-length"),
            ("Connection", "cookie,TRANSFER-ENCODING, ,x-hero-user"),
            ("proxy-connection", "x-other"),
            ("x-real", "1"),
            ("x-other", "2"),
            ("content-length", "3"),
            ("cookie", "a=b"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("proxy-authorization", "Basic x"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
        ],
        &[("host", "vm1"), ("content-length", "3"), ("cookie", "a=b")],
    );
}

#[test]
fn a_wanted_upgrade_is_noted_before_its_headers_go() {
    assert!(check(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")], &[]).upgrade);
    assert!(!check(&[("upgrade", "websocket")], &[]).upgrade);
}

/// Holds: H8.
#[test]
fn our_cookies_go_and_the_others_keep_their_order_and_bytes() {
    let id = "a".repeat(43);
    let line = format!("a=\"1\"; __Host-hero_session={id};b=2");
    let seen = check(
        &[("cookie", &line), ("cookie", "__Host-hero_flow_abc=xyz"), ("cookie", "c = 3 ;; d")],
        &[("cookie", "a=\"1\"; b=2; c = 3; d")],
    );
    assert!(matches!(seen.session, SessionCookie::One(text) if text.as_bytes() == id.as_bytes()));
    assert_eq!(seen.cookies, [OwnCookie { name: "__Host-hero_flow_abc".to_owned(), value: b"xyz".to_vec() }]);
    check(&[("cookie", "__Host-hero_session=x")], &[]);
    check(&[("cookie", "__host-HERO_session=x; z=1")], &[("cookie", "z=1")]);
    check(&[("cookie", "only=theirs;  spaced=too")], &[("cookie", "only=theirs;  spaced=too")]);
}

/// Holds: S6, S7.
#[test]
fn two_session_cookies_or_an_oversized_one_are_none() {
    let twice = check(&[("cookie", "__Host-hero_session=a; __Host-hero_session=b")], &[]);
    assert!(matches!(twice.session, SessionCookie::Odd));
    let long = format!("__Host-hero_session={}", "a".repeat(65));
    assert!(matches!(check(&[("cookie", &long)], &[]).session, SessionCookie::Odd));
    let empty = check(&[("cookie", "__Host-hero_session=")], &[]);
    assert!(matches!(empty.session, SessionCookie::One(text) if text.as_bytes().is_empty()));
}

/// Holds: H12.
#[test]
fn forwarding_headers_count_from_a_believed_peer_only() {
    let lines = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-for", "5.6.7.8"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "vm1"),
        ("x-forwarded-uri", "/x"),
        ("x-original-url", "/y"),
        ("x-rewrite-url", "/z"),
        ("forwarded", "for=9.9.9.9"),
        ("x-real-ip", "9.9.9.9"),
        ("connection", "x-forwarded-for"),
    ];
    let seen = check(&lines, &[]);
    assert_eq!((seen.forwarded_for, seen.forwarded), (None, None));
    let mut headers = map(&lines);
    let seen = scrub(&mut headers, &rules(), true);
    assert!(headers.is_empty());
    assert_eq!(seen.forwarded_for.unwrap(), "1.2.3.4, 5.6.7.8");
    assert_eq!(seen.forwarded.unwrap(), "for=9.9.9.9");
}

#[test]
fn a_request_id_is_kept_when_short_and_harmless() {
    assert_eq!(check(&[("x-request-id", "abc-1.2_Z")], &[]).request_id.unwrap(), "abc-1.2_Z");
    let long = "a".repeat(65);
    for bad in ["", "a b", "a\"b", "a,b", long.as_str()] {
        assert_eq!(check(&[("x-request-id", bad)], &[]).request_id, None, "{bad}");
    }
    assert_eq!(check(&[("x-request-id", "a"), ("x-request-id", "b")], &[]).request_id, None);
}

/// Holds: H9.
#[test]
fn a_backend_can_neither_set_nor_clear_our_cookies() {
    let mut headers = map(&[
        ("set-cookie", "a=1; Path=/"),
        ("set-cookie", "__Host-hero_session=evil; Path=/"),
        ("set-cookie", "b=2"),
        ("set-cookie", "__Host-hero_flow_x=evil"),
        ("x-hero-forge-token", "t"),
        ("x_hero_user", "u"),
        ("clear-site-data", "\"cache\", \"cookies\""),
    ]);
    assert_eq!(scrub_answer(&mut headers, &rules()), 5);
    assert_eq!(
        left(&headers),
        [("set-cookie".to_owned(), "a=1; Path=/".to_owned()), ("set-cookie".to_owned(), "b=2".to_owned())]
    );
}

/// Holds: H9.
#[test]
fn no_odd_spelling_of_an_answer_sets_or_clears_our_cookies() {
    for (name, value) in [
        ("set-cookie", "=__Host-hero_session=forged; Path=/"),
        ("set-cookie", " = __Host-hero_session = forged"),
        ("set-cookie", "__host-HERO_session=forged"),
        ("set-cookie", "__Host-hero_session"),
        ("clear-site-data", "\"*\""),
        ("x-forwarded-access-token", "t"),
    ] {
        let mut headers = map(&[("clear-site-data", "\"cache\""), (name, value)]);
        scrub_answer(&mut headers, &rules());
        assert_eq!(headers.get_all(name).iter().filter(|line| *line == value).count(), 0, "{name}: {value}");
    }
    let mut headers = map(&[("set-cookie", "=theirs; Path=/"), ("clear-site-data", "\"cache\"")]);
    assert_eq!(scrub_answer(&mut headers, &rules()), 0);
}

/// Holds: H4.
#[test]
fn connection_cannot_hide_where_a_request_comes_from() {
    check(
        &[("connection", "origin, sec-fetch-site"), ("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
    );
}

const NAMES: [&str; 9] = [
    "x-hero-forge-token",
    "x-hero-user-id",
    "x-forwarded-for",
    "x-forwarded-user",
    "x-auth-request-user",
    "remote-user",
    "x-real-ip",
    "forwarded",
    "x-acme-user",
];

proptest! {
    /// Holds: H2.
    #[test]
    fn no_alias_of_a_reserved_name_survives(which in 0..NAMES.len(), picks in proptest::collection::vec(any::<u8>(), 32)) {
        let odd = b"-_.!#$%&'*+^`|~";
        let alias: Vec<u8> = NAMES[which].bytes().zip(picks).map(|(byte, pick)| match byte {
            b'-' => odd[pick as usize % odd.len()],
            letter if pick % 2 == 0 => letter.to_ascii_uppercase(),
            letter => letter,
        }).collect();
        let mut headers = HeaderMap::new();
        headers.append(HeaderName::from_bytes(&alias).unwrap(), HeaderValue::from_static("forged"));
        let seen = scrub(&mut headers, &rules(), false);
        prop_assert!(headers.is_empty());
        prop_assert_eq!(seen.spoofed, 1);
    }

    #[test]
    fn any_bytes_in_a_cookie_line_are_survived(line in proptest::collection::vec(0x20_u8..=0xff, 0..200)) {
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, value);
            drop(scrub(&mut headers, &rules(), false));
            prop_assert!(!headers.iter().any(|(_, value)| value.is_empty()));
        }
    }
}
