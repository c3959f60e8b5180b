//! The guide's recipe for `SQLite`: a progress handler that reads a token.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use followthrough_tests::soon;
use sqlx::{
    SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Counts without end, and returns no row before the end.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) \
                    SELECT count(*) FROM n";

async fn pool() -> SqlitePool {
    let options = SqliteConnectOptions::new().in_memory(true);
    // A token that has fired must not interrupt the next user of the connection.
    let options_of_pool = SqlitePoolOptions::new().max_connections(1).after_release(
        |connection: &mut SqliteConnection, _| {
            Box::pin(async move {
                connection.lock_handle().await?.remove_progress_handler();
                Ok(true)
            })
        },
    );
    options_of_pool.connect_with(options).await.unwrap()
}

/// Ends the work of `connection` when `token` fires.
async fn follow(
    connection: &mut SqliteConnection,
    token: CancellationToken,
) -> Result<(), sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    // Called every thousand instructions of SQLite's virtual machine; `false` interrupts the
    // statement.
    handle.set_progress_handler(1_000, move || !token.is_cancelled());
    Ok(())
}

async fn count(pool: &SqlitePool, query: &'static str) -> Result<i64, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let token = CancellationToken::new();
    follow(&mut connection, token.clone()).await?;
    let _fires_when_dropped = token.drop_guard();
    sqlx::query_scalar(query).fetch_one(&mut *connection).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_query_ends_and_the_next_one_is_right() {
    let pool = pool().await;
    let mut times = Vec::new();
    for _ in 0..20 {
        assert!(timeout(Duration::from_millis(20), count(&pool, ENDLESS)).await.is_err());
        let left = Instant::now();
        let right = sqlx::query_scalar::<_, i64>("SELECT 42").fetch_one(&pool);
        assert_eq!(soon("an answer", right).await.unwrap(), 42);
        times.push(left.elapsed());
    }
    times.sort();
    println!("SQLite: best {:.1?}, median {:.1?}, worst {:.1?}", times[0], times[10], times[19]);
}

/// Shows the fault that the recipe fixes: the virtual machine runs to its last instruction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_recipe_the_next_query_waits_for_the_rest() {
    let pool = pool().await;
    let mut connection = pool.acquire().await.unwrap();
    let steps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&steps);
    let mut handle = connection.lock_handle().await.unwrap();
    handle.set_progress_handler(1_000, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    drop(handle);
    let started = Instant::now();
    sqlx::query(LONG).fetch_one(&mut *connection).await.unwrap();
    let (whole, time) = (steps.swap(0, Ordering::Relaxed), started.elapsed());

    let cut = sqlx::query(LONG).fetch_one(&mut *connection);
    assert!(timeout(Duration::from_millis(20), cut).await.is_err());
    let left = Instant::now();
    let next = sqlx::query_scalar::<_, i64>("SELECT 42").fetch_one(&mut *connection);
    assert_eq!(next.await.unwrap(), 42);
    println!("SQLite without it: {:.0?} of {time:.0?}", left.elapsed());
    assert!(steps.load(Ordering::Relaxed) >= whole);
}
