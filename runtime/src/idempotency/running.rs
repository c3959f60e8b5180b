//! The keyed writes that run in this process, which retries join.
//!
//! Invariants:
//!
//! 1. A record has at most one [`Lead`], because [`Running::lead`] inserts it under the lock of the map.
//! 2. A lead ends once: by [`Lead::end`], or as [`End::NoAnswer`] when it is dropped. Its entry leaves the map before
//!    the joiners are woken, so a joiner that looks again finds the store's record or a new lead.
//! 3. A lead ends with an answer only after the store has the answer, so a retry that finds no entry finds the record.
//! 4. A joiner that leaves removes its own waker and changes nothing else.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use slab::Slab;

use super::{Fingerprint, RecordId, StoredAnswer};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many retries may wait for one write.
pub(super) const JOINERS: usize = 16;

/// The keyed writes that run in this process.
#[derive(Default)]
pub(crate) struct Running(Arc<Mutex<HashMap<RecordId, Arc<RunningWrite>>>>);

/// A keyed write that runs in this process.
pub(crate) struct RunningWrite {
    fingerprint: Fingerprint,
    wait: Mutex<Wait>,
}

#[derive(Default)]
struct Wait {
    end: Option<End>,
    /// `None` for a joiner that has not been polled.
    joiners: Slab<Option<Waker>>,
}

/// The end of a keyed write, for its joiners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The store has the answer.
    Answered(StoredAnswer),
    /// There is no answer to wait for: the write did not begin, or it was abandoned.
    NoAnswer,
}

impl Running {
    /// Returns the write of this record that runs.
    pub(crate) fn find(&self, id: &RecordId) -> Option<Arc<RunningWrite>> {
        lock(&self.0).get(id).cloned()
    }

    /// Begins a write of this record.
    ///
    /// # Errors
    ///
    /// Returns the write that runs already.
    pub(crate) fn lead(
        &self,
        id: RecordId,
        fingerprint: Fingerprint,
    ) -> Result<Lead, Arc<RunningWrite>> {
        let mut running = lock(&self.0);
        if let Some(other) = running.get(&id) {
            return Err(other.clone());
        }
        let write = Arc::new(RunningWrite { fingerprint, wait: Mutex::new(Wait::default()) });
        running.insert(id.clone(), write.clone());
        Ok(Lead { running: self.0.clone(), id, write, end: End::NoAnswer })
    }
}

impl RunningWrite {
    pub(crate) const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// The right to run the write of a record.
pub(crate) struct Lead {
    running: Arc<Mutex<HashMap<RecordId, Arc<RunningWrite>>>>,
    id: RecordId,
    write: Arc<RunningWrite>,
    end: End,
}

impl Lead {
    /// Ends the write, and gives its answer to all joiners.
    pub(crate) fn end(mut self, answer: StoredAnswer) {
        self.end = End::Answered(answer);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.id);
        let mut wait = lock(&self.write.wait);
        wait.end = Some(std::mem::replace(&mut self.end, End::NoAnswer));
        let wakers: Vec<_> =
            wait.joiners.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        drop(wait);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The wait of a retry for the end of a write.
pub(crate) struct Join {
    write: Arc<RunningWrite>,
    key: usize,
}

impl Join {
    /// Joins a write, or returns `None` if too many retries wait already.
    pub(crate) fn begin(write: &Arc<RunningWrite>) -> Option<Self> {
        let mut wait = lock(&write.wait);
        if wait.joiners.len() >= JOINERS {
            return None;
        }
        let key = wait.joiners.insert(None);
        Some(Self { write: write.clone(), key })
    }
}

impl Future for Join {
    type Output = End;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let mut wait = lock(&self.write.wait);
        if let Some(end) = &wait.end {
            return Poll::Ready(end.clone());
        }
        let before = wait.joiners[self.key].replace(cx.waker().clone());
        drop(wait);
        // The destructor of a waker is foreign code, and runs without the lock.
        drop(before);
        Poll::Pending
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        let waker = lock(&self.write.wait).joiners.try_remove(self.key);
        drop(waker);
    }
}

fn lock<T>(data: &Mutex<T>) -> MutexGuard<'_, T> {
    // No foreign code runs under the locks, and their data is plain.
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for RunningWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningWrite")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
