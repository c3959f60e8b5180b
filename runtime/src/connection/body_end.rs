//! Ends an HTTP/2 stream whose body hyper does not poll.
//!
//! hyper asks a body for its next frame before it waits for the stream's window, and does not poll the body during
//! that wait. The body could notice neither its deadline nor a shutdown then. So a streamed body tells the task of
//! its stream when it has to end, and the task ends the stream if hyper has not polled the body by then.
//!
//! Invariants:
//!
//! 1. The timer of a deadline was last polled in the task of the stream, and an advance of the phase wakes each task
//!    of a connection. So the task is polled when the body has to end.
//! 2. [`ENDS`] belongs to the stream that is being polled, because each stream task sets it before it polls hyper.
//! 3. A body that has given its last frame, and whose length or `is_end_stream` tells that, does not end early
//!    (law 12), because that frame clears [`ENDS`].

use std::{cell::Cell, pin::Pin, task::Context, time::Duration};

use tokio::time::{Instant, Sleep, sleep};

use crate::{cause::Cause, service::Phase};

thread_local! {
    static ENDS: Cell<Option<BodyEnd>> = const { Cell::new(None) };
    static CUT_BY: Cell<Option<Cause>> = const { Cell::new(None) };
}

/// When a streamed body has to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyEnd {
    pub(crate) deadline: Option<Instant>,
    /// The phase of the service that ends the body, and the time that it has from then on.
    pub(crate) phase: Phase,
    pub(crate) grace: Duration,
}

/// Tells the task that is being polled when the body of its stream has to end, if hyper does not poll it.
pub(crate) fn body_ends(end: Option<BodyEnd>) {
    ENDS.set(end);
}

/// Returns the cause for which the body that is being dropped was cut by its stream's task.
pub(crate) fn body_was_cut_by() -> Option<Cause> {
    CUT_BY.get()
}

/// The end of the body of one stream, as its task knows it.
#[derive(Debug, Default)]
pub(super) struct UnpolledEnd {
    end: Option<BodyEnd>,
    /// The timer of the grace.
    grace: Option<Pin<Box<Sleep>>>,
}

impl UnpolledEnd {
    /// Begins a poll of the stream.
    pub(super) fn begin_poll(&self) {
        ENDS.set(self.end);
    }

    /// Returns, after a poll in which the stream did not end, the cause that ends its body now.
    pub(super) fn is_due(
        &mut self,
        is_unpolled: bool,
        phase: Phase,
        cx: &mut Context<'_>,
    ) -> Option<Cause> {
        self.end = ENDS.get();
        let BodyEnd { deadline, phase: last, grace } = self.end.filter(|_| is_unpolled)?;
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Some(Cause::DeadlineExceeded);
        }
        if phase < last {
            return None;
        }
        let over = grace.is_zero() || {
            let timer = self.grace.get_or_insert_with(|| Box::pin(sleep(grace)));
            timer.as_mut().poll(cx).is_ready()
        };
        over.then_some(Cause::ShuttingDown)
    }
}

/// Drops a body in `cut`, which was cut by `cause`.
pub(super) fn cutting(cause: Cause, cut: impl FnOnce()) {
    struct Reset;

    impl Drop for Reset {
        fn drop(&mut self) {
            CUT_BY.set(None);
        }
    }

    CUT_BY.set(Some(cause));
    // Also if a destructor of the body panics.
    let _reset = Reset;
    cut();
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn the_cause_of_a_cut_does_not_outlive_a_destructor_that_panics() {
        let cut = || {
            assert_eq!(body_was_cut_by(), Some(Cause::DeadlineExceeded));
            panic!("a destructor");
        };
        let caught = catch_unwind(AssertUnwindSafe(|| cutting(Cause::DeadlineExceeded, cut)));
        assert!(caught.is_err());
        assert_eq!(body_was_cut_by(), None);
    }
}
