//! A lifecycle whose shutdown the test drives.

use std::time::Duration;

use crate::{
    idempotency::{Idempotency, MemoryStore, Scope},
    layer::LifecycleLayer,
    lifecycle::{Lifecycle, LifecycleBuilder},
    service::{Phase, ShutdownReport},
};

/// A [`Lifecycle`] whose signals the test fires, instead of a clock or SIGTERM.
///
/// With `#[tokio::test(start_paused = true)]` the deadlines of the handlers pass as soon as the runtime is idle,
/// or with `tokio::time::advance`.
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

/// Returns the builder of a test's lifecycle. Its store of idempotency keys is empty, so that a program with a keyed
/// handler needs no settings in the tests of its other handlers.
pub(super) fn builder() -> LifecycleBuilder {
    let scope = Scope::global("the clients of a test are one client");
    Lifecycle::builder().idempotency(Idempotency::new(MemoryStore::new(), scope))
}

impl Default for TestLifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl TestLifecycle {
    /// Creates one with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// Creates one with your settings, except that `drain_delay` and `read_grace` are zero and `signals` is off. Without
    /// a store for idempotency keys in the settings, it has an empty one in memory, and one scope for all keys.
    ///
    /// # Panics
    ///
    /// Panics if [`LifecycleBuilder::build`] returns an error.
    #[must_use]
    pub fn with(settings: impl FnOnce(LifecycleBuilder) -> LifecycleBuilder) -> Self {
        let builder = settings(builder())
            .drain_delay(Duration::ZERO)
            .read_grace(Duration::ZERO)
            .signals(false);
        match builder.build() {
            Ok(lifecycle) => Self { lifecycle },
            Err(error) => panic!("the settings of the test's lifecycle are invalid: {error}"),
        }
    }

    /// Returns the lifecycle, for [`serve`](crate::serve), for workers, or for its tokens.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Returns the layer for the service under test.
    #[must_use]
    pub fn layer(&self) -> LifecycleLayer {
        self.lifecycle.layer()
    }

    /// Begins the shutdown. When this returns, *stopping* has fired and cancellable requests have been woken.
    ///
    /// # Cancel safety
    ///
    /// The shutdown begins in the first poll; dropping the future after that does not undo it.
    pub async fn stop(&self) {
        self.lifecycle.shutdown();
        self.lifecycle.life.reached(Phase::Stopping).await;
    }

    /// Fires *grace over*, the last moments of durable work, after *stopping* if that has not fired.
    ///
    /// # Cancel safety
    ///
    /// As [`stop`](Self::stop).
    pub async fn end_grace(&self) {
        self.stop().await;
        self.lifecycle.life.end_grace();
    }

    /// Abandons the work that is left and reports it, as a second signal does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn abandon(&self) -> ShutdownReport {
        self.lifecycle.shutdown_now();
        self.lifecycle.drained().await
    }

    /// Begins the shutdown if it has not begun, and waits until no work is in flight.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn drained(&self) -> ShutdownReport {
        self.lifecycle.shutdown();
        self.lifecycle.drained().await
    }
}
