//! The token that reads follow.

use std::{convert::Infallible, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    cancellation::{Deadline, RequestState},
    cause::Cause,
    request::{self, RequestContext},
    run_until::RunUntil,
};

/// Fires when the client leaves, the deadline passes, or the service stops waiting for reads.
///
/// It has one identity for each request, covers the response body, and never fires once the
/// response was handed whole to the HTTP implementation.
///
/// As an extractor it needs `followthrough::serve` or `Lifecycle::layer` around the router.
/// Without them the token of an annotated handler still sees disconnect and deadline; that of
/// a plain handler never fires, and a warning says so once. In a plain handler the
/// [`token`](Self::token) for other libraries follows disconnect and shutdown, not a deadline.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use followthrough::{Cause, RequestToken};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (token, handle) = RequestToken::new_pair();
/// assert!(!token.is_cancelled());
///
/// handle.cancel(Cause::ClientDisconnected);
/// assert_eq!(token.cancelled().await, Cause::ClientDisconnected);
/// assert_eq!(token.run_until_cancelled(std::future::pending::<()>()).await, None);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RequestToken {
    pub(crate) state: Arc<RequestState>,
    deadline: Option<Deadline>,
}

impl RequestToken {
    /// A token that never fires, for tests and direct calls.
    #[must_use]
    pub fn never() -> Self {
        Self::new(Arc::new(RequestState::external()), None)
    }

    /// A token and the handle that fires it, for tests and direct calls.
    #[must_use]
    pub fn new_pair() -> (Self, RequestTokenHandle) {
        let token = Self::never();
        let handle = RequestTokenHandle { state: token.state.clone() };
        (token, handle)
    }

    /// The token of the request that the running code belongs to.
    pub(crate) fn current() -> Option<Self> {
        request::with(RequestContext::token).map(|(state, deadline)| Self::new(state, deadline))
    }

    pub(crate) const fn new(state: Arc<RequestState>, deadline: Option<Deadline>) -> Self {
        Self { state, deadline }
    }

    /// Waits until the token fires and gives the first cause.
    ///
    /// In the body of a handler that is about to be dropped for that cause it does not return:
    /// such a handler has no say in its answer. Elsewhere, in a task that it started or in a
    /// `cooperative` body, it does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) -> Cause {
        let cause = self.state.cancelled(self.deadline).await;
        let ends_here = request::with(|request| request.ends_its_body(&self.state, cause));
        if ends_here == Some(true) {
            // The runner looks at its signals when this poll has returned. Woken at once, so that
            // whoever is not dropped then hears of it after all.
            let mut left = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut left, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        cause
    }

    /// Whether the token has fired. The clock and the service are asked, too, so a loop that
    /// never awaits sees the deadline and *stopping*.
    pub fn is_cancelled(&self) -> bool {
        self.cause().is_some()
    }

    /// The first cause, which never changes.
    pub fn cause(&self) -> Option<Cause> {
        self.state.cause(self.deadline)
    }

    /// The effective deadline here: the least of the site's, the handler's and the lifecycle's
    /// default.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.map(|deadline| deadline.at)
    }

    /// What remains until [`deadline`](Self::deadline); zero when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// What remains of a deadline that still bounds something.
    pub(crate) fn left(&self) -> Option<Duration> {
        if self.state.is_bounded() { self.remaining() } else { None }
    }

    /// Runs `future` until it ends or the token fires; `None` if the token fired first. If the
    /// token has fired before the call, `future` is never polled; otherwise a future that is
    /// ready wins the tie.
    ///
    /// # Cancel safety
    ///
    /// As `future` itself, which is dropped when the token fires.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        RunUntil::new(self.is_cancelled(), self.cancelled(), future).await
    }

    /// The token for other libraries. Cancelling it reaches whoever holds it, and nobody else:
    /// the request goes on.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.state.token()
    }
}

/// Fires the token that [`RequestToken::new_pair`] made with it.
#[derive(Debug)]
pub struct RequestTokenHandle {
    state: Arc<RequestState>,
}

impl RequestTokenHandle {
    /// Fires the token. The first cause stands; gives that one.
    pub fn cancel(&self, cause: Cause) -> Cause {
        self.state.settle(cause).unwrap_or(cause)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestToken {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let token = Self::current().unwrap_or_else(|| {
            request::warn_unlinked();
            // The runner of an annotated handler puts its own in the place of this one.
            Self::never()
        });
        Ok(token)
    }
}
