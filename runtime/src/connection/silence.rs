//! Ends a connection whose peer sends nothing, or takes nothing, for too long.

use super::Connection;
use crate::{
    escaped::Escaped,
    repeated::Event,
    service::{ConnectionState, OpenConnection, SilenceLimits},
};

/// Checks `connection` against `limits`. The server calls this for each connection now and then.
pub(super) fn sweep(connection: &Connection, limits: &SilenceLimits) {
    check_silence(connection, limits);
    check_stall(connection, limits);
}

fn check_stall(connection: &Connection, limits: &SilenceLimits) {
    if connection.stall().look_at_streams(limits.write) {
        connection.wake();
    }
    let stalled = connection.stalled();
    if stalled >= limits.write {
        connection.end_stalled();
        let peer = connection.peer().to_string();
        connection.life().events.of(Event::Stalled).note(move |count| {
            tracing::debug!(
                target: "followthrough",
                peer = %Escaped(peer),
                count,
                "the peer took none of the waiting bytes for {stalled:.1?}, closing the connection"
            );
        });
    }
}

fn check_silence(connection: &Connection, limits: &SilenceLimits) {
    let (state, silent) = connection.unchanged();
    let (limit, what) = match state {
        ConnectionState::Head => (limits.head, "no whole request head came"),
        // An idle HTTP/2 peer gets a PING instead.
        ConnectionState::Idle if !connection.speaks_http2() => (limits.idle, "no request came"),
        _ => return,
    };
    if silent >= limit {
        connection.expire();
        let peer = connection.peer().to_string();
        connection.life().events.of(Event::Silent).note(move |count| {
            tracing::debug!(
                target: "followthrough",
                peer = %Escaped(peer),
                count,
                "{what} for {silent:.1?}, closing the connection"
            );
        });
    }
}
