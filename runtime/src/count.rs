//! A count that a drain waits for.
//!
//! Invariants:
//!
//! 1. Whoever changes the count and then looks at the phase, and a drain that publishes its phase
//!    and then reads the count, cannot both miss the other. The drain reads by a step that
//!    changes nothing but stands in the one order of all changes: a change that it does not
//!    see comes after it in that order, and so sees what was published before. Plain loads and
//!    stores would need `SeqCst` throughout.
//! 2. Whoever takes the count to zero, and nobody else, is told so: a drain that has seen more than
//!    zero hears of it from that one, and looks again once and not once for each.
//! 3. A bounded count is never above its limit, not even for a moment.

use crate::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    #[inline]
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// One more, unless that would be more than `limit`.
    #[inline]
    pub(crate) fn up_to(&self, limit: usize) -> bool {
        take(&self.0, limit)
    }

    /// Whether that was the last one.
    #[inline]
    #[must_use]
    pub(crate) fn down(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// How many there are, for whoever has published before that it looks.
    pub(crate) fn read(&self) -> usize {
        self.0.fetch_add(0, Ordering::AcqRel)
    }
}

/// One more of `count`, unless that would be more than `limit`.
pub(crate) fn take(count: &AtomicUsize, limit: usize) -> bool {
    let more = |count| if count < limit { Some(count + 1) } else { None };
    count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
}

#[inline]
pub(crate) fn give_back(count: &AtomicUsize) {
    count.fetch_sub(1, Ordering::AcqRel);
}
