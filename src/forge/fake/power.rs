//! What a grant's scope can do: Forgejo's rule (`docs/FORGEJO.md` 2.1), written here a second time and apart from
//! `forge::scope`, so that each watches the other.

/// What the API lets a credential do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Power {
    /// Everything the user can.
    All,
    /// These words only.
    Words(Vec<String>),
}

const CATEGORIES: [&str; 9] = [
    "activitypub",
    "admin",
    "misc",
    "notification",
    "organization",
    "package",
    "issue",
    "repository",
    "user",
];

/// Whether Forgejo takes this as a word of an API scope.
pub(super) fn is_word(word: &str) -> bool {
    let category = word.strip_prefix("read:").or_else(|| word.strip_prefix("write:"));
    matches!(word, "all" | "public-only") || category.is_some_and(|category| CATEGORIES.contains(&category))
}

impl Power {
    /// A grant's: split on single spaces, unknown words dropped; when nothing is left, everything is allowed.
    pub(super) fn of_grant(scope: &str) -> Self {
        let words: Vec<String> = scope.split(' ').filter(|word| is_word(word)).map(str::to_owned).collect();
        if words.is_empty() { Self::All } else { Self::of_words(words) }
    }

    /// A personal token's.
    pub(super) fn of_words(words: Vec<String>) -> Self {
        if words.iter().any(|word| word == "all") { Self::All } else { Self::Words(words) }
    }

    /// Whether `read:issue` or `write:user` and their like is within; write implies read.
    pub(super) fn allows(&self, need: &str) -> bool {
        let Self::Words(words) = self else { return true };
        let wider = need.strip_prefix("read:").map(|category| format!("write:{category}"));
        words.iter().any(|word| word == need || Some(word) == wider.as_ref())
    }

    pub(super) fn is_public_only(&self) -> bool {
        matches!(self, Self::Words(words) if words.iter().any(|word| word == "public-only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scope: &str, issue: bool, user: bool) {
        let power = Power::of_grant(scope);
        assert_eq!((power.allows("write:issue"), power.allows("read:user")), (issue, user), "{scope:?}");
    }

    #[test]
    fn a_scope_with_no_api_word_left_allows_everything() {
        for scope in
            ["", "openid profile email", "write:issue,read:user", "openid write:issues", "openid sudo"]
        {
            check(scope, true, true);
            assert_eq!(Power::of_grant(scope), Power::All);
        }
    }

    #[test]
    fn api_words_narrow() {
        check("openid profile email write:issue", true, false);
        check("openid write:issue offline_access", true, false);
        check("openid read:user", false, true);
        check("openid public-only", false, false);
        check("openid all", true, true);
        check("openid write:user", false, true);
    }
}
