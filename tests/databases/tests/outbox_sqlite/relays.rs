//! Relays on the table.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use followthrough::Lifecycle;
use followthrough_outbox::{
    Message, Outbox as _, PublishError, Publisher, Relay, SqliteOutbox, StoredMessage, enqueue,
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::sync::{
    Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use crate::{commit, database, open_again};

/// Confirms each message and tells the test.
struct Broker(UnboundedSender<StoredMessage>);

impl Publisher for Broker {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        self.0.send(message.clone()).map_err(PublishError::later)
    }
}

/// Tells the test, and confirms a message for each permit.
struct SlowBroker(UnboundedSender<StoredMessage>, Arc<Semaphore>);

impl Publisher for SlowBroker {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        self.0.send(message.clone()).map_err(PublishError::later)?;
        self.1.acquire().await.map_err(PublishError::later)?.forget();
        Ok(())
    }
}

async fn next(messages: &mut UnboundedReceiver<StoredMessage>) -> StoredMessage {
    let next = tokio::time::timeout(Duration::from_mins(1), messages.recv()).await;
    next.expect("the relay publishes").expect("a relay lives")
}

fn lifecycle() -> Lifecycle {
    Lifecycle::builder().signals(false).build().expect("the defaults work")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_on_one_file_publish_each_key_in_order() {
    const KEYS: usize = 12;
    const MESSAGES: usize = 10;
    let database = database().await;
    let lifecycle = lifecycle();
    let (broker, mut messages) = unbounded_channel();
    for _ in 0..2 {
        let outbox = SqliteOutbox::new(open_again(&database).await);
        let relay = Relay::new(outbox, Broker(broker.clone()));
        lifecycle.spawn("outbox", |stop| relay.run(stop));
    }
    for _ in 0..MESSAGES {
        for key in 0..KEYS {
            commit(&database.pool, &[&format!("key-{key}"), "-"]).await;
        }
    }
    let mut ids = HashSet::new();
    let mut last: HashMap<String, i64> = HashMap::new();
    while ids.len() < KEYS * MESSAGES * 2 {
        let message = next(&mut messages).await;
        let is_first = ids.insert(message.id().clone());
        if let (true, Some(key)) = (is_first, message.key()) {
            let before = last.insert(key.to_owned(), message.number());
            assert!(before < Some(message.number()), "{key}: {before:?}, then {message:?}");
        }
    }
    lifecycle.shutdown();
    lifecycle.drained().await;
    assert_eq!(database.outbox.backlog().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn a_relay_shares_the_one_connection_of_a_database_in_memory() {
    let options = SqliteConnectOptions::new().in_memory(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let outbox = SqliteOutbox::new(pool.clone());
    outbox.migrate().await.unwrap();
    let (broker, mut messages) = unbounded_channel();
    let permits = Arc::new(Semaphore::new(0));
    let lifecycle = lifecycle();
    let relay = Relay::new(outbox.clone(), SlowBroker(broker, permits.clone()));
    lifecycle.spawn("outbox", |stop| relay.run(stop));

    commit(&pool, &["a"]).await;
    assert_eq!(next(&mut messages).await.number(), 1);
    // The relay is publishing, and other writes go on.
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    enqueue(&mut tx, &Message::new("topic", "").key("b")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(next(&mut messages).await.number(), 2);
    permits.add_permits(2);
    lifecycle.shutdown();
    lifecycle.drained().await;
    assert_eq!(outbox.backlog().await.unwrap().waiting, 0);
}
