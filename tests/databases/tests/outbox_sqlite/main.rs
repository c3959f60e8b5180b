//! The outbox in `SQLite`.

use std::{path::Path, time::Duration};

use followthrough_outbox::{
    __private::{Ask, Run, Table as _},
    EnqueueError, Message, Outbox as _, SqliteOutbox, enqueue,
};
use sqlx::{
    AssertSqlSafe, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tempfile::TempDir;

mod leases;
mod relays;
mod settlements;

/// A database in a file, which ends with the folder.
struct Database {
    pool: SqlitePool,
    outbox: SqliteOutbox,
    folder: TempDir,
}

async fn open(folder: &Path, busy_timeout: Duration) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("outbox.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(busy_timeout);
    SqlitePoolOptions::new().max_connections(4).connect_with(options).await.expect("it opens")
}

/// Opens the same file as another process would.
async fn open_again(database: &Database) -> SqlitePool {
    open(database.folder.path(), Duration::from_secs(30)).await
}

async fn database() -> Database {
    let folder = TempDir::new().expect("a folder");
    let pool = open(folder.path(), Duration::from_secs(30)).await;
    let outbox = SqliteOutbox::new(pool.clone());
    outbox.migrate().await.expect("the table is new");
    Database { pool, outbox, folder }
}

async fn execute(pool: &SqlitePool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

async fn count(pool: &SqlitePool, condition: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM followthrough_outbox WHERE {condition}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// Commits a message for each key, in one transaction. `-` is a message without a key.
async fn commit(pool: &SqlitePool, keys: &[&str]) {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    for key in keys {
        let message = Message::new("topic", *key);
        let message = if *key == "-" { message } else { message.key(*key) };
        enqueue(&mut tx, &message).await.expect("it is stored");
    }
    tx.commit().await.unwrap();
}

fn ask(relay: &str) -> Ask {
    Ask {
        relay: relay.to_owned(),
        runs: 100,
        messages: 200,
        after_key: String::new(),
        lease: Duration::from_secs(30),
        up_to: i64::MAX,
        passes_failed: false,
    }
}

/// Returns the numbers of each run.
fn numbers(runs: &[Run]) -> Vec<Vec<i64>> {
    let numbers =
        |run: &Run| run.messages.iter().map(followthrough_outbox::StoredMessage::number).collect();
    runs.iter().map(numbers).collect()
}

/// Leases with these settings, and returns the numbers of each run.
async fn lease(outbox: &SqliteOutbox, ask: &Ask) -> Vec<Vec<i64>> {
    numbers(&outbox.lease(ask).await.expect("the database answers"))
}

/// Ends all leases and pauses.
async fn expire(pool: &SqlitePool) {
    execute(pool, "UPDATE followthrough_outbox SET due_at = due_at - 3600000").await;
}

#[tokio::test]
async fn a_message_lands_with_its_transaction() {
    let Database { pool, outbox, folder: _folder } = database().await;
    let message = Message::new("orders.placed", [0, 255])
        .key("order-1")
        .header("content-type", "application/json")
        .header("empty", "");
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    enqueue(&mut tx, &message).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    enqueue(&mut tx, &message).await.unwrap();
    drop(tx);
    assert_eq!(count(&pool, "true").await, 0, "nothing has landed");

    let mut tx = pool.begin().await.unwrap();
    let first = enqueue(&mut tx, &message).await.unwrap();
    let second = enqueue(&mut tx, &Message::new("orders.placed", "")).await.unwrap();
    assert_eq!(lease(&outbox, &ask("a")).await, [[0; 0]; 0], "nothing is committed");
    tx.commit().await.unwrap();

    let runs = outbox.lease(&ask("a")).await.unwrap();
    let [with_key, without_key] = &runs[..] else { panic!("two runs: {runs:?}") };
    let stored = &with_key.messages[0];
    assert_eq!(
        (stored.id(), stored.topic(), stored.key()),
        (&first, "orders.placed", Some("order-1"))
    );
    assert_eq!((stored.payload(), stored.attempt()), (&[0, 255][..], 1));
    let headers = [("content-type", "application/json"), ("empty", "")];
    assert_eq!(stored.headers(), headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let stored = &without_key.messages[0];
    assert_eq!((stored.id(), stored.key(), stored.payload()), (&second, None, &[][..]));
}

#[tokio::test]
async fn each_message_has_a_random_uuid() {
    let Database { pool, folder: _folder, .. } = database().await;
    commit(&pool, &["-"; 200]).await;
    let ids = sqlx::query_scalar("SELECT DISTINCT id FROM followthrough_outbox");
    let ids: Vec<String> = ids.fetch_all(&pool).await.unwrap();
    assert_eq!(ids.len(), 200, "no two are equal");
    for id in ids {
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-')), "{id}");
        assert_eq!(&id[14..15], "4", "{id}: the version");
        assert!("89ab".contains(&id[19..20]), "{id}: the variant");
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_stored_is_refused() {
    let Database { pool, folder: _folder, .. } = database().await;
    let refused = [
        (Message::new("", "payload"), "0 bytes"),
        (Message::new("t".repeat(256), "payload"), "256 bytes"),
        (Message::new("a\nb", "payload"), "control"),
        (Message::new("topic", "payload").key(""), "0 bytes"),
        (Message::new("topic", "payload").key("k".repeat(1025)), "1025 bytes"),
        (Message::new("topic", "payload").key("a\0b"), "zero byte"),
        (Message::new("topic", "payload").header("a: b", "value"), "header name"),
        (Message::new("topic", "payload").header("name", "a\nb: c"), "`name`"),
    ];
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    for (message, reason) in refused {
        match enqueue(&mut tx, &message).await {
            Err(EnqueueError::Invalid(why)) => assert!(why.contains(reason), "{why}"),
            other => panic!("{message:?}: {other:?}"),
        }
    }
    enqueue(&mut tx, &Message::new("topic", "payload").key("k".repeat(1024))).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&pool, "true").await, 1, "only the last one is stored");
}

#[tokio::test]
async fn the_migrations_run_again_and_at_once() {
    let database = database().await;
    let Database { pool, outbox, .. } = &database;
    commit(pool, &["a"]).await;
    let again = SqliteOutbox::new(open_again(&database).await);
    let (one, other) = tokio::join!(outbox.migrate(), again.migrate());
    one.and(other).expect("the table stays");
    assert_eq!(count(pool, "true").await, 1, "the messages stay");
}

#[tokio::test]
async fn a_table_of_another_shape_is_refused_by_what_it_lacks() {
    let folder = TempDir::new().expect("a folder");
    let pool = open(folder.path(), Duration::from_secs(30)).await;
    let outbox = SqliteOutbox::new(pool.clone());
    execute(&pool, "CREATE TABLE followthrough_outbox (number INTEGER PRIMARY KEY, id TEXT)").await;
    let error = outbox.migrate().await.expect_err("there is no topic").to_string();
    assert!(error.contains("`followthrough_outbox` has no column `topic`, which"), "{error}");
    // Each index has its columns, so only the check finds what is missing.
    let columns = "topic, key, headers, payload, enqueued_at, in_line, due_at, leased_by, attempts, parked_at, sent_at";
    execute(&pool, "DROP TABLE followthrough_outbox").await;
    execute(&pool, &format!("CREATE TABLE followthrough_outbox (number, id, {columns})")).await;
    let error = outbox.migrate().await.expect_err("there is no reason").to_string();
    assert!(error.contains("no column `reason`"), "{error}");
    let indexes =
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_schema WHERE type = 'index'");
    assert_eq!(indexes.fetch_one(&pool).await.unwrap(), 0, "nothing is changed");
    execute(&pool, "ALTER TABLE followthrough_outbox RENAME TO other").await;
    outbox.migrate().await.expect("the name is free");
    // A renamed table keeps its indexes, whose names the next table needs.
    execute(&pool, "ALTER TABLE followthrough_outbox RENAME TO older").await;
    let error = outbox.migrate().await.expect_err("the indexes are taken").to_string();
    assert!(
        error.contains("no index `followthrough_outbox_keys`")
            && error.contains("drop its indexes"),
        "{error}"
    );
    for index in ["keys", "due", "waiting", "parked", "sent"] {
        execute(&pool, &format!("DROP INDEX followthrough_outbox_{index}")).await;
    }
    outbox.migrate().await.expect("the names are free");
}

#[tokio::test]
async fn the_backlog_counts_what_waits() {
    let Database { pool, outbox, folder: _folder } = database().await;
    let empty = outbox.backlog().await.unwrap();
    assert_eq!((empty.waiting, empty.parked, empty.oldest), (0, 0, None));
    commit(&pool, &["a", "b", "-", "c", "d"]).await;
    execute(
        &pool,
        "UPDATE followthrough_outbox SET enqueued_at = enqueued_at - number * 1000000;
        UPDATE followthrough_outbox SET parked_at = 0 WHERE number = 5;
        UPDATE followthrough_outbox SET parked_at = 0, in_line = 0 WHERE number = 4",
    )
    .await;
    let backlog = outbox.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.parked), (3, 2));
    let oldest = backlog.oldest.expect("some wait").as_secs();
    assert!((3000..4000).contains(&oldest), "the third is the oldest: {oldest} s");
}

#[tokio::test]
async fn the_last_number_is_one_that_is_committed() {
    let Database { pool, outbox, folder: _folder } = database().await;
    assert_eq!(outbox.last_number().await.unwrap(), 0);
    commit(&pool, &["a", "-"]).await;
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    enqueue(&mut tx, &Message::new("topic", "")).await.unwrap();
    assert_eq!(outbox.last_number().await.unwrap(), 2);
}
