//! The background workers of a service, and whether they have been told to stop.
//!
//! Invariants:
//!
//! 1. A worker is told to stop at the latest with everybody: it enters before that and is told
//!    with the others, or enters after and is told at once. `stopped` is under the same lock.
//! 2. One that asks to be told first says so under the lock before it looks at the phase; a drain
//!    publishes its phase before it takes the lock. So one of the two tells it.
//! 3. A worker goes before the drain is told, so the drain hears of the last one.

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
    /// Everybody has been told to stop, and so is whoever comes now.
    stopped: bool,
}

#[derive(Debug)]
struct Entry {
    name: String,
    since: Instant,
    stop: CancellationToken,
    first: bool,
}

impl Workers {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker begins that `stop` tells to stop; pass what this gives to [`leave`](Self::leave).
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

    /// It is told with the signal; whoever says so looks at the phase afterwards.
    pub(crate) fn put_first(&self, key: usize) {
        if let Some(entry) = self.lock().running.get_mut(key) {
            entry.first = true;
        }
    }

    pub(crate) fn note_failed(&self, failed: FailedWorker) {
        self.lock().failed.push(failed);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().running.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().running.iter().map(|(_, entry)| entry.name.clone()).collect()
    }

    pub(crate) fn failed(&self) -> Vec<FailedWorker> {
        self.lock().failed.clone()
    }

    /// Whether all workers have been told to stop.
    pub(crate) fn are_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Tells the workers to stop: with the signal those that asked for it, later everybody.
    pub(crate) fn stop(&self, only_first: bool) {
        let tokens: Vec<_> = {
            let mut state = self.lock();
            state.stopped |= !only_first;
            let chosen = state.running.iter().filter(|(_, entry)| entry.first || !only_first);
            chosen.map(|(_, entry)| entry.stop.clone()).collect()
        };
        tokens.iter().for_each(CancellationToken::cancel);
    }

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
