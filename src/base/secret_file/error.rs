//! What is wrong with a secret file, and what to type. Written by hand: a consumer that takes `byo` alone builds no
//! derive for errors.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A secret file that cannot be used. It names the path, never the content.
#[derive(Debug)]
#[non_exhaustive]
pub struct SecretFileError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

/// Why a secret file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// There is none.
    Missing,
    /// There is one already, and none was wanted.
    Exists,
    /// A folder, a pipe, a device.
    NotAFile,
    /// Others than the owner may read or write it.
    OpenToOthers {
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs neither to us nor to root.
    SomebodyElses,
    /// Nothing in it.
    Empty,
    /// Longer than [`super::MAX_SECRET_BYTES`].
    TooLong,
    /// Not UTF-8.
    NotText,
    /// The system says no.
    Io(io::Error),
}

impl SecretFileError {
    pub(super) fn new(path: &Path, reason: Reason) -> Self {
        Self { path: path.to_owned(), reason }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            ErrorKind::AlreadyExists => Self::Exists,
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.reason {
            Reason::Missing => write!(f, "{path}: there is no such file"),
            Reason::Exists => write!(f, "{path}: the file is there already"),
            Reason::NotAFile => write!(f, "{path}: this is not a regular file"),
            Reason::OpenToOthers { mode } => {
                write!(
                    f,
                    "{path}: others than its owner may use it (mode {mode:04o}); type `chmod 600 {path}`"
                )
            }
            Reason::SomebodyElses => {
                write!(
                    f,
                    "{path}: it belongs to another user, who could change it; type `chown` to make it ours"
                )
            }
            Reason::Empty => write!(f, "{path}: the secret is empty"),
            Reason::TooLong => write!(f, "{path}: it is longer than 64 KiB, which no secret is"),
            Reason::NotText => write!(f, "{path}: it is not UTF-8 text"),
            // The system's words lie in the source, so that a chain of errors says them once.
            Reason::Io(_) => write!(f, "{path}: the file cannot be used"),
        }
    }
}

impl std::error::Error for SecretFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}
