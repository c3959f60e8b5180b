//! Notices that a peer leaves while hyper is not reading.
//!
//! Over HTTP/1, with a pipelined request buffered or part of the request's body unread, hyper
//! reads nothing and so never sees the end or the reset of the stream. The readiness of the socket
//! shows them. On Linux a priority event reports a closed peer but not waiting data, so the task is never woken in
//! vain; elsewhere the readiness is checked every 50 ms.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{Interest, Ready},
    time::sleep,
};

use super::{open::Connection, socket::Socket};

/// How often the readiness is checked where no event reports a closed peer.
const TICK: Duration = Duration::from_millis(50);

/// Waits until the peer of `connection` has left. A peer leaves by a reset and, unless `half_close` is set, by
/// closing its side of the stream.
pub(crate) async fn peer_left(connection: Arc<Connection>, half_close: bool) {
    let socket = connection.socket();
    // No event distinguishes a Unix socket whose peer has closed both halves from one that closed one.
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
    // An error means that the runtime shuts down, which drops this connection, too.
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

/// The interest that reports a closed peer, and where possible no waiting data.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PRIORITY: Interest = Interest::PRIORITY;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PRIORITY: Interest = Interest::READABLE;
