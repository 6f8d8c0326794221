//! A request's body under the server's limits.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::base::fault::Fault;
use crate::base::stall::Stall;
use crate::serve::settings::Limits;
use crate::serve::turn::Unread;

pub(super) const TOO_LARGE: Fault = Fault {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    reason: "request_body_too_large",
    title: "The request's body is too large",
};
const TOO_SLOW: Fault = Fault {
    status: StatusCode::REQUEST_TIMEOUT,
    reason: "request_body_too_slow",
    title: "The request's body did not arrive in time",
};

/// Why a request's body does not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestCut {
    /// It breaks a limit; the fault says which one.
    #[error("the request's body breaks a limit")]
    Limit(#[source] Fault),
    /// It is malformed, or the client went away.
    #[error("the request's body broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The body of a request: it ends in an error when it grows too large or stands still for too long.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    bytes_left: u64,
    stall: Stall,
    /// To be told when it has come to its end; none if there is no body at all.
    unread: Option<Unread>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, limits: &Limits, unread: Option<Unread>) -> Self {
        let stall = Stall::new(limits.client_idle_timeout);
        Self { body, bytes_left: limits.max_body_bytes, stall, unread }
    }

    fn ended(&self) {
        if let Some(unread) = &self.unread {
            unread.end();
        }
    }

    /// Counts what came.
    fn take(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, RequestCut> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.bytes_left = self.bytes_left.checked_sub(length).ok_or(RequestCut::Limit(TOO_LARGE))?;
        Ok(frame)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestCut>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.stall.poll_still(cx));
            return Poll::Ready(Some(Err(RequestCut::Limit(TOO_SLOW))));
        };
        self.stall.moved();
        if frame.is_none() || self.body.is_end_stream() {
            self.ended();
        }
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => self.take(frame),
            Err(error) => Err(RequestCut::Broken(error.into())),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
