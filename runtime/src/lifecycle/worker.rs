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
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};
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

/// The pause before a worker is started again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// A worker that has run for this long before it fails is started again after the first pause.
const RECOVERED: Duration = Duration::from_secs(60);

pub(super) fn spawn<W, F>(life: &Arc<ServiceState>, name: &str, work: W) -> Worker
where
    W: FnOnce(ShutdownToken) -> F,
    F: Future<Output: Send> + Send + 'static,
{
    enter(life, name, |running, token| {
        // A panic of `work` drops `running`. It reaches the caller, so it is not reported.
        let future = work(token);
        running.run(future)
    })
}

pub(super) fn spawn_restartable<W, F>(life: &Arc<ServiceState>, name: &str, work: W) -> Worker
where
    W: FnMut(ShutdownToken) -> F + Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    enter(life, name, |running, token| running.run_again_and_again(token, work))
}

/// Enters a worker in the list, and spawns the task that `task` returns.
fn enter<F>(
    life: &Arc<ServiceState>,
    name: &str,
    task: impl FnOnce(Running, ShutdownToken) -> F,
) -> Worker
where
    F: Future<Output = ()> + Send + 'static,
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
    // Invariant 1.
    let running = Running {
        life: life.clone(),
        key,
        name: name.to_owned(),
        stop: stop.clone(),
        _ended: ended.clone().drop_guard(),
        reported: true,
    };
    let task = Box::pin(task(running, ShutdownToken::new(stop.clone(), life.clone())));
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

/// Runs `work` to its end. Returns the message of its panic as an error.
fn guarded<F: Future>(work: F) -> impl Future<Output = Result<(), String>> {
    let mut work = Box::pin(Some(work));
    std::future::poll_fn(move |cx| {
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
    })
}

impl Running {
    /// Runs `work` once.
    fn run<F: Future>(mut self, work: F) -> impl Future<Output = ()> {
        self.reported = false;
        async move {
            let Some(failed) = self.until_its_end(work).await else { return };
            let next = self.life.config.after_worker(&failed, OnWorkerExit::default());
            if next == OnWorkerExit::Restart {
                tracing::error!(
                    target: "followthrough",
                    worker = %self.name,
                    "a worker that was spawned with `spawn` cannot be started again: spawn it with `spawn_restartable`"
                );
            }
            self.failed(failed, next);
        }
    }

    /// Runs `work`, and runs it again after a pause whenever it fails.
    fn run_again_and_again<F: Future>(
        mut self,
        token: ShutdownToken,
        mut work: impl FnMut(ShutdownToken) -> F,
    ) -> impl Future<Output = ()> {
        self.reported = false;
        async move {
            let mut pause = PAUSES.0;
            loop {
                let began = Instant::now();
                // A panic of `work` itself is a failure as well.
                let once = async { work(token.clone()).await };
                let Some(failed) = self.until_its_end(once).await else { return };
                let next = self.life.config.after_worker(&failed, OnWorkerExit::Restart);
                if next != OnWorkerExit::Restart {
                    return self.failed(failed, next);
                }
                // A worker that was told to stop is not started again.
                if self.stop.is_cancelled() {
                    return self.failed(failed, OnWorkerExit::KeepServing);
                }
                if began.elapsed() >= RECOVERED {
                    pause = PAUSES.0;
                }
                tracing::error!(
                    target: "followthrough",
                    worker = %self.name,
                    "worker failed, starting again in {pause:?}: {failed}"
                );
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                self.life.workers.note_restart();
                pause = (pause * 2).min(PAUSES.1);
                self.reported = false;
            }
        }
    }

    /// Runs `work` until it or the drain ends. Returns its failure, if it failed.
    async fn until_its_end<F: Future>(&mut self, work: F) -> Option<FailedWorker> {
        let end = tokio::select! {
            biased;
            end = guarded(work) => Some(end),
            () = self.life.reached(Phase::Ended) => None,
        };
        self.reported = true;
        let end = end?;
        if end.is_ok() && self.stop.is_cancelled() {
            return None;
        }
        Some(FailedWorker { worker: self.name.clone(), panic: end.err(), dropped: false })
    }

    fn failed(&self, failed: FailedWorker, next: OnWorkerExit) {
        let serves_on = next == OnWorkerExit::KeepServing;
        let then = if serves_on { "serving on without it" } else { "shutting down" };
        tracing::error!(target: "followthrough", worker = %self.name, "worker failed, {then}: {failed}");
        self.life.workers.note_failed(failed);
        if !serves_on {
            service::begin(&self.life);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reported && !self.life.has_ended() {
            let worker = self.name.clone();
            let failed = FailedWorker { worker, panic: None, dropped: true };
            let next = self.life.config.after_worker(&failed, OnWorkerExit::default());
            self.failed(failed, next);
        }
        self.life.workers.leave(self.key);
        self.life.note_progress();
    }
}
