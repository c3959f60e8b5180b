//! `tokio::sync::watch`: a change wakes each receiver, and later reads see it.

use loom::sync::{Arc, Mutex};

use super::Notify;

#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Shared { value: Mutex::new(value), changed: Notify::new() }))
    }

    pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = modify(&mut self.0.value.lock().unwrap());
        if modified {
            self.0.changed.notify_waiters();
        }
        modified
    }

    pub(crate) fn subscribe(&self) -> Receiver<T> {
        Receiver(self.0.clone())
    }
}

impl<T> Receiver<T> {
    /// Returns no error, because the sender outlives the receiver.
    pub(crate) async fn wait_for(&mut self, done: impl Fn(&T) -> bool) -> Result<(), ()> {
        loop {
            let changed = self.0.changed.notified();
            if done(&self.0.value.lock().unwrap()) {
                return Ok(());
            }
            changed.await;
        }
    }
}
