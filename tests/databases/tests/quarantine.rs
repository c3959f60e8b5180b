//! Events that may happen to a connection on its way back to its pool.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use axum::{Router, extract::State, routing::get};
use deadpool_postgres::tokio_postgres::NoTls;
use followthrough::cancellable;
use followthrough_database_tests::{Inspector, pool, postgres};
use followthrough_postgres::Pool;
use followthrough_tests::{Leaving, Server, h1, soon};

const SLOW: &str = "SELECT pg_sleep(60)";

/// Begins `SLOW` on the only connection and cuts it.
async fn cut(pool: &Pool, name: &str, inspector: &Inspector) {
    let mut client = pool.get().await.expect("the pool has room");
    tokio::select! {
        _ = client.query(SLOW, &[]) => panic!("no test waits that long"),
        () = inspector.until_active(name, SLOW) => {}
    }
}

async fn backend(pool: &Pool) -> i32 {
    let mut client = soon("a connection", pool.get()).await.expect("the pool has room");
    client.query_one("SELECT pg_backend_pid()", &[]).await.expect("it works").get(0)
}

#[tokio::test]
async fn the_pool_keeps_its_backend_after_a_cut() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = (postgres.pool("same", 1), postgres.inspector().await);
    let before = backend(&pool).await;
    cut(&pool, "same", &inspector).await;
    assert_eq!(backend(&pool).await, before);
}

#[cfg(unix)]
#[tokio::test]
async fn a_query_is_cancelled_over_a_unix_socket() {
    let Some(postgres) = postgres() else { return };
    let inspector = postgres.inspector().await;
    let mut config = deadpool_postgres::tokio_postgres::Config::new();
    config.host(&postgres.dir).port(postgres.port).user("postgres").application_name("unix");
    let pool = Pool::new(pool(&config, 1), &config, NoTls);
    let before = backend(&pool).await;
    cut(&pool, "unix", &inspector).await;
    assert_eq!(backend(&pool).await, before);
}

#[tokio::test]
async fn a_backend_that_cannot_be_cancelled_is_replaced() {
    let Some(postgres) = postgres() else { return };
    let (name, inspector) = ("replaced", postgres.inspector().await);
    // No server listens on this port.
    let elsewhere = "host=127.0.0.1 port=1".parse().unwrap();
    let plain = postgres.plain_pool(name, 1);
    let pool = Pool::new(plain, &elsewhere, NoTls).timeout(Duration::from_millis(100));
    let before = backend(&pool).await;
    cut(&pool, name, &inspector).await;
    assert_ne!(backend(&pool).await, before, "the pool has room for another one");
    let end = format!("SELECT count(pg_terminate_backend({before}))");
    assert_eq!(inspector.value(&end).await, 1);
}

#[tokio::test]
async fn a_transaction_that_was_begun_by_hand_is_ended() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = (postgres.pool("by_hand", 1), postgres.inspector().await);
    inspector.client.batch_execute("CREATE TABLE by_hand (id int)").await.unwrap();
    for _ in 0..3 {
        let mut client = pool.get().await.unwrap();
        client.batch_execute("BEGIN; INSERT INTO by_hand VALUES (1)").await.unwrap();
        tokio::select! {
            _ = client.query(SLOW, &[]) => panic!("no test waits that long"),
            () = inspector.until_active("by_hand", SLOW) => {}
        }
        drop(client);
        backend(&pool).await;
        assert_eq!(inspector.activity("by_hand").await[0].0, "idle");
    }
    assert_eq!(inspector.value("SELECT count(*) FROM by_hand").await, 0);
}

#[cancellable(read)]
async fn copies(State(pool): State<Pool>) -> String {
    let mut client = pool.get().await.expect("the pool has room");
    let rows = client.run(async |client| {
        let transaction = client.transaction().await?;
        transaction.execute("INSERT INTO copies VALUES (1)", &[]).await?;
        transaction.query("SELECT pg_sleep(60)", &[]).await
    });
    format!("{} rows", rows.await.expect("no test waits that long").len())
}

#[tokio::test]
async fn every_kind_of_query_is_cut() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = (postgres.pool("copies", 1), postgres.inspector().await);
    inspector.client.batch_execute("CREATE TABLE copies (id int)").await.unwrap();
    let before = backend(&pool).await;
    let server =
        Server::start(Router::new().route("/", get(copies)).with_state(pool.clone())).await;
    for _ in 0..3 {
        let call = h1::send(server.at, "GET", "/").await;
        inspector.until_active("copies", SLOW).await;
        let left = call.leave(Leaving::Reset).await;
        assert_eq!(backend(&pool).await, before);
        assert_eq!(inspector.activity("copies").await[0].0, "idle");
        drop(left);
    }
    assert_eq!(inspector.value("SELECT count(*) FROM copies").await, 0);
}

/// tokio-postgres forgets a statement that is cut during its preparation, and the server keeps it.
#[tokio::test]
async fn statements_that_are_cut_while_prepared_do_not_pile_up() {
    let Some(postgres) = postgres() else { return };
    let pool = postgres.pool("piles", 1);
    let mut most = 0;
    for _ in 0..200 {
        let mut client = soon("a connection", pool.get()).await.unwrap();
        let count = "SELECT count(*) FROM pg_prepared_statements";
        most = most.max(client.query_one(count, &[]).await.unwrap().get::<_, i64>(0));
        let mut query = pin!(client.query("SELECT 1", &[]));
        poll_fn(|cx| {
            assert!(query.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    println!("at most {most} statements are prepared");
    assert!((32..=80).contains(&most), "{most}");
}
