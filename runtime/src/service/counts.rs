//! The counts of a service at any time.

use std::collections::BTreeMap;

use super::{
    compensation_counts::CompensationCounts, failed_connections::FailedConnections,
    in_flight::DurableCounts, observer::NO_HANDLER, observers::ObserverCounts,
    outbox::OutboxCounts, phase::Phase, report::CancelledRequests, state::ServiceState,
};
use crate::{handler_policy::HandlerPolicy, idempotency::IdempotencyCounts, serialize::serialize};

/// The counts of a service, from [`Lifecycle::counts`](crate::Lifecycle::counts): at any time what the
/// [`ShutdownReport`](crate::ShutdownReport) has at the end.
///
/// The counts are read one after the other while requests end, so two of them may be of slightly different moments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// The phase of the service.
    pub phase: Phase,
    /// Requests that are not answered yet.
    pub requests: usize,
    /// Open connections of [`serve`](crate::serve).
    pub connections: usize,
    /// Running workers.
    pub workers: usize,
    /// Durable work since the start, by how it ended. `abandoned` counts none before the end of a shutdown.
    pub durable: DurableCounts,
    /// Compensations since the start. `abandoned` counts none before the end of a shutdown.
    pub compensations: CompensationCounts,
    /// Durable work of requests without a lifecycle since the start.
    pub unlinked: DurableCounts,
    /// Requests whose wait ended early, since the start.
    pub cancelled: CancelledRequests,
    /// Requests with an idempotency key since the start, by what became of them.
    pub idempotency: IdempotencyCounts,
    /// Messages of outboxes since the start, by what their relays have done with them.
    pub outbox: OutboxCounts,
    /// Deadlines of callers that could not be read, since the start.
    pub ignored_deadlines: u64,
    /// Connections that failed before a request or in its head, since the start.
    pub failed_connections: FailedConnections,
    /// Workers that have failed since the start.
    pub failed_workers: usize,
    /// The number of times that a failed worker was started again, since the start.
    pub worker_restarts: u64,
    /// The failures of the observers, since the start.
    pub observers: ObserverCounts,
}

serialize!(Counts {
    phase,
    requests,
    connections,
    workers,
    durable,
    compensations,
    unlinked,
    cancelled,
    idempotency,
    outbox,
    ignored_deadlines,
    failed_connections,
    failed_workers,
    worker_restarts,
    observers
});

/// The numbers of what is in flight, by the names of handlers.
#[derive(Default)]
pub(crate) struct InFlightByHandler {
    /// Requests that have not ended. They are counted once [`Observers::become_present`] was called.
    ///
    /// [`Observers::become_present`]: super::observers::Observers::become_present
    pub(crate) requests: BTreeMap<&'static str, u64>,
    /// Durable, cooperative and reversible work, compensations and tracked tasks.
    pub(crate) work: BTreeMap<&'static str, u64>,
    /// Such work that goes on without its request.
    pub(crate) detached: BTreeMap<&'static str, u64>,
}

impl ServiceState {
    pub(crate) fn idempotency_counts(&self) -> IdempotencyCounts {
        let writes = self.config.keyed_writes.as_ref();
        writes.map(|writes| writes.tally.read()).unwrap_or_default()
    }

    pub(crate) fn in_flight_by_handler(&self) -> InFlightByHandler {
        let mut numbers = InFlightByHandler::default();
        for request in self.observers.in_flight() {
            let handler = request.handler.map_or(NO_HANDLER, HandlerPolicy::name);
            *numbers.requests.entry(handler).or_default() += 1;
        }
        self.registry.each(|handler, is_detached| {
            *numbers.work.entry(handler.name()).or_default() += 1;
            *numbers.detached.entry(handler.name()).or_default() += u64::from(is_detached);
        });
        numbers
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut compensations = self.compensations.read();
        let (mut durable, mut unlinked) = (self.registry.counts(), self.unlinked_counts());
        if let Some(report) = self.ending.report() {
            // Abandoned work may end later, and a counter must not fall.
            (durable, compensations, unlinked) =
                (report.durable, report.compensations, report.unlinked);
        } else {
            compensations.abandoned = 0;
        }
        Counts {
            phase: self.phase(),
            requests: self.requests(),
            connections: self.connections.len(),
            workers: self.workers.len(),
            durable,
            compensations,
            unlinked,
            cancelled: self.cancellations.read(),
            idempotency: self.idempotency_counts(),
            outbox: self.relays.counts(),
            ignored_deadlines: self.ignored_deadlines(),
            failed_connections: FailedConnections::of(&self.events),
            failed_workers: self.workers.failed().len(),
            worker_restarts: self.workers.restarts(),
            observers: self.observers.counts(),
        }
    }
}
