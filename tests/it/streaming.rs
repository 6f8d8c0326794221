//! Bodies pass through: in order, at once, and without staying in memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use hero_proxy::serve::settings::Limits;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, advance};

use crate::support::bare::{Bare, http, settings};
use crate::support::echo::{Echo, Gate, Step};
use crate::support::{DEADLINE, soon};

/// Each way; enough to show what is kept: sixteen times the allowance.
const LENGTH: u64 = 1024 * 1024 * 1024;
const ALLOWANCE: u64 = 64 * 1024 * 1024;

/// The process's resident memory in bytes; the backend and the clients of this test count too.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// Holds: P10 (1 GiB each way at once, beside a slow reader).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_any_size_pass_both_ways_at_once_in_flat_memory() {
    let echo = Echo::tcp(|seen| {
        let ok = |length: u64| Step::send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        match seen.target() {
            "/up" => vec![Step::SkipBody, ok(0)],
            _ => vec![ok(LENGTH), Step::Flood(LENGTH)],
        }
    })
    .await;
    let bare = Bare::to(&echo).await;
    let peak = AtomicU64::new(0);
    let before = resident();
    let watch = || peak.fetch_max(resident(), Ordering::Relaxed);

    let up = async {
        let mut client = bare.client().await;
        client.send(format!("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
        let block = vec![b'y'; 1024 * 1024];
        for _ in 0..LENGTH / block.len() as u64 {
            assert!(client.send(&block).await);
            watch();
        }
        assert_eq!(client.answer().await.status, 200);
    };
    let down = async {
        let mut client = bare.client().await;
        client.send("GET /down HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.head().await;
        let mut length = client.rest.len() as u64;
        while length < LENGTH {
            client.rest.clear();
            assert!(client.more().await, "cut after {length}");
            length += client.rest.len() as u64;
            watch();
        }
        assert_eq!(length, LENGTH);
    };
    let mut slow = bare.client().await;
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tokio::join!(up, down);
    watch();
    assert_eq!(slow.head().await.status, 200);

    let grown = peak.load(Ordering::Relaxed).saturating_sub(before);
    assert!(grown < ALLOWANCE, "grew by {} MiB", grown / 1024 / 1024);
    assert!(echo.seen().iter().any(|seen| seen.target() == "/up" && seen.whole));
}

/// Holds: P10 (each event passes before the next one is made).
#[tokio::test]
async fn an_event_passes_at_once() {
    let gates = [Gate::closed(), Gate::closed()];
    let held = gates.clone();
    let echo = Echo::tcp(move |_| {
        let event = |number: u8| Step::send(format!("f\r\ndata: event {number}\n\n\r\n"));
        vec![
            Step::send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            event(1),
            Step::Wait(held[0].clone()),
            event(2),
            Step::Wait(held[1].clone()),
            Step::send("0\r\n\r\n"),
        ]
    })
    .await;
    let mut client = Bare::to(&echo).await.client().await;
    client.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = client.head().await;
    for (number, gate) in (1..).zip(&gates) {
        // The backend makes the next event only after this one has arrived here.
        let event = client.chunk(&mut answer).await.unwrap();
        assert_eq!(event, format!("data: event {number}\n\n").into_bytes());
        gate.open();
    }
    assert_eq!(client.chunk(&mut answer).await, None);
    assert!(answer.whole);
}

/// Holds: P10 (a request's body passes before it is complete).
#[tokio::test]
async fn a_part_of_an_upload_passes_at_once() {
    let echo = Echo::tcp(|_| crate::support::echo::ok("")).await;
    let mut client = Bare::to(&echo).await.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for part in ["one", "two"] {
        client.send(format!("3\r\n{part}\r\n")).await;
        soon("the part arrives", echo.until(part, |echo| echo.bytes(0).contains(part))).await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
}

/// Keeps a paused clock where it is, while sockets are waited for: it moves by hand alone. What hangs is told all the same,
/// since after a while the clock moves by itself, and deadlines pass.
fn hold_the_clock() -> mpsc::Sender<()> {
    let (held, until_dropped) = mpsc::channel();
    // The runtime does not move its clock while such work is under way.
    spawn_blocking(move || until_dropped.recv_timeout(DEADLINE).ok());
    held
}

/// Holds: P10 (events for hours, and an upload; no total timeout, only idle ones).
#[tokio::test(start_paused = true)]
async fn whatever_keeps_moving_may_take_for_hours() {
    const PATIENCE: Duration = Duration::from_secs(10);
    const PAUSE: Duration = Duration::from_secs(9);
    const PARTS: u32 = 800;
    let gates: Vec<Gate> = (0..PARTS).map(|_| Gate::closed()).collect();
    let held = gates.clone();
    let echo = Echo::tcp(move |seen| {
        if seen.target() == "/up" {
            return crate::support::echo::ok("all of it");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let event = |gate: &Gate| [Step::Wait(gate.clone()), Step::send("2\r\n\n\n\r\n")];
        let events = held.iter().flat_map(event);
        [Step::send(head)].into_iter().chain(events).chain([Step::send("0\r\n\r\n")]).collect()
    })
    .await;
    let mut settings = settings([("/", http(&echo))]);
    for limit in [&mut settings.connect_timeout, &mut settings.response_timeout, &mut settings.idle_timeout] {
        *limit = PATIENCE;
    }
    let limits = Limits { head_timeout: PATIENCE, client_idle_timeout: PATIENCE, ..Limits::default() };
    let bare = Bare::limited(&settings, limits).await;
    let _held = hold_the_clock();
    let start = Instant::now();

    let mut up = bare.client().await;
    up.send("POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    echo.until("the upload begins", |echo| echo.seen().len() == 1).await;
    let mut down = bare.client().await;
    down.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut events = down.head().await;
    for gate in &gates {
        let before = echo.bytes(0).len();
        assert!(up.send("1\r\nx\r\n").await);
        echo.until("the part arrives", |echo| echo.bytes(0).len() > before).await;
        gate.open();
        assert_eq!(down.chunk(&mut events).await.as_deref(), Some(&b"\n\n"[..]));
        advance(PAUSE).await;
    }
    assert_eq!(down.chunk(&mut events).await, None);
    assert!(events.whole);
    up.send("0\r\n\r\n").await;
    assert_eq!(up.answer().await.text(), "all of it");
    assert_eq!(start.elapsed(), PAUSE * PARTS, "two hours, and nobody waited for them");
}
