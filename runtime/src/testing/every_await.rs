//! The search with the default settings.

use std::{fmt, net::SocketAddr, pin::Pin};

use super::{
    check::Verdict,
    disconnect_run::DisconnectRun,
    disconnects::Disconnects,
    request::Repeat,
    summary::{Failure, Summary},
};
use crate::{lifecycle::LifecycleBuilder, serve::App};

type Searching<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
type Search<'a> = Box<dyn FnOnce(Disconnects) -> Searching<'a, Result<Summary, Failure>> + 'a>;

/// Sends `request` to `app` once for each of its suspension points, drops it there, waits until work that follows
/// through has ended, and calls `check`. An additional request runs without a disconnect, and further ones prove
/// that no suspension is left: three `await`s take about fifteen requests. This is [`Disconnects::default`] that
/// panics with the [`Failure`]. Its future is not `Send`.
///
/// The service answers one request at a time and keeps the state of earlier runs, so `check` has to clean up or to
/// count.
///
/// On a multi-thread runtime an awaited result may be ready at once, and a request that does not wait is not cut
/// there. Prefer a current-thread runtime, which is the default of `#[tokio::test]`.
///
/// # Panics
///
/// The future panics with the [`Failure`] if a check panics or returns an error, or if work does not end.
///
/// # Cancel safety
///
/// Dropping the future disconnects the client of the current run.
pub fn disconnect_at_every_await<'a, A, K, R, C, V>(
    app: A,
    request: R,
    check: C,
) -> DisconnectAtEveryAwait<'a>
where
    A: App<SocketAddr, K>,
    K: 'a,
    R: Repeat + 'a,
    C: AsyncFnMut(DisconnectRun) -> V + 'a,
    V: Verdict + 'a,
{
    DisconnectAtEveryAwait {
        settings: Disconnects::default(),
        search: Box::new(|settings| Box::pin(settings.at_every_await(app, request, check))),
    }
}

/// The search of [`disconnect_at_every_await`], which begins when it is awaited.
#[must_use = "no request is sent until the search is awaited"]
pub struct DisconnectAtEveryAwait<'a> {
    settings: Disconnects,
    search: Search<'a>,
}

impl DisconnectAtEveryAwait<'_> {
    /// Sends each request again with the same `Idempotency-Key`, as
    /// [`Disconnects::then_retry`] does.
    ///
    /// ```standalone_crate
    /// use std::sync::{Arc, atomic::{AtomicU32, Ordering::SeqCst}};
    /// use axum::{Router, extract::State, http::Request, routing::post};
    /// use followthrough::{
    ///     Idempotency, Scope, durable_write, idempotency::MemoryStore, testing::disconnect_at_every_await,
    /// };
    ///
    /// #[durable_write(idempotency_key = "required")]
    /// async fn buy(State(sold): State<Arc<AtomicU32>>) -> &'static str {
    ///     tokio::task::yield_now().await;
    ///     sold.fetch_add(1, SeqCst);
    ///     tokio::task::yield_now().await;
    ///     "sold"
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let sold = Arc::<AtomicU32>::default();
    /// let app = Router::new().route("/buy", post(buy)).with_state(sold.clone());
    /// let keys = Idempotency::new(MemoryStore::new(), Scope::global("the test is one client"));
    /// let request = Request::post("/buy").body(String::new()).unwrap();
    ///
    /// disconnect_at_every_await(app, request, async |run| {
    ///     assert_eq!(sold.swap(0, SeqCst), 1); // two requests, and one write
    ///     assert_eq!(run.retry().unwrap().body(), "sold");
    /// })
    /// .lifecycle(move |builder| builder.idempotency(keys.clone()))
    /// .then_retry()
    /// .await;
    /// # }
    /// ```
    pub fn then_retry(mut self) -> Self {
        self.settings = self.settings.then_retry();
        self
    }

    /// Sets the settings of each run's lifecycle, such as the store of idempotency keys, as
    /// [`Disconnects::lifecycle`] does.
    pub fn lifecycle(
        mut self,
        settings: impl Fn(LifecycleBuilder) -> LifecycleBuilder + 'static,
    ) -> Self {
        self.settings = self.settings.lifecycle(settings);
        self
    }
}

impl<'a> IntoFuture for DisconnectAtEveryAwait<'a> {
    type Output = Summary;
    type IntoFuture = Searching<'a, Summary>;

    fn into_future(self) -> Self::IntoFuture {
        let searching = (self.search)(self.settings);
        Box::pin(async { searching.await.unwrap_or_else(|failure| panic!("{failure}")) })
    }
}

impl fmt::Debug for DisconnectAtEveryAwait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DisconnectAtEveryAwait")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
