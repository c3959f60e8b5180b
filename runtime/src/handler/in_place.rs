//! Keeps a body inside its future, for bodies that may be dropped with it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::response::Response;

use super::{
    compensation::RunCompensation,
    core::Core,
    judge::End,
    run::{Run, Slot, cut, hang_up, outcome_of_callees},
};
use crate::{cause::Cancelled, handler_policy::HandlerPolicy, service::Ended, token::CallerToken};

pin_project_lite::pin_project! {
    /// A body inside its future.
    pub struct InPlace<F> {
        #[pin]
        body: Option<F>,
    }
}

/// Runs `body` in place.
#[doc(hidden)]
#[inline]
pub fn run_inline<R, P, C, F>(
    policy: &'static HandlerPolicy,
    given: CallerToken,
    compensation: Option<C>,
    body: F,
) -> Run<InPlace<F>, C, P>
where
    F: Future<Output = R> + Send,
    C: RunCompensation,
{
    Run::new(InPlace { body: Some(body) }, policy, given, compensation)
}

impl<F: Future> Slot for InPlace<F> {
    type Output = F::Output;

    fn is_empty(&self) -> bool {
        self.body.is_none()
    }

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().body.as_pin_mut().map_or(Poll::Pending, |body| body.poll(cx))
    }

    fn clear(self: Pin<&mut Self>) {
        self.project().body.set(None);
    }

    fn end<C: RunCompensation>(
        self: Pin<&mut Self>,
        core: &mut Core,
        end: End,
        compensation: Option<C>,
    ) -> (Cancelled, Option<Box<Response>>) {
        let cancelled = match end {
            End::Cut(cancelled) => cancelled,
            // A body in place cannot outlive the future.
            End::Detach(cancelled) => cancelled.with(outcome_of_callees(core)),
        };
        let answer = core.report(cancelled);
        let ended = if core.is_past() { Ended::Completed } else { Ended::Cut };
        cut(core, compensation, ended, || self.clear());
        (cancelled, answer)
    }

    fn dropped<C: RunCompensation>(self: Pin<&mut Self>, core: &mut Core, compensation: Option<C>) {
        hang_up(core, compensation, || self.clear());
    }
}
