//! What somebody else's proxy sees of the layer: only crates of which there is one version everywhere.
//!
//! Read by line and indentation, which `cargo fmt` keeps. What is `pub` can be reached, since rustc's `unreachable_pub` says
//! so, but for what stands within a type that cannot. What is derived is no signature: nobody has to name it.

use std::collections::{HashMap, HashSet};

use crate::support::sources::{self, Source};

/// The rooms that whoever mounts the layer names, and a backend behind it.
const ROOMS: [&str; 5] = ["src/wire", "src/base", "src/session", "src/forge", "src/gate"];

/// What belongs to the tests, and what is for axum's users alone.
const APART: [&str; 4] =
    ["src/forge/fake/", "src/forge/contract", "src/session/contract.rs", "src/wire/extract.rs"];

/// Whose types public items may name beside our own.
const SHARED: [&str; 6] = ["std", "http", "http_body", "bytes", "tower_layer", "tower_service"];

/// The one type of a crate that is not among them.
const HANDLE: (&str, &str) = ("tokio", "Handle");

const TYPES: [&str; 3] = ["struct ", "enum ", "trait "];
const FUNCTIONS: [&str; 3] = ["fn ", "async fn ", "const fn "];

fn begins(line: &str, with: &[&str]) -> bool {
    with.iter().any(|word| line.starts_with(word))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// An item without the word that says who may see it; whether that is everybody.
fn visibility(line: &str) -> (bool, &str) {
    match line.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")) {
        Some((_, item)) => (false, item),
        None => line.strip_prefix("pub ").map_or((false, line), |item| (true, item)),
    }
}

/// What a block's lines are to the world.
#[derive(Clone, Copy, PartialEq)]
enum Block {
    /// Nobody's: a type that cannot be reached, and what is implemented for it.
    Hidden,
    /// Each by its own word: a structure's fields, a type's functions.
    Marked,
    /// All of it: a trait's items, an enumeration's variants.
    Open,
    /// The associated types of a trait for a type of ours; the trait has its functions.
    Implemented,
}

/// The name that an item gets.
fn name(item: &str) -> Option<&str> {
    Some(words(item.split_once(' ')?.1).next()?.1)
}

/// The types of a file that cannot be reached.
fn hidden_types(source: &Source) -> HashSet<&str> {
    let items = source.code().map(|(_, line)| visibility(line.trim()));
    items
        .filter(|(public, item)| !public && begins(item, &TYPES))
        .filter_map(|(_, item)| name(item))
        .collect()
}

/// The type that an `impl` is for, without its path and what it is generic over.
fn implementer(header: &str) -> &str {
    let header = header.split(" where ").next().unwrap();
    let header = header.rsplit_once(" for ").map_or_else(
        || header.split_once("> ").filter(|_| header.starts_with("impl<")).map_or(header, |(_, of)| of),
        |(_, of)| of,
    );
    let name = header.trim_start_matches("impl ").split(['<', ' ', '{']).next().unwrap();
    name.rsplit("::").next().unwrap()
}

/// The public signatures of a file, each with its line.
fn signatures(source: &Source) -> Vec<(usize, String)> {
    let hidden = hidden_types(source);
    let lines: Vec<(usize, &str)> = source.code().filter(|(_, line)| !line.trim().is_empty()).collect();
    let (mut found, mut blocks) = (Vec::new(), Vec::<(usize, Block)>::new());
    let mut next = 0;
    while let Some(&(at, line)) = lines.get(next) {
        next += 1;
        let (deep, line) = (indent(line), line.trim());
        if blocks.pop_if(|(outer, _)| *outer >= deep).is_some() && line.starts_with('}') {
            continue;
        }
        if line.starts_with("#[") {
            continue;
        }
        let around = blocks.last().map(|(_, block)| *block);
        let (marked, item) = visibility(line);
        let is_implementation = begins(item, &["impl ", "impl<"]);
        let is_function = begins(item, &FUNCTIONS);
        let is_type = begins(item, &TYPES);
        // The whole of what may be written over several lines.
        let mut whole = item.to_owned();
        let block = is_function || is_type || is_implementation;
        let ends = |text: &str| {
            let open = text.matches(['(', '[', '<']).count();
            let shut = text.replace("->", "").replace("=>", "").matches([')', ']', '>']).count();
            text.ends_with([';', '{', '}']) || !block && open <= shut
        };
        while !ends(&whole)
            && let Some((_, more)) = lines.get(next)
        {
            whole = format!("{whole} {}", more.trim());
            next += 1;
        }
        let goes_on = whole.ends_with('{');
        let inside = match around {
            Some(whatever @ (Block::Hidden | Block::Open)) => whatever,
            _ if is_implementation && hidden.contains(implementer(&whole)) => Block::Hidden,
            _ if is_implementation && whole.contains(" for ") => Block::Implemented,
            _ if is_type && name(item).is_some_and(|name| hidden.contains(name)) => Block::Hidden,
            _ if begins(item, &["enum ", "trait "]) => Block::Open,
            _ => Block::Marked,
        };
        let public = match around {
            Some(Block::Hidden) => false,
            Some(Block::Open) => true,
            Some(Block::Implemented) => item.starts_with("type "),
            None | Some(Block::Marked) => marked || is_implementation && inside != Block::Hidden,
        };
        if public {
            found.push((at, face(&whole, is_function, item.starts_with("struct "))));
        }
        if goes_on && is_function {
            // To the end of its body.
            while lines.get(next).is_some_and(|(_, line)| indent(line) > deep) {
                next += 1;
            }
        } else if goes_on {
            blocks.push((deep, inside));
        }
    }
    found
}

/// The part of an item that its user reads.
fn face(whole: &str, is_function: bool, is_struct: bool) -> String {
    let end = match whole.find(['{', '=']) {
        Some(end) if is_function || whole.starts_with("const ") || whole.starts_with("static ") => end,
        _ => whole.len(),
    };
    let whole = whole.get(..end).unwrap();
    match whole.split_once('(') {
        // A tuple's parts each have a word of their own.
        Some((head, parts)) if is_struct => {
            let parts = parts.split(',').filter(|part| part.trim().starts_with("pub "));
            format!("{head} {}", parts.collect::<Vec<_>>().join(" "))
        }
        _ => whole.to_owned(),
    }
}

/// The words of a text, each with where it begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let place = move |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split(ends).filter(|word| !word.is_empty()).map(move |word| (place(word), word))
}

/// The names that a file imports, each with the crate it comes from.
fn imports(source: &Source) -> HashMap<String, String> {
    let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
    let mut found = HashMap::new();
    for tree in code.split(';').filter_map(|item| {
        let item = item.lines().skip_while(|line| !line.contains("use ")).collect::<Vec<_>>().join(" ");
        visibility(&item).1.strip_prefix("use ").map(str::to_owned)
    }) {
        let krate = tree.split("::").next().unwrap().trim();
        for path in tree.split(['{', '}', ',', ' ']) {
            // Of `a::b::{self, C}` it is b that `self` stands for.
            let name = path.trim_end_matches("::").rsplit("::").next().unwrap();
            if !matches!(name, "" | "self" | "as" | "_") {
                found.insert(name.to_owned(), krate.to_owned());
            }
        }
    }
    found
}

/// The crates that the manifest names.
fn dependencies() -> HashSet<String> {
    let manifest = sources::file("Cargo.toml").text;
    let (_, table) = manifest.split_once("\n[dependencies]\n").unwrap();
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_"))).collect()
}

/// What public signatures name that not everybody has, with its place.
fn foreign(source: &Source, crates: &HashSet<String>) -> Vec<String> {
    let imports = imports(source);
    let mut found = Vec::new();
    for (at, text) in signatures(source) {
        for (place, word) in words(&text) {
            let (before, after) = text.split_at(place);
            let named = after.strip_prefix(word).unwrap();
            if before.ends_with("::") {
                continue;
            }
            let krate = match imports.get(word) {
                Some(krate) => krate,
                None if named.starts_with("::") && crates.contains(word) => word,
                None => continue,
            };
            let path = named.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)).next().unwrap();
            let last = format!("{word}{path}");
            let last = last.rsplit("::").next().unwrap();
            let ours = matches!(krate, "crate" | "self" | "super") || !crates.contains(krate);
            if !ours && !SHARED.contains(&krate) && (krate, last) != HANDLE {
                found.push(format!("{}:{at}: {last} of {krate}", source.path));
            }
        }
    }
    found
}

/// A layer that names another library binds everybody to its version.
#[test]
fn the_rooms_that_others_name_speak_only_of_crates_that_everybody_shares() {
    let sources = ROOMS.iter().flat_map(|room| sources::files(room, &[".rs"]));
    let sources: Vec<Source> = sources
        .filter(|source| !APART.iter().any(|apart| source.path.starts_with(apart)))
        .filter(|source| !source.path.ends_with("tests.rs"))
        .collect();
    let seen: usize = sources.iter().map(|source| signatures(source).len()).sum();
    assert!(seen > 500, "{seen} signatures");
    let crates = dependencies();
    let wrong: Vec<String> = sources.iter().flat_map(|source| foreign(source, &crates)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_foreign_type_is_told_with_its_place_wherever_it_is_public() {
    let text = "\
use http::{HeaderMap, Uri};
pub(crate) use moka::{
    ops::{self, compute},
    sync::Cache,
};
use tokio::runtime::Handle;
use crate::forge::http;

pub struct Settings {
    pub url: url::Url,
    cache: Cache<u8, u8>,
    pub map: HeaderMap,
}
pub struct Pair(Cache<u8, u8>, pub Cache<u8, u8>);
pub(super) struct Ours {
    pub cache: Cache<u8, u8>,
}
struct Private;
impl From<rusqlite::Error> for Private {}
impl From<rusqlite::Error> for Settings {
    fn from(error: rusqlite::Error) -> Self {}
}
impl<T: compute::Op> Settings {
    pub fn on(handle: &Handle, uri: Uri) -> Result<http::Reply, ops::Error> {
        let cache: Cache<u8, u8> = pub_cache();
    }
    pub(crate) fn near(&self) -> Cache<u8, u8> {}
    pub async fn later(
        &self,
        runtime: tokio::runtime::Runtime,
    ) -> std::io::Result<()>
    where
        Self: Sized,
        Cache<u8, u8>: Sized,
    {
    }
}
pub enum Bad {
    Sql(#[from] rusqlite::Error),
    Wide {
        url: url::Url,
    },
}
pub trait Port {
    fn url(&self) -> url::Url;
    fn none(&self) -> Option<u8> {
        let url: url::Url = other();
    }
}
pub use reqwest::Client;
pub const NONE: Option<u8> = url::NONE;
";
    let source = Source { path: "x.rs".to_owned(), text: text.to_owned() };
    let crates = dependencies();
    assert_eq!(
        foreign(&source, &crates),
        [
            "x.rs:10: Url of url",
            "x.rs:14: Cache of moka",
            "x.rs:20: Error of rusqlite",
            "x.rs:23: Op of moka",
            "x.rs:24: Error of moka",
            "x.rs:28: Runtime of tokio",
            "x.rs:28: Cache of moka",
            "x.rs:39: Error of rusqlite",
            "x.rs:41: Url of url",
            "x.rs:45: Url of url",
            "x.rs:50: Client of reqwest",
        ]
    );
}
