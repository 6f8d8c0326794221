//! Renewals per second that one process carries, the forge answering at once: every account's token has run out, and
//! each is asked for once, so that each request is one renewal.

use std::time::{Duration, Instant};

use hero_proxy::forge::fake::Endpoint;

use crate::browser::sign_in_all;
use crate::load::{self, request};
use crate::proxy::{Plan, Proxy, cpu_seconds, free_port};
use crate::{Outcome, forge, login, table};

const ACCOUNTS: usize = 500;
const AT_ONCE: usize = 50;
const ROUNDS: u32 = 4;
const LIFE: Duration = Duration::from_secs(4);

/// Measures both stores, and prints a table.
pub async fn measure_all(_: &[String]) -> Outcome<()> {
    let mut rows = Vec::new();
    for store in ["memory", "sqlite"] {
        let (port, backend) = (free_port()?, load::backend()?);
        let forge = forge(ACCOUNTS, port, LIFE).await?;
        let address = forge.url().as_str().trim_end_matches('/').to_owned();
        let plan = Plan { port, forge: &address, backend, store, access: false, before: &[] };
        let proxy = Proxy::start(plan).await?;
        let sessions = sign_in_all(port, (0..ACCOUNTS).map(login)).await?;
        let (mut cpu, mut wall, mut calls) = (0.0, 0.0, 0);
        for _ in 0..ROUNDS {
            tokio::time::sleep(LIFE + Duration::from_millis(100)).await;
            let (before, spent, begun) =
                (forge.count(Endpoint::Token), cpu_seconds(proxy.pid())?, Instant::now());
            let mut left: Vec<Vec<u8>> = sessions.iter().map(|session| request(port, "/", session)).collect();
            while !left.is_empty() {
                let now = left.split_off(left.len().saturating_sub(AT_ONCE));
                load::run(port, now, 1).await?;
            }
            wall += begun.elapsed().as_secs_f64();
            cpu += cpu_seconds(proxy.pid())? - spent;
            calls += forge.count(Endpoint::Token) - before;
        }
        let calls = calls as f64;
        rows.push(vec![
            store.to_owned(),
            format!("{calls:.0}"),
            format!("{:.0}", cpu / calls * 1e6),
            format!("{:.0}", calls / cpu),
            format!("{:.0}", calls / wall),
        ]);
    }
    println!("{}\n", table::circumstances());
    let head = [
        "store",
        "renewals",
        "CPU us each",
        "renewals/s that one core carries",
        "renewals/s seen, forge on the same machine",
    ];
    println!("{}", table::markdown(&head, &rows));
    Ok(())
}
