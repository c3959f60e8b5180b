//! A shutdown that the test drives.

use std::time::Duration;

use crate::{
    layer::LifecycleLayer,
    lifecycle::{Lifecycle, LifecycleBuilder},
    service::{Phase, ShutdownReport},
};

/// A [`Lifecycle`] whose signals fire when the test says so, and not by a clock or by SIGTERM.
///
/// With `#[tokio::test(start_paused = true)]` the deadlines of the handlers pass as soon as nothing else is
/// to be done, or with `tokio::time::advance`.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use followthrough::{cancellable, testing::TestLifecycle};
/// use tower::ServiceExt;
///
/// #[cancellable(read)]
/// async fn slow() {
///     std::future::pending::<()>().await;
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lifecycle = TestLifecycle::new();
/// let app = Router::new().route("/slow", get(slow)).layer(lifecycle.layer());
/// let answer = tokio::spawn(app.oneshot(Request::get("/slow").body(Body::empty()).unwrap()));
/// # tokio::task::yield_now().await;
///
/// lifecycle.stop().await;
/// assert_eq!(answer.await.unwrap().unwrap().status(), 503);
/// assert_eq!(lifecycle.drained().await.cancelled.shutting_down, 1);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestLifecycle {
    lifecycle: Lifecycle,
}

impl Default for TestLifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl TestLifecycle {
    /// One with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// One with settings of yours: `drain_delay` and `read_grace` are zero, and `signals` are off, whatever
    /// they say.
    ///
    /// # Panics
    ///
    /// If [`LifecycleBuilder::build`] refuses them.
    #[must_use]
    pub fn with(settings: impl FnOnce(LifecycleBuilder) -> LifecycleBuilder) -> Self {
        let builder = settings(Lifecycle::builder())
            .drain_delay(Duration::ZERO)
            .read_grace(Duration::ZERO)
            .signals(false);
        match builder.build() {
            Ok(lifecycle) => Self { lifecycle },
            Err(error) => panic!("the settings of the test's lifecycle are refused: {error}"),
        }
    }

    /// The lifecycle, for [`serve`](crate::serve), for workers, or for its tokens.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// The layer for the service under test.
    #[must_use]
    pub fn layer(&self) -> LifecycleLayer {
        self.lifecycle.layer()
    }

    /// Begins the shutdown; *stopping* has fired when this returns, and what may be cut has been woken.
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, the shutdown has begun all the same.
    pub async fn stop(&self) {
        self.lifecycle.shutdown();
        self.lifecycle.life.reached(Phase::Stopping).await;
    }

    /// Fires *grace over*, after *stopping* if that has not fired: the last moments of durable work.
    ///
    /// # Cancel safety
    ///
    /// As [`stop`](Self::stop).
    pub async fn end_grace(&self) {
        self.stop().await;
        self.lifecycle.life.end_grace();
    }

    /// Abandons and names what is left, as a second signal does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn abandon(&self) -> ShutdownReport {
        self.lifecycle.shutdown_now();
        self.lifecycle.drained().await
    }

    /// Begins the shutdown if it has not begun, and waits until nothing is in flight.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn drained(&self) -> ShutdownReport {
        self.lifecycle.shutdown();
        self.lifecycle.drained().await
    }
}
