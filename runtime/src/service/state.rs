//! The state that every clone of a [`Lifecycle`](crate::Lifecycle) shares. A drain and the requests
//! synchronise in [`DrainState`].
//!
//! ```text
//! Running ─ shutdown ▶ NotReady ─ drain_delay ▶ Closing ─ read_grace ▶ Stopping ─ grace ▶ GraceOver ▶ Ended
//!            probes say 503     no more accepts,        reads end with 503,   durable       what is left is
//!                               streams end             then workers stop     tokens fire   named and dropped
//! ```
//!
//! Invariants:
//!
//! 1. Each cell (`timeline`, `runtime`, `serving`) is set once and read often; the first value stays.
//! 2. [`UNLINKED`] counts each lifecycle that was built until it is linked or dropped, because only the swap that
//!    sets `linked` takes it off the count.
//! 3. No other lock is taken while that of `laps` or `blocked` is held.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use tokio::{runtime::Handle, sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    blocked_handler::BlockedHandler,
    compensation_counts::CompensationTally,
    config::Config,
    connections::{Connections, lock},
    drain_state::DrainState,
    ending::Ending,
    in_flight::{Ended, Registry},
    observer::WorkEnded,
    observers::Observers,
    outbox::Relays,
    phase::Phase,
    report::{Cancellations, PhaseDurations, ShutdownReport},
    timeline::Timeline,
    work::InFlightWork,
    workers::Workers,
};
#[cfg(feature = "lambda")]
use crate::deadlines::TimeLeft;
use crate::{
    cause::Cause,
    deadlines::{Deadlines, Ignored},
    handler_policy::{HandlerPolicy, Place},
    repeated::RepeatedEvents,
};

pub(crate) struct ServiceState {
    pub(crate) config: Config,
    pub(crate) registry: Registry,
    pub(crate) workers: Workers,
    pub(crate) cancellations: Cancellations,
    pub(crate) observers: Observers,
    pub(crate) relays: Relays,
    pub(crate) compensations: CompensationTally,
    /// The log events that clients can repeat.
    pub(crate) events: RepeatedEvents,
    ignored_deadlines: Ignored,
    pub(crate) connections: Connections,
    pub(crate) drain_state: DrainState,
    /// Fires at a second signal.
    pub(crate) skip_to_end: CancellationToken,
    timeline: OnceLock<Timeline>,
    /// The work that the drain abandoned, and its report.
    pub(crate) ending: Ending<Vec<InFlightWork>, ShutdownReport>,
    /// When the last phase ended, and the durations of the phases until then.
    laps: Mutex<(Option<Instant>, PhaseDurations)>,
    /// The handlers that block the runtime.
    blocked: Mutex<Vec<BlockedHandler>>,
    /// Whether the watchdog runs, or is being started.
    pub(crate) watched: AtomicBool,
    /// Fires when the server is gone.
    pub(crate) served: CancellationToken,
    runtime: OnceLock<Handle>,
    /// The address at which `serve` listens, or listened.
    pub(super) serving: OnceLock<String>,
    /// Whether a server or a layer uses it.
    linked: AtomicBool,
    /// Whether it stands in for the lifecycle of requests that have none.
    stands_in: bool,
}

/// The number of lifecycles that a user has built and that no server and no layer uses.
static UNLINKED: AtomicUsize = AtomicUsize::new(0);

impl ServiceState {
    /// Makes a stand-in for requests without a lifecycle.
    pub(crate) fn stand_in(config: Config) -> Self {
        let mut life = Self::with(config);
        life.stands_in = true;
        life
    }

    fn with(config: Config) -> Self {
        Self {
            config,
            registry: Registry::default(),
            workers: Workers::default(),
            cancellations: Cancellations::default(),
            observers: Observers::default(),
            relays: Relays::default(),
            compensations: CompensationTally::default(),
            events: RepeatedEvents::default(),
            ignored_deadlines: Ignored::default(),
            connections: Connections::default(),
            drain_state: DrainState::default(),
            skip_to_end: CancellationToken::new(),
            timeline: OnceLock::new(),
            ending: Ending::default(),
            laps: Mutex::default(),
            blocked: Mutex::default(),
            watched: AtomicBool::new(false),
            served: CancellationToken::new(),
            runtime: OnceLock::new(),
            serving: OnceLock::new(),
            linked: AtomicBool::new(true),
            stands_in: false,
        }
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.drain_state.phase()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase() == Phase::Ended
    }

    /// Returns the cause of a drop that happens now: the end of the drain, or else the client.
    pub(crate) fn hung_up_by(&self) -> Cause {
        if self.has_ended() { Cause::ShuttingDown } else { Cause::ClientDisconnected }
    }

    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.drain_state.is_stopping()
    }

    pub(crate) const fn stopping(&self) -> &CancellationToken {
        self.drain_state.stopping()
    }

    pub(crate) const fn grace_over(&self) -> &CancellationToken {
        self.drain_state.grace_over()
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

    /// Returns the time that the caller of the request allows it, by its headers.
    #[inline]
    pub(crate) fn time_of_caller(&self, headers: &HeaderMap) -> Option<Duration> {
        self.config.callers.as_ref()?.read(headers, &self.ignored_deadlines)
    }

    /// Returns the time that the platform allows the request.
    #[cfg(feature = "lambda")]
    #[inline]
    pub(crate) fn time_of_platform(&self, said: &http::Extensions) -> Option<TimeLeft> {
        self.config.platform.read(said)
    }

    pub(crate) fn ignored_deadlines(&self) -> u64 {
        self.ignored_deadlines.read()
    }

    /// Logs the last counts of the events that clients have repeated.
    pub(crate) fn flush_events(&self) {
        self.events.flush();
        self.ignored_deadlines.flush();
        self.observers.flush_log();
    }

    /// Returns the deadline that an operator has set for the handler, or else the handler's own.
    #[inline]
    pub(crate) fn deadline_of(&self, policy: &'static HandlerPolicy) -> Option<Duration> {
        let overridden =
            self.config.overridden.as_ref().and_then(|overridden| overridden.of(policy));
        overridden.map_or(policy.deadline(), |(deadline, _)| Some(deadline))
    }

    /// Returns the default deadline of the service, and the override that it comes from, if any.
    pub(crate) fn default_timing(&self) -> Option<(Duration, Option<&str>)> {
        Some((self.config.default_deadline?, self.config.default_by.as_deref()))
    }

    #[inline]
    pub(crate) const fn overridden(&self) -> Option<&Deadlines> {
        self.config.overridden.as_ref()
    }

    pub(crate) fn timeline(&self) -> Timeline {
        *self.timeline.get_or_init(|| Timeline::new(Instant::now(), self.config.grace))
    }

    /// Takes over the timeline of another drain, to end with it.
    pub(crate) fn follow_timeline(&self, timeline: Timeline) {
        let _ = self.timeline.set(timeline);
    }

    /// Fixes the timeline of the shutdown. Returns `false` if the shutdown has begun already.
    pub(crate) fn begin_timeline(&self) -> bool {
        self.timeline.set(Timeline::new(Instant::now(), self.config.grace)).is_ok()
    }

    /// Adds the time since the last lap, of the phase that ends now, to the field that `of` picks.
    pub(crate) fn lap(&self, of: fn(&mut PhaseDurations) -> &mut Duration) {
        let mut laps = lock(&self.laps);
        let now = Instant::now();
        let since = laps.0.replace(now).unwrap_or_else(|| self.timeline().began);
        *of(&mut laps.1) += now.saturating_duration_since(since);
    }

    pub(crate) fn phases(&self) -> PhaseDurations {
        lock(&self.laps).1
    }

    /// Keeps the handlers that block the runtime for the report.
    pub(crate) fn note_blocked(&self, blocked: Vec<BlockedHandler>) {
        *lock(&self.blocked) = blocked;
    }

    pub(crate) fn blocked(&self) -> Vec<BlockedHandler> {
        lock(&self.blocked).clone()
    }

    /// Advances to `to` in one step, also past phases in between.
    pub(crate) fn advance(&self, to: Phase) {
        if self.drain_state.advance(to, || self.connections.wake_all()) {
            self.observers.phase_began(to);
        }
    }

    /// Waits until the phase is `at_least` this.
    pub(crate) async fn reached(&self, at_least: Phase) {
        self.drain_state.reached(at_least).await;
    }

    /// Counts a request that did not come over a connection of `serve`. Returns the shard for
    /// [`request_left`](Self::request_left).
    #[inline]
    pub(crate) fn request_came(&self) -> u16 {
        self.drain_state.request_came()
    }

    #[inline]
    pub(crate) fn request_left(&self, shard: u16) {
        self.drain_state.request_left(shard);
    }

    /// Returns the `Notify` that wakes the unanswered requests of `shard`, from *stopping* on.
    pub(crate) fn wake_of(&self, shard: u16) -> Arc<Notify> {
        self.drain_state.wake_of(shard)
    }

    /// Returns the `Notify` that wakes the response bodies of `shard` whenever the phase advances.
    pub(crate) fn wake_of_bodies(&self, shard: u16) -> Arc<Notify> {
        self.drain_state.wake_of_bodies(shard)
    }

    /// Returns the number of unanswered requests. A drain waits for connections instead of the requests on them,
    /// because connections live longer.
    pub(crate) fn requests(&self) -> usize {
        self.drain_state.requests() + self.connections.unanswered()
    }

    /// Tells the observers of durable work that has ended.
    #[inline]
    pub(crate) fn work_ended(
        &self,
        place: Place,
        ended: Ended,
        since: Instant,
        detached: Option<Instant>,
    ) {
        if self.observers.are_present() {
            let now = Instant::now();
            self.observers.work_ended(WorkEnded {
                handler: place.policy,
                ended,
                elapsed: now.saturating_duration_since(since),
                detached: detached.map(|at| now.saturating_duration_since(at)),
                place,
            });
        }
    }

    /// Notifies a drain that a count may have reached zero.
    #[inline]
    pub(crate) fn note_progress(&self) {
        if self.stands_in {
            Self::note_progress_of_stand_in();
        }
        self.drain_state.note_progress();
    }

    /// Returns whether no request, no durable work and no connection of this lifecycle is left, and none can come.
    pub(crate) fn has_drained(&self) -> bool {
        self.drain_state.has_drained(self.connections.count(), &self.registry)
    }

    /// Makes the state of a lifecycle that a user builds for a server or a layer.
    pub(crate) fn built(config: Config, observers: Observers) -> Arc<Self> {
        UNLINKED.fetch_add(1, Ordering::Relaxed);
        let mut life = Self::with(config);
        life.observers = observers;
        life.linked.store(false, Ordering::Relaxed);
        Arc::new(life)
    }

    /// Notes that a server or a layer uses it.
    pub(crate) fn link(&self) {
        if !self.linked.swap(true, Ordering::Relaxed) {
            UNLINKED.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Warns, for a server that was given no lifecycle, if a lifecycle was built that nothing uses.
    pub(crate) fn warn_unused() {
        if UNLINKED.load(Ordering::Relaxed) > 0 {
            tracing::warn!(
                target: "followthrough",
                "a lifecycle was built, but this server has another one: the readiness, the workers and the \
                 grace of the first have no effect here. Write `serve(listener, app).lifecycle(lifecycle)`"
            );
        }
    }

    /// Remembers the runtime that the service runs on.
    pub(crate) fn remember_runtime(&self) {
        if self.runtime.get().is_none() {
            let _ = Handle::try_current().map(|handle| self.runtime.set(handle));
        }
    }

    /// Runs `code` within the runtime that the service runs on.
    pub(crate) fn within_runtime<T>(&self, code: impl FnOnce() -> T) -> T {
        let _within = self.runtime.get().map(Handle::enter);
        code()
    }

    /// Returns the runtime that the service runs on; before it serves, the caller's.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        self.runtime.get().cloned().or_else(|| Handle::try_current().ok())
    }
}

impl Drop for ServiceState {
    fn drop(&mut self) {
        self.link();
        // A stand-in is dropped under a lock, and a subscriber may come back for it.
        if !self.stands_in {
            self.flush_events();
        }
    }
}

impl std::fmt::Debug for ServiceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceState")
            .field("phase", &self.phase())
            .field("requests", &self.requests())
            .field("in_flight", &self.registry.len())
            .finish_non_exhaustive()
    }
}
