//! Where the statements of a text stand, be it TOML or not: the parser tells of a list without an end on every line after
//! it, and of a name that stands twice without saying where the first is. Pure.

use std::collections::HashMap;
use std::ops::Range;

/// A value that has no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Where it begins: its bracket.
    pub(super) at: usize,
    /// From there to the next statement.
    pub(super) value: Range<usize>,
}

/// The head of a section, or a key: its path, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    path: String,
    at: usize,
}

/// What stands where.
#[derive(Debug, Default)]
pub(super) struct Statements {
    all: Vec<Statement>,
    pub(super) open: Vec<Open>,
}

impl Statements {
    /// Looks at each line once.
    pub(super) fn of(text: &str) -> Self {
        let mut found = Self::default();
        let (mut section, mut start) = (String::new(), 0);
        // The list that the lines stand in, and how many brackets are open in it; the long string likewise.
        let mut list: Option<(usize, usize)> = None;
        let mut long: Option<&'static str> = None;
        let mut numbers = HashMap::new();
        for line in text.split_inclusive('\n') {
            let words = line.trim_start();
            let at = start + (line.len() - words.len());
            if long.is_none()
                && let Some(path) = path(words)
            {
                if let Some((open, _)) = list.take() {
                    found.open.push(Open { at: open, value: open..start });
                }
                if words.starts_with('[') {
                    section = path.to_owned();
                    if words.starts_with("[[") {
                        let number = numbers.entry(path).or_insert(0_usize);
                        section = format!("{path}[{number}]");
                        *number += 1;
                    }
                    found.all.push(Statement { path: section.clone(), at });
                } else {
                    let path = if section.is_empty() { path.to_owned() } else { format!("{section}.{path}") };
                    found.all.push(Statement { path, at });
                    let value = words.find('=').map_or(words.len(), |equals| equals + 1);
                    list = follow(words, value, at, None, &mut long);
                }
            } else if list.is_some() || long.is_some() {
                list = follow(line, 0, start, list, &mut long);
            }
            start += line.len();
        }
        if let Some((open, _)) = list {
            found.open.push(Open { at: open, value: open..text.len() });
        }
        found
    }

    /// The path of the statement at this place, and where another one before it has the same.
    pub(super) fn first(&self, at: usize) -> Option<(&str, usize)> {
        let here = self.all.iter().rev().find(|statement| statement.at <= at)?;
        let first = self.all.iter().find(|statement| statement.path == here.path)?;
        (first.at < here.at).then_some((here.path.as_str(), first.at))
    }
}

/// The name that a line gives a section or a key, if it is a plain one: a list may stand in a list.
fn path(words: &str) -> Option<&str> {
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    if let Some(head) = words.strip_prefix('[') {
        let (name, _) = head.strip_prefix('[').unwrap_or(head).split_once(']')?;
        return Some(name.trim()).filter(is_name);
    }
    words.split_once('=').map(|(name, _)| name.trim_end()).filter(is_name)
}

/// Follows a value along a line: the outermost bracket that is open at its end, and how many are.
fn follow(
    line: &str,
    from: usize,
    start: usize,
    mut list: Option<(usize, usize)>,
    long: &mut Option<&'static str>,
) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        if let Some(quotes) = *long {
            let Some(end) = rest.find(quotes) else { return list };
            (*long, at) = (None, at + end + quotes.len());
            continue;
        }
        let Some(next) = rest.find(['"', '\'', '[', ']', '#']) else { return list };
        at += next;
        let rest = line.get(at..).unwrap_or_default();
        match rest.bytes().next() {
            Some(b'#') | None => return list,
            Some(b'[') => list = Some(list.map_or((start + at, 1), |(open, depth)| (open, depth + 1))),
            Some(b']') => list = list.and_then(|(open, depth)| (depth > 1).then(|| (open, depth - 1))),
            Some(_) => {
                if let Some(quotes) = ["\"\"\"", "'''"].into_iter().find(|quotes| rest.starts_with(quotes)) {
                    (*long, at) = (Some(quotes), at + quotes.len());
                    continue;
                }
                // A string without an end: the rest of the line is in it.
                let Some(length) = string(rest) else { return list };
                at += length;
                continue;
            }
        }
        at += 1;
    }
}

/// The length of the string that a line begins with, quotes and all.
fn string(rest: &str) -> Option<usize> {
    let mut letters = rest.char_indices();
    let (_, quote) = letters.next()?;
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return Some(at + 1);
        }
        if letter == '\\' && quote == '"' {
            letters.next();
        }
    }
    None
}

/// The text without these values, every other byte where it was.
pub(super) fn without(text: &str, open: &[Open]) -> String {
    let mut kept = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        let next = open.partition_point(|open| open.value.end <= at);
        match open.get(next).filter(|open| open.value.contains(&at)) {
            // Something has to stand there, and a number says nothing.
            Some(open) if open.at == at => kept.push('0'),
            Some(_) if letter != '\n' => kept.extend(std::iter::repeat_n(' ', letter.len_utf8())),
            _ => kept.push(letter),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_an_end_ends_where_the_next_statement_begins() {
        let text = "[access]\nallow = [\"a]\", # ]\n  \"ü\"\n[[routes]]\nx = [\n [1],\n]\ny = [[2]\nz = 1\n";
        let open = Statements::of(text).open;
        let places: Vec<&str> = open.iter().filter_map(|open| text.get(open.value.clone())).collect();
        assert_eq!(places, ["[\"a]\", # ]\n  \"ü\"\n", "[[2]\n"]);
        let kept = without(text, &open);
        assert_eq!(kept.len(), text.len());
        assert!(kept.starts_with("[access]\nallow = 0 ") && kept.ends_with("y = 0   \nz = 1\n"), "{kept}");
    }

    #[test]
    fn brackets_in_strings_and_comments_open_nothing() {
        let text = "a = '[' # [\nb = \"\\\"[\"\nc = \"\"\"\n[\nd = [\n\"\"\"\ne = [\"[\"]\n";
        assert_eq!(Statements::of(text).open, []);
    }

    #[test]
    fn a_name_that_stands_twice_has_a_path_and_a_first_place() {
        let text = "[[routes]]\npath = 1\n[[routes]]\npath = 2\npath = 3\n[log]\n[log]\n";
        let found = Statements::of(text);
        let at = |words: &str| text.rfind(words).unwrap_or_default();
        assert_eq!(found.first(at("path = 2")), None);
        assert_eq!(found.first(at("path = 3")), Some(("routes[1].path", at("path = 2"))));
        assert_eq!(found.first(at("log]")), Some(("log", text.find("[log").unwrap_or_default())));
    }
}
