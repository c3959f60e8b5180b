//! Closes the connections of peers that say nothing, or take nothing, for too long.
//!
//! One task looks at all of them now and then, so that no request pays for a timer.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{connection::Connection, cut::ConnectionState, settings::Settings};
use crate::lifecycle::Life;

/// Sweeps until it is dropped.
pub(super) struct Sweeping(JoinHandle<()>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to sweep the connections of `life`.
pub(super) fn sweep(life: &Arc<Life>, settings: Settings) -> Sweeping {
    let life = Arc::downgrade(life);
    let shortest =
        settings.header_read_timeout.min(settings.idle_timeout).min(settings.write_timeout);
    let every = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    Sweeping(tokio::spawn(async move {
        while let Some(connections) = Weak::upgrade(&life).map(|life| life.connections.all()) {
            for connection in connections {
                look(&connection, settings);
                look_for_stall(&connection, settings);
            }
            tokio::time::sleep(every).await;
        }
    }))
}

fn look_for_stall(connection: &Connection, settings: Settings) {
    if connection.stall().look_at_streams(settings.write_timeout) {
        connection.wake();
    }
    let stalled = connection.stalled();
    if stalled >= settings.write_timeout {
        connection.end_stalled();
        tracing::debug!(
            target: "followthrough",
            peer = %connection.peer(),
            "the peer took nothing of what waits for it for {stalled:.1?}, closing the connection"
        );
    }
}

fn look(connection: &Connection, settings: Settings) {
    let (state, silent) = connection.unchanged();
    let (limit, what) = match state {
        ConnectionState::Head => (settings.header_read_timeout, "no whole request head came"),
        // An HTTP/2 peer is asked for a sign of life instead.
        ConnectionState::Idle if !connection.speaks_http2() => {
            (settings.idle_timeout, "no request came")
        }
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
