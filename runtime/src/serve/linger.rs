//! Reads and discards bytes after the last response (lingering close).
//!
//! Closing a socket with unread bytes resets it, and so do bytes that arrive after the close. A reset may overtake
//! the response, or discard it at a peer that has not read it yet (RFC 9112, section 9.6). So further bytes are
//! read and discarded until the peer closes its side.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tokio::{io::ReadBuf, time::timeout};

use crate::{
    connection::{Connection, Socket},
    escaped::Escaped,
    repeated::Event,
};

/// The time that a peer has to read the response and to stop sending: several round trips of a slow link. A proxy
/// needs a few milliseconds, a browser less than a second.
const TIME: Duration = Duration::from_secs(2);
/// The largest number of bytes that are read. At 10 Gbit/s over 50 ms this many bytes are in flight, so a peer
/// that reads has seen the response by then. A peer that does not read has to be stopped.
const BYTES: usize = 64 << 20;
/// The size of one read.
const PIECE: usize = 16 << 10;

/// Waits until the peer of `connection` has closed its side, if it may have more to send. hyper must have dropped
/// the stream.
pub(super) async fn linger(connection: &Arc<Connection>) {
    let socket = connection.socket();
    // A peer that has closed, or that had nothing more to send, needs no linger.
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
        let peer = connection.peer().to_string();
        connection.life().events.of(Event::Lingered).note(move |count| {
            tracing::debug!(
                target: "followthrough",
                peer = %Escaped(peer),
                count,
                "the peer kept sending after its last response; closing the connection"
            );
        });
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

/// Reads without waiting. Returns 0 at the end of the stream or after an error, and `None` if no bytes are there.
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
