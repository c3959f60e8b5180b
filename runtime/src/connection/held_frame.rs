//! A frame that the HTTP implementation holds, and who waits until it lets go.
//!
//! Invariant: whoever waits leaves its waker before its last look, and whoever lets go says so
//! before it takes the waker. One of the two sees the other, so nobody sleeps on.

use std::task::{Context, Waker};

use crate::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Whether a frame is still held by the HTTP implementation, and who waits for that.
#[derive(Debug, Default)]
pub(crate) struct HeldFrame {
    gone: AtomicBool,
    waits: Mutex<Option<Waker>>,
}

impl HeldFrame {
    /// Whether it is; `cx` is woken when it is not any more.
    pub(crate) fn is_held(&self, cx: &Context<'_>) -> bool {
        if self.gone.load(Ordering::Acquire) {
            return false;
        }
        self.exchange(Some(cx.waker().clone()));
        !self.gone.load(Ordering::Acquire)
    }

    pub(crate) fn abandon_all(&self) {
        self.gone.store(true, Ordering::Release);
        let waits = self.exchange(None);
        waits.into_iter().for_each(Waker::wake);
    }

    fn exchange(&self, waker: Option<Waker>) -> Option<Waker> {
        // Nothing panics while it is held.
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *waits, waker)
    }
}
