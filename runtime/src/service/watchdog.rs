//! Keeps the bound of a drain whose runtime is blocked.
//!
//! The drain is a task of the runtime that serves. Handlers that block every thread of that runtime
//! keep the task, its timers and the signals from being polled. The watchdog is a thread with a
//! runtime of its own. When a step of the drain is due, it asks the serving runtime to run a small
//! task, and takes the step itself if the runtime does not, or if the drain has not taken it after all.
//!
//! Invariants:
//!
//! 1. A step is taken only when it is due by the real clock, and when the serving runtime runs no
//!    task or its own clock, which a test may have paused, says so as well.
//! 2. A step may be taken twice, by the drain and by the watchdog: phases only advance, a worker that
//!    was told stays told, and [`Ending`](super::ending::Ending) decides who names and who publishes.
//! 3. The thread ends with the server, because it waits for `served` besides everything else.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    time::{self, sleep, timeout},
};

use super::{drain, drain::LAST, phase::Phase, report::BlockedHandler, state::ServiceState};
use crate::{
    deadlines, polling,
    sync::{Arc, atomic::Ordering},
};

/// How much later than the drain itself the watchdog looks whether a step was taken.
const LATER: Duration = Duration::from_millis(50);
/// How long the runtime has to run a task, and the drain to take a step that is due.
const ANSWER: Duration = Duration::from_millis(200);
/// How often the watchdog looks at what the threads poll.
const LOOK: Duration = Duration::from_millis(250);
/// How long `serve` has to return once the report is there.
const RETURN: Duration = Duration::from_secs(1);

/// Starts the watchdog of a server that has begun to shut down, unless it has one.
pub(crate) fn ensure(life: &Arc<ServiceState>) {
    if !life.is_serving() || life.watched.swap(true, Ordering::AcqRel) {
        return;
    }
    let runtime = OwnRuntime::new(Builder::new_current_thread().enable_time());
    let started = runtime.and_then(|runtime| start(life, runtime, std::future::pending()));
    if let Err(error) = started {
        tracing::warn!(
            target: "followthrough",
            %error,
            "no thread watches this shutdown: handlers that block every thread can hold it longer than its grace"
        );
    }
}

/// The runtime of the watchdog's thread. It may be dropped within another runtime, which a runtime
/// by itself may not.
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(crate) fn new(builder: &mut Builder) -> io::Result<Self> {
        builder.build().map(|runtime| Self(Some(runtime)))
    }

    /// Runs `code` with its drivers.
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
    /// Starts the watchdog of a server that begins when its shutdown has begun already.
    pub(crate) fn watch_late(self: &Arc<Self>) {
        if self.phase() > Phase::Running {
            ensure(self);
        }
    }

    /// Starts the watchdog of a server, with `beside` on its thread.
    pub(crate) fn watch_with(
        self: &Arc<Self>,
        runtime: OwnRuntime,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let watched = self.watched.swap(true, Ordering::AcqRel);
        let started = start(self, runtime, beside);
        if started.is_err() {
            self.watched.store(watched, Ordering::Release);
        }
        started
    }
}

fn start(
    life: &Arc<ServiceState>,
    runtime: OwnRuntime,
    beside: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
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
        hurried: false,
        unanswered: false,
        said: false,
        threads: Threads::default(),
    };
    tokio::select! {
        biased;
        () = life.ending.reported().cancelled() => {}
        () = watch.drain() => {}
    }
    sleep(RETURN).await;
    if watch.unanswered {
        tracing::error!(
            target: "followthrough",
            "the shutdown is over and its report is there, but `serve` cannot return, because the \
             thread that awaits it is blocked: await it in `main` on a multi-thread runtime, and move \
             what blocks into `tokio::task::spawn_blocking`"
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
    /// A second signal came: every step is due.
    hurried: bool,
    /// The serving runtime has left a task waiting.
    unanswered: bool,
    /// The handlers that block were named.
    said: bool,
    threads: Threads,
}

impl Watch {
    async fn drain(&mut self) {
        for step in steps(&self.life) {
            self.wait_for(step.due).await;
            while !(step.is_taken)(&self.life) {
                if self.is_stuck(&step).await {
                    self.name_what_blocks();
                    let life = &self.life;
                    life.within_runtime(|| (step.take)(life));
                }
            }
        }
    }

    /// Waits until shortly after `due` by the real clock, or for a second signal.
    async fn wait_for(&mut self, due: time::Instant) {
        let timeline = self.life.timeline();
        let due = timeline.began_really + due.saturating_duration_since(timeline.began) + LATER;
        while !self.hurried {
            self.threads.look();
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = self.life.skip_to_end.cancelled() => {
                    self.hurried = true;
                    sleep(LATER).await;
                }
                () = sleep(left.min(LOOK)) => {}
            }
        }
    }

    /// Whether the drain does not take `step` by itself.
    async fn is_stuck(&mut self, step: &Step) -> bool {
        let (tell, told) = oneshot::channel();
        drop(self.serving.spawn(async move { tell.send(time::Instant::now()) }));
        self.threads.look();
        let answer = timeout(ANSWER, told).await;
        self.threads.look();
        let is_due = match answer {
            Ok(Ok(now)) => {
                sleep(ANSWER / 2).await;
                self.hurried || now >= step.due
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

    /// Says once what blocks the runtime, and keeps it for the report.
    fn name_what_blocks(&mut self) {
        if !self.unanswered {
            return;
        }
        let blocked = self.threads.blocked();
        self.life.note_blocked(blocked.clone());
        if std::mem::replace(&mut self.said, true) {
            return;
        }
        for handler in &blocked {
            tracing::error!(
                target: "followthrough",
                handler = handler.handler,
                location = handler.location,
                "blocks a thread of the runtime while the service shuts down: {handler}"
            );
        }
        if blocked.is_empty() {
            tracing::error!(
                target: "followthrough",
                "every thread of the runtime is blocked while the service shuts down, and by no governed \
                 handler: look for blocking calls in middleware, in handlers without a policy and in tasks"
            );
        }
    }
}

/// The steps of a drain at the latest, and its report at the end of them.
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
            // For the drain's own task, should it come to itself.
            drain::skip_to_end(life);
        }),
        Step::new(
            timeline.end + LAST,
            |life| life.ending.reported().is_cancelled(),
            |life| {
                life.lap(|phases| &mut phases.cutting);
                drain::publish(life);
            },
        ),
    ]
}

/// The handler that each thread polls, and since when at the latest.
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

    /// The handlers whose poll has not ended while the runtime left a task waiting.
    fn blocked(&self) -> Vec<BlockedHandler> {
        let known = deadlines::all();
        let of = |(at, since): &(usize, Option<Instant>)| {
            let at_least = since.map(|since| since.elapsed()).filter(|time| *time >= ANSWER)?;
            let policy = known.iter().find(|policy| polling::address(policy) == *at)?;
            Some(BlockedHandler::new(policy, at_least))
        };
        self.0.iter().filter_map(of).collect()
    }
}
