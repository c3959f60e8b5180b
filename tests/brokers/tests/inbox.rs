//! A consumer that gets a message twice.

use brokers::inbox;
use followthrough_database_tests::postgres;
use sqlx::PgPool;

/// Adds to the sum unless the message was there before, and commits or rolls back.
async fn consume(pool: &PgPool, id: &str, commits: bool) -> bool {
    let mut tx = pool.begin().await.unwrap();
    let is_new = inbox::is_new(&mut tx, id).await.unwrap();
    if is_new {
        sqlx::query("UPDATE total SET sum = sum + 1").execute(&mut *tx).await.unwrap();
    }
    if commits {
        tx.commit().await.unwrap();
    } else {
        tx.rollback().await.unwrap();
    }
    is_new
}

#[tokio::test]
async fn a_message_that_arrives_twice_has_one_effect() {
    let Some(postgres) = postgres() else { return };
    let pool = postgres.sqlx_pool("inbox", 4);
    for table in [inbox::TABLE, "CREATE TABLE total AS SELECT 0::bigint AS sum"] {
        sqlx::query(table).execute(&pool).await.unwrap();
    }
    // A consumer that dies before its commit has had no effect, so the message is still new.
    assert!(consume(&pool, "first", false).await);
    let both = tokio::join!(consume(&pool, "first", true), consume(&pool, "first", true));
    assert_ne!(both.0, both.1, "one of two consumers at once finds it new");
    assert!(!consume(&pool, "first", true).await);
    assert!(consume(&pool, "second", true).await);
    let sum: i64 = sqlx::query_scalar("SELECT sum FROM total").fetch_one(&pool).await.unwrap();
    assert_eq!(sum, 2);
}
