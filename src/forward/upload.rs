//! A request's body on its way to the upstream, and who keeps it waiting.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the two sides of an exchange know of its request body.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Parts that the connection has taken, its end included.
    moves: AtomicU64,
    /// Whether the upstream's connection would take more, but the client has sent none.
    on_client: AtomicBool,
}

impl Watch {
    /// Whether the client is the one to move, and how often the body has moved so far.
    pub(super) fn look(&self) -> (bool, u64) {
        (self.on_client.load(Ordering::Relaxed), self.moves.load(Ordering::Relaxed))
    }
}

/// The rest of a request's body is not wanted any more: its answer is over.
#[derive(Debug, thiserror::Error)]
#[error("the answer was over before the request's body")]
struct Abandoned;

/// The answer's side of a request body. Dropping it ends the upload: once an answer is over, waiting for the rest of
/// the body would hold the client's connection and the upstream's for nothing.
#[derive(Debug)]
pub(super) struct Uploading {
    watch: Arc<Watch>,
    _end: oneshot::Sender<()>,
}

impl Uploading {
    /// See [`Watch::look`].
    pub(super) fn look(&self) -> (bool, u64) {
        self.watch.look()
    }
}

/// A request's body without its trailers: a name in them has passed no rule (RFC 9110 §6.5.1 lets us drop them).
#[derive(Debug)]
pub(super) struct Upload<B> {
    body: B,
    /// None: the body is empty.
    other_side: Option<(Arc<Watch>, oneshot::Receiver<()>)>,
}

impl<B: Body> Upload<B> {
    /// The body, and the answer's side of it; none if it is empty.
    pub(super) fn of(body: B) -> (Self, Option<Uploading>) {
        if body.is_end_stream() {
            return (Self { body, other_side: None }, None);
        }
        let watch = Arc::<Watch>::default();
        let (end, ended) = oneshot::channel();
        let upload = Self { body, other_side: Some((Arc::clone(&watch), ended)) };
        (upload, Some(Uploading { watch, _end: end }))
    }
}

impl<B> Body for Upload<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        if let Some((_, ended)) = &mut self.other_side
            && Pin::new(ended).poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Abandoned.into())));
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Some((watch, _)) = &self.other_side {
            watch.on_client.store(frame.is_pending(), Ordering::Relaxed);
            watch.moves.fetch_add(u64::from(frame.is_ready()), Ordering::Relaxed);
        }
        frame.map(|frame| match frame {
            Some(Ok(frame)) if frame.is_data() => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(error.into())),
            _ => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
