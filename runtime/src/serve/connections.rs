//! The open connections of a lifecycle, and those that the end of its drain cut.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::AtomicUsize};

use slab::Slab;

use super::{connection::Connection, cut::ConnectionCut};
use crate::count::Count;

/// All connections of a lifecycle.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Slab<Weak<Connection>>>,
    count: Count,
    /// The bytes of uploads that are held.
    pub(super) uploads: Arc<AtomicUsize>,
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

    /// The requests on them that are not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.all().iter().map(|connection| connection.unanswered()).sum()
    }

    pub(super) fn enter(&self, connection: Weak<Connection>) -> usize {
        self.count.up();
        lock(&self.open).insert(connection)
    }

    /// Whether that was the last one.
    #[must_use]
    pub(super) fn leave(&self, key: usize, cut: Option<ConnectionCut>) -> bool {
        lock(&self.open).try_remove(key);
        if let Some(cut) = cut {
            lock(&self.cut).push(cut);
        }
        self.count.down()
    }

    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.open).iter().filter_map(|(_, weak)| weak.upgrade()).collect()
    }

    /// Wakes every task of every connection.
    pub(crate) fn wake_all(&self) {
        self.all().iter().for_each(|connection| connection.wake());
    }

    /// Shuts every socket that is still there, whoever holds it.
    pub(crate) fn shut_all(&self) {
        self.all().iter().for_each(|connection| connection.socket().cut());
    }

    /// The connections that the end of the drain cut, and those that resist.
    pub(crate) fn take_cut(&self) -> Vec<ConnectionCut> {
        // Held first, so that none of them leaves between the two looks and is in neither.
        let open = self.all();
        let mut cut = std::mem::take(&mut *lock(&self.cut));
        cut.extend(open.iter().map(|connection| connection.describe()));
        cut.sort_by_key(|connection| std::cmp::Reverse(connection.age));
        cut
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
