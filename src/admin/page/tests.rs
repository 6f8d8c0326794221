use http::Request;
use http::request::Builder;
use http_body_util::{BodyExt as _, Full};
use tower::ServiceExt as _;

use super::*;
use crate::admin::access::Door;
use crate::admin::lab::{Lab, TOKEN};
use crate::forge::admin::error::PasswordRule;
use crate::forge::admin::{AccountState, AdminError as Refused};

const ORIGIN: &str = "https://admin.example.org";
const EVIL: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&";

struct Seen {
    status: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Seen {
    fn between(&self, before: &str, after: &str) -> Option<&str> {
        Some(self.text.split_once(before)?.1.split_once(after)?.0)
    }

    fn token(&self) -> &str {
        self.between("name=\"form\" value=\"", "\"").unwrap()
    }

    fn password(&self) -> Option<&str> {
        self.between("<code id=\"password\" translate=\"no\">", "<")
    }

    fn user_id(&self) -> String {
        format!("u{}", self.between("/admin/users/u", "/").unwrap().split('"').next().unwrap())
    }
}

async fn send(lab: &Lab, request: Builder, body: &str) -> Seen {
    let service = AdminService::new(lab.admin.clone(), Door::Front, ORIGIN, "/_hero");
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert_eq!(head.headers["cache-control"], "no-store");
    assert!(!text.contains(TOKEN));
    Seen { status: head.status.as_u16(), headers: head.headers, text }
}

fn as_root(method: &str, path: &str) -> Builder {
    let request = Request::builder().method(method).uri(format!("/_hero/admin{path}"));
    request.header("x-hero-user-id", "1").header("x-hero-user", "root1").header("x-request-id", "r-7")
}

async fn get(lab: &Lab, path: &str) -> Seen {
    send(lab, as_root("GET", path), "").await
}

fn sent(path: &str) -> Builder {
    as_root("POST", path)
        .header("content-type", FORM)
        .header("origin", ORIGIN)
        .header("sec-fetch-site", "same-origin")
}

/// Fills a page's form in and sends it.
async fn fill(lab: &Lab, path: &str, fields: &[(&str, &str)]) -> Seen {
    let page = get(lab, path).await;
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.append_pair("form", page.token()).extend_pairs(fields);
    send(lab, sent(path), &body.finish()).await
}

/// Holds: A13, A9.
#[tokio::test]
async fn a_first_password_is_on_one_page_once() {
    let lab = Lab::new();
    let made = fill(&lab, "/users/new", &[("username", " alice "), ("display_name", "Alice Example")]).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let password = made.password().unwrap().to_owned();
    assert!(password.starts_with("canary-password-"));
    assert_eq!(made.text.matches(&password).count(), 1);
    assert!(made.text.contains("Share this out of band; it is not stored."));
    let list = get(&lab, "/users").await;
    let id = list.user_id();
    let mut all = list.text;
    for path in [format!("/users/{id}"), format!("/users/{id}/reset"), "/users/new".to_owned()] {
        all += &get(&lab, &path).await.text;
    }
    assert!(all.contains("Alice Example") && all.contains("create user") && all.contains("user:root1 (1)"));
    // The same form once more, as a reload sends it: there is no second account, and no password.
    let again = fill(&lab, "/users/new", &[("username", "ALICE")]).await;
    assert_eq!((again.status, again.password()), (200, None));
    assert!(again.text.contains("was there already") && again.text.contains(&format!("/users/{id}/reset")));
    assert!(!(all + &again.text).contains("canary-password"));
}

/// Holds: A9, A14.
#[tokio::test]
async fn a_reset_asks_first_and_a_form_that_comes_twice_resets_once() {
    let lab = Lab::new();
    fill(&lab, "/users/new", &[("username", "alice")]).await;
    let path = format!("/users/{}/reset", get(&lab, "/users").await.user_id());
    let asked = get(&lab, &path).await;
    assert!(asked.text.contains("Reset the password of alice?"));
    assert_eq!(lab.accounts.calls("reset_password"), 0, "nothing is done by looking");
    let body = format!("form={}", asked.token());
    let done = send(&lab, sent(&path), &body).await;
    assert!(done.status == 200 && done.password().is_some(), "{}", done.text);
    let twice = send(&lab, sent(&path), &body).await;
    assert_eq!((twice.status, twice.password(), lab.accounts.calls("reset_password")), (409, None, 1));
    assert!(twice.text.contains("This form was sent before."));
    // What the caller chooses is not asked for.
    let chosen = send(&lab, sent(&path), &format!("form={}&password=mine", twice.token())).await;
    assert_eq!((chosen.status, lab.accounts.calls("reset_password")), (400, 1));
}

/// Holds: A1, A6.
#[tokio::test]
async fn a_form_that_is_not_ours_does_nothing() {
    let lab = Lab::new();
    let token = get(&lab, "/users/new").await.token().to_owned();
    let path = "/users/new";
    let post = || as_root("POST", path).header("content-type", FORM);
    let body = format!("form={token}&username=mallory");
    for (request, body, expected) in [
        (post().header("origin", "https://evil.example"), body.as_str(), 403),
        (post().header("origin", "null"), &body, 403),
        (post().header("origin", ORIGIN).header("sec-fetch-site", "same-site"), &body, 403),
        (as_root("POST", path).header("origin", ORIGIN), &body, 415),
        (as_root("POST", path).header("content-type", "text/plain"), &body, 415),
        (as_root("POST", path).header("content-type", "multipart/form-data; boundary=x"), &body, 415),
        (sent(path), "username=mallory", 403),
        (sent(path), "username=mallory&form=1.f0.AAAA", 403),
        (sent(path), &format!("{body}&is_admin=true"), 400),
        (sent(path), &format!("{body}&username=root2"), 400),
        (sent("/users"), &body, 405),
        (as_root("PUT", path).header("content-type", FORM), &body, 405),
        (as_root("DELETE", "/users/u00112233445566778899"), "", 405),
        (as_root("GET", &format!("{path}?{body}")), "", 200),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(send(&lab, request, body).await.status, expected, "{shown}");
    }
    let long = format!("{body}{}", "x".repeat(70_000));
    assert_eq!(send(&lab, sent(path), &long).await.status, 413);
    assert_eq!(lab.accounts.calls("create_user"), 0);
    // Another operator's form is none of mine.
    lab.accounts.change(2, |bob| bob.site_admin = true);
    let bobs = Request::builder().method("POST").uri("/_hero/admin/users/new").header("content-type", FORM);
    let bobs = bobs.header("x-hero-user-id", "2").header("x-hero-user", "bob").header("origin", ORIGIN);
    let stale = send(&lab, bobs, &body).await;
    assert!(stale.status == 403 && stale.text.contains("value=\"mallory\""), "what was typed stays");
}

/// Holds: A8, A10.
#[tokio::test]
async fn all_complaints_stand_beside_their_fields_and_what_was_typed_stays() {
    let lab = Lab::new();
    let typed = [("username", "-a--b"), ("display_name", "Alice \u{7}"), ("email", "no address")];
    let page = fill(&lab, "/users/new", &typed).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.text.matches("aria-invalid=\"true\"").count(), 3);
    for part in [
        "value=\"-a--b\"",
        "value=\"no address\"",
        "The forge username must begin and end with a letter or a digit.",
        "The e-mail address is not an e-mail address such as",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert_eq!(lab.accounts.calls("create_user"), 0);
    for (refused, status, says) in [
        (Refused::TakenByOrganization, 422, "taken by an organization"),
        (Refused::RenamedTo("alicia".to_owned()), 422, "called alicia now"),
        (Refused::EmailTaken, 422, "another account"),
        (Refused::PasswordRule(PasswordRule::Complexity), 502, "password_symbols"),
        (Refused::Garbled("x"), 503, "Nothing was done."),
    ] {
        lab.accounts.bad.lock().unwrap().push_back(refused.clone());
        let page = fill(&lab, "/users/new", &[("username", "alice")]).await;
        assert_eq!(page.status, status, "{refused:?}: {}", page.text);
        assert!(page.text.contains(says) && page.text.contains("value=\"alice\""), "{says}: {}", page.text);
    }
}

/// Holds: A15.
#[tokio::test]
async fn markup_in_any_text_shows_as_text() {
    let lab = Lab::new();
    lab.accounts.change(2, |bob| {
        bob.display_name = Some(EVIL.to_owned());
        bob.email = Some(EVIL.to_owned());
    });
    let is_quiet = |seen: &Seen| {
        assert!(!seen.text.contains("<script>") && !seen.text.contains("<img"), "{}", seen.text);
    };
    is_quiet(&fill(&lab, "/users/new", &[("username", "bob")]).await);
    // The forge may call somebody whatever it likes.
    lab.accounts.change(2, |bob| bob.login = EVIL.to_owned());
    lab.clock.advance(std::time::Duration::from_mins(2));
    let list = get(&lab, "/users").await;
    is_quiet(&list);
    assert!(list.text.contains("&lt;script") || list.text.contains("&#60;script"), "{}", list.text);
    let id = list.user_id();
    is_quiet(&get(&lab, &format!("/users/{id}")).await);
    is_quiet(&get(&lab, &format!("/users/{id}/reset")).await);
    is_quiet(&fill(&lab, &format!("/users/{id}/reset"), &[]).await);
    let query = url::form_urlencoded::byte_serialize(EVIL.as_bytes()).collect::<String>();
    is_quiet(&get(&lab, &format!("/users?search={query}")).await);
    is_quiet(&get(&lab, &format!("/users?search=nobody{query}&sort={query}&page={query}")).await);
    is_quiet(&fill(&lab, "/users/new", &[("username", EVIL), ("display_name", EVIL), ("email", EVIL)]).await);
    lab.accounts.bad.lock().unwrap().push_back(Refused::RenamedTo(EVIL.to_owned()));
    is_quiet(&fill(&lab, "/users/new", &[("username", "alice")]).await);
    let odd = as_root("GET", "/users").header("x-request-id", "r\"><script>");
    is_quiet(&send(&lab, odd, "").await);
}

/// Holds: A16.
#[tokio::test]
async fn a_page_may_load_its_style_and_its_script_and_nothing_else() {
    let lab = Lab::new();
    let page = get(&lab, "/users").await;
    assert_eq!(
        page.headers["content-security-policy"],
        "default-src 'none'; style-src https://admin.example.org/_hero/admin/page.css; \
         script-src https://admin.example.org/_hero/admin/page.js; form-action 'self'; object-src 'none'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    for (name, value) in [
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.headers[name], value, "{name}");
    }
    for path in ["/users", "/users/new", "/nowhere"] {
        let text = get(&lab, path).await.text;
        for inline in [" style=", "<style", " onclick", "javascript:", "<script>"] {
            assert!(!text.contains(inline), "{path}: {inline}");
        }
    }
    for (path, kind) in
        [("/page.css", "text/css; charset=utf-8"), ("/page.js", "text/javascript; charset=utf-8")]
    {
        let file = get(&lab, path).await;
        assert_eq!((file.status, file.headers["content-type"].to_str().unwrap()), (200, kind));
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    let start = get(&lab, "").await;
    assert_eq!((start.status, start.headers["location"].to_str().unwrap()), (303, "/_hero/admin/users"));
}

/// Holds: A2, A17.
#[tokio::test]
async fn whoever_may_not_gets_a_page_that_says_so_and_nothing_of_anybody() {
    let lab = Lab::new();
    fill(&lab, "/users/new", &[("username", "alice")]).await;
    let id = get(&lab, "/users").await.user_id();
    let as_bob = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(format!("/_hero/admin{path}"));
        request.header("x-hero-user-id", "2").header("x-hero-user", "bob").header("content-type", FORM)
    };
    for path in
        ["/users".to_owned(), "/users/new".to_owned(), format!("/users/{id}"), format!("/users/{id}/reset")]
    {
        let page = send(&lab, as_bob("GET", &path), "").await;
        assert_eq!(page.status, 403);
        assert!(
            !page.text.contains("alice") && page.text.contains("<code id=\"reason\">admin_"),
            "{}",
            page.text
        );
        if path != "/users" && path != format!("/users/{id}") {
            assert_eq!(send(&lab, as_bob("POST", &path), "username=x").await.status, 403);
        }
    }
    lab.accounts.change(2, |bob| bob.state = AccountState::Suspended);
    assert_eq!(send(&lab, as_bob("GET", "/users"), "").await.status, 403);
    assert_eq!(get(&lab, "/users/u0123456789").await.status, 404);
    // Through the socket there is no page.
    let service = AdminService::new(lab.admin.clone(), Door::Socket, "unix:", "/_hero");
    let request = as_root("GET", "/users").body(Full::new(Bytes::new())).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 404);
    let mut last = get(&lab, "/users").await;
    for _ in 0..1300 {
        if last.status == 429 {
            break;
        }
        last = get(&lab, "/users/new").await;
    }
    assert_eq!(last.status, 429);
    assert!(last.headers.contains_key("retry-after") && last.text.contains("id=\"again\""));
}

#[tokio::test]
async fn the_list_is_searched_sorted_and_turned_over_by_address_alone() {
    let lab = Lab::new();
    let empty = get(&lab, "/users").await;
    assert!(empty.text.contains("Nobody is on record yet.") && !empty.text.contains("<table"));
    for number in 0..30 {
        fill(&lab, "/users/new", &[("username", &format!("user{number:02}"))]).await;
    }
    let names = |seen: &Seen| {
        let rows = seen.text.split("scope=\"row\"><a href=\"").skip(1);
        rows.map(|row| row.split_once('>').unwrap().1.split('<').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = get(&lab, "/users").await;
    assert_eq!((names(&first).len(), names(&first).first().unwrap().as_str()), (25, "user00"));
    assert!(first.text.contains("1 to 25 of 30") && !first.text.contains("id=\"earlier\""));
    let next = first.between("id=\"later\" rel=\"next\" href=\"/_hero/admin", "\"").unwrap();
    let second = get(&lab, next).await;
    assert_eq!(names(&second), ["user25", "user26", "user27", "user28", "user29"]);
    assert!(second.text.contains("id=\"earlier\"") && !second.text.contains("id=\"later\""));
    let turned = get(&lab, "/users?order=desc").await;
    assert_eq!(names(&turned).first().unwrap(), "user29");
    assert!(turned.text.contains("aria-sort=\"descending\""));
    let found = get(&lab, "/users?search=USER1&sort=created_at").await;
    assert_eq!(names(&found).len(), 10);
    assert!(get(&lab, "/users?search=zzz").await.text.contains("Nobody is found by"));
    let beyond = get(&lab, "/users?page=9").await;
    assert!(
        beyond.text.contains("nothing on this page") && beyond.text.contains("?page=2\""),
        "{}",
        beyond.text
    );
}
