//! The outbox's publisher for `RabbitMQ`.
//!
//! `RabbitMQ` does not drop repetitions: consumers find them by the `message_id`, as in [`inbox`](crate::inbox).

use std::time::Duration;

use followthrough_outbox::{PublishError, Publisher, StoredMessage};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::{sync::Mutex, time::timeout};

use crate::KEY_HEADER;

/// The largest payload in bytes: set this to the server's `max_message_size`, which the protocol does not report. The
/// default is 16 MiB since `RabbitMQ` 4. A larger payload makes the server close the channel, and fails all messages on it.
const LARGEST: usize = 16 * 1024 * 1024;
/// The longest wait for a confirmation. This must be shorter than the relay's `publish_timeout` (10 s), which would drop
/// the future before it closes a connection that hangs.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes to an exchange of a `RabbitMQ` server with the topic as routing key, and waits for the confirmation.
pub struct RabbitPublisher {
    url: String,
    exchange: String,
    open: Mutex<Option<(Connection, Channel)>>,
}

impl RabbitPublisher {
    /// Creates a publisher, which connects with the first message. Through the exchange `""` a message gets to the queue
    /// that is named like its topic.
    pub fn new(url: impl Into<String>, exchange: impl Into<String>) -> Self {
        Self { url: url.into(), exchange: exchange.into(), open: Mutex::new(None) }
    }

    /// Returns the channel, and opens it if it is closed.
    async fn channel(&self) -> lapin::Result<Channel> {
        let mut open = self.open.lock().await;
        if let Some((_, channel)) = open.as_ref()
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        *open = Some((connection, channel.clone()));
        Ok(channel)
    }

    async fn confirmation(&self, message: &StoredMessage) -> lapin::Result<Confirmation> {
        // The server returns a message that gets to no queue, instead of dropping it.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, topic) = (self.exchange.as_str().into(), message.topic().into());
        let channel = self.channel().await?;
        let properties = properties(message);
        channel.basic_publish(exchange, topic, options, message.payload(), properties).await?.await
    }
}

impl Publisher for RabbitPublisher {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        let (topic, size) = (message.topic(), message.payload().len());
        if size > LARGEST {
            return Err(PublishError::never(format!(
                "the payload has {size} bytes, and RabbitMQ takes {LARGEST}"
            )));
        }
        let Ok(confirmation) = timeout(CONFIRMATION_TIMEOUT, self.confirmation(message)).await
        else {
            // A connection that hangs keeps every payload that it has not sent.
            *self.open.lock().await = None;
            return Err(PublishError::later(format!(
                "no confirmation within {CONFIRMATION_TIMEOUT:?}"
            )));
        };
        match confirmation.map_err(PublishError::later)? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) => Err(PublishError::never(format!(
                "no queue takes the routing key `{topic}`: {}",
                returned.reply_text
            ))),
            Confirmation::Nack(_) => Err(PublishError::later("RabbitMQ could not store it")),
            Confirmation::NotRequested => Err(PublishError::later("the channel has no confirms")),
        }
    }
}

/// Returns the id, the headers and the key. Delivery mode 2 is persistent.
fn properties(message: &StoredMessage) -> BasicProperties {
    let mut headers = FieldTable::default();
    let key = message.key().map(|key| (KEY_HEADER, key));
    let pairs = message.headers().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in pairs.chain(key) {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    properties.with_message_id(message.id().as_str().into())
}
