//! A worker that ended before it was told to stop.

use std::fmt;

use crate::{escaped::Escaped, serialize::serialize};

/// A worker that ended before it was told to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedWorker {
    /// The worker's name.
    pub worker: String,
    /// The message of its panic; `None` if it returned or was dropped.
    pub panic: Option<String>,
    /// Whether it was dropped with the runtime that it ran on.
    pub dropped: bool,
}

serialize!(FailedWorker { worker, panic, dropped });

impl fmt::Display for FailedWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.panic {
            Some(panic) => write!(f, "{} panicked: {}", self.worker, Escaped(panic)),
            None if self.dropped => write!(f, "{} was dropped with its runtime", self.worker),
            None => write!(f, "{} returned before it was told to stop", self.worker),
        }
    }
}

/// The decision of [`LifecycleBuilder::on_worker_exit`](crate::LifecycleBuilder::on_worker_exit) after a worker
/// has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnWorkerExit {
    /// The service shuts down, so that its supervisor starts it again with all workers.
    #[default]
    ShutDown,
    /// The service goes on without the worker. The report still names the worker, and the exit code is 1. Tasks
    /// that are meant to finish are not workers; use [`Lifecycle::track`](crate::Lifecycle::track).
    KeepServing,
    /// The worker is started again, 100 ms after its first failure, and after twice as long each time up to 30 s. A
    /// worker that has run for a minute counts as recovered. This needs
    /// [`Lifecycle::spawn_restartable`](crate::Lifecycle::spawn_restartable), whose workers are started again by
    /// default; for another worker the service shuts down.
    Restart,
}
