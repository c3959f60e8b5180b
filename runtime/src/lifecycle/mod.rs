//! The lifecycle of a service, to which its requests are linked, and its shutdown.
//!
//! A shutdown has two signals. *Stopping* fires when the read grace is over, and ends cancellable requests. *Grace
//! over* fires in the last moments, and is the only signal of durable work.

mod builder;
mod readiness;
mod track;
mod worker;

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
};

use axum::response::Response;
use http::{HeaderValue, header};

pub use self::{
    builder::{BuildError, LifecycleBuilder},
    readiness::ReadinessChecks,
    track::Tracked,
    worker::Worker,
};
use crate::{
    deadlines::{EffectiveDeadline, Policies},
    handler::Governed,
    handler_policy::Exempt,
    layer::LifecycleLayer,
    problem,
    request::{self, RequestContext},
    service::{self, Counts, InFlightSnapshot, MEDIA_TYPE, Phase, ServiceState, ShutdownReport},
    token::{DurableToken, ShutdownToken},
};

/// The lifecycle of a service, from its start to the end of its drain. Cloning is cheap. Give it to a server with
/// [`Serve::lifecycle`](crate::Serve::lifecycle), or with [`layer`](Self::layer) under another server.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use followthrough::Lifecycle;
///
/// let lifecycle = Lifecycle::builder()
///     .grace(Duration::from_secs(30))
///     .read_grace(Duration::from_secs(5))
///     .build()?;
/// assert!(!lifecycle.stopping().is_cancelled());
/// # Ok::<(), followthrough::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lifecycle {
    pub(crate) life: Arc<ServiceState>,
}

impl Lifecycle {
    /// Returns a builder with the defaults: a grace of 30 s, 5 s of it for reads, and 4096 durable writes.
    pub fn builder() -> LifecycleBuilder {
        LifecycleBuilder::default()
    }

    /// Begins the shutdown, as a signal does. A second call changes nothing.
    ///
    /// The drain runs on the runtime that serves, also if this is called from another thread. Outside a runtime,
    /// before any request was served, the drain ends at once and an ERROR is logged.
    pub fn shutdown(&self) {
        service::begin(&self.life);
    }

    /// Skips to the end of the shutdown, as a second signal does: work in flight is abandoned and reported.
    pub(crate) fn shutdown_now(&self) {
        service::begin(&self.life);
        service::skip_to_end(&self.life);
    }

    /// Waits for the end of the drain and returns its report, for servers other than [`serve`](crate::serve).
    /// Without a shutdown the future never resolves.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn drained(&self) -> ShutdownReport {
        self.life.ending.reported().cancelled().await;
        self.life.ending.report().cloned().unwrap_or_default()
    }

    /// Returns the token that fires when the read grace is over and cancellable requests end.
    pub fn stopping(&self) -> ShutdownToken {
        ShutdownToken::new(self.life.stopping().clone(), self.life.clone())
    }

    /// Returns the token that fires in the last moments of the grace.
    pub fn grace_over(&self) -> DurableToken {
        DurableToken::of(self.life.clone())
    }

    /// Returns a handler for a readiness probe, with the policy `exempt`: 200 while serving, 503 from the signal
    /// on.
    ///
    /// ```
    /// # let lifecycle = followthrough::Lifecycle::builder().build().unwrap();
    /// use followthrough::{Router, routing::get};
    ///
    /// let app: Router = Router::new().route("/ready", get(lifecycle.readiness()));
    /// ```
    pub fn readiness(
        &self,
    ) -> impl Fn() -> Ready<Governed<Response, Exempt>> + Clone + Send + Sync + 'static {
        let life = self.life.clone();
        move || {
            let answer = problem::readiness(life.phase() == Phase::Running);
            ready(Governed::done(answer, None))
        }
    }

    /// Returns a handler for a readiness probe like [`readiness`](Self::readiness) that also runs `checks`: 503 while
    /// one of them fails.
    pub fn readiness_with(
        &self,
        checks: ReadinessChecks,
    ) -> impl Fn() -> Pin<Box<dyn Future<Output = Governed<Response, Exempt>> + Send>>
    + Clone
    + Send
    + Sync
    + 'static {
        let life = self.life.clone();
        move || {
            let (checks, life) = (checks.clone(), life.clone());
            Box::pin(async move { Governed::done(checks.answer(&life).await, None) })
        }
    }

    /// Returns a snapshot of the requests, the work and the workers. No global lock is held, so the snapshot may
    /// contain both work that has just ended and work that took its place.
    pub fn in_flight(&self) -> InFlightSnapshot {
        InFlightSnapshot {
            requests: self.life.requests(),
            work: self.life.registry.snapshot(),
            workers: self.life.workers.names(),
        }
    }

    /// Returns a handler with the policy `exempt` that answers with the metrics of the service, as `OpenMetrics` text
    /// for Prometheus and its like. Requests are counted from the first call of this method on. The request for the
    /// metrics is not counted.
    ///
    /// The port of the service accepts no connections after `drain_delay`. Serve the metrics on a port of its own to
    /// see the shutdown to its end; [the guide](crate::guide::operations) shows how, and explains each metric.
    ///
    /// ```
    /// # let lifecycle = followthrough::Lifecycle::builder().build().unwrap();
    /// use followthrough::{Router, routing::get};
    ///
    /// let app: Router = Router::new().route("/metrics", get(lifecycle.metrics()));
    /// ```
    pub fn metrics(
        &self,
    ) -> impl Fn() -> Ready<Governed<Response, Exempt>> + Clone + Send + Sync + 'static {
        let life = self.life.clone();
        life.begin_metrics();
        move || {
            request::with(RequestContext::unobserve);
            let mut answer = Response::new(life.metrics_text().into());
            let media_type = HeaderValue::from_static(MEDIA_TYPE);
            answer.headers_mut().insert(header::CONTENT_TYPE, media_type);
            ready(Governed::done(answer, None))
        }
    }

    /// Returns the counts of the service so far: at any time what the [`ShutdownReport`] has at the end.
    ///
    /// ```
    /// # let lifecycle = followthrough::Lifecycle::builder().build().unwrap();
    /// let counts = lifecycle.counts();
    /// println!("{} writes followed through", counts.durable.followed_through);
    /// ```
    pub fn counts(&self) -> Counts {
        self.life.counts()
    }

    /// Returns a layer for servers other than [`serve`](crate::serve). The policies hold, except for disconnects
    /// that the server does not signal. Add it last, so that it is the outermost layer.
    ///
    /// The drain then waits for requests, durable work and workers. The drain does not wait for responses that the
    /// server is still sending, unless their handlers have a token or are streams.
    ///
    /// The guide shows how to connect it to the graceful shutdown of [`axum::serve`, axum-server, tonic or your
    /// own server](crate::guide::servers), and to [AWS Lambda](crate::guide::lambda).
    ///
    /// ```
    /// # let lifecycle = followthrough::Lifecycle::builder().build().unwrap();
    /// let app: axum::Router = axum::Router::new().layer(lifecycle.layer());
    /// ```
    pub fn layer(&self) -> LifecycleLayer {
        self.life.link();
        LifecycleLayer::new(self.life.clone())
    }

    /// Returns the [catalogue](crate::policies) with the deadlines that are in force in this lifecycle, and their
    /// source: the attribute, [`default_deadline`](LifecycleBuilder::default_deadline), or an
    /// [override](LifecycleBuilder::overrides).
    pub fn policies(&self) -> Policies {
        let (overridden, default) = (self.life.overridden(), self.life.default_timing());
        Policies::new(|policy| EffectiveDeadline::in_force(policy, overridden, default))
    }

    /// Spawns a task that ends by itself, such as a mail to be sent after the answer. A shutdown waits for it as for
    /// durable work, before the workers are told to stop. The task runs in the current span, with the task-locals of
    /// [`carry`](LifecycleBuilder::carry), and has no deadline. A report names a task that is left behind, by its
    /// handler and by the place of this call.
    ///
    /// The task does not survive the process. Work that must not be lost belongs in the durable statement or in
    /// a table that a worker reads.
    ///
    /// A panic of the task is logged. A task that is tracked after the end of the drain does not run, and an ERROR is
    /// logged.
    ///
    /// ```
    /// use followthrough::{DurableToken, Lifecycle, durable_write};
    /// use axum::extract::State;
    ///
    /// #[durable_write]
    /// async fn sign_up(State(lifecycle): State<Lifecycle>) -> &'static str {
    ///     // The row is committed here.
    ///     lifecycle.track(async { /* send the mail */ });
    ///     "welcome"
    /// }
    /// ```
    #[track_caller]
    pub fn track<F>(&self, task: F) -> Tracked<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        track::track(&self.life, task, std::panic::Location::caller())
    }

    /// Spawns a worker under a token that fires when the requests have drained, so that a relay outlives the
    /// writes that feed it, and at the latest after three quarters of the grace. A worker that panics, or returns
    /// before its token has fired, is reported and begins the shutdown, unless
    /// [`on_worker_exit`](LifecycleBuilder::on_worker_exit) decides otherwise.
    ///
    /// The worker's output is dropped, so the worker has to log its own errors.
    ///
    /// The token of a worker that is spawned after the others were told to stop fires at once. A worker that is
    /// spawned after the end of the drain does not run, and an ERROR is logged.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn<W, F>(&self, name: &str, work: W) -> Worker
    where
        W: FnOnce(ShutdownToken) -> F,
        F: Future<Output: Send> + Send + 'static,
    {
        worker::spawn(&self.life, name, work)
    }

    /// Spawns a worker like [`spawn`](Self::spawn) that can be started again after a failure: `work` is called for each
    /// start. A failed worker is started again, unless [`on_worker_exit`](LifecycleBuilder::on_worker_exit) decides
    /// otherwise; [`OnWorkerExit::Restart`](crate::OnWorkerExit::Restart) says after which pause. A pause ends when the
    /// worker is told to stop. Each restart is logged as an ERROR and counted in the report.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, as [`tokio::spawn`] does.
    ///
    /// ```
    /// # async fn refresh_cache() {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let lifecycle = followthrough::Lifecycle::builder().build().unwrap();
    /// use followthrough::ShutdownToken;
    ///
    /// lifecycle.spawn_restartable("cache", |stop: ShutdownToken| async move {
    ///     while !stop.is_cancelled() {
    ///         refresh_cache().await;
    /// #       stop.cancelled().await;
    ///     }
    /// });
    /// # }
    /// ```
    pub fn spawn_restartable<W, F>(&self, name: &str, work: W) -> Worker
    where
        W: FnMut(ShutdownToken) -> F + Send + 'static,
        F: Future<Output: Send> + Send + 'static,
    {
        worker::spawn_restartable(&self.life, name, work)
    }
}
