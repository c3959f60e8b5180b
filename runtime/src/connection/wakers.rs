//! The wakers of a connection's tasks.
//!
//! Invariant: a task enters its waker before it reads the state that it waits for, and a caller of
//! [`wake`](Wakers::wake) publishes the state before it wakes. So a task either reads the new state, or is woken.

use std::task::{Context, Waker};

use slab::Slab;

use crate::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Wakers(Mutex<Slab<Waker>>);

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, Slab<Waker>> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the waker of a task. Returns the key for [`leave`](Self::leave).
    pub(crate) fn enter(&self, cx: &Context<'_>) -> usize {
        self.lock().insert(cx.waker().clone())
    }

    pub(crate) fn leave(&self, key: usize) {
        // Dropped outside the lock, because the last waker of a task drops the task.
        let waker = self.lock().try_remove(key);
        drop(waker);
    }

    pub(crate) fn wake(&self) {
        // Woken outside the lock, because a waker may run a destructor that comes back here.
        let wakers: Vec<_> = self.lock().iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}
