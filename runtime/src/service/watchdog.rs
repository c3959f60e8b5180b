//! Ends a drain in time although its runtime is blocked.
//!
//! The drain is a task of the serving runtime. Handlers that block every thread of that runtime
//! keep the task, its timers and the signals from being polled. The watchdog is a thread with a
//! runtime of its own. When a step of the drain is due, it spawns a small task on the serving runtime. It takes
//! the step itself if that task does not run, or if the task runs and the drain still does not take the step.
//!
//! Invariants:
//!
//! 1. The watchdog takes a step only when the step is due by the real clock. While the serving runtime runs tasks,
//!    the step has to be due by that runtime's clock, too, because a test may have paused it.
//! 2. The drain and the watchdog may both take a step, because a step that is taken twice has the effect of one:
//!    phases only advance, the token of a worker stays fired, and [`Ending`](super::ending::Ending) lets one
//!    thread log the work that is left and one publish the report.
//! 3. The thread ends with the server, because it always waits for `served`, too.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    time::{self, sleep, timeout},
};

use super::{
    blocked_handler::BlockedHandler,
    drain,
    drain::CUTTING_TIMEOUT,
    phase::Phase,
    spawn::{BoxFuture, spawn_boxed},
    state::ServiceState,
};
use crate::{
    deadlines, polling,
    sync::{Arc, atomic::Ordering},
};

/// How long after a step is due the watchdog checks that the drain has taken it.
const STEP_MARGIN: Duration = Duration::from_millis(50);
/// How long the runtime has to run a task, and the drain to take a step that is due.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(200);
/// How often the watchdog samples which handlers the threads poll.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
/// How long `serve` has to return after the report is published.
const RETURN_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts the watchdog of a server that has begun to shut down, unless it has one.
pub(crate) fn ensure(life: &Arc<ServiceState>) {
    if !life.is_serving() || life.watched.swap(true, Ordering::AcqRel) {
        return;
    }
    let runtime = OwnRuntime::new(Builder::new_current_thread().enable_time());
    let started =
        runtime.and_then(|runtime| start(life, runtime, Box::pin(std::future::pending())));
    if let Err(error) = started {
        tracing::warn!(
            target: "followthrough",
            %error,
            "the watchdog thread could not start: handlers that block every thread can make this shutdown \
             longer than its grace"
        );
    }
}

/// The runtime of the watchdog's thread. Unlike a plain runtime, it may be dropped within another runtime.
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(crate) fn new(builder: &mut Builder) -> io::Result<Self> {
        builder.build().map(|runtime| Self(Some(runtime)))
    }

    /// Runs `code` within the runtime, so that timers and sockets register with it.
    pub(crate) fn within<T>(&self, code: impl FnOnce() -> T) -> T {
        let _within = self.0.as_ref().map(Runtime::enter);
        code()
    }

    fn run(&self, future: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(future);
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl ServiceState {
    /// Starts the watchdog of a server if its shutdown has begun before the server did.
    pub(crate) fn watch_late(self: &Arc<Self>) {
        if self.phase() > Phase::Running {
            ensure(self);
        }
    }

    /// Starts the watchdog of a server, which polls `beside` on its thread.
    pub(crate) fn watch_with(
        self: &Arc<Self>,
        runtime: OwnRuntime,
        beside: BoxFuture,
    ) -> io::Result<()> {
        let watched = self.watched.swap(true, Ordering::AcqRel);
        let started = start(self, runtime, beside);
        if started.is_err() {
            self.watched.store(watched, Ordering::Release);
        }
        started
    }
}

fn start(life: &Arc<ServiceState>, runtime: OwnRuntime, beside: BoxFuture) -> io::Result<()> {
    let life = life.clone();
    let run = async move {
        tokio::select! {
            biased;
            () = life.served.cancelled() => {}
            () = beside => {}
            () = watch(&life) => {}
        }
    };
    let run = move || runtime.run(run);
    thread::Builder::new().name("followthrough".to_owned()).spawn(run).map(drop)
}

/// Watches the drain until the server is gone.
async fn watch(life: &Arc<ServiceState>) {
    life.reached(Phase::NotReady).await;
    let Some(serving) = life.runtime() else { return std::future::pending().await };
    let mut watch = Watch {
        life: life.clone(),
        serving,
        skips_waits: false,
        unanswered: false,
        logged: false,
        threads: Threads::default(),
    };
    tokio::select! {
        biased;
        () = life.ending.reported().cancelled() => {}
        () = watch.drain() => {}
    }
    sleep(RETURN_TIMEOUT).await;
    if watch.unanswered {
        tracing::error!(
            target: "followthrough",
            "the shutdown is over, but `serve` cannot return, because the thread that awaits it is \
             blocked: await `serve` in `main` on a multi-thread runtime, and move blocking code into \
             `tokio::task::spawn_blocking`"
        );
    }
    std::future::pending::<()>().await;
}

/// One step of a drain.
struct Step {
    /// By the clock of the serving runtime.
    due: time::Instant,
    is_taken: fn(&ServiceState) -> bool,
    take: fn(&ServiceState),
}

impl Step {
    const fn new(
        due: time::Instant,
        is_taken: fn(&ServiceState) -> bool,
        take: fn(&ServiceState),
    ) -> Self {
        Self { due, is_taken, take }
    }
}

struct Watch {
    life: Arc<ServiceState>,
    serving: Handle,
    /// Whether a second signal has come, which makes every step due.
    skips_waits: bool,
    /// Whether the serving runtime has not run a task in time.
    unanswered: bool,
    /// Whether the blocking handlers are logged.
    logged: bool,
    threads: Threads,
}

impl Watch {
    async fn drain(&mut self) {
        for step in steps(&self.life) {
            self.wait_for(step.due).await;
            while !(step.is_taken)(&self.life) {
                if self.is_stuck(&step).await {
                    self.note_blocked();
                    let life = &self.life;
                    life.within_runtime(|| (step.take)(life));
                }
            }
        }
    }

    /// Waits until shortly after `due` by the real clock, or for a second signal.
    async fn wait_for(&mut self, due: time::Instant) {
        let timeline = self.life.timeline();
        let due =
            timeline.began_really + due.saturating_duration_since(timeline.began) + STEP_MARGIN;
        while !self.skips_waits {
            self.threads.look();
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = self.life.skip_to_end.cancelled() => {
                    self.skips_waits = true;
                    sleep(STEP_MARGIN).await;
                }
                () = sleep(left.min(SAMPLE_INTERVAL)) => {}
            }
        }
    }

    /// Returns whether the drain does not take `step` by itself.
    async fn is_stuck(&mut self, step: &Step) -> bool {
        let (tell, told) = oneshot::channel();
        let task = Box::pin(async move {
            let _ = tell.send(time::Instant::now());
        });
        drop(spawn_boxed(&self.serving, task));
        self.threads.look();
        let answer = timeout(RESPONSE_TIMEOUT, told).await;
        self.threads.look();
        let is_due = match answer {
            Ok(Ok(now)) => {
                sleep(RESPONSE_TIMEOUT / 2).await;
                self.skips_waits || now >= step.due
            }
            // The runtime is gone, and the drain's task with it.
            Ok(Err(_)) => true,
            Err(_) => {
                self.unanswered |= !(step.is_taken)(&self.life);
                true
            }
        };
        is_due && !(step.is_taken)(&self.life)
    }

    /// Keeps the handlers that block the runtime for the report, and logs them once.
    fn note_blocked(&mut self) {
        if !self.unanswered {
            return;
        }
        let blocked = self.threads.blocked();
        self.life.note_blocked(blocked.clone());
        if std::mem::replace(&mut self.logged, true) {
            return;
        }
        for handler in &blocked {
            tracing::error!(
                target: "followthrough",
                handler = handler.handler,
                location = handler.location,
                "a handler blocks a thread of the runtime during the shutdown: {handler}"
            );
        }
        if blocked.is_empty() {
            tracing::error!(
                target: "followthrough",
                "every thread of the runtime is blocked during the shutdown, but by no governed \
                 handler: look for blocking calls in middleware, in handlers without a policy and in tasks"
            );
        }
    }
}

/// Returns the steps of a drain with the latest time of each. The last step publishes the report.
fn steps(life: &ServiceState) -> [Step; 6] {
    let (timeline, config) = (life.timeline(), &life.config);
    let closing = (timeline.began + config.drain_delay).min(timeline.end);
    let stopping = (closing + config.read_grace).min(timeline.grace_over);
    [
        Step::new(
            closing,
            |life| life.phase() >= Phase::Closing,
            |life| {
                life.lap(|phases| &mut phases.not_ready);
                life.advance(Phase::Closing);
            },
        ),
        Step::new(
            stopping,
            |life| life.phase() >= Phase::Stopping,
            |life| {
                life.lap(|phases| &mut phases.closing);
                life.advance(Phase::Stopping);
            },
        ),
        Step::new(
            timeline.workers_stop,
            |life| life.workers.are_stopped(),
            |life| {
                life.lap(|phases| &mut phases.stopping);
                life.workers.stop(false);
            },
        ),
        Step::new(
            timeline.grace_over,
            |life| life.phase() >= Phase::GraceOver,
            |life| {
                life.lap(|phases| &mut phases.workers);
                life.end_grace();
            },
        ),
        Step::new(timeline.end, ServiceState::has_ended, |life| {
            life.lap(|phases| &mut phases.last_moments);
            drain::abandon_all(life);
            // If the drain's own task is polled again, it has nothing left to wait for.
            drain::skip_to_end(life);
        }),
        Step::new(
            timeline.end + CUTTING_TIMEOUT,
            |life| life.ending.reported().is_cancelled(),
            |life| {
                life.lap(|phases| &mut phases.cutting);
                drain::publish(life);
            },
        ),
    ]
}

/// The address of the policy that each thread polls, and the first sample that saw it there.
#[derive(Default)]
struct Threads(Vec<(usize, Option<Instant>)>);

impl Threads {
    fn look(&mut self) {
        let now = Instant::now();
        for (thread, policy) in polling::polled().enumerate() {
            match self.0.get_mut(thread) {
                Some(seen) if seen.0 == policy => {}
                Some(seen) => *seen = (policy, Some(now)),
                None => self.0.push((policy, Some(now))),
            }
        }
    }

    /// Returns the handlers whose poll has lasted at least [`RESPONSE_TIMEOUT`].
    fn blocked(&self) -> Vec<BlockedHandler> {
        let known = deadlines::all();
        let of = |(at, since): &(usize, Option<Instant>)| {
            let at_least =
                since.map(|since| since.elapsed()).filter(|time| *time >= RESPONSE_TIMEOUT)?;
            let policy = known.iter().find(|policy| polling::address(policy) == *at)?;
            Some(BlockedHandler::new(policy, at_least))
        };
        self.0.iter().filter_map(of).collect()
    }
}
