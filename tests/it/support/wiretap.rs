//! A wire between two that is listened to: all bytes pass as they are, and are kept.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::latin1;

/// A tapped wire; it is cut when dropped.
pub struct Wiretap {
    /// Where the wire begins.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    _wires: JoinSet<()>,
}

impl Wiretap {
    /// A wire to `far`.
    pub async fn to(far: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut wires = JoinSet::new();
        let all = Arc::clone(&heard);
        wires.spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(far).await.unwrap();
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                running.spawn(listen(near_in, far_out, Arc::clone(&all)));
                running.spawn(listen(far_in, near_out, Arc::clone(&all)));
            }
        });
        Self { address, heard, _wires: wires }
    }

    /// What was said, a text per connection and direction (ISO 8859-1).
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|bytes| latin1(bytes)).collect()
    }
}

async fn listen(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let place = {
        let mut heard = heard.lock().unwrap();
        heard.push(Vec::new());
        heard.len() - 1
    };
    let mut buffer = vec![0; super::READ_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        heard.lock().unwrap()[place].extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}
