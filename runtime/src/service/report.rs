//! The report of a shutdown: as text, as JSON, and as the exit code of the process.
//!
//! Invariant: [`Cancellations`] only go up. A read while requests end is not a snapshot, because it adds up the
//! shards one after the other.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{
    blocked_handler::BlockedHandler,
    compensation_counts::CompensationCounts,
    connection_cut::ConnectionCut,
    failed_connections::FailedConnections,
    failed_worker::FailedWorker,
    in_flight::DurableCounts,
    outbox::OutboxCounts,
    sharded::{Sharded, shard_of_thread},
    work::InFlightWork,
};
use crate::{cause::Cause, idempotency::IdempotencyCounts, seconds::Seconds, serialize::serialize};

/// Counts of the requests whose wait ended early, since the start of the service.
#[derive(Debug, Default)]
pub(crate) struct Cancellations(Sharded<Tally>);

#[derive(Debug, Default)]
struct Tally {
    disconnects: AtomicU64,
    deadlines: AtomicU64,
    shutdown: AtomicU64,
    refused: AtomicU64,
    body_read_timeout: AtomicU64,
}

impl Cancellations {
    pub(crate) fn note(&self, cause: Cause) {
        let tally = self.0.get(shard_of_thread());
        let count = match cause {
            Cause::ClientDisconnected => &tally.disconnects,
            Cause::DeadlineExceeded => &tally.deadlines,
            Cause::ShuttingDown => &tally.shutdown,
            Cause::LimitReached
            | Cause::TimeTooShort
            | Cause::KeyStoreUnavailable
            | Cause::AnsweredByKey => &tally.refused,
            Cause::BodyReadTimeout => &tally.body_read_timeout,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> CancelledRequests {
        let sum = |count: fn(&Tally) -> &AtomicU64| {
            self.0.iter().map(|tally| count(tally).load(Ordering::Relaxed)).sum()
        };
        CancelledRequests {
            client_disconnected: sum(|tally| &tally.disconnects),
            deadline_exceeded: sum(|tally| &tally.deadlines),
            shutting_down: sum(|tally| &tally.shutdown),
            refused: sum(|tally| &tally.refused),
            body_read_timeout: sum(|tally| &tally.body_read_timeout),
        }
    }
}

/// Requests whose wait ended early, by the cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CancelledRequests {
    /// The client left.
    pub client_disconnected: u64,
    /// The deadline passed: 504.
    pub deadline_exceeded: u64,
    /// The read grace was over: 503. Or the shutdown ended a stream or an upgraded connection.
    pub shutting_down: u64,
    /// A limit was reached, too little time was left, or the store of idempotency keys did not answer: 503 before
    /// anything began.
    pub refused: u64,
    /// The bytes of the request's body came too slowly: 408.
    pub body_read_timeout: u64,
}

serialize!(CancelledRequests {
    client_disconnected,
    deadline_exceeded,
    shutting_down,
    refused,
    body_read_timeout
});

/// How long each phase of a shutdown took; in milliseconds, as `…_ms`, when serialised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseDurations {
    /// Not ready, and still accepting: `drain_delay`.
    pub not_ready: Duration,
    /// No new connections; streams end and reads may finish: at most `read_grace`.
    pub closing: Duration,
    /// The reads that were left ended; durable work drained.
    pub stopping: Duration,
    /// The workers were told to stop; they and the remaining work ended.
    pub workers: Duration,
    /// *Grace over*: durable tokens had fired.
    pub last_moments: Duration,
    /// The connections that were left were cut.
    pub cutting: Duration,
}

serialize!(PhaseDurations {
    not_ready: ms,
    closing: ms,
    stopping: ms,
    workers: ms,
    last_moments: ms,
    cutting: ms
});

/// The report of a shutdown. The counts cover the whole life of the service. [`exit`](Self::exit) ends the process
/// with the report's exit code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// From the signal to the end, in milliseconds when serialised.
    pub elapsed: Duration,
    /// How long each phase took.
    pub phases: PhaseDurations,
    /// Durable work, by how it ended.
    pub durable: DurableCounts,
    /// Compensations of cancelled requests, by how they ended.
    pub compensations: CompensationCounts,
    /// Durable work of requests without a lifecycle, such as those that middleware has spawned. A server counts
    /// that of the whole process, and a [`layer`](crate::Lifecycle::layer) that of its own runtime. The shutdown
    /// waits for it and names it as it does other durable work.
    pub unlinked: DurableCounts,
    /// Requests whose wait ended early.
    pub cancelled: CancelledRequests,
    /// Requests with an idempotency key, by what became of them.
    pub idempotency: IdempotencyCounts,
    /// Messages of outboxes, by what their relays have done with them.
    pub outbox: OutboxCounts,
    /// How many deadlines of callers could not be read.
    pub ignored_deadlines: u64,
    /// Connections that failed before a request or in its head.
    pub failed_connections: FailedConnections,
    /// Requests that had no answer when the shutdown was over: under other servers, or on blocked
    /// threads. Those that [`serve`](crate::serve) cut are in `connections_cut`.
    pub unanswered: usize,
    /// Work that did not end within the grace: durable, cooperative, reversible, compensations,
    /// workers.
    pub abandoned: Vec<InFlightWork>,
    /// The handlers that blocked threads of the runtime until the end, if all threads were blocked.
    pub blocked: Vec<BlockedHandler>,
    /// Connections under [`serve`](crate::serve) that were open when the grace was over, with the
    /// requests on them. `abandoned` names all work of governed handlers that was lost with them. A handler
    /// without a policy was dropped with its connection. It is shown as `(no policy)`, and does not count in
    /// the exit code.
    pub connections_cut: Vec<ConnectionCut>,
    /// Workers that panicked, returned or were dropped before they were told to stop.
    pub failed_workers: Vec<FailedWorker>,
    /// The number of times that a failed worker was started again. This number does not change the exit code.
    pub worker_restarts: u64,
}

serialize!(ShutdownReport {
    elapsed: ms,
    phases,
    durable,
    compensations,
    unlinked,
    cancelled,
    idempotency,
    outbox,
    ignored_deadlines,
    failed_connections,
    unanswered,
    abandoned,
    blocked,
    connections_cut,
    failed_workers,
    worker_restarts
});

impl fmt::Display for PhaseDurations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases = [
            ("not ready", self.not_ready),
            ("closing", self.closing),
            ("stopping", self.stopping),
            ("workers", self.workers),
            ("last moments", self.last_moments),
            ("cutting", self.cutting),
        ];
        for (n, (name, took)) in phases.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {}", Seconds(*took))?;
        }
        Ok(())
    }
}

/// How many connections the text of a report names; its JSON names all.
const SHOWN: usize = 20;

impl ShutdownReport {
    /// Returns 0 if no work was left behind, no handler blocked the runtime and no worker failed, else 1.
    ///
    /// A compensation that failed does not change the exit code: it is an ERROR in the log and a count here.
    /// Connections that were cut do not change it, because a peer that does not read can keep its connection open
    /// until the end of any shutdown.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        let left = self.durable.abandoned + self.unlinked.abandoned + self.compensations.abandoned;
        let lost = !self.abandoned.is_empty() || left > 0;
        i32::from(lost || !self.blocked.is_empty() || !self.failed_workers.is_empty())
    }

    /// Ends the process with [`exit_code`](Self::exit_code). It does not wait for a `spawn_blocking` or a handler
    /// that blocks its thread, as `#[tokio::main]` would. No destructor runs: flush your logs
    /// and traces before.
    pub fn exit(&self) -> ! {
        std::process::exit(self.exit_code())
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { durable, unlinked, compensations, cancelled, .. } = self;
        writeln!(f, "shutdown took {}", Seconds(self.elapsed))?;
        writeln!(f, "  durable work: {durable}")?;
        if unlinked.begun > 0 {
            writeln!(f, "  durable work without a lifecycle: {unlinked}")?;
        }
        if *compensations != CompensationCounts::default() {
            writeln!(
                f,
                "  compensations: {} run, {} failed, {} abandoned",
                compensations.run, compensations.failed, compensations.abandoned
            )?;
        }
        write!(
            f,
            "  requests ended early: {} by their client, {} by a deadline, {} by shutdown, {} refused",
            cancelled.client_disconnected,
            cancelled.deadline_exceeded,
            cancelled.shutting_down,
            cancelled.refused
        )?;
        if cancelled.body_read_timeout > 0 {
            write!(f, ", {} by the time-out for their body", cancelled.body_read_timeout)?;
        }
        if self.idempotency != IdempotencyCounts::default() {
            write!(f, "\n  idempotency keys: {}", self.idempotency)?;
        }
        if self.outbox != OutboxCounts::default() {
            write!(f, "\n  outbox: {}", self.outbox)?;
        }
        write!(f, "\n  phases: {}", self.phases)?;
        if self.ignored_deadlines > 0 {
            write!(
                f,
                "\n  deadlines of callers that could not be read: {}",
                self.ignored_deadlines
            )?;
        }
        if self.failed_connections != FailedConnections::default() {
            write!(f, "\n  failed connections: {}", self.failed_connections)?;
        }
        if self.unanswered > 0 {
            write!(f, "\n  requests without an answer: {}", self.unanswered)?;
        }
        for work in &self.abandoned {
            write!(f, "\n  abandoned: {work}")?;
        }
        for handler in &self.blocked {
            write!(f, "\n  blocked a thread: {handler}")?;
        }
        for connection in self.connections_cut.iter().take(SHOWN) {
            write!(f, "\n  connection cut: {connection}")?;
        }
        if let Some(more @ 1..) = self.connections_cut.len().checked_sub(SHOWN) {
            write!(f, "\n  and {more} more connections")?;
        }
        if self.worker_restarts > 0 {
            write!(f, "\n  restarts of workers: {}", self.worker_restarts)?;
        }
        for worker in &self.failed_workers {
            write!(f, "\n  worker failed: {worker}")?;
        }
        Ok(())
    }
}

/// The requests, the work and the workers of a service at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlightSnapshot {
    /// How many requests are not answered yet, whatever their policy.
    pub requests: usize,
    /// Durable, cooperative and reversible work and compensations, the oldest first.
    pub work: Vec<InFlightWork>,
    /// The names of the running workers.
    pub workers: Vec<String>,
}

serialize!(InFlightSnapshot { requests, work, workers });

impl InFlightSnapshot {
    /// Returns how much of `work` belongs to the handler of this name.
    #[must_use]
    pub fn of(&self, handler: &str) -> usize {
        self.work.iter().filter(|work| work.handler == handler).count()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::connection_cut::ConnectionState, super::work::WorkKind, *};

    /// The derive of `serde` would write the same.
    #[test]
    fn the_json_of_a_report_has_every_field() {
        let work = InFlightWork {
            handler: "place".to_owned(),
            kind: WorkKind::Durable,
            location: "a.rs:1".to_owned(),
            age: Duration::from_micros(1999),
            detached: true,
        };
        let connection = |state| ConnectionCut {
            peer: "::1".to_owned(),
            protocol: "http/2",
            state,
            age: Duration::MAX,
            requests: vec![work.clone()],
        };
        let failed = |panic: Option<&str>| FailedWorker {
            worker: "outbox".to_owned(),
            panic: panic.map(str::to_owned),
            dropped: false,
        };
        let report = ShutdownReport {
            abandoned: vec![work.clone()],
            blocked: vec![BlockedHandler {
                handler: "sum".to_owned(),
                location: "a.rs:2".to_owned(),
                at_least: Duration::from_secs(1),
            }],
            connections_cut: ConnectionState::ALL.map(connection).to_vec(),
            failed_workers: vec![failed(None), failed(Some("no"))],
            ..ShutdownReport::default()
        };
        let work = r#"{"handler":"place","kind":"durable","location":"a.rs:1","age_ms":1,"detached":true}"#;
        let durable =
            r#"{"begun":0,"completed":0,"followed_through":0,"panicked":0,"cut":0,"abandoned":0}"#;
        let cut = ["idle", "head", "answering", "upgraded", "closing"].map(|state| {
            format!(
                r#"{{"peer":"::1","protocol":"http/2","state":"{state}","age_ms":18446744073709551615,"requests":[{work}]}}"#
            )
        });
        let expected = [
            r#"{"elapsed_ms":0,"phases":{"not_ready_ms":0,"closing_ms":0,"stopping_ms":0,"workers_ms":0,"#,
            r#""last_moments_ms":0,"cutting_ms":0},"durable":"#,
            durable,
            r#","compensations":{"run":0,"failed":0,"abandoned":0},"unlinked":"#,
            durable,
            r#","cancelled":{"client_disconnected":0,"deadline_exceeded":0,"shutting_down":0,"refused":0,"#,
            r#""body_read_timeout":0},"idempotency":{"claimed":0,"joined":0,"replayed":0,"refused":0,"unknown":0},"#,
            r#""outbox":{"sent":0,"retried":0,"parked":0},"ignored_deadlines":0,"failed_connections":{"not_accepted":0,"#,
            r#""gone_before_accept":0,"failed_handshakes":0,"malformed_heads":0,"silent":0},"#,
            r#""unanswered":0,"abandoned":["#,
            work,
            r#"],"blocked":[{"handler":"sum","location":"a.rs:2","at_least_ms":1000}],"connections_cut":["#,
            &cut.join(","),
            r#"],"failed_workers":[{"worker":"outbox","panic":null,"dropped":false},"#,
            r#"{"worker":"outbox","panic":"no","dropped":false}],"worker_restarts":0}"#,
        ];
        assert_eq!(serde_json::to_string(&report).unwrap(), expected.concat());
    }
}
