//! The outbox's publisher for NATS `JetStream`.
//!
//! The stream drops a second message with one `Nats-Msg-Id` within its `duplicate_window`, two minutes by default.

use std::{error::Error, time::Duration};

use async_nats::{
    Client, ConnectError, ConnectOptions, HeaderMap, HeaderName, HeaderValue,
    connection::State,
    jetstream::{self, ErrorCode, context::PublishErrorKind, message::PublishMessage},
};
use followthrough_outbox::{PublishError, Publisher, StoredMessage};

use crate::KEY_HEADER;

/// Connects to the NATS servers at `addresses`, also if they start later, and connects again after each loss.
///
/// # Errors
///
/// Returns the error of an address that cannot be parsed.
pub async fn connect(addresses: &str) -> Result<Client, ConnectError> {
    ConnectOptions::new()
        .retry_on_initial_connect()
        // A server that hangs fills this queue with payloads, and the default is 2,048 of them.
        .client_capacity(64)
        // A server that hangs counts as lost after two pings without an answer; by default after two minutes.
        .ping_interval(Duration::from_secs(5))
        .reconnect_delay_callback(|attempts| Duration::from_millis(100 * attempts.min(10) as u64))
        .connect(addresses.split(',').collect::<Vec<_>>())
        .await
}

/// Publishes to the streams of a NATS server, and waits for the acknowledgement of the stream.
#[derive(Clone, Debug)]
pub struct NatsPublisher {
    client: Client,
    jetstream: jetstream::Context,
}

impl NatsPublisher {
    /// Creates a publisher on a client of [`connect`].
    pub fn new(client: Client) -> Self {
        Self { jetstream: jetstream::new(client.clone()), client }
    }
}

impl Publisher for NatsPublisher {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        let topic = message.topic();
        if !is_subject(topic) {
            return Err(PublishError::never(format!("`{topic}` is no subject of NATS")));
        }
        let publish = PublishMessage::build()
            .headers(headers(message).map_err(PublishError::never)?)
            .message_id(message.id().as_str())
            .payload(message.payload().to_vec().into());
        // The client would keep the message in memory and send it when it is connected again.
        if self.client.connection_state() != State::Connected {
            return Err(PublishError::later("no connection to NATS"));
        }
        let published = match self.jetstream.send_publish(topic.to_owned(), publish).await {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        let Err(error) = published else { return Ok(()) };
        Err(match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => PublishError::never(error),
            PublishErrorKind::StreamNotFound => self.no_responders(topic).await,
            PublishErrorKind::Other if is_final(&error) => PublishError::never(error),
            _ => PublishError::later(error),
        })
    }
}

impl NatsPublisher {
    /// A server without a stream for the subject answers like one whose stream has not started yet.
    async fn no_responders(&self, topic: &str) -> PublishError {
        use async_nats::jetstream::context::GetStreamByNameErrorKind::NotFound;
        match self.jetstream.stream_by_subject(topic).await {
            Err(error) if error.kind() == NotFound => PublishError::never(format!(
                "no stream takes the subject `{topic}`: add it to a stream"
            )),
            Err(error) => PublishError::later(error),
            Ok(stream) => PublishError::later(format!("the stream `{stream}` does not answer")),
        }
    }
}

/// Returns whether the stream refuses the message itself. All other errors, such as a full stream, can pass.
fn is_final(error: &(dyn Error + 'static)) -> bool {
    let error = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    error.is_some_and(|error| {
        matches!(
            error.error_code(),
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM
        )
    })
}

/// Returns whether `topic` is a subject without wildcards.
fn is_subject(topic: &str) -> bool {
    let is_token = |token: &str| !matches!(token, "" | "*" | ">");
    topic.split('.').all(is_token) && !topic.contains(char::is_whitespace)
}

fn headers(message: &StoredMessage) -> Result<HeaderMap, Box<dyn Error>> {
    let mut headers = HeaderMap::new();
    for (name, value) in message.headers() {
        headers.append(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
    }
    if let Some(key) = message.key() {
        headers.insert(KEY_HEADER, key.parse::<HeaderValue>()?);
    }
    Ok(headers)
}
