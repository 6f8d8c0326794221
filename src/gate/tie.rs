//! What an answer that takes its time hangs on. Most answers are whole with their first piece, and for these nothing is
//! asked; whatever goes on after that is watched.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use crate::base::port;
use crate::base::session_end::SessionEnd;

/// What ties an answer to the session that it was asked for with.
pub(super) enum Tie {
    /// Nothing does.
    None,
    /// Nobody waits for the session's end yet.
    Loose { session: SessionEnd, has_begun: bool },
    /// Somebody does. Nobody ever waits for this lock: it makes an answer's body one that may be shared, as many demand.
    Fast(Mutex<port::Answer<'static, ()>>),
}

impl Tie {
    pub(super) fn to(session: Option<SessionEnd>) -> Self {
        session.map_or(Self::None, |session| Self::Loose { session, has_begun: false })
    }

    /// Whether what comes next is cut off, the session being over. What has come to its own end is not.
    pub(super) fn is_cut<T>(&mut self, next: &Poll<Option<T>>, context: &mut Context<'_>) -> bool {
        if matches!(next, Poll::Ready(None)) {
            return false;
        }
        if let Self::Loose { session, has_begun } = self {
            if next.is_ready() && !mem::replace(has_begun, true) {
                return false;
            }
            *self = Self::Fast(Mutex::new(session.ended()));
        }
        match self {
            Self::Fast(ended) => {
                let ended = ended.get_mut().unwrap_or_else(PoisonError::into_inner);
                ended.as_mut().poll(context).is_ready()
            }
            Self::None | Self::Loose { .. } => false,
        }
    }
}
