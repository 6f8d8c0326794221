//! A client that is refused, or answered before its request's body was read, may still be sending. A socket that is closed over bytes which nobody has read makes TCP take back what
//! was just sent, the answer too (RFC 9112 §9.6): so the rest is read for a short while, and thrown away.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, copy, sink};

/// How much is read.
const MAX_BYTES: u64 = 1024 * 1024;
/// For how long: a client that reads at all has seen the end of its answer by then, and closes.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Reads until the client closes, at most that much for that long. The sending side is shut already.
pub(super) async fn linger<I: AsyncRead + Unpin>(io: I) {
    let mut rest = io.take(MAX_BYTES);
    // Whatever comes of it: all is said.
    drop(tokio::time::timeout(MAX_TIME, copy(&mut rest, &mut sink())).await);
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn neither_silence_nor_a_flood_is_listened_to_for_ever() {
        let begun = Instant::now();
        let (mut client, server) = duplex(1024);
        tokio::join!(linger(server), async { while client.write_all(&[0; 1024]).await.is_ok() {} });
        assert_eq!(begun.elapsed(), Duration::ZERO, "a flood ends by its size");
        let (client, server) = duplex(1024);
        linger(server).await;
        assert_eq!(begun.elapsed(), MAX_TIME, "silence ends by its length");
        drop(client);
        let (_, server) = duplex(1024);
        linger(server).await;
        assert_eq!(begun.elapsed(), MAX_TIME, "who has closed is not waited for");
    }
}
