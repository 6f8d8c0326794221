//! Memory per account and per session: one process, sign-ins one after another, what is resident in between.

use std::fs;
use std::time::Duration;

use crate::browser::sign_in_all;
use crate::load;
use crate::proxy::{Plan, Proxy, free_port};
use crate::{Outcome, forge, login, table};

/// Measures both stores, and prints a table. Argument: the most sessions (10,000).
pub async fn measure_all(arguments: &[String]) -> Outcome<()> {
    let most = arguments.first().map_or(Ok(10_000), |text| text.parse::<usize>())?;
    let mut rows = Vec::new();
    for store in ["memory", "sqlite"] {
        for (kind, accounts) in [("one per account", most), ("many per account", most / 100)] {
            let (port, backend) = (free_port()?, load::backend()?);
            let forge = forge(accounts, port, Duration::from_hours(1)).await?;
            let address = forge.url().as_str().trim_end_matches('/').to_owned();
            let plan = Plan { port, forge: &address, backend, store, access: false, before: &[] };
            let proxy = Proxy::start(plan).await?;
            // The pages and connections that a sign-in needs are there once somebody has signed in.
            let warm = 100.min(most / 10);
            let people = |range: std::ops::Range<usize>| range.map(|number| login(number % accounts));
            drop(sign_in_all(port, people(0..warm)).await?);
            let begin = proxy.resident()?;
            let mut row = vec![store.to_owned(), kind.to_owned(), format!("{begin}")];
            let mut from = warm;
            for sessions in [most / 10, most] {
                drop(sign_in_all(port, people(from..sessions)).await?);
                from = sessions;
                let now = proxy.resident()?;
                row.push(format!("{now}"));
                row.push(format!("{:.2}", (now as f64 - begin as f64) / (sessions - warm) as f64));
            }
            let file = ["sessions.db", "sessions.db-wal"].map(|name| fs::metadata(proxy.folder().join(name)));
            let bytes: u64 = file.into_iter().flatten().map(|file| file.len()).sum();
            row.push(format!("{:.2}", bytes as f64 / 1024.0 / most as f64));
            rows.push(row);
        }
    }
    println!("{}\n", table::circumstances());
    let (few, many) = (format!("KiB at {}", most / 10), format!("KiB at {most}"));
    let head = ["store", "sessions", "KiB at the start", &few, "each", &many, "each", "KiB on disk each"];
    println!("{}", table::markdown(&head, &rows));
    Ok(())
}
