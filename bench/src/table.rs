//! Small tables, and what they were measured on.

use std::process::Command;

/// What the figures belong to: cores, kernel, compiler, program.
pub fn circumstances() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        let text = output.map(|output| if output.stdout.is_empty() { output.stderr } else { output.stdout });
        let text =
            text.map(|text| String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned());
        text.unwrap_or_else(|| format!("no {program}"))
    };
    // Not `available_parallelism`: this process may be pinned to one of them.
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let mut lines = format!("{cores} cores; {}; {}", said("uname", &["-srm"]), said("rustc", &["--version"]));
    if let Ok(program) = crate::proxy::program() {
        lines += &format!("; {}", said(&program.to_string_lossy(), &["--version"]));
        lines += &format!(" ({})", std::env::var("HERO_BENCH_PROFILE").unwrap_or_default());
    }
    lines
}

/// A table as Markdown: a head, and rows.
pub fn markdown(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    text += &line(head.iter().map(|_| "---".to_owned()).collect());
    for row in rows {
        text += &line(row.clone());
    }
    text
}

/// The middle of some numbers.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}
