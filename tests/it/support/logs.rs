//! What the house tells while a test runs: all of our own events, and those of others from `info` on, as JSON lines.
//! It hears what happens on the test's own thread, where a current-thread runtime does all its work.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

/// Lines that were told so far; it listens until dropped.
pub struct Logs {
    written: Written,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logs {
    /// Listens from here on.
    pub fn listen() -> Self {
        let written = Written::default();
        let writer = written.clone();
        let told =
            Targets::new().with_default(LevelFilter::INFO).with_target("hero_proxy", LevelFilter::TRACE);
        let lines =
            fmt::layer().with_writer(move || writer.clone()).json().flatten_event(true).with_filter(told);
        let subscriber = tracing_subscriber::registry().with(lines);
        // Where one subscriber is all there is, a place in the code that another thread reaches first asks that thread's
        // own, which is none, and stays silent for ever. With two, all of them are asked.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        Self { written, _listening: tracing::subscriber::set_default(subscriber) }
    }

    /// Everything, as it was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap()
    }

    /// The events with these words as their message.
    pub fn events(&self, message: &str) -> Vec<Value> {
        events(&self.text(), message)
    }
}

/// The events of JSON lines with these words as their message. What is said before the log begins is no JSON.
pub fn events(lines: &str, message: &str) -> Vec<Value> {
    let all = lines.lines().filter(|line| line.starts_with('{'));
    let all =
        all.map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
    all.filter(|event| event["message"] == message).collect()
}
