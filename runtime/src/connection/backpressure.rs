//! Lets a stream's next frame out when its connection has taken the one before.
//!
//! hyper would take what there is until its own buffers are full. Over HTTP/1 the sign is that
//! hyper has flushed. Over HTTP/2 a frame may wait for its stream's window long after that, so
//! there the frame itself says when it is let go of.

use std::{
    any::Any,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Waker},
};

use bytes::Bytes;
use http_body::Frame;

use super::{held_frame::HeldFrame, on_connection::OnConnection};
use crate::service::lock;

/// The gate of one stream.
#[derive(Debug, Default)]
pub(crate) struct Backpressure {
    /// Over HTTP/1: the flush before the last frame that was let out.
    flushed: Option<usize>,
    /// Over HTTP/2: the last frame that was let out.
    out: Option<Arc<HeldFrame>>,
}

impl Backpressure {
    /// Lets `frame` out.
    pub(crate) fn pass<D: 'static>(&mut self, on: &OnConnection, frame: Frame<D>) -> Frame<D> {
        if !on.connection().speaks_http2() {
            self.flushed = Some(on.connection().flushes().count());
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

    /// Whether the next one has to wait; `cx` is woken when it need not any more.
    pub(crate) fn is_shut(&self, on: &OnConnection, cx: &Context<'_>) -> bool {
        if let Some(out) = &self.out {
            return out.is_held(cx);
        }
        let flushes = on.connection().flushes();
        let shut = self.flushed == Some(flushes.count());
        if shut {
            flushes.wake(cx);
        }
        shut
    }
}

/// The flushes of a connection that went through. Over HTTP/1, where they matter, the task that
/// flushes is the one that asks.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    count: AtomicUsize,
    waits: Mutex<Option<Waker>>,
    waiting: AtomicBool,
}

impl Flushes {
    pub(crate) fn note(&self) {
        self.count.store(self.count.load(Relaxed).wrapping_add(1), Relaxed);
        if self.waiting.load(Relaxed) {
            self.waiting.store(false, Relaxed);
            let waits = lock(&self.waits).take();
            waits.into_iter().for_each(Waker::wake);
        }
    }

    fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Wakes `cx` at the next one.
    fn wake(&self, cx: &Context<'_>) {
        *lock(&self.waits) = Some(cx.waker().clone());
        self.waiting.store(true, Relaxed);
    }
}

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
        self.out.abandon_all();
    }
}
