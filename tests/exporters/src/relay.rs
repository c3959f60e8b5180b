//! A relay of an outbox.

use std::time::Duration;

use followthrough::{
    Lifecycle,
    integration::{RelayBacklog, RelayMeter, RelaySettled},
};

/// Spawns a relay `orders` that has sent 20 messages and tried 3 again. Five messages wait, the oldest for an hour, and
/// two are parked.
pub fn spawn_relay(lifecycle: &Lifecycle) {
    lifecycle.spawn("relay", async |stop| {
        let meter = RelayMeter::new(&stop, "orders");
        meter.settled(RelaySettled { sent: 20, retried: 3, parked: 0 });
        let oldest = Some(Duration::from_hours(1));
        meter.backlog(RelayBacklog { waiting: 5, parked: 2, oldest });
        stop.cancelled().await;
    });
}
