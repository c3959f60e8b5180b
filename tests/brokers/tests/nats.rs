//! The publisher for NATS, on a server that stops, hangs and is full.

use async_nats::{
    Client, HeaderMap,
    connection::State,
    jetstream::{self, stream},
};
use brokers::{KEY_HEADER, nats::NatsPublisher};
use followthrough_broker_tests::{Nats, NatsSettings};
use followthrough_outbox::{Message, PublishError, Publisher, StoredMessage};
use followthrough_tests::soon;

/// A server with a stream for `orders.>`, and a publisher on it.
struct Orders {
    server: Nats,
    client: Client,
    publisher: NatsPublisher,
    jetstream: jetstream::Context,
}

impl Orders {
    async fn start(settings: NatsSettings, stream: stream::Config) -> Option<Self> {
        let orders = Self::without_stream(settings).await?;
        orders.jetstream.create_stream(stream).await.expect("the stream is new");
        Some(orders)
    }

    async fn without_stream(settings: NatsSettings) -> Option<Self> {
        let server = Nats::with(settings)?;
        let client = brokers::nats::connect(&server.url()).await.expect("the address is valid");
        until(&client, &State::Connected).await;
        let jetstream = jetstream::new(client.clone());
        Some(Self { server, publisher: NatsPublisher::new(client.clone()), client, jetstream })
    }

    /// Publishes again until the broker has taken the message, as a relay does.
    async fn publish_at_last(&self, message: &StoredMessage) {
        let publish = async {
            while let Err(error) = self.publisher.publish(message).await {
                assert!(matches!(error, PublishError::Later(_)), "{error}");
                tokio::task::yield_now().await;
            }
        };
        soon("the confirmation", publish).await;
    }

    /// Publishes so many messages of so many bytes at once, of which the broker confirms none.
    async fn all_later(&self, count: u32, bytes: usize) {
        let publishing: Vec<_> = (0..count)
            .map(|number| {
                let publisher = self.publisher.clone();
                let message = message(&number.to_string(), vec![0; bytes]);
                tokio::spawn(async move { publisher.publish(&message).await })
            })
            .collect();
        for publishing in publishing {
            let result = soon("the end of the publish", publishing).await.unwrap();
            assert!(matches!(result, Err(PublishError::Later(_))), "{result:?}");
        }
    }

    async fn stored(&self) -> u64 {
        let mut stream = self.jetstream.get_stream("orders").await.expect("the stream exists");
        stream.info().await.expect("the server answers").state.messages
    }
}

fn stream() -> stream::Config {
    stream::Config {
        name: "orders".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..stream::Config::default()
    }
}

fn message(id: &str, payload: impl Into<Vec<u8>>) -> StoredMessage {
    let message = Message::new("orders.placed", payload).key("order-17");
    StoredMessage::for_test(id, message.header("traceparent", "00-1-2-01"))
}

async fn until(client: &Client, state: &State) {
    let reached = async {
        while client.connection_state() != *state {
            tokio::task::yield_now().await;
        }
    };
    soon("the change of the connection", reached).await;
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

#[tokio::test]
async fn a_message_is_stored_with_its_id_its_key_and_its_headers() {
    let Some(orders) = Orders::start(NatsSettings::default(), stream()).await else { return };
    assert_eq!(orders.publisher.publish(&message("first", "17")).await, Ok(()));

    let stream = orders.jetstream.get_stream("orders").await.unwrap();
    let stored = stream.get_raw_message(1).await.unwrap();
    assert_eq!((stored.subject.as_str(), &stored.payload[..]), ("orders.placed", &b"17"[..]));
    assert_eq!(header(&stored.headers, "Nats-Msg-Id"), Some("first"));
    assert_eq!(header(&stored.headers, KEY_HEADER), Some("order-17"));
    assert_eq!(header(&stored.headers, "traceparent"), Some("00-1-2-01"));
}

#[tokio::test]
async fn a_message_that_is_published_twice_is_stored_once() {
    let Some(orders) = Orders::start(NatsSettings::default(), stream()).await else { return };
    for id in ["first", "first", "second"] {
        assert_eq!(orders.publisher.publish(&message(id, "17")).await, Ok(()));
    }
    assert_eq!(orders.stored().await, 2);
}

#[tokio::test]
async fn a_message_over_a_limit_is_final() {
    let settings = NatsSettings { max_payload: Some(2_000), ..NatsSettings::default() };
    let stream = stream::Config { max_message_size: 1_000, ..stream() };
    let Some(orders) = Orders::start(settings, stream).await else { return };
    let refusal = orders.publisher.publish(&message("over the server's", [0; 3_000])).await;
    let Err(PublishError::Never(reason)) = refusal else { panic!("{refusal:?}") };
    assert!(reason.contains("limit of 2000 exceeded by message size of 3"), "{reason}");

    let refusal = orders.publisher.publish(&message("over the stream's", [0; 1_500])).await;
    let Err(PublishError::Never(reason)) = refusal else { panic!("{refusal:?}") };
    assert!(reason.contains("message size exceeds maximum allowed"), "{reason}");
    assert_eq!(orders.publisher.publish(&message("below both", [0; 500])).await, Ok(()));
}

#[tokio::test]
async fn a_subject_that_no_stream_takes_is_final() {
    let Some(orders) = Orders::start(NatsSettings::default(), stream()).await else { return };
    let topics =
        [("invoices", "no stream takes the subject `invoices`"), ("orders.*", "no subject")];
    for (topic, expected) in topics {
        let message = StoredMessage::for_test("first", Message::new(topic, "17"));
        let refusal = orders.publisher.publish(&message).await;
        let Err(PublishError::Never(reason)) = refusal else { panic!("{refusal:?}") };
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn a_server_without_jetstream_may_get_it_later() {
    let settings = NatsSettings { jetstream: false, ..NatsSettings::default() };
    let Some(orders) = Orders::without_stream(settings).await else { return };
    let refusal = orders.publisher.publish(&message("first", "17")).await;
    assert!(matches!(refusal, Err(PublishError::Later(_))), "{refusal:?}");
}

#[tokio::test]
async fn a_full_stream_takes_the_message_after_a_purge() {
    let full = stream::Config { max_messages: 1, discard: stream::DiscardPolicy::New, ..stream() };
    let Some(orders) = Orders::start(NatsSettings::default(), full).await else { return };
    assert_eq!(orders.publisher.publish(&message("first", "17")).await, Ok(()));
    let refusal = orders.publisher.publish(&message("second", "18")).await;
    let Err(PublishError::Later(reason)) = refusal else { panic!("{refusal:?}") };
    assert!(reason.contains("maximum messages exceeded"), "{reason}");

    let stream = orders.jetstream.get_stream("orders").await.unwrap();
    stream.purge().await.unwrap();
    assert_eq!(orders.publisher.publish(&message("second", "18")).await, Ok(()));
}

#[tokio::test]
async fn a_server_that_is_killed_during_a_publish_has_the_message_once_at_last() {
    let Some(mut orders) = Orders::start(NatsSettings::default(), stream()).await else { return };
    let sent = || orders.client.statistics().out_messages.load(std::sync::atomic::Ordering::SeqCst);
    let before = sent();
    orders.server.pause();
    let publisher = orders.publisher.clone();
    let publishing = tokio::spawn(async move { publisher.publish(&message("first", "17")).await });
    let is_sent = async {
        while sent() == before {
            tokio::task::yield_now().await;
        }
    };
    soon("the message on the wire", is_sent).await;
    orders.server.kill();
    let result = soon("the end of the publish", publishing).await.unwrap();
    assert!(matches!(result, Err(PublishError::Later(_))), "{result:?}");

    orders.server.restart();
    orders.publish_at_last(&message("first", "17")).await;
    assert_eq!(orders.stored().await, 1);
}

#[tokio::test]
async fn messages_are_not_kept_in_memory_while_the_server_is_down() {
    let Some(mut orders) = Orders::start(NatsSettings::default(), stream()).await else { return };
    orders.server.kill();
    until(&orders.client, &State::Disconnected).await;
    orders.all_later(400, 10_000).await;

    orders.server.restart();
    orders.publish_at_last(&message("last", "17")).await;
    assert_eq!(orders.stored().await, 1);
}

#[tokio::test]
async fn a_server_that_hangs_does_not_fill_the_memory() {
    let Some(mut orders) = Orders::start(NatsSettings::default(), stream()).await else { return };
    orders.server.pause();
    orders.all_later(400, 200_000).await;

    orders.server.resume();
    orders.publish_at_last(&message("last", "17")).await;
    // The client's queue holds 64, and the rest was in the buffers of the two sockets.
    let stored = orders.stored().await;
    assert!(stored < 200, "{stored} of 400 messages were kept in memory");
}
