//! The open connections of a lifecycle, and those that the end of its drain cut.
//!
//! Invariants:
//!
//! 1. A connection is counted before it enters the list. It leaves the list, and is added to `cut`, before the
//!    count goes down. So a drain that reads zero finds the list empty and `cut` complete.
//! 2. [`take_cut`](Connections::take_cut) upgrades the open connections before it reads `cut`, because a
//!    connection that left between the two would be in neither.
//! 3. The locks are released before a connection is woken, shut or described.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use slab::Slab;

use super::ConnectionCut;
use crate::count::Count;

/// An open connection, as its service knows it.
pub(crate) trait OpenConnection: fmt::Debug + Send + Sync {
    /// Wakes every task of the connection.
    fn wake(&self);

    /// Returns the number of its requests that are not answered.
    fn unanswered(&self) -> usize;

    /// Shuts its socket down, also when an upgrade holds it.
    fn shut(&self);

    /// Describes the connection, for the report of a drain that cuts it.
    fn describe(&self) -> ConnectionCut;

    /// Ends the connection if its peer has been silent for too long.
    fn sweep(&self, limits: &SilenceLimits);
}

/// How long a peer may send nothing, or take nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SilenceLimits {
    /// For the head of a request.
    pub(crate) head: Duration,
    /// Between two requests of HTTP/1.
    pub(crate) idle: Duration,
    /// While bytes wait to be sent.
    pub(crate) write: Duration,
}

/// All connections of a lifecycle.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Slab<Weak<dyn OpenConnection>>>,
    count: Count,
    cut: Mutex<Vec<ConnectionCut>>,
}

impl Connections {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.count.read()
    }

    pub(crate) const fn count(&self) -> &Count {
        &self.count
    }

    /// Returns the number of requests on them that are not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.all().iter().map(|connection| connection.unanswered()).sum()
    }

    pub(crate) fn enter(&self, connection: Weak<dyn OpenConnection>) -> usize {
        self.count.up();
        lock(&self.open).insert(connection)
    }

    /// Removes a connection. Returns whether it was the last one.
    #[must_use]
    pub(crate) fn leave(&self, key: usize, cut: Option<ConnectionCut>) -> bool {
        lock(&self.open).try_remove(key);
        if let Some(cut) = cut {
            lock(&self.cut).push(cut);
        }
        self.count.down()
    }

    pub(crate) fn all(&self) -> Vec<Arc<dyn OpenConnection>> {
        lock(&self.open).iter().filter_map(|(_, weak)| weak.upgrade()).collect()
    }

    /// Wakes every task of every connection.
    pub(crate) fn wake_all(&self) {
        self.all().iter().for_each(|connection| connection.wake());
    }

    /// Shuts down the socket of every open connection, upgraded ones included.
    pub(crate) fn shut_all(&self) {
        self.all().iter().for_each(|connection| connection.shut());
    }

    /// Returns the connections that the end of the drain cut, and those that are still open.
    pub(crate) fn take_cut(&self) -> Vec<ConnectionCut> {
        let open = self.all();
        let mut cut = std::mem::take(&mut *lock(&self.cut));
        cut.extend(open.iter().map(|connection| connection.describe()));
        // The registry sorts the same keys in this way, so the program has one sort for both.
        cut.sort_by_cached_key(|connection| std::cmp::Reverse(connection.age));
        cut
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
