use super::*;

fn answer(status: u16, kind: &str, body: &str) -> Response<Vec<u8>> {
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(body.as_bytes().to_vec()).unwrap()
}

fn said(status: u16, message: &str) -> Response<Vec<u8>> {
    let body = serde_json::json!({"message": message, "url": "https://forge/api/swagger"});
    answer(status, "application/json;charset=utf-8", &body.to_string())
}

fn called() -> Url {
    "http://10.0.0.5:3000/git/api/v1/users/old".parse().unwrap()
}

fn moved(to: &str) -> Result<Option<AccountInfo>, AdminError> {
    let response = Response::builder().status(307).header("location", to).body(Vec::new()).unwrap();
    named(&response, "old", &called())
}

const ALICE: &str = r#"{"id":7,"login":"Alice","full_name":"<b>A</b>","email":"a@b","created":"2026-11-22T03:46:03Z",
    "last_login":"1970-01-01T01:00:00+01:00","is_admin":false,"active":true,"prohibit_login":false,"source_id":0}"#;

#[test]
fn an_account_is_read_whole() {
    let account = named(&answer(200, "application/json", ALICE), "alice", &called()).unwrap().unwrap();
    assert_eq!((&*account.id.0, account.login.as_str()), ("7", "Alice"));
    assert_eq!(account.display_name.as_deref(), Some("<b>A</b>"));
    assert_eq!(account.created, Some(Timestamp::from_secs(1_795_319_163)));
    assert_eq!((account.last_sign_in, account.state, account.local), (None, AccountState::Active, true));
    for (change, state) in
        [(r#""prohibit_login":true"#, AccountState::Suspended), (r#""active":false"#, AccountState::Inactive)]
    {
        let name = change.split(':').next().unwrap();
        let rest = ALICE.replace(&format!("{name}:true"), change).replace(&format!("{name}:false"), change);
        let account = named(&answer(200, "application/json", &rest), "alice", &called()).unwrap().unwrap();
        assert_eq!(account.state, state);
    }
}

#[test]
fn what_is_no_account_is_not_read_as_one() {
    let garbled = |response: Response<Vec<u8>>| {
        matches!(named(&response, "alice", &called()), Err(AdminError::Garbled(_)))
    };
    assert!(garbled(answer(200, "text/html", ALICE)));
    assert!(garbled(answer(200, "application/json", "{")));
    assert!(garbled(answer(200, "application/json", &ALICE.replace("Alice", "bob"))), "somebody else");
    assert!(garbled(answer(200, "application/json", &ALICE.replace("Alice", "../x"))));
    assert!(garbled(answer(200, "application/json", &ALICE.replace("\"id\":7", "\"id\":0"))));
    assert!(garbled(answer(404, "text/html", "<p>not found")), "another server's 404 proves nothing");
    assert_eq!(named(&said(404, "user redirect does not exist [name: alice]"), "alice", &called()), Ok(None));
}

/// Holds: A11.
#[test]
fn a_redirect_says_the_new_name_only_on_the_same_server() {
    for to in ["/git/api/v1/users/new", "/api/v1/users/new", "http://10.0.0.5:3000/api/v1/users/new"] {
        assert_eq!(moved(to), Err(AdminError::RenamedTo("new".into())), "{to}");
    }
    for to in [
        "https://10.0.0.5:3000/api/v1/users/new",
        "http://evil.example/api/v1/users/new",
        "//evil.example/api/v1/users/new",
        "/api/v1/users/old",
        "/api/v1/users/OLD",
        "/api/v1/users/",
        "/api/v1/users/a%2Fb",
        "/user/login",
        "/api/v1/orgs/new",
        "",
    ] {
        assert_eq!(moved(to), Err(AdminError::Garbled("a redirect")), "{to}");
    }
}

/// Holds: A8.
#[test]
fn each_answer_to_a_new_account_is_told_apart() {
    let refused = |status, message: &str| match made(&said(status, message), "alice") {
        Made::Refused(error) => error,
        other => panic!("{message}: {other:?}"),
    };
    let field = |field, problem| AdminError::Refused(Complaint { field, problem });
    assert_eq!(refused(400, "PasswordIsRequired"), AdminError::PasswordRule(PasswordRule::Length));
    assert_eq!(refused(400, "PasswordComplexity"), AdminError::PasswordRule(PasswordRule::Complexity));
    assert_eq!(refused(400, "PasswordPwned"), AdminError::PasswordRule(PasswordRule::Leaked));
    assert_eq!(refused(422, "e-mail already in use [email: x]"), AdminError::EmailTaken);
    assert_eq!(
        refused(422, "[Email]: e-mail invalid [email: x]"),
        field(Field::Email, Problem::RefusedByForge)
    );
    assert_eq!(refused(422, "[Username]: MaxSize"), field(Field::Username, Problem::RefusedByForge));
    assert_eq!(refused(422, "name is reserved [name: x]"), field(Field::Username, Problem::Reserved));
    let pattern = "name pattern is not allowed [pattern: *.keys]";
    assert_eq!(refused(422, pattern), field(Field::Username, Problem::RefusedByForge));
    assert_eq!(refused(401, "access token does not exist [sha: x]"), AdminError::Token(TokenFault::Unknown));
    let scope = "token does not have at least one of required scope(s): [write:admin]";
    assert_eq!(refused(403, scope), AdminError::Token(TokenFault::Scope));
    assert_eq!(refused(403, "user should be the site admin"), AdminError::Token(TokenFault::NotAdmin));
    let blocked = answer(403, "application/json", r#"{"message":"This account is prohibited"}"#);
    assert_eq!(made(&blocked, "alice"), Made::Refused(AdminError::Token(TokenFault::Blocked)));
    assert_eq!(made(&said(422, "user already exists [name: x]"), "alice"), Made::NameTaken);
    assert_eq!(made(&said(409, "anything"), "alice"), Made::NameTaken);
    let alice = answer(201, "application/json", ALICE);
    assert!(matches!(made(&alice, "alice"), Made::Account(_)));
    for unclear in [
        said(500, ""),
        answer(201, "text/html", "<p>fine"),
        answer(201, "application/json", "{"),
        answer(503, "text/html", "<p>down"),
        answer(302, "text/html", ""),
    ] {
        assert!(matches!(made(&unclear, "alice"), Made::Unclear(_)), "{unclear:?}");
    }
    assert!(matches!(made(&alice, "bob"), Made::Unclear(_)), "somebody else's account");
}

#[test]
fn a_reset_counts_only_if_it_names_the_same_account() {
    let id = |text: &str| UserId(text.into());
    let alice = answer(200, "application/json", ALICE);
    assert!(matches!(reset(&alice, &id("7")), Reset::Done(_)));
    assert!(matches!(reset(&alice, &id("8")), Reset::Refused(AdminError::Garbled(_))));
    assert_eq!(reset(&said(404, "x"), &id("7")), Reset::Refused(AdminError::NoSuchUser));
    assert_eq!(reset(&answer(307, "", ""), &id("7")), Reset::Moved);
    assert_eq!(reset(&said(500, ""), &id("7")), Reset::Unclear);
    for (words, rule) in [
        ("password must be at least 40 characters", PasswordRule::Length),
        ("password not complex enough", PasswordRule::Complexity),
        ("password has been pwned", PasswordRule::Leaked),
    ] {
        assert_eq!(reset(&said(400, words), &id("7")), Reset::Refused(AdminError::PasswordRule(rule)));
    }
}

#[test]
fn a_person_is_found_by_id_and_nobody_else_is() {
    let found = |data: &str| {
        let body = format!(r#"{{"ok":true,"data":[{data}]}}"#);
        person(&answer(200, "application/json", &body), &UserId("7".into()))
    };
    assert_eq!(found(ALICE).unwrap().unwrap().login, "Alice");
    assert_eq!(found(""), Ok(None));
    assert_eq!(found(&ALICE.replace("\"id\":7", "\"id\":8")), Ok(None), "a forge that ignores the question");
}

#[test]
fn times_are_read_in_any_zone_and_only_whole() {
    for (text, secs) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2000-02-29T12:00:00Z", Some(951_825_600)),
        ("2026-11-22T03:46:03.123456Z", Some(1_795_319_163)),
        ("2026-11-22T04:46:03+01:00", Some(1_795_319_163)),
        ("2026-11-21T22:16:03-05:30", Some(1_795_319_163)),
        ("0001-01-01T00:00:00Z", None),
        ("2026-11-22", None),
        ("2026-11-22T03:46:03", None),
        ("+026-11-22T03:46:03Z", None),
        ("2026-11-22T03:46:03é", None),
        ("", None),
    ] {
        assert_eq!(moment(text), secs.map(Timestamp::from_secs), "{text}");
    }
}
