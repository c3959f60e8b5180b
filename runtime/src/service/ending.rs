//! The end of a drain. Two threads may reach it: the one that polls the drain's task, and the
//! watchdog of a runtime that is blocked.
//!
//! Invariants:
//!
//! 1. The work that is left is set once, and only the thread that set it logs it.
//! 2. One thread claims the report. `reported` fires when the report is there, or when that thread
//!    panics before, because the claim fires it in `Drop`. So a wait for the report never hangs.

use crate::sync::{
    CancellationToken, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// The work `W` that a drain left, and its report `R`.
#[derive(Debug)]
pub(crate) struct Ending<W, R> {
    left: OnceLock<W>,
    claimed: AtomicBool,
    report: OnceLock<R>,
    reported: CancellationToken,
}

impl<W, R> Default for Ending<W, R> {
    fn default() -> Self {
        Self {
            left: OnceLock::new(),
            claimed: AtomicBool::new(false),
            report: OnceLock::new(),
            reported: CancellationToken::new(),
        }
    }
}

impl<W, R> Ending<W, R> {
    /// Sets the work that is left. Returns whether it was not set before.
    pub(crate) fn leave(&self, work: W) -> bool {
        self.left.set(work).is_ok()
    }

    /// Returns the work that is left, once that is known.
    pub(crate) fn left(&self) -> Option<&W> {
        self.left.get()
    }

    /// Returns the right to publish the report, unless another thread has it.
    pub(crate) fn claim(&self) -> Option<Claim<'_, W, R>> {
        (!self.claimed.swap(true, Ordering::AcqRel)).then(|| Claim(self))
    }

    /// Returns the report, once it is published.
    pub(crate) fn report(&self) -> Option<&R> {
        self.report.get()
    }

    /// Returns the token that fires when the report is there.
    pub(crate) const fn reported(&self) -> &CancellationToken {
        &self.reported
    }
}

/// The right to publish the report.
#[must_use]
pub(crate) struct Claim<'a, W, R>(&'a Ending<W, R>);

impl<W, R> Claim<'_, W, R> {
    pub(crate) fn publish(self, report: R) {
        // Only a claim sets the report, and there is one claim.
        let _ = self.0.report.set(report);
    }
}

impl<W, R> Drop for Claim<'_, W, R> {
    fn drop(&mut self) {
        self.0.reported.cancel();
    }
}
