//! The process that is killed: a relay whose publisher waits between the broker's confirmation and its return.

use std::time::Duration;

use brokers::nats::NatsPublisher;
use followthrough::Lifecycle;
use followthrough_outbox::{PostgresOutbox, PublishError, Publisher, Relay, StoredMessage};
use tokio::time::sleep;

use crate::database;

/// How long the keys of a killed relay rest.
const LEASE: Duration = Duration::from_secs(1);

/// Prints each message that the broker has confirmed, before the relay can mark it.
struct Telling(NatsPublisher);

impl Publisher for Telling {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        self.0.publish(message).await?;
        println!("{}", message.number());
        sleep(Duration::from_micros(fastrand::u64(0..5_000))).await;
        Ok(())
    }
}

/// Publishes the messages of the database until the process is killed.
pub(crate) async fn relay(url: &str, broker: &str, name: &str) {
    let pool = database::open(url, name, 4).await;
    let client = brokers::nats::connect(broker).await.expect("the address is valid");
    let lifecycle = Lifecycle::builder().build().expect("the settings are valid");
    let publisher = Telling(NatsPublisher::new(client));
    let relay = Relay::builder(PostgresOutbox::new(pool), publisher)
        .name(name)
        .lease(LEASE)
        .publish_timeout(LEASE * 2 / 5)
        .build();
    let relay = relay.expect("the settings are valid");
    lifecycle.spawn("outbox", |stop| relay.run(stop));
    lifecycle.drained().await;
}
