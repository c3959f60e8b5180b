//! The first of many sources.
//!
//! Invariants:
//!
//! 1. `fired` changes once, from [`NOTHING`] to a source, because every write is a compare-and-exchange from
//!    [`NOTHING`]. A source is returned only after that, so all callers get the same one.
//! 2. A wait is registered with the sources only while its future exists, because the futures that it polls remove
//!    their registrations when they are dropped, even while a source fires.

use std::{future::poll_fn, pin::Pin, task::Poll};

use crate::sync::{
    CancellationToken,
    atomic::{AtomicUsize, Ordering},
};

const NOTHING: usize = usize::MAX;
/// The value of `fired` for the link's own deadline.
pub(crate) const DEADLINE: usize = usize::MAX - 1;

/// Tokens, and the index of the first one that was seen to fire.
pub(crate) struct First {
    sources: Box<[CancellationToken]>,
    fired: AtomicUsize,
}

impl First {
    pub(crate) fn of(sources: impl IntoIterator<Item = CancellationToken>) -> Self {
        Self { sources: sources.into_iter().collect(), fired: AtomicUsize::new(NOTHING) }
    }

    pub(crate) const fn sources(&self) -> &[CancellationToken] {
        &self.sources
    }

    /// Returns the source that fired first, if one has. Calls `is_late` after it has read the sources.
    pub(crate) fn look(&self, is_late: impl FnOnce() -> bool) -> Option<usize> {
        match self.fired.load(Ordering::Acquire) {
            NOTHING => {}
            fired => return Some(fired),
        }
        let token = self.sources.iter().position(CancellationToken::is_cancelled);
        let late = || is_late().then_some(DEADLINE);
        Some(self.settle(token.or_else(late)?))
    }

    /// Waits until a source fires, and returns the first.
    pub(crate) async fn cancelled(&self) -> usize {
        let mut waits: Vec<Pin<Box<_>>> =
            self.sources.iter().map(|token| Box::pin(token.cancelled())).collect();
        let token = poll_fn(|cx| {
            let fired = waits.iter_mut().position(|wait| wait.as_mut().poll(cx).is_ready());
            fired.map_or(Poll::Pending, Poll::Ready)
        });
        self.settle(token.await)
    }

    /// Records that `fired` has fired. Returns the source that was recorded first.
    pub(crate) fn settle(&self, fired: usize) -> usize {
        let first = &self.fired;
        match first.compare_exchange(NOTHING, fired, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fired,
            Err(earlier) => earlier,
        }
    }
}
