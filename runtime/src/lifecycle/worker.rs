//! Background workers: named, told to stop after the requests have drained, and never gone
//! unnoticed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    panic_message::panic_message,
    service::{self, FailedWorker, OnWorkerExit, Phase, ServiceState},
    token::ShutdownToken,
};

/// A worker that [`Lifecycle::spawn`](super::Lifecycle::spawn) started. Dropping it changes
/// nothing: the worker runs on.
#[derive(Debug)]
pub struct Worker {
    life: Arc<ServiceState>,
    /// Where it is known; none if it never ran.
    key: Option<usize>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Worker {
    /// The worker's token fires with the signal, not after the requests have drained: for a
    /// worker that feeds requests, such as a consumer.
    #[must_use = "the worker runs with or without its handle; `let _ =` says so"]
    pub fn stop_first(self) -> Self {
        let key = self.key.unwrap_or(usize::MAX);
        self.life.workers.put_first(key);
        if self.life.phase() > Phase::Running {
            self.stop.cancel();
        }
        self
    }

    /// Tells this worker alone to stop. Its return is then no failure.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the worker has ended, however it did.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether it has ended, or never ran because the drain was over.
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
    // Made before the worker's own code runs, so that its entry goes whatever that does.
    let mut running = Running {
        life: life.clone(),
        key,
        name: name.to_owned(),
        stop: stop.clone(),
        _ended: ended.clone().drop_guard(),
        // If this panics, it is the caller who hears of it.
        reported: true,
    };
    let future = work(ShutdownToken::new(stop.clone(), life.clone()));
    running.reported = false;
    let task = running.run(future);
    match life.runtime() {
        Some(runtime) => drop(runtime.spawn(task)),
        None => drop(tokio::spawn(task)),
    }
    handle(Some(key))
}

struct Running {
    life: Arc<ServiceState>,
    key: usize,
    name: String,
    stop: CancellationToken,
    _ended: DropGuard,
    /// How it ended is known.
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
                    // Its destructor is its own code, too.
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
