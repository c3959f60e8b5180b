//! The steps of a shutdown, in their order. One task takes them; a second signal skips to the last.
//!
//! If the runtime of that task is blocked, [`watchdog`] takes the steps.
//!
//! Invariants:
//!
//! 1. A shutdown begins once, because [`ServiceState::begin_timeline`] succeeds once.
//! 2. Every shutdown that has begun publishes a report, at the latest when the runtime drops the task that drives
//!    the drain, because [`Guard`] publishes it then. Without a runtime to spawn that task on, [`begin`] does.
//! 3. The caller and the guard of a task that was dropped before its first poll both swap `relied_on`. The second
//!    of the two sees `true` and carries on, so exactly one of them does.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use super::{
    failed_connections::FailedConnections, phase::Phase, report::ShutdownReport,
    spawn::spawn_boxed, state::ServiceState, watchdog,
};

/// How long the connections that were cut at the end of the grace have to close.
pub(crate) const CUTTING_TIMEOUT: Duration = Duration::from_millis(500);

/// Begins the shutdown. A second call changes nothing.
pub(crate) fn begin(life: &Arc<ServiceState>) {
    if !life.begin_timeline() {
        return;
    }
    tracing::info!(target: "followthrough", grace = ?life.config.grace, "shutdown begins");
    // Published at once, so that a readiness probe fails from the signal on.
    life.advance(Phase::NotReady);
    life.workers.stop(true);
    watchdog::ensure(life);
    // The serving runtime may be gone. Then the caller's own runtime runs the drain.
    for runtime in life.runtime().into_iter().chain(Handle::try_current().ok()) {
        let guard = Guard::new(life);
        let relied_on = guard.relied_on.clone();
        drop(spawn_boxed(&runtime, Box::pin(watch(life.clone(), guard))));
        if !relied_on.swap(true, Ordering::AcqRel) {
            return;
        }
    }
    tracing::error!(
        target: "followthrough",
        "shutdown began outside a tokio runtime, so nothing can drain: call `shutdown` within a runtime"
    );
    abandon_all(life);
    publish(life);
}

/// Ends the drain when its runtime drops the task early, so that waits for the report end.
struct Guard {
    life: Arc<ServiceState>,
    begun: bool,
    /// Set by the caller that has spawned the task, and by the drop of a task that never ran.
    relied_on: Arc<AtomicBool>,
}

impl Guard {
    fn new(life: &Arc<ServiceState>) -> Self {
        Self { life: life.clone(), begun: false, relied_on: Arc::default() }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.begun && !self.relied_on.swap(true, Ordering::AcqRel) {
            return;
        }
        if !self.life.has_ended() {
            tracing::error!(target: "followthrough", "the runtime ended before the drain on it was over");
            abandon_all(&self.life);
        }
        publish(&self.life);
    }
}

/// Drives the drain and logs its progress once a second.
async fn watch(life: Arc<ServiceState>, mut guard: Guard) {
    guard.begun = true;
    let mut drained = pin!(drive(&life));
    let second = Duration::from_secs(1);
    let mut tick = tokio::time::interval_at(Instant::now() + second, second);
    loop {
        tokio::select! {
            biased;
            () = &mut drained => break,
            _ = tick.tick() => log_progress(&life),
        }
    }
}

/// Skips the waits of the drain, so that it ends now.
pub(crate) fn skip_to_end(life: &ServiceState) {
    life.skip_to_end.cancel();
}

async fn drive(life: &ServiceState) {
    let timeline = life.timeline();
    let config = &life.config;
    let accepting_until = (timeline.began + config.drain_delay).min(timeline.end);
    if !config.drain_delay.is_zero() {
        wait(life, accepting_until, |_| false).await;
    }
    life.lap(|phases| &mut phases.not_ready);
    life.advance(Phase::Closing);
    let reads_until = (Instant::now() + config.read_grace).min(timeline.grace_over);
    wait(life, reads_until, ServiceState::has_drained).await;
    life.lap(|phases| &mut phases.closing);
    life.advance(Phase::Stopping);
    wait(life, timeline.workers_stop, ServiceState::has_drained).await;
    life.lap(|phases| &mut phases.stopping);
    life.workers.stop(false);
    // A worker that calls durable functions has unlinked work until it is told to stop.
    let all = |life: &ServiceState| {
        life.has_drained() && life.unlinked_len() == 0 && life.workers.is_empty()
    };
    wait(life, timeline.grace_over, all).await;
    life.lap(|phases| &mut phases.workers);
    if !all(life) {
        life.end_grace();
        wait(life, timeline.end, all).await;
        life.lap(|phases| &mut phases.last_moments);
    }
    abandon_all(life);
    let gone = life.until(|life| life.connections.is_empty());
    let retired = async {
        if let Some(writes) = &life.config.keyed_writes {
            writes.retire().await;
        }
    };
    let _ = tokio::time::timeout(CUTTING_TIMEOUT, async { tokio::join!(gone, retired) }).await;
    life.lap(|phases| &mut phases.cutting);
    life.observers.flush().await;
    publish(life);
}

/// Waits until `done`, at most until the instant `until` or a second signal.
async fn wait(life: &ServiceState, until: Instant, done: impl Fn(&ServiceState) -> bool) {
    tokio::select! {
        biased;
        () = life.skip_to_end.cancelled() => {}
        () = life.until(done) => {}
        () = sleep_until(until) => {}
    }
}

/// Logs the work that is left, ends the last phase and shuts all sockets.
pub(crate) fn abandon_all(life: &ServiceState) {
    let mut abandoned = life.registry.snapshot();
    abandoned.extend(life.unlinked_work());
    abandoned.extend(life.workers.left());
    if life.ending.leave(abandoned) {
        for work in life.ending.left().into_iter().flatten() {
            tracing::error!(
                target: "followthrough",
                handler = work.handler,
                location = work.location,
                "abandoned: {work}"
            );
        }
    }
    life.advance(Phase::Ended);
    life.connections.shut_all();
}

/// Publishes the report of the shutdown, once.
pub(crate) fn publish(life: &ServiceState) {
    let Some(claim) = life.ending.claim() else { return };
    life.flush_events();
    let mut abandoned = life.ending.left().cloned().unwrap_or_default();
    abandoned.extend(life.compensations.take_lost());
    let connections_cut = life.connections.take_cut();
    for connection in &connections_cut {
        tracing::debug!(target: "followthrough", "connection cut: {connection}");
    }
    if !connections_cut.is_empty() {
        tracing::warn!(
            target: "followthrough",
            connections = connections_cut.len(),
            "the grace was over, and connections were cut: the report names them"
        );
    }
    let mut durable = life.registry.counts();
    durable.abandon_rest();
    claim.publish(ShutdownReport {
        elapsed: life.timeline().began.elapsed(),
        phases: life.phases(),
        durable,
        compensations: life.compensations.read(),
        unlinked: life.settle_unlinked(),
        cancelled: life.cancellations.read(),
        idempotency: life.idempotency_counts(),
        outbox: life.relays.counts(),
        ignored_deadlines: life.ignored_deadlines(),
        failed_connections: FailedConnections::of(&life.events),
        unanswered: life.requests(),
        connections_cut,
        abandoned,
        blocked: life.blocked(),
        failed_workers: life.workers.failed(),
        worker_restarts: life.workers.restarts(),
    });
}

fn log_progress(life: &ServiceState) {
    if life.has_ended() {
        return;
    }
    let left = life.timeline().end.saturating_duration_since(Instant::now());
    let oldest = life.registry.snapshot().into_iter().next().map(|work| work.to_string());
    tracing::info!(
        target: "followthrough",
        phase = life.phase().description(),
        requests = life.requests(),
        durable = life.registry.len() + life.unlinked_len(),
        workers = life.workers.names().len(),
        connections = life.connections.len(),
        oldest,
        "draining, {} s left",
        (left + Duration::from_millis(500)).as_secs(),
    );
}

#[cfg(test)]
mod tests {
    use crate::Lifecycle;

    #[test]
    fn a_runtime_that_goes_before_the_drain_was_polled_leaves_a_report() {
        let lifecycle = Lifecycle::builder().build().expect("the defaults are valid");
        let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("it builds");
        let first = runtime();
        // The task is spawned on a runtime that never polls again.
        first.block_on(async { lifecycle.shutdown() });
        assert!(!lifecycle.life.ending.reported().is_cancelled());
        drop(first);
        let reported = lifecycle.life.ending.reported().is_cancelled();
        assert!(reported, "a wait for the report hangs");
    }
}
