//! The compensations of one request that are to run, and the statements that they wait for.
//!
//! Invariants:
//!
//! 1. At most one task runs the compensations of a request: [`begin`](Compensations::begin) says so once
//!    until [`next`](Compensations::next) has found none, under the same lock.
//! 2. The one that was registered last runs first, whatever the order in which destructors hand
//!    them in.

use std::{
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::handler_policy::Place;

/// The future of a compensation: `Err` says why it failed.
pub(crate) type BoxCompensation = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// When a compensation was registered: a later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Registered(u64);

impl Registered {
    pub(crate) fn now() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A compensation whose request was cut.
pub(crate) struct Pending {
    pub(crate) registered: Registered,
    pub(crate) place: Place,
    pub(crate) future: BoxCompensation,
}

/// The state that a request shares with the task that undoes it.
#[derive(Default)]
pub(crate) struct Compensations(Mutex<State>);

#[derive(Default)]
struct State {
    pending: Vec<Pending>,
    /// One for each statement that was cut: it resolves when the database has answered.
    unanswered: Vec<oneshot::Receiver<()>>,
    running: bool,
}

/// The next step of the task that runs a request's compensations.
pub(crate) enum Next {
    /// Waits until the connection of a statement that was cut has answered.
    Wait(oneshot::Receiver<()>),
    /// Runs this one.
    Run(Pending),
    /// Ends. Another one begins another task.
    End,
}

impl Compensations {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, pending: Pending) {
        let mut state = self.state();
        let at = state.pending.partition_point(|other| other.registered < pending.registered);
        state.pending.insert(at, pending);
    }

    /// No compensation begins before `answered` resolves.
    pub(crate) fn wait_for(&self, answered: oneshot::Receiver<()>) {
        let mut state = self.state();
        let is_empty = |other: &mut oneshot::Receiver<()>| {
            other.try_recv() == Err(oneshot::error::TryRecvError::Empty)
        };
        state.unanswered.retain_mut(is_empty);
        state.unanswered.push(answered);
    }

    /// Whether somebody has to begin to run them, and the place of the first.
    pub(crate) fn begin(&self) -> Option<Place> {
        let mut state = self.state();
        let first = state.pending.last().filter(|_| !state.running)?.place;
        state.running = true;
        Some(first)
    }

    /// Returns the next step, decided under one lock, so that no statement that is cut meanwhile is passed by.
    pub(crate) fn next(&self) -> Next {
        let mut state = self.state();
        if let Some(answered) = state.unanswered.pop() {
            return Next::Wait(answered);
        }
        if let Some(pending) = state.pending.pop() {
            return Next::Run(pending);
        }
        state.running = false;
        Next::End
    }

    /// Those that will not run.
    pub(crate) fn give_up(&self) -> Vec<Pending> {
        let mut state = self.state();
        state.running = false;
        std::mem::take(&mut state.pending)
    }
}
