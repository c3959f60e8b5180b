//! A commit that is cut is reported as unknown, never as rolled back.
//!
//! A deferred trigger makes commits slow, so that the cut always happens while the server works.

use std::time::Duration;

use fastrand::Rng;
use followthrough::Outcome;
use followthrough_database_tests::{Inspector, Postgres, moment, postgres};
use followthrough_postgres::{Client, Error, Pool};
use followthrough_tests::{Log, soon};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Level;

const COMMIT: &str = "SELECT; COMMIT";

/// Creates a table whose rows take `seconds` to commit.
async fn table(postgres: &Postgres, name: &str, seconds: f64) -> (Pool, Inspector) {
    let inspector = postgres.inspector().await;
    inspector.slow_to_commit(name, seconds).await;
    (postgres.pool(name, 1), inspector)
}

async fn insert(client: &mut Client, table: &str, id: i64) -> Result<(), Error> {
    let mut transaction = client.transaction().await?;
    transaction.execute(&format!("INSERT INTO {table} VALUES ($1)"), &[&id]).await?;
    transaction.commit().await
}

/// Waits until the only connection is back in the pool.
async fn settled(pool: &Pool) {
    drop(soon("the connection comes back", pool.get()).await.expect("it is the pool's"));
}

#[tokio::test]
async fn a_dropped_commit_is_unknown_and_lands() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = table(postgres, "dropped", 1.0).await;
    let log = Log::capture();

    let mut client = pool.get().await.unwrap();
    tokio::select! {
        ended = insert(&mut client, "dropped", 1) => panic!("it was not cut: {ended:?}"),
        () = inspector.until_active("dropped", COMMIT) => {}
    }
    let cut = log.with("a commit was cut");
    assert_eq!(cut.len(), 1, "{:?}", log.lines());
    assert_eq!(cut[0].level, Level::WARN);
    assert!(cut[0].text.contains("outcome=unknown"), "{:?}", cut[0]);
    // The dropped commit closed its connection.
    let error = client.query("SELECT 1", &[]).await.unwrap_err();
    assert!(error.to_string().contains("get another connection"), "{error}");

    settled(&pool).await;
    assert_eq!(inspector.value("SELECT count(*) FROM dropped").await, 1);
    assert_eq!(log.with("has landed").len(), 1, "{:?}", log.lines());
    assert!(log.with("rolled back").is_empty(), "{:?}", log.lines());
}

/// The guide's recipe: the server can tell how a transaction ended.
#[tokio::test]
async fn the_server_can_be_asked_how_a_cut_commit_ended() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = table(postgres, "asked", 1.0).await;
    let mut client = pool.get().await.unwrap();
    let mut transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO asked VALUES (1)", &[]).await.unwrap();
    let id = transaction.query_one("SELECT pg_current_xact_id()::text", &[]).await.unwrap();
    let id: String = id.get(0);
    let status = async || {
        let ask = format!("SELECT pg_xact_status('{id}'::xid8)");
        inspector.client.query_one(&ask, &[]).await.unwrap().get::<_, String>(0)
    };
    tokio::select! {
        ended = transaction.commit() => panic!("it was not cut: {ended:?}"),
        () = inspector.until_active("asked", COMMIT) => {}
    }
    assert_eq!(status().await, "in progress");
    settled(&pool).await;
    assert_eq!(status().await, "committed");
}

#[tokio::test]
async fn a_token_that_fires_at_commit_gives_unknown() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = table(postgres, "fired", 1.0).await;

    let (mut client, token) = (pool.get().await.unwrap(), CancellationToken::new());
    client.follow(&token);
    let fire = async {
        inspector.until_active("fired", COMMIT).await;
        token.cancel();
    };
    let (ended, ()) = tokio::join!(insert(&mut client, "fired", 1), fire);
    let error = ended.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.to_string().contains("unknown"), "{error}");

    settled(&pool).await;
    assert_eq!(inspector.value("SELECT count(*) FROM fired").await, 1);
}

#[tokio::test]
async fn a_connection_that_is_lost_at_commit_gives_unknown() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = table(postgres, "lost", 30.0).await;

    let mut client = pool.get().await.unwrap();
    let lose = async {
        inspector.until_active("lost", COMMIT).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE application_name = 'lost'";
        assert_eq!(inspector.value(end).await, 1);
    };
    let (ended, ()) = tokio::join!(insert(&mut client, "lost", 1), lose);
    assert_eq!(ended.unwrap_err().outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_before_its_commit_leaves_nothing() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = table(postgres, "before", 0.0).await;
    let insert = "INSERT INTO before VALUES (1)";

    // Three cases: between statements, by a token, and within a statement.
    let mut client = pool.get().await.unwrap();
    let mut transaction = client.transaction().await.unwrap();
    transaction.execute(insert, &[]).await.unwrap();
    drop(transaction);
    // The connection still works.
    assert_eq!(client.query("SELECT 1", &[]).await.unwrap().len(), 1);

    let token = CancellationToken::new();
    let mut transaction = client.transaction().await.unwrap();
    transaction.follow(&token).execute(insert, &[]).await.unwrap();
    token.cancel();
    let error = transaction.commit().await.unwrap_err();
    assert_eq!((error.is_cancelled(), error.outcome()), (true, Outcome::NotBegun));
    drop(client);

    let mut client = pool.get().await.unwrap();
    let cut = async {
        let mut transaction = client.transaction().await?;
        transaction.execute(insert, &[]).await?;
        transaction.query("SELECT pg_sleep(60)", &[]).await
    };
    tokio::select! {
        _ = cut => panic!("no test waits that long"),
        () = inspector.until_active("before", "pg_sleep(60)") => {}
    }
    drop(client);

    settled(&pool).await;
    assert_eq!(inspector.value("SELECT count(*) FROM before").await, 0);
    let activity = inspector.activity("before").await;
    assert_eq!(activity[0].0, "idle", "no transaction is open: {activity:?}");
}

#[tokio::test]
async fn ok_means_landed() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = table(postgres, "failed", 0.0).await;
    let mut client = pool.get().await.unwrap();

    // PostgreSQL answers the commit of a failed transaction with success, and rolls back.
    let mut transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO failed VALUES (1)", &[]).await.unwrap();
    assert!(transaction.execute("SELECT 1 / 0", &[]).await.is_err());
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotBegun);
    assert_eq!(inspector.value("SELECT count(*) FROM failed").await, 0);

    // The failed transaction has ended, so the next insertion is not part of it.
    insert(&mut client, "failed", 2).await.unwrap();
    assert_eq!(inspector.value("SELECT count(*) FROM failed").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reported_outcome_of_a_transaction_is_right_wherever_it_is_cut() {
    let Some(postgres) = postgres() else { return };
    let (pool, inspector) = table(postgres, "anywhere", 0.001).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let mut said = [0; 3];
    for id in 0..400 {
        let (mut client, token) = (pool.get().await.unwrap(), CancellationToken::new());
        client.follow(&token);
        let time = Duration::from_micros(rng.u64(0..3_500));
        let cut = async {
            moment(time).await;
            token.cancel();
        };
        let (ended, ()) = tokio::join!(insert(&mut client, "anywhere", id), cut);
        drop(client);
        settled(&pool).await;
        let rows = inspector.value(&format!("SELECT count(*) FROM anywhere WHERE id = {id}")).await;
        match ended.map_err(|error| error.outcome()) {
            Ok(()) => {
                said[0] += 1;
                assert_eq!(rows, 1, "`Ok` means landed");
            }
            Err(Outcome::NotBegun) => {
                said[1] += 1;
                assert_eq!(rows, 0, "`not_begun` means that nothing lasts");
            }
            Err(_) => said[2] += 1,
        }
    }
    let [landed, not_begun, unknown] = said;
    println!("{landed} landed, {not_begun} did not begin, {unknown} are unknown");
}

/// Shows the fault that the wrapper fixes.
#[tokio::test]
async fn without_the_wrapper_a_dropped_commit_lands_unreported() {
    let Some(postgres) = postgres() else { return };
    let (_, inspector) = table(postgres, "plain", 1.0).await;
    let pool = postgres.plain_pool("plain", 1);
    let mut client = pool.get().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO plain VALUES (1)", &[]).await.unwrap();
    assert!(timeout(Duration::from_millis(50), transaction.commit()).await.is_err());
    client.query("SELECT 1", &[]).await.unwrap(); // returns after the commit
    assert_eq!(inspector.value("SELECT count(*) FROM plain").await, 1);
}
