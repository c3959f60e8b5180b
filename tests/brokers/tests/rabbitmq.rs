//! The publisher for `RabbitMQ`, on a server that stops and starts again.

use brokers::{KEY_HEADER, rabbitmq::RabbitPublisher};
use followthrough_broker_tests::RabbitMq;
use followthrough_outbox::{Message, PublishError, Publisher, StoredMessage};
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{BasicGetOptions, QueueDeclareOptions},
    types::FieldTable,
};

fn message(id: &str, topic: &str) -> StoredMessage {
    let message = Message::new(topic, "17").key("order-17");
    StoredMessage::for_test(id, message.header("traceparent", "00-1-2-01"))
}

async fn look(server: &RabbitMq) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&server.url(), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

// One test, because the server takes seconds to start.
#[tokio::test]
async fn messages_are_confirmed_refused_and_published_after_a_restart() {
    let Some(mut server) = RabbitMq::start() else { return };
    let publisher = RabbitPublisher::new(server.url(), "");
    let (connection, channel) = look(&server).await;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("orders".into(), durable, FieldTable::default()).await.unwrap();

    assert_eq!(publisher.publish(&message("first", "orders")).await, Ok(()));
    let refusal = publisher.publish(&message("second", "invoices")).await;
    let Err(PublishError::Never(reason)) = refusal else { panic!("{refusal:?}") };
    assert_eq!(reason, "no queue takes the routing key `invoices`: NO_ROUTE");

    server.kill();
    drop((connection, channel));
    let result = publisher.publish(&message("third", "orders")).await;
    assert!(matches!(result, Err(PublishError::Later(_))), "{result:?}");
    server.restart();
    assert_eq!(publisher.publish(&message("third", "orders")).await, Ok(()));

    let (_connection, channel) = look(&server).await;
    for expected in ["first", "third"] {
        let got = channel.basic_get("orders".into(), BasicGetOptions::default()).await.unwrap();
        let got = got.expect("a confirmed message survives the server's end");
        assert_eq!(
            got.properties.message_id().as_ref().map(lapin::types::ShortString::as_str),
            Some(expected)
        );
        assert_eq!(*got.properties.delivery_mode(), Some(2));
        assert_eq!(got.data, b"17");
        let headers = format!("{:?}", got.properties.headers());
        assert!(headers.contains(KEY_HEADER) && headers.contains("traceparent"), "{headers}");
    }
}
