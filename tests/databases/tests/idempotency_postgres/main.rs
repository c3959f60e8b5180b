//! The store of idempotency keys in `PostgreSQL`.

use std::time::{Duration, Instant};

use followthrough::{
    IdempotencyKey,
    idempotency::{
        Claim, Claimed, Fingerprint, Finished, NewClaim, RecordId, RecordState, Store as _,
        StoredAnswer, contract,
    },
};
use followthrough_database_tests::{Postgres, postgres};
use followthrough_idempotency::{AnswerTransaction as _, FinishIn as _, PostgresStore};
use followthrough_tests::soon;
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::task::JoinSet;

mod lost_claims;
mod round_trips;

const KEEP: Duration = Duration::from_hours(1);

/// Creates a database, and returns how to connect to it.
async fn database(postgres: &Postgres, name: &str) -> PgConnectOptions {
    let create = format!("CREATE DATABASE {name}");
    postgres.inspector().await.client.batch_execute(&create).await.expect("the name is new");
    let options = postgres.sqlx_pool(name, 1).connect_options();
    (*options).clone().database(name)
}

fn pool(options: PgConnectOptions) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(8).test_before_acquire(false);
    pool.connect_lazy_with(options)
}

async fn store(postgres: &Postgres, name: &str) -> (PgPool, PostgresStore) {
    let pool = pool(database(postgres, name).await);
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.expect("the tables are new");
    (pool, store)
}

fn id(key: &str) -> RecordId {
    RecordId::new("scope", key)
}

fn new_claim(owner: &str) -> NewClaim {
    NewClaim::new(owner, Fingerprint([7; 32]), KEEP)
}

fn answer(body: &str) -> StoredAnswer {
    StoredAnswer::from_columns(200, "", body.into()).expect("it is valid")
}

async fn claim(store: &PostgresStore, key: &str, owner: &str) -> Claim {
    match store.claim(&id(key), &new_claim(owner)).await.unwrap() {
        Claimed::Held(claim) => claim,
        taken => panic!("the key is free: {taken:?}"),
    }
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

async fn count(pool: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// Waits until `sql` counts one row or more.
async fn until(pool: &PgPool, what: &str, sql: &str) {
    soon(what, async { while count(pool, sql).await == 0 {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_the_contract() {
    let Some(postgres) = postgres() else { return };
    let (_, listens) = store(postgres, "keys_contract").await;
    contract::check(listens).await;
    let (_, polls) = store(postgres, "keys_contract_of_polls").await;
    contract::check(polls.without_listener()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_migrate_at_once() {
    let Some(postgres) = postgres() else { return };
    let pool = pool(database(postgres, "keys_migrations").await);
    let mut processes = JoinSet::new();
    for _ in 0..8 {
        let store = PostgresStore::new(pool.clone());
        processes.spawn(async move { store.migrate().await });
    }
    for migrated in processes.join_all().await {
        migrated.expect("one waits for the other");
    }
}

#[tokio::test]
async fn an_edited_row_is_unreadable() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_edited").await;
    let edits = [
        "fingerprint = ''",
        "epoch = -1",
        "keep_ms = -1",
        "status = 7, headers = '', body = '', expires_at = 'infinity'",
        "status = -7, headers = '', body = '', expires_at = 'infinity'",
        "status = 200, headers = 'no header', body = '', expires_at = 'infinity'",
    ];
    for (number, edit) in edits.iter().enumerate() {
        let key = number.to_string();
        let held = claim(&store, &key, "a").await;
        execute(&pool, &format!("UPDATE followthrough_keys SET {edit} WHERE key = '{key}'")).await;
        let record = store.look(&held.id).await.unwrap().expect("the row is there");
        assert!(matches!(record.state, RecordState::Unreadable(_)), "{edit}: {record:?}");
        let claimed = store.claim(&held.id, &new_claim("b")).await.unwrap();
        assert_eq!(claimed, Claimed::Taken(record), "{edit}");
    }
}

#[tokio::test]
async fn an_answer_lands_with_its_transaction() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_transactions").await;
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

/// A process that died may have sent its last commit, which still waits on the server.
#[tokio::test]
async fn a_take_over_waits_for_the_last_transaction_of_the_owner() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_take_over").await;
    for lands in [true, false] {
        let held = claim(&store, &lands.to_string(), "a").await;
        let mut tx = pool.begin().await.unwrap();
        assert!(tx.store_answer(&held, &answer("landed")).await.unwrap());
        let (other, from) = (store.clone(), held.clone());
        let taking = tokio::spawn(async move { other.take_over(&from, &new_claim("b")).await });
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = 'keys_take_over' AND wait_event_type = 'Lock'";
        until(&pool, "a wait for the row", waits).await;
        if lands {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        let taken = taking.await.unwrap().unwrap();
        assert_eq!(taken.is_none(), lands, "the write runs again only if it has not landed");
    }
}

#[tokio::test]
async fn a_direct_call_stores_nothing() {
    let Some(postgres) = postgres() else { return };
    let (pool, _) = store(postgres, "keys_direct").await;
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
    assert_eq!(count(&pool, "SELECT count(*) FROM followthrough_keys").await, 0);
}

#[tokio::test]
async fn old_heartbeats_without_begun_records_are_removed() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_heartbeats").await;
    for owner in ["begun", "done", "young"] {
        store.beat(owner).await.unwrap();
        claim(&store, owner, owner).await;
    }
    let done = Claim::new(id("done"), "done".to_owned(), 1, KEEP);
    assert_eq!(store.finish(&done, &answer("")).await.unwrap(), Finished::Stored);
    let old = "UPDATE followthrough_owners SET beat_at = beat_at - interval '2 days' WHERE owner <> 'young'";
    execute(&pool, old).await;
    assert_eq!(store.expire(10).await.unwrap(), 0, "no record has expired");
    let owners =
        sqlx::query_scalar::<_, String>("SELECT owner FROM followthrough_owners ORDER BY owner");
    assert_eq!(owners.fetch_all(&pool).await.unwrap(), ["begun", "young"]);
}

/// Begins to listen, as the heartbeat of a lifecycle and a retry that waits do together.
async fn listen(pool: &PgPool, store: &PostgresStore, key: &RecordId) {
    let waits = async {
        loop {
            store.changed(key).await;
        }
    };
    let told = async {
        while count(pool, "SELECT count(*) FROM followthrough_owners WHERE listens").await == 0 {
            store.beat("listener").await.unwrap();
        }
    };
    soon("a listener", async {
        tokio::select! {
            () = waits => unreachable!("it has no end"),
            () = told => {}
        }
    })
    .await;
}

/// Without a notification the wait ends after 5 s, so that the retry sees whether the owner has died.
const BEFORE_THE_LOOK: Duration = Duration::from_secs(4);

/// Waits in another task until the record changes, and returns how long that took after `change` had ended.
async fn woken_by(
    pool: &PgPool,
    store: &PostgresStore,
    key: &RecordId,
    change: impl Future<Output = ()>,
) -> Duration {
    let now = sqlx::query_scalar("SELECT clock_timestamp()::text").fetch_one(pool).await;
    let now: String = now.unwrap();
    let (waiting, id) = (store.clone(), key.clone());
    let wait = tokio::spawn(async move {
        waiting.changed(&id).await;
        Instant::now()
    });
    // The wait looks once, after it has registered for the notification.
    let looked = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'idle' AND query_start > '{now}'
            AND query LIKE '%AND status IS NULL'"
    );
    until(pool, "the look of the wait", &looked).await;
    change.await;
    let changed = Instant::now();
    wait.await.unwrap().saturating_duration_since(changed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_write_wakes_the_retries_in_other_processes() {
    let Some(postgres) = postgres() else { return };
    let (pool, writer) = store(postgres, "keys_notify").await;
    let reader = PostgresStore::new(pool.clone());
    listen(&pool, &reader, &id("none")).await;
    for (number, end) in ["finish", "release", "commit"].into_iter().enumerate() {
        let held = claim(&writer, &number.to_string(), "writer").await;
        let woken = woken_by(&pool, &reader, &held.id, async {
            match end {
                "finish" => drop(writer.finish(&held, &answer("")).await.unwrap()),
                "release" => writer.release(&held).await.unwrap(),
                _ => {
                    let mut tx = pool.begin().await.unwrap();
                    assert!(tx.store_answer(&held, &answer("")).await.unwrap());
                    tx.commit().await.unwrap();
                }
            }
        });
        let woken = woken.await;
        assert!(woken < BEFORE_THE_LOOK, "{end}: {woken:?}");
    }
    // A record that has ended before the wait is found at once.
    soon("the end of a wait", reader.changed(&id("0"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_lost_comes_back() {
    let Some(postgres) = postgres() else { return };
    let (pool, store) = store(postgres, "keys_lost_listener").await;
    let held = claim(&store, "key", "writer").await;
    listen(&pool, &store, &held.id).await;
    let listeners =
        "FROM pg_stat_activity WHERE datname = 'keys_lost_listener' AND query LIKE 'LISTEN%'";
    let woken = woken_by(&pool, &store, &held.id, async {
        count(&pool, &format!("SELECT count(pg_terminate_backend(pid)) {listeners}")).await;
    });
    let woken = woken.await;
    assert!(woken < BEFORE_THE_LOOK, "a lost connection ends the wait: {woken:?}");
    // Without a connection the wait is a short pause.
    store.changed(&held.id).await;
    soon("another listener", async {
        while count(&pool, &format!("SELECT count(*) {listeners}")).await == 0 {
            store.changed(&held.id).await;
        }
    })
    .await;
    store.beat("listener").await.unwrap();
    let woken = woken_by(&pool, &store, &held.id, async {
        assert_eq!(store.finish(&held, &answer("")).await.unwrap(), Finished::Stored);
    });
    let woken = woken.await;
    assert!(woken < BEFORE_THE_LOOK, "the new connection listens: {woken:?}");
}
