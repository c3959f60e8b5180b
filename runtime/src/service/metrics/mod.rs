//! The metrics of a service: counters that grow with each event, and gauges that are read when they are asked for.
//!
//! Labels are names in the source, standard methods, status codes, causes and names of relays, so no client adds a
//! series.
//!
//! Invariants:
//!
//! 1. A gauge is read from the entries of the work itself, so a future that is dropped cannot leave it too high. The
//!    gauges of an outbox are read from the last report of its relay, and a relay that stops removes its report.
//! 2. The counters of a shard change under its lock, and a reader adds up the shards one after the other. So a
//!    text counts each event once, or not yet.

#[cfg(test)]
mod tests;
mod text;

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
    time::Duration,
};

pub(crate) use self::text::MEDIA_TYPE;
use self::text::Text;
use super::{
    connections::lock,
    counts::{Counts, InFlightByHandler},
    in_flight::DurableCounts,
    observer::{RequestEnded, WorkEnded},
    outbox::Relays,
    phase::Phase,
    sharded::{Sharded, shard_of_thread},
    state::ServiceState,
};
use crate::cause::{Cause, Outcome};

/// The counters, by their labels.
#[derive(Default)]
pub(super) struct Metrics {
    shards: Sharded<Mutex<Series>>,
    headroom: bool,
}

/// The counters of one shard.
#[derive(Default)]
struct Series {
    /// By handler, method, status and cause.
    requests: BTreeMap<(&'static str, &'static str, u16, &'static str), u64>,
    /// By handler, cause and outcome.
    cancelled: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    durable: BTreeMap<&'static str, Histogram>,
    headroom: BTreeMap<&'static str, Histogram>,
}

/// The upper bounds of the buckets, in seconds.
const BOUNDS: [(f64, &str); 13] = [
    (0.005, "0.005"),
    (0.01, "0.01"),
    (0.025, "0.025"),
    (0.05, "0.05"),
    (0.1, "0.1"),
    (0.25, "0.25"),
    (0.5, "0.5"),
    (1.0, "1.0"),
    (2.5, "2.5"),
    (5.0, "5.0"),
    (10.0, "10.0"),
    (30.0, "30.0"),
    (60.0, "60.0"),
];

/// How many durations are within each bound, their number and their sum in seconds.
#[derive(Clone, Default)]
struct Histogram {
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        for (within, (bound, _)) in self.within.iter_mut().zip(BOUNDS) {
            *within += u64::from(seconds <= bound);
        }
        self.count += 1;
        self.sum += seconds;
    }

    fn add_all(&mut self, other: &Self) {
        for (within, more) in self.within.iter_mut().zip(other.within) {
            *within += more;
        }
        self.count += other.count;
        self.sum += other.sum;
    }

    fn write(&self, text: &mut Text, name: &str, handler: &str) {
        let bucket = format!("{name}_bucket");
        for (within, (_, bound)) in self.within.iter().zip(BOUNDS) {
            text.sample(&bucket, &[("handler", handler), ("le", bound)], within);
        }
        text.sample(&bucket, &[("handler", handler), ("le", "+Inf")], self.count);
        text.sample(&format!("{name}_count"), &[("handler", handler)], self.count);
        text.sample(&format!("{name}_sum"), &[("handler", handler)], self.sum);
    }
}

impl Metrics {
    pub(super) fn request_ended(&self, request: &RequestEnded) {
        let handler = request.handler_name();
        let cause = request.cause.map_or("", Cause::as_str);
        let mut series = lock(self.shards.get(shard_of_thread()));
        let labels = (handler, request.method_name(), request.status, cause);
        *series.requests.entry(labels).or_default() += 1;
        if request.cause.is_some() {
            let outcome = request.outcome.map_or("", Outcome::as_str);
            *series.cancelled.entry((handler, cause, outcome)).or_default() += 1;
        }
        if let Some(deadline) = request.deadline.filter(|_| self.headroom) {
            series
                .headroom
                .entry(handler)
                .or_default()
                .add(deadline.saturating_sub(request.elapsed));
        }
    }

    pub(super) fn work_ended(&self, work: &WorkEnded) {
        let mut series = lock(self.shards.get(shard_of_thread()));
        series.durable.entry(work.handler.name()).or_default().add(work.elapsed);
    }

    fn series(&self) -> Series {
        let mut sum = Series::default();
        for shard in self.shards.iter() {
            let shard = lock(shard);
            for (labels, count) in &shard.requests {
                *sum.requests.entry(*labels).or_default() += count;
            }
            for (labels, count) in &shard.cancelled {
                *sum.cancelled.entry(*labels).or_default() += count;
            }
            for (handler, histogram) in &shard.durable {
                sum.durable.entry(handler).or_default().add_all(histogram);
            }
            for (handler, histogram) in &shard.headroom {
                sum.headroom.entry(handler).or_default().add_all(histogram);
            }
        }
        sum
    }
}

/// The metrics of a service, once somebody has asked for them.
#[derive(Default)]
pub(super) struct MetricsOnDemand(OnceLock<Metrics>);

impl MetricsOnDemand {
    pub(super) fn get(&self) -> Option<&Metrics> {
        self.0.get()
    }

    fn begin(&self, headroom: bool) {
        self.0.get_or_init(|| Metrics { headroom, ..Metrics::default() });
    }
}

impl ServiceState {
    /// Begins to count for [`metrics_text`](Self::metrics_text).
    pub(crate) fn begin_metrics(&self) {
        self.observers.metrics.begin(self.config.deadline_headroom);
        self.observers.become_present();
    }

    /// Returns all metrics as `OpenMetrics` text.
    pub(crate) fn metrics_text(&self) -> String {
        let series = self.observers.metrics.get().map(Metrics::series).unwrap_or_default();
        let counts = self.counts();
        let mut text = Text::default();
        write_requests(&mut text, &series);
        self.write_in_flight(&mut text, &counts);
        write_work(&mut text, &counts, &series);
        write_outbox(&mut text, &self.relays);
        write_service(&mut text, &counts);
        text.end()
    }

    fn write_in_flight(&self, text: &mut Text, counts: &Counts) {
        let InFlightByHandler { requests, work, detached } = self.in_flight_by_handler();
        let gauges = [
            ("requests_in_flight", "Requests that have not ended.", requests),
            (
                "work_in_flight",
                "Durable, cooperative and reversible work, compensations and tracked tasks.",
                work,
            ),
            ("work_detached", "Such work that goes on without its request.", detached),
        ];
        for (name, help, by_handler) in gauges {
            text.begin(name, "gauge", help);
            for (handler, number) in by_handler {
                text.sample(name, &[("handler", handler)], number);
            }
        }
        text.begin("connections", "gauge", "Open connections.");
        text.sample("connections", &[], counts.connections);
    }
}

fn write_requests(text: &mut Text, series: &Series) {
    text.begin("requests_ended", "counter", "Requests that have ended.");
    for ((handler, method, status, cause), count) in &series.requests {
        let status = status.to_string();
        let labels =
            [("handler", *handler), ("method", *method), ("status", &status), ("cause", *cause)];
        text.sample("requests_ended_total", &labels, count);
    }
    text.begin("cancelled", "counter", "Requests that ended early.");
    for ((handler, cause, outcome), count) in &series.cancelled {
        let labels = [("handler", *handler), ("cause", *cause), ("outcome", *outcome)];
        text.sample("cancelled_total", &labels, count);
    }
    text.begin("refused", "counter", "Requests that were refused before anything began.");
    for cause in [Cause::LimitReached, Cause::TimeTooShort, Cause::KeyStoreUnavailable] {
        let of_cause = series.cancelled.iter().filter(|((_, by, _), _)| *by == cause.as_str());
        let refused: u64 = of_cause.map(|(_, count)| count).sum();
        text.sample("refused_total", &[("reason", cause.as_str())], refused);
    }
    if !series.headroom.is_empty() {
        let name = "deadline_headroom_seconds";
        text.begin(name, "histogram", "The time that was left of the deadline.");
        series.headroom.iter().for_each(|(handler, headroom)| headroom.write(text, name, handler));
    }
}

fn write_work(text: &mut Text, counts: &Counts, series: &Series) {
    let ends = |counts: &DurableCounts| {
        [
            ("completed", counts.completed),
            ("panicked", counts.panicked),
            ("cut", counts.cut),
            ("abandoned", counts.abandoned),
        ]
    };
    let compensations = [
        ("completed", counts.compensations.run),
        ("failed", counts.compensations.failed),
        ("abandoned", counts.compensations.abandoned),
    ];
    text.begin("durable_work_begun", "counter", "Durable work that has begun.");
    text.sample("durable_work_begun_total", &[], counts.durable.begun);
    text.begin("durable_work_ended", "counter", "Durable work that has ended.");
    for (end, count) in ends(&counts.durable) {
        text.sample("durable_work_ended_total", &[("end", end)], count);
    }
    text.begin("rescued", "counter", "Durable work that completed without its request.");
    text.sample("rescued_total", &[], counts.durable.followed_through);
    text.begin("compensations_ended", "counter", "Compensations that have ended.");
    for (end, count) in compensations {
        text.sample("compensations_ended_total", &[("end", end)], count);
    }
    text.begin("idempotency_keys", "counter", "Requests with an idempotency key.");
    for (result, count) in counts.idempotency.by_result() {
        text.sample("idempotency_keys_total", &[("result", result)], count);
    }
    let name = "durable_work_seconds";
    text.begin(name, "histogram", "The time from the point of no return to the end of the work.");
    series.durable.iter().for_each(|(handler, durable)| durable.write(text, name, handler));
}

/// Writes the metrics of outboxes. A service without a relay has none of them.
fn write_outbox(text: &mut Text, relays: &Relays) {
    let by_name = relays.by_name();
    if by_name.is_empty() {
        return;
    }
    text.begin("outbox_messages", "counter", "Messages that a relay has settled.");
    for (relay, counts) in by_name {
        for (result, count) in counts.by_result() {
            let labels = [("relay", &*relay), ("result", result)];
            text.sample("outbox_messages_total", &labels, count);
        }
    }
    let backlogs = relays.backlogs();
    text.begin("outbox_waiting", "gauge", "Messages that wait.");
    for (relay, backlog) in &backlogs {
        text.sample("outbox_waiting", &[("relay", relay)], backlog.waiting);
    }
    text.begin("outbox_parked", "gauge", "Messages that are parked.");
    for (relay, backlog) in &backlogs {
        text.sample("outbox_parked", &[("relay", relay)], backlog.parked);
    }
    let name = "outbox_oldest_seconds";
    text.begin(name, "gauge", "The age of the oldest message that waits.");
    for (relay, backlog) in &backlogs {
        if let Some(oldest) = backlog.oldest {
            text.sample(name, &[("relay", relay)], oldest.as_secs_f64());
        }
    }
}

fn write_service(text: &mut Text, counts: &Counts) {
    text.begin("phase", "gauge", "1 for the phase of the service.");
    for phase in Phase::ALL {
        text.sample("phase", &[("phase", phase.as_str())], u8::from(phase == counts.phase));
    }
    text.begin("workers", "gauge", "Running workers.");
    text.sample("workers", &[], counts.workers);
    text.begin("workers_failed", "counter", "Workers that have failed.");
    text.sample("workers_failed_total", &[], counts.failed_workers);
    text.begin("workers_restarted", "counter", "Workers that were started again.");
    text.sample("workers_restarted_total", &[], counts.worker_restarts);
    let failed = counts.failed_connections;
    text.begin("connections_failed", "counter", "Connections that failed before or in a head.");
    for (reason, count) in [
        ("not_accepted", failed.not_accepted),
        ("gone_before_accept", failed.gone_before_accept),
        ("handshake", failed.failed_handshakes),
        ("malformed_head", failed.malformed_heads),
        ("silent", failed.silent),
    ] {
        text.sample("connections_failed_total", &[("reason", reason)], count);
    }
    text.begin("deadlines_ignored", "counter", "Deadlines of callers that could not be read.");
    text.sample("deadlines_ignored_total", &[], counts.ignored_deadlines);
    let observers = counts.observers;
    text.begin("observer_faults", "counter", "Events that an observer did not take as it should.");
    for (fault, count) in
        [("panicked", observers.panicked), ("slow", observers.slow), ("dropped", observers.dropped)]
    {
        text.sample("observer_faults_total", &[("fault", fault)], count);
    }
}
