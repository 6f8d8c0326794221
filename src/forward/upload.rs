//! A request's body on its way to the upstream, and who keeps it waiting.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

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

/// A request's body without its trailers: a name in them has passed no rule (RFC 9110 §6.5.1 lets us drop them).
#[derive(Debug)]
pub(super) struct Upload<B> {
    body: B,
    watch: Option<Arc<Watch>>,
}

impl<B: Body> Upload<B> {
    /// The body, and what can be known of it; nothing if it is empty.
    pub(super) fn of(body: B) -> (Self, Option<Arc<Watch>>) {
        let watch = (!body.is_end_stream()).then(Arc::<Watch>::default);
        (Self { body, watch: watch.clone() }, watch)
    }
}

impl<B: Body + Unpin> Body for Upload<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(watch) = &self.watch {
            watch.on_client.store(frame.is_pending(), Ordering::Relaxed);
            watch.moves.fetch_add(u64::from(frame.is_ready()), Ordering::Relaxed);
        }
        frame.map(|frame| frame.filter(|frame| frame.as_ref().map_or(true, Frame::is_data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
