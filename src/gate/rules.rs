//! Who may pass, and what a route's upstream may know (pure). Rules cannot be negated.

use http::Method;
use http::request::Parts;

use crate::base::account::{Group, Identity};
pub(super) use crate::base::foreign::comes_from_elsewhere;
use crate::base::path::{PathForm, RouteTable};
use crate::gate::settings::{Allow, ForgeTokenFor, GroupsFor, RouteRule};

/// Whether a list lets somebody pass. Whole elements only; an empty list lets nobody pass.
pub(super) fn allows(list: &[Allow], who: &Identity) -> bool {
    list.iter().any(|rule| match rule {
        Allow::AnyUser => true,
        Allow::User(login) => who.login.eq_ignore_ascii_case(login),
        Allow::UserId(id) => *who.id.0 == **id,
        Allow::Group(wanted) => who.groups.iter().any(|group| same_group(group, wanted)),
    })
}

/// The forge compares names without regard to ASCII case. `org` is met by membership of the organization itself, which
/// the forge lists beside its teams.
fn same_group(left: &Group, right: &Group) -> bool {
    left.org.eq_ignore_ascii_case(&right.org)
        && match (&left.team, &right.team) {
            (None, None) => true,
            (Some(left), Some(right)) => left.eq_ignore_ascii_case(right),
            _ => false,
        }
}

/// Whether a visitor may pass on this path. A path that a backend may read in two ways has to meet every route's list:
/// nobody can tell which of them it will reach.
pub(super) fn may_pass(
    routes: &RouteTable<RouteRule>,
    route: &RouteRule,
    form: PathForm,
    fallback: &[Allow],
    who: &Identity,
) -> bool {
    let meets = |rule: &RouteRule| allows(rule.allow.as_deref().unwrap_or(fallback), who);
    match form {
        PathForm::Plain => meets(route),
        _ => routes.values().filter(|rule| !rule.public).all(meets),
    }
}

/// Whether a route's upstream may have this visitor's token.
pub(super) fn wants_token(route: &RouteRule, who: &Identity) -> bool {
    match &route.forge_token {
        ForgeTokenFor::Nobody => false,
        ForgeTokenFor::Everybody => true,
        ForgeTokenFor::Only(list) => allows(list, who),
    }
}

/// The visitor's groups that a route's upstream may know.
pub(super) fn known_groups<'a>(route: &RouteRule, who: &'a Identity) -> Vec<&'a Group> {
    match &route.groups {
        GroupsFor::None => Vec::new(),
        GroupsFor::All => who.groups.iter().collect(),
        GroupsFor::Only(list) => {
            who.groups.iter().filter(|group| list.iter().any(|wanted| same_group(group, wanted))).collect()
        }
    }
}

/// Whether this is another site's doing: an unsafe method with a foreign `Origin`, or with Fetch Metadata that says
/// cross-site or same-site (sibling VMs share a site, and the injected token would act for whoever forged the request).
pub(super) fn is_foreign_write(head: &Parts, our_origin: &str) -> bool {
    let safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    !safe && comes_from_elsewhere(&head.headers, our_origin)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;

    use super::*;
    use crate::base::account::UserId;

    fn alice() -> Identity {
        let groups = ["acme", "acme:ops", "", ":x", "y:"];
        Identity {
            id: UserId(Arc::from("42")),
            login: "alice".to_owned(),
            name: None,
            email: None,
            groups: groups.iter().filter_map(|claim| Group::from_claim(claim)).collect(),
        }
    }

    fn group(claim: &str) -> Allow {
        Allow::Group(Group::from_claim(claim).unwrap())
    }

    fn route(allow: Option<Vec<Allow>>) -> RouteRule {
        RouteRule {
            public: false,
            allow,
            forge_token: ForgeTokenFor::Nobody,
            groups: GroupsFor::None,
            cross_origin: false,
            renew_on_401: false,
        }
    }

    /// Holds: G11.
    #[test]
    fn rules_match_whole_elements_only() {
        let who = alice();
        for (rule, expected) in [
            (Allow::AnyUser, true),
            (Allow::User("Alice".to_owned()), true),
            (Allow::User("alic".to_owned()), false),
            (Allow::UserId("42".to_owned()), true),
            (Allow::UserId("4".to_owned()), false),
            (group("acme"), true),
            (group("ACME:Ops"), true),
            (group("acme:op"), false),
            (group("acm"), false),
            (group("ops"), false),
            (group("x"), false),
        ] {
            assert_eq!(allows(std::slice::from_ref(&rule), &who), expected, "{rule:?}");
        }
        assert!(!allows(&[], &who));
        assert_eq!(who.groups.len(), 2);
    }

    /// Holds: G6.
    #[test]
    fn a_path_of_two_readings_must_meet_every_list() {
        let mine = route(Some(vec![Allow::User("alice".to_owned())]));
        let theirs = route(Some(vec![Allow::User("root1".to_owned())]));
        let table = RouteTable::new([
            ("/mine".to_owned(), false, mine.clone()),
            ("/admin".to_owned(), false, theirs),
        ]);
        assert!(may_pass(&table, &mine, PathForm::Plain, &[], &alice()));
        assert!(!may_pass(&table, &mine, PathForm::Odd, &[], &alice()));
    }

    #[test]
    fn writes_from_other_origins_are_told_apart() {
        for (method, headers, expected) in [
            ("GET", vec![("origin", "https://evil.example")], false),
            ("POST", vec![], false),
            ("POST", vec![("origin", "https://vm1.example.org")], false),
            ("POST", vec![("origin", "https://vm1.example.org"), ("sec-fetch-site", "same-origin")], false),
            ("POST", vec![("sec-fetch-site", "none")], false),
            ("POST", vec![("origin", "https://vm1.example.org.evil.example")], true),
            ("POST", vec![("origin", "http://vm1.example.org")], true),
            ("POST", vec![("origin", "null")], true),
            ("POST", vec![("origin", "null"), ("sec-fetch-site", "same-origin")], false),
            ("POST", vec![("origin", "null"), ("sec-fetch-site", "none")], true),
            ("POST", vec![("origin", "null"), ("sec-fetch-site", "cross-site")], true),
            ("POST", vec![("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], true),
            ("DELETE", vec![("sec-fetch-site", "cross-site")], true),
            ("PUT", vec![("sec-fetch-site", "same-site")], true),
            ("brew", vec![("sec-fetch-site", "same-site")], true),
        ] {
            let mut request = Request::builder().method(method);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_foreign_write(&head, "https://vm1.example.org"), expected, "{method} {headers:?}");
        }
    }
}
