//! Ten thousand queries are cut at random points, and the pool stays intact.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fastrand::Rng;
use followthrough_database_tests::{moment, postgres};
use followthrough_postgres::{Client, Pool};
use followthrough_tests::soon;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CUT: usize = 10_000;
const POOL: usize = 8;
const CALLERS: usize = 24;
const NAME: &str = "cut_queries";

/// Each query after a cut query gets its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_thousand_cut_queries_the_pool_is_intact() {
    let Some(postgres) = postgres() else { return };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let pool = postgres.pool(NAME, POOL);
    let (cut, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));

    let started = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (pool, cut, asked) = (pool.clone(), Arc::clone(&cut), Arc::clone(&asked));
        let mut rng = Rng::with_seed(seed.wrapping_add(caller as u64));
        callers.spawn(async move {
            while cut.load(Ordering::Relaxed) < CUT {
                let was_cut = begin_and_cut(&pool, &mut rng).await;
                cut.fetch_add(usize::from(was_cut), Ordering::Relaxed);
                ask(&mut pool.get().await.expect("the pool has room"), &mut rng).await;
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("every later query is right");
    }
    println!(
        "{} queries cut, {} answered rightly behind them, in {:.1?}",
        cut.load(Ordering::Relaxed),
        asked.load(Ordering::Relaxed),
        started.elapsed()
    );

    // The pool hands out all of its connections, and each of them works.
    let mut all = Vec::new();
    for _ in 0..POOL {
        all.push(pool.get().await.expect("the pool has all its connections"));
    }
    let mut rng = Rng::with_seed(seed);
    for client in &mut all {
        ask(client, &mut rng).await;
    }
    assert_eq!(pool.inner().status().size, POOL);

    let inspector = postgres.inspector().await;
    let activity = inspector.activity(NAME).await;
    let at_work: Vec<_> = activity.iter().filter(|(state, _)| state != "idle").collect();
    assert_eq!(at_work.len(), 0, "{at_work:?}");
    // A connection that was replaced a moment ago may not have closed yet.
    soon("nothing else is left", async { while inspector.activity(NAME).await.len() != POOL {} })
        .await;
}

/// Begins a query and cuts it at a random point. Returns `false` if the query was answered before.
async fn begin_and_cut(pool: &Pool, rng: &mut Rng) -> bool {
    let mut client = pool.get().await.expect("the pool has room");
    let length = rng.f64() * 0.006;
    // Half of the queries are cut early, when a cancel request may overtake its query.
    let latest = if rng.bool() { 300 } else { 4_000 };
    let time = Duration::from_micros(rng.u64(0..latest));
    let in_transaction = rng.u8(0..4) == 0;
    if in_transaction {
        let work = async {
            let mut transaction = client.transaction().await?;
            transaction.query_one("SELECT pg_sleep($1)", &[&length]).await?;
            transaction.commit().await
        };
        return within(time, work).await.is_none();
    }
    match rng.u8(0..3) {
        0 => {
            let token = CancellationToken::new();
            client.follow(&token);
            let fire = async {
                moment(time).await;
                token.cancel();
            };
            let sleep = async { client.query_one("SELECT pg_sleep($1)", &[&length]).await };
            match tokio::join!(sleep, fire).0 {
                Ok(_) => false,
                Err(error) => {
                    assert!(error.is_cancelled(), "{error}");
                    true
                }
            }
        }
        1 => {
            let rows = rng.i64(0..12_000);
            let count = "SELECT count(*) FROM generate_series(1, $1::bigint)";
            match within(time, client.query_one(count, &[&rows])).await {
                Some(row) => {
                    assert_eq!(
                        row.expect("no cancel request of another query hits it").get::<_, i64>(0),
                        rows
                    );
                    false
                }
                None => true,
            }
        }
        _ => {
            let prepared = client.prepare_cached("SELECT pg_sleep($1)").await;
            let prepared = prepared.expect("no cancel request of another query hits it");
            match within(time, client.query_one(&prepared, &[&length])).await {
                Some(row) => {
                    row.expect("no cancel request of another query hits it");
                    false
                }
                None => true,
            }
        }
    }
}

async fn within<F: Future>(time: Duration, work: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = moment(time) => None,
    }
}

/// Runs a query with one right answer, long enough for a late cancel request to hit it.
async fn ask(client: &mut Client, rng: &mut Rng) {
    let number = i64::from(rng.u32(..));
    let question = "SELECT $1::bigint * 2, (SELECT count(*) FROM generate_series(1, 500))";
    let row = client.query_one(question, &[&number]).await.expect("no cancel request hits it");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (number * 2, 500));
}
