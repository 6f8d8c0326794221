//! What may not stand in this project: traces of one machine, promises instead of code, tests that wait or are left out.

use crate::support::sources::{self, Source};

const TEXT: [&str; 15] = [
    ".rs", ".toml", ".md", ".html", ".css", ".sql", ".js", ".mjs", ".ts", ".json", ".jsonl", ".py", ".sh",
    ".lock", "run",
];

/// This file has to spell what it forbids.
const SELF: &str = "tests/it/words.rs";

fn all() -> Vec<Source> {
    let mut all = sources::files("", &TEXT);
    all.retain(|source| source.path != SELF);
    assert!(all.len() > 150, "the sources are found");
    all
}

fn refuse(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn lines_with<'a>(source: &'a Source, words: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    source.text.lines().enumerate().flat_map(move |(at, line)| {
        words
            .iter()
            .filter(move |word| line.contains(**word))
            .map(move |word| format!("{}:{}: {word}", source.path, at + 1))
    })
}

/// Whoever builds this has another machine.
#[test]
fn no_path_of_a_machine_stands_anywhere() {
    let paths = ["/work/", "/root/", "/home/", "/Users/", "/tmp/", "/.cargo/registry", "/rustc/"];
    let wrong: Vec<String> =
        all().iter().flat_map(|source| lines_with(source, &paths).collect::<Vec<_>>()).collect();
    refuse(&wrong);
}

/// What is locked comes from the public registries, under their public names.
#[test]
fn no_other_registry_is_named() {
    let public = [
        "registry+https://github.com/rust-lang/crates.io-index",
        "\"resolved\": \"https://registry.npmjs.org/",
    ];
    let mut wrong = Vec::new();
    for source in
        all().iter().filter(|source| source.path.ends_with(".lock") || source.path.ends_with("-lock.json"))
    {
        for (at, line) in source.text.lines().enumerate() {
            let names = line.contains("source = ") || line.contains("\"resolved\":");
            if names && !public.iter().any(|public| line.contains(public)) {
                wrong.push(format!("{}:{}: {}", source.path, at + 1, line.trim()));
            }
        }
    }
    refuse(&wrong);
}

#[test]
fn nothing_is_put_off() {
    let words = ["TODO", "FIXME", "XXX", "HACK", "unimplemented!", "todo!("];
    let wrong: Vec<String> = all()
        .iter()
        .filter(|source| {
            !source.path.ends_with(".lock") && !source.path.ends_with(".json") && source.path != "Cargo.toml"
        })
        .flat_map(|source| lines_with(source, &words).collect::<Vec<_>>())
        .collect();
    refuse(&wrong);
}

/// A test waits for an event under a deadline, or turns the clock by hand; it never sleeps and is never left out.
#[test]
fn no_test_sleeps_and_none_is_left_out() {
    let words = ["#[ignore", "sleep(", "waitForTimeout(", "test.skip(", "test.only("];
    let mut wrong = Vec::new();
    for mut source in all() {
        if source.path.starts_with("src/") && !source.path.ends_with("tests.rs") {
            // Only the tests at the foot of the file; lines keep their numbers.
            let tests = source.text.find("#[cfg(test)]\nmod ").unwrap_or(source.text.len());
            let (code, tests) = source.text.split_at(tests);
            source.text = "\n".repeat(code.matches('\n').count()) + tests;
        } else if !source.path.starts_with("tests/") && !source.path.starts_with("src/") {
            continue;
        }
        source.text = source.text.lines().map(sources::without_comment).collect::<Vec<_>>().join("\n");
        wrong.extend(lines_with(&source, &words));
    }
    refuse(&wrong);
}

/// The top level is what a newcomer sees first.
#[test]
fn the_top_level_holds_what_was_agreed() {
    let agreed = [
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "bench",
        "config",
        "docs",
        "proxy.example.toml",
        "src",
        "target",
        "tests",
    ];
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(sources::root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with('.') && !agreed.contains(&name.as_str()) {
            wrong.push(name);
        }
    }
    refuse(&wrong);
}

/// A test file that no `mod` line names is never run.
#[test]
fn each_test_file_is_run() {
    let main = sources::file("tests/it/main.rs").text;
    for source in sources::files("tests/it", &[".rs"]) {
        let name = source.path.strip_prefix("tests/it/").unwrap();
        let name = name.strip_suffix("/mod.rs").or(name.strip_suffix(".rs")).unwrap();
        let listed = name == "main" || name.contains('/') || main.contains(&format!("mod {name};"));
        assert!(listed, "{} is in no binary", source.path);
    }
}
