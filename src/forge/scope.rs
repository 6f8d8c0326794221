//! What a scope is worth at the forge. Pure.
//!
//! The forge's rule, on every API request (docs/FORGEJO.md 2.1):
//!
//! 1. The grant's scope is split at single spaces. `openid profile email groups` have no power over the API.
//! 2. Words that name API access count: `read:` or `write:` with a category, `all`, `public-only`. `write:` holds
//!    `read:`.
//! 3. Every other word is dropped without a word: a typo, `a,b` with commas, `sudo`.
//! 4. When nothing is left, the token has **full** power: whoever asks for `openid` alone, or misspells the one word,
//!    gets everything.

use std::fmt;

use thiserror::Error;

/// The words about who somebody is; none has power over the API (docs/FORGEJO.md 1.1).
pub const OIDC_WORDS: [&str; 4] = ["openid", "profile", "email", "groups"];

const ALL: &str = "all";
const PUBLIC_ONLY: &str = "public-only";

/// A part of the API, and what reading and writing there means to the person whose token it is.
struct Category {
    read: &'static str,
    write: &'static str,
    may_read: &'static str,
    may_write: &'static str,
}

const fn category(words: [&'static str; 2], may: [&'static str; 2]) -> Category {
    let [[read, write], [may_read, may_write]] = [words, may];
    Category { read, write, may_read, may_write }
}

/// All parts of the API (docs/FORGEJO.md 2.1).
const CATEGORIES: [Category; 9] = [
    category(
        ["read:user", "write:user"],
        ["read your profile", "read and change your profile, settings, keys and applications"],
    ),
    category(
        ["read:issue", "write:issue"],
        [
            "read issues in every repository you can reach",
            "read and write issues in every repository you can reach",
        ],
    ),
    category(
        ["read:repository", "write:repository"],
        ["read every repository you can reach", "read and change every repository you can reach"],
    ),
    category(
        ["read:organization", "write:organization"],
        ["read your organizations and teams", "read and change your organizations and teams"],
    ),
    category(["read:package", "write:package"], ["read packages", "read, publish and delete packages"]),
    category(
        ["read:notification", "write:notification"],
        ["read your notifications", "read and dismiss your notifications"],
    ),
    category(
        ["read:admin", "write:admin"],
        [
            "read the administration of the whole forge, if you are its admin",
            "administer the whole forge, if you are its admin",
        ],
    ),
    category(
        ["read:activitypub", "write:activitypub"],
        ["read federation data", "read and change federation data"],
    ),
    category(
        ["read:misc", "write:misc"],
        ["read miscellaneous things", "read and change miscellaneous things"],
    ),
];

/// What may be done in one category; the order is that of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Nothing,
    Read,
    Write,
}

/// The power of a token over the forge's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Power {
    /// Everything that its user may do.
    Full,
    /// Less than that.
    Limited(Limits),
}

/// A power with limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    levels: [Level; CATEGORIES.len()],
    public_only: bool,
}

impl Limits {
    /// The power to do everything, written as limits.
    const NONE: Self = Self { levels: [Level::Write; CATEGORIES.len()], public_only: false };

    /// Whether nothing at all can be done.
    pub fn is_powerless(&self) -> bool {
        self.levels.iter().all(|level| *level == Level::Nothing)
    }

    fn holds(&self, other: &Self) -> bool {
        let levels = self.levels.iter().zip(&other.levels).all(|(ours, theirs)| ours >= theirs);
        levels && (other.public_only || !self.public_only)
    }
}

impl Power {
    /// Whether whatever `other` can do, this can do.
    pub fn holds(&self, other: &Self) -> bool {
        self.limits().holds(other.limits())
    }

    fn limits(&self) -> &Limits {
        match self {
            Self::Full => &Limits::NONE,
            Self::Limited(limits) => limits,
        }
    }
}

/// What can be done, in one line for people: "read your profile; read and write issues in ...".
impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = match self {
            Self::Full => return f.write_str("do everything that you can do"),
            Self::Limited(limits) if limits.is_powerless() => return f.write_str("do nothing"),
            Self::Limited(limits) => limits,
        };
        let mut between = "";
        for (level, category) in limits.levels.iter().zip(&CATEGORIES) {
            let sentence = match level {
                Level::Nothing => continue,
                Level::Read => category.may_read,
                Level::Write => category.may_write,
            };
            write!(f, "{between}{sentence}")?;
            between = "; ";
        }
        if limits.public_only { f.write_str("; only where it is public") } else { Ok(()) }
    }
}

/// The power that a scope has at the forge.
///
/// # Shapes
/// Any text: the forge's rule has an answer for each. Full power is [`Power::Full`], however it is spelt.
pub fn power(scope: &str) -> Power {
    let mut limits = Limits { levels: [Level::Nothing; CATEGORIES.len()], public_only: false };
    let mut named = false;
    for word in scope.split(' ') {
        named |= match word {
            ALL => {
                limits.levels = [Level::Write; CATEGORIES.len()];
                true
            }
            PUBLIC_ONLY => {
                limits.public_only = true;
                true
            }
            _ => raise(&mut limits.levels, word),
        };
    }
    if !named || limits == Limits::NONE { Power::Full } else { Power::Limited(limits) }
}

/// Adds what a word names; false: it names no API access.
fn raise(levels: &mut [Level], word: &str) -> bool {
    for (level, category) in levels.iter_mut().zip(&CATEGORIES) {
        let raised = match word {
            word if word == category.read => Level::Read,
            word if word == category.write => Level::Write,
            _ => continue,
        };
        *level = raised.max(*level);
        return true;
    }
    false
}

/// How a granted scope stands to the one that was asked for, judged by power, not by words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same power.
    Exact,
    /// Less, and nothing that was not asked for.
    Narrower,
    /// Something that was not asked for, whatever else may be missing.
    Wider,
}

/// Compares what was granted with what was asked for; both are scopes as they go over the wire.
pub fn compare(asked: &str, granted: &str) -> Comparison {
    let (asked, granted) = (power(asked), power(granted));
    if asked == granted {
        Comparison::Exact
    } else if asked.holds(&granted) {
        Comparison::Narrower
    } else {
        Comparison::Wider
    }
}

/// Why a list of scope words is not worth asking for. `index` counts the list's words from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScopeComplaint {
    /// Without a word for the API the forge grants full power.
    #[error(
        "no word names API access, which the forge reads as full access: add at least one, such as read:user"
    )]
    NoApiScope,
    /// `public-only` limits other words; alone it is a token that can do nothing.
    #[error("public-only alone can do nothing: add a word such as read:user")]
    Powerless,
    /// All power is asked for.
    #[error("the words together ask for full access: name only what is needed")]
    FullPower,
    /// Sign-in needs this word: the id_token comes with `openid`, the login name with `profile`.
    #[error("{0} is missing: nobody could sign in")]
    Missing(&'static str),
    /// The forge would drop this word without saying so.
    #[error("the forge knows no such scope{}", nearest.map(|word| format!(": did you mean {word}?")).unwrap_or_default())]
    Unknown {
        /// Which word.
        index: usize,
        /// The word that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Several words in one, which is one unknown word to the forge.
    #[error(
        "the forge reads this as one word: write each scope as a text of its own, without comma or space"
    )]
    Separator {
        /// Which word.
        index: usize,
    },
    /// The word stands there before.
    #[error("this scope stands there twice")]
    Duplicate {
        /// Which word, the later one.
        index: usize,
    },
}

impl ScopeComplaint {
    /// The word that it is about, counted from 0; none: about the list as a whole.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Unknown { index, .. } | Self::Separator { index } | Self::Duplicate { index } => {
                Some(*index)
            }
            _ => None,
        }
    }
}

/// Every reason why these words should not be asked for; none: they are fine.
///
/// `write:issue` and `read:issue` together are fine, if wordy.
pub fn check_request(words: &[String]) -> Vec<ScopeComplaint> {
    let mut complaints = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if word.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '+')) {
            complaints.push(ScopeComplaint::Separator { index });
        } else if !all_words().any(|known| known == word) {
            complaints.push(ScopeComplaint::Unknown { index, nearest: nearest(word) });
        } else if words.iter().take(index).any(|before| before == word) {
            complaints.push(ScopeComplaint::Duplicate { index });
        }
    }
    for needed in ["openid", "profile"] {
        if !words.iter().any(|word| word == needed) {
            complaints.push(ScopeComplaint::Missing(needed));
        }
    }
    let api_word =
        |word: &String| all_words().any(|known| known == word) && !OIDC_WORDS.contains(&word.as_str());
    match power(&words.join(" ")) {
        Power::Full if words.iter().any(api_word) => complaints.push(ScopeComplaint::FullPower),
        Power::Full => complaints.push(ScopeComplaint::NoApiScope),
        Power::Limited(limits) if limits.is_powerless() => complaints.push(ScopeComplaint::Powerless),
        Power::Limited(_) => {}
    }
    complaints
}

/// Every word that the forge knows.
fn all_words() -> impl Iterator<Item = &'static str> {
    let api = CATEGORIES.iter().flat_map(|category| [category.read, category.write]);
    OIDC_WORDS.into_iter().chain(api).chain([ALL, PUBLIC_ONLY])
}

/// The known word that is spelt most alike, if any is near enough.
fn nearest(word: &str) -> Option<&'static str> {
    let word: String = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let near = all_words().map(|known| (strsim::osa_distance(&word, known), known));
    near.min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
