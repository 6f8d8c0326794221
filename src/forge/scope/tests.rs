use proptest::prelude::*;

use super::*;

const DEFAULT: &str = "openid profile email groups read:user write:issue";

/// The rows of docs/FORGEJO.md 2.1, tried on real servers.
///
/// Holds: O14.
#[test]
fn a_scope_has_the_power_that_the_forge_gives_it() {
    let check = |scope: &str, expected: &str| assert_eq!(power(scope).to_string(), expected, "{scope:?}");
    let everything = "do everything that you can do";
    let issues = "read and write issues in every repository you can reach";
    check("", everything);
    check("openid profile email", everything);
    check("openid profile email groups", everything);
    check("openid profile email write:issue", issues);
    check("write:issue,read:user", everything);
    check("openid,profile,write:issue", everything);
    check("openid write:issues", everything);
    check("openid write:issue offline_access", issues);
    check("openid public-only", "do nothing");
    check("openid all", everything);
    check("openid sudo", everything);
    check("openid read:user", "read your profile");
    check(DEFAULT, "read your profile; read and write issues in every repository you can reach");
    check("write:issue read:issue", issues);
    check("read:issue write:issue", issues);
    check("write:issue public-only", &format!("{issues}; only where it is public"));
    check("  write:issue  ", issues);
    check("write:issue\tread:user", everything);
    check("WRITE:ISSUE", everything);
    check("read:", everything);
    check("delete:issue", everything);
}

#[test]
fn all_categories_written_out_are_full_power() {
    let all: Vec<&str> = CATEGORIES.iter().map(|category| category.write).collect();
    assert_eq!(power(&all.join(" ")), Power::Full);
    assert_eq!(power("all"), Power::Full);
    assert_ne!(power("all public-only"), Power::Full);
    assert_ne!(power(&all[1..].join(" ")), Power::Full);
}

/// Holds: O14.
#[test]
fn a_grant_is_compared_by_power_not_by_words() {
    use Comparison::{Exact, Narrower, Wider};
    let check = |granted: &str, expected| assert_eq!(compare(DEFAULT, granted), expected, "{granted:?}");
    check(DEFAULT, Exact);
    check("write:issue read:user openid", Exact);
    check("openid read:user write:issue read:issue offline_access", Exact);
    check("openid write:issue", Narrower);
    check("openid read:user read:issue", Narrower);
    check("openid read:user write:issue public-only", Narrower);
    check("openid public-only", Narrower);
    check("openid profile email", Wider);
    check("", Wider);
    check("openid read:user write:issue read:repository", Wider);
    check("openid read:repository", Wider);
    check("openid write:user", Wider);
    check("openid all public-only", Wider);
    assert_eq!(compare("openid", "all"), Exact);
    assert_eq!(compare("openid", DEFAULT), Narrower);
    assert_eq!(compare("read:user public-only", "read:user"), Wider);
}

fn complaints(words: &[&str]) -> Vec<ScopeComplaint> {
    check_request(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
}

/// Holds: O15.
#[test]
fn a_request_that_would_be_a_full_power_token_is_refused() {
    use ScopeComplaint::{Duplicate, FullPower, Missing, NoApiScope, Powerless, Separator, Unknown};
    let default: Vec<&str> = DEFAULT.split(' ').collect();
    assert_eq!(complaints(&default), []);
    assert_eq!(complaints(&["openid", "profile", "write:issue", "read:issue"]), []);
    assert_eq!(complaints(&["openid", "profile", "email"]), [NoApiScope]);
    assert_eq!(complaints(&["openid", "profile", "public-only"]), [Powerless]);
    assert_eq!(complaints(&["openid", "profile", "all"]), [FullPower]);
    assert_eq!(complaints(&["profile", "read:user"]), [Missing("openid")]);
    assert_eq!(complaints(&["openid", "read:user"]), [Missing("profile")]);
    assert_eq!(complaints(&[]), [Missing("openid"), Missing("profile"), NoApiScope]);
    let typo = Unknown { index: 2, nearest: Some("write:issue") };
    assert_eq!(complaints(&["openid", "profile", "write:issues"]), [typo.clone(), NoApiScope]);
    assert_eq!(complaints(&["openid", "profile", "Write:Issue"]), [typo, NoApiScope]);
    assert_eq!(
        complaints(&["openid", "profile", "read:user,write:issue"]),
        [Separator { index: 2 }, NoApiScope]
    );
    assert_eq!(complaints(&["openid profile read:user"]).first(), Some(&Separator { index: 0 }));
    let sudo = Unknown { index: 3, nearest: None };
    assert_eq!(complaints(&["openid", "profile", "read:user", "sudo"]), [sudo]);
    assert_eq!(
        complaints(&["openid", "profile", "read:user", "", "read:user"]),
        [Unknown { index: 3, nearest: None }, Duplicate { index: 4 }]
    );
}

#[test]
fn a_complaint_says_what_to_do() {
    let said = complaints(&["openid", "profile", "read:usr"]);
    assert_eq!(said[0].to_string(), "the forge knows no such scope: did you mean read:user?");
    assert_eq!(said[0].index(), Some(2));
    assert!(said[1].to_string().contains("full access"));
    assert_eq!(said[1].index(), None);
}

/// A scope of known words, half-known ones and separators.
fn scopes() -> impl Strategy<Value = String> {
    let known = prop::sample::select(all_words().collect::<Vec<_>>()).prop_map(str::to_owned);
    let word = prop_oneof![6 => known, 1 => "[a-z:,]{0,12}", 1 => Just(String::new())];
    prop::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

/// The forge's rule, written a second time: may a token of this scope do that?
fn may(scope: &str, asked: &str, in_private: bool) -> bool {
    let words: Vec<&str> = scope.split(' ').filter(|word| !OIDC_WORDS.contains(word)).collect();
    let valid: Vec<&str> = words.into_iter().filter(|word| all_words().any(|known| known == *word)).collect();
    if valid.is_empty() {
        return true;
    }
    let writes = asked.replace("read:", "write:");
    let named = valid.iter().any(|word| *word == asked || *word == writes || *word == ALL);
    named && !(in_private && valid.contains(&PUBLIC_ONLY))
}

proptest! {
    /// Holds: O14.
    #[test]
    fn a_narrower_or_exact_grant_never_exceeds_what_was_asked_for(asked in scopes(), granted in scopes()) {
        let verdict = compare(&asked, &granted);
        let (mut exceeds, mut lacks) = (false, false);
        for word in CATEGORIES.iter().flat_map(|category| [category.read, category.write]) {
            for in_private in [false, true] {
                exceeds |= may(&granted, word, in_private) && !may(&asked, word, in_private);
                lacks |= may(&asked, word, in_private) && !may(&granted, word, in_private);
            }
        }
        match verdict {
            Comparison::Exact | Comparison::Narrower => prop_assert!(!exceeds),
            Comparison::Wider => {}
        }
        if exceeds {
            prop_assert_eq!(verdict, Comparison::Wider);
        } else if lacks {
            prop_assert_ne!(verdict, Comparison::Exact);
        }
    }

    /// Holds: O15.
    #[test]
    fn a_request_without_complaint_has_limited_power(words in prop::collection::vec(scopes(), 0..6)) {
        let words: Vec<String> = words.join(" ").split(' ').map(str::to_owned).collect();
        if check_request(&words).is_empty() {
            prop_assert_ne!(power(&words.join(" ")), Power::Full);
        }
    }
}
