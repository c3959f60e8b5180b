//! Reads on after the last answer.
//!
//! Closing a socket with unread bytes resets it, and so do bytes that arrive after the close. A reset
//! may overtake the answer, or take it away from a peer that has not read it yet (RFC 9112, section
//! 9.6). So what the peer still sends is read and discarded, until it closes its side.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tokio::{io::ReadBuf, time::timeout};

use crate::connection::{Connection, Socket};

/// How long a peer has to read the answer and to stop sending: several round trips of a slow link.
/// A proxy needs a few milliseconds, a person's browser less than a second.
const TIME: Duration = Duration::from_secs(2);
/// How much is read at most. A peer that looks at what it gets has seen the answer long before: so
/// much is on its way at 10 Gbit/s over 50 ms. One that does not look has to be stopped.
const BYTES: usize = 64 << 20;
/// How much is read at a time.
const PIECE: usize = 16 << 10;

/// Waits until the peer of `connection` has closed its side, if it may have more to send. The
/// stream that hyper held is gone.
pub(super) async fn linger(connection: &Arc<Connection>) {
    let socket = connection.socket();
    // Of a peer that has no more to send, nothing waits.
    let mut first = [0; 1];
    match look(socket, &mut first).await {
        Some(0) => return,
        None if !connection.was_answered_early() => return,
        Some(_) | None => {}
    }
    if socket.shutdown_write().is_err() {
        return;
    }
    connection.lingers();
    if !matches!(timeout(TIME, discard(socket)).await, Ok(Left::Closed)) {
        tracing::debug!(
            target: "followthrough",
            peer = %connection.peer(),
            "the peer goes on sending after its last answer, closing the connection"
        );
    }
}

enum Left {
    /// The peer has closed its side.
    Closed,
    /// The peer has sent too much.
    Flooded,
}

async fn discard(socket: &Socket) -> Left {
    let mut piece = vec![0; PIECE];
    let mut left = BYTES;
    while left > 0 {
        let read = poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut piece);
            socket.poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
        });
        match read.await {
            Ok(0) | Err(_) => return Left::Closed,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
    Left::Flooded
}

/// Reads what is there already: 0 bytes at the end of the stream, and `None` if nothing is.
async fn look(socket: &Socket, into: &mut [u8]) -> Option<usize> {
    poll_fn(|cx| {
        let mut buf = ReadBuf::new(into);
        Poll::Ready(match socket.poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => Some(buf.filled().len()),
            Poll::Ready(Err(_)) => Some(0),
            Poll::Pending => None,
        })
    })
    .await
}
