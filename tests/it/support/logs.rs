//! What the house tells while a test runs: all of our own events, and those of others from `info` on, as JSON lines.
//! It hears what happens on the test's own thread, where a current-thread runtime does all its work.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
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

/// The events of JSON lines with these words as their message.
pub fn events(lines: &str, message: &str) -> Vec<Value> {
    let all = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
    all.filter(|event| event["message"] == message).collect()
}
