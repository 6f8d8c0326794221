//! The switches that take checks of the gate out (`tests/mutants/gate`, which `.ci/run` runs) still fit the tree: each
//! stands at one place, and the tests that have to notice are there.

use crate::support::sources;

/// Holds: G13 (each check is taken out; that a test notices is what `tests/mutants/gate` shows).
#[test]
fn each_check_that_can_be_taken_out_is_there_with_a_test_that_has_to_notice() {
    let all = sources::file("tests/mutants/gate.switches").text;
    let mut switches = 0;
    for switch in all.split("\n= ").skip(1) {
        switches += 1;
        let (title, body) = switch.split_once('\n').unwrap();
        let (name, tests) = title.split_once(": ").unwrap();
        assert!(!name.contains('"') && body.contains("SWITCHED"), "{name}");
        for test in tests.split(' ') {
            let (module, function) = test.split_once("::").unwrap();
            let source = sources::file(&format!("tests/it/{module}.rs")).text;
            assert!(source.contains(&format!("fn {function}(")), "{name}: no test {test}");
        }
        let mut file = String::new();
        for part in body.split(">>>>\n") {
            let Some((head, edit)) = part.split_once("<<<<\n") else { continue };
            if let Some(path) = head.lines().find(|line| line.starts_with("src/")) {
                file = sources::file(path).text;
            }
            let old = edit.split("\n====\n").next().unwrap();
            assert_eq!(file.matches(old).count(), 1, "{name}:\n{old}");
        }
    }
    assert!(switches >= 25, "{switches}");
}
