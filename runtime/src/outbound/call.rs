//! The future of a call under a token.
//!
//! Invariants:
//!
//! 1. A call whose token has fired before its first poll is never polled. From then on the call is
//!    polled before its token, which is polled only while the call is pending.
//! 2. A call that was cut is dropped before its error is returned, because the caller may keep the future and must
//!    not keep the connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Method;
use tokio::task::unconstrained;

use super::{
    error::{CallError, CancelledCall},
    under::Under,
};
use crate::cause::{Cause, Outcome};

/// Watches the token of one call, until the end of the response body.
pub(super) struct Guard {
    under: Under,
    fired: Pin<Box<dyn Future<Output = Cause> + Send + Sync>>,
    outcome: Outcome,
    ended: Option<CancelledCall>,
}

impl Guard {
    pub(super) fn new(under: Under, method: &Method) -> Self {
        let outcome = if method.is_safe() { Outcome::NotBegun } else { Outcome::Unknown };
        let token = under.clone();
        // `unconstrained`, because a callee that always has more to read uses up the task's budget, and the timer
        // of the deadline would then never fire.
        let fired = Box::pin(unconstrained(async move { token.cancelled().await }));
        Self { under, fired, outcome, ended: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CancelledCall> {
        if let Some(ended) = self.ended {
            return Poll::Ready(ended);
        }
        let cause = ready!(self.fired.as_mut().poll(cx));
        let ended = CancelledCall::new(cause, self.outcome, self.under.is_past());
        self.ended = Some(ended);
        Poll::Ready(ended)
    }
}

pin_project_lite::pin_project! {
    /// Runs a call until it ends or its token fires.
    pub(super) struct Guarded<F> {
        // None if the call was never made, or was cut.
        #[pin]
        call: Option<F>,
        guard: Option<Guard>,
        polled: bool,
    }
}

impl<F> Guarded<F> {
    /// Makes the call, unless the token has fired.
    pub(super) fn new(guard: Option<Guard>, call: impl FnOnce() -> F) -> Self {
        match guard {
            Some(guard) if guard.under.cause().is_some() => {
                let guard = Some(Guard { outcome: Outcome::NotBegun, ..guard });
                Self { call: None, guard, polled: false }
            }
            guard => Self { call: Some(call()), guard, polled: false },
        }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for Guarded<F> {
    type Output = Result<(T, Option<Guard>), CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if !std::mem::replace(this.polled, true) {
            // The token may have fired between `call` and the first poll. The client was called, so the outcome is
            // not `NotBegun`.
            if this.guard.as_ref().is_some_and(|guard| guard.under.cause().is_some()) {
                this.call.set(None);
            }
        }
        if let Some(call) = this.call.as_mut().as_pin_mut() {
            if let Poll::Ready(answer) = call.poll(cx) {
                let guard = this.guard.take();
                return Poll::Ready(
                    answer.map(|answer| (answer, guard)).map_err(CallError::Failed),
                );
            }
        }
        let Some(guard) = this.guard else { return Poll::Pending };
        let cancelled = ready!(guard.poll(cx));
        this.call.set(None);
        Poll::Ready(Err(CallError::Cancelled(cancelled)))
    }
}
