//! Sees a peer leave while hyper is not reading.
//!
//! Over HTTP/1, with a pipelined request buffered or part of the request's body unread, hyper
//! reads nothing and so never sees the end or the reset of the stream. The socket's readiness
//! tells all the same: on Linux an event says that the peer closed and none says that data
//! waits, so nothing wakes up in vain; elsewhere a look every 50 ms does.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{Interest, Ready},
    time::sleep,
};

use super::{open::Connection, socket::Socket};

/// How often to look where no event tells.
const TICK: Duration = Duration::from_millis(50);

/// Resolves when the peer of `connection` has left: with its end of the stream, or, where a
/// half-closed connection is none that was left, with a reset.
pub(crate) async fn peer_left(connection: Arc<Connection>, half_close: bool) {
    let socket = connection.socket();
    // No event tells a Unix socket whose peer has closed both halves from one that closed one.
    let event = cfg!(any(target_os = "linux", target_os = "android"))
        && (!half_close || matches!(socket, Socket::Tcp(_)));
    if event {
        by_event(socket, half_close).await;
    } else {
        by_look(socket, half_close).await;
    }
}

fn has_left(ready: Ready, half_close: bool) -> bool {
    if half_close { is_error(ready) || ready.is_write_closed() } else { ready.is_read_closed() }
}

async fn by_event(socket: &Socket, half_close: bool) {
    let interest = if half_close { ERROR } else { PRIORITY };
    // An error is that of a runtime that is going away, and this connection with it.
    while let Ok(ready) = socket.ready(interest).await {
        if has_left(ready, half_close) {
            return;
        }
        socket.forget(interest);
    }
}

async fn by_look(socket: &Socket, half_close: bool) {
    let interest = if half_close { Interest::WRITABLE } else { Interest::READABLE };
    loop {
        let look = tokio::time::timeout(Duration::ZERO, socket.ready(interest)).await;
        match look {
            Ok(Ok(ready)) if has_left(ready, half_close) => return,
            Ok(Err(_)) => return,
            Ok(Ok(_)) | Err(_) => sleep(TICK).await,
        }
    }
}

#[cfg(unix)]
const ERROR: Interest = Interest::ERROR;
#[cfg(not(unix))]
const ERROR: Interest = Interest::WRITABLE;

#[cfg(unix)]
fn is_error(ready: Ready) -> bool {
    ready.is_error()
}
#[cfg(not(unix))]
fn is_error(_: Ready) -> bool {
    false
}

/// Of the interests that hear of a closed peer, the one that does not hear of data.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PRIORITY: Interest = Interest::PRIORITY;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PRIORITY: Interest = Interest::READABLE;
