//! The edits that spoil the token machine (`tests/mutants/run`) still fit the tree.

use std::fs;
use std::path::Path;

#[test]
fn each_mutant_still_applies_to_the_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut mutants = 0;
    for entry in fs::read_dir(root.join("tests/mutants")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "edit") {
            continue;
        }
        mutants += 1;
        let edit = fs::read_to_string(&path).unwrap();
        let (mut file, mut old): (String, Option<String>) = (String::new(), None);
        for line in edit.lines() {
            match (line, &mut old) {
                ("<<<<", _) => old = Some(String::new()),
                ("====", Some(text)) => {
                    let found = file.matches(text.trim_end_matches('\n')).count();
                    assert_eq!(found, 1, "{}:\n{text}", path.display());
                    old = None;
                }
                (line, Some(text)) => *text += &format!("{line}\n"),
                (line, None) if line.starts_with("src/") => {
                    file = fs::read_to_string(root.join(line)).unwrap();
                }
                _ => {}
            }
        }
    }
    assert_eq!(mutants, 7);
}
