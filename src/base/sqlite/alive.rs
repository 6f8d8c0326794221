//! Whether anybody else is alive on a store. Each process holds a lock on a file beside it, and the system takes the lock
//! from a process however it dies. Who comes and finds nobody knows that every lease is a dead one's: without that a
//! visitor would wait for the lease of a process that was killed to lapse.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::OpenError;
use crate::base::secret_file::check_private;

const ASK_AGAIN: Duration = Duration::from_millis(5);

/// The sign that this process lives: others see it until this is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Alive(#[expect(dead_code, reason = "held, not used: the lock goes with it")] File);

/// Gives the sign. If nobody else gives one, `alone` is done first, and no other process opens the store meanwhile.
pub(super) fn sign(path: &Path, wait: Duration, alone: impl FnOnce()) -> Result<Alive, OpenError> {
    let refused = |error: std::io::Error| OpenError::Unavailable(Box::new(error));
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path).map_err(refused)?;
    check_private(path)?;
    if file.try_lock().is_ok() {
        alone();
        // The lock is not exchanged in one step: somebody else may find nobody in between, and rightly so.
        file.unlock().map_err(refused)?;
    }
    let begun = Instant::now();
    while let Err(failed) = file.try_lock_shared() {
        if begun.elapsed() >= wait {
            return Err(refused(failed.into()));
        }
        std::thread::park_timeout(ASK_AGAIN);
    }
    Ok(Alive(file))
}
