//! A worker that ended before it was told to stop.

use std::fmt;

use serde::Serialize;

/// How a worker ended that had not been told to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailedWorker {
    /// Its name.
    pub worker: String,
    /// What it panicked with; none if it returned.
    pub panic: Option<String>,
    /// Whether it was dropped, with the runtime that it ran on.
    pub dropped: bool,
}

impl fmt::Display for FailedWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.panic {
            Some(panic) => write!(f, "{} panicked: {panic}", self.worker),
            None if self.dropped => write!(f, "{} was dropped with its runtime", self.worker),
            None => write!(f, "{} returned before it was told to stop", self.worker),
        }
    }
}

/// What becomes of the service when a worker has failed:
/// [`LifecycleBuilder::on_worker_exit`](crate::LifecycleBuilder::on_worker_exit) decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnWorkerExit {
    /// It shuts down, for whoever restarts it to start it whole.
    #[default]
    ShutDown,
    /// It goes on without the worker. The report names the worker all the same, and the exit code
    /// is 1: a task that is meant to end is none, but for `tokio::spawn`.
    KeepServing,
}
