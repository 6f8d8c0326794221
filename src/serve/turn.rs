//! Whose bytes hyper writes: those of an answer of the service, or its own about bytes that never became a request.
//!
//! hyper answers such bytes itself, with a bare status, and has no hook for it. So that answer is kept back here, and
//! [`unread`](crate::serve::unread) gives one that explains itself once hyper has ended the connection. How the bytes look
//! does not decide: an app may say what hyper says. It is known whose turn it is. A connection begins settled; a request
//! that hyper hands over makes an answer owed; it is settled again once that answer's body is gone and hyper has flushed,
//! which it does only with its buffer empty. What is written on a settled connection can be nothing but hyper's own.
//!
//! One case is hyper's, and stays so: an app that answers before its request's body has ended, to a client that does not
//! read, and sends the rest of that body with bytes behind it that are no request. hyper then writes its own answer in front
//! of what it still holds of the app's. Nothing is settled, so nothing is kept back, and whoever sent that gets it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::base::port::Answer;
use crate::base::session_end::SessionEnd;

/// Who has a clone while nothing is owed: the connection, its socket and its service.
const AT_REST: usize = 3;

/// How things stand on a connection. Each answer under way holds a clone.
#[derive(Clone, Debug)]
pub(super) struct Turn(Arc<State>);

/// All but the body's part is read and written in one task; it is atomic so that the task may move between threads.
#[derive(Debug)]
struct State {
    /// Whether all that the service has said is written.
    is_settled: AtomicBool,
    /// How many requests were handed over.
    requests: AtomicU64,
    /// Of which of them more may come that nobody reads; zero: of none.
    unread: Arc<AtomicU64>,
    tie: Tie,
}

/// The end of the session that the answer under way hangs on, if it hangs on one. The answer's body sees to that itself, as
/// long as it is asked for more; of a reader who takes nothing, it is not.
#[derive(Default)]
struct Tie {
    is_there: AtomicBool,
    end: Mutex<Option<Answer<'static, ()>>>,
}

impl Tie {
    fn set(&self, end: Option<Answer<'static, ()>>) {
        self.is_there.store(end.is_some(), Ordering::Relaxed);
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// Whether the session is over; if not, the task is woken when it is.
    fn is_over(&self, cx: &mut Context<'_>) -> bool {
        if !self.is_there.load(Ordering::Relaxed) {
            return false;
        }
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        // Once it has told its end nothing is written any more.
        let is_over = end.as_mut().is_none_or(|end| end.as_mut().poll(cx).is_ready());
        if is_over {
            *end = None;
        }
        is_over
    }
}

impl fmt::Debug for Tie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tie")
    }
}

impl Turn {
    /// Nothing is said yet. One of it stays with the connection, one goes to [`Held`], one to the service.
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            is_settled: AtomicBool::new(true),
            requests: AtomicU64::new(0),
            unread: Arc::default(),
            tie: Tie::default(),
        }))
    }

    /// A request is handed over: what is written from now on is the answer's, until this is dropped and all is flushed.
    pub(super) fn owe(&self) -> Self {
        self.0.is_settled.store(false, Ordering::Relaxed);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.unread.store(0, Ordering::Relaxed);
        self.clone()
    }

    /// The request that was just handed over has a body.
    pub(super) fn body_comes(&self) -> Unread {
        let number = self.0.requests.load(Ordering::Relaxed);
        self.0.unread.store(number, Ordering::Relaxed);
        Unread { last: Arc::clone(&self.0.unread), number }
    }

    /// Nothing of the answer under way is written once this session is over.
    fn tie_to(&self, session: &SessionEnd) {
        self.0.tie.set(Some(session.ended()));
    }

    /// Whether all that the service has said is written.
    pub(super) fn is_settled(&self) -> bool {
        self.0.is_settled.load(Ordering::Relaxed)
    }

    /// All that was written so far has left hyper.
    fn flushed(&self) {
        if !self.is_settled() && Arc::strong_count(&self.0) <= AT_REST {
            self.0.is_settled.store(true, Ordering::Relaxed);
        }
    }
}

/// To be told when a request's body has come to its end: until then more of it may come.
#[derive(Debug)]
pub(super) struct Unread {
    last: Arc<AtomicU64>,
    number: u64,
}

impl Unread {
    /// It has. A later request's body is another matter.
    pub(super) fn end(&self) {
        let _ = self.last.compare_exchange(self.number, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    }
}

/// A socket that keeps back what hyper says for itself.
#[derive(Debug)]
pub(super) struct Held<I> {
    io: I,
    turn: Turn,
    kept_back: Option<StatusCode>,
    /// Whether hyper said something for itself that is no refusal. It does not; if it ever does, it passes.
    is_puzzled: bool,
}

/// What a connection left behind.
#[derive(Debug)]
pub(super) struct Left<I> {
    /// The socket; it is not shut if something was kept back.
    pub(super) io: I,
    /// Whether all answers are written and nothing was said about what came after them.
    pub(super) is_settled: bool,
    /// The status that hyper would have given, if it would have given one.
    pub(super) kept_back: Option<StatusCode>,
    /// Whether more of its last request may come.
    pub(super) is_unread: bool,
    /// Whether no request was handed over.
    pub(super) is_first: bool,
}

impl<I> Held<I> {
    pub(super) const fn new(io: I, turn: Turn) -> Self {
        Self { io, turn, kept_back: None, is_puzzled: false }
    }

    pub(super) fn leave(self) -> Left<I> {
        Left {
            is_settled: self.turn.is_settled() && !self.is_puzzled,
            is_unread: self.turn.0.unread.load(Ordering::Relaxed) != 0,
            is_first: self.turn.0.requests.load(Ordering::Relaxed) == 0,
            io: self.io,
            kept_back: self.kept_back,
        }
    }

    /// Whether what is about to be written is hyper's own and goes no further.
    fn keeps_back(&mut self, bytes: &[u8]) -> bool {
        if !self.turn.is_settled() {
            return false;
        }
        self.kept_back = self.kept_back.or_else(|| refusal(bytes));
        self.is_puzzled |= self.kept_back.is_none();
        self.kept_back.is_some()
    }
}

impl<I> Held<I> {
    /// Nothing is written for a session that is over.
    fn goes_on(&self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.turn.0.tie.is_over(cx) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// The status of a client's error, if that is how these bytes begin (RFC 9112 §4).
fn refusal(bytes: &[u8]) -> Option<StatusCode> {
    let status = bytes.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    StatusCode::from_bytes(status).ok().filter(StatusCode::is_client_error)
}

impl<I: AsyncRead + Unpin> AsyncRead for Held<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Held<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.keeps_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.goes_on(cx)?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.turn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.kept_back.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper puts a head into the first part.
        if self.keeps_back(parts.first().map_or(&[], |head| head)) {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        self.goes_on(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }
}

pin_project! {
    /// The body of an answer that is owed until it is gone: hyper drops it with its last byte in the buffer.
    #[derive(Debug)]
    pub(super) struct Owed<B> {
        #[pin]
        body: B,
        turn: Turn,
        is_tied: bool,
    }

    impl<B> PinnedDrop for Owed<B> {
        fn drop(this: Pin<&mut Self>) {
            if this.is_tied {
                this.turn.0.tie.set(None);
            }
        }
    }
}

impl<B> Owed<B> {
    /// The body of the answer under way, which may hang on a session.
    pub(super) fn new(body: B, turn: Turn, session: Option<&SessionEnd>) -> Self {
        if let Some(session) = session {
            turn.tie_to(session);
        }
        Self { body, turn, is_tied: session.is_some() }
    }
}

impl<B: Body<Data = Bytes>> Body for Owed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::watch;

    use super::*;
    use crate::base::session_end::TellsEnds;

    const HYPERS: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";

    fn held() -> (Held<DuplexStream>, DuplexStream, [Turn; 2]) {
        let (io, client) = duplex(4096);
        let turn = Turn::new();
        (Held::new(io, turn.clone()), client, [turn.clone(), turn])
    }

    async fn received(io: Left<DuplexStream>, mut client: DuplexStream) -> String {
        drop(io);
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        all
    }

    #[tokio::test]
    async fn what_nobody_was_asked_for_is_kept_back_with_its_status() {
        let (mut io, client, _turn) = held();
        io.write_all(HYPERS).await.unwrap();
        io.flush().await.unwrap();
        io.shutdown().await.unwrap();
        let mut left = io.leave();
        assert_eq!((left.is_settled, left.kept_back), (true, StatusCode::from_u16(431).ok()));
        left.io.write_all(b"ours").await.unwrap();
        assert_eq!(received(left, client).await, "ours");
    }

    #[tokio::test]
    async fn what_an_answer_says_passes_until_it_is_gone_and_flushed() {
        let (mut io, client, [turn, _service]) = held();
        let owed = turn.owe();
        io.write_all(HYPERS).await.unwrap();
        io.flush().await.unwrap();
        io.write_all(b"1").await.unwrap();
        // Gone with its last bytes in hyper's buffer, which is written bit by bit.
        drop(owed);
        io.write_all(b"2").await.unwrap();
        io.write_all(b"3").await.unwrap();
        io.flush().await.unwrap();
        io.write_all(HYPERS).await.unwrap();
        let left = io.leave();
        assert_eq!((left.is_settled, left.kept_back.is_some()), (true, true));
        assert_eq!(received(left, client).await, format!("{}123", String::from_utf8_lossy(HYPERS)));
    }

    #[tokio::test]
    async fn what_is_no_refusal_passes_and_nothing_is_said_behind_it() {
        for said in ["", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 4", "the rest of something"] {
            let (mut io, client, _turn) = held();
            assert_eq!(io.write(said.as_bytes()).await.unwrap(), said.len());
            io.flush().await.unwrap();
            let left = io.leave();
            assert_eq!((left.is_settled, left.kept_back), (false, None), "{said}");
            assert_eq!(received(left, client).await, said);
        }
    }

    #[tokio::test]
    async fn an_answer_that_goes_late_settles_nothing_for_the_next_one() {
        let (mut io, client, [turn, _service]) = held();
        let first = turn.owe();
        let second = turn.owe();
        drop(first);
        io.flush().await.unwrap();
        io.write_all(b"1").await.unwrap();
        drop(second);
        let left = io.leave();
        assert_eq!((left.is_settled, left.kept_back), (false, None));
        assert_eq!(received(left, client).await, "1");
    }

    /// A session that ends when the test says so.
    struct Session(watch::Sender<bool>);

    impl TellsEnds for Session {
        fn ended(&self, _: [u8; 32]) -> Answer<'static, ()> {
            let mut over = self.0.subscribe();
            Box::pin(async move { drop(over.wait_for(|over| *over).await) })
        }
    }

    /// Holds: S13 (a reader who takes nothing).
    #[tokio::test]
    async fn nothing_of_an_answer_is_written_once_its_session_is_over_even_to_a_reader_who_takes_nothing() {
        let over = watch::Sender::new(false);
        let session = SessionEnd::new(Arc::new(Session(over.clone())), [7; 32]);
        let (mut io, client, [turn, _service]) = held();
        let answer = Owed::new(Empty::<Bytes>::new(), turn.owe(), Some(&session));
        io.write_all(b"the beginning").await.unwrap();
        let mut filling = Box::pin(async {
            loop {
                if let Err(failed) = io.write_all(&[0; 4096]).await {
                    break failed;
                }
            }
        });
        let stalled = poll_fn(|cx| Poll::Ready(filling.as_mut().poll(cx).is_pending())).await;
        assert!(stalled, "nobody reads");
        over.send_replace(true);
        let failed = filling.await;
        assert_eq!(failed.kind(), io::ErrorKind::ConnectionAborted);
        assert!(io.write(b"more").await.is_err());
        drop((client, answer));

        // The next answer is another matter.
        let (mut io, mut client, [turn, _service]) = held();
        drop(Owed::new(Empty::<Bytes>::new(), turn.owe(), Some(&session)));
        let _next = Owed::new(Empty::<Bytes>::new(), turn.owe(), None);
        io.write_all(b"next").await.unwrap();
        let mut read = [0; 4];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"next");
    }
}
