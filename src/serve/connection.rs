//! One connection, from its first byte to its last. Nothing in here asks for `Send`, so that a runtime per core can
//! run it too.

use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::base::peer::{Peer, PeerCredentials};
use crate::serve::edge::{Answers, Edge};
use crate::serve::patience::Patience;
use crate::serve::settings::Limits;

/// hyper refuses to work with less.
const LEAST_BUFFER_BYTES: usize = 8192;

/// Ends connections: politely, then at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    /// Requests under way finish, no further one begins.
    pub(super) soon: CancellationToken,
    /// All is cut.
    pub(super) now: CancellationToken,
}

/// Serves HTTP/1.1 on a connection until it ends.
pub(super) async fn serve<I, S>(
    io: I,
    peer: (Peer, Option<PeerCredentials>),
    service: S,
    limits: Arc<Limits>,
    ending: Ending,
) where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Answers,
{
    let io = TokioIo::new(Patience::new(io, limits.client_idle_timeout));
    // What is too long is refused with a reason as long as it is not longer than twice the limit.
    let head_bytes = limits.max_head_bytes.saturating_mul(2);
    // Plain http1, not hyper-util's `auto`: that one waits for ever on a client that says nothing.
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        // Not twice as many: hyper has room for a hundred lines before it allocates.
        .max_headers(limits.max_headers)
        .max_header_size(head_bytes)
        .max_buf_size(head_bytes.max(LEAST_BUFFER_BYTES))
        .half_close(false);
    let mut connection = pin!(builder.serve_connection(io, Edge { service, peer, limits }));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ending.soon.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = ending.now.cancelled() => Ok(()),
            }
        }
    };
    match ended {
        Ok(()) => {}
        // It never became a request, so it has no id; hyper has answered it with a bare status.
        Err(error) if error.is_parse() => {
            tracing::info!(peer = %peer.0, reason = reason(&error), %error, "a request that is none was refused");
        }
        // Mostly a client that went away or was too slow: nobody must act.
        Err(error) => tracing::debug!(%error, "connection ended early"),
    }
}

/// What was wrong with bytes that never became a request, as a code that stays. hyper's own words, which stand beside it,
/// are fixed too: neither repeats a byte of what came.
fn reason(error: &hyper::Error) -> &'static str {
    if error.is_parse_too_large() {
        "head_too_large"
    } else if error.is_parse_version_h2() {
        "http2"
    } else {
        "bad_syntax"
    }
}
