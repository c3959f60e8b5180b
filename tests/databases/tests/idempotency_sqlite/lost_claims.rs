//! A handler whose claim is lost and that ignores the error.

use followthrough::idempotency::{Claim, Finished, NewClaim, Store as _};
use followthrough_idempotency::AnswerTransaction as _;
use sqlx::{
    Connection as _, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::{
    Database, Fingerprint, KEEP, SqliteJournalMode, SqliteStore, answer, claim, database, execute,
};

/// Claims a record that another process takes over. Returns the claims of both.
async fn lose(store: &SqliteStore) -> (Claim, Claim) {
    let lost = claim(store, "key", "a").await;
    let new = NewClaim::new("b", Fingerprint([7; 32]), KEEP);
    let held = store.take_over(&lost, &new).await.unwrap().expect("the record is begun");
    (lost, held)
}

async fn order(connection: &mut SqliteConnection, id: i64) {
    sqlx::query("INSERT INTO orders VALUES (?1)").bind(id).execute(connection).await.unwrap();
}

/// Stores the answer of a claim that is lost.
async fn finish_late(connection: &mut SqliteConnection, lost: &Claim) {
    let stored = connection.store_answer(lost, &answer("late")).await;
    assert!(!stored.unwrap(), "the claim is lost");
}

async fn orders(pool: &SqlitePool) -> Vec<i64> {
    sqlx::query_scalar("SELECT id FROM orders").fetch_all(pool).await.unwrap()
}

/// Returns a pool of one connection, so that the next transaction begins where the last one has failed.
async fn one_connection(pool: &SqlitePool, foreign_keys: bool) -> SqlitePool {
    let options = SqliteConnectOptions::clone(&pool.connect_options()).foreign_keys(foreign_keys);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

async fn refused(tx: Transaction<'_, sqlx::Sqlite>) {
    let error = tx.commit().await.expect_err("the claim is lost");
    let error = error.into_database_error().expect("SQLite refuses");
    assert!(error.is_foreign_key_violation(), "{error}");
}

#[tokio::test]
async fn a_lost_claim_fails_the_commit() {
    let Database { pool, store, _folder } = database(SqliteJournalMode::Wal).await;
    execute(&pool, "CREATE TABLE orders (id INTEGER)").await;
    let (lost, held) = lose(&store).await;
    let pool = one_connection(&pool, true).await;
    let mut tx = pool.begin().await.unwrap();
    order(&mut tx, 1).await;
    finish_late(&mut tx, &lost).await;
    finish_late(&mut tx, &lost).await;
    order(&mut tx, 2).await;
    refused(tx).await;

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    finish_late(&mut tx, &lost).await;
    order(&mut tx, 3).await;
    tx.rollback().await.expect("a roll back ends the transaction");

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.expect("no transaction is left");
    order(&mut tx, 4).await;
    tx.commit().await.unwrap();
    assert_eq!(orders(&pool).await, [4]);
    assert_eq!(store.finish(&held, &answer("true")).await.unwrap(), Finished::Stored);
}

#[tokio::test]
async fn a_savepoint_does_not_rescue_the_commit_of_a_lost_claim() {
    let Database { pool, store, _folder } = database(SqliteJournalMode::Wal).await;
    execute(&pool, "CREATE TABLE orders (id INTEGER)").await;
    let (lost, _) = lose(&store).await;
    let pool = one_connection(&pool, true).await;
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
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.expect("no transaction is left");
    order(&mut tx, 4).await;
    tx.commit().await.unwrap();
    assert_eq!(orders(&pool).await, [4]);
}

#[tokio::test]
async fn a_transaction_that_plain_sql_began_fails_as_well() {
    let Database { pool, store, _folder } = database(SqliteJournalMode::Wal).await;
    execute(&pool, "CREATE TABLE orders (id INTEGER)").await;
    let (lost, _) = lose(&store).await;
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("BEGIN").execute(&mut *connection).await.unwrap();
    order(&mut connection, 1).await;
    finish_late(&mut connection, &lost).await;
    sqlx::query("COMMIT").execute(&mut *connection).await.expect_err("the claim is lost");
    sqlx::query("ROLLBACK").execute(&mut *connection).await.expect("the transaction is open");
    assert!(orders(&pool).await.is_empty(), "nothing has landed");
}

#[tokio::test]
async fn without_foreign_keys_a_lost_claim_empties_the_transaction() {
    let Database { pool, store, _folder } = database(SqliteJournalMode::Wal).await;
    execute(&pool, "CREATE TABLE orders (id INTEGER)").await;
    let (lost, _) = lose(&store).await;
    let pool = one_connection(&pool, false).await;
    let mut tx = pool.begin().await.unwrap();
    order(&mut tx, 1).await;
    let mut savepoint = tx.begin().await.unwrap();
    order(&mut savepoint, 2).await;
    finish_late(&mut savepoint, &lost).await;
    savepoint.commit().await.unwrap();
    tx.commit().await.unwrap();
    assert!(orders(&pool).await.is_empty(), "nothing has landed");
    let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM followthrough_lost_claims");
    assert_eq!(left.fetch_one(&pool).await.unwrap(), 0);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.expect("no transaction is left");
    order(&mut tx, 4).await;
    tx.commit().await.unwrap();
    assert_eq!(orders(&pool).await, [4]);
}
