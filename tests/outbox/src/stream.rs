//! The stream of a proof.

use std::time::Duration;

use async_nats::jetstream::{self, stream};

/// The topic of all messages.
pub(crate) const TOPIC: &str = "proof.message";

/// The length of a payload.
const PAYLOAD: usize = 4_000;

/// The stream, as the proof sees it beside the publisher.
pub(crate) struct Stream {
    jetstream: jetstream::Context,
}

impl Stream {
    /// Creates the stream.
    pub(crate) async fn create(broker: &str) -> Self {
        let client = async_nats::connect(broker).await.expect("the server accepts");
        let stream = Self { jetstream: jetstream::new(client) };
        stream.jetstream.create_stream(config(-1)).await.expect("the stream is new");
        stream
    }

    /// Sets the largest size of the stream, in bytes.
    pub(crate) async fn limit(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or(-1, |bytes| i64::try_from(bytes).expect("no disk is larger"));
        self.jetstream.update_stream(config(bytes)).await.expect("the server accepts");
    }

    async fn state(&self) -> stream::State {
        let mut stream = self.jetstream.get_stream("proof").await.expect("the stream exists");
        stream.info().await.expect("the server answers").state.clone()
    }

    /// Returns the size of the stream, in bytes.
    pub(crate) async fn bytes(&self) -> u64 {
        self.state().await.bytes
    }

    /// Returns the name of each message, in the order of the stream.
    pub(crate) async fn names(&self) -> Vec<String> {
        let stream = self.jetstream.get_stream("proof").await.expect("the stream exists");
        let mut names = Vec::new();
        for sequence in 1..=self.state().await.last_sequence {
            let message = stream.get_raw_message(sequence).await.expect("it is stored");
            names.push(name_of(&message.payload));
        }
        names
    }
}

fn config(max_bytes: i64) -> stream::Config {
    stream::Config {
        name: "proof".to_owned(),
        subjects: vec![TOPIC.to_owned()],
        max_bytes,
        discard: stream::DiscardPolicy::New,
        // The shortest that the server takes, so that it hides no repetition.
        duplicate_window: Duration::from_millis(100),
        ..stream::Config::default()
    }
}

/// Returns the payload of a message: its name, and spaces.
pub(crate) fn payload(name: &str) -> Vec<u8> {
    format!("{name:<PAYLOAD$}").into_bytes()
}

fn name_of(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_name() {
        assert_eq!(payload("key-1/17").len(), PAYLOAD);
        assert_eq!(name_of(&payload("key-1/17")), "key-1/17");
    }
}
