//! The relays of outboxes: the messages that they have settled, and their last reports of the table.
//!
//! Invariants:
//!
//! 1. The counts of a relay stay when its meters are gone, because a counter must not fall.
//! 2. A meter has at most one report, which is removed with the meter. So a relay that has stopped leaves no gauge.
//! 3. While a lock is held, no other lock is taken and no observer is told. The lock of `Relays` is held for a clone of
//!    its entries at most.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::connections::lock;
use crate::serialize::serialize;

/// The messages that a relay has settled since its last call of [`RelayMeter::settled`](crate::integration::RelayMeter::settled).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelaySettled {
    /// Messages that the broker has confirmed.
    pub sent: u64,
    /// Attempts that failed and will be repeated.
    pub retried: u64,
    /// Messages that were parked, for an operator to decide.
    pub parked: u64,
}

/// The messages in the table of an outbox, for [`RelayMeter::backlog`](crate::integration::RelayMeter::backlog).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayBacklog {
    /// Messages in line that are not parked.
    pub waiting: u64,
    /// Messages that are parked.
    pub parked: u64,
    /// The time since the oldest message that waits was enqueued; `None` if no message waits.
    pub oldest: Option<Duration>,
}

/// Messages of outboxes since the start of the service, by what the relays in this process have done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxCounts {
    /// Messages that the broker has confirmed.
    pub sent: u64,
    /// Attempts that failed and were put off.
    pub retried: u64,
    /// Messages that were parked, also those that an operator has retried or dropped since.
    pub parked: u64,
}

serialize!(OutboxCounts { sent, retried, parked });

impl OutboxCounts {
    fn add(&mut self, sent: u64, retried: u64, parked: u64) {
        self.sent = self.sent.saturating_add(sent);
        self.retried = self.retried.saturating_add(retried);
        self.parked = self.parked.saturating_add(parked);
    }

    /// Returns each count with the value of the label `result` in metrics.
    pub(crate) const fn by_result(self) -> [(&'static str, u64); 3] {
        let Self { sent, retried, parked } = self;
        [("sent", sent), ("retried", retried), ("parked", parked)]
    }
}

impl fmt::Display for OutboxCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, retried, parked } = self;
        write!(f, "{sent} sent, {retried} retried, {parked} parked")
    }
}

/// The relays of a service, by their names.
#[derive(Default)]
pub(crate) struct Relays(Mutex<BTreeMap<Arc<str>, Arc<Relay>>>);

/// All relays of one name.
pub(crate) struct Relay {
    pub(crate) name: Arc<str>,
    state: Mutex<RelayState>,
}

#[derive(Default)]
struct RelayState {
    counts: OutboxCounts,
    /// The last report of each meter, in the order in which they came.
    reports: Vec<Report>,
    /// The number of the last meter.
    meters: u64,
}

struct Report {
    meter: u64,
    at: Instant,
    backlog: RelayBacklog,
}

impl Relays {
    /// Returns the relay of this name.
    pub(crate) fn named(&self, name: &str) -> Arc<Relay> {
        let mut relays = lock(&self.0);
        if let Some(relay) = relays.get(name) {
            return relay.clone();
        }
        let relay = Arc::new(Relay { name: name.into(), state: Mutex::default() });
        relays.insert(relay.name.clone(), relay.clone());
        relay
    }

    fn all(&self) -> Vec<Arc<Relay>> {
        lock(&self.0).values().cloned().collect()
    }

    /// Returns the counts by the names of the relays.
    pub(crate) fn by_name(&self) -> Vec<(Arc<str>, OutboxCounts)> {
        let relays = self.all();
        relays.iter().map(|relay| (relay.name.clone(), lock(&relay.state).counts)).collect()
    }

    /// Returns the counts of all relays together.
    pub(crate) fn counts(&self) -> OutboxCounts {
        let mut sum = OutboxCounts::default();
        for (_, OutboxCounts { sent, retried, parked }) in self.by_name() {
            sum.add(sent, retried, parked);
        }
        sum
    }

    /// Returns the last report of each name that has one.
    pub(crate) fn backlogs(&self) -> Vec<(Arc<str>, RelayBacklog)> {
        let relays = self.all();
        relays.iter().filter_map(|relay| Some((relay.name.clone(), relay.backlog()?))).collect()
    }
}

impl Relay {
    /// Returns the number of a new meter.
    pub(crate) fn add_meter(&self) -> u64 {
        let mut state = lock(&self.state);
        state.meters += 1;
        state.meters
    }

    pub(crate) fn settled(&self, settled: RelaySettled) {
        let RelaySettled { sent, retried, parked } = settled;
        lock(&self.state).counts.add(sent, retried, parked);
    }

    /// Replaces the report of this meter.
    pub(crate) fn report(&self, meter: u64, backlog: RelayBacklog) {
        let mut state = lock(&self.state);
        state.reports.retain(|report| report.meter != meter);
        // Read under the lock, so that the last report has the latest time.
        state.reports.push(Report { meter, at: Instant::now(), backlog });
    }

    /// Removes the report of a meter that is dropped.
    pub(crate) fn remove_meter(&self, meter: u64) {
        lock(&self.state).reports.retain(|report| report.meter != meter);
    }

    /// Returns the last report of a meter that is still there.
    fn backlog(&self) -> Option<RelayBacklog> {
        let state = lock(&self.state);
        let Report { at, backlog, .. } = state.reports.last()?;
        // A relay that cannot read its table reports nothing, and its oldest message grows older all the same.
        let oldest = backlog.oldest.map(|oldest| oldest.saturating_add(at.elapsed()));
        Some(RelayBacklog { oldest, ..*backlog })
    }
}
