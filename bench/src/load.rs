//! Requests of a browser's size over kept connections, and the backend that answers them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Outcome;

/// What a browser says beside Host and Cookie: eleven fields.
pub const HEADERS: [(&str, &str); 11] = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "http://localhost/repo/issues"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Priority", "u=0, i"),
    ("DNT", "1"),
];

/// The Cookie line of a browser whose session this is.
pub fn cookies(session: &str) -> String {
    format!("a=0123456789abcdef; {session}; lang=en-US; _csrf=fedcba9876543210fedcba98")
}

/// A whole request.
pub fn request(port: u16, target: &str, session: &str) -> Vec<u8> {
    let mut text = format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n");
    for (name, value) in HEADERS {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Cookie: {}\r\n\r\n", cookies(session));
    text.into_bytes()
}

/// A connection that stays open.
pub struct Kept {
    socket: TcpStream,
    bytes: Vec<u8>,
}

impl Kept {
    /// Connects to the proxy.
    pub async fn open(port: u16) -> Outcome<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, bytes: Vec::with_capacity(8192) })
    }

    /// One request and its answer, which must be a 200 with a length.
    pub async fn ask(&mut self, request: &[u8]) -> Outcome<()> {
        self.socket.write_all(request).await?;
        self.bytes.clear();
        loop {
            if self.socket.read_buf(&mut self.bytes).await? == 0 {
                return Err("the proxy closed the connection".into());
            }
            if whole(&self.bytes)?.is_some_and(|whole| self.bytes.len() >= whole) {
                return Ok(());
            }
        }
    }
}

/// How long an answer is, once its head is there.
fn whole(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("not 200: {head}").into());
    }
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).ok_or("no length")?.1;
    Ok(Some(end + 4 + length.trim().parse::<usize>()?))
}

/// Sends each request `times` times over a connection of its own, all at once.
pub async fn run(port: u16, requests: Vec<Vec<u8>>, times: usize) -> Outcome<()> {
    let mut connections = JoinSet::new();
    for request in requests {
        connections.spawn(async move {
            let mut kept = Kept::open(port).await?;
            for _ in 0..times {
                kept.ask(&request).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(ended) = connections.join_next().await {
        ended??;
    }
    Ok(())
}

/// A backend on a thread of its own that answers everything with 1 KiB and seven header lines; says its port.
pub fn backend() -> Outcome<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || runtime.block_on(accept(listener)));
    Ok(port)
}

async fn accept(listener: std::net::TcpListener) -> Outcome<()> {
    let listener = TcpListener::from_std(listener)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 08:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: 1024\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n\
         X-Frame-Options: SAMEORIGIN\r\nVary: Accept-Encoding\r\n\r\n{}",
        "x".repeat(1024)
    );
    let answer: &'static [u8] = answer.into_bytes().leak();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(answer_all(socket, answer));
    }
}

async fn answer_all(mut socket: TcpStream, answer: &'static [u8]) -> Outcome<()> {
    let mut bytes = Vec::with_capacity(8192);
    loop {
        bytes.clear();
        // One request at a time, none with a body.
        while !bytes.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        socket.write_all(answer).await?;
    }
}
