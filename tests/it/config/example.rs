//! The example and the presets: complete, true, and good to start from.

use std::fs;

use hero_proxy::config::keys::{Absent, Key, PARTS, Part, Reload};
use proptest::prelude::*;

use super::{Desk, project_file};

fn example() -> String {
    fs::read_to_string(project_file("proxy.example.toml")).unwrap()
}

/// The example with the keys that stand there as comments switched on.
fn whole_example() -> String {
    let lines = example().lines().map(str::to_owned).collect::<Vec<_>>();
    let is_key = |line: &str| {
        let name = line.strip_prefix("# ").and_then(|line| line.split_once(" = ")).map(|(name, _)| name);
        name.is_some_and(|name| PARTS.iter().any(|part| part.key(name).is_some()))
    };
    // What switches something on as a whole stays off: it has a test of its own.
    let mut is_optional = false;
    let mut on = Vec::new();
    for line in &lines {
        if is_head(line) {
            is_optional = line.starts_with('#');
        }
        on.push(if is_key(line) && !is_optional { line.trim_start_matches("# ") } else { line });
    }
    on.join("\n")
}

/// Whether a section begins here, be it switched off.
fn is_head(line: &str) -> bool {
    let name = line.trim_start_matches("# ").trim_matches(['[', ']']);
    line.ends_with(']') && line.contains(&format!("[{name}]")) && PARTS.iter().any(|part| part.name == name)
}

/// The lines of a section, without its head, up to the next one.
fn section(text: &str, part: &Part) -> Vec<String> {
    let head = if part.repeated { format!("[[{}]]", part.name) } else { format!("[{}]", part.name) };
    let head = if part.optional { format!("# {head}") } else { head };
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    lines.take_while(|line| !is_head(line)).map(str::to_owned).collect()
}

/// What stands above a key's line, as one text.
fn comment_above(lines: &[String], key: &Key) -> (String, String) {
    let is_line = |line: &String| {
        let line = line.trim_start_matches("# ");
        line.split_once(" = ").is_some_and(|(name, _)| name == key.name)
    };
    let at = lines
        .iter()
        .position(is_line)
        .unwrap_or_else(|| panic!("{} does not stand in the example", key.name));
    let start = lines[..at].iter().rposition(|line| !line.starts_with('#')).map_or(0, |blank| blank + 1);
    let words: Vec<_> = lines[start..at].iter().map(|line| line.trim_start_matches('#').trim()).collect();
    (words.join(" "), lines[at].clone())
}

#[test]
fn the_example_shows_every_key_with_its_meaning_and_its_default() {
    let text = example();
    for part in PARTS {
        let lines = section(&text, part);
        for key in part.keys {
            let (comment, line) = comment_above(&lines, key);
            let (tail, is_off) = match key.absent {
                Absent::Refused => ("Required.".to_owned(), false),
                Absent::Is(default) => (format!("Default: {default}."), false),
                Absent::Means(meaning) => (format!("Absent: {meaning}."), true),
            };
            let restart = if key.reload == Reload::Restart { " Restart." } else { "" };
            assert_eq!(comment, format!("{} {tail}{restart}", key.doc), "{}.{}", part.name, key.name);
            assert_eq!(line.starts_with('#'), is_off || part.optional, "{line}");
            let line = if part.optional { line.trim_start_matches("# ").to_owned() } else { line };
            if let (Absent::Is(default), true) = (key.absent, key.name != "forge_token") {
                assert_eq!(line, format!("{} = {default}", key.name));
            }
        }
    }
}

#[test]
fn the_example_and_the_presets_load_without_complaints() {
    for name in
        ["proxy.example.toml", "config/dev.toml", "config/single-node.toml", "config/behind-nginx.toml"]
    {
        let desk = Desk::new();
        let text = fs::read_to_string(project_file(name)).unwrap();
        let text = text.replace("/var/lib/hero_proxy/", &format!("{}/", desk.path("").display()));
        let mut checked = desk.check(&text);
        // systemd makes this folder at the start.
        checked
            .complaints
            .retain(|complaint| !complaint.what.starts_with("/run/hero_proxy: there is no such folder"));
        assert!(
            checked.config.is_some() && checked.complaints.is_empty(),
            "{name}: {:#?}",
            checked.complaints
        );
    }
    let presets = fs::read_dir(project_file("config")).unwrap().count();
    assert_eq!(presets, 3, "each preset is loaded here");
}

#[test]
fn the_examples_optional_section_is_good_when_it_is_switched_on() {
    let text = example();
    let (before, rest) = text.split_once("# [admin]\n").unwrap();
    let (section, after) = rest.split_at(rest.find("\n[").unwrap());
    let part = PARTS.iter().find(|part| part.optional).unwrap();
    let is_key = |line: &&str| {
        let name = line.strip_prefix("# ").and_then(|line| line.split_once(" = ")).map(|(name, _)| name);
        name.is_some_and(|name| part.key(name).is_some())
    };
    let on: Vec<&str> = section.lines().filter(is_key).map(|line| line.trim_start_matches("# ")).collect();
    let desk = Desk::new();
    let folder = desk.path("");
    let lines = on.join("\n").replace("/run/hero_proxy/", &format!("{}/", folder.display()));
    desk.put("secrets/forge_admin_token", "0123456789abcdef0123456789abcdef01234567", 0o600);
    let checked = desk.check(&format!("{before}[admin]\n{lines}\n{after}"));
    assert!(checked.config.is_some() && checked.complaints.is_empty(), "{:#?}", checked.complaints);
    assert_eq!(on.len(), part.keys.len());
}

#[test]
fn a_configuration_without_a_key_is_the_one_with_its_default() {
    let desk = Desk::new();
    let all = desk.good(&example());
    let mut rest = Vec::new();
    for line in example().lines() {
        let is_default = PARTS.iter().flat_map(|part| part.keys).any(
            |key| matches!(key.absent, Absent::Is(default) if line == format!("{} = {default}", key.name)),
        );
        if !is_default {
            rest.push(line.to_owned());
        }
    }
    let few = desk.good(&rest.join("\n"));
    assert_eq!(format!("{all:?}"), format!("{few:?}"));
}

/// All keys of the example and where each stands: (line, name).
fn keys_of(text: &str) -> Vec<(usize, String)> {
    let keys = text.lines().enumerate().filter_map(|(at, line)| match line.split_once(" = ") {
        Some((name, _)) if !line.starts_with('#') => Some((at, name.to_owned())),
        _ => line.starts_with('[').then(|| (at, line.trim_matches(['[', ']']).to_owned())),
    });
    keys.collect()
}

/// A word with one slip in it.
fn slip(word: &str, kind: u8, at: usize, letter: char) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = at % letters.len();
    match kind {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letter),
        2 => letters[at] = letter,
        _ => {
            let next = (at + 1) % letters.len();
            letters.swap(at.min(next), at.max(next).min(at.min(next) + 1));
        }
    }
    letters.into_iter().collect()
}

proptest! {
    /// Holds: V1.
    #[test]
    fn any_slip_in_a_key_of_the_example_names_the_right_key(
        key in any::<prop::sample::Index>(), kind in 0..4_u8, at in 0..40_usize, letter in prop::char::range('a', 'z'),
    ) {
        let desk = Desk::new();
        let text = whole_example();
        let keys = keys_of(&text);
        let (line, name) = key.get(&keys);
        let wrong = slip(name, kind, at, letter);
        let is_known = PARTS.iter().any(|part| part.name == wrong || part.key(&wrong).is_some());
        prop_assume!(!wrong.is_empty() && !is_known);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[*line] = lines[*line].replacen(name.as_str(), &wrong, 1);
        let checked = desk.check(&lines.join("\n"));
        prop_assert!(checked.config.is_none());
        let found = checked.complaints.iter().any(|complaint| {
            complaint.place.is_some_and(|place| place.line == line + 1)
                && complaint.did_you_mean.iter().any(|meant| meant == name)
        });
        prop_assert!(found, "{wrong} for {name}: {:#?}", checked.complaints);
    }
}
