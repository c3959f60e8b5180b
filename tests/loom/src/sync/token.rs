//! `tokio_util::sync::CancellationToken` without parents: a cancelled token stays cancelled, and
//! each wait on it ends.

use loom::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::Notify;

#[derive(Clone, Debug)]
pub(crate) struct CancellationToken(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cancelled: AtomicBool,
    notify: Notify,
}

impl CancellationToken {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared { cancelled: AtomicBool::new(false), notify: Notify::new() }))
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        self.0.notify.notify_waiters();
    }

    pub(crate) async fn cancelled(&self) {
        loop {
            let notified = self.0.notify.notified();
            if self.is_cancelled() {
                return;
            }
            notified.await;
        }
    }

    /// Returns how many waits are registered.
    pub(crate) fn registered(&self) -> usize {
        self.0.notify.registered()
    }
}
