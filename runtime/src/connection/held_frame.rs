//! A frame that the HTTP implementation holds, and the task that waits for its release.
//!
//! Invariant: the task stores its waker before it reads `released` for the last time, and [`HeldFrame::release`]
//! sets `released` before it takes the waker. So either the task sees the release, or the release wakes it.

use std::task::{Context, Waker};

use crate::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Whether a frame is still held by the HTTP implementation, and the waker of the task that waits for it.
#[derive(Debug, Default)]
pub(crate) struct HeldFrame {
    released: AtomicBool,
    waiter: Mutex<Option<Waker>>,
}

impl HeldFrame {
    /// Returns whether the frame is held. If so, wakes `cx` when it is released.
    pub(crate) fn is_held(&self, cx: &Context<'_>) -> bool {
        if self.released.load(Ordering::Acquire) {
            return false;
        }
        self.exchange(Some(cx.waker().clone()));
        !self.released.load(Ordering::Acquire)
    }

    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::Release);
        let waiter = self.exchange(None);
        waiter.into_iter().for_each(Waker::wake);
    }

    fn exchange(&self, waker: Option<Waker>) -> Option<Waker> {
        // No code panics while it holds the lock.
        let mut waiter = self.waiter.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *waiter, waker)
    }
}
