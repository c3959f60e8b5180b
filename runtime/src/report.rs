//! The parts of a [`ShutdownReport`](crate::ShutdownReport) and of an
//! [in-flight snapshot](crate::Lifecycle::in_flight).

pub use crate::service::{
    BlockedHandler, CancelledRequests, CompensationCounts, ConnectionCut, ConnectionState, Counts,
    DurableCounts, FailedConnections, FailedWorker, InFlightSnapshot, InFlightWork, ObserverCounts,
    OutboxCounts, PhaseDurations, WorkKind,
};
