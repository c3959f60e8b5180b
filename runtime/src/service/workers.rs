//! The background workers of a service, and whether they have been told to stop.
//!
//! Invariants:
//!
//! 1. Every worker is told to stop, because `stopped` is under the lock of the list: a worker that enters before
//!    `stop` is told by it, and a worker that enters later is told by `enter`.
//! 2. A worker that asks to be told with the signal sets `first` under the lock before it reads the phase. A drain
//!    publishes its phase before it takes the lock. So the worker or the drain fires its token.
//! 3. A worker leaves the list before it notifies the drain, so the drain learns of the last one.

use slab::Slab;
use tokio::time::Instant;

use super::{
    failed_worker::FailedWorker,
    work::{InFlightWork, WorkKind},
};
use crate::sync::{CancellationToken, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Workers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    running: Slab<Entry>,
    failed: Vec<FailedWorker>,
    restarts: u64,
    /// Whether all workers have been told to stop. A worker that enters now is told at once.
    stopped: bool,
}

#[derive(Debug)]
struct Entry {
    name: String,
    since: Instant,
    stop: CancellationToken,
    /// Whether the worker is told with the signal, before the others.
    first: bool,
}

impl Workers {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a worker, which `stop` tells to stop. Returns the key for [`leave`](Self::leave).
    pub(crate) fn enter(&self, name: String, stop: CancellationToken) -> usize {
        let mut state = self.lock();
        let late = state.stopped.then(|| stop.clone());
        let key = state.running.insert(Entry { name, since: Instant::now(), stop, first: false });
        drop(state);
        late.iter().for_each(CancellationToken::cancel);
        key
    }

    pub(crate) fn leave(&self, key: usize) {
        let gone = self.lock().running.try_remove(key);
        drop(gone);
    }

    /// Has the worker told to stop with the signal. The caller reads the phase afterwards.
    pub(crate) fn stop_first(&self, key: usize) {
        if let Some(entry) = self.lock().running.get_mut(key) {
            entry.first = true;
        }
    }

    pub(crate) fn note_failed(&self, failed: FailedWorker) {
        self.lock().failed.push(failed);
    }

    /// Counts a worker that is started again.
    pub(crate) fn note_restart(&self) {
        self.lock().restarts += 1;
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.lock().restarts
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().running.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().running.len()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().running.iter().map(|(_, entry)| entry.name.clone()).collect()
    }

    pub(crate) fn failed(&self) -> Vec<FailedWorker> {
        self.lock().failed.clone()
    }

    /// Returns whether all workers have been told to stop.
    pub(crate) fn are_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Tells the workers to stop: all of them, or with the signal those that asked to be told first.
    pub(crate) fn stop(&self, only_first: bool) {
        let tokens: Vec<_> = {
            let mut state = self.lock();
            state.stopped |= !only_first;
            let chosen = state.running.iter().filter(|(_, entry)| entry.first || !only_first);
            chosen.map(|(_, entry)| entry.stop.clone()).collect()
        };
        tokens.iter().for_each(CancellationToken::cancel);
    }

    /// Returns the workers that are still running.
    pub(crate) fn left(&self) -> Vec<InFlightWork> {
        let now = Instant::now();
        let describe = |entry: &Entry| InFlightWork {
            handler: entry.name.clone(),
            kind: WorkKind::Worker,
            location: String::new(),
            age: now.saturating_duration_since(entry.since),
            detached: false,
        };
        self.lock().running.iter().map(|(_, entry)| describe(entry)).collect()
    }
}
