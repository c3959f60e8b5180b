//! The token that durable writes follow.

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

/// A token that fires only in the last moments of the grace (*grace over*), never for a client that
/// leaves or a deadline that passes.
///
/// A function that takes a `&DurableToken` can be called in a durable site or a
/// `#[durable_write]` handler, and nowhere else.
///
/// # Examples
///
/// ```
/// use followthrough::DurableToken;
///
/// async fn append(line: &str, token: &DurableToken) -> usize {
///     assert_eq!(token.cause(), None);
///     line.len()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(append("paid", &DurableToken::never()).await, 4);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DurableToken {
    life: Arc<ServiceState>,
}

impl DurableToken {
    /// Makes a token that never fires, for tests and direct calls.
    #[must_use]
    pub fn never() -> Self {
        Self { life: ServiceState::endless() }
    }

    pub(crate) const fn of(life: Arc<ServiceState>) -> Self {
        Self { life }
    }

    /// Returns the token of the current request, or that of requests without a lifecycle.
    pub(crate) fn current() -> Self {
        Self {
            life: request::with(|request| request.life().clone())
                .unwrap_or_else(ServiceState::unlinked),
        }
    }

    /// Waits for the last moments of the grace.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) -> Cause {
        self.life.grace_over().cancelled().await;
        Cause::ShuttingDown
    }

    /// Returns whether the last moments have begun.
    pub fn is_cancelled(&self) -> bool {
        self.life.grace_over().is_cancelled()
    }

    /// Returns `ShuttingDown` once the token has fired.
    pub fn cause(&self) -> Option<Cause> {
        self.is_cancelled().then_some(Cause::ShuttingDown)
    }

    /// Returns when the token fires, once shutdown has begun.
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
        let token = self.life.grace_over();
        RunUntil::new(token.is_cancelled(), token.cancelled(), future).await
    }

    /// Returns a token for other libraries. Each call makes a child token, so cancelling it cancels nothing else.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.life.grace_over().child_token()
    }
}

/// [`DurableToken::token`], which fires only in the last moments of the grace.
impl From<DurableToken> for CancellationToken {
    fn from(token: DurableToken) -> Self {
        token.token()
    }
}

/// [`DurableToken::token`], of a borrowed token.
impl From<&DurableToken> for CancellationToken {
    fn from(token: &DurableToken) -> Self {
        token.token()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for DurableToken {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::current())
    }
}
