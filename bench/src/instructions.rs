//! Instructions per request in user space, by callgrind: what does not depend on what else the machine does.
//!
//! Argument: a folder to leave callgrind's files in, for `callgrind_annotate`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::browser::sign_in;
use crate::load::{self, request, run};
use crate::proxy::{Plan, Proxy, free_port};
use crate::{Outcome, forge, login, table};

const WARM_UP: usize = 300;
const ONE: usize = 1000;
const CONNECTIONS: usize = 32;
const EACH: usize = 40;

/// What a request of this kind costs.
struct Cost {
    instructions: f64,
    allocations: f64,
}

fn control(argument: &str, pid: u32) -> Outcome<()> {
    let output = Command::new("callgrind_control").args([argument, &pid.to_string()]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    // It says "OK." and ends with 0 whatever happens.
    if said.contains("OK") { Ok(()) } else { Err(format!("callgrind_control: {said}").into()) }
}

/// The newest dump: instructions and calls of the allocator.
fn read(file: &Path) -> Outcome<(u64, u64)> {
    let text = fs::read_to_string(file)?;
    let mut instructions = 0;
    let mut allocations = 0;
    let mut names = std::collections::HashMap::new();
    let mut allocates = false;
    for line in text.lines() {
        if let Some(totals) = line.strip_prefix("totals: ") {
            instructions += totals.trim().parse::<u64>()?;
        } else if let Some(called) = line.strip_prefix("cfn=").or(line.strip_prefix("fn=")) {
            let (id, name) = called.split_once(' ').unwrap_or((called, ""));
            if !name.is_empty() {
                names.insert(id.to_owned(), name.to_owned());
            }
            let name = names.get(id).map_or("", String::as_str);
            allocates = line.starts_with('c')
                && matches!(
                    name,
                    "mi_malloc"
                        | "mi_zalloc"
                        | "mi_malloc_aligned"
                        | "mi_zalloc_aligned"
                        | "mi_realloc"
                        | "mi_realloc_aligned"
                );
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| allocates) {
            allocations += calls.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
    }
    Ok((instructions, allocations))
}

/// Measures what runs between two dumps.
async fn measure(
    proxy: &Proxy,
    folder: &Path,
    name: &str,
    requests: Vec<Vec<u8>>,
    port: u16,
    times: usize,
) -> Outcome<Cost> {
    let count = requests.len() * times;
    control("--zero", proxy.pid())?;
    run(port, requests, times).await?;
    let before = dumps(folder)?;
    control("--dump", proxy.pid())?;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Some(new) = dumps(folder)?.into_iter().find(|dump| !before.contains(dump)) else { continue };
        let (instructions, allocations) = read(&new)?;
        if instructions > 0 {
            fs::rename(&new, folder.join(format!("callgrind.{name}")))?;
            return Ok(Cost {
                instructions: instructions as f64 / count as f64,
                allocations: allocations as f64 / count as f64,
            });
        }
    }
    Err("callgrind wrote nothing".into())
}

fn dumps(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    Ok(files.into_iter().filter(|path| path.to_string_lossy().contains("callgrind.out")).collect())
}

/// Measures all kinds of requests, and prints a table.
pub async fn measure_all(arguments: &[String]) -> Outcome<()> {
    let temporary = tempfile::tempdir()?;
    let folder = arguments.first().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    fs::create_dir_all(&folder)?;
    let (port, backend) = (free_port()?, load::backend()?);
    let forge = forge(1, port, Duration::from_hours(1)).await?;
    let out = format!("--callgrind-out-file={}/callgrind.out", folder.display());
    let before: Vec<String> =
        ["env", "TOKIO_WORKER_THREADS=1", "valgrind", "--tool=callgrind", &out].map(str::to_owned).into();
    let mut rows = Vec::new();
    for access in [false, true] {
        let plan = Plan {
            port,
            forge: forge.url().as_str().trim_end_matches('/'),
            backend,
            store: "memory",
            access,
            before: &before,
        };
        let proxy = Proxy::start(plan).await?;
        let session = sign_in(port, &login(0)).await?;
        for (kind, target) in [
            ("anonymous", "/public/repo/issues/1?x=1"),
            ("authenticated", "/identity/repo/issues/1?x=1"),
            ("with token", "/repo/issues/1?x=1"),
        ] {
            if access && kind != "with token" {
                continue;
            }
            let name = if access { "with token, access log" } else { kind };
            let ask = request(port, target, &session);
            run(port, vec![ask.clone()], WARM_UP).await?;
            let file = name.replace([' ', ','], "-");
            let one = measure(&proxy, &folder, &format!("{file}.1"), vec![ask.clone()], port, ONE).await?;
            let many =
                measure(&proxy, &folder, &format!("{file}.32"), vec![ask; CONNECTIONS], port, EACH).await?;
            rows.push(vec![
                name.to_owned(),
                format!("{:.0}", one.instructions),
                format!("{:.0}", many.instructions),
                format!("{:.1}", one.allocations),
            ]);
        }
    }
    println!("{}\n", table::circumstances());
    let head =
        ["request", "instructions, 1 connection", "32 connections, new ones among them", "allocations"];
    println!("{}", table::markdown(&head, &rows));
    Ok(())
}
