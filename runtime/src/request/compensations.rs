//! The compensations of one request that have to run, and the statements that they wait for.
//!
//! Invariants:
//!
//! 1. At most one task runs the compensations of a request, because [`begin`](Compensations::begin) sets `running`
//!    under the lock, and [`next`](Compensations::next) clears it under the same lock when none is left.
//! 2. The compensation that was registered last runs first, because `pending` is sorted by [`Registered`] and not
//!    by the order in which destructors push.

use std::{
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::handler_policy::Place;

/// The future of a compensation. `Err` has the reason of a failure.
pub(crate) type BoxCompensation = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The rank of a compensation in the order of registration; a later one is greater.
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
    /// A receiver for each statement that was cut. It resolves when the database has answered.
    unanswered: Vec<oneshot::Receiver<()>>,
    running: bool,
}

/// The next step of the task that runs a request's compensations.
pub(crate) enum Next {
    /// Waits until the connection of a statement that was cut has answered.
    Wait(oneshot::Receiver<()>),
    /// Runs this compensation.
    Run(Pending),
    /// Ends the task. A later compensation begins another task.
    End,
}

impl Compensations {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, pending: Pending) {
        let mut state = self.state();
        let at = state.pending.partition_point(|other| other.registered < pending.registered);
        state.pending.insert(at, pending);
    }

    /// Holds back all compensations until `answered` resolves.
    pub(crate) fn wait_for(&self, answered: oneshot::Receiver<()>) {
        let mut state = self.state();
        let is_empty = |other: &mut oneshot::Receiver<()>| {
            other.try_recv() == Err(oneshot::error::TryRecvError::Empty)
        };
        state.unanswered.retain_mut(is_empty);
        state.unanswered.push(answered);
    }

    /// Claims the task that runs them. Returns the place of the first, or `None` if no compensation is pending or
    /// a task runs already.
    pub(crate) fn begin(&self) -> Option<Place> {
        let mut state = self.state();
        let first = state.pending.last().filter(|_| !state.running)?.place;
        state.running = true;
        Some(first)
    }

    /// Returns the next step. It is decided under one lock, so that a statement that is cut meanwhile is waited
    /// for.
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

    /// Removes and returns the compensations that will not run.
    pub(crate) fn give_up(&self) -> Vec<Pending> {
        let mut state = self.state();
        state.running = false;
        std::mem::take(&mut state.pending)
    }
}
