//! The state of a connection, and how long it has not changed.
//!
//! Invariants:
//!
//! 1. `stage` is stored before `changes` is counted. [`unchanged`](Activity::unchanged) reads `changes` before and
//!    after it reads the state, and takes equal counts for no change.
//! 2. Two changes at once may count as one. The count still differs from the one before, because it only goes up.

use std::{
    sync::{
        Mutex,
        atomic::{
            AtomicU8, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use crate::service::{ConnectionState, lock};

/// The state of a connection, as the sweep and the report see it.
#[derive(Debug)]
pub(super) struct Activity {
    /// A [`ConnectionState`], without regard to the requests.
    stage: AtomicU8,
    changes: AtomicUsize,
    /// By the real clock, because a peer does not live by the paused clock of a test.
    seen: Mutex<Seen>,
}

/// The state that the sweep saw, and when it saw it first.
#[derive(Clone, Copy, Debug)]
struct Seen {
    changes: usize,
    state: ConnectionState,
    at: Instant,
}

impl Activity {
    pub(super) fn new() -> Self {
        let state = ConnectionState::Head;
        Self {
            stage: AtomicU8::new(state as u8),
            changes: AtomicUsize::new(0),
            seen: Mutex::new(Seen { changes: 0, state, at: Instant::now() }),
        }
    }

    pub(super) fn enter(&self, state: ConnectionState) {
        self.stage.store(state as u8, Relaxed);
        self.changes.store(self.changes.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Notes that the end of the drain has cut a request. A connection that is not upgraded counts as answering
    /// from then on.
    pub(super) fn was_answering(&self) {
        const ANSWERING: u8 = ConnectionState::Answering as u8;
        const UPGRADED: u8 = ConnectionState::Upgraded as u8;
        let answering = |stage| (stage != UPGRADED).then_some(ANSWERING);
        let _ = self.stage.fetch_update(Relaxed, Relaxed, answering);
    }

    /// Returns the state of a connection with this number of `requests`.
    pub(super) fn state(&self, requests: usize) -> ConnectionState {
        match ConnectionState::ALL[usize::from(self.stage.load(Relaxed))] {
            ConnectionState::Upgraded => ConnectionState::Upgraded,
            _ if requests > 0 => ConnectionState::Answering,
            at_rest => at_rest,
        }
    }

    /// Returns the state, and how long it has not changed, as seen by earlier calls. For a `busy` connection that
    /// time is zero.
    pub(super) fn unchanged(&self, requests: usize, busy: bool) -> (ConnectionState, Duration) {
        let (changes, state) = (self.changes.load(SeqCst), self.state(requests));
        let at = Instant::now();
        let mut seen = lock(&self.seen);
        let same =
            (seen.changes, seen.state) == (changes, state) && self.changes.load(SeqCst) == changes;
        if !same || busy {
            *seen = Seen { changes, state, at };
        }
        (state, at.duration_since(seen.at))
    }
}
