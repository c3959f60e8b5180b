//! The settings of a lifecycle.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use axum::response::Response;

use super::{Carry, FailedWorker, OnWorkerExit};
#[cfg(feature = "lambda")]
use crate::deadlines::Platform;
use crate::{
    cause::Cancelled,
    deadlines::{CallerDeadlines, Deadlines},
    escaped::Escaped,
    handler_policy::HandlerPolicy,
    idempotency::KeyedWrites,
    panic_message::panic_message,
};

pub(crate) type OnCancelled =
    Arc<dyn Fn(&Cancelled, &HandlerPolicy) -> Option<Response> + Send + Sync>;

pub(crate) type WorkerHook = dyn Fn(&FailedWorker) -> OnWorkerExit + Send + Sync;

pub(crate) struct Config {
    pub(crate) grace: Duration,
    pub(crate) read_grace: Duration,
    pub(crate) drain_delay: Duration,
    pub(crate) max_durable_writes: usize,
    pub(crate) default_deadline: Option<Duration>,
    /// The override that `default_deadline` comes from.
    pub(crate) default_by: Option<String>,
    pub(crate) callers: Option<CallerDeadlines>,
    #[cfg(feature = "lambda")]
    pub(crate) platform: Platform,
    /// `None` if no deadline is overridden.
    pub(crate) overridden: Option<Deadlines>,
    /// Whether the metrics have the headroom of deadlines.
    pub(crate) deadline_headroom: bool,
    pub(crate) signals: bool,
    pub(crate) half_close: bool,
    pub(crate) on_cancelled: Option<OnCancelled>,
    pub(crate) on_worker_exit: Option<Box<WorkerHook>>,
    pub(crate) carry: Vec<Box<dyn Carry>>,
    /// The keyed writes, if the service has a store for them.
    pub(crate) keyed_writes: Option<Arc<KeyedWrites>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            read_grace: Duration::from_secs(5),
            drain_delay: Duration::ZERO,
            max_durable_writes: 4096,
            default_deadline: None,
            default_by: None,
            callers: None,
            #[cfg(feature = "lambda")]
            platform: Platform::default(),
            overridden: None,
            deadline_headroom: false,
            signals: true,
            half_close: false,
            on_cancelled: None,
            on_worker_exit: None,
            carry: Vec::new(),
            keyed_writes: None,
        }
    }
}

impl Config {
    /// Asks the hook what follows the failure of this worker. Without a hook it is `otherwise`.
    pub(crate) fn after_worker(
        &self,
        failed: &FailedWorker,
        otherwise: OnWorkerExit,
    ) -> OnWorkerExit {
        let Some(hook) = &self.on_worker_exit else { return otherwise };
        catch_unwind(AssertUnwindSafe(|| hook(failed))).unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            tracing::error!(target: "followthrough", "the `on_worker_exit` hook panicked: {}", Escaped(message));
            OnWorkerExit::default()
        })
    }
}
