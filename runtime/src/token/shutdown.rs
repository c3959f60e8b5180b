//! The token that workers follow.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    cause::Cause,
    request::{self},
    run_until::RunUntil,
    service::ServiceState,
};

/// A token that fires when the service stops: in a request at *stopping*, in a worker when the requests
/// have drained.
///
/// # Examples
///
/// ```
/// use followthrough::{ShutdownToken, background};
///
/// #[background]
/// async fn relay(stop: ShutdownToken, batch: &[u32]) -> u32 {
///     let mut sent = 0;
///     for row in batch {
///         if stop.is_cancelled() {
///             break;
///         }
///         sent += row;
///     }
///     sent
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(relay(ShutdownToken::never(), &[1, 2]).await, 3);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ShutdownToken {
    token: CancellationToken,
    /// The service whose grace bounds the remaining work.
    life: Arc<ServiceState>,
}

impl ShutdownToken {
    /// Makes a token that never fires, for tests and direct calls.
    #[must_use]
    pub fn never() -> Self {
        Self::new(CancellationToken::new(), ServiceState::endless())
    }

    pub(crate) const fn new(token: CancellationToken, life: Arc<ServiceState>) -> Self {
        Self { token, life }
    }

    pub(crate) const fn life(&self) -> &Arc<ServiceState> {
        &self.life
    }

    /// Waits until the service stops.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) -> Cause {
        self.token.cancelled().await;
        Cause::ShuttingDown
    }

    /// Returns whether the service stops.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns `ShuttingDown` once the token has fired.
    pub fn cause(&self) -> Option<Cause> {
        self.is_cancelled().then_some(Cause::ShuttingDown)
    }

    /// Returns when the last moments of the grace begin, once shutdown has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.life.grace_over_at()
    }

    /// Returns the time left until [`deadline`](Self::deadline); zero when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Runs `future` until it ends or the token fires. Returns `None` if the token fired first. If the
    /// token has fired before the call, `future` is never polled; otherwise a future that is
    /// ready wins the tie.
    ///
    /// # Cancel safety
    ///
    /// That of `future`, which is dropped when the token fires.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        RunUntil::new(self.is_cancelled(), self.token.cancelled(), future).await
    }

    /// Returns a token for other libraries. Each call makes a child token, so cancelling it cancels nothing else.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.child_token()
    }
}

impl From<ShutdownToken> for CancellationToken {
    fn from(token: ShutdownToken) -> Self {
        token.token()
    }
}

impl From<&ShutdownToken> for CancellationToken {
    fn from(token: &ShutdownToken) -> Self {
        token.token()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ShutdownToken {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let life =
            request::with(|request| request.life().clone()).unwrap_or_else(ServiceState::unlinked);
        Ok(Self::new(life.stopping().clone(), life))
    }
}
