//! Secrets in files, and the port of every place that keeps secrets.
//!
//! 1. A secret file is a regular file of ours (or root's) that nobody else may read: else it is refused, and the error
//!    says what to type.
//! 2. It is written whole or not at all: a new file beside it, flushed, then put in its place.
//! 3. An error names the path, never the content.
//!
//! Symbolic links are followed, since that is how secrets get mounted; what counts is the file that they lead to.

mod error;
mod slot;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::zeroize::Zeroizing;

use crate::base::secret::SecretText;

pub use error::{Reason, SecretFileError};
pub use slot::{BadSlot, SecretSource, Slot, SlotError};

/// The longest secret file, in bytes.
pub const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Permission bits that let others than the owner in.
const OTHERS: u32 = 0o077;
/// The same without the group's: see [`read_credential`].
const WORLD: u32 = 0o007;

/// Reads a secret from a file that only its owner may read. One line end at its end does not count.
///
/// # Errors
/// [`SecretFileError`]: missing, open to others, somebody else's, not a regular file, empty, too long, not UTF-8.
pub fn read(path: &Path) -> Result<SecretText, SecretFileError> {
    read_guarded(path, OTHERS)
}

/// Reads a secret from a file that a service manager put in place for us. Unlike [`read`] it allows the group bits:
/// systemd lets the service's user in through an access list, and then those bits show the list's mask.
///
/// # Errors
/// As [`read`].
/// Source: systemd.exec(5), `LoadCredential=`.
pub fn read_credential(path: &Path) -> Result<SecretText, SecretFileError> {
    read_guarded(path, WORLD)
}

fn read_guarded(path: &Path, forbidden: u32) -> Result<SecretText, SecretFileError> {
    let at = |reason| SecretFileError::new(path, reason);
    // Asked before opening too: opening a named pipe would wait for its writer.
    check(&fs::metadata(path).map_err(|error| at(error.into()))?, forbidden).map_err(at)?;
    let file = File::open(path).map_err(|error| at(error.into()))?;
    let metadata = file.metadata().map_err(|error| at(error.into()))?;
    check(&metadata, forbidden).map_err(at)?;
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(65_536) + 1));
    file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(|error| at(error.into()))?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(at(Reason::TooLong));
    }
    let text = str::from_utf8(&bytes).map_err(|_| at(Reason::NotText))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() { Err(at(Reason::Empty)) } else { Ok(SecretText::new(text)) }
}

/// Makes sure that only its owner may read or write a file, which must be there.
///
/// # Errors
/// [`SecretFileError`]: missing, open to others, somebody else's, not a regular file.
pub fn check_private(path: &Path) -> Result<(), SecretFileError> {
    let at = |reason| SecretFileError::new(path, reason);
    check(&fs::metadata(path).map_err(|error| at(error.into()))?, OTHERS).map_err(at)
}

fn check(metadata: &fs::Metadata, forbidden: u32) -> Result<(), Reason> {
    if !metadata.is_file() {
        return Err(Reason::NotAFile);
    }
    if metadata.mode() & forbidden != 0 {
        return Err(Reason::OpenToOthers { mode: metadata.mode() & 0o7777 });
    }
    match effective_uid() {
        Some(us) if metadata.uid() != us && metadata.uid() != 0 => Err(Reason::SomebodyElses),
        _ => Ok(()),
    }
}

/// Who we are, as the kernel says. None where there is no `/proc`: there the kernel's own answer to `open` stands, which
/// lets nobody but root read a private file of somebody else's.
pub(super) fn effective_uid() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Writes a secret file with mode 0600, in place of one that may be there. It survives power loss when this returns.
///
/// # Errors
/// [`SecretFileError`]; the old file is unharmed then.
pub fn write(path: &Path, secret: &SecretText) -> Result<(), SecretFileError> {
    place(path, secret, |new, path| fs::rename(new, path))
}

/// Writes a secret file with mode 0600 where none is. Of two who try at once one wins, and nobody ever reads half a file.
///
/// # Errors
/// [`SecretFileError`]; its reason is [`Reason::Exists`] when there is something under that name.
pub fn create_new(path: &Path, secret: &SecretText) -> Result<(), SecretFileError> {
    place(path, secret, |new, path| fs::hard_link(new, path))
}

fn place(
    path: &Path,
    secret: &SecretText,
    put: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), SecretFileError> {
    let at = |reason| SecretFileError::new(path, reason);
    let text = secret.expose();
    if text.is_empty() {
        return Err(at(Reason::Empty));
    }
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(at(Reason::TooLong));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = Beside::of(path, folder).map_err(|error| at(error.into()))?;
    let placed =
        new.fill(text.as_bytes()).and_then(|()| put(&new.path, path)).and_then(|()| flush_folder(folder));
    placed.map_err(|error| at(error.into()))
}

/// A rename or a new name is durable only when the folder is.
fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A new, empty file in the same folder; gone when dropped, unless it was renamed.
struct Beside {
    path: PathBuf,
    file: File,
}

impl Beside {
    fn of(path: &Path, folder: &Path) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        // A process that was killed may have left a file under our id: the next number is free.
        for _ in 0..64 {
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{}.new", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
            let path = folder.join(hidden);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                opened => return opened.map(|file| Self { path, file }),
            }
        }
        Err(ErrorKind::ResourceBusy.into())
    }

    fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)?;
        self.file.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After a rename there is nothing under this name; else nobody may be told and nothing is lost.
        drop(fs::remove_file(&self.path));
    }
}

/// Secrets as files: the slot `cockpit/USER_FORGE_TOKEN` is the file `<folder>/cockpit/USER_FORGE_TOKEN`.
///
/// # Example
/// ```
/// use hero_proxy::base::secret::SecretText;
/// use hero_proxy::base::secret_file::{SecretFolder, SecretSource, Slot};
///
/// # let folder = tempfile::tempdir()?;
/// let secrets = SecretFolder::new(folder.path());
/// let slot = Slot::new("cockpit", "USER_FORGE_TOKEN")?;
/// assert!(secrets.get(&slot)?.is_none());
/// secrets.set(&slot, &SecretText::new("pasted"))?;
/// assert_eq!(secrets.get(&slot)?.unwrap().expose(), "pasted");
/// assert!(secrets.delete(&slot)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SecretFolder {
    folder: PathBuf,
}

impl SecretFolder {
    /// Secrets below `folder`, which is made with the first secret (mode 0700).
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where a slot's secret lies.
    pub fn path(&self, slot: &Slot) -> PathBuf {
        self.folder.join(slot.context()).join(slot.key())
    }
}

impl SecretSource for SecretFolder {
    fn get(&self, slot: &Slot) -> Result<Option<SecretText>, SlotError> {
        match read(&self.path(slot)) {
            Err(error) if matches!(error.reason, Reason::Missing) => Ok(None),
            read => Ok(Some(read?)),
        }
    }

    fn set(&self, slot: &Slot, secret: &SecretText) -> Result<(), SlotError> {
        let path = self.path(slot);
        if let Some(folder) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| SecretFileError::new(folder, error.into()))?;
        }
        Ok(write(&path, secret)?)
    }

    fn delete(&self, slot: &Slot) -> Result<bool, SlotError> {
        let path = self.path(slot);
        let at = |error: io::Error| SecretFileError::new(&path, error.into());
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            removed => removed.map_err(at)?,
        }
        path.parent().map_or(Ok(()), flush_folder).map_err(at)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
