//! Background workers: named, told to stop after the requests have drained, and never gone
//! unnoticed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use slab::Slab;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Life, Phase,
    in_flight::{Work, WorkKind},
};
use crate::{runner::panic_message, token::ShutdownToken};

#[derive(Debug, Default)]
pub(super) struct Workers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    running: Slab<Entry>,
    failed: Vec<String>,
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

    fn enter(&self, entry: Entry) -> usize {
        let mut state = self.lock();
        let late = state.stopped.then(|| entry.stop.clone());
        let key = state.running.insert(entry);
        drop(state);
        late.iter().for_each(CancellationToken::cancel);
        key
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().running.is_empty()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().running.iter().map(|(_, entry)| entry.name.clone()).collect()
    }

    pub(super) fn failed(&self) -> Vec<String> {
        self.lock().failed.clone()
    }

    /// Tells the workers to stop: with the signal those that asked for it, later everybody.
    pub(super) fn stop(&self, only_first: bool) {
        let tokens: Vec<_> = {
            let mut state = self.lock();
            state.stopped |= !only_first;
            let chosen = state.running.iter().filter(|(_, entry)| entry.first || !only_first);
            chosen.map(|(_, entry)| entry.stop.clone()).collect()
        };
        tokens.iter().for_each(CancellationToken::cancel);
    }

    pub(super) fn left(&self) -> Vec<Work> {
        let now = Instant::now();
        let describe = |entry: &Entry| Work {
            handler: entry.name.clone(),
            kind: WorkKind::Worker,
            location: String::new(),
            age: now.saturating_duration_since(entry.since),
            detached: false,
        };
        self.lock().running.iter().map(|(_, entry)| describe(entry)).collect()
    }
}

/// A worker that [`Lifecycle::spawn`](super::Lifecycle::spawn) started. Dropping it changes
/// nothing: the worker runs on.
#[derive(Debug)]
pub struct Worker {
    life: Arc<Life>,
    key: usize,
    stop: CancellationToken,
}

impl Worker {
    /// The worker's token fires with the signal, not after the requests have drained: for a
    /// worker that feeds requests, such as a consumer.
    #[must_use = "the worker runs with or without its handle; `let _ =` says so"]
    pub fn stop_first(self) -> Self {
        if let Some(entry) = self.life.workers.lock().running.get_mut(self.key) {
            entry.first = true;
        }
        if self.life.phase() > Phase::Running {
            self.stop.cancel();
        }
        self
    }
}

pub(super) fn spawn<W, F>(life: &Arc<Life>, name: &str, work: W) -> Worker
where
    W: FnOnce(ShutdownToken) -> F,
    F: Future<Output: Send> + Send + 'static,
{
    let stop = CancellationToken::new();
    let entry =
        Entry { name: name.to_owned(), since: Instant::now(), stop: stop.clone(), first: false };
    let key = life.workers.enter(entry);
    // Made before the worker's own code runs, so that its entry goes whatever that does.
    let running = Running { life: life.clone(), key, name: name.to_owned(), stop: stop.clone() };
    let future = work(ShutdownToken::new(stop.clone(), life.clone()));
    let task = running.run(future);
    match life.runtime() {
        Some(runtime) => drop(runtime.spawn(task)),
        None => drop(tokio::spawn(task)),
    }
    Worker { life: life.clone(), key, stop }
}

struct Running {
    life: Arc<Life>,
    key: usize,
    name: String,
    stop: CancellationToken,
}

impl Running {
    async fn run<F: Future>(self, work: F) {
        let mut work = pin!(work);
        let guarded = std::future::poll_fn(|cx| {
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(_)) => Poll::Ready(Ok(())),
                Err(panic) => Poll::Ready(Err(panic_message(&*panic).to_owned())),
            }
        });
        tokio::select! {
            biased;
            end = guarded => self.report(end),
            () = self.life.reached(Phase::Ended) => {}
        }
    }

    fn report(&self, end: Result<(), String>) {
        let failure = match end {
            Ok(()) if self.stop.is_cancelled() => return,
            Ok(()) => format!("{} returned before it was told to stop", self.name),
            Err(panic) => format!("{} panicked: {panic}", self.name),
        };
        tracing::error!(target: "followthrough", worker = %self.name, "worker failed, shutting down: {failure}");
        self.life.workers.lock().failed.push(failure);
        super::drain::begin(&self.life);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.life.workers.lock().running.try_remove(self.key);
        self.life.note_progress();
    }
}
