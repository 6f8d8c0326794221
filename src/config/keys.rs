//! The key table: every key of the file, its kind, its default, its unit, its meaning. The check reads by it, unknown
//! keys are found by it, and a test compares `proxy.example.toml` with it: a default stands here and nowhere else.

mod table;

pub use table::PARTS;

/// A section of the file.
#[derive(Debug)]
pub struct Part {
    /// `server` for `[server]`, `routes` for `[[routes]]`.
    pub name: &'static str,
    /// Whether it is written `[[name]]`, once per thing.
    pub repeated: bool,
    /// Whether the section switches something on: absent, none of its keys counts. It stands as a comment in the example.
    pub optional: bool,
    /// What it is about.
    pub doc: &'static str,
    /// Its keys, in the order of the example.
    pub keys: &'static [Key],
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// Its name in the section.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds when it is not written.
    pub absent: Absent,
    /// When a change takes effect.
    pub reload: Reload,
    /// What it means.
    pub doc: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number between these.
    Count(u64, u64),
    /// A duration with its unit, between these many milliseconds.
    Duration(u64, u64),
    /// A size with its unit, between these many bytes.
    Size(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of strings.
    Texts,
    /// `true`, `false` or a list of strings.
    FlagOrTexts,
    /// A reference to a secret.
    Secret,
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The configuration is refused.
    Refused,
    /// This value, as TOML text.
    Is(&'static str),
    /// There is no such thing; the text says what that means.
    Means(&'static str),
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// With the next request after a reload.
    Live,
    /// At the next start; a reload says so.
    Restart,
}

impl Kind {
    /// What to write, for a complaint.
    pub fn wants(self) -> String {
        match self {
            Self::Text => "a string in quotes".to_owned(),
            Self::Flag => "true or false, without quotes".to_owned(),
            Self::Count(least, most) => format!("a whole number from {least} to {most}, without quotes"),
            Self::Duration(..) => {
                "a duration with its unit in quotes, such as \"500ms\", \"20s\", \"15m\", \"8h\" or \"7d\""
                    .to_owned()
            }
            Self::Size(..) => {
                "a size with its unit in quotes, such as \"512B\", \"64KiB\" or \"4GiB\"".to_owned()
            }
            Self::Choice(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Texts => "a list of strings, such as [\"...\"]".to_owned(),
            Self::FlagOrTexts => "true, false, or a list of strings".to_owned(),
            Self::Secret => {
                "{ file = \"...\" }, { credential = \"...\" } or { hero_proc = \"context/KEY\" }".to_owned()
            }
        }
    }
}

/// The section of this name.
pub fn part(name: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| part.name == name)
}

impl Part {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
