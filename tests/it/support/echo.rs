//! ECHO: a raw HTTP/1 backend. It keeps the exact bytes of each request, so that duplicates and odd names show, and
//! answers what the test says, byte for byte.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::raw::Socket;
use super::{find, latin1, soon};

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// The head with its empty line, byte for byte (ISO 8859-1).
    pub head: String,
    /// The body's bytes with their chunk framing, as far as a [`Step::ReadBody`] read them.
    pub body: Vec<u8>,
    /// Whether the body was read to its end.
    pub whole: bool,
}

impl Seen {
    /// The request line.
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The target, byte for byte.
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// All values of a header in order; the name in any case, but no alias of it.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The names of all header lines, lower case, in order.
    pub fn names(&self) -> Vec<String> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }
}

/// What ECHO does next on a connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads the request's body to its end and keeps it.
    ReadBody,
    /// Reads the request's body to its end and forgets it.
    SkipBody,
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends so many bytes of nothing in particular.
    Flood(u64),
    /// Waits until the test opens the gate.
    Wait(Gate),
    /// Closes the connection.
    Close,
}

impl Step {
    /// Sends bytes.
    pub fn send(bytes: impl AsRef<[u8]>) -> Self {
        Self::Send(bytes.as_ref().to_vec())
    }
}

/// Reads the body, then answers 200 with a text.
pub fn ok(text: &str) -> Vec<Step> {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    vec![Step::ReadBody, Step::send(answer)]
}

/// Reads the body, then sends these bytes.
pub fn canned(answer: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::ReadBody, Step::send(answer)]
}

/// Something that a test opens and a backend waits for. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets all pass, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits for the gate to open.
    pub async fn passed(&self) {
        self.0.subscribe().wait_for(|open| *open).await.map(drop).unwrap();
    }
}

/// A running backend; it ends when dropped.
pub struct Echo {
    /// Where it listens, if by TCP.
    pub address: Option<SocketAddr>,
    log: Arc<Log>,
    /// Its accept loop and, inside it, its connections.
    _server: JoinSet<()>,
}

type Script = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

#[derive(Debug, Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    /// All bytes that came in, a buffer per connection; what [`Step::SkipBody`] read is left out.
    bytes: Mutex<Vec<Vec<u8>>>,
    /// Which connections have ended.
    ended: Mutex<Vec<usize>>,
    changed: watch::Sender<u64>,
}

impl Log {
    fn connect(&self) -> usize {
        let mut bytes = self.bytes.lock().unwrap();
        bytes.push(Vec::new());
        bytes.len() - 1
    }

    fn record(&self, connection: usize, bytes: &[u8]) {
        self.bytes.lock().unwrap()[connection].extend_from_slice(bytes);
        self.change();
    }

    fn see(&self, request: Seen) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.push(request);
        let place = seen.len() - 1;
        drop(seen);
        self.change();
        place
    }

    fn complete(&self, place: usize, body: Vec<u8>, whole: bool) {
        let mut seen = self.seen.lock().unwrap();
        (seen[place].body, seen[place].whole) = (body, whole);
        drop(seen);
        self.change();
    }

    fn end(&self, connection: usize) {
        self.ended.lock().unwrap().push(connection);
        self.change();
    }

    fn change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> Box<dyn Socket> {
        match self {
            Self::Tcp(listener) => {
                let socket = listener.accept().await.unwrap().0;
                socket.set_nodelay(true).unwrap();
                Box::new(socket)
            }
            Self::Unix(listener) => Box::new(listener.accept().await.unwrap().0),
        }
    }
}

impl Echo {
    /// Listens on loopback; `script` says for each request, once its head is in, what to do.
    pub async fn tcp(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::start(Some(address), Listener::Tcp(listener), Arc::new(script))
    }

    /// Listens on a Unix socket.
    pub fn unix(path: &Path, script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = Listener::Unix(UnixListener::bind(path).unwrap());
        Self::start(None, listener, Arc::new(script))
    }

    fn start(address: Option<SocketAddr>, listener: Listener, script: Arc<Script>) -> Self {
        let log = Arc::new(Log::default());
        let mut server = JoinSet::new();
        let of_server = Arc::clone(&log);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let socket = listener.accept().await;
                let number = of_server.connect();
                let connection = Connection {
                    socket,
                    number,
                    rest: Vec::new(),
                    log: Arc::clone(&of_server),
                    script: Arc::clone(&script),
                };
                connections.spawn(connection.run());
            }
        });
        Self { address, log, _server: server }
    }

    /// `host:port` of a TCP backend.
    pub fn authority(&self) -> String {
        self.address.unwrap().to_string()
    }

    /// What came in so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// The only request that came in.
    pub fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.log.bytes.lock().unwrap().len()
    }

    /// All bytes that came on a connection, bodies that were skipped apart; empty if there is no such connection yet.
    pub fn bytes(&self, connection: usize) -> String {
        self.log.bytes.lock().unwrap().get(connection).map_or_else(String::new, |bytes| latin1(bytes))
    }

    /// Not one byte came in.
    pub fn is_untouched(&self) -> bool {
        self.log.bytes.lock().unwrap().iter().all(Vec::is_empty)
    }

    /// Waits until the other end has closed a connection, or reset it.
    pub async fn ended(&self, connection: usize) {
        self.until("a connection ends", |echo| echo.log.ended.lock().unwrap().contains(&connection)).await;
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.log.changed.subscribe();
        while !holds(self) {
            soon(what, changes.changed()).await.unwrap();
        }
    }
}

struct Connection {
    socket: Box<dyn Socket>,
    number: usize,
    /// Bytes that were read and not yet used.
    rest: Vec<u8>,
    log: Arc<Log>,
    script: Arc<Script>,
}

impl Connection {
    async fn run(mut self) {
        while self.one_request().await.is_some() {}
        self.log.end(self.number);
    }

    /// Serves one request; none when the connection is over.
    async fn one_request(&mut self) -> Option<()> {
        let mut head = Vec::new();
        self.take_until(b"\r\n\r\n", &mut head).await?;
        let seen = Seen { connection: self.number, head: latin1(&head), body: Vec::new(), whole: false };
        let place = self.log.see(seen.clone());
        for step in (self.script)(&seen) {
            match step {
                Step::ReadBody => {
                    let mut body = Vec::new();
                    let whole = self.body(&seen, Some(&mut body)).await;
                    self.log.complete(place, body, whole.is_some());
                    whole?;
                }
                Step::SkipBody => {
                    let whole = self.body(&seen, None).await;
                    self.log.complete(place, Vec::new(), whole.is_some());
                    whole?;
                }
                Step::Send(bytes) => self.socket.write_all(&bytes).await.ok()?,
                Step::Flood(mut length) => {
                    let block = [b'x'; 16 * 1024];
                    while length > 0 {
                        let part = length.min(block.len() as u64);
                        self.socket.write_all(&block[..part as usize]).await.ok()?;
                        length -= part;
                    }
                }
                Step::Wait(gate) => gate.passed().await,
                Step::Close => return None,
            }
        }
        Some(())
    }

    /// Reads the body of a request, with its framing; none if the connection ends in the middle of it.
    async fn body(&mut self, seen: &Seen, mut keep: Option<&mut Vec<u8>>) -> Option<()> {
        if seen.values("transfer-encoding").is_empty() {
            let length = seen.values("content-length").first().map_or(0, |length| length.parse().unwrap());
            return self.take(length, keep.as_deref_mut()).await;
        }
        loop {
            let mut line = Vec::new();
            self.take_until(b"\r\n", &mut line).await?;
            if let Some(keep) = keep.as_deref_mut() {
                keep.extend_from_slice(&line);
            }
            let size = u64::from_str_radix(latin1(&line).trim(), 16).expect("a bare chunk size");
            if size > 0 {
                self.take(size + 2, keep.as_deref_mut()).await?;
                continue;
            }
            // Trailer lines up to the empty one.
            while line != b"\r\n" {
                line.clear();
                self.take_until(b"\r\n", &mut line).await?;
                if let Some(keep) = keep.as_deref_mut() {
                    keep.extend_from_slice(&line);
                }
            }
            return Some(());
        }
    }

    /// Takes so many bytes.
    async fn take(&mut self, mut length: u64, mut keep: Option<&mut Vec<u8>>) -> Option<()> {
        while length > 0 {
            if self.rest.is_empty() {
                self.more(keep.is_some()).await?;
            }
            let part = self.rest.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let taken = self.rest.drain(..part);
            if let Some(keep) = keep.as_deref_mut() {
                keep.extend(taken);
            }
            length -= part as u64;
        }
        Some(())
    }

    /// Takes all bytes up to and with `mark`.
    async fn take_until(&mut self, mark: &[u8], into: &mut Vec<u8>) -> Option<()> {
        loop {
            if let Some(place) = find(&self.rest, mark) {
                into.extend(self.rest.drain(..place + mark.len()));
                return Some(());
            }
            self.more(true).await?;
        }
    }

    async fn more(&mut self, record: bool) -> Option<()> {
        let before = self.rest.len();
        self.rest.reserve(super::READ_BYTES);
        let length = self.socket.read_buf(&mut self.rest).await.ok()?;
        if record {
            self.log.record(self.number, &self.rest[before..]);
        }
        (length > 0).then_some(())
    }
}
