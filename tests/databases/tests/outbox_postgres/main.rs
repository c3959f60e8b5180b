//! The outbox in `PostgreSQL`.

use std::time::Duration;

use followthrough_database_tests::{Postgres, postgres};
use followthrough_outbox::{
    __private::{Ask, Run, Table as _},
    EnqueueError, Message, Outbox as _, PostgresOutbox, StoredMessage, enqueue,
};
use followthrough_tests::soon;
use sqlx::{
    AssertSqlSafe, Connection as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::task::JoinSet;

mod arrivals;
mod dropped;
mod leases;
mod migrations;
mod settlements;

/// The time of a lease, and of a wait, that no test sees the end of.
const LONG: Duration = Duration::from_hours(1);

/// Creates a database, and returns how to connect to it.
async fn database(postgres: &Postgres, name: &str) -> PgConnectOptions {
    let create = format!("CREATE DATABASE {name}");
    postgres.inspector().await.client.batch_execute(&create).await.expect("the name is new");
    let options = postgres.sqlx_pool(name, 1).connect_options();
    (*options).clone().database(name)
}

fn pool(options: PgConnectOptions) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(10).test_before_acquire(false);
    pool.connect_lazy_with(options)
}

async fn outbox(postgres: &Postgres, name: &str) -> (PgPool, PostgresOutbox) {
    let pool = pool(database(postgres, name).await);
    let outbox = PostgresOutbox::new(pool.clone());
    outbox.migrate().await.expect("the tables are new");
    (pool, outbox)
}

fn ask(relay: &str) -> Ask {
    Ask {
        relay: relay.to_owned(),
        runs: 100,
        messages: 1000,
        after_key: String::new(),
        lease: LONG,
        up_to: i64::MAX,
        passes_failed: false,
    }
}

/// Creates a message whose payload is its label. The label begins with the key; `-` begins one without a key.
fn message(label: &str) -> Message {
    let message = Message::new("topic", label);
    match &label[..1] {
        "-" => message,
        key => message.key(key),
    }
}

/// Enqueues messages, each in a transaction of its own.
async fn store(pool: &PgPool, labels: &[&str]) {
    for label in labels {
        let mut tx = pool.begin().await.unwrap();
        enqueue(&mut tx, &message(label)).await.unwrap();
        tx.commit().await.unwrap();
    }
}

fn label(message: &StoredMessage) -> &str {
    std::str::from_utf8(message.payload()).expect("a label is text")
}

/// Returns the labels of the runs, such as `a1 a2`.
fn labels(runs: &[Run]) -> Vec<String> {
    let labels = |run: &Run| run.messages.iter().map(label).collect::<Vec<_>>().join(" ");
    runs.iter().map(labels).collect()
}

async fn lease(outbox: &PostgresOutbox, ask: &Ask) -> Vec<String> {
    labels(&outbox.lease(ask).await.unwrap())
}

/// Returns the number of the message.
async fn number(pool: &PgPool, label: &str) -> i64 {
    let query = "SELECT number FROM followthrough_outbox WHERE payload = convert_to($1, 'UTF8')";
    sqlx::query_scalar(query).bind(label).fetch_one(pool).await.expect("the message is stored")
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

async fn count(pool: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// Waits until `sql` counts one row or more.
async fn until(pool: &PgPool, what: &str, sql: &str) {
    soon(what, async { while count(pool, sql).await == 0 {} }).await;
}

#[tokio::test]
async fn a_message_lands_with_its_transaction() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_transactions").await;
    let mut tx = pool.begin().await.unwrap();
    enqueue(&mut tx, &message("a1")).await.unwrap();
    assert!(lease(&outbox, &ask("relay")).await.is_empty(), "nothing is committed");
    tx.rollback().await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM followthrough_outbox").await, 0);

    let sent =
        Message::new("orders.placed", vec![0, 255]).key("k").header("a", "b: c").header("a", "");
    let mut tx = pool.begin().await.unwrap();
    let id = enqueue(&mut tx, &sent).await.unwrap();
    tx.commit().await.unwrap();
    let runs = outbox.lease(&ask("relay")).await.unwrap();
    let [stored] = &runs[0].messages[..] else { panic!("one message: {runs:?}") };
    assert_eq!(stored.id(), &id);
    assert_eq!((stored.topic(), stored.key()), ("orders.placed", Some("k")));
    let headers = [("a".to_owned(), "b: c".to_owned()), ("a".to_owned(), String::new())];
    assert_eq!(stored.headers(), headers);
    assert_eq!((stored.payload(), stored.attempt()), (&[0, 255][..], 1));
    assert_eq!(id.as_str().len(), 36, "{id} is a UUID");
}

#[tokio::test]
async fn a_savepoint_that_is_rolled_back_takes_its_message_along() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_savepoints").await;
    let mut tx = pool.begin().await.unwrap();
    for (label, lands) in [("a1", true), ("a2", false), ("a3", true)] {
        let mut savepoint = tx.begin().await.unwrap();
        enqueue(&mut savepoint, &message(label)).await.unwrap();
        if lands {
            savepoint.commit().await.unwrap();
        } else {
            savepoint.rollback().await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1 a3"]);
}

/// The number is assigned after the wait for the other transaction, or the order would be `a1 a2 a3`.
#[tokio::test]
async fn messages_of_a_key_are_in_the_order_of_their_commits() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_commits").await;
    let mut first = pool.begin().await.unwrap();
    enqueue(&mut first, &message("a1")).await.unwrap();
    let other = pool.clone();
    let second = tokio::spawn(async move { store(&other, &["a2"]).await });
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = 'outbox_commits' AND wait_event = 'advisory'";
    until(&pool, "a wait for the key", waits).await;
    store(&pool, &["b1", "-1"]).await;
    enqueue(&mut first, &message("a3")).await.unwrap();
    assert_eq!(lease(&outbox, &ask("relay")).await, ["b1", "-1"], "other keys do not wait");
    first.commit().await.unwrap();
    second.await.unwrap();
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1 a3 a2"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_stored_is_refused_with_the_reason() {
    let Some(postgres) = postgres() else { return };
    let (pool, _) = outbox(postgres, "outbox_refused").await;
    let good = || Message::new("topic", "");
    let refused = [
        (Message::new("", ""), "the topic has 0 bytes: use 1 to 255"),
        (Message::new("t".repeat(256), ""), "the topic has 256 bytes: use 1 to 255"),
        (Message::new("a\nb", ""), r#"the topic "a\nb" has control characters"#),
        (good().key(""), "the key has 0 bytes: use 1 to 1,024, or no key"),
        (good().key("k".repeat(1025)), "the key has 1025 bytes: use 1 to 1,024, or no key"),
        (good().key("a\0b"), r#"the key "a\0b" has a zero byte"#),
        (good().header("a", "b\r\nc: d"), "the value of the header `a` has control characters"),
        (
            good().header("a b", ""),
            r#"the header name "a b" is not 1 to 255 visible ASCII characters without `:`"#,
        ),
    ];
    let mut tx = pool.begin().await.unwrap();
    for (message, expected) in refused {
        let error = enqueue(&mut tx, &message).await.expect_err(expected);
        assert!(matches!(&error, EnqueueError::Invalid(reason) if reason == expected), "{error}");
    }
    let longest = Message::new("t".repeat(255), "").key("k\n".repeat(512));
    enqueue(&mut tx, &longest).await.expect("the transaction goes on");
    tx.commit().await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM followthrough_outbox").await, 1);
}

#[tokio::test]
async fn the_backlog_is_counted() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_backlog").await;
    assert_eq!(outbox.backlog().await.unwrap(), followthrough_outbox::Backlog::default());
    store(&pool, &["a1", "a2", "-1", "-2", "b1", "b2"]).await;
    let edit = |set: &str, label: &str| {
        format!("UPDATE followthrough_outbox SET {set} WHERE payload = '{label}'")
    };
    execute(&pool, &edit("enqueued_at = enqueued_at - interval '1 hour'", "a2")).await;
    execute(&pool, &edit("parked_at = now(), enqueued_at = '-infinity'", "b1")).await;
    execute(&pool, &edit("parked_at = now(), in_line = false", "-1")).await;
    execute(&pool, &edit("sent_at = now(), in_line = false", "-2")).await;
    let backlog = outbox.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.parked), (3, 2));
    let oldest = backlog.oldest.expect("three wait");
    assert!((LONG..LONG * 2).contains(&oldest), "{oldest:?}");
}
