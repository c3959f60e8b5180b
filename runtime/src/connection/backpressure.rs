//! Holds back the next frame of a response body until the connection has taken the one before.
//!
//! hyper would take frames until its own buffers are full. Over HTTP/1 a frame is taken when hyper has flushed.
//! Over HTTP/2 a frame may wait for its stream's window long after a flush, so there it is taken when it is
//! dropped.
//!
//! Invariants:
//!
//! 1. Over HTTP/1, one task flushes and polls the body. So [`Flushes`] is not written between a check and the
//!    registration of a waker. Over HTTP/2, [`HeadWait`] registers its waker before it wakes the connection, so the
//!    flush of the poll that this wake causes finds the waker.
//! 2. Over HTTP/2, [`HeldFrame`] is shared by the task of the stream and that of the connection, and keeps its own
//!    invariant.

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
use crate::service::{OpenConnection, lock};

/// The backpressure of one response body.
#[derive(Debug, Default)]
pub(crate) struct Backpressure {
    /// Over HTTP/1: the number of flushes before the last frame.
    flushed: Option<usize>,
    /// Over HTTP/2: the last frame.
    out: Option<Arc<HeldFrame>>,
}

impl Backpressure {
    /// Lets `frame` pass, and holds back the next one until the connection has taken it.
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

    /// Returns whether the next frame has to wait. If so, wakes `cx` when it may pass.
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

/// The number of completed flushes of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    count: AtomicUsize,
    waiters: Mutex<Vec<Waker>>,
    /// Whether there are waiters, so that a flush without them takes no lock.
    is_awaited: AtomicBool,
}

impl Flushes {
    pub(crate) fn note(&self) {
        self.count.store(self.count.load(Relaxed).wrapping_add(1), Relaxed);
        if self.is_awaited.load(Relaxed) {
            let waiters = {
                let mut waiters = lock(&self.waiters);
                self.is_awaited.store(false, Relaxed);
                std::mem::take(&mut *waiters)
            };
            waiters.into_iter().for_each(Waker::wake);
        }
    }

    fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Wakes `cx` at the next flush.
    fn wake(&self, cx: &Context<'_>) {
        let mut waiters = lock(&self.waiters);
        if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
        self.is_awaited.store(true, Relaxed);
    }
}

/// Waits until the head of an HTTP/2 response has gone to the socket: a stream that is reset before loses it.
#[derive(Debug, Default)]
pub(crate) struct HeadWait {
    /// The number of flushes when the wait began.
    from: Option<usize>,
    /// The number of flushes when the connection was last woken to flush.
    woken_at: Option<usize>,
}

impl HeadWait {
    /// Returns whether the head may still be on its way. If so, wakes `cx` at the next flush. The head was queued
    /// before the wait began. The first flush may have begun before that; the second one has the head.
    pub(crate) fn is_pending(&mut self, on: &OnConnection, cx: &Context<'_>) -> bool {
        let connection = on.connection();
        if !connection.speaks_http2() {
            return false;
        }
        connection.flushes().wake(cx);
        let now = connection.flushes().count();
        let pending = now.wrapping_sub(*self.from.get_or_insert(now)) < 2;
        if pending && self.woken_at.replace(now) != Some(now) {
            connection.wake();
        }
        pending
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
