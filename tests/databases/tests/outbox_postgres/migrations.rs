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
        (
            "DROP TABLE followthrough_outbox; CREATE TABLE followthrough_outbox (number bigint)",
            "no column `id` of the type `uuid`",
        ),
        (
            "ALTER TABLE followthrough_outbox DROP COLUMN reason",
            "no column `reason` of the type `text`",
        ),
        (
            "ALTER TABLE followthrough_outbox ALTER COLUMN payload TYPE text USING ''",
            "no column `payload` of the type `bytea`",
        ),
        // An index keeps its name when its table is renamed, so the new table gets none.
        (
            "DROP TABLE IF EXISTS renamed; ALTER TABLE followthrough_outbox RENAME TO renamed",
            "no index `followthrough_outbox_keys`",
        ),
    ];
    for (edit, expected) in shapes {
        execute(&pool, "DROP TABLE followthrough_outbox").await;
        outbox.migrate().await.expect("the table is new");
        sqlx::raw_sql(edit).execute(&pool).await.unwrap();
        let error = outbox.migrate().await.expect_err(edit).to_string();
        assert!(
            error.contains(&format!("the table `followthrough_outbox` has {expected}")),
            "{error}"
        );
        assert!(
            error.contains("add it as in that file. If the table is not an outbox, rename it"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_start_does_not_wait_for_transactions_that_enqueue() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_starts").await;
    let mut tx = pool.begin().await.unwrap();
    enqueue(&mut tx, &message("a1")).await.unwrap();
    soon("the migration", outbox.migrate()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_service_has_its_own_outbox_in_the_first_schema_of_its_path() {
    let Some(postgres) = postgres() else { return };
    let options = database(postgres, "outbox_schemas").await;
    let other = pool(options.clone());
    PostgresOutbox::new(other.clone()).migrate().await.unwrap();
    execute(&other, "CREATE SCHEMA own").await;
    let own = pool(options.options([("search_path", "own, public")]));
    PostgresOutbox::new(own.clone()).migrate().await.unwrap();
    store(&own, &["a1"]).await;
    assert_eq!(count(&other, "SELECT count(*) FROM public.followthrough_outbox").await, 0);
    assert_eq!(count(&other, "SELECT count(*) FROM own.followthrough_outbox").await, 1);
}
