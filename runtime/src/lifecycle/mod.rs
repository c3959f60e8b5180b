//! The life of a service: what its requests link to, and how it ends.
//!
//! Two signals are derived from one shutdown. *Stopping* fires when the read grace is over and
//! ends cancellable requests; *grace over* fires in the last moments and is the only thing that
//! durable work hears of.

mod builder;
mod worker;

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use axum::response::Response;

pub use self::{
    builder::{BuildError, LifecycleBuilder},
    worker::Worker,
};
use crate::{
    deadlines::{EffectiveDeadline, Policies},
    handler::Governed,
    handler_policy::Exempt,
    layer::LifecycleLayer,
    problem,
    service::{self, InFlightSnapshot, Phase, ServiceState, ShutdownReport},
    token::{DurableToken, ShutdownToken},
};

/// The life of a service, from its start to the end of its drain. A cheap clone. It begins to
/// matter when a server has it: [`Serve::lifecycle`](crate::Serve::lifecycle), or
/// [`layer`](Self::layer) under another server.
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
    /// Starts from the defaults: a grace of 30 s, 5 s of it for reads, 4096 durable writes.
    pub fn builder() -> LifecycleBuilder {
        LifecycleBuilder::default()
    }

    /// Begins what a signal begins. A second call changes nothing.
    ///
    /// The drain runs on the runtime that serves, wherever this is called from. Before anything
    /// was served and outside a runtime there is nothing to drain: it ends at once, and an ERROR
    /// says so.
    pub fn shutdown(&self) {
        service::begin(&self.life);
    }

    /// Skips to the end, as a second signal does: what is in flight is abandoned and named.
    pub(crate) fn shutdown_now(&self) {
        service::begin(&self.life);
        service::skip_to_end(&self.life);
    }

    /// Waits for the end of the drain, for servers that are not [`serve`](crate::serve); for ever
    /// if no shutdown begins.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn drained(&self) -> ShutdownReport {
        self.life.ending.reported().cancelled().await;
        self.life.ending.report().cloned().unwrap_or_default()
    }

    /// Fires when the read grace is over and cancellable requests end.
    pub fn stopping(&self) -> ShutdownToken {
        ShutdownToken::new(self.life.stopping().clone(), self.life.clone())
    }

    /// Fires in the last moments of the grace.
    pub fn grace_over(&self) -> DurableToken {
        DurableToken::of(self.life.clone())
    }

    /// A handler for a readiness probe, with the policy `exempt`: 200 while serving, 503 from the
    /// signal on.
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

    /// What is going on at the moment. It is put together piece by piece, without stopping
    /// anything, so work that has just ended may stand beside work that took its place.
    pub fn in_flight(&self) -> InFlightSnapshot {
        InFlightSnapshot {
            requests: self.life.requests(),
            work: self.life.registry.snapshot(),
            workers: self.life.workers.names(),
        }
    }

    /// A layer for servers that are not [`serve`](crate::serve): the policies hold, and what
    /// that server does not signal is not seen. Put it outermost.
    ///
    /// The drain then waits for requests, durable work and workers, and not for responses that
    /// the server is still sending, unless their handlers have a token or are streams.
    ///
    /// How to tie it to the graceful shutdown of `axum::serve`, axum-server, tonic or a server of
    /// your own is a [page of the guide](crate::guide::servers), and [AWS Lambda](crate::guide::lambda)
    /// is another.
    ///
    /// ```
    /// # let lifecycle = followthrough::Lifecycle::builder().build().unwrap();
    /// let app: axum::Router = axum::Router::new().layer(lifecycle.layer());
    /// ```
    pub fn layer(&self) -> LifecycleLayer {
        self.life.link();
        LifecycleLayer::new(self.life.clone())
    }

    /// The [catalogue](crate::policies) with the deadlines that are in force here, and what put them
    /// there: the attribute, [`default_deadline`](LifecycleBuilder::default_deadline), or an
    /// [override](LifecycleBuilder::overrides).
    pub fn policies(&self) -> Policies {
        let (overridden, default) = (self.life.overridden(), self.life.default_timing());
        Policies::new(|policy| EffectiveDeadline::in_force(policy, overridden, default))
    }

    /// Starts a worker under a token that fires when the requests have drained, so that a relay
    /// outlives the writes that feed it, and at the latest at three quarters of the grace. A
    /// worker that panics, or returns before its token fired, is reported and starts shutdown,
    /// unless [`on_worker_exit`](LifecycleBuilder::on_worker_exit) says otherwise.
    ///
    /// What it returns is dropped, so it logs its errors itself.
    ///
    /// One that is spawned when the others have been told to stop is told so at once. One that is
    /// spawned after the end of the drain does not run, and an ERROR says so.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn<W, F>(&self, name: &str, work: W) -> Worker
    where
        W: FnOnce(ShutdownToken) -> F,
        F: Future<Output: Send> + Send + 'static,
    {
        worker::spawn(&self.life, name, work)
    }
}
