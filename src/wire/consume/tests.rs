use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::*;

const SOCKET: Option<PeerAddress> = Some(PeerAddress::Unix);

fn read(lines: &[(&'static str, &[u8])], peer: Option<PeerAddress>) -> Consumed {
    let mut headers = HeaderMap::new();
    headers.insert("x-other", HeaderValue::from_static("stays"));
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    let consumed = consume(&mut headers, peer, &Trust::unix_peer());
    assert_eq!(headers.len(), 1, "all headers of ours are gone: {headers:?}");
    consumed
}

const WHOLE: [(&str, &[u8]); 7] = [
    ("x-hero-forge-token", b"canary-token"),
    ("x-hero-forge-token-expires", b"1790000000"),
    ("x-hero-forge-scopes", b"openid write:issue"),
    ("x-hero-user", b"zo%C3%AB"),
    ("x-hero-user-id", b"42"),
    ("x-hero-email", b"zoe@example.org"),
    ("x-hero-groups", b"acme,acme:ops"),
];

#[test]
fn what_the_proxy_says_becomes_typed_values() {
    let consumed = read(&WHOLE, SOCKET);
    let group = |team: Option<&str>| VisitorGroup { org: "acme".into(), team: team.map(Into::into) };
    assert_eq!(
        consumed.visitor,
        Some(Visitor {
            id: "42".into(),
            login: "zoë".into(),
            email: Some("zoe@example.org".into()),
            groups: vec![group(None), group(Some("ops"))],
        })
    );
    let token = consumed.token.unwrap();
    assert_eq!(token.token.expose(), "canary-token");
    assert_eq!(token.expires_at_secs, Some(1_790_000_000));
    assert_eq!(token.covers("write:issue"), Some(true));
    assert_eq!(token.covers("read:issue"), Some(true));
    assert_eq!(token.covers("write:repository"), Some(false));
    assert_eq!(consumed.refused, []);
}

/// Holds: H15.
#[test]
fn a_token_that_is_not_exactly_one_clean_value_is_none_and_says_why() {
    let check = |values: &[&'static [u8]], why| {
        let lines: Vec<_> = values.iter().map(|value| ("x-hero-forge-token", *value)).collect();
        let consumed = read(&lines, SOCKET);
        assert!(consumed.token.is_none());
        assert_eq!(consumed.refused, [Refused { header: FORGE_TOKEN, why }]);
    };
    check(&[b"one", b"two"], Refusal::Repeated);
    check(&[b"one", b"one"], Refusal::Repeated);
    check(&[b"", b"one"], Refusal::Repeated);
    check(&[b""], Refusal::Empty);
    check(&[b"one two"], Refusal::Malformed);
    check(&[b"one\ttwo"], Refusal::Malformed);
    check(&[b"caf\xc3\xa9"], Refusal::Malformed);
    check(&[b"\xff"], Refusal::Malformed);
    check(&[&[b'a'; 8193]], Refusal::Malformed);
}

#[test]
fn a_comma_list_is_one_value_that_no_forge_takes_apart() {
    // A comma is visible ASCII and a token is opaque; the forge will refuse it. It is never split into two tokens.
    let consumed = read(&[("x-hero-forge-token", b"one,two")], SOCKET);
    assert_eq!(consumed.token.unwrap().token.expose(), "one,two");
}

/// Holds: H15.
#[test]
fn nothing_counts_from_an_untrusted_or_unknown_peer() {
    for (peer, why) in [
        (None, Refusal::UnknownPeer),
        (Some(PeerAddress::Ip([127, 0, 0, 1].into())), Refusal::UntrustedPeer),
        (Some(PeerAddress::Ip([192, 0, 2, 1].into())), Refusal::UntrustedPeer),
    ] {
        let consumed = read(&WHOLE, peer);
        assert!(consumed.token.is_none() && consumed.visitor.is_none());
        assert_eq!(consumed.refused.len(), WHOLE.len());
        assert!(consumed.refused.iter().all(|refused| refused.why == why));
        assert!(read(&[], peer).refused.is_empty(), "who sends nothing is refused nothing");
    }
}

#[test]
fn the_token_falls_with_an_odd_expiry_or_scope() {
    for (name, value) in [
        ("x-hero-forge-token-expires", &b"soon"[..]),
        ("x-hero-forge-token-expires", b"-1"),
        ("x-hero-forge-token-expires", b"007"),
        ("x-hero-forge-token-expires", b"99999999999999999999999"),
        ("x-hero-forge-token-expires", b""),
        ("x-hero-forge-scopes", b"a\tb"),
        ("x-hero-forge-scopes", b""),
    ] {
        let consumed = read(&[("x-hero-forge-token", b"token"), (name, value)], SOCKET);
        assert!(consumed.token.is_none(), "{name}");
        assert_eq!(consumed.refused.len(), 2);
    }
    let bare = read(&[("x-hero-forge-token", b"token")], SOCKET).token.unwrap();
    assert_eq!((bare.expires_at_secs, bare.covers("write:issue")), (None, None), "absent is unknown");
}

#[test]
fn nobody_is_half_a_visitor() {
    let check = |lines: &[(&'static str, &[u8])], header: HeaderName, why| {
        let consumed = read(lines, SOCKET);
        assert_eq!(consumed.visitor, None);
        assert!(consumed.refused.contains(&Refused { header, why }), "{:?}", consumed.refused);
    };
    check(&[("x-hero-user", b"alice")], USER, Refusal::Incomplete);
    check(&[("x-hero-user-id", b"42")], USER_ID, Refusal::Incomplete);
    check(&[("x-hero-user", b"alice"), ("x-hero-user-id", b"4 2")], USER_ID, Refusal::Malformed);
    check(
        &[("x-hero-user", b"alice"), ("x-hero-user-id", b"1"), ("x-hero-user-id", b"2")],
        USER_ID,
        Refusal::Repeated,
    );
    check(&[("x-hero-user", b"al%ZZ"), ("x-hero-user-id", b"42")], USER, Refusal::Malformed);
}

#[test]
fn an_odd_email_or_group_list_is_left_out_and_the_visitor_stays() {
    let lines: [(&str, &[u8]); 4] = [
        ("x-hero-user", b"a"),
        ("x-hero-user-id", b"1"),
        ("x-hero-email", b""),
        ("x-hero-groups", b"acme,,x"),
    ];
    let consumed = read(&lines, SOCKET);
    let visitor = consumed.visitor.unwrap();
    assert_eq!((visitor.email, visitor.groups.len()), (None, 0));
    assert_eq!(consumed.refused.len(), 2);
}

/// Holds: H15, X7.
#[test]
fn nothing_that_was_read_prints_the_token() {
    let consumed = read(&WHOLE, SOCKET);
    let credential = crate::wire::credential::ForgeCredential::PassThrough(consumed.token.clone().unwrap());
    let shown = format!("{consumed:?} {credential:?}");
    assert!(shown.contains("[redacted]") && !shown.contains("canary"), "{shown}");
    let refused = read(&[("x-hero-forge-token", b"canary token")], SOCKET);
    assert!(!format!("{refused:?}").contains("canary"));
}

#[tokio::test]
async fn a_planted_extension_never_reaches_the_app() {
    let app = ServiceBuilder::new().layer(ConsumeForgeTokenLayer::new(Trust::loopback())).service(
        service_fn(|request: Request<()>| async move {
            Ok::<_, std::convert::Infallible>(request.into_parts().0.extensions)
        }),
    );
    let planted =
        PassedToken { token: ForgeToken::new("planted").unwrap(), expires_at_secs: None, scopes: None };
    let visitor = Visitor { id: "1".into(), login: "root".into(), email: None, groups: Vec::new() };
    let request = Request::builder()
        .extension(planted)
        .extension(visitor)
        .extension(Refusals(Vec::new()))
        .extension(PeerAddress::Ip([127, 0, 0, 1].into()))
        .body(())
        .unwrap();
    let seen = app.oneshot(request).await.unwrap();
    assert!(seen.get::<PassedToken>().is_none());
    assert!(seen.get::<Visitor>().is_none());
    assert!(seen.get::<Refusals>().is_none());
}
