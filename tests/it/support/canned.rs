//! A server with canned answers: what it says to a path is set beforehand, byte for byte, and what it was asked is
//! written down. One request a connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What is said to a path.
#[derive(Clone)]
pub enum Reply {
    /// These bytes; then the connection ends.
    Raw(Vec<u8>),
    /// Nothing, for as long as the client waits.
    Silence,
    /// A good head, and then a body without end.
    Endless,
}

impl Reply {
    pub fn new(status: &str, kind: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        Self::Raw([head.as_bytes(), b"Connection: close\r\n\r\n", body].concat())
    }

    pub fn json(body: impl AsRef<[u8]>) -> Self {
        Self::new("200 OK", "application/json;charset=utf-8", body)
    }

    pub fn html(status: &str) -> Self {
        Self::new(status, "text/html; charset=utf-8", "<!doctype html><title>CANARY</title>")
    }

    pub fn redirect(to: &str) -> Self {
        let head = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\n");
        Self::Raw([head.as_bytes(), b"Connection: close\r\n\r\n"].concat())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub head: String,
    pub body: String,
}

type Shared = Arc<(Mutex<HashMap<String, Reply>>, Mutex<Vec<Seen>>)>;

/// The server; it ends when it is dropped.
pub struct Canned {
    pub address: SocketAddr,
    shared: Shared,
    _tasks: JoinSet<()>,
}

impl Canned {
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    pub async fn start_tls(config: ServerConfig) -> Self {
        Self::serve(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared::default();
        let mut tasks = JoinSet::new();
        let state = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&state), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => answer(socket, &state).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                answer(socket, &state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, shared, _tasks: tasks }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on `path` is answered so.
    pub fn set(&self, path: &str, reply: Reply) {
        self.shared.0.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// The requests for `path` so far.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.shared.1.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// All requests so far.
    pub fn count(&self) -> usize {
        self.shared.1.lock().unwrap().len()
    }
}

async fn answer(mut socket: impl AsyncRead + AsyncWrite + Unpin, state: &Shared) {
    let Some(seen) = request(&mut socket).await else { return };
    let reply = state.0.lock().unwrap().get(&seen.path).cloned();
    state.1.lock().unwrap().push(seen);
    match reply.unwrap_or_else(|| Reply::html("404 Not Found")) {
        Reply::Raw(bytes) => {
            let _sent = socket.write_all(&bytes).await;
        }
        Reply::Silence => std::future::pending().await,
        Reply::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"issuer\":\"";
            let mut sent = socket.write_all(head).await;
            while sent.is_ok() {
                sent = socket.write_all(&[b'x'; 16 * 1024]).await;
            }
        }
    }
    let _ended = socket.shutdown().await;
}

async fn request(socket: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < end + 4 + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let path = String::from_utf8(bytes[..end].to_vec()).unwrap().split(' ').nth(1)?.to_owned();
    let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
    Some(Seen { path, head, body })
}
