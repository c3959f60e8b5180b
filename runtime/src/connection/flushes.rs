//! Counts the flushes of a connection, and tells the bodies that wait for one.
//!
//! Invariants:
//!
//! 1. Over HTTP/1, one task flushes and polls the body. So the count does not change between a check of the body
//!    and [`body_waits`](Flushes::body_waits). The driver polls hyper again in the same turn after a flush
//!    that a body waits for, because a wake-up through the scheduler would wake an idle thread. The driver does so even if
//!    the body has ended meanwhile, because hyper may not look for the next request in the poll that ended it.
//! 2. Over HTTP/2, [`HeadWait`] registers its waker before it wakes the connection, so the flush of the poll that
//!    this wake causes finds the waker.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Waker},
};

use super::on_connection::OnConnection;
use crate::service::{OpenConnection, lock};

/// The number of completed flushes of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    count: AtomicUsize,
    /// Over HTTP/1: whether the body waits for a flush.
    body_waits: AtomicBool,
    /// Over HTTP/1: whether the flush that the body waited for is done.
    body_is_due: AtomicBool,
    waiters: Mutex<Vec<Waker>>,
    /// Whether there are waiters, so that a flush without them takes no lock.
    is_awaited: AtomicBool,
}

impl Flushes {
    pub(super) fn note(&self) {
        self.count.store(self.count.load(Relaxed).wrapping_add(1), Relaxed);
        if self.body_waits.load(Relaxed) {
            self.body_waits.store(false, Relaxed);
            self.body_is_due.store(true, Relaxed);
        }
        if self.is_awaited.load(Relaxed) {
            let waiters = {
                let mut waiters = lock(&self.waiters);
                self.is_awaited.store(false, Relaxed);
                std::mem::take(&mut *waiters)
            };
            waiters.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Notes, at a poll of an HTTP/1 body, whether it waits for a flush.
    pub(super) fn body_waits(&self, waits: bool) {
        self.body_waits.store(waits, Relaxed);
    }

    /// Returns, once for each flush that a body waited for, whether hyper has to be polled again.
    pub(crate) fn take_due(&self) -> bool {
        let due = self.body_is_due.load(Relaxed);
        if due {
            self.body_is_due.store(false, Relaxed);
        }
        due
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
