//! What a connection does while it answers no request, and for how long it has done that.
//!
//! Invariants:
//!
//! 1. `changes` is counted after `stage` is stored, so a look that finds `changes` as it was finds the stage of
//!    that count or a later one. A look that reads `changes` twice and finds it equal has seen no change between.
//! 2. Two changes at once may count as one. The count differs from the one before all the same, because it only
//!    ever goes up.

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

/// What a connection does, as the sweep and the report see it.
#[derive(Debug)]
pub(super) struct Activity {
    /// A [`ConnectionState`], without regard to the requests.
    stage: AtomicU8,
    changes: AtomicUsize,
    /// By the real clock: no test pauses that of a peer.
    seen: Mutex<Seen>,
}

/// What the sweep saw, and when first.
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

    /// The end of the drain took a request away. From now on, a connection that is not upgraded counts as one that
    /// was answering.
    pub(super) fn was_answering(&self) {
        const ANSWERING: u8 = ConnectionState::Answering as u8;
        const UPGRADED: u8 = ConnectionState::Upgraded as u8;
        let answering = |stage| (stage != UPGRADED).then_some(ANSWERING);
        let _ = self.stage.fetch_update(Relaxed, Relaxed, answering);
    }

    /// Returns what the connection does while it has so many `requests`.
    pub(super) fn state(&self, requests: usize) -> ConnectionState {
        match ConnectionState::ALL[usize::from(self.stage.load(Relaxed))] {
            ConnectionState::Upgraded => ConnectionState::Upgraded,
            _ if requests > 0 => ConnectionState::Answering,
            at_rest => at_rest,
        }
    }

    /// Returns what the connection has been doing, and for how long, as far as earlier looks tell. A `busy` one has
    /// just begun.
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
