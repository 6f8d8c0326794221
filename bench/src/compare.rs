//! The proxy beside others: CPU per request under full load, one core each, as ratios to nginx of the same round, since
//! a machine is never twice the same.
//!
//! The proxy under load is pinned to core 0; wrk, the backend and this program to core 1 (the script does that). All
//! contenders stay up, one is loaded at a time, in an order that changes with each round.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hero_proxy::base::entropy::{Entropy as _, SeededEntropy};
use rustix::process::{Pid, Signal, kill_process};

use crate::browser::sign_in;
use crate::load::{self, Kept, request};
use crate::proxy::{Plan, Proxy, cpu_seconds, free_port};
use crate::{Outcome, forge, login, table};

const SAMPLE: &str = "2s";

struct Contender {
    name: &'static str,
    pid: u32,
    port: u16,
    target: &'static str,
    session: String,
    /// CPU microseconds per request and requests per second, a pair per round.
    samples: Vec<(f64, f64)>,
}

/// A program that ends with this one.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Asked, not killed: nginx has a worker, which would go on without it.
        if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM).is_ok();
        }
        drop(self.0.wait());
    }
}

/// Plain nginx, if it is installed: `bench/conf/nginx.conf` with its ports filled in.
async fn nginx(folder: &std::path::Path, backend: u16) -> Outcome<Option<(Running, u16)>> {
    let port = free_port()?;
    let text = include_str!("../conf/nginx.conf")
        .replace("FOLDER", &folder.to_string_lossy())
        .replace("BACKEND", &backend.to_string())
        .replace("PORT", &port.to_string());
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = Command::new("taskset");
    command.args(["-c", "0", "nginx", "-c"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else { return Ok(None) };
    let running = Running(child);
    for _ in 0..50 {
        if Kept::open(port).await.is_ok() {
            return Ok(Some((running, port)));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(None)
}

/// Loads one contender for a moment.
async fn sample(contender: &mut Contender) -> Outcome<()> {
    let url = format!("http://127.0.0.1:{}{}", contender.port, contender.target);
    let mut wrk = tokio::process::Command::new("wrk");
    wrk.args(["-t1", "-c64", "-d", SAMPLE, "-H", &format!("Host: localhost:{}", contender.port)]);
    for (name, value) in load::HEADERS {
        wrk.args(["-H", &format!("{name}: {value}")]);
    }
    wrk.args(["-H", &format!("Cookie: {}", load::cookies(&contender.session)), &url]);
    let (spent, begun) = (cpu_seconds(contender.pid)?, Instant::now());
    let output = wrk.output().await?;
    let (spent, took) = (cpu_seconds(contender.pid)? - spent, begun.elapsed().as_secs_f64());
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("{}: {text}", contender.name).into());
    }
    let line = text.lines().find(|line| line.contains("requests in")).ok_or("wrk says nothing")?;
    let requests: f64 = line.split_whitespace().next().ok_or("no number")?.parse()?;
    contender.samples.push((spent / requests * 1e6, requests / took));
    Ok(())
}

/// Ticks of the machine that were not idle, and all of them.
fn busy_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("no stat")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|tick| tick.parse().ok()).collect();
    Ok((ticks.iter().take(8).sum::<f64>() - ticks[3] - ticks[4]) / 100.0)
}

/// The ends between which the median lies with 95 % by drawing again from what was measured.
fn interval(ratios: &[f64], chance: &SeededEntropy) -> (f64, f64) {
    let mut medians: Vec<f64> = (0..1000)
        .map(|_| {
            let mut drawn = vec![0_u8; ratios.len()];
            chance.fill(&mut drawn);
            table::median(
                &drawn.iter().map(|byte| ratios[usize::from(*byte) % ratios.len()]).collect::<Vec<_>>(),
            )
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    (medians[25], medians[974])
}

/// Measures all, and prints a table. Argument: how many rounds (9).
pub async fn measure_all(arguments: &[String]) -> Outcome<()> {
    let rounds = arguments.first().map_or(Ok(9), |text| text.parse::<u64>())?;
    let chance = SeededEntropy::new(1);
    let folder = tempfile::tempdir()?;
    let backend = load::backend()?;
    let mut contenders = Vec::new();
    let mut keep = Vec::new();
    if let Some((running, port)) = nginx(folder.path(), backend).await? {
        let (pid, session) =
            (running.0.id(), "hero_session=0123456789012345678901234567890123456789012".to_owned());
        contenders.push(Contender {
            name: "nginx, plain",
            pid,
            port,
            target: "/repo/issues/1?x=1",
            session,
            samples: Vec::new(),
        });
        keep.push(running);
    }
    let pinned: Vec<String> =
        ["env", "TOKIO_WORKER_THREADS=1", "taskset", "-c", "0"].map(str::to_owned).into();
    let mut proxies = Vec::new();
    for access in [false, true] {
        let port = free_port()?;
        let forge = forge(1, port, Duration::from_hours(10)).await?;
        let address = forge.url().as_str().trim_end_matches('/').to_owned();
        let proxy =
            Proxy::start(Plan { port, forge: &address, backend, store: "sqlite", access, before: &pinned })
                .await?;
        let session = sign_in(port, &login(0)).await?;
        for (name, target) in [
            ("hero_proxy, anonymous", "/public/repo/issues/1?x=1"),
            ("hero_proxy, authenticated", "/identity/repo/issues/1?x=1"),
            ("hero_proxy, with token", "/repo/issues/1?x=1"),
        ] {
            if access && name != "hero_proxy, with token" {
                continue;
            }
            let name = if access { "hero_proxy, with token, access log" } else { name };
            load::run(port, vec![request(port, target, &session)], 10).await?;
            contenders.push(Contender {
                name,
                pid: proxy.pid(),
                port,
                target,
                session: session.clone(),
                samples: Vec::new(),
            });
        }
        proxies.push((proxy, forge));
    }
    let (busy, begun) = (busy_seconds()?, Instant::now());
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        let mut drawn = vec![0_u8; order.len()];
        chance.fill(&mut drawn);
        order.sort_by_key(|place| drawn[*place]);
        for place in order {
            sample(&mut contenders[place]).await?;
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    let used = (busy_seconds()? - busy) / begun.elapsed().as_secs_f64();
    println!("{}; the machine was busy with {used:.2} cores in all\n", table::circumstances());
    let base: Vec<(f64, f64)> = contenders[0].samples.clone();
    let rows: Vec<Vec<String>> = contenders.iter().map(|contender| row(contender, &base, &chance)).collect();
    let head = [
        "one core, 64 connections",
        "CPU us",
        &format!("ratio to {}", contenders[0].name),
        "95 %",
        "requests/s, ratio",
    ];
    println!("{}", table::markdown(&head, &rows));
    drop((keep, proxies));
    Ok(())
}

fn row(contender: &Contender, base: &[(f64, f64)], chance: &SeededEntropy) -> Vec<String> {
    let pairs = contender.samples.iter().zip(base);
    let ratios: Vec<f64> = pairs.clone().map(|(own, base)| own.0 / base.0).collect();
    let rates: Vec<f64> = pairs.map(|(own, base)| own.1 / base.1).collect();
    let cpu: Vec<f64> = contender.samples.iter().map(|sample| sample.0).collect();
    let (low, high) = interval(&ratios, chance);
    vec![
        contender.name.to_owned(),
        format!("{:.1}", table::median(&cpu)),
        format!("{:.2}", table::median(&ratios)),
        format!("{low:.2} to {high:.2}"),
        format!("{:.2}", table::median(&rates)),
    ]
}
