//! The deadline of a request, and the time at which the platform ends the process.

use std::time::Duration;

use tokio::time::Instant;

use super::context::RequestContext;
use crate::handler_policy::HandlerPolicy;

impl RequestContext {
    /// Returns the effective deadline of a handler (law 4).
    #[inline]
    pub(crate) fn deadline_of(&self, policy: &'static HandlerPolicy) -> Option<Instant> {
        match self.life().deadline_of(policy) {
            Some(own) => self.deadline_within(own),
            None => self.deadline,
        }
    }

    /// Returns the deadline of the request, or `time` after its arrival if that is nearer. On overflow, `time` sets
    /// no deadline.
    // Out of line, because most handlers have no deadline of their own.
    #[inline(never)]
    fn deadline_within(&self, time: Duration) -> Option<Instant> {
        nearer(self.deadline, self.arrival().checked_add(time))
    }

    /// Bounds the request to `time` from its arrival.
    pub(super) fn shorten(&mut self, time: Duration) {
        self.deadline = self.deadline_within(time);
    }

    /// Notes that the platform ends the process `time` after the arrival.
    #[cfg(feature = "lambda")]
    pub(super) fn limit(&mut self, time: Duration) {
        self.limit = self.arrival().checked_add(time);
    }

    /// Returns whether less than `needs` is left for a write to finish.
    pub(crate) fn leaves_too_little(&self, needs: Duration) -> bool {
        let mut ends = [self.limit, self.life().grace_over_at()].into_iter().flatten();
        ends.any(|end| end.saturating_duration_since(Instant::now()) < needs)
    }

    /// Removes the deadline once the head is sent, because it bounded the wait for the head.
    pub(crate) fn lift_deadline(&mut self) {
        self.deadline = None;
        self.tokens.lift_deadline();
    }

    /// Ends the stream at `at` at the latest.
    pub(crate) fn sooner(&mut self, at: Instant) {
        self.deadline = nearer(self.deadline, Some(at));
        if let Some(extra) = &mut self.response.extra {
            extra.sleep = None;
        }
    }
}

/// Returns the nearer of two deadlines.
#[inline]
pub(crate) fn nearer(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
