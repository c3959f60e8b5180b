//! Metrics through the facade crate `metrics`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ::metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::Series;
use crate::{
    Lifecycle,
    cause::{Cause, Outcome},
    service::{
        Ended, InFlightByHandler, MessagesSettled, Observer, Phase, RelayBacklog, RequestEnded,
        WorkEnded, lock,
    },
};

/// An [`Observer`] that records through the crate [`metrics`](::metrics), for whichever recorder the service has
/// installed. Needs the feature `metrics`.
///
/// A metric that [`Lifecycle::metrics`] has, too, has the same name. The page on [operating a
/// service](crate::guide::operations#exporters) has a table of all. Each request and each piece of durable work is
/// recorded when it ends. The facade cannot ask for the value of a gauge, so the service calls
/// [`set_gauges`](Self::set_gauges): before each scrape, or every few seconds.
///
/// Each lifecycle takes a `MetricsFacade` of its own; clones of it share what they know.
///
/// # Examples
///
/// ```
/// use followthrough::{Lifecycle, observe::MetricsFacade};
///
/// let facade = MetricsFacade::new();
/// let lifecycle = Lifecycle::builder().observer(facade.clone()).build()?;
///
/// // Before each scrape:
/// facade.set_gauges(&lifecycle);
/// # Ok::<(), followthrough::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MetricsFacade {
    set: Arc<Mutex<Gauges>>,
}

impl Default for MetricsFacade {
    fn default() -> Self {
        Self::new()
    }
}

type ByRelay = Series<Arc<str>, f64>;

/// The gauges that were set.
#[derive(Debug, Default)]
struct Gauges {
    requests: Series,
    work: Series,
    detached: Series,
    waiting: ByRelay,
    parked: ByRelay,
    oldest: ByRelay,
    phase: Option<Phase>,
}

impl Gauges {
    /// Sets the gauges of outboxes.
    fn set_backlogs(&mut self, backlogs: &[(Arc<str>, RelayBacklog)]) {
        let set = |name: &'static str,
                   series: &mut ByRelay,
                   number: &dyn Fn(&RelayBacklog) -> Option<f64>| {
            let by_relay =
                |(relay, backlog): &(Arc<str>, _)| Some((relay.clone(), number(backlog)?));
            for (relay, number) in series.update(backlogs.iter().filter_map(by_relay)) {
                gauge!(name, "relay" => relay.clone()).set(*number);
            }
        };
        set("followthrough_outbox_waiting", &mut self.waiting, &|backlog| {
            Some(float(backlog.waiting))
        });
        set("followthrough_outbox_parked", &mut self.parked, &|backlog| {
            Some(float(backlog.parked))
        });
        set("followthrough_outbox_oldest_seconds", &mut self.oldest, &|backlog| {
            Some(backlog.oldest?.as_secs_f64())
        });
    }

    /// Sets the phase, which only advances.
    fn advance(&mut self, to: Phase) {
        let current = self.phase.map_or(to, |phase| phase.max(to));
        self.phase = Some(current);
        for phase in Phase::ALL {
            let is_current = u8::from(phase == current);
            gauge!("followthrough_phase", "phase" => phase.as_str()).set(is_current);
        }
    }
}

impl MetricsFacade {
    /// Makes the observer, and describes its metrics to the recorder. Install the recorder first, and give a clone of
    /// the observer to [`LifecycleBuilder::observer`](crate::LifecycleBuilder::observer).
    #[must_use]
    pub fn new() -> Self {
        describe();
        Self { set: Arc::default() }
    }

    /// Sets the gauges, and the counters whose events no observer is told of, to what the service has now.
    ///
    /// The requests in flight are counted from the first call on, or from the start if the lifecycle has an observer.
    pub fn set_gauges(&self, lifecycle: &Lifecycle) {
        let life = &lifecycle.life;
        life.observers.become_present();
        // The lock is held from reading to recording, so that an older number does not replace a newer one.
        let mut set = lock(&self.set);
        let InFlightByHandler { requests, work, detached } = life.in_flight_by_handler();
        record("followthrough_requests_in_flight", set.requests.update(requests));
        record("followthrough_work_in_flight", set.work.update(work));
        record("followthrough_work_detached", set.detached.update(detached));
        set.set_backlogs(&life.relays.backlogs());
        let counts = life.counts();
        gauge!("followthrough_connections").set(float(counts.connections as u64));
        gauge!("followthrough_workers").set(float(counts.workers as u64));
        set.advance(counts.phase);
        counter!("followthrough_durable_work_begun_total").absolute(counts.durable.begun);
        counter!("followthrough_workers_failed_total").absolute(counts.failed_workers as u64);
        counter!("followthrough_deadlines_ignored_total").absolute(counts.ignored_deadlines);
        let compensations = counts.compensations;
        for (end, count) in [
            ("completed", compensations.run),
            ("failed", compensations.failed),
            ("abandoned", compensations.abandoned),
        ] {
            counter!("followthrough_compensations_ended_total", "end" => end).absolute(count);
        }
        for (result, count) in counts.idempotency.by_result() {
            counter!("followthrough_idempotency_keys_total", "result" => result).absolute(count);
        }
        let observers = counts.observers;
        for (fault, count) in [
            ("panicked", observers.panicked),
            ("slow", observers.slow),
            ("dropped", observers.dropped),
        ] {
            counter!("followthrough_observer_faults_total", "fault" => fault).absolute(count);
        }
    }
}

fn record(name: &'static str, by_handler: &BTreeMap<&'static str, u64>) {
    for (handler, number) in by_handler {
        gauge!(name, "handler" => *handler).set(float(*number));
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn float(number: u64) -> f64 {
    number as f64
}

impl Observer for MetricsFacade {
    fn request_ended(&self, request: &RequestEnded) {
        let handler = request.handler_name();
        let cause = request.cause.map_or("", Cause::as_str);
        counter!(
            "followthrough_requests_ended_total",
            "handler" => handler,
            "method" => request.method_name(),
            "status" => request.status.to_string(),
            "cause" => cause
        )
        .increment(1);
        histogram!("followthrough_request_seconds", "handler" => handler).record(request.elapsed);
        if request.cause.is_some() {
            let outcome = request.outcome.map_or("", Outcome::as_str);
            counter!(
                "followthrough_cancelled_total",
                "handler" => handler, "cause" => cause, "outcome" => outcome
            )
            .increment(1);
        }
    }

    fn work_ended(&self, work: &WorkEnded) {
        let (handler, end) = (work.handler.name(), work.ended.as_str());
        counter!("followthrough_durable_work_ended_total", "handler" => handler, "end" => end)
            .increment(1);
        if work.ended == Ended::Completed && work.detached.is_some() {
            counter!("followthrough_rescued_total", "handler" => handler).increment(1);
        }
        histogram!("followthrough_durable_work_seconds", "handler" => handler, "end" => end)
            .record(work.elapsed);
    }

    fn messages_settled(&self, messages: &MessagesSettled) {
        for (result, count) in messages.by_result() {
            counter!(
                "followthrough_outbox_messages_total",
                "relay" => messages.relay.clone(), "result" => result
            )
            .increment(count);
        }
    }

    fn phase_began(&self, phase: Phase) {
        lock(&self.set).advance(phase);
    }
}

fn describe() {
    for (name, description) in [
        ("followthrough_requests_in_flight", "Requests that have not ended."),
        (
            "followthrough_work_in_flight",
            "Durable, cooperative and reversible work, compensations and tracked tasks.",
        ),
        ("followthrough_work_detached", "Such work that goes on without its request."),
        ("followthrough_connections", "Open connections."),
        ("followthrough_workers", "Running workers."),
        ("followthrough_phase", "1 for the phase of the service."),
        ("followthrough_outbox_waiting", "Messages that wait."),
        ("followthrough_outbox_parked", "Messages that are parked."),
    ] {
        describe_gauge!(name, Unit::Count, description);
    }
    describe_gauge!(
        "followthrough_outbox_oldest_seconds",
        Unit::Seconds,
        "The age of the oldest message that waits."
    );
    for (name, description) in [
        ("followthrough_requests_ended_total", "Requests that have ended."),
        ("followthrough_cancelled_total", "Requests that ended early."),
        ("followthrough_durable_work_begun_total", "Durable work that has begun."),
        ("followthrough_durable_work_ended_total", "Durable work that has ended."),
        ("followthrough_rescued_total", "Durable work that completed without its request."),
        ("followthrough_compensations_ended_total", "Compensations that have ended."),
        ("followthrough_idempotency_keys_total", "Requests with an idempotency key."),
        ("followthrough_outbox_messages_total", "Messages that a relay has settled."),
        ("followthrough_workers_failed_total", "Workers that have failed."),
        ("followthrough_deadlines_ignored_total", "Deadlines of callers that could not be read."),
        (
            "followthrough_observer_faults_total",
            "Events that an observer did not take as it should.",
        ),
    ] {
        describe_counter!(name, Unit::Count, description);
    }
    for (name, description) in [
        ("followthrough_request_seconds", "The time from the head of a request to its end."),
        (
            "followthrough_durable_work_seconds",
            "The time from the point of no return to the end of the work.",
        ),
    ] {
        describe_histogram!(name, Unit::Seconds, description);
    }
}
