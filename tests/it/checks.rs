//! Which test holds which check: `tests/CHECKS.md` against the `Holds:` lines of the tests.
//!
//! After adding or moving tests: `HERO_TEST_WRITE=1 cargo test --test it checks` writes the first table anew and takes
//! off the second one what is held by now. What no test holds keeps failing until somebody says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::support::sources::{self, Source};

const PAPER: &str = "tests/CHECKS.md";

/// The checks that are due: those of the first release, and those of tokens and users, which were asked for beside them.
const DUE: &str = "
    H1 H2 H4 H5 H6 H7 H8 H10 H11 H12 H15
    P1 P2 P7 P10 P13
    O1 O2 O3 O4 O5 O6 O8 O9 O10 O14 O15 O18 O20
    I1 I2 I4 I8 I9 I10 I21
    R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 R11 R12 R13 R14 R15 R16 R17
    S1 S2 S3 S4 S5 S7 S8 S12 S13 S14
    L1 L2 L3
    G1 G3 G4 G5 G6 G10 G12 G13 G14
    K1 K2 K4 K5 K7
    X1 X2 X5 X6
    V1 V2 V4
    A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 A17 A18 A19
";

/// All checks there are: letter and highest number.
const KNOWN: [(char, u32); 16] = [
    ('H', 15),
    ('M', 24),
    ('P', 15),
    ('F', 6),
    ('W', 6),
    ('D', 7),
    ('O', 21),
    ('I', 33),
    ('R', 17),
    ('S', 14),
    ('L', 11),
    ('G', 15),
    ('K', 11),
    ('A', 19),
    ('X', 8),
    ('V', 10),
];

/// A check's id; they are ordered as one reads them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(usize, u32, String);

impl Id {
    fn parse(word: &str) -> Option<Self> {
        let letter = word.chars().next()?;
        let number: u32 = word.get(letter.len_utf8()..)?.parse().ok()?;
        let place =
            KNOWN.iter().position(|(known, most)| *known == letter && (1..=*most).contains(&number))?;
        Some(Self(place, number, word.to_owned()))
    }
}

fn due() -> BTreeSet<Id> {
    DUE.split_whitespace().map(|word| Id::parse(word).unwrap()).collect()
}

/// The tests that hold a check, as `path: name`.
type Held = BTreeMap<Id, BTreeSet<String>>;

/// Reads the `Holds:` lines of one file; what is odd about them goes to `wrong`.
fn read(source: &Source, held: &mut Held, wrong: &mut Vec<String>) {
    let lines: Vec<&str> = source.text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let comment = line.trim_start();
        let Some((before, said)) = comment.split_once("Holds: ").filter(|_| comment.starts_with("///"))
        else {
            continue;
        };
        if before.contains('`') {
            continue;
        }
        // The list ends with a full stop, in this line or in one of the next.
        let mut said = said.to_owned();
        for next in lines.iter().skip(at + 1).map_while(|line| line.trim_start().strip_prefix("///")) {
            if said.contains('.') {
                break;
            }
            said.push_str(next);
        }
        let place = format!("{}:{}", source.path, at + 1);
        let list = without_remarks(said.split('.').next().unwrap_or_default());
        let name = lines.iter().skip(at + 1).find_map(|line| {
            line.trim_start().trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ")
        });
        let Some(name) = name.and_then(|rest| rest.split(['(', '<']).next()) else {
            wrong.push(format!("{place}: holds something and is no function"));
            continue;
        };
        for member in list.split(',') {
            let word = member.trim();
            match Id::parse(word) {
                Some(id) => {
                    held.entry(id).or_default().insert(format!("{}: {name}", source.path));
                }
                None => wrong.push(format!("{place}: {word:?} is no check")),
            }
        }
    }
}

/// A list without what stands in brackets: `S4 (the store's part)`.
fn without_remarks(list: &str) -> String {
    let mut depth = 0;
    let outside = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => return depth == 0,
        }
        false
    };
    list.chars().filter(outside).collect()
}

fn held() -> (Held, Vec<String>) {
    let (mut held, mut wrong) = (Held::new(), Vec::new());
    for source in sources::files("src", &[".rs"]).iter().chain(&sources::files("tests", &[".rs"])) {
        if source.path != "tests/it/checks.rs" {
            read(source, &mut held, &mut wrong);
        }
    }
    (held, wrong)
}

fn table(held: &Held) -> String {
    let due = due();
    let mut text = String::from("| check | held by |\n|---|---|\n");
    for (id, tests) in held {
        let mark = if due.contains(id) { "" } else { " (not due yet)" };
        let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        writeln!(text, "| {}{mark} | {} |", id.2, tests.join("<br>")).unwrap();
    }
    text
}

/// The rows of a table by their first column.
fn rows(text: &str) -> BTreeMap<Id, &str> {
    text.lines()
        .filter_map(|line| {
            let (id, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
            Some((Id::parse(id.split(' ').next()?)?, rest.trim_end_matches('|').trim()))
        })
        .collect()
}

/// What stands between two marks, its ends.
fn part(text: &str, name: &str) -> (usize, usize) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    (text.find(&begin).unwrap() + begin.len(), text.find(&end).unwrap())
}

/// A row of the second table that stays although tests hold a part of the check.
fn is_partly(reason: &str) -> bool {
    reason.starts_with("in part: ")
}

#[test]
fn the_table_of_checks_says_what_the_tests_say() {
    let (held, wrong) = held();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut text = sources::file(PAPER).text;

    if std::env::var_os("HERO_TEST_WRITE").is_some() {
        let (begin, end) = part(&text, "held");
        text.replace_range(begin..end, &table(&held));
        let (begin, end) = part(&text, "not held");
        let gone = |line: &&str| {
            let row = line.strip_prefix("| ").and_then(|line| line.split_once(" | "));
            row.and_then(|(id, rest)| Some((Id::parse(id)?, rest)))
                .is_none_or(|(id, reason)| !held.contains_key(&id) || is_partly(reason))
        };
        let kept: String =
            text.get(begin..end).unwrap().lines().filter(gone).map(|line| format!("{line}\n")).collect();
        text.replace_range(begin..end, &kept);
        std::fs::write(sources::root().join(PAPER), &text).unwrap();
    }

    let (begin, end) = part(&text, "held");
    assert_eq!(
        text.get(begin..end).unwrap(),
        table(&held),
        "{PAPER} is behind the tests: run HERO_TEST_WRITE=1 cargo test --test it checks"
    );
    let (begin, end) = part(&text, "not held");
    let excused = rows(text.get(begin..end).unwrap());
    for (id, reason) in &excused {
        assert!(reason.len() > 20, "{}: a reason is wanted", id.2);
        assert!(
            !held.contains_key(id) || is_partly(reason),
            "{} is held now: take it off the second list",
            id.2
        );
        assert!(held.contains_key(id) || !is_partly(reason), "{} is not held at all", id.2);
    }
    let open: Vec<String> = due()
        .into_iter()
        .filter(|id| !held.contains_key(id) && !excused.contains_key(id))
        .map(|id| id.2)
        .collect();
    assert!(open.is_empty(), "no test holds these checks and no reason is given: {}", open.join(" "));
}

#[test]
fn a_list_of_checks_is_read_as_it_is_written() {
    let text = "
    /// Holds: H1, X2 (the store's part, not all), O3. And why.
    #[test]
    fn first() {}
    /// A law. Holds: O4,
    /// H1.
    pub async fn second<T>(x: T) {}
    /// Holds: Q1.
    fn third() {}
";
    let (mut held, mut wrong) = (Held::new(), Vec::new());
    read(&Source { path: "a.rs".to_owned(), text: text.to_owned() }, &mut held, &mut wrong);
    let held: Vec<(String, usize)> = held.into_iter().map(|(id, tests)| (id.2, tests.len())).collect();
    assert_eq!(held, [("H1".into(), 2), ("O3".into(), 1), ("O4".into(), 1), ("X2".into(), 1)]);
    assert_eq!(wrong, ["a.rs:8: \"Q1\" is no check"]);
}
