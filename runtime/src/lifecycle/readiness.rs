//! Readiness: the phase of the service, and checks of its own.

use std::{
    fmt::Display,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::response::Response;

use crate::{
    panic_message::panic_message,
    problem,
    service::{Phase, ServiceState},
};

type Checked = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Checks of a service's own for its readiness; [`Lifecycle::readiness_with`](super::Lifecycle::readiness_with)
/// answers with them.
///
/// Check what this instance needs and other instances have. If a check fails on all instances at once, as that of
/// a shared database does, a load balancer has nowhere left to send requests.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use followthrough::{Lifecycle, ReadinessChecks, Router, routing::get};
///
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// let lifecycle = Lifecycle::builder().build()?;
/// let checks = ReadinessChecks::new().check("cache", Duration::from_secs(1), ping);
/// let app: Router = Router::new().route("/ready", get(lifecycle.readiness_with(checks)));
/// # Ok::<(), followthrough::BuildError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "the checks do nothing until `readiness_with` has them"]
pub struct ReadinessChecks(Vec<Check>);

#[derive(Clone)]
struct Check {
    name: &'static str,
    start: Arc<dyn Fn() -> Checked + Send + Sync>,
    timeout: Duration,
    /// Whether it failed last time, so that the log has the changes only.
    fails: Arc<AtomicBool>,
}

impl ReadinessChecks {
    /// Returns no checks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, which is called anew for each probe, and fails if it returns an error, panics, or takes longer than
    /// `timeout`. All checks run at once. The answer has the names of the checks that fail; the log has their errors.
    ///
    /// # Panics
    ///
    /// Panics if `name` has a quote, a backslash or a control character, because it is a part of a JSON text.
    #[track_caller]
    pub fn check<F, E>(
        mut self,
        name: &'static str,
        timeout: Duration,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        assert!(
            !name.chars().any(|letter| matches!(letter, '"' | '\\') || letter.is_control()),
            "the name {name:?} of a check needs an escape in JSON: choose one of letters, digits and spaces"
        );
        let start = move || -> Checked {
            let checked = check();
            Box::pin(async move { checked.await.map_err(|error| error.to_string()) })
        };
        self.0.push(Check { name, start: Arc::new(start), timeout, fails: Arc::default() });
        self
    }

    /// Answers a probe.
    pub(super) async fn answer(&self, life: &ServiceState) -> Response {
        // A service that shuts down is not ready, whatever its checks say.
        if life.phase() != Phase::Running {
            return problem::readiness(false);
        }
        let mut running: Vec<_> = self.0.iter().map(|check| Some(Box::pin(check.run()))).collect();
        let mut failed = vec![false; running.len()];
        poll_fn(|cx| {
            for (check, failed) in running.iter_mut().zip(&mut failed) {
                if let Some(Poll::Ready(ended)) =
                    check.as_mut().map(|check| check.as_mut().poll(cx))
                {
                    (*failed, *check) = (!ended, None);
                }
            }
            if running.iter().any(Option::is_some) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        let names =
            self.0.iter().zip(failed).filter(|(_, failed)| *failed).map(|(check, _)| check.name);
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            problem::readiness(life.phase() == Phase::Running)
        } else {
            problem::not_ready(&names.join(", "))
        }
    }
}

impl Check {
    /// Runs the check, and logs a change. Returns whether it succeeded.
    async fn run(&self) -> bool {
        let checked = tokio::time::timeout(self.timeout, self.caught()).await;
        let checked =
            checked.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)));
        let failed_before = self.fails.swap(checked.is_err(), Ordering::Relaxed);
        match &checked {
            Err(error) if !failed_before => tracing::warn!(
                target: "followthrough",
                check = self.name,
                "not ready, because a check fails: {error:?}"
            ),
            Ok(()) if failed_before => tracing::info!(
                target: "followthrough",
                check = self.name,
                "a check of the readiness succeeds again"
            ),
            _ => {}
        }
        checked.is_ok()
    }

    /// Runs the check. A panic is its failure.
    async fn caught(&self) -> Result<(), String> {
        let mut running: Option<Checked> = None;
        poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                running.get_or_insert_with(|| (self.start)()).as_mut().poll(cx)
            }));
            polled.unwrap_or_else(|panic| Poll::Ready(Err(panic_message(&*panic).to_owned())))
        })
        .await
    }
}

impl std::fmt::Debug for ReadinessChecks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|check| check.name)).finish()
    }
}
