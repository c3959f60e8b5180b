//! Sees a peer that takes nothing of the bytes that wait for it.
//!
//! Invariants:
//!
//! 1. A stall begins with the first look that finds bytes waiting, and ends with the first byte that the
//!    peer takes.
//! 2. Between two looks a blocked connection has written once without asking the runtime, because a socket says
//!    that it has room only when a third of its buffer is free. A peer that reads slowly may need minutes
//!    for that, and has taken something all the same.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::connections::lock;

/// What is known of the bytes that wait on one connection.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Bytes that the socket has taken.
    taken: AtomicUsize,
    /// The next write goes to the socket whatever the runtime says of it.
    tries: AtomicBool,
    seen: Mutex<Option<Seen>>,
    over: AtomicBool,
}

/// What waited at a look, what had been taken by then, and since when no more was: by the real clock,
/// because peers do not live by a paused one.
#[derive(Clone, Copy, Debug)]
struct Seen {
    waits: Waits,
    taken: usize,
    since: Instant,
}

/// What the bytes wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// For the socket.
    Socket,
    /// For a window of HTTP/2. The number says how many bytes of bodies have left so far.
    Window(usize),
}

impl Stall {
    /// The socket has taken `bytes`.
    pub(super) fn took(&self, bytes: usize) {
        self.taken.store(self.taken.load(Relaxed).wrapping_add(bytes), Relaxed);
    }

    /// Looks at a connection whose bytes wait for `waits`, if any do; gives how long they have waited while
    /// nothing was taken.
    pub(super) fn look(&self, waits: Option<Waits>) -> Duration {
        let mut seen = lock(&self.seen);
        let Some(waits) = waits else {
            *seen = None;
            return Duration::ZERO;
        };
        let (taken, now) = (self.taken.load(Relaxed), Instant::now());
        let stands = seen.filter(|seen| match waits {
            Waits::Socket => seen.waits == waits && seen.taken == taken,
            Waits::Window(_) => seen.waits == waits,
        });
        let stands = stands.unwrap_or(Seen { waits, taken, since: now });
        *seen = Some(stands);
        if waits == Waits::Socket {
            self.tries.store(true, Relaxed);
        }
        now.duration_since(stands.since)
    }

    /// Whether the next write is to be tried at once.
    pub(super) fn tries(&self) -> bool {
        self.tries.load(Relaxed) && self.tries.swap(false, Relaxed)
    }

    /// The time of the peer is over.
    pub(super) fn end(&self) {
        self.over.store(true, Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }
}
