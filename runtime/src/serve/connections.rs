//! The open connections of a lifecycle, and those that the end of its drain cut.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicUsize, Ordering},
};

use slab::Slab;

use super::{connection::Connection, cut::ConnectionCut};

/// All connections of a lifecycle.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Slab<Weak<Connection>>>,
    len: AtomicUsize,
    cut: Mutex<Vec<ConnectionCut>>,
}

impl Connections {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    pub(super) fn enter(&self, connection: Weak<Connection>) -> usize {
        self.len.fetch_add(1, Ordering::SeqCst);
        lock(&self.open).insert(connection)
    }

    pub(super) fn leave(&self, key: usize, cut: Option<ConnectionCut>) {
        lock(&self.open).try_remove(key);
        if let Some(cut) = cut {
            lock(&self.cut).push(cut);
        }
        self.len.fetch_sub(1, Ordering::SeqCst);
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
        let mut cut = std::mem::take(&mut *lock(&self.cut));
        cut.extend(self.all().iter().map(|connection| connection.describe()));
        cut.sort_by_key(|connection| std::cmp::Reverse(connection.age));
        cut
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
