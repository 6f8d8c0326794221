//! An upstream's answer on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use crate::base::stall::Stall;
use crate::forward::upload::Uploading;

/// A body that could not be brought to its end: the client's connection must be cut, lest it take the part for the
/// whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerCut {
    /// It stood still for too long.
    #[error("the upstream's answer stood still")]
    Stalled,
    /// The upstream broke off or broke the rules.
    #[error("the upstream's answer broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The body of an answer: the upstream's, or an empty one beside a [`Fault`](crate::base::fault::Fault). Trailers end
/// here: a name in them has passed no rule (RFC 9110 §6.5.1 lets us drop them).
#[derive(Debug)]
pub struct ForwardBody {
    rest: Option<Rest>,
}

/// What is still to come.
#[derive(Debug)]
struct Rest {
    body: Incoming,
    stall: Stall,
    /// The request counts as under way until its answer has ended.
    _permit: OwnedSemaphorePermit,
    /// What is left of the request's body ends with the answer.
    _uploading: Option<Uploading>,
}

impl ForwardBody {
    pub(super) const fn empty() -> Self {
        Self { rest: None }
    }

    pub(super) fn new(
        body: Incoming,
        idle: Duration,
        permit: OwnedSemaphorePermit,
        uploading: Option<Uploading>,
    ) -> Self {
        let stall = Stall::new(idle);
        Self { rest: Some(Rest { body, stall, _permit: permit, _uploading: uploading }) }
    }
}

impl Rest {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, AnswerCut>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.stall.poll_still(cx));
            return Poll::Ready(Some(Err(AnswerCut::Stalled)));
        };
        self.stall.moved();
        Poll::Ready(match frame {
            Some(Ok(frame)) => frame.into_data().ok().map(Ok),
            Some(Err(error)) => Some(Err(AnswerCut::Broken(error.into()))),
            None => None,
        })
    }
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = AnswerCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerCut>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let data = ready!(rest.poll_data(cx));
        if !matches!(data, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), |rest| rest.body.size_hint())
    }
}
