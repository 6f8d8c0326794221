//! One connection, from its first byte to its last. Nothing in here asks for `Send`, so that a runtime per core can
//! run it too.

use std::pin::Pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::base::peer::{Peer, PeerCredentials};
use crate::serve::edge::{Answers, Edge};
use crate::serve::linger::linger;
use crate::serve::patience::Patience;
use crate::serve::settings::Limits;
use crate::serve::turn::{Held, Turn};
use crate::serve::unread::{self, End};

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
    let turn = Turn::new();
    let io = TokioIo::new(Held::new(Patience::new(io, limits.client_idle_timeout), turn.clone()));
    // What is too long is told from its own lines as long as it is not longer than twice the limit.
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
    let mut connection = builder.serve_connection(io, Edge { service, peer, limits, turn: turn.clone() });
    let mut ended = ending.soon.run_until_cancelled(&mut connection).await;
    let is_idle = ended.is_none() && turn.is_settled();
    if ended.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        ended = ending.now.run_until_cancelled(&mut connection).await;
    }
    let Some(ended) = ended else { return };
    let http1::Parts { io, read_buf, service: edge, .. } = connection.into_parts();
    let left = io.into_inner().leave();
    let Err(error) = ended else {
        // Of a body that was passed over hyper has read the rest, where a connection was kept.
        if left.is_unread && !is_idle {
            ending.now.run_until_cancelled(Box::pin(linger(left.io))).await;
        }
        return;
    };
    let why = unread::why(End::of(&error), left.kept_back, &read_buf, head_bytes, left.is_first);
    drop(read_buf);
    match why {
        Some(fault) if left.is_settled => {
            // Seldom, so it has memory of its own: each connection would else be as large.
            let explained = Box::pin(unread::explain(left.io, edge.service, peer.0, fault, &error));
            ending.now.run_until_cancelled(explained).await;
        }
        // Behind an answer that was not read: hyper's own went out, if any.
        Some(fault) if error.is_parse() => unread::tell(peer.0, fault, None, &error),
        // Mostly a client that went away or was too slow: nobody must act.
        _ => tracing::debug!(%error, "connection ended early"),
    }
}
