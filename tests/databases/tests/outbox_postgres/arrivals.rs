//! Relays that wait for messages.

use sqlx::postgres::PgListener;

use super::*;

const WAITING: &str = "SELECT count(*) FROM followthrough_outbox_relays";

/// Waits until the relay says that it waits, which it does only while it listens.
async fn listen(pool: &PgPool, outbox: &PostgresOutbox) {
    soon("a relay that listens", async {
        while count(pool, WAITING).await == 0 {
            outbox.arrival("relay", Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Waits in another task, and returns after the relay has looked for messages once.
async fn wait(pool: &PgPool, outbox: &PostgresOutbox) -> tokio::task::JoinHandle<bool> {
    let now = sqlx::query_scalar("SELECT clock_timestamp()::text").fetch_one(pool).await;
    let now: String = now.unwrap();
    let waiting = outbox.clone();
    let wait = tokio::spawn(async move { waiting.arrival("relay", LONG).await });
    let looked = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'idle' AND query = 'COMMIT'
            AND query_start > '{now}'"
    );
    until(pool, "the look of the relay", &looked).await;
    wait
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_ends_the_wait_of_a_relay() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_arrival").await;
    listen(&pool, &outbox).await;
    for label in ["-1", "a1"] {
        // The relay has said before that it waits, so it looks once.
        let wait = wait(&pool, &outbox).await;
        store(&pool, &[label]).await;
        assert!(soon("the end of the wait", wait).await.unwrap());
    }
    soon("an arrival from before the wait", outbox.arrival("relay", LONG)).await;
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1", "-1"]);
    assert_eq!(count(&pool, WAITING).await, 0, "a relay with runs needs no notifications");
    store(&pool, &["a2"]).await;
    let behind = outbox.arrival("relay", LONG);
    let waits = tokio::time::timeout(Duration::from_millis(200), behind).await;
    waits.expect_err("a2 waits behind a1, which is leased");
}

/// The transaction enqueues before the relay says that it waits, and commits after the relay has looked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_a_notification_is_seen_by_a_further_look() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_missed").await;
    listen(&pool, &outbox).await;
    outbox.retire("relay").await.unwrap();
    assert_eq!(count(&pool, WAITING).await, 0);
    let mut tx = pool.begin().await.unwrap();
    enqueue(&mut tx, &message("a1")).await.unwrap();
    let wait = wait(&pool, &outbox).await;
    tx.commit().await.unwrap();
    assert!(soon("the end of the wait", wait).await.unwrap());
}

#[tokio::test]
async fn a_transaction_notifies_only_while_a_relay_waits() {
    let Some(postgres) = postgres() else { return };
    let (pool, _) = outbox(postgres, "outbox_notify").await;
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen("followthrough_outbox").await.unwrap();
    store(&pool, &["a1", "-1"]).await;
    execute(&pool, "INSERT INTO followthrough_outbox_relays VALUES ('relay', now())").await;
    store(&pool, &["a2"]).await;
    execute(&pool, "NOTIFY followthrough_outbox, 'end'").await;
    let notification = listener.recv().await.unwrap();
    assert_eq!(notification.payload(), "", "a2 notifies");
    assert_eq!(listener.recv().await.unwrap().payload(), "end", "the others do not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_lost_comes_back() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_lost_listener").await;
    listen(&pool, &outbox).await;
    let waiting = wait(&pool, &outbox).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(count(&pool, end).await, 1);
    soon("the end of the wait", waiting).await.unwrap();
    outbox.retire("relay").await.unwrap();
    outbox.arrival("relay", Duration::from_millis(10)).await;
    assert_eq!(count(&pool, WAITING).await, 0, "without a connection no relay says that it waits");
    listen(&pool, &outbox).await;
    let waiting = wait(&pool, &outbox).await;
    store(&pool, &["a1"]).await;
    soon("the end of the wait", waiting).await.unwrap();
}

#[tokio::test]
async fn without_a_listener_a_relay_does_not_say_that_it_waits() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_polls").await;
    let outbox = outbox.without_listener();
    outbox.arrival("relay", Duration::from_millis(10)).await;
    assert_eq!(count(&pool, WAITING).await, 0);
}
