//! The tables at the start of a process.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_migrate_at_once() {
    let Some(postgres) = postgres() else { return };
    let pool = pool(database(postgres, "outbox_migrations").await);
    let mut processes = JoinSet::new();
    for _ in 0..8 {
        let outbox = PostgresOutbox::new(pool.clone());
        processes.spawn(async move { outbox.migrate().await });
    }
    for migrated in processes.join_all().await {
        migrated.expect("one waits for the other");
    }
    store(&pool, &["a1"]).await;
    PostgresOutbox::new(pool.clone()).migrate().await.expect("a migration may run again");
    assert_eq!(count(&pool, "SELECT count(*) FROM followthrough_outbox").await, 1);
}

#[tokio::test]
async fn a_table_of_another_shape_stops_the_start_with_its_name() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_shapes").await;
    let shapes = [
        // The migration itself fails here, because it cannot create its indexes.
        ("DROP TABLE followthrough_outbox; CREATE TABLE followthrough_outbox (number bigint)", "`id` of the type `uuid`"),
        ("ALTER TABLE followthrough_outbox DROP COLUMN reason", "`reason` of the type `text`"),
        (
            "ALTER TABLE followthrough_outbox ALTER COLUMN payload TYPE text USING ''",
            "`payload` of the type `bytea`",
        ),
        ("ALTER TABLE followthrough_outbox ALTER COLUMN number DROP IDENTITY", "`number` of the type `bigint` with numbers"),
    ];
    for (edit, expected) in shapes {
        execute(&pool, "DROP TABLE followthrough_outbox").await;
        outbox.migrate().await.expect("the table is new");
        sqlx::raw_sql(edit).execute(&pool).await.unwrap();
        let error = outbox.migrate().await.expect_err(edit).to_string();
        let named = error.contains("the table `followthrough_outbox` has no column");
        assert!(named && error.contains(expected), "{error}");
        assert!(error.contains("rename that table, and start again"), "{error}");
    }
}
