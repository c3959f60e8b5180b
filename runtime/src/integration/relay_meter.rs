//! The meter of a relay.

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use crate::{
    service::{MessagesSettled, Relay, RelayBacklog, RelaySettled, ServiceState},
    token::ShutdownToken,
};

/// Tells a service what a relay of an outbox does, for the counts, the report, the metrics and the observers.
///
/// Relays with one name share their series: their counts add up, and the gauges show the last report of the table.
/// Dropping a meter removes its report, and the counts stay. So a relay keeps its meter for as long as it runs.
///
/// The calls do not block and do no I/O. With [`ShutdownToken::never`] they are told to no service.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use followthrough::{
///     Lifecycle, ShutdownToken, background,
///     integration::{RelayBacklog, RelayMeter, RelaySettled},
/// };
///
/// #[background]
/// async fn relay(stop: ShutdownToken) {
///     let meter = RelayMeter::new(&stop, "orders");
///     // After each batch:
///     meter.settled(RelaySettled { sent: 20, retried: 1, ..RelaySettled::default() });
///     // Every few seconds:
///     let oldest = Some(Duration::from_secs(3));
///     meter.backlog(RelayBacklog { waiting: 1, parked: 0, oldest });
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), followthrough::BuildError> {
/// let lifecycle = Lifecycle::builder().build()?;
/// lifecycle.spawn("relay", relay);
/// # while lifecycle.counts().outbox.retried == 0 {
/// #     tokio::task::yield_now().await;
/// # }
/// # assert_eq!(lifecycle.counts().outbox.sent, 20);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it removes the gauges of the relay"]
pub struct RelayMeter {
    life: Arc<ServiceState>,
    relay: Arc<Relay>,
    /// The number of this meter among those of its relay.
    number: u64,
}

impl RelayMeter {
    /// Makes a meter for the service of `stop`. `relay` is a label of metrics: take a name that is the same after each
    /// start, because the series of a name stays until the end of the process.
    pub fn new(stop: &ShutdownToken, relay: &str) -> Self {
        let life = stop.life().clone();
        let relay = life.relays.named(relay);
        let number = relay.add_meter();
        Self { life, relay, number }
    }

    /// Adds to the counts of the relay, and tells the observers unless all numbers are zero.
    pub fn settled(&self, settled: RelaySettled) {
        if settled == RelaySettled::default() {
            return;
        }
        self.relay.settled(settled);
        let RelaySettled { sent, retried, parked } = settled;
        let relay = self.relay.name.clone();
        self.life.observers.messages_settled(MessagesSettled { relay, sent, retried, parked });
    }

    /// Replaces the last report of the table. Metrics add the time since the report to `oldest`, so that a relay that
    /// cannot read its table any more does not look healthy. Report every few seconds.
    pub fn backlog(&self, backlog: RelayBacklog) {
        self.relay.report(self.number, backlog);
    }
}

impl Drop for RelayMeter {
    fn drop(&mut self) {
        self.relay.remove_meter(self.number);
    }
}

impl fmt::Debug for RelayMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayMeter").field("relay", &self.relay.name).finish_non_exhaustive()
    }
}
