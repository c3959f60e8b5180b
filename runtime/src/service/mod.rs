//! The state of one service, from its start to the end of its drain.

mod blocked_handler;
mod carry;
mod compensation_counts;
mod config;
mod connection_cut;
mod connections;
mod counts;
mod drain;
mod drain_state;
mod ending;
mod failed_connections;
mod failed_worker;
mod in_flight;
mod metrics;
mod observer;
mod observers;
mod outbox;
mod phase;
mod report;
mod serving;
mod sharded;
mod spawn;
mod state;
mod timeline;
mod unlinked;
mod watchdog;
mod work;
mod workers;

#[cfg(feature = "metrics")]
pub(crate) use self::counts::InFlightByHandler;
pub use self::{
    blocked_handler::BlockedHandler,
    compensation_counts::CompensationCounts,
    connection_cut::{ConnectionCut, ConnectionState},
    counts::Counts,
    failed_connections::FailedConnections,
    failed_worker::{FailedWorker, OnWorkerExit},
    in_flight::{DurableCounts, Ended},
    observer::{MessagesSettled, Observer, RequestEnded, WorkEnded},
    observers::ObserverCounts,
    outbox::{OutboxCounts, RelayBacklog, RelaySettled},
    phase::Phase,
    report::{CancelledRequests, InFlightSnapshot, PhaseDurations, ShutdownReport},
    work::{InFlightWork, WorkKind},
};
pub(crate) use self::{
    carry::{Carry, Key},
    config::{Config, OnCancelled},
    connections::{OpenConnection, SilenceLimits, lock},
    drain::{begin, skip_to_end},
    in_flight::{InFlight, OwnPermit},
    metrics::MEDIA_TYPE,
    observers::{Observers, RequestKey},
    outbox::Relay,
    spawn::{BoxFuture, spawn_boxed},
    state::ServiceState,
    watchdog::OwnRuntime,
};
