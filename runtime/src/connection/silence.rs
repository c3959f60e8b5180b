//! Ends a connection whose peer says nothing, or takes nothing, for too long.

use super::Connection;
use crate::service::{ConnectionState, OpenConnection, SilenceLimits};

/// Looks at `connection`, as the server does for each of them now and then.
pub(super) fn sweep(connection: &Connection, limits: &SilenceLimits) {
    look(connection, limits);
    look_for_stall(connection, limits);
}

fn look_for_stall(connection: &Connection, limits: &SilenceLimits) {
    if connection.stall().look_at_streams(limits.write) {
        connection.wake();
    }
    let stalled = connection.stalled();
    if stalled >= limits.write {
        connection.end_stalled();
        tracing::debug!(
            target: "followthrough",
            peer = %connection.peer(),
            "the peer took nothing of what waits for it for {stalled:.1?}, closing the connection"
        );
    }
}

fn look(connection: &Connection, limits: &SilenceLimits) {
    let (state, silent) = connection.unchanged();
    let (limit, what) = match state {
        ConnectionState::Head => (limits.head, "no whole request head came"),
        // An HTTP/2 peer is asked for a sign of life instead.
        ConnectionState::Idle if !connection.speaks_http2() => (limits.idle, "no request came"),
        _ => return,
    };
    if silent >= limit {
        connection.expire();
        tracing::debug!(
            target: "followthrough",
            peer = %connection.peer(),
            "{what} for {silent:.1?}, closing the connection"
        );
    }
}
