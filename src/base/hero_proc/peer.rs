//! Who listens: looked at before anything is said.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as dial, socket_with};

use super::error::HeroProcError;
use crate::base::secret_file::effective_uid;

/// Permission bits that let others than the owner put another socket there.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Connects to the socket if it, its folder and whoever listens can be trusted.
pub(super) fn connect(
    socket: &Path,
    named: Option<u32>,
    timeout: Duration,
) -> Result<UnixStream, HeroProcError> {
    let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let look = |path: &Path| {
        fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => HeroProcError::Missing(socket.to_owned()),
            _ => HeroProcError::Unreachable(error),
        })
    };
    let (around, there) = (look(folder)?, look(socket)?);
    if !there.file_type().is_socket() {
        return Err(HeroProcError::NotASocket(socket.to_owned()));
    }
    if around.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(HeroProcError::FolderOpen { folder: folder.to_owned(), mode: around.mode() & 0o7777 });
    }
    let us = effective_uid();
    check(around.uid(), us, named)?;
    check(there.uid(), us, named)?;
    // The standard library's connect waits without end for a listener whose queue is full.
    let end = |errno: rustix::io::Errno| HeroProcError::from(std::io::Error::from(errno));
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(end)?;
    set_socket_timeout(&fd, Timeout::Send, Some(timeout)).map_err(end)?;
    dial(&fd, &SocketAddrUnix::new(socket).map_err(end)?).map_err(end)?;
    check(socket_peercred(&fd).map_err(end)?.uid.as_raw(), us, named)?;
    Ok(UnixStream::from(fd))
}

fn check(uid: u32, us: Option<u32>, named: Option<u32>) -> Result<(), HeroProcError> {
    if uid == 0 || Some(uid) == us || Some(uid) == named {
        Ok(())
    } else {
        Err(HeroProcError::SomebodyElses { uid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds: X5.
    #[test]
    fn root_ourselves_and_the_named_user_are_trusted_and_nobody_else() {
        for (uid, us, named, good) in [
            (0, Some(1000), None, true),
            (1000, Some(1000), None, true),
            (990, Some(1000), Some(990), true),
            (1001, Some(1000), Some(990), false),
            (1000, None, None, false),
            (990, Some(0), None, false),
        ] {
            assert_eq!(check(uid, us, named).is_ok(), good, "{uid}");
        }
    }
}
