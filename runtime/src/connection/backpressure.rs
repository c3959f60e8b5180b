//! Holds back the next frame of a streamed body while hyper has enough of its frames.
//!
//! hyper takes frames until its own buffer is full, and polls the body again when there is room. A body whose
//! reader stalls would not be polled then, and could not notice its deadline or a shutdown.
//!
//! Invariants:
//!
//! 1. The body of a stream is pending before hyper's buffer is full, so that every wake-up of the stream polls it:
//!    over HTTP/1 when its [`Batch`] is full, over HTTP/2 until hyper has dropped the last frame. Over HTTP/2, hyper
//!    takes a frame before it waits for the stream's window, so there may be only one.
//! 2. Over HTTP/2, [`HeldFrame`] is shared by the task of the stream and that of the connection, and keeps its own
//!    invariant.

use std::{any::Any, sync::Arc, task::Context};

use bytes::{Buf, Bytes};
use http_body::Frame;

use super::{batch::Batch, held_frame::HeldFrame, on_connection::OnConnection};

/// The backpressure of one response body.
#[derive(Debug, Default)]
pub(crate) struct Backpressure {
    /// Over HTTP/1: the frames since the last flush.
    batch: Batch,
    /// Over HTTP/2: the last frame.
    out: Option<Arc<HeldFrame>>,
}

impl Backpressure {
    /// Counts `frame` as given to hyper.
    pub(crate) fn pass<D: Buf + 'static>(
        &mut self,
        on: &OnConnection,
        frame: Frame<D>,
    ) -> Frame<D> {
        if !on.connection().speaks_http2() {
            let bytes = frame.data_ref().map_or(0, Buf::remaining);
            self.batch.add(on.connection().flushes().count(), bytes);
            return frame;
        }
        match frame.into_data() {
            Ok(data) => Frame::data(self.hold(data)),
            Err(trailers) => trailers,
        }
    }

    fn hold<D: 'static>(&mut self, mut data: D) -> D {
        if let Some(bytes) = (&mut data as &mut dyn Any).downcast_mut::<Bytes>() {
            let out = Arc::<HeldFrame>::default();
            let held = Held { bytes: std::mem::take(bytes), out: out.clone() };
            *bytes = Bytes::from_owner(held);
            self.out = Some(out);
        }
        data
    }

    /// Returns whether the next frame has to wait. If so, the body is polled again when it may pass.
    pub(crate) fn is_shut(&self, on: &OnConnection, cx: &Context<'_>) -> bool {
        if let Some(out) = &self.out {
            return out.is_held(cx);
        }
        let connection = on.connection();
        let shut = self.batch.is_full(connection.flushes().count(), connection.ahead());
        connection.flushes().body_waits(shut);
        shut
    }
}

/// The bytes of a frame, which release it when they are dropped.
struct Held {
    bytes: Bytes,
    out: Arc<HeldFrame>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.out.release();
    }
}
