//! A count that a drain waits for.
//!
//! Invariants:
//!
//! 1. A thread that changes the count and then reads the phase, and a drain that publishes its phase and then
//!    reads the count, cannot both miss the other, because [`read`](Count::read) is a read-modify-write: it stands
//!    in the modification order of the count, and a change that it does not see comes after it and so sees the
//!    phase. Plain loads and stores would need `SeqCst` throughout.
//! 2. Only the decrement that reaches zero returns `true`, so a drain that has read more than zero is notified
//!    once.
//! 3. A bounded count is never above its limit, because it is compared and increased in one step.

use crate::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    #[inline]
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Adds one, unless the count is at `limit`. Returns whether it did.
    #[inline]
    pub(crate) fn up_to(&self, limit: usize) -> bool {
        take(&self.0, limit)
    }

    /// Subtracts one. Returns whether the count has reached zero.
    #[inline]
    #[must_use]
    pub(crate) fn down(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Returns the count, for a drain that has published its phase before.
    pub(crate) fn read(&self) -> usize {
        self.0.fetch_add(0, Ordering::AcqRel)
    }
}

/// Adds one to `count`, unless it is at `limit`. Returns whether it did.
pub(crate) fn take(count: &AtomicUsize, limit: usize) -> bool {
    let more = |count| if count < limit { Some(count + 1) } else { None };
    count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
}

#[inline]
pub(crate) fn give_back(count: &AtomicUsize) {
    count.fetch_sub(1, Ordering::AcqRel);
}
