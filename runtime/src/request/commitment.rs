//! Decides whether a body may be cut now, and by which causes.
//!
//! The runner, the statements of a body, its database connections and its outbound calls all use this module.

use super::body::{Body, Frame};
use crate::{
    cause::{Cause, Fate, Outcome},
    handler_policy::{HandlerPolicy, Mode},
};

/// Whether a body may be cut, and by which causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commitment {
    /// The point of no return is ahead. Every cause may cut the body.
    Cancellable,
    /// The point of no return is behind. Nothing cuts the body.
    Committed,
    /// The point of no return is behind, and the current statement allows cancellation. A client that leaves and
    /// a deadline may cut the body, and *stopping* may not (law 8).
    Reopened,
}

impl Commitment {
    pub(crate) const fn new(past: bool, reopened: bool) -> Self {
        match (past, reopened) {
            (false, _) => Self::Cancellable,
            (true, false) => Self::Committed,
            (true, true) => Self::Reopened,
        }
    }

    /// Returns whether `cause` may cut the body.
    pub(crate) const fn may_be_cut_by(self, cause: Cause) -> bool {
        match self {
            Self::Cancellable => true,
            Self::Committed => false,
            Self::Reopened => !matches!(cause, Cause::ShuttingDown),
        }
    }

    /// Returns the outcome and the fate of the work if the body is cut. A guard of `compensate` makes `guarded`
    /// true.
    pub(crate) const fn if_cut(self, policy: &HandlerPolicy, guarded: bool) -> (Outcome, Fate) {
        match (self, policy.mode()) {
            (Self::Committed | Self::Reopened, _) if guarded => (Outcome::Unknown, Fate::Undone),
            (Self::Committed | Self::Reopened, _) => (Outcome::Completed, Fate::GoesOn),
            (Self::Cancellable, Mode::IdempotentWrite | Mode::ReversibleWrite)
                if policy.is_cooperative() =>
            {
                (Outcome::Unknown, Fate::GoesOn)
            }
            (Self::Cancellable, Mode::ReversibleWrite) => (Outcome::Unknown, Fate::Undone),
            (Self::Cancellable, _) if guarded => (Outcome::Unknown, Fate::Undone),
            (Self::Cancellable, Mode::IdempotentWrite) => (Outcome::Unknown, Fate::Dropped),
            (Self::Cancellable, _) => (Outcome::NotBegun, Fate::GoesOn),
        }
    }
}

impl Body {
    /// Returns whether the request's runner may drop this body. A durable handler that this one has called, and
    /// that still runs, holds off every cause.
    pub(crate) fn commitment(&self) -> Commitment {
        Commitment::new(self.past, self.frame.reopened && !self.is_shielded())
    }

    /// Returns the commitment of the code that runs. A handler that another one called cannot be cut because the
    /// statement of its caller allows it.
    pub(crate) fn commitment_of_running_code(&self) -> Commitment {
        match self.commitment() {
            Commitment::Reopened if self.frame.is_callee() => Commitment::Committed,
            commitment => commitment,
        }
    }

    /// Returns the outcome and the fate of the work if this body is cut now.
    pub(crate) fn if_cut(&self) -> (Outcome, Fate) {
        if self.waits_for_key() {
            // The write that this request waits for goes on.
            return (Outcome::Unknown, Fate::GoesOn);
        }
        self.commitment().if_cut(self.frame.policy, self.is_guarded())
    }
}

impl Frame {
    /// Returns the commitment of a handler that another one called, for its own deadline.
    pub(crate) const fn commitment(&self) -> Commitment {
        Commitment::new(self.is_past_as_callee(), self.reopened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_never_cuts_what_has_committed() {
        let causes = [Cause::ClientDisconnected, Cause::DeadlineExceeded, Cause::ShuttingDown];
        let of = |past, reopened| {
            causes.map(|cause| Commitment::new(past, reopened).may_be_cut_by(cause))
        };
        assert_eq!(of(false, false), [true; 3]);
        assert_eq!(of(false, true), [true; 3]);
        assert_eq!(of(true, false), [false; 3]);
        assert_eq!(of(true, true), [true, true, false]);
    }

    #[test]
    fn a_cut_says_what_may_be_left_behind() {
        let policy = |mode| HandlerPolicy::new("handler", "", 0, mode);
        let cut = |commitment: Commitment, mode, guarded| commitment.if_cut(&policy(mode), guarded);
        let before = Commitment::Cancellable;
        assert_eq!(cut(before, Mode::Read, false).0, Outcome::NotBegun);
        assert_eq!(cut(before, Mode::Read, true), (Outcome::Unknown, Fate::Undone));
        assert_eq!(cut(before, Mode::IdempotentWrite, false), (Outcome::Unknown, Fate::Dropped));
        assert_eq!(cut(before, Mode::ReversibleWrite, false), (Outcome::Unknown, Fate::Undone));
        let after = Commitment::Reopened;
        assert_eq!(cut(after, Mode::DurableWrite, false).0, Outcome::Completed);
        assert_eq!(cut(after, Mode::DurableWrite, true), (Outcome::Unknown, Fate::Undone));
    }
}
