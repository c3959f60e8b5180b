//! The frames of one HTTP/2 response that the HTTP implementation holds, and the task that waits for their release.
//!
//! Invariant: the task stores its waker before it reads `bytes` for the last time, and [`HeldBytes::release`]
//! lowers `bytes` before it takes the waker. So either the task sees the release, or the release wakes it.

use std::task::{Context, Waker};

use crate::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// The number of bytes that the HTTP implementation holds, and the waker of the task that waits for their release.
#[derive(Debug, Default)]
pub(crate) struct HeldBytes {
    bytes: AtomicUsize,
    waiter: Mutex<Option<Waker>>,
}

impl HeldBytes {
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns whether more than `most` bytes are held. If so, wakes `cx` at the next release.
    pub(crate) fn exceed(&self, most: usize, cx: &Context<'_>) -> bool {
        if self.bytes.load(Ordering::Acquire) <= most {
            return false;
        }
        self.exchange(Some(cx.waker().clone()));
        self.bytes.load(Ordering::Acquire) > most
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Release);
        let waiter = self.exchange(None);
        waiter.into_iter().for_each(Waker::wake);
    }

    fn exchange(&self, waker: Option<Waker>) -> Option<Waker> {
        // No code panics while it holds the lock.
        let mut waiter = self.waiter.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *waiter, waker)
    }
}
