//! The future of `run_until_cancelled` of every token.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::{Unconstrained, unconstrained};

pin_project_lite::pin_project! {
    /// Runs a future until it ends or a token fires. If the token has fired before, the future is never
    /// polled; otherwise a future that is ready wins the tie.
    pub(crate) struct RunUntil<F, C> {
        #[pin]
        future: F,
        // Unconstrained, because `future` may use up the task's budget.
        #[pin]
        cancelled: Unconstrained<C>,
        fired: bool,
    }
}

impl<F: Future, C: Future> RunUntil<F, C> {
    /// `fired` says whether the token has fired already; `cancelled` waits until it does.
    pub(crate) fn new(fired: bool, cancelled: C, future: F) -> Self {
        Self { future, cancelled: unconstrained(cancelled), fired }
    }
}

impl<F: Future, C: Future> Future for RunUntil<F, C> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.fired {
            if let Poll::Ready(output) = this.future.poll(cx) {
                return Poll::Ready(Some(output));
            }
        }
        this.cancelled.poll(cx).map(|_| None)
    }
}
