//! Word of a session's end, for whatever hangs on the session longer than most requests take: a WebSocket, a stream of
//! events, a long download.

use std::fmt;
use std::sync::Arc;

use crate::base::port::Answer;

/// Tells when sessions end; the gate's side of [`SessionEnd`].
pub trait TellsEnds: Send + Sync + 'static {
    /// Completes when this session (by its key) is over.
    fn ended(&self, session: [u8; 32]) -> Answer<'static, ()>;
}

/// What the answer to a request hangs on that passed with a session. The layer asks it once an answer takes more than one
/// piece, and it lies in the extensions of an answer that may take its time, for the server; or in those of the request, for
/// the service behind, if the gatekeeper hands it over. Nothing is kept for whoever never asks.
#[derive(Clone)]
pub struct SessionEnd {
    teller: Arc<dyn TellsEnds>,
    session: [u8; 32],
}

impl SessionEnd {
    /// The end of a session, of which `teller` will know.
    pub fn new(teller: Arc<dyn TellsEnds>, session: [u8; 32]) -> Self {
        Self { teller, session }
    }

    /// Completes when the session is over: at once for an end that is made in this process, and within five seconds for
    /// any other, be it by another process, by the operator, by its time, or because the forge does not let its account
    /// act. A store or a forge that cannot answer ends nothing. The future runs on any executor; it may be kept for as
    /// long as the connection is.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place up; nothing is left behind.
    pub fn ended(&self) -> Answer<'static, ()> {
        self.teller.ended(self.session)
    }
}

impl fmt::Debug for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionEnd")
    }
}
