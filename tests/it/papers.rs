//! The documents say what the code says. A link leads somewhere, a name is found where it is said to be, and a list in a
//! document is the list in the code.
//!
//! `HERO_TEST_WRITE=1 cargo test --test it papers` writes the generated parts anew.

use std::collections::{BTreeMap, BTreeSet};

use hero_proxy::gate::{end, reason};

use crate::support::sources::{self, Source};

fn papers() -> Vec<Source> {
    let mut papers = sources::files("docs", &[".md"]);
    papers.push(sources::file("README.md"));
    papers.push(sources::file("tests/CHECKS.md"));
    papers
}

fn refuse(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A link of a document: its text and its target.
fn links(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("](") {
        let (before, after) = text.split_at(at);
        let label = before.rsplit('[').next().unwrap();
        let target = after.get(2..).and_then(|rest| rest.split(')').next()).unwrap();
        found.push((label, target));
    }
    found
}

/// A path that a document names, from the folder it lies in; dots are worked off.
fn resolve(paper: &str, target: &str) -> String {
    let mut parts: Vec<&str> = paper.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What GitHub and Forgejo make of a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn headings(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim())
}

/// Whether a file defines this item: a function, type, constant, module or field.
fn defines(text: &str, name: &str) -> bool {
    let begins = [
        "fn ",
        "struct ",
        "enum ",
        "trait ",
        "const ",
        "static ",
        "type ",
        "mod ",
        "macro_rules! ",
        "pub ",
        "\n    ",
    ];
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = text.split_at(at);
        let whole = !after
            .get(name.len()..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'));
        whole && begins.iter().any(|begin| before.ends_with(begin))
    })
}

#[test]
fn each_link_leads_to_a_file_and_each_name_is_found_in_it() {
    let mut wrong = Vec::new();
    for paper in papers() {
        for (label, target) in links(&paper.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { paper.path.clone() } else { resolve(&paper.path, file) };
            if !sources::root().join(&path).exists() {
                wrong.push(format!("{}: {target} is not there", paper.path));
                continue;
            }
            if !fragment.is_empty()
                && !headings(&sources::file(&path).text).any(|heading| anchor(heading) == fragment)
            {
                wrong.push(format!("{}: {path} has no heading {fragment}", paper.path));
            }
            let Some(item) = label.strip_prefix('`').and_then(|label| label.strip_suffix('`')) else {
                continue;
            };
            if path.ends_with(".rs") && !item.contains(['/', '.']) {
                let text = sources::file(&path).text;
                let names = item.trim_end_matches("()").split("::");
                for name in
                    names.filter(|name| !defines(&text, name) && !text.contains(&format!("impl {name}")))
                {
                    wrong.push(format!("{}: {path} does not define {name}", paper.path));
                }
            }
        }
    }
    refuse(&wrong);
}

#[test]
fn each_section_on_the_forge_that_the_code_cites_is_there() {
    let forgejo = sources::file("docs/FORGEJO.md").text;
    let numbers: BTreeSet<&str> = headings(&forgejo)
        .filter_map(|heading| heading.split(' ').next())
        .map(|number| number.trim_end_matches('.'))
        .collect();
    let mut wrong = Vec::new();
    let mut cited = 0;
    for source in
        sources::files("src", &[".rs"]).iter().chain(&sources::files("tests", &[".rs"])).chain(&papers())
    {
        if source.path != "tests/it/papers.rs" && source.text.contains("forgejo.md") {
            wrong.push(format!("{}: the page on the forge is docs/FORGEJO.md", source.path));
        }
        // A line may break between the name and the number.
        let text = source.text.replace("\n/// ", " ").replace("\n//! ", " ").replace("\n    /// ", " ");
        for (at, _) in text.match_indices("FORGEJO.md ") {
            let rest = text.get(at + "FORGEJO.md ".len()..).unwrap_or_default();
            let number =
                rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap().trim_end_matches('.');
            if number.starts_with(|c: char| c.is_ascii_digit()) {
                cited += 1;
                if !numbers.contains(number) {
                    wrong.push(format!("{}: cites {number}", source.path));
                }
            }
        }
    }
    assert!(cited > 10, "the citations are found");
    refuse(&wrong);
}

/// A law is named in backticks, as a sentence of at least four words.
#[test]
fn each_law_of_the_forge_that_is_named_is_in_the_contract_and_the_other_way_round() {
    let contract: String = sources::files("src/forge", &[".rs"])
        .iter()
        .filter(|source| source.path.contains("contract"))
        .map(|source| source.text.clone())
        .collect();
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    for paper in
        papers().iter().filter(|paper| paper.path.contains("FORGEJO") || paper.path.contains("decisions"))
    {
        for law in paper.text.split('`').filter(|word| is_sentence(word)) {
            named.insert(law.to_owned());
            if !contract.contains(&format!("fn {law}(")) {
                wrong.push(format!("{}: no law {law}", paper.path));
            }
        }
    }
    for line in contract.lines().filter(|line| {
        line.trim_start().starts_with("pub(super) async fn ") && line.contains("lab: &Lab) -> Law {")
    }) {
        let law = line.trim_start().trim_start_matches("pub(super) async fn ").split('(').next().unwrap();
        if !named.contains(law) {
            wrong.push(format!("docs/FORGEJO.md: says nothing of the law {law}"));
        }
    }
    refuse(&wrong);
}

fn is_sentence(word: &str) -> bool {
    word.matches('_').count() >= 3
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The strings of a constant list of a source.
fn constants(text: &str, name: &str) -> Vec<String> {
    let list = text.split(&format!("const {name}: [&str;")).nth(1).unwrap().split("];").next().unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_reserved_names_are_those_of_the_code() {
    let scrub = sources::file("src/wire/scrub.rs").text;
    let mut paper = sources::file("docs/SECURITY.md").text;
    for name in ["RESERVED_PREFIXES", "RESERVED", "GUARDED"] {
        let names: Vec<String> = constants(&scrub, name).iter().map(|name| format!("`{name}`")).collect();
        assert!(!names.is_empty());
        let mut list = String::new();
        for line in names.chunks(6) {
            list.push_str(&line.join(" "));
            list.push('\n');
        }
        check_part(&mut paper, "docs/SECURITY.md", name, &list);
    }
}

/// Compares a generated part of a document, or writes it.
fn check_part(paper: &mut String, path: &str, name: &str, wanted: &str) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let from = paper.find(&begin).unwrap_or_else(|| panic!("{path}: no part {name}")) + begin.len();
    let to = paper.find(&end).unwrap();
    if std::env::var_os("HERO_TEST_WRITE").is_some() && paper.get(from..to) != Some(wanted) {
        paper.replace_range(from..to, wanted);
        std::fs::write(sources::root().join(path), &*paper).unwrap();
        return;
    }
    assert_eq!(
        paper.get(from..to),
        Some(wanted),
        "{path}, part {name}: run HERO_TEST_WRITE=1 cargo test --test it papers"
    );
}

/// Statuses by the names that the http crate gives them.
fn status(name: &str) -> u16 {
    use http::StatusCode as S;
    let all = [
        ("OK", S::OK),
        ("BAD_REQUEST", S::BAD_REQUEST),
        ("NOT_FOUND", S::NOT_FOUND),
        ("METHOD_NOT_ALLOWED", S::METHOD_NOT_ALLOWED),
        ("REQUEST_TIMEOUT", S::REQUEST_TIMEOUT),
        ("PAYLOAD_TOO_LARGE", S::PAYLOAD_TOO_LARGE),
        ("URI_TOO_LONG", S::URI_TOO_LONG),
        ("REQUEST_HEADER_FIELDS_TOO_LARGE", S::REQUEST_HEADER_FIELDS_TOO_LARGE),
        ("HTTP_VERSION_NOT_SUPPORTED", S::HTTP_VERSION_NOT_SUPPORTED),
        ("LOOP_DETECTED", S::LOOP_DETECTED),
        ("SERVICE_UNAVAILABLE", S::SERVICE_UNAVAILABLE),
        ("BAD_GATEWAY", S::BAD_GATEWAY),
        ("GATEWAY_TIMEOUT", S::GATEWAY_TIMEOUT),
    ];
    all.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("status {name}")).1.as_u16()
}

/// The faults of the rooms beside the gate: each is made with a status and, right behind it, its code.
fn faults() -> BTreeMap<String, u16> {
    let mut faults = BTreeMap::new();
    for source in sources::files("src", &[".rs"]) {
        if !source.path.starts_with("src/forward/") && !source.path.starts_with("src/serve/") {
            continue;
        }
        let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
        for made in code.split("StatusCode::").skip(1) {
            let name = made.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
            let behind = made
                .get(name.len()..)
                .unwrap()
                .trim_start_matches([',', ' ', '\n'])
                .trim_start_matches("reason: ");
            if let Some(code) = behind.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                faults.insert(code.to_owned(), status(name));
            }
        }
    }
    faults
}

/// The rows of the tables of a document, each as its cells.
fn table_rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

#[test]
fn each_reason_code_is_in_the_operators_list_with_its_status() {
    let mut wanted = faults();
    assert!(wanted.len() >= 12, "the faults are found: {wanted:?}");
    for reason in reason::ALL {
        wanted.insert(reason.code.to_owned(), reason.status.as_u16());
    }
    let paper = sources::file("docs/OPERATING.md").text;
    let section = paper.split("## Reason codes").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeMap<String, u16> = table_rows(section)
        .map(|cells| (cells[0].trim_matches('`').to_owned(), cells[1].parse().unwrap()))
        .collect();
    assert_eq!(listed, wanted);
}

#[test]
fn each_way_a_session_ends_and_each_refusal_is_explained_to_the_operator() {
    let paper = sources::file("docs/OPERATING.md").text;
    let section = paper.split("## Why was this person signed out?").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let listed: BTreeSet<&str> = table_rows(section).map(|cells| cells[0].trim_matches('`')).collect();
    let ends: BTreeSet<&str> = end::ALL.iter().map(|end| end.code()).collect();
    assert_eq!(listed, ends, "docs/OPERATING.md, the ends of sessions");
    for cells in table_rows(section) {
        assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "{cells:?}");
    }
    let faults = faults();
    let codes = reason::ALL.iter().map(|reason| reason.code).chain(faults.keys().map(String::as_str));
    let missing: Vec<&str> = codes.filter(|code| !section.contains(&format!("`{code}`"))).collect();
    assert!(
        missing.is_empty(),
        "docs/OPERATING.md, why was this person signed out: say of {missing:?} what they do to a session"
    );
}

/// The words of each `error!` and `warn!`: the last string in it that is no format of a value.
fn told(name: &str) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for source in sources::files("src", &[".rs"]) {
        if source.path.starts_with("src/demo/") || source.path.starts_with("src/forge/fake/") {
            continue;
        }
        let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
        for call in code.split(&format!("{name}!(")).skip(1) {
            let call = call.split(");").next().unwrap();
            if let Some(words) = call.split('"').skip(1).step_by(2).last() {
                told.insert(words.to_owned());
            }
        }
    }
    told
}

#[test]
fn each_line_that_somebody_must_act_on_is_in_the_operators_list() {
    let paper = sources::file("docs/OPERATING.md").text;
    let section = paper.split("## Logs").nth(1).unwrap().split("\n## ").next().unwrap();
    for level in ["error", "warn"] {
        let listed: BTreeSet<String> = table_rows(section)
            .filter(|cells| cells[1] == level)
            .map(|cells| cells[0].trim_matches('`').to_owned())
            .collect();
        let told = told(level);
        let missing: Vec<&String> = told.difference(&listed).collect();
        let gone: Vec<&String> = listed.difference(&told).collect();
        assert!(
            missing.is_empty() && gone.is_empty(),
            "docs/OPERATING.md, {level}: add {missing:?}, drop {gone:?}"
        );
    }
}

#[test]
fn the_exit_codes_of_the_documents_are_those_of_the_help() {
    let help = sources::file("src/cli/exit.rs").text;
    let said: Vec<(&str, &str)> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once("  "))
        .filter(|(code, _)| code.len() == 1 && code.starts_with(|c: char| c.is_ascii_digit()))
        .map(|(code, words)| (code, words.trim_end_matches("\";")))
        .collect();
    assert_eq!(said.len(), 5);
    for path in ["README.md", "docs/OPERATING.md"] {
        let paper = sources::file(path).text;
        for (code, words) in &said {
            assert!(paper.contains(&format!("| {code} | {words} |")), "{path}: {code}, {words}");
        }
    }
}

#[test]
fn the_readmes_features_are_those_of_the_manifest() {
    let manifest: toml::Table = sources::file("Cargo.toml").text.parse().unwrap();
    let features: BTreeSet<String> = manifest["features"].as_table().unwrap().keys().cloned().collect();
    let readme = sources::file("README.md").text;
    let section = readme.split("## Features").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeSet<String> =
        table_rows(section).map(|cells| cells[0].trim_matches('`').to_owned()).collect();
    assert_eq!(listed, features);
}

/// The code block of a document that stands behind a mark.
fn block<'a>(paper: &'a str, opening: &str) -> &'a str {
    let block =
        paper.split(&format!("```{opening}\n")).nth(1).unwrap_or_else(|| panic!("no block {opening}"));
    block.split("```").next().unwrap()
}

#[test]
fn the_code_in_the_documents_is_the_code_of_the_examples() {
    let embedding = sources::file("docs/EMBEDDING.md").text;
    assert_eq!(block(&embedding, "rust,keeper"), sources::file("docs/examples/keeper.rs").text);
    // Ten lines of a document are lines of an example, in their order.
    let readme = sources::file("README.md").text;
    for (path, code) in [
        ("docs/examples/axum.rs", block(&embedding, "rust,axum")),
        ("docs/examples/plain.rs", block(&readme, "rust,plain")),
    ] {
        let example = sources::file(path).text;
        let mut lines = example.lines().map(str::trim);
        for line in code.lines().map(str::trim).filter(|line| !line.is_empty()) {
            assert!(lines.any(|there| there == line), "{path} has no line `{line}` there");
        }
    }
}

/// A promise stands on checks, and the table of checks says what holds them.
#[test]
fn each_check_that_a_document_names_is_in_the_table() {
    let table = sources::file("tests/CHECKS.md").text;
    let security = sources::file("docs/SECURITY.md").text;
    let promised = security.split("## Promised").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut wrong = Vec::new();
    for line in promised.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")) {
        let ids = line.trim_matches('|').rsplit('|').next().unwrap();
        assert!(!ids.trim().is_empty(), "{line}");
        for id in ids.split(',').map(str::trim) {
            if !table.lines().any(|row| row.starts_with(&format!("| {id} "))) {
                wrong.push(format!("docs/SECURITY.md: no test holds {id}, and no reason says why"));
            }
        }
    }
    refuse(&wrong);
}

/// What the story needs is what the README says, word for word.
#[test]
fn the_readme_has_the_two_commands() {
    let readme = sources::file("README.md").text;
    for command in ["cargo run --release -- demo", "cargo test"] {
        assert!(readme.lines().any(|line| line.trim() == command), "{command}");
    }
    let ci = sources::file(".ci/run").text;
    assert!(
        ci.contains("cargo test --no-fail-fast") || ci.contains("cargo test\n"),
        "what CI runs is what the README says"
    );
}

#[test]
fn a_name_counts_where_it_is_defined_and_not_where_it_is_mentioned() {
    let text = "/// See [`begin`] and land.\npub(super) async fn land(x: u8) {}\npub struct Flow<T>(T);\nenum E {\n    One,\n}\n";
    let found = ["land", "Flow", "One", "begin", "lan", "Flo"].map(|name| defines(text, name));
    assert_eq!(found, [true, true, true, false, false, false]);
    assert_eq!(links("a [`b`](c/d.rs) [e](f#g)"), [("`b`", "c/d.rs"), ("e", "f#g")]);
    assert_eq!(resolve("docs/decisions/x.md", "../../src/lib.rs"), "src/lib.rs");
    assert_eq!(anchor("9. The fake, and more"), "9-the-fake-and-more");
}
