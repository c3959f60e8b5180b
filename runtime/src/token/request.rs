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

/// A token that fires when the client leaves, the deadline passes, or the service stops waiting for reads.
///
/// All tokens of a request share one state, which covers the response body and never fires once the
/// HTTP implementation has the whole response.
///
/// As an extractor it needs `followthrough::serve` or `Lifecycle::layer` around the router.
/// Without them, the token of an annotated handler still fires for a disconnect and a deadline; the token of
/// a plain handler never fires, and the log warns of that once. In a plain handler the
/// [`token`](Self::token) for other libraries follows disconnect and shutdown, not a deadline.
///
/// A function that wants a `CancellationToken` takes `token.token()`, and one that wants a reference takes
/// `&token.token()`.
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
    /// Makes a token that never fires, for tests and direct calls.
    #[must_use]
    pub fn never() -> Self {
        Self::new(Arc::new(RequestState::external()), None)
    }

    /// Makes a token and the handle that fires it, for tests and direct calls.
    #[must_use]
    pub fn new_pair() -> (Self, RequestTokenHandle) {
        let token = Self::never();
        let handle = RequestTokenHandle { state: token.state.clone() };
        (token, handle)
    }

    /// Returns the token of the current request.
    pub(crate) fn current() -> Option<Self> {
        request::with(RequestContext::token).map(|(state, deadline)| Self::new(state, deadline))
    }

    pub(crate) const fn new(state: Arc<RequestState>, deadline: Option<Deadline>) -> Self {
        Self { state, deadline }
    }

    /// Waits until the token fires, and returns the first cause.
    ///
    /// In the body of a handler that is dropped for that cause it does not return, because such a
    /// handler does not decide its answer. In a task that the handler started, and in a `cooperative` body, it
    /// returns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) -> Cause {
        let cause = self.state.cancelled(self.deadline).await;
        let ends_here = request::with(|request| request.ends_its_body(&self.state, cause));
        if ends_here == Some(true) {
            // The runner reads its signals when this poll has returned, and drops the body. A future that is not
            // dropped then is polled again and returns.
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

    /// Returns whether the token has fired. Reads the clock and the phase of the service, so a loop that
    /// never awaits sees the deadline and *stopping*.
    pub fn is_cancelled(&self) -> bool {
        self.cause().is_some()
    }

    /// Returns the first cause, which never changes.
    pub fn cause(&self) -> Option<Cause> {
        self.state.cause(self.deadline)
    }

    /// Returns the effective deadline where the token was made: the least of those of the site, the handler, the
    /// lifecycle, the caller and the platform.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.map(|deadline| deadline.at)
    }

    /// Returns the time left until [`deadline`](Self::deadline); zero when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns the time left of a deadline that can still fire.
    pub(crate) fn left(&self) -> Option<Duration> {
        if self.state.is_bounded() { self.remaining() } else { None }
    }

    /// Runs `future` until it ends or the token fires. Returns `None` if the token fired first. If the
    /// token has fired before the call, `future` is never polled; otherwise a future that is
    /// ready wins the tie.
    ///
    /// # Cancel safety
    ///
    /// That of `future`, which is dropped when the token fires.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        RunUntil::new(self.is_cancelled(), self.cancelled(), future).await
    }

    /// Returns the token for other libraries. Cancelling it cancels its clones only, and the request goes on.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.state.token()
    }
}

/// The handle that fires the token of [`RequestToken::new_pair`].
#[derive(Debug)]
pub struct RequestTokenHandle {
    state: Arc<RequestState>,
}

impl RequestTokenHandle {
    /// Fires the token, and returns the first cause.
    pub fn cancel(&self, cause: Cause) -> Cause {
        self.state.settle(cause).unwrap_or(cause)
    }
}

/// [`RequestToken::token`].
impl From<RequestToken> for CancellationToken {
    fn from(token: RequestToken) -> Self {
        token.token()
    }
}

/// [`RequestToken::token`], of a borrowed token.
impl From<&RequestToken> for CancellationToken {
    fn from(token: &RequestToken) -> Self {
        token.token()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestToken {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let token = Self::current().unwrap_or_else(|| {
            request::warn_unlinked();
            // The runner of an annotated handler replaces this token by its own.
            Self::never()
        });
        Ok(token)
    }
}
