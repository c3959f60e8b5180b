//! Notices that nothing happens any more.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use tokio::sync::Notify;

/// Barks once when nobody has petted it for a while. It has a thread of its own, because a paused clock
/// would run out at once: whatever the test waits for, time passes in the world.
#[derive(Clone)]
pub(super) struct Watchdog {
    pets: Sender<()>,
    bark: Arc<Notify>,
}

impl Watchdog {
    pub(super) fn new(patience: Duration) -> Self {
        let (pets, petted) = mpsc::channel();
        let bark = Arc::new(Notify::new());
        let barks = bark.clone();
        // It ends with the last clone.
        thread::spawn(move || {
            while petted.recv().is_ok() {
                loop {
                    match petted.recv_timeout(patience) {
                        Ok(()) => {}
                        Err(RecvTimeoutError::Timeout) => {
                            barks.notify_one();
                            break;
                        }
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            }
        });
        Self { pets, bark }
    }

    /// Something has happened, or is about to: the patience begins anew.
    pub(super) fn pet(&self) {
        let _ = self.pets.send(());
    }

    /// Resolves when it has barked.
    pub(super) async fn barked(&self) {
        self.bark.notified().await;
    }
}
