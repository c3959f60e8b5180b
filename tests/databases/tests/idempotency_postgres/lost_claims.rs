//! A handler whose claim is lost and that ignores the error.

use followthrough::idempotency::{Claim, Finished, Store as _};
use followthrough_database_tests::postgres;
use followthrough_idempotency::AnswerTransaction as _;
use followthrough_tests::soon;
use sqlx::{
    Connection as _, PgConnection, PgPool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{PostgresStore, answer, claim, execute, new_claim, store};

/// Claims a record that another process takes over. Returns the claims of both.
async fn lose(store: &PostgresStore) -> (Claim, Claim) {
    let lost = claim(store, "key", "a").await;
    let taken = store.take_over(&lost, &new_claim("b")).await.unwrap();
    (lost, taken.expect("the record is begun"))
}

async fn order(connection: &mut PgConnection, id: i64) {
    sqlx::query("INSERT INTO orders VALUES ($1)").bind(id).execute(connection).await.unwrap();
}

/// Stores the answer of a claim that is lost.
async fn finish_late(connection: &mut PgConnection, lost: &Claim) {
    let stored = connection.store_answer(lost, &answer("late")).await;
    assert!(!stored.unwrap(), "the claim is lost");
}

async fn orders(pool: &PgPool) -> Vec<i64> {
    sqlx::query_scalar("SELECT id FROM orders").fetch_all(pool).await.unwrap()
}

/// Returns a pool of one connection, so that the next transaction begins where the last one has failed.
fn one_connection(pool: &PgPool) -> PgPool {
    let options = PgConnectOptions::clone(&pool.connect_options());
    PgPoolOptions::new().max_connections(1).connect_lazy_with(options)
}

async fn refused(tx: Transaction<'_, sqlx::Postgres>) {
    let error = tx.commit().await.expect_err("the claim is lost");
    let error = error.into_database_error().expect("the server refuses");
    assert_eq!(error.constraint(), Some("followthrough_the_claim_of_the_key_is_lost"), "{error}");
}

#[tokio::test]
async fn a_lost_claim_fails_the_commit() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_lost").await;
    execute(&pool, "CREATE TABLE orders (id bigint)").await;
    let (lost, held) = lose(&store).await;
    let pool = one_connection(&pool);
    let mut tx = pool.begin().await.unwrap();
    order(&mut tx, 1).await;
    finish_late(&mut tx, &lost).await;
    finish_late(&mut tx, &lost).await;
    order(&mut tx, 2).await;
    refused(tx).await;

    let mut tx = pool.begin_with("BEGIN READ WRITE").await.unwrap();
    finish_late(&mut tx, &lost).await;
    order(&mut tx, 3).await;
    tx.rollback().await.expect("a roll back ends the transaction");

    let mut tx = pool.begin_with("BEGIN READ WRITE").await.expect("no transaction is left");
    order(&mut tx, 4).await;
    tx.commit().await.unwrap();
    assert_eq!(orders(&pool).await, [4]);
    assert_eq!(store.finish(&held, &answer("true")).await.unwrap(), Finished::Stored);
}

#[tokio::test]
async fn a_savepoint_does_not_rescue_the_commit_of_a_lost_claim() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_lost_in_savepoints").await;
    execute(&pool, "CREATE TABLE orders (id bigint)").await;
    let (lost, _) = lose(&store).await;
    let pool = one_connection(&pool);
    for lands in [true, false] {
        let mut tx = pool.begin().await.unwrap();
        order(&mut tx, 1).await;
        let mut savepoint = tx.begin().await.unwrap();
        order(&mut savepoint, 2).await;
        let mut inner = savepoint.begin().await.unwrap();
        finish_late(&mut inner, &lost).await;
        if lands {
            inner.commit().await.unwrap();
            savepoint.commit().await.unwrap();
        } else {
            inner.rollback().await.unwrap();
            savepoint.rollback().await.unwrap();
        }
        order(&mut tx, 3).await;
        refused(tx).await;
        assert!(orders(&pool).await.is_empty(), "nothing has landed");
    }
    let mut tx = pool.begin_with("BEGIN READ WRITE").await.expect("no transaction is left");
    order(&mut tx, 4).await;
    tx.commit().await.unwrap();
    assert_eq!(orders(&pool).await, [4]);
}

#[tokio::test]
async fn a_transaction_that_plain_sql_began_fails_as_well() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_lost_in_plain_sql").await;
    execute(&pool, "CREATE TABLE orders (id bigint)").await;
    let (lost, _) = lose(&store).await;
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("BEGIN").execute(&mut *connection).await.unwrap();
    order(&mut connection, 1).await;
    finish_late(&mut connection, &lost).await;
    sqlx::query("COMMIT").execute(&mut *connection).await.expect_err("the claim is lost");
    assert!(orders(&pool).await.is_empty(), "nothing has landed");
}

/// Two late processes at once do not wait for one another.
#[tokio::test]
async fn lost_claims_wait_for_no_other() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_lost_together").await;
    let (lost, _) = lose(&store).await;
    let mut one = pool.begin().await.unwrap();
    let mut other = pool.begin().await.unwrap();
    finish_late(&mut one, &lost).await;
    soon("the second late answer", finish_late(&mut other, &lost)).await;
    refused(other).await;
    refused(one).await;
}
