//! Holds back the next frame of a streamed body while hyper has enough of its frames.
//!
//! hyper takes frames until its own buffer is full, and polls the body again when there is room. A body whose
//! reader stalls would not be polled then, and could not notice its deadline or a shutdown.
//!
//! Invariants:
//!
//! 1. Over HTTP/1, a streamed body is pending when its [`Batch`] is full, and hyper's buffer is not full then,
//!    because a longer frame is cut to the room in the batch. So every wake-up of the connection polls the body.
//! 2. Over HTTP/2, a streamed body is pending while hyper holds [`AHEAD`]. hyper may also wait for the stream's
//!    window and not poll the body; [`BodyEnd`](super::BodyEnd) is for that wait.
//! 3. Over HTTP/2, [`HeldBytes`] is shared by the task of the stream and that of the connection, and keeps its own
//!    invariant.

use std::{any::Any, sync::Arc, task::Context};

use bytes::{Buf, Bytes};
use http_body::Frame;

use super::{
    batch::Batch, held_bytes::HeldBytes, on_connection::OnConnection, pieces::PIECE, stall,
};

/// The number of bytes of one HTTP/2 stream that hyper may hold. A connection may have 200 streams.
const AHEAD: usize = 128 << 10;
/// The smallest count of a frame: a small frame takes more memory than its bytes.
const LEAST: usize = 8 << 10;

/// The backpressure of one response body.
#[derive(Debug, Default)]
pub(crate) struct Backpressure {
    /// Over HTTP/1: the frames since the last flush.
    batch: Batch,
    /// Over HTTP/2: the frames that hyper holds.
    held: Option<Arc<HeldBytes>>,
    /// Over HTTP/2: the count of the last frame. The next frame is assumed to count the same.
    last: usize,
    /// Over HTTP/2: the bytes that hyper held when the handler last had no frame.
    held_before: usize,
}

impl Backpressure {
    /// Counts `frame` as given to hyper.
    pub(crate) fn pass<D: Buf + 'static>(&mut self, on: &OnConnection, frame: &mut Frame<D>) {
        let Some(data) = frame.data_mut() else { return };
        if !on.connection().speaks_http2() {
            // hyper discards an empty frame, and no flush would follow it.
            if data.has_remaining() {
                self.batch.add(on.connection().flushes().count(), data.remaining());
            }
        } else if let Some(data) = (data as &mut dyn Any).downcast_mut::<Bytes>() {
            self.last = data.len().max(LEAST);
            let held = self.held.get_or_insert_default();
            held.add(self.last);
            let (bytes, counts) = (std::mem::take(data), self.last);
            *data = Bytes::from_owner(Held { bytes, counts, total: held.clone() });
        }
    }

    /// Returns the length of the longest piece of a frame that hyper gets at once.
    pub(crate) fn longest_piece(&self, on: &OnConnection) -> usize {
        let connection = on.connection();
        if connection.speaks_http2() {
            return PIECE;
        }
        self.batch.room(connection.flushes().count(), connection.ahead)
    }

    /// Notes that the handler has no frame. Over HTTP/2, the wait for the peer goes on while hyper holds frames, and
    /// begins anew when the peer has taken one.
    pub(crate) fn has_no_frame(&mut self) {
        let held = self.held.as_ref().map_or(0, |held| held.bytes());
        if held > 0 && held < self.held_before {
            stall::body_gave();
        } else if held > 0 {
            stall::body_holds_back();
        }
        self.held_before = held;
    }

    /// Returns whether the next frame has to wait. If so, the body is polled again when it may pass.
    pub(crate) fn is_shut(&self, on: &OnConnection, cx: &Context<'_>) -> bool {
        if let Some(held) = &self.held {
            return held.exceed(AHEAD.saturating_sub(self.last), cx);
        }
        let connection = on.connection();
        let shut = self.batch.is_full(connection.flushes().count(), connection.ahead);
        connection.flushes().body_waits(shut);
        shut
    }
}

/// The bytes of a frame, which release it when they are dropped.
struct Held {
    bytes: Bytes,
    counts: usize,
    total: Arc<HeldBytes>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.release(self.counts);
    }
}
