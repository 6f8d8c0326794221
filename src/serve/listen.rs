//! Sockets to listen on, and how connections come in.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::base::peer::{Peer, PeerCredentials};
use crate::serve::settings::Listen;

/// An address that cannot be listened on: somebody else has it, or it is not ours to have.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}")]
pub struct BindError {
    /// The address.
    pub listen: Listen,
    /// What the system says.
    pub source: io::Error,
}

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A connection that came in.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, Peer),
    Unix(UnixStream, Option<PeerCredentials>),
}

/// Removes a socket's file when the listener goes.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it is gone already, all the better.
        std::fs::remove_file(&self.0).ok();
    }
}

impl Listener {
    /// Listens. Without `SO_REUSEPORT`: a port that another process holds is an error, not half of the visitors.
    pub(super) async fn bind(listen: &Listen, unix_mode: u32) -> Result<Self, BindError> {
        let listener = match listen {
            Listen::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Listen::Unix(path) => bind_unix(path, unix_mode).await,
        };
        listener.map_err(|source| BindError { listen: listen.clone(), source })
    }

    /// Where it listens really: a port 0 has become a number.
    pub(super) fn address(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Self::Unix(_, file) => Ok(Listen::Unix(file.0.clone())),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                // It matters for nobody's correctness: a socket that is dead already will say so.
                socket.set_nodelay(true).ok();
                Ok(Accepted::Tcp(socket, Peer::Ip(address)))
            }
            Self::Unix(listener, _) => {
                let socket = listener.accept().await?.0;
                let credentials = socket.peer_cred().ok();
                let credentials =
                    credentials.map(|it| PeerCredentials { uid: it.uid(), gid: it.gid(), pid: it.pid() });
                Ok(Accepted::Unix(socket, credentials))
            }
        }
    }
}

async fn bind_unix(path: &Path, mode: u32) -> io::Result<Listener> {
    remove_stale(path).await?;
    let listener = UnixListener::bind(path).map_err(|error| no_folder(path, error))?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(Listener::Unix(listener, file))
}

/// The system says "no such file" where it is the folder that is missing.
fn no_folder(path: &Path, error: io::Error) -> io::Error {
    match path.parent() {
        Some(folder) if error.kind() == io::ErrorKind::NotFound => {
            let words = "there is no such folder; make it, let systemd make it (RuntimeDirectory=), or correct the path";
            io::Error::new(io::ErrorKind::NotFound, format!("{}: {words}", folder.display()))
        }
        _ => error,
    }
}

/// Removes a socket's file that a dead process left behind: a socket, and nobody answers.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if found.file_type().is_socket()
        && let Err(error) = UnixStream::connect(path).await
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        return std::fs::remove_file(path);
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// What to do about an `accept` that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// That connection is lost, others are not.
    AtOnce,
    /// Descriptors or memory are short: they come back when others end.
    After(Duration),
}

/// `failures` have come before this one without a success between.
pub(super) fn retry(error: &io::Error, failures: u32) -> Retry {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    match error.kind() {
        ConnectionAborted | ConnectionReset | Interrupted => Retry::AtOnce,
        _ => Retry::After(Duration::from_millis(20 << failures.min(6)).min(Duration::from_secs(1))),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::{Listener, Retry, retry};
    use crate::serve::settings::Listen;

    #[test]
    fn a_shortage_is_waited_out_and_a_lost_connection_is_not() {
        let shortage = io::Error::from_raw_os_error(24);
        assert_eq!(retry(&shortage, 0), Retry::After(Duration::from_millis(20)));
        assert_eq!(retry(&shortage, 5), Retry::After(Duration::from_millis(640)));
        assert_eq!(retry(&shortage, u32::MAX), Retry::After(Duration::from_secs(1)));
        assert_eq!(retry(&io::ErrorKind::ConnectionAborted.into(), 9), Retry::AtOnce);
    }

    #[tokio::test]
    async fn a_port_that_somebody_holds_is_an_error() {
        let held = Listener::bind(&"127.0.0.1:0".parse().unwrap(), 0o660).await.unwrap();
        let error = Listener::bind(&held.address().unwrap(), 0o660).await.unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_dead_sockets_file_gives_way_and_a_living_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let listen = Listen::Unix(path.clone());
        // A std listener leaves its file behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());

        let living = Listener::bind(&listen, 0o660).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(Listener::bind(&listen, 0o660).await.unwrap_err().source.kind(), io::ErrorKind::AddrInUse);
        drop(living);
        assert!(!path.exists());

        std::fs::write(&path, "somebody's file").unwrap();
        assert!(Listener::bind(&listen, 0o660).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's file");
    }
}
