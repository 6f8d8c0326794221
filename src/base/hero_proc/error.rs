//! Why hero_proc did not do as asked. No variant holds what it said.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::base::secret_file::SlotError;

/// Why hero_proc did not do as asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum HeroProcError {
    /// There is nothing under the socket's name.
    Missing(PathBuf),
    /// What is there is no socket.
    NotASocket(PathBuf),
    /// Others may put another socket into this folder.
    FolderOpen {
        /// The folder.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The socket, its folder or whoever listens there belongs to somebody who is not trusted with secrets.
    SomebodyElses {
        /// Who.
        uid: u32,
    },
    /// Nobody listens, or the system says no.
    Unreachable(io::Error),
    /// No whole answer in time.
    Slow,
    /// An answer beyond the longest secret.
    TooLong,
    /// What came is no answer to what was asked.
    Odd,
    /// It says no.
    Refused {
        /// Its error code.
        code: i64,
    },
}

impl HeroProcError {
    /// What an operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::NotASocket(_) => "start hero_proc, or correct `socket` in [hero_proc]",
            Self::FolderOpen { .. } => "let only its owner write into that folder (chmod go-w)",
            Self::SomebodyElses { .. } => "if hero_proc runs as that user, write uid = ... in [hero_proc]",
            Self::Unreachable(_) | Self::Slow => "look whether hero_proc runs and is well",
            Self::TooLong | Self::Odd => "compare the names in [hero_proc] with what hero_proc wants",
            Self::Refused { .. } => "look in hero_proc's log, and at the names in [hero_proc]",
        }
    }
}

impl From<io::Error> for HeroProcError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A Unix socket says the first one of the two when its time is up.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Slow,
            _ => Self::Unreachable(error),
        }
    }
}

impl From<HeroProcError> for SlotError {
    fn from(error: HeroProcError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl fmt::Display for HeroProcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "hero_proc: {}: there is no such socket", path.display()),
            Self::NotASocket(path) => write!(f, "hero_proc: {}: this is not a socket", path.display()),
            Self::FolderOpen { folder, mode } => {
                let folder = folder.display();
                write!(
                    f,
                    "hero_proc: {folder}: others than its owner may change this folder (mode {mode:04o})"
                )
            }
            Self::SomebodyElses { uid } => {
                write!(f, "hero_proc: its socket belongs to the user {uid}, who is not trusted with secrets")
            }
            Self::Unreachable(error) => write!(f, "hero_proc cannot be reached ({})", error.kind()),
            Self::Slow => f.write_str("hero_proc did not answer in time"),
            Self::TooLong => f.write_str("hero_proc's answer is too long"),
            Self::Odd => f.write_str("hero_proc's answer makes no sense"),
            Self::Refused { code } => write!(f, "hero_proc says no (error {code})"),
        }
    }
}

impl std::error::Error for HeroProcError {}
