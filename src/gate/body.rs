//! Bodies on their way through. Trailers are where a header law is easily forgotten (RFC 9110 §6.5.1).

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use crate::base::session_end::SessionEnd;
use crate::gate::tie::Tie;
use crate::wire::scrub::is_reserved;

pin_project! {
    /// A request's body without its trailers.
    #[derive(Debug)]
    pub struct Untrailed<B> {
        #[pin]
        inner: Option<B>,
    }
}

impl<B> Untrailed<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner: Some(inner) }
    }

    /// Nothing: what a request without a body is sent again with.
    pub(crate) fn nothing() -> Self {
        Self { inner: None }
    }
}

impl<B: Body> Body for Untrailed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(mut inner) = self.project().inner.as_pin_mut() else { return Poll::Ready(None) };
        loop {
            match ready!(inner.as_mut().poll_frame(context)) {
                Some(Ok(frame)) if frame.is_trailers() => {}
                frame => return Poll::Ready(frame),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The error of an answer's body that ends before its time since the session that it was asked for with has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the visitor's session has ended, and what it was asked for with it")]
pub struct SessionEnded;

pin_project! {
    /// An answer's body: the backend's, with reserved names taken out of its trailers, or our own. The backend's breaks off
    /// ([`SessionEnded`]) when the session that it was asked for with ends: what is still to come is for nobody.
    pub struct GateBody<R> {
        #[pin]
        side: Side<R>,
    }
}

pin_project! {
    #[project = SideNow]
    enum Side<R> {
        Theirs { #[pin] inner: R, tie: Tie },
        Ours { inner: Full<Bytes> },
    }
}

impl<R> GateBody<R> {
    /// The backend's, for as long as the session lasts that it hangs on, if it does.
    pub(crate) fn theirs(inner: R, session: Option<SessionEnd>) -> Self {
        Self { side: Side::Theirs { inner, tie: Tie::to(session) } }
    }

    pub(crate) fn ours(whole: Bytes) -> Self {
        Self { side: Side::Ours { inner: Full::new(whole) } }
    }
}

impl<R> fmt::Debug for GateBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateBody").finish_non_exhaustive()
    }
}

impl<R> Body for GateBody<R>
where
    R: Body<Data = Bytes>,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut side = self.project().side;
        match side.as_mut().project() {
            SideNow::Theirs { inner, tie } => {
                let next = inner.poll_frame(context);
                if tie.is_cut(&next, context) {
                    // Whoever makes it is let go at once.
                    side.set(Side::Ours { inner: Full::default() });
                    return Poll::Ready(Some(Err(SessionEnded.into())));
                }
                Poll::Ready(ready!(next).map(|frame| {
                    let mut frame = frame.map_err(Into::into)?;
                    if let Some(trailers) = frame.trailers_mut() {
                        scrub_trailers(trailers);
                    }
                    Ok(frame)
                }))
            }
            SideNow::Ours { inner } => Poll::Ready(
                ready!(Pin::new(inner).poll_frame(context))
                    .map(|frame| frame.map_err(|never| match never {})),
            ),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.side {
            Side::Theirs { inner, .. } => inner.is_end_stream(),
            Side::Ours { inner } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.side {
            Side::Theirs { inner, .. } => inner.size_hint(),
            Side::Ours { inner } => inner.size_hint(),
        }
    }
}

fn scrub_trailers(trailers: &mut HeaderMap) {
    let reserved: Vec<_> = trailers
        .keys()
        .filter(|name| {
            is_reserved(name.as_str(), &[]) || matches!(name.as_str(), "set-cookie" | "clear-site-data")
        })
        .cloned()
        .collect();
    for name in reserved {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::watch;

    use super::*;
    use crate::base::port::Answer;
    use crate::base::session_end::TellsEnds;

    /// A session that ends when the test says so, and how often its end was asked for.
    struct Session {
        over: watch::Sender<bool>,
        asked: AtomicU32,
    }

    impl Session {
        fn new() -> Arc<Self> {
            Arc::new(Self { over: watch::Sender::new(false), asked: AtomicU32::new(0) })
        }

        fn ends(self: &Arc<Self>) -> SessionEnd {
            SessionEnd::new(Arc::<Self>::clone(self), [7; 32])
        }

        fn end(&self) {
            self.over.send_replace(true);
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    impl TellsEnds for Session {
        fn ended(&self, _: [u8; 32]) -> Answer<'static, ()> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let mut over = self.over.subscribe();
            Box::pin(async move { drop(over.wait_for(|over| *over).await) })
        }
    }

    /// Pieces in their turn; None: nothing comes for now. It ends after the last one.
    struct Pieces(VecDeque<Option<&'static str>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                Some(None) => Poll::Pending,
                Some(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))),
                None => Poll::Ready(None),
            }
        }
    }

    type Pinned = Pin<Box<GateBody<Pieces>>>;

    fn answer<const N: usize>(pieces: [Option<&'static str>; N], session: Option<SessionEnd>) -> Pinned {
        Box::pin(GateBody::theirs(Pieces(pieces.into()), session))
    }

    /// What one look at the body brings: a piece, "-" for nothing yet, "end", or the error's words.
    async fn look(body: &mut Pinned) -> String {
        poll_fn(|context| {
            Poll::Ready(match body.as_mut().poll_frame(context) {
                Poll::Pending => "-".to_owned(),
                Poll::Ready(None) => "end".to_owned(),
                Poll::Ready(Some(Ok(frame))) => {
                    String::from_utf8_lossy(&frame.into_data().unwrap_or_default()).into_owned()
                }
                Poll::Ready(Some(Err(error))) => error.to_string(),
            })
        })
        .await
    }

    /// Holds: S13.
    #[tokio::test]
    async fn an_answer_breaks_off_with_its_session_wherever_it_stands() {
        let cut = SessionEnded.to_string();
        // It waits for the backend.
        let session = Session::new();
        let mut body = answer([Some("one"), None, None, Some("two")], Some(session.ends()));
        assert_eq!((look(&mut body).await.as_str(), look(&mut body).await.as_str()), ("one", "-"));
        session.end();
        assert_eq!((look(&mut body).await, look(&mut body).await), (cut.clone(), "end".to_owned()));
        // There is always more to send than the reader takes.
        let session = Session::new();
        let mut body = answer([Some("one"), Some("two"), Some("three")], Some(session.ends()));
        assert_eq!((look(&mut body).await.as_str(), look(&mut body).await.as_str()), ("one", "two"));
        session.end();
        assert_eq!((look(&mut body).await, look(&mut body).await), (cut.clone(), "end".to_owned()));
        // Nothing has come yet.
        let session = Session::new();
        session.end();
        assert_eq!(look(&mut answer([None, Some("one")], Some(session.ends()))).await, cut);
        assert!(cut.contains("session"), "{cut}");
    }

    /// Holds: S13.
    #[tokio::test]
    async fn an_answer_that_has_come_to_its_end_is_whole_and_one_in_one_piece_asks_for_nothing() {
        let session = Session::new();
        let mut body = answer([Some("all of it")], Some(session.ends()));
        assert_eq!((look(&mut body).await.as_str(), look(&mut body).await.as_str()), ("all of it", "end"));
        assert_eq!(session.asked(), 0);

        let mut body = answer([Some("one"), None], Some(session.ends()));
        assert_eq!((look(&mut body).await.as_str(), look(&mut body).await.as_str()), ("one", "-"));
        session.end();
        assert_eq!((session.asked(), look(&mut body).await.as_str()), (1, "end"));

        // Nobody's answer hangs on nothing.
        let mut body = answer([Some("one"), None, Some("two")], None);
        let all =
            [look(&mut body).await, look(&mut body).await, look(&mut body).await, look(&mut body).await];
        assert_eq!((all, session.asked()), (["one", "-", "two", "end"].map(str::to_owned), 1));
    }
}
