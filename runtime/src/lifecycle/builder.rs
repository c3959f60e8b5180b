//! How a service drains, and what it refuses.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use axum::response::Response;
use tokio::task::LocalKey;

use super::Lifecycle;
#[cfg(feature = "lambda")]
use crate::deadlines::Platform;
use crate::{
    cause::Cancelled,
    deadlines::{CallerDeadlines, Overrides},
    handler_policy::HandlerPolicy,
    service::{Config, FailedWorker, Key, OnWorkerExit, ServiceState},
};

/// Beyond this, instants would overflow somewhere.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Builds a [`Lifecycle`].
#[derive(Default)]
#[must_use]
pub struct LifecycleBuilder {
    config: Config,
    read_grace_given: bool,
    named: Overrides,
    overrides: Overrides,
}

impl LifecycleBuilder {
    /// The whole drain, from the signal to the end. Default: 30 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// How long cancellable requests may go on after the service stopped accepting. Default:
    /// 5 s, or a sixth of the grace if that is less.
    pub fn read_grace(mut self, read_grace: Duration) -> Self {
        self.config.read_grace = read_grace;
        self.read_grace_given = true;
        self
    }

    /// How long to keep accepting after the signal, so that load balancers can notice that the
    /// service is not ready any more. HTTP/1 answers given meanwhile under
    /// [`serve`](crate::serve) say `Connection: close`. Part of the grace. Default: 0.
    pub fn drain_delay(mut self, drain_delay: Duration) -> Self {
        self.config.drain_delay = drain_delay;
        self
    }

    /// How many requests may be past their point of no return at once. The next one is refused
    /// with 503 at its checkpoint, before anything of it ran. Cooperative bodies count, too, and so do
    /// handlers with an `on_cancel` or a [`compensate`](crate::compensate), from their begin until their
    /// compensations have ended. So a flood of clients that leave cannot begin more compensations
    /// than this. A compensation without a permit waits for its turn: as many of them run at once.
    /// Requests without a lifecycle share a limit of 4096 a runtime. Default: 4096.
    pub fn max_durable_writes(mut self, limit: usize) -> Self {
        self.config.max_durable_writes = limit;
        self
    }

    /// A deadline for every governed request, counted from its arrival. Handlers can only
    /// shorten it. Default: none.
    pub fn default_deadline(mut self, deadline: Duration) -> Self {
        self.config.default_deadline = Some(deadline);
        self
    }

    /// Says how long a named deadline is, `#[deadline = "checkout"]`, unless an
    /// [override](Self::overrides) of that name says otherwise.
    pub fn named_deadline(mut self, name: &str, deadline: Duration) -> Self {
        self.named.named(name, deadline);
        self
    }

    /// Takes deadlines from the headers of requests. Default: from none.
    pub fn caller_deadlines(mut self, callers: CallerDeadlines) -> Self {
        self.config.callers = Some(callers);
        self
    }

    /// How long before the end of an AWS Lambda invocation its request is over, so that the caller
    /// gets an answer and not a killed sandbox. Needs the feature `lambda`, and
    /// [`layer`](Lifecycle::layer) under `lambda_http::run`; elsewhere nothing happens. Default: 3 s.
    ///
    /// A request whose invocation has no more time than this is answered 504 at once, so a function
    /// with a short time-out needs a shorter margin. Where the emulator sends a deadline that cannot
    /// be meant (zero, more than a day ago, more than a year ahead), the margin is all the time that a
    /// request has.
    ///
    /// More in the [guide](crate::guide::lambda).
    ///
    /// ```
    /// use followthrough::Lifecycle;
    /// use std::time::Duration;
    ///
    /// let lifecycle = Lifecycle::builder().graceful_stop(Duration::from_millis(500)).build()?;
    /// let app: axum::Router = axum::Router::new().layer(lifecycle.layer());
    /// // lambda_http::run(app).await
    /// # Ok::<(), followthrough::BuildError>(())
    /// ```
    #[cfg(feature = "lambda")]
    pub fn graceful_stop(mut self, margin: Duration) -> Self {
        self.config.platform = Platform::new(margin);
        self
    }

    /// Puts deadlines in force by the names of handlers, in place of what their attributes say; the
    /// name `default` stands for [`default_deadline`](Self::default_deadline).
    /// Called again, what is said later wins.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.overrides.extend(overrides);
        self
    }

    /// Whether [`serve`](crate::serve) listens for SIGTERM and Ctrl-C. The first signal begins the
    /// shutdown; one that comes half a second later or more skips to its end. Default: it listens.
    pub fn signals(mut self, listen: bool) -> Self {
        self.config.signals = listen;
        self
    }

    /// Whether an HTTP/1 client may close its sending half and still get its answer. Default:
    /// no, that is a disconnect.
    ///
    /// From here one closed half looks like two, so with `true` a client that closed is noticed
    /// when the service writes to it, and only one that reset its connection at once. nginx
    /// closes and does not reset: behind nginx, leave it off.
    pub fn half_close(mut self, allowed: bool) -> Self {
        self.config.half_close = allowed;
        self
    }

    /// Called once for each request that is answered without its handler's own value, also for
    /// a client that has left and sees no answer. A response that it gives replaces ours.
    ///
    /// A panic of the hook is logged, and the answer is ours.
    pub fn on_cancelled(
        mut self,
        hook: impl Fn(&Cancelled, &HandlerPolicy) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        self.config.on_cancelled = Some(Arc::new(hook));
        self
    }

    /// Called when a worker panics, or returns before it was told to stop; says whether the
    /// service shuts down, which is the default, or goes on without it. A panic of the hook is
    /// logged, and the service shuts down.
    ///
    /// ```
    /// use followthrough::{Lifecycle, OnWorkerExit};
    ///
    /// let lifecycle = Lifecycle::builder()
    ///     .on_worker_exit(|failed| match failed.worker.as_str() {
    ///         "cache-warmer" => OnWorkerExit::KeepServing,
    ///         _ => OnWorkerExit::ShutDown,
    ///     })
    ///     .build()?;
    /// # Ok::<(), followthrough::BuildError>(())
    /// ```
    pub fn on_worker_exit(
        mut self,
        hook: impl Fn(&FailedWorker) -> OnWorkerExit + Send + Sync + 'static,
    ) -> Self {
        self.config.on_worker_exit = Some(Box::new(hook));
        self
    }

    /// Carries the value of a [`tokio::task_local!`] over to a body that outlives its request, one key
    /// a call. The value is cloned when the body moves to a task of its own.
    ///
    /// A key that middleware sets and that is not named here has no value there: reading it panics, and
    /// a durable write whose client has left ends half done. So name each key that durable work reads;
    /// [the guide](crate::guide::durable_work) says what else changes for it.
    ///
    /// ```
    /// use followthrough::Lifecycle;
    ///
    /// tokio::task_local! {
    ///     static TENANT: String;
    /// }
    ///
    /// let lifecycle = Lifecycle::builder().carry(&TENANT).build()?;
    /// # Ok::<(), followthrough::BuildError>(())
    /// ```
    pub fn carry<T: Clone + Send + 'static>(mut self, key: &'static LocalKey<T>) -> Self {
        self.config.carry.push(Box::new(Key(key)));
        self
    }

    /// Builds the lifecycle.
    ///
    /// # Errors
    ///
    /// If the settings contradict each other or leave no room for any work, and if an override names
    /// no handler.
    pub fn build(mut self) -> Result<Lifecycle, BuildError> {
        let config = &mut self.config;
        if config.grace > LONGEST || config.default_deadline.is_some_and(|after| after > LONGEST) {
            return Err(BuildError(
                "a grace or a deadline of more than a year is none: lower it, or leave it out"
                    .into(),
            ));
        }
        if config.grace.is_zero() {
            return Err(BuildError(
                "`grace` is zero; nothing could ever finish: give it at least 1 s".into(),
            ));
        }
        if !self.read_grace_given {
            config.read_grace = config.read_grace.min(config.grace / 6);
        }
        if config.drain_delay.saturating_add(config.read_grace) > config.grace {
            return Err(BuildError(
                "`drain_delay` and `read_grace` (unless set: 5 s, or a sixth of `grace`) are parts of \
                 `grace` and together longer than it: raise `grace` or lower them".into(),
            ));
        }
        if config.max_durable_writes == 0 {
            return Err(BuildError(
                "`max_durable_writes` is zero; every durable write would be refused: give it at least 1".into(),
            ));
        }
        if config.default_deadline.is_some_and(|deadline| deadline.is_zero()) {
            return Err(BuildError(
                "`default_deadline` is zero; every request would be too late: leave it out or raise it".into(),
            ));
        }
        #[cfg(feature = "lambda")]
        if let Some(fault) = config.platform.fault() {
            return Err(BuildError(fault.into()));
        }
        if let Some(fault) = config.callers.as_ref().and_then(CallerDeadlines::fault) {
            return Err(BuildError(fault.into()));
        }
        self.named.extend(self.overrides);
        let deadlines = self.named.resolve(&crate::deadlines::declared());
        let mut deadlines = deadlines.map_err(|fault| BuildError(fault.0.into()))?;
        if let Some((default, by)) = deadlines.default.take() {
            config.default_deadline = Some(default);
            config.default_by = Some(by);
        }
        config.overridden = (!deadlines.is_empty()).then_some(deadlines);
        Ok(Lifecycle { life: ServiceState::built(self.config) })
    }
}

impl fmt::Debug for LifecycleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifecycleBuilder")
            .field("grace", &self.config.grace)
            .field("read_grace", &self.config.read_grace)
            .field("drain_delay", &self.config.drain_delay)
            .field("max_durable_writes", &self.config.max_durable_writes)
            .finish_non_exhaustive()
    }
}

/// Settings that a [`Lifecycle`] cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(Cow<'static, str>);

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// For a `main` that returns what its listener returns.
impl From<BuildError> for std::io::Error {
    fn from(error: BuildError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}
