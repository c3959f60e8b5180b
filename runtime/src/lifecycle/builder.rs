//! The settings of a [`Lifecycle`].

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use axum::response::Response;
use tokio::task::LocalKey;

use super::Lifecycle;
#[cfg(feature = "lambda")]
use crate::deadlines::Platform;
use crate::{
    cause::Cancelled,
    deadlines::{CallerDeadlines, EffectiveDeadline, Overrides},
    handler_policy::{HandlerPolicy, Place},
    idempotency::{Idempotency, KeyedWrites},
    service::{Config, FailedWorker, Key, Observer, Observers, OnWorkerExit, ServiceState},
};

/// The longest duration that cannot overflow an `Instant`.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Builds a [`Lifecycle`].
#[derive(Default)]
#[must_use]
pub struct LifecycleBuilder {
    config: Config,
    read_grace_given: bool,
    observers: Vec<Box<dyn Observer>>,
    named: Overrides,
    overrides: Overrides,
    idempotency: Option<Idempotency>,
}

impl LifecycleBuilder {
    /// Sets the longest time of the whole drain, from the signal to the end. Default: 30 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// Sets the time that cancellable requests have after the service has stopped accepting. Default: 5 s, or a
    /// sixth of the grace if that is less.
    pub fn read_grace(mut self, read_grace: Duration) -> Self {
        self.config.read_grace = read_grace;
        self.read_grace_given = true;
        self
    }

    /// Sets the time for which the service still accepts after the signal, so that load balancers notice that it
    /// is no longer ready. Under [`serve`](crate::serve), HTTP/1 responses in this time have `Connection: close`.
    /// The delay is a part of the grace. Default: 0.
    pub fn drain_delay(mut self, drain_delay: Duration) -> Self {
        self.config.drain_delay = drain_delay;
        self
    }

    /// Sets the number of requests that may be past their point of no return at once. Further requests are refused
    /// with 503 at their checkpoint, before any durable work has run. Cooperative bodies count as well, and so do
    /// handlers with an `on_cancel` or a [`compensate`](crate::compensate), from their start until their
    /// compensations have ended. So a flood of disconnects cannot start more compensations than this.
    /// Compensations without a permit wait for their turn, and at most this many of them run at once. Requests
    /// without a lifecycle share a limit of 4096 a runtime. Default: 4096.
    pub fn max_durable_writes(mut self, limit: usize) -> Self {
        self.config.max_durable_writes = limit;
        self
    }

    /// Sets a deadline for every governed request, counted from its arrival. Handlers can only shorten it.
    /// Default: none.
    pub fn default_deadline(mut self, deadline: Duration) -> Self {
        self.config.default_deadline = Some(deadline);
        self
    }

    /// Sets the duration of a named deadline, such as `#[deadline = "checkout"]`. An [override](Self::overrides)
    /// of the same name takes precedence.
    pub fn named_deadline(mut self, name: &str, deadline: Duration) -> Self {
        self.named.named(name, deadline);
        self
    }

    /// Reads deadlines from request headers. Default: from no header.
    pub fn caller_deadlines(mut self, callers: CallerDeadlines) -> Self {
        self.config.callers = Some(callers);
        self
    }

    /// Sets how long before the end of an AWS Lambda invocation its request ends, so that the caller gets a
    /// response instead of a killed sandbox. Needs the feature `lambda`, and [`layer`](Lifecycle::layer) under
    /// `lambda_http::run`; elsewhere it has no effect. Default: 3 s.
    ///
    /// A request whose invocation has no more time than this is answered 504 at once, so a function with a short
    /// timeout needs a shorter margin. If an emulator sends an implausible deadline (zero, more than a day ago,
    /// more than a year ahead), the margin itself is the request's deadline.
    ///
    /// See the [guide](crate::guide::lambda).
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

    /// Replaces the deadlines of handlers' attributes, by the names of the handlers; the name `default` stands for
    /// [`default_deadline`](Self::default_deadline). A later call takes precedence.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.overrides.extend(overrides);
        self
    }

    /// Sets whether [`serve`](crate::serve) listens for SIGTERM and Ctrl-C. The first signal begins the shutdown;
    /// a signal half a second later or more skips to its end. Default: true.
    pub fn signals(mut self, listen: bool) -> Self {
        self.config.signals = listen;
        self
    }

    /// Sets whether an HTTP/1 client may close its sending half and still get its response. Default: false, so
    /// that a half-close is a disconnect.
    ///
    /// The server cannot tell a half-close from a full close. So with `true`, a client that closed is noticed only
    /// when the service writes to it; a reset is still noticed at once. nginx closes and does not reset: behind
    /// nginx, leave this off.
    pub fn half_close(mut self, allowed: bool) -> Self {
        self.config.half_close = allowed;
        self
    }

    /// Sets a hook that is called once for each request that is answered without its handler's own value, also if
    /// the client has left. If the hook returns a response, it replaces the default one.
    ///
    /// A panic of the hook is logged, and the default response is sent.
    pub fn on_cancelled(
        mut self,
        hook: impl Fn(&Cancelled, &HandlerPolicy) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        self.config.on_cancelled = Some(Arc::new(hook));
        self
    }

    /// Sets a hook that is called when a worker panics, or returns before it was told to stop. The hook returns
    /// whether the service shuts down, which is the default, or continues without the worker. A panic of the hook
    /// is logged, and the service shuts down.
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

    /// Adds an observer, which is told of the end of each request and of each piece of durable work, and of the
    /// phases of the shutdown. Each call adds one. See [`Observer`](crate::observe::Observer).
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Sets whether [`metrics`](Lifecycle::metrics) has a histogram of the time that was left of each request's
    /// deadline. Default: false, because it adds 16 series for each handler.
    pub fn deadline_headroom(mut self, measure: bool) -> Self {
        self.config.deadline_headroom = measure;
        self
    }

    /// Sets the store and the scope of the idempotency keys, which handlers with `idempotency_key` need. See
    /// [`idempotency`](crate::idempotency).
    ///
    /// ```
    /// use followthrough::{Idempotency, Lifecycle, Scope, idempotency::MemoryStore};
    ///
    /// let scope = Scope::by(|parts| parts.headers.get("x-customer")?.to_str().ok().map(str::to_owned));
    /// let lifecycle =
    ///     Lifecycle::builder().idempotency(Idempotency::new(MemoryStore::new(), scope)).build()?;
    /// # Ok::<(), followthrough::BuildError>(())
    /// ```
    pub fn idempotency(mut self, settings: Idempotency) -> Self {
        self.idempotency = Some(settings);
        self
    }

    /// Carries the value of a [`tokio::task_local!`] over to a body that outlives its request. Each call adds one
    /// key. The value is cloned when the body moves to its own task.
    ///
    /// Any other key that middleware sets has no value in that task: reading it panics, and a durable write whose
    /// client has left ends half done. So add each key that durable work reads; [the
    /// guide](crate::guide::durable_work) lists the other differences.
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
    /// Returns an error if the settings contradict each other or leave no room for any work, and if an override
    /// names no handler.
    pub fn build(mut self) -> Result<Lifecycle, BuildError> {
        let config = &mut self.config;
        if config.grace > LONGEST || config.default_deadline.is_some_and(|after| after > LONGEST) {
            return Err(BuildError(
                "`grace` and `default_deadline` must be at most 366 days".into(),
            ));
        }
        if config.grace.is_zero() {
            return Err(BuildError(
                "`grace` is zero, and no work could finish: give it at least 1 s".into(),
            ));
        }
        if !self.read_grace_given {
            config.read_grace = config.read_grace.min(config.grace / 6);
        }
        if config.drain_delay.saturating_add(config.read_grace) > config.grace {
            return Err(BuildError(
                "`drain_delay` and `read_grace` (default: 5 s, or a sixth of `grace`) are parts of `grace` \
                 and together longer than `grace`: raise `grace` or lower them".into(),
            ));
        }
        if config.max_durable_writes == 0 {
            return Err(BuildError(
                "`max_durable_writes` is zero, and every durable write would be refused: give it at least 1".into(),
            ));
        }
        if config.default_deadline.is_some_and(|deadline| deadline.is_zero()) {
            return Err(BuildError(
                "`default_deadline` is zero, and every request would be late: leave it out or raise it".into(),
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
        if let Some(fault) = faulty_keys(config, self.idempotency.as_ref()) {
            return Err(BuildError(fault));
        }
        config.keyed_writes = self.idempotency.map(KeyedWrites::new);
        let observers = Observers::start(self.observers).map_err(|error| {
            BuildError(format!("the thread of the observers does not start: {error}").into())
        })?;
        Ok(Lifecycle { life: ServiceState::built(self.config, observers) })
    }
}

/// Returns what is wrong with the idempotency keys of the handlers, under these settings.
fn faulty_keys(config: &Config, settings: Option<&Idempotency>) -> Option<Cow<'static, str>> {
    if let Some(fault) = settings.and_then(Idempotency::fault) {
        return Some(fault.into());
    }
    for policy in crate::deadlines::declared() {
        let Some(key) = policy.key() else { continue };
        let (name, at) = (policy.name(), Place { policy, site: None });
        if settings.is_none() {
            return Some(format!(
                "`{name}` at {at} takes idempotency keys, and the lifecycle has no store for them: add \
                 `.idempotency(Idempotency::new(store, scope))` to its builder; `MemoryStore::new()` is a store for \
                 one process"
            ).into());
        }
        let default =
            config.default_deadline.map(|default| (default, config.default_by.as_deref()));
        let in_force = EffectiveDeadline::in_force(policy, config.overridden.as_ref(), default);
        if in_force.deadline.is_some_and(|deadline| key.kept() < deadline) {
            return Some(format!(
                "`{name}` at {at} keeps its answers for {:?}, which is shorter than its deadline of {in_force}: a \
                 client that repeats its request after the deadline would write twice; raise `keep`",
                key.kept()
            ).into());
        }
    }
    None
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

/// The error of [`LifecycleBuilder::build`]: invalid settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(Cow<'static, str>);

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// For a `main` that returns [`std::io::Result`].
impl From<BuildError> for std::io::Error {
    fn from(error: BuildError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}
