//! Bodies on their way through. Trailers are where a header law is easily forgotten (RFC 9110 §6.5.1).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

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

pin_project! {
    /// An answer's body: the backend's, with reserved names taken out of its trailers, or our own.
    #[derive(Debug)]
    pub struct GateBody<R> {
        #[pin]
        side: Side<R>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = SideNow]
    enum Side<R> {
        Theirs { #[pin] inner: R },
        Ours { inner: Full<Bytes> },
    }
}

impl<R> GateBody<R> {
    pub(crate) fn theirs(inner: R) -> Self {
        Self { side: Side::Theirs { inner } }
    }

    pub(crate) fn ours(whole: Bytes) -> Self {
        Self { side: Side::Ours { inner: Full::new(whole) } }
    }
}

impl<R: Body<Data = Bytes>> Body for GateBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().side.project() {
            SideNow::Theirs { inner } => Poll::Ready(match ready!(inner.poll_frame(context)) {
                Some(Ok(mut frame)) => {
                    if let Some(trailers) = frame.trailers_mut() {
                        scrub_trailers(trailers);
                    }
                    Some(Ok(frame))
                }
                other => other,
            }),
            SideNow::Ours { inner } => Poll::Ready(
                ready!(Pin::new(inner).poll_frame(context))
                    .map(|frame| frame.map_err(|never| match never {})),
            ),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.side {
            Side::Theirs { inner } => inner.is_end_stream(),
            Side::Ours { inner } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.side {
            Side::Theirs { inner } => inner.size_hint(),
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
