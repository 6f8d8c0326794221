//! How the process tells what it does.
//!
//! 1. Only our own targets may be told below `info`: HTTP and TLS libraries print headers and bytes there.
//! 2. Access lines are events of the target [`ACCESS`]; they go where `[log] access` says, everything else to stderr.
//! 3. Lines for people on a terminal, JSON else.
//! 4. Of one kind of line there is a number a minute; what is beyond is counted, and the count told.

mod limit;

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{Filtered, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, Layered, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::base::crash;
use crate::config::log::{AccessLog, Format, Level, LogSettings};
use crate::log::limit::{Limit, Limited};

/// The target of access lines, one per request.
pub const ACCESS: &str = "hero_proxy::access";

/// Our own targets: the crate's modules.
const OURS: &str = "hero_proxy";

/// The limit of this process's log.
static LIMIT: OnceLock<Limit> = OnceLock::new();
/// How often it is told what was left out.
const TELL: Duration = Duration::from_mins(1);

/// Starts logging for the whole process; from here on a panic is a line too.
///
/// # Errors
/// Somebody has started it before.
pub fn init(settings: &LogSettings) -> Result<(), TryInitError> {
    let (stdout, stderr) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    let access = layer(is_json(settings.format, stdout), stdout, io::stdout);
    let limit = Limit::new(settings.lines_per_minute);
    let lines = layer(is_json(settings.format, stderr), stderr, io::stderr);
    dispatch(*settings, Limited { inner: lines, limit: limit.clone() }, access).try_init()?;
    LIMIT.get_or_init(|| limit);
    crash::tell();
    Ok(())
}

/// A layer, whatever it writes to.
type Lines<S> = Box<dyn Layer<S> + Send + Sync>;
/// What stands below the access lines: all other lines, by their filter.
type Told = Layered<Filtered<Limited<Lines<Registry>>, Targets, Registry>, Registry>;

/// All lines, and access lines beside them if they have a place of their own.
///
/// A layer that is none is not put there: beside it no place in the code is silent for good, and each is asked about at each event. Who
/// asks whether access lines are wanted ([`tracing::enabled`]) then leaves a "no" behind on the thread, which the next line takes for its own.
fn dispatch(settings: LogSettings, lines: Limited<Lines<Registry>>, access: Lines<Told>) -> Dispatch {
    let told = tracing_subscriber::registry().with(lines.with_filter(filter(settings)));
    if settings.access == AccessLog::Stdout {
        Dispatch::new(told.with(access.with_filter(access_filter())))
    } else {
        Dispatch::new(told)
    }
}

/// Tells how many lines were left out since the last time, if any were.
pub fn tell_left_out() {
    if let Some(limit) = LIMIT.get() {
        limit.tell();
    }
}

/// Tells it each minute.
///
/// # Cancel safety
/// Dropping the future ends the telling; what was not told is still counted.
pub async fn tell_left_out_each_minute() {
    loop {
        tokio::time::sleep(TELL).await;
        tell_left_out();
    }
}

/// Which events are told, access lines apart unless they go to stderr.
fn filter(settings: LogSettings) -> Targets {
    let level = match settings.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let access = if settings.access == AccessLog::Stderr { LevelFilter::INFO } else { LevelFilter::OFF };
    Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target(OURS, level)
        .with_target(ACCESS, access)
}

fn access_filter() -> Targets {
    Targets::new().with_target(ACCESS, LevelFilter::INFO)
}

fn is_json(format: Format, is_terminal: bool) -> bool {
    match format {
        Format::Auto => !is_terminal,
        Format::Text => false,
        Format::Json => true,
    }
}

fn layer<S, W>(json: bool, is_terminal: bool, writer: W) -> Lines<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(is_terminal && !json);
    if json { Box::new(lines.json().flatten_event(true)) } else { Box::new(lines) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::Metadata;
    use tracing::callsite::{Callsite, Identifier};
    use tracing::field::FieldSet;
    use tracing::metadata::Kind;
    use tracing::subscriber::Interest;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(settings: LogSettings, json: bool) -> String {
        let lines = Written::default();
        let writer = lines.clone();
        let limit = Limit::new(settings.lines_per_minute);
        let inner = layer(json, false, move || writer.clone());
        let access = layer(json, false, io::sink);
        let dispatch = dispatch(settings, Limited { inner, limit: limit.clone() }, access);
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::trace!(target: "hero_proxy::gate", "ours below");
            tracing::info!(target: "hero_proxy::gate", account = "a1", "ours");
            tracing::debug!(target: "h2::codec", "headers of somebody");
            tracing::info!(target: "rustls", "theirs");
            for _ in 0..50 {
                tracing::warn!(target: "hero_proxy::gate", number = 7, "somebody hammers");
            }
            for _ in 0..50 {
                tracing::info!(target: ACCESS, "a request");
            }
            tracing::info!(target: "hero_proxy::gate", "another");
            limit.tell();
            limit.tell();
        });
        let bytes = lines.0.lock().expect("whole").clone();
        String::from_utf8(bytes).expect("text")
    }

    /// The place in the code that access lines come from.
    struct Place;

    static ABOUT: Metadata<'static> = Metadata::new(
        "access",
        ACCESS,
        tracing::Level::INFO,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&Place)),
        Kind::EVENT,
    );

    impl Callsite for Place {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            &ABOUT
        }
    }

    #[test]
    fn access_lines_that_go_nowhere_are_silent_for_good_so_that_asking_for_them_costs_no_other_line() {
        for (access, is_silent) in
            [(AccessLog::Off, true), (AccessLog::Stderr, false), (AccessLog::Stdout, false)]
        {
            let settings =
                LogSettings { level: Level::Info, format: Format::Json, access, lines_per_minute: 10 };
            let lines = Limited { inner: layer(true, false, io::sink), limit: Limit::new(10) };
            let dispatch = dispatch(settings, lines, layer(true, false, io::sink));
            assert_eq!(dispatch.register_callsite(&ABOUT).is_never(), is_silent, "{access:?}");
        }
    }

    #[test]
    fn at_trace_only_our_own_targets_are_told_below_info() {
        let settings = LogSettings {
            level: Level::Trace,
            format: Format::Text,
            access: AccessLog::Off,
            lines_per_minute: 10,
        };
        let text = told(settings, false);
        assert!(text.contains("ours below") && text.contains("theirs"), "{text}");
        assert!(!text.contains("headers of somebody") && !text.contains("a request"), "{text}");
    }

    #[test]
    fn json_lines_are_objects_and_access_lines_join_them_where_the_operator_says_so() {
        let settings = LogSettings {
            level: Level::Info,
            format: Format::Json,
            access: AccessLog::Stderr,
            lines_per_minute: 10,
        };
        let text = told(settings, true);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let with = |words: &str| lines.iter().filter(|line| line["message"] == words).count();
        assert_eq!(lines[0]["account"], "a1");
        assert_eq!((with("ours"), with("theirs"), with("a request")), (1, 1, 50), "{text}");
        assert_eq!(
            (with("somebody hammers"), with("another")),
            (10, 1),
            "of one kind, ten; others have ten of their own"
        );
        let left_out: Vec<_> =
            lines.iter().filter(|line| line["message"] == "lines were left out of this log").collect();
        assert_eq!(left_out.len(), 1, "{text}");
        assert_eq!((&left_out[0]["line"], &left_out[0]["lines"]), (&"somebody hammers".into(), &40.into()));
    }

    #[test]
    fn lines_are_text_on_a_terminal_and_json_else_unless_the_operator_says() {
        assert!(is_json(Format::Auto, false) && !is_json(Format::Auto, true));
        assert!(is_json(Format::Json, true) && !is_json(Format::Text, false));
    }
}
