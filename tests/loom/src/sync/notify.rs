//! `tokio::sync::Notify` with `notify_waiters` alone: the call ends each wait that was created
//! before, polled or not.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use loom::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};
use slab::Slab;

#[derive(Debug)]
pub(crate) struct Notify {
    calls: AtomicUsize,
    waits: Mutex<Slab<Waker>>,
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self { calls: AtomicUsize::new(0), waits: Mutex::new(Slab::new()) }
    }

    pub(crate) fn notify_waiters(&self) {
        self.calls.fetch_add(1, Ordering::AcqRel);
        let wakers: Vec<_> =
            self.waits.lock().unwrap().iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, calls: self.calls.load(Ordering::Acquire), key: None }
    }

    /// Returns how many waits are registered.
    pub(crate) fn registered(&self) -> usize {
        self.waits.lock().unwrap().len()
    }
}

#[derive(Debug)]
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    calls: usize,
    key: Option<usize>,
}

impl Notified<'_> {
    /// Does nothing, because a wait counts from its creation.
    #[expect(clippy::unused_self, reason = "as tokio has it")]
    pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
        false
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        {
            let mut waits = this.notify.waits.lock().unwrap();
            match this.key {
                Some(key) => waits[key].clone_from(cx.waker()),
                None => this.key = Some(waits.insert(cx.waker().clone())),
            }
        }
        let called = this.notify.calls.load(Ordering::Acquire) != this.calls;
        if called { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        // A failing model unwinds outside of loom, where one of its locks would abort.
        if std::thread::panicking() {
            return;
        }
        if let Some(key) = self.key {
            let waker = self.notify.waits.lock().unwrap().remove(key);
            drop(waker);
        }
    }
}
