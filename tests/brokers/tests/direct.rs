//! Handlers that call NATS themselves, with clients that leave.

use async_nats::{Client, connection::State, jetstream};
use brokers::direct;
use followthrough_broker_tests::Nats;
use followthrough_tests::{Server, h1, soon};
use futures_util::StreamExt;

async fn start() -> Option<(Nats, Client, Server)> {
    let nats = Nats::start()?;
    let client = brokers::nats::connect(&nats.url()).await.unwrap();
    connected(&client, true).await;
    let stream = jetstream::stream::Config {
        name: "orders".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..jetstream::stream::Config::default()
    };
    jetstream::new(client.clone()).create_stream(stream).await.unwrap();
    let server = Server::start(direct::app(client.clone()).into_axum()).await;
    Some((nats, client, server))
}

async fn connected(client: &Client, is: bool) {
    let changed = async {
        while (client.connection_state() == State::Connected) != is {
            tokio::task::yield_now().await;
        }
    };
    soon("the change of the connection", changed).await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_question() {
    let Some((_nats, client, server)) = start().await else { return };
    let mut questions = client.subscribe("prices").await.unwrap();
    client.flush().await.unwrap();
    let mut call = h1::send(server.at, "GET", "/prices/tea").await;
    let question = soon("the question", questions.next()).await.unwrap();
    assert_eq!(&question.payload[..], b"tea");
    client.publish(question.reply.unwrap(), "7".into()).await.unwrap();
    assert_eq!(call.answer().await.body, "7");

    let call = h1::send(server.at, "GET", "/prices/tea").await;
    soon("the question", questions.next()).await.unwrap();
    call.hang_up();
    let noticed = async {
        while server.lifecycle.counts().cancelled.client_disconnected == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the disconnect", noticed).await;

    // Without a reply, the deadline answers.
    assert_eq!(h1::call(server.at, "GET", "/prices/tea").await.status, 504);
    // Without a listener, NATS says so at once.
    questions.unsubscribe().await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(h1::call(server.at, "GET", "/prices/tea").await.status, 502);
    assert_eq!(server.stop().await.exit_code(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_announcement() {
    let Some((mut nats, client, server)) = start().await else { return };
    let sent = || client.statistics().out_messages.load(std::sync::atomic::Ordering::SeqCst);
    let before = sent();
    nats.pause();
    let call = h1::send(server.at, "PUT", "/orders/17").await;
    let is_sent = async {
        while sent() == before {
            tokio::task::yield_now().await;
        }
    };
    soon("the message on the wire", is_sent).await;
    call.hang_up();
    let detached = async {
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
    };
    soon("the disconnect", detached).await;
    nats.resume();
    let report = server.stop().await;
    assert_eq!((report.exit_code(), report.durable.followed_through), (0, 1), "{report}");

    let stream = jetstream::new(client).get_stream("orders").await.unwrap();
    assert_eq!(stream.get_raw_message(1).await.unwrap().subject.as_str(), "orders.17");
}

#[tokio::test]
async fn an_order_that_was_not_sent_is_refused() {
    let Some((mut nats, client, server)) = start().await else { return };
    assert_eq!(h1::call(server.at, "PUT", "/orders/17").await.status, 201);
    nats.kill();
    connected(&client, false).await;
    let answer = h1::call(server.at, "PUT", "/orders/18").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
}
