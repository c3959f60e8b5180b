//! The store of idempotency keys in `SQLite`.

use std::time::Duration;

use followthrough::{
    IdempotencyKey,
    idempotency::{
        Claim, Claimed, Fingerprint, Finished, NewClaim, RecordId, RecordState, Store as _,
        StoredAnswer, contract,
    },
};
use followthrough_idempotency::{AnswerTransaction as _, FinishIn as _, SqliteStore};
use sqlx::{
    AssertSqlSafe, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tempfile::TempDir;

mod lost_claims;

const KEEP: Duration = Duration::from_hours(1);

/// A database in a file, which ends with the folder.
struct Database {
    pool: SqlitePool,
    store: SqliteStore,
    _folder: TempDir,
}

async fn database(mode: SqliteJournalMode) -> Database {
    let folder = TempDir::new().expect("a folder");
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("keys.db"))
        .create_if_missing(true)
        .journal_mode(mode)
        .busy_timeout(Duration::from_secs(30));
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.expect("the tables are new");
    Database { pool, store, _folder: folder }
}

fn answer(body: &str) -> StoredAnswer {
    StoredAnswer::from_columns(200, "", body.into()).expect("it is valid")
}

async fn claim(store: &SqliteStore, key: &str, owner: &str) -> Claim {
    let new = NewClaim::new(owner, Fingerprint([7; 32]), KEEP);
    match store.claim(&RecordId::new("scope", key), &new).await.unwrap() {
        Claimed::Held(claim) => claim,
        taken => panic!("the key is free: {taken:?}"),
    }
}

async fn execute(pool: &SqlitePool, sql: &str) {
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_the_contract() {
    for mode in [SqliteJournalMode::Wal, SqliteJournalMode::Delete] {
        let database = database(mode).await;
        contract::check(database.store).await;
    }
}

#[tokio::test]
async fn the_migrations_run_again() {
    let Database { store, _folder, .. } = database(SqliteJournalMode::Wal).await;
    claim(&store, "key", "a").await;
    store.migrate().await.expect("the tables stay");
    let id = RecordId::new("scope", "key");
    assert!(store.look(&id).await.unwrap().is_some(), "the records stay");
}

#[tokio::test]
async fn an_edited_row_is_unreadable() {
    let Database { pool, store, _folder } = database(SqliteJournalMode::Wal).await;
    let edits = [
        "fingerprint = x'00'",
        "epoch = -1",
        "keep_ms = -1",
        "status = 7, headers = '', body = '', expires_at = 9000000000000000",
        "status = 70000, headers = '', body = '', expires_at = 9000000000000000",
        "status = 200, headers = 'no header', body = '', expires_at = 9000000000000000",
    ];
    for (number, edit) in edits.iter().enumerate() {
        let key = number.to_string();
        let held = claim(&store, &key, "a").await;
        let edit = edit.replace("body = ''", "body = x''");
        execute(&pool, &format!("UPDATE followthrough_keys SET {edit} WHERE key = '{key}'")).await;
        let record = store.look(&held.id).await.unwrap().expect("the row is there");
        assert!(matches!(record.state, RecordState::Unreadable(_)), "{edit}: {record:?}");
        let new = NewClaim::new("b", Fingerprint([7; 32]), KEEP);
        let claimed = store.claim(&held.id, &new).await.unwrap();
        assert_eq!(claimed, Claimed::Taken(record), "{edit}");
    }
}

#[tokio::test]
async fn an_answer_lands_with_its_transaction() {
    let Database { pool, store, _folder } = database(SqliteJournalMode::Wal).await;
    let held = claim(&store, "key", "a").await;
    let begun = store.look(&held.id).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    assert!(tx.store_answer(&held, &answer("one")).await.unwrap(), "the claim holds the record");
    assert_eq!(store.look(&held.id).await.unwrap(), begun, "nothing is committed");
    tx.rollback().await.unwrap();
    assert_eq!(store.look(&held.id).await.unwrap(), begun, "nothing has landed");

    let mut tx = pool.begin().await.unwrap();
    assert!(tx.store_answer(&held, &answer("two")).await.unwrap(), "the claim holds the record");
    tx.commit().await.unwrap();
    let finished = store.finish(&held, &answer("three")).await.unwrap();
    assert_eq!(finished, Finished::Before(answer("two")));
}

#[tokio::test]
async fn a_direct_call_stores_nothing() {
    let Database { pool, _folder, .. } = database(SqliteJournalMode::Wal).await;
    let key = IdempotencyKey::new("key").expect("it is valid");
    let shared = pool.clone();
    // A handler's future is `Send`.
    let call = tokio::spawn(async move {
        let mut tx = shared.begin().await.unwrap();
        key.finish_in(&mut tx, &"answer").await.expect("there is no record");
        key.finish_in(&mut *tx, &"answer").await.expect("there is no record");
        tx.commit().await.unwrap();
    });
    call.await.unwrap();
    let records = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM followthrough_keys");
    assert_eq!(records.fetch_one(&pool).await.unwrap(), 0);
}

#[tokio::test]
async fn old_heartbeats_without_begun_records_are_removed() {
    let Database { pool, store, _folder } = database(SqliteJournalMode::Wal).await;
    for owner in ["begun", "done", "young"] {
        store.beat(owner).await.unwrap();
        claim(&store, owner, owner).await;
    }
    let done = Claim::new(RecordId::new("scope", "done"), "done".to_owned(), 1, KEEP);
    assert_eq!(store.finish(&done, &answer("")).await.unwrap(), Finished::Stored);
    let old =
        "UPDATE followthrough_owners SET beat_at = beat_at - 2 * 86400000 WHERE owner <> 'young'";
    execute(&pool, old).await;
    assert_eq!(store.expire(10).await.unwrap(), 0, "no record has expired");
    let owners =
        sqlx::query_scalar::<_, String>("SELECT owner FROM followthrough_owners ORDER BY owner");
    assert_eq!(owners.fetch_all(&pool).await.unwrap(), ["begun", "young"]);
}
