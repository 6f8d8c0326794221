//! A raw HTTP/1 client: it sends the bytes it is given and reads one answer at a time, strictly.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::{find, latin1, soon};

/// A socket of any kind.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// One connection of a client.
pub struct RawClient {
    socket: Box<dyn Socket>,
    /// Bytes that were read and not yet used.
    pub rest: Vec<u8>,
}

/// An answer as it stood on the wire.
#[derive(Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The header lines in their order, each as name and value; names as they came.
    pub headers: Vec<(String, String)>,
    /// The body with its chunk framing taken off.
    pub body: Vec<u8>,
    /// Trailer lines of a chunked body.
    pub trailers: Vec<String>,
    /// Whether the body ended as its framing promised; false: the connection ended first.
    pub whole: bool,
}

impl RawAnswer {
    /// All values of a header, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let same = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header; none if it is absent.
    pub fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() <= 1, "{name} stands there {} times", values.len());
        values.first().copied()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        latin1(&self.body)
    }
}

impl RawClient {
    /// Connects by TCP.
    pub async fn tcp(address: SocketAddr) -> Self {
        let socket = soon("connect", TcpStream::connect(address)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket)
    }

    /// Connects by a Unix socket.
    pub async fn unix(path: &Path) -> Self {
        Self::over(soon("connect", UnixStream::connect(path)).await.unwrap())
    }

    /// Takes a socket that is connected already.
    pub fn over(socket: impl Socket + 'static) -> Self {
        Self { socket: Box::new(socket), rest: Vec::new() }
    }

    /// Sends bytes as they are. The other end may have hung up: the answer will tell.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon("send", self.socket.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Sends no more; what the other end says can still be read.
    pub async fn finish(&mut self) {
        soon("the end of sending", self.socket.shutdown()).await.unwrap();
    }

    /// Sends one request and reads its answer.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> RawAnswer {
        let bodyless = request.as_ref().starts_with(b"HEAD ");
        self.send(request).await;
        let mut answer = self.head().await;
        if !bodyless {
            self.body(&mut answer).await;
        }
        answer
    }

    /// Reads the next whole answer.
    pub async fn answer(&mut self) -> RawAnswer {
        let mut answer = self.head().await;
        self.body(&mut answer).await;
        answer
    }

    /// Reads an answer up to the end of its head; interim answers (1xx) are answers of their own.
    pub async fn head(&mut self) -> RawAnswer {
        let head = self.until(b"\r\n\r\n").await.expect("an answer before the connection ends");
        let head = latin1(&head);
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let status_line = lines.next().unwrap();
        assert!(status_line.starts_with("HTTP/1."), "no status line: {status_line:?}");
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("no header line: {line:?}")))
            .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
            .collect();
        RawAnswer { status, headers, body: Vec::new(), trailers: Vec::new(), whole: false }
    }

    /// Reads the body that belongs to `answer`.
    pub async fn body(&mut self, answer: &mut RawAnswer) {
        if answer.status < 200 || answer.status == 204 || answer.status == 304 {
            answer.whole = true;
        } else if answer.value("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk(answer).await {
                answer.body.extend(chunk);
            }
        } else if let Some(length) = answer.value("content-length") {
            let length = length.parse().unwrap();
            while self.rest.len() < length && self.more().await {}
            answer.whole = self.rest.len() >= length;
            answer.body = self.rest.drain(..length.min(self.rest.len())).collect();
        } else {
            while self.more().await {}
            answer.whole = true;
            answer.body = std::mem::take(&mut self.rest);
        }
    }

    /// Reads one chunk of a chunked body; none at its end, whether good or bad (`whole` tells).
    pub async fn chunk(&mut self, answer: &mut RawAnswer) -> Option<Vec<u8>> {
        let size = latin1(&self.until(b"\r\n").await?);
        let size = usize::from_str_radix(size.trim().split(';').next().unwrap(), 16).expect("a chunk size");
        if size == 0 {
            loop {
                let line = latin1(&self.until(b"\r\n").await?);
                if line == "\r\n" {
                    answer.whole = true;
                    return None;
                }
                answer.trailers.push(line.trim_end().to_owned());
            }
        }
        while self.rest.len() < size + 2 {
            if !self.more().await {
                return None;
            }
        }
        let chunk = self.rest.drain(..size).collect();
        assert_eq!(self.rest.drain(..2).collect::<Vec<_>>(), b"\r\n", "a chunk ends in CRLF");
        Some(chunk)
    }

    /// Whether the other end closes without another byte, within the deadline.
    pub async fn is_closed(&mut self) -> bool {
        let more = self.more().await;
        !more && self.rest.is_empty()
    }

    /// Reads on; false at the end of the connection.
    pub async fn more(&mut self) -> bool {
        self.rest.reserve(super::READ_BYTES);
        let read = soon("more bytes", self.socket.read_buf(&mut self.rest)).await;
        read.is_ok_and(|length| length > 0)
    }

    /// All bytes up to and with `mark`; none if the connection ends before.
    async fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(place) = find(&self.rest, mark) {
                return Some(self.rest.drain(..place + mark.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }
}
