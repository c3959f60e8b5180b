//! Notices that nothing happens any more.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Barks once when nobody has petted it for a while. It has a thread of its own, because a paused clock
/// would run out at once: whatever the test waits for, time passes in the world.
#[derive(Clone)]
pub(super) struct Watchdog {
    pets: Sender<()>,
    bark: Arc<Notify>,
    petted: Arc<Mutex<Instant>>,
    timeout: Duration,
}

impl Watchdog {
    pub(super) fn new(timeout: Duration) -> Self {
        let (pets, petted) = mpsc::channel();
        let bark = Arc::new(Notify::new());
        let barks = bark.clone();
        // It ends with the last clone.
        thread::spawn(move || {
            while petted.recv().is_ok() {
                loop {
                    match petted.recv_timeout(timeout) {
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
        Self { pets, bark, petted: Arc::new(Mutex::new(Instant::now())), timeout }
    }

    /// Something has happened, or is about to: the timeout begins anew.
    pub(super) fn pet(&self) {
        *self.petted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let _ = self.pets.send(());
    }

    fn is_calm(&self) -> bool {
        let petted = *self.petted.lock().unwrap_or_else(PoisonError::into_inner);
        petted.elapsed() < self.timeout
    }

    /// Resolves when it has barked.
    pub(super) async fn barked(&self) {
        self.bark.notified().await;
        // It may have barked while nobody listened, at a check that took its time, say.
        while self.is_calm() {
            self.bark.notified().await;
        }
    }
}
