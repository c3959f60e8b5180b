//! Background workers: they have names, are told to stop after the requests have drained, and are reported if they
//! end early.
//!
//! Invariants:
//!
//! 1. A worker is entered in the list before its own code runs, and leaves the list when its future is dropped,
//!    because the drain waits for the list.
//! 2. A worker's end is reported once, because `reported` is set before the report, and `Drop` reports only
//!    without it.
//! 3. `ended` fires after the worker has left the list, because the fields of `Running` are dropped after its
//!    `Drop`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    panic_message::panic_message,
    service::{self, FailedWorker, OnWorkerExit, Phase, ServiceState, spawn_boxed},
    token::ShutdownToken,
};

/// The handle of a worker that [`Lifecycle::spawn`](super::Lifecycle::spawn) started. Dropping the handle does not
/// stop the worker.
#[derive(Debug)]
pub struct Worker {
    life: Arc<ServiceState>,
    /// The worker's key in the list; `None` if it never ran.
    key: Option<usize>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Worker {
    /// Makes the worker's token fire at the signal instead of after the requests have drained, for a worker that
    /// feeds requests, such as a consumer.
    #[must_use = "the worker runs with or without its handle; `let _ =` says so"]
    pub fn stop_first(self) -> Self {
        let key = self.key.unwrap_or(usize::MAX);
        self.life.workers.stop_first(key);
        if self.life.phase() > Phase::Running {
            self.stop.cancel();
        }
        self
    }

    /// Tells only this worker to stop. Its return is not a failure then.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the worker has ended, in success, a panic or an abort.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Returns whether the worker has ended, or never ran because the drain was over.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }
}

pub(super) fn spawn<W, F>(life: &Arc<ServiceState>, name: &str, work: W) -> Worker
where
    W: FnOnce(ShutdownToken) -> F,
    F: Future<Output: Send> + Send + 'static,
{
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let handle = |key| Worker { life: life.clone(), key, stop: stop.clone(), ended: ended.clone() };
    if life.has_ended() {
        tracing::error!(
            target: "followthrough",
            worker = name,
            "worker not started: the drain of its lifecycle is over, and nothing would wait for it. \
             Spawn it before the shutdown, or with a lifecycle of its own"
        );
        ended.cancel();
        return handle(None);
    }
    let key = life.workers.enter(name.to_owned(), stop.clone());
    // Invariant 1. A panic of `work` drops it.
    let mut running = Running {
        life: life.clone(),
        key,
        name: name.to_owned(),
        stop: stop.clone(),
        _ended: ended.clone().drop_guard(),
        // A panic of `work` reaches the caller, so it is not reported.
        reported: true,
    };
    let future = work(ShutdownToken::new(stop.clone(), life.clone()));
    running.reported = false;
    let task = Box::pin(running.run(future));
    drop(spawn_boxed(&life.runtime().unwrap_or_else(Handle::current), task));
    handle(Some(key))
}

struct Running {
    life: Arc<ServiceState>,
    key: usize,
    name: String,
    stop: CancellationToken,
    _ended: DropGuard,
    /// The end of the worker was reported, or needs no report.
    reported: bool,
}

impl Running {
    async fn run<F: Future>(mut self, work: F) {
        let mut work = Box::pin(Some(work));
        let guarded = std::future::poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                let ready = match work.as_mut().as_pin_mut() {
                    Some(work) => work.poll(cx).is_ready(),
                    None => true,
                };
                if ready {
                    // The destructor is also the worker's own code.
                    work.set(None);
                }
                ready
            }));
            match polled {
                Ok(false) => Poll::Pending,
                Ok(true) => Poll::Ready(Ok(())),
                Err(panic) => Poll::Ready(Err(panic_message(&*panic).to_owned())),
            }
        });
        tokio::select! {
            biased;
            end = guarded => self.report(end),
            () = self.life.reached(Phase::Ended) => self.reported = true,
        }
    }

    fn report(&mut self, end: Result<(), String>) {
        self.reported = true;
        if end.is_ok() && self.stop.is_cancelled() {
            return;
        }
        let (worker, panic) = (self.name.clone(), end.err());
        self.failed(FailedWorker { worker, panic, dropped: false });
    }

    fn failed(&self, failed: FailedWorker) {
        let next = self.life.config.after_worker(&failed);
        let shuts_down = next == OnWorkerExit::ShutDown;
        let then = if shuts_down { "shutting down" } else { "serving on without it" };
        tracing::error!(target: "followthrough", worker = %self.name, "worker failed, {then}: {failed}");
        self.life.workers.note_failed(failed);
        if shuts_down {
            service::begin(&self.life);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reported && !self.life.has_ended() {
            let worker = self.name.clone();
            self.failed(FailedWorker { worker, panic: None, dropped: true });
        }
        self.life.workers.leave(self.key);
        self.life.note_progress();
    }
}
