//! Lets a stream's next frame out when its connection has taken the one before.
//!
//! hyper would take what there is until its own buffers are full. Over HTTP/1 the sign is that
//! hyper has flushed. Over HTTP/2, where each stream's flow control holds back most of it, the
//! sign is that no write waits.

use std::task::Context;

use super::connection::OnConnection;

/// The gate of one stream.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The flush before the last frame that was let out.
    passed: Option<usize>,
}

impl Gate {
    /// A frame goes out.
    pub(crate) fn pass(&mut self, on: &OnConnection) {
        self.passed = Some(on.connection().flushes());
    }

    /// Whether the next one has to wait; `cx` is woken when it need not any more.
    pub(crate) fn is_shut(&self, on: &OnConnection, cx: &Context<'_>) -> bool {
        let connection = on.connection();
        if connection.speaks_http2() {
            return connection.hold_while(|| connection.is_blocked(), cx);
        }
        connection.hold_while(|| self.passed == Some(connection.flushes()), cx)
    }
}
