//! Counts how the compensations of a service ended.
//!
//! Invariants:
//!
//! 1. A compensation is counted in `begun` when it is registered to run, and at most once in `run` or `failed`,
//!    after it has ended. So the difference is the number of compensations that have not ended.
//! 2. A report is read after the drain. A compensation that has not ended by then is abandoned.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{state::ServiceState, work::InFlightWork};
use crate::serialize::serialize;

/// The compensations of all requests since the start of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompensationCounts {
    /// Ended in success.
    pub run: u64,
    /// Ended in `Err` or in a panic: what they should have undone may still be there.
    pub failed: u64,
    /// Were left behind, or could not be started because the grace was over.
    pub abandoned: u64,
}

serialize!(CompensationCounts { run, failed, abandoned });

#[derive(Debug, Default)]
pub(crate) struct CompensationTally {
    begun: AtomicU64,
    run: AtomicU64,
    failed: AtomicU64,
    /// Abandoned compensations that had no entry in the registry.
    lost: Mutex<Vec<InFlightWork>>,
    /// Bounds the compensations that run without a permit for durable work.
    turns: OnceLock<Semaphore>,
}

impl CompensationTally {
    /// Counts a compensation that a cancelled request has to run.
    pub(crate) fn begins(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a compensation that has ended, `well` or with `Err` or a panic.
    pub(crate) fn ended(&self, well: bool) {
        let count = if well { &self.run } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps an abandoned compensation for the report, because the registry has no entry for it.
    pub(crate) fn lost(&self, work: InFlightWork) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).push(work);
    }

    pub(crate) fn take_lost(&self) -> Vec<InFlightWork> {
        std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until fewer than `limit` compensations run without a permit.
    pub(crate) async fn turn(&self, limit: usize) -> Option<SemaphorePermit<'_>> {
        let turns = self.turns.get_or_init(|| Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        // The semaphore is never closed.
        turns.acquire().await.ok()
    }

    pub(crate) fn read(&self) -> CompensationCounts {
        let begun = self.begun.load(Ordering::Relaxed);
        let (run, failed) = (self.run.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        CompensationCounts { run, failed, abandoned: begun.saturating_sub(run + failed) }
    }
}

impl ServiceState {
    pub(crate) const fn max_durable_writes(&self) -> usize {
        self.config.max_durable_writes
    }
}
