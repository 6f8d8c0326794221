//! The project's own files, as the tests about them read them.

use std::fs;
use std::path::Path;

/// One file of the project.
pub struct Source {
    /// Its path below the project's folder, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One file of the project.
pub fn file(path: &str) -> Source {
    let text = fs::read_to_string(root().join(path));
    Source { path: path.to_owned(), text: text.unwrap_or_else(|error| panic!("{path}: {error}")) }
}

/// All text files below a folder of the project whose names end in one of these, in order. Build output and what a
/// package manager puts down are nobody's sources.
pub fn files(under: &str, ends: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    walk(under, &mut |path| {
        if ends.iter().any(|end| path.ends_with(end))
            && let Ok(text) = fs::read_to_string(root().join(&path))
        {
            found.push(Source { path, text });
        }
    });
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

fn walk(under: &str, see: &mut dyn FnMut(String)) {
    for entry in fs::read_dir(root().join(under)).into_iter().flatten().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && matches!(name.as_str(), ".git" | "target" | "node_modules") => {}
            kind if kind.is_dir() => walk(&path, see),
            kind if kind.is_file() => see(path),
            _ => {}
        }
    }
}

impl Source {
    /// The lines of code, counted from 1, without their comments; without the tests at the foot of the file.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        let code = self.text.get(..tests).unwrap_or_default();
        code.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line)))
    }
}

/// A line without its comment. (A `//` within a string has no blank before it: addresses.)
pub fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split(" //").next().unwrap_or_default()
}
