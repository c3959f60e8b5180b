//! What every clone of a [`Lifecycle`](super::Lifecycle) shares.
//!
//! Invariants:
//!
//! 1. The phase only advances, under the `phase` lock of the watch channel; `code` mirrors it
//!    for the hot path.
//! 2. An advance first publishes the phase and only then wakes. Whoever waits registers first
//!    and only then looks at the phase, so no advance is missed.
//! 3. A count goes down before the phase is read, and a drain publishes its phase before it reads
//!    the counts, all `SeqCst`: the last one out sees the drain, or the drain sees it gone.

use std::{
    io,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "lambda")]
use super::platform::TimeLeft;
use super::{
    Phase, Work,
    builder::Config,
    callers::Ignored,
    in_flight::{Registry, Sharded, shard_of_thread},
    report::{Cancellations, ShutdownReport},
    worker::Workers,
};
use crate::{cause::Cause, overrides::Deadlines, policy::HandlerPolicy, serve::Connections};

pub(crate) struct Life {
    pub(super) config: Config,
    pub(super) registry: Registry,
    pub(super) workers: Workers,
    pub(super) cancellations: Cancellations,
    ignored_deadlines: Ignored,
    pub(crate) connections: Connections,
    code: AtomicU8,
    phase: watch::Sender<Phase>,
    stopping: CancellationToken,
    grace_over: CancellationToken,
    /// A second signal came.
    pub(super) hurry: CancellationToken,
    timeline: OnceLock<Timeline>,
    requests: Sharded<Requests>,
    /// Something ended while the service drains.
    progress: Notify,
    /// What the drain let go of.
    pub(super) abandoned: OnceLock<Vec<Work>>,
    pub(super) report: OnceLock<ShutdownReport>,
    /// The report is there.
    pub(super) reported: CancellationToken,
    runtime: OnceLock<Handle>,
    /// Where a server of ours listens, and whether it still does.
    serving: OnceLock<String>,
    accepting: AtomicBool,
    /// A server or a layer has it.
    linked: AtomicBool,
}

/// How many lifecycles were built that neither a server nor a layer has.
static UNLINKED: AtomicUsize = AtomicUsize::new(0);

/// The requests of a few threads: how many there are, and a way to wake them.
#[derive(Debug, Default)]
struct Requests {
    count: AtomicUsize,
    wake: Arc<Notify>,
}

/// The instants of a shutdown, fixed when it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    pub(super) began: Instant,
    pub(super) workers_stop: Instant,
    pub(super) grace_over: Instant,
    pub(super) end: Instant,
}

impl Timeline {
    fn new(began: Instant, grace: Duration) -> Self {
        let last_moments = Duration::from_secs(1).min(grace / 2);
        let end = began + grace;
        let grace_over = end - last_moments;
        Self { began, workers_stop: (began + grace * 3 / 4).min(grace_over), grace_over, end }
    }
}

impl Life {
    /// What a request belongs to that no server or layer of ours has seen.
    pub(crate) fn unlinked() -> Arc<Self> {
        static UNLINKED: LazyLock<Arc<Life>> =
            LazyLock::new(|| Arc::new(Life::with(Config::default())));
        UNLINKED.clone()
    }

    fn with(config: Config) -> Self {
        Self {
            config,
            registry: Registry::default(),
            workers: Workers::default(),
            cancellations: Cancellations::default(),
            ignored_deadlines: Ignored::default(),
            connections: Connections::default(),
            code: AtomicU8::new(Phase::Running as u8),
            phase: watch::Sender::new(Phase::Running),
            stopping: CancellationToken::new(),
            grace_over: CancellationToken::new(),
            hurry: CancellationToken::new(),
            timeline: OnceLock::new(),
            requests: Sharded::default(),
            progress: Notify::new(),
            abandoned: OnceLock::new(),
            report: OnceLock::new(),
            reported: CancellationToken::new(),
            runtime: OnceLock::new(),
            serving: OnceLock::new(),
            accepting: AtomicBool::new(false),
            linked: AtomicBool::new(true),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_code(self.code.load(Ordering::Acquire))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase() == Phase::Ended
    }

    /// Who is to blame for a future that is dropped now.
    pub(crate) fn hung_up_by(&self) -> Cause {
        if self.has_ended() { Cause::ShuttingDown } else { Cause::ClientDisconnected }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.code.load(Ordering::Acquire) >= Phase::Stopping as u8
    }

    pub(crate) const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    pub(crate) const fn grace_over(&self) -> &CancellationToken {
        &self.grace_over
    }

    pub(crate) fn grace_over_at(&self) -> Option<Instant> {
        self.timeline.get().map(|timeline| timeline.grace_over)
    }

    pub(crate) const fn listens_for_signals(&self) -> bool {
        self.config.signals
    }

    pub(crate) const fn allows_half_close(&self) -> bool {
        self.config.half_close
    }

    pub(crate) const fn default_deadline(&self) -> Option<Duration> {
        self.config.default_deadline
    }

    /// How long the request may take by what came with it.
    #[inline]
    pub(crate) fn time_of_caller(&self, headers: &HeaderMap) -> Option<Duration> {
        self.config.callers.as_ref()?.read(headers, &self.ignored_deadlines)
    }

    /// What the platform that runs the process says about the request.
    #[cfg(feature = "lambda")]
    #[inline]
    pub(crate) fn time_of_platform(&self, said: &http::Extensions) -> Option<TimeLeft> {
        self.config.platform.read(said)
    }

    pub(super) fn ignored_deadlines(&self) -> u64 {
        self.ignored_deadlines.read()
    }

    /// The handler's own deadline, unless an operator has another one.
    #[inline]
    pub(crate) fn deadline_of(&self, policy: &'static HandlerPolicy) -> Option<Duration> {
        match &self.config.overridden {
            Some(overridden) => {
                overridden.of(policy).map(|(deadline, _)| deadline).or(policy.deadline())
            }
            None => policy.deadline(),
        }
    }

    /// The service's own deadline, and what has overridden it.
    pub(super) fn default_timing(&self) -> Option<(Duration, Option<&str>)> {
        Some((self.config.default_deadline?, self.config.default_by.as_deref()))
    }

    #[inline]
    pub(crate) const fn overridden(&self) -> Option<&Deadlines> {
        self.config.overridden.as_ref()
    }

    /// Whether there is nothing that a request would have to ask it.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.config.overridden.is_none() && !self.is_stopping()
    }

    pub(super) fn timeline(&self) -> Timeline {
        *self.timeline.get_or_init(|| Timeline::new(Instant::now(), self.config.grace))
    }

    /// Starts the clock of the shutdown; `false` if it runs already.
    pub(super) fn begin_timeline(&self) -> bool {
        self.timeline.set(Timeline::new(Instant::now(), self.config.grace)).is_ok()
    }

    /// Advances to `to`; what was passed by is not announced by itself.
    pub(crate) fn advance(&self, to: Phase) {
        let advanced = self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            if later {
                *phase = to;
                self.code.store(to as u8, Ordering::SeqCst);
            }
            later
        });
        if !advanced {
            return;
        }
        if to >= Phase::Stopping {
            self.stopping.cancel();
        }
        if to >= Phase::GraceOver {
            self.grace_over.cancel();
        }
        for requests in self.requests.iter() {
            requests.wake.notify_waiters();
        }
        self.connections.wake_all();
        self.progress.notify_waiters();
    }

    pub(crate) fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Waits until the phase is `at_least` this.
    pub(crate) async fn reached(&self, at_least: Phase) {
        let mut phase = self.watch_phase();
        // The sender lives as long as `self`.
        let _ = phase.wait_for(|phase| *phase >= at_least).await;
    }

    /// A request has come in; pass what this gives to [`request_left`](Self::request_left).
    pub(crate) fn request_came(&self) -> u16 {
        let shard = shard_of_thread();
        self.requests.get(shard).count.fetch_add(1, Ordering::SeqCst);
        shard
    }

    pub(crate) fn request_left(&self, shard: u16) {
        self.requests.get(shard).count.fetch_sub(1, Ordering::SeqCst);
        self.note_progress();
    }

    /// What wakes the requests of `shard` when the phase advances.
    pub(crate) fn wake_of(&self, shard: u16) -> Arc<Notify> {
        self.requests.get(shard).wake.clone()
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.iter().map(|shard| shard.count.load(Ordering::SeqCst)).sum()
    }

    /// Tells a drain that something has ended.
    pub(crate) fn note_progress(&self) {
        if self.code.load(Ordering::SeqCst) != Phase::Running as u8 {
            self.progress.notify_waiters();
        }
    }

    /// Waits until `done`, looking again whenever something ends.
    pub(super) async fn until(&self, done: impl Fn(&Self) -> bool) {
        loop {
            let mut progress = std::pin::pin!(self.progress.notified());
            progress.as_mut().enable();
            if done(self) {
                return;
            }
            progress.await;
        }
    }

    /// Whether no request, no durable work and no connection is left, and none can come.
    pub(super) fn has_drained(&self) -> bool {
        !self.accepting.load(Ordering::SeqCst)
            && self.requests() == 0
            && self.registry.is_empty()
            && self.connections.is_empty()
    }

    /// A user has built it, for a server to have.
    pub(super) fn built(config: Config) -> Arc<Self> {
        UNLINKED.fetch_add(1, Ordering::Relaxed);
        let life = Self::with(config);
        life.linked.store(false, Ordering::Relaxed);
        Arc::new(life)
    }

    /// A server or a layer has it.
    pub(crate) fn link(&self) {
        if !self.linked.swap(true, Ordering::Relaxed) {
            UNLINKED.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A server was given no lifecycle: says so if there is one that nobody has.
    pub(crate) fn forgotten() {
        if UNLINKED.load(Ordering::Relaxed) > 0 {
            tracing::warn!(
                target: "followthrough",
                "a lifecycle was built, and this server has another one: its readiness, workers and \
                 grace do nothing here. Write `serve(listener, app).lifecycle(lifecycle)`"
            );
        }
    }

    /// A server begins, at `place`. A lifecycle has one.
    pub(crate) fn begin_serving(&self, place: String) -> io::Result<()> {
        let refused = |why: String| Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        if self.has_ended() {
            return refused(format!(
                "this lifecycle has ended, so nothing can be served at {place}: build another one \
                 with `Lifecycle::builder()`"
            ));
        }
        match self.serving.set(place) {
            Ok(()) => {
                self.accepting.store(true, Ordering::SeqCst);
                Ok(())
            }
            Err(place) => refused(format!(
                "this lifecycle serves at {} already, so it cannot serve at {place}: give the \
                 second server a lifecycle of its own, or serve both routers on one listener",
                self.serving.get().map_or("another place", String::as_str)
            )),
        }
    }

    /// The server accepts no more.
    pub(crate) fn stopped_accepting(&self) {
        self.accepting.store(false, Ordering::SeqCst);
        self.note_progress();
    }

    /// Remembers the runtime that the service runs on.
    pub(crate) fn remember_runtime(&self) {
        if self.runtime.get().is_none() {
            let _ = Handle::try_current().map(|handle| self.runtime.set(handle));
        }
    }

    /// The runtime that the service runs on; before it serves, the one that asks.
    pub(super) fn runtime(&self) -> Option<Handle> {
        self.runtime.get().cloned().or_else(|| Handle::try_current().ok())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.link();
    }
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life")
            .field("phase", &self.phase())
            .field("requests", &self.requests())
            .field("in_flight", &self.registry.len())
            .finish_non_exhaustive()
    }
}
