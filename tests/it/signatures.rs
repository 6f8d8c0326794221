//! What somebody else's proxy sees of the layer: only crates of which there is one version everywhere.

use crate::support::sources;

/// The files that make up the layer's public face.
const FACE: [&str; 4] = ["src/gate/layer.rs", "src/gate/verdict.rs", "src/gate/body.rs", "src/base/path.rs"];

/// What their public items may name beside our own types.
const ALLOWED: [&str; 8] =
    ["std", "crate", "http", "http_body", "bytes", "tower_layer", "tower_service", "pin_project_lite"];

/// The names that a file imports, each with the crate it comes from.
fn imports(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("use ")) {
        let line = line.trim_end_matches(';');
        let krate = line.split("::").next().unwrap();
        for name in line.split(['{', '}', ',', ' ']).filter(|name| !name.is_empty()) {
            let name = name.rsplit("::").next().unwrap();
            found.push((name.to_owned(), krate.to_owned()));
        }
    }
    found
}

/// The public part of a file: declarations of public items up to their body, and public fields and methods.
fn public_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(sources::without_comment).enumerate();
    lines.filter(|(_, line)| {
        let line = line.trim_start();
        let associated = line.starts_with("type ") || line.starts_with("impl") || line.starts_with("fn ");
        line.starts_with("pub ") || associated
    })
}

/// A layer that names another library binds everybody to its version.
#[test]
fn the_layer_names_only_crates_that_everybody_shares() {
    let mut wrong = Vec::new();
    for path in FACE {
        let source = sources::file(path);
        let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
        let imports = imports(&code);
        for (at, line) in public_lines(&code) {
            for (name, krate) in &imports {
                let named =
                    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
                if named && !ALLOWED.contains(&krate.as_str()) {
                    wrong.push(format!("{path}:{}: {name} of {krate}", at + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
