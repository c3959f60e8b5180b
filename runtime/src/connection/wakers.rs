//! The wakers of a connection's tasks.
//!
//! Invariant: a task leaves its waker before it looks at what it could be woken for, and whoever
//! wakes publishes first. So a task either sees what was published, or is woken.

use std::task::{Context, Waker};

use slab::Slab;

use crate::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Wakers(Mutex<Slab<Waker>>);

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, Slab<Waker>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the waker of a task; pass what this gives to [`leave`](Self::leave).
    pub(crate) fn enter(&self, cx: &Context<'_>) -> usize {
        self.lock().insert(cx.waker().clone())
    }

    pub(crate) fn leave(&self, key: usize) {
        // Dropped outside the lock: the last waker of a task drops the task.
        let waker = self.lock().try_remove(key);
        drop(waker);
    }

    pub(crate) fn wake(&self) {
        // Outside the lock: a waker may run a destructor that comes back here.
        let wakers: Vec<_> = self.lock().iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}
