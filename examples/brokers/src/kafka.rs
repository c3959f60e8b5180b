//! The outbox's publisher for Kafka, over a client in pure Rust. This file is compiled only, and was never run
//! against a broker.
//!
//! Kafka orders a partition, and the key chooses the partition. Kafka does not drop repetitions: consumers find them by
//! the header `message-id`, as in [`inbox`](crate::inbox).

use std::time::{SystemTime, UNIX_EPOCH};

use followthrough_outbox::{PublishError, Publisher, StoredMessage};
use rskafka::{
    chrono::DateTime,
    client::{
        Client,
        error::{Error, ProtocolError},
        partition::{Compression, UnknownTopicHandling},
    },
    record::Record,
};

/// Publishes to the topics of a Kafka cluster, and waits until all in-sync replicas have the message.
#[derive(Debug)]
pub struct KafkaPublisher {
    client: Client,
    /// How many partitions each topic has.
    partitions: i32,
}

impl KafkaPublisher {
    /// Creates a publisher for topics that have `partitions` partitions, one or more.
    ///
    /// A change of `partitions` moves keys to other partitions, so let the table run empty first, or order is lost.
    pub fn new(client: Client, partitions: i32) -> Self {
        Self { client, partitions: partitions.max(1) }
    }

    /// Returns the partition of the message, by the FNV-1a hash of its key. Each version of the program has to choose the
    /// same one.
    fn partition(&self, message: &StoredMessage) -> i32 {
        let chosen_by = message.key().unwrap_or(message.id().as_str());
        let hash = chosen_by
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        i32::try_from(hash % self.partitions.unsigned_abs()).unwrap_or(0)
    }
}

impl Publisher for KafkaPublisher {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        let id = ("message-id".to_owned(), message.id().as_str().into());
        let headers = message.headers().iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.as_bytes().to_vec()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = Record {
            key: message.key().map(Into::into),
            value: Some(message.payload().to_vec()),
            headers: headers.chain([id]).collect(),
            timestamp: DateTime::from_timestamp(now.as_secs().cast_signed(), 0).unwrap_or_default(),
        };
        let (topic, partition) = (message.topic(), self.partition(message));
        let unknown = UnknownTopicHandling::Error;
        let partition = self.client.partition_client(topic, partition, unknown).await;
        let partition = partition.map_err(refused)?;
        let stored = partition.produce(vec![record], Compression::NoCompression).await;
        stored.map(drop).map_err(refused)
    }
}

/// Returns whether a later attempt may succeed. An unknown topic is retried, because a new topic is unknown for a moment;
/// look for a misspelt topic in the log. [`park_after`](followthrough_outbox::RelayBuilder::park_after) would park such
/// messages, and those of a long outage too.
fn refused(error: Error) -> PublishError {
    match error {
        Error::ServerError {
            protocol_error:
                ProtocolError::MessageTooLarge
                | ProtocolError::RecordListTooLarge
                | ProtocolError::InvalidTopicException,
            ..
        } => PublishError::never(error),
        _ => PublishError::later(error),
    }
}
