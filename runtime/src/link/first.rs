//! The first of many sources.
//!
//! Invariants:
//!
//! 1. `fired` leaves [`NOTHING`] once and never changes again. Whoever looks hears of that
//!    source, and nobody hears of one before it stands there.
//! 2. A wait is registered with the sources only while its future is there; dropped, even while
//!    a source fires, it leaves nothing behind.

use std::{future::poll_fn, pin::Pin, task::Poll};

use crate::sync::{
    CancellationToken,
    atomic::{AtomicUsize, Ordering},
};

const NOTHING: usize = usize::MAX;
/// In the place of a source: the link's own deadline.
pub(crate) const DEADLINE: usize = usize::MAX - 1;

/// Tokens, and the place of the first one that anybody saw fire.
pub(crate) struct First {
    sources: Box<[CancellationToken]>,
    fired: AtomicUsize,
}

impl First {
    pub(crate) fn of(sources: impl IntoIterator<Item = CancellationToken>) -> Self {
        Self { sources: sources.into_iter().collect(), fired: AtomicUsize::new(NOTHING) }
    }

    pub(crate) const fn len(&self) -> usize {
        self.sources.len()
    }

    /// What fired first, if something has; `is_late` is asked after the sources.
    pub(crate) fn look(&self, is_late: impl FnOnce() -> bool) -> Option<usize> {
        match self.fired.load(Ordering::Acquire) {
            NOTHING => {}
            fired => return Some(fired),
        }
        let token = self.sources.iter().position(CancellationToken::is_cancelled);
        let late = || is_late().then_some(DEADLINE);
        Some(self.settle(token.or_else(late)?))
    }

    /// Waits for a source, and gives the first.
    pub(crate) async fn cancelled(&self) -> usize {
        let mut waits: Vec<Pin<Box<_>>> =
            self.sources.iter().map(|token| Box::pin(token.cancelled())).collect();
        let token = poll_fn(|cx| {
            let fired = waits.iter_mut().position(|wait| wait.as_mut().poll(cx).is_ready());
            fired.map_or(Poll::Pending, Poll::Ready)
        });
        self.settle(token.await)
    }

    /// `fired` has fired; gives what was first.
    pub(crate) fn settle(&self, fired: usize) -> usize {
        let first = &self.fired;
        match first.compare_exchange(NOTHING, fired, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fired,
            Err(earlier) => earlier,
        }
    }
}
