//! Notices that a run makes no progress.
//!
//! Invariants:
//!
//! 1. `pet` stores the time before it wakes the thread, because `barked` compares that time to discard a stale
//!    bark.
//! 2. The thread ends with the last clone, because its channel closes then.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Barks once when it was not petted for `timeout`. Its own thread measures real time, because a paused tokio
/// clock would skip to the timeout at once.
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
        // Invariant 2.
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

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Restarts the timeout, because the run makes progress.
    pub(super) fn pet(&self) {
        *self.petted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let _ = self.pets.send(());
    }

    fn is_calm(&self) -> bool {
        let petted = *self.petted.lock().unwrap_or_else(PoisonError::into_inner);
        petted.elapsed() < self.timeout
    }

    /// Waits for a bark.
    pub(super) async fn barked(&self) {
        self.bark.notified().await;
        // A bark may be stale, from a slow check during which no task waited (invariant 1).
        while self.is_calm() {
            self.bark.notified().await;
        }
    }
}
