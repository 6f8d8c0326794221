//! How many lines of one kind are told in a minute. Who hammers must neither fill the disk nor drown what others are told.
//!
//! 1. A kind is a place in the code. There are as many as the program has places, so what is remembered of them is bounded.
//! 2. Lines beyond are counted, and the count is told: no line is lost without a word.
//! 3. Access lines have no limit: one a request is what an access log is for.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber, warn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::log::ACCESS;

/// How long a count goes on before it begins anew.
const WINDOW: Duration = Duration::from_mins(1);
/// The longest part of a line that is repeated where its absence is told.
const MOST_WORDS: usize = 120;

/// Counts lines by their kind. Clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    per_minute: u64,
    kinds: Arc<Mutex<HashMap<Identifier, Kind>>>,
}

/// One kind of lines.
#[derive(Debug)]
struct Kind {
    begun: Instant,
    told: u64,
    left_out: u64,
    /// What such a line says, once one was left out.
    words: Words,
}

impl Kind {
    fn new(now: Instant) -> Self {
        Self { begun: now, told: 0, left_out: 0, words: Words::default() }
    }

    /// Whether one more line is told.
    fn admits(&mut self, now: Instant, per_minute: u64) -> bool {
        if now.saturating_duration_since(self.begun) >= WINDOW {
            (self.begun, self.told) = (now, 0);
        }
        let admitted = self.told < per_minute;
        if admitted {
            self.told += 1;
        } else {
            self.left_out += 1;
        }
        admitted
    }
}

impl Limit {
    pub(super) fn new(per_minute: u64) -> Self {
        Self { per_minute, kinds: Arc::default() }
    }

    fn admits(&self, event: &Event<'_>, now: Instant) -> bool {
        let about = event.metadata();
        if about.target() == ACCESS || about.target() == module_path!() {
            return true;
        }
        let mut kinds = self.lock();
        let kind = kinds.entry(about.callsite()).or_insert_with(|| Kind::new(now));
        let admitted = kind.admits(now, self.per_minute);
        if !admitted && kind.words.0.is_empty() {
            event.record(&mut kind.words);
        }
        admitted
    }

    /// Tells how many lines of each kind were left out since it was told last.
    pub(super) fn tell(&self) {
        for (words, lines) in self.take_left_out() {
            warn!(line = %words, lines, "lines were left out of this log");
        }
    }

    /// The kinds of which lines were left out, and how many; from here on they are counted anew.
    fn take_left_out(&self) -> Vec<(String, u64)> {
        let mut kinds = self.lock();
        let left_out = kinds.values_mut().filter(|kind| kind.left_out > 0);
        let mut taken: Vec<(String, u64)> =
            left_out.map(|kind| (kind.words.0.clone(), std::mem::take(&mut kind.left_out))).collect();
        drop(kinds);
        taken.sort_unstable();
        taken
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message of a line, as far as it is not too long.
#[derive(Debug, Default)]
struct Words(String);

impl Visit for Words {
    #[expect(clippy::use_debug, reason = "a message comes so; it shows as it was written")]
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let mut said = String::new();
            // Writing into a string cannot fail.
            write!(said, "{value:?}").ok();
            self.0 = said.chars().take(MOST_WORDS).collect();
        }
    }
}

/// Tells events up to the limit. It stands behind the filter, not in it: a filter that turns an event away by its content
/// leaves tracing-subscriber's own count of filters wrong.
pub(super) struct Limited<L> {
    pub(super) inner: L,
    pub(super) limit: Limit,
}

impl<S, L> Layer<S> for Limited<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        self.inner.on_layer(subscriber);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.inner.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.inner.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if self.limit.admits(event, Instant::now()) {
            self.inner.on_event(event, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.inner.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.inner.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.inner.on_close(id, context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_so_many_lines_a_minute_and_the_rest_are_counted() {
        let begin = Instant::now();
        let mut kind = Kind::new(begin);
        let told = |kind: &mut Kind, seconds, tries: u32| -> usize {
            (0..tries).filter(|_| kind.admits(begin + Duration::from_secs(seconds), 3)).count()
        };
        assert_eq!(told(&mut kind, 0, 2), 2);
        assert_eq!(told(&mut kind, 59, 1_000_000), 1);
        assert_eq!(kind.left_out, 999_999);
        assert_eq!(told(&mut kind, 60, 10), 3, "a new minute");
        assert_eq!(told(&mut kind, 61, 10), 0);
    }
}
