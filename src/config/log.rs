//! What `[log]` says.

/// How much is told, how, and where the access log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How much.
    pub level: Level,
    /// In which form.
    pub format: Format,
    /// Where one line per request goes.
    pub access: AccessLog,
    /// Lines of one kind in a minute at most; access lines have no limit.
    pub lines_per_minute: u64,
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Somebody must act.
    Error,
    /// We coped.
    Warn,
    /// Lifecycle, sign-ins.
    Info,
    /// What a developer wants.
    Debug,
    /// All of our own.
    Trace,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, json else.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where the access log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Apart from everything else.
    Stdout,
    /// Among everything else.
    Stderr,
    /// Nowhere.
    Off,
}
