//! A client, two services and a database: the time that remains at each hop, and the work that
//! stops when the client leaves.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use followthrough::{
    CallerDeadlines, RequestToken, cancellable, durable_write,
    outbound::{CallError, DeadlineHeaders, RequestBuilderExt},
};
use followthrough_database_tests::postgres;
use followthrough_tests::{Leaving, Marks, Server, h1, lifecycle, soon};

const RUNS: usize = 5;
const SLOW: &str = "SELECT pg_sleep(60)";
const READS: &str = "three_hops_reads";

/// The time that remained at each hop, in order.
#[derive(Clone, Default)]
struct Left(Arc<Mutex<Vec<Duration>>>);

impl Left {
    fn note(&self, left: Duration) {
        self.0.lock().expect("no thread panics with the lock").push(left);
    }
}

/// Service A calls service B and has no database.
#[derive(Clone)]
struct Front {
    back: SocketAddr,
    client: reqwest::Client,
    marks: Marks,
    left: Left,
}

/// Service B has the database.
#[derive(Clone)]
struct Back {
    reads: followthrough_sqlx_postgres::Pool,
    writes: followthrough_postgres::Pool,
    marks: Marks,
    left: Left,
}

#[cancellable(read, deadline = "30s")]
async fn order(
    State(front): State<Front>,
    Path(run): Path<usize>,
    token: RequestToken,
) -> Result<String, CallError<reqwest::Error>> {
    let _dropped = front.marks.on_drop(&format!("{run}: A dropped"));
    front.left.note(token.remaining().expect("it has a deadline"));
    let told = DeadlineHeaders::new().grpc_timeout();
    let url = |path: &str| format!("http://{}/{path}/{run}", front.back);
    let stock = front.client.get(url("stock")).under(&token).forward(&told).send();
    let booking = front.client.post(url("book")).under(&token).forward(&told).send();
    let (stock, booking) = tokio::join!(stock, booking);
    Ok(format!("{} {}", stock?.status(), booking?.status()))
}

#[cancellable(read)]
async fn stock(State(back): State<Back>, Path(run): Path<usize>, token: RequestToken) -> String {
    let _dropped = back.marks.on_drop(&format!("{run}: B dropped"));
    back.left.note(token.remaining().expect("the caller has said one"));
    let mut client = back.reads.get().await.expect("the pool has room");
    let mut transaction = client.follow(&token).transaction().await.expect("it begins");
    let timeout: i64 = transaction
        .run(async |connection| {
            let setting =
                "SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'";
            sqlx::query_scalar(setting).fetch_one(connection).await
        })
        .await
        .expect("the server answers");
    back.left.note(Duration::from_millis(timeout.unsigned_abs()));
    let slept = transaction.run(async |connection| sqlx::query(SLOW).execute(connection).await);
    format!("{:?}", slept.await.is_ok())
}

#[durable_write]
async fn book(State(back): State<Back>, Path(run): Path<usize>) -> &'static str {
    back.marks.set(format!("{run}: booking"));
    back.marks.until(&format!("{run}: go")).await;
    let mut client = back.writes.get().await.expect("the pool has room");
    let run_id = i64::try_from(run).expect("it is small");
    client.execute("INSERT INTO booked VALUES ($1)", &[&run_id]).await.expect("it is inserted");
    back.marks.set(format!("{run}: booked"));
    "booked"
}

/// The client gives A 20 s, A gives B the rest, and B gives the database the rest of that. When the
/// client leaves, all work stops except for the write that B has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_remaining_time_shrinks_hop_by_hop_and_only_the_write_outlives_its_client() {
    let Some(postgres) = postgres() else { return };
    let inspector = postgres.inspector().await;
    inspector.client.batch_execute("CREATE TABLE booked (run bigint)").await.expect("it is new");
    let (marks, left) = (Marks::default(), Left::default());

    let back = Back {
        reads: followthrough_sqlx_postgres::Pool::new(postgres.sqlx_pool(READS, 2)),
        writes: postgres.pool("three_hops_writes", 2),
        marks: marks.clone(),
        left: left.clone(),
    };
    let callers = || CallerDeadlines::new().grpc_timeout();
    let routes = Router::new()
        .route("/stock/{run}", get(stock))
        .route("/book/{run}", post(book))
        .with_state(back);
    let back = Server::with(lifecycle().caller_deadlines(callers()), routes).await;

    let client = reqwest::Client::new();
    let front = Front { back: back.at, client, marks: marks.clone(), left: left.clone() };
    let routes = Router::new().route("/order/{run}", get(order)).with_state(front);
    let front = Server::with(lifecycle().caller_deadlines(callers()), routes).await;

    let mut times = Vec::new();
    for run in 0..RUNS {
        let head = format!("GET /order/{run} HTTP/1.1\r\nhost: x\r\ngrpc-timeout: 20S\r\n\r\n");
        let call = h1::raw(front.at, head).await;
        inspector.until_active(READS, SLOW).await;
        marks.until(&format!("{run}: booking")).await;

        let began = Instant::now();
        let gone = call.leave(Leaving::Close).await;
        marks.until(&format!("{run}: A dropped")).await;
        marks.until(&format!("{run}: B dropped")).await;
        soon("the backend is idle", async {
            while inspector.activity(READS).await.iter().any(|(state, _)| state == "active") {}
        })
        .await;
        times.push(began.elapsed());
        drop(gone);

        assert!(!marks.has(&format!("{run}: booked")));
        marks.set(format!("{run}: go"));
        marks.until(&format!("{run}: booked")).await;
        let booked = format!("SELECT count(*) FROM booked WHERE run = {run}");
        assert_eq!(inspector.value(&booked).await, 1, "the write is there afterwards");
    }

    times.sort();
    let left = left.0.lock().expect("no thread panics with the lock").clone();
    println!(
        "three hops: all but the write had stopped after {:.1?}, of {RUNS} times the median",
        times[RUNS / 2]
    );
    println!("left at A, B and the database: {:.4?}", &left[..3]);
    for hops in left.chunks(3) {
        assert!(hops[0] <= Duration::from_secs(20), "{hops:?}");
        assert!(hops.is_sorted_by(|before, after| before >= after), "no hop has more: {hops:?}");
        assert!(hops[2] > Duration::from_secs(1), "{hops:?}");
    }
    // The limit holds for the fastest run, because the machine may be busy during the others.
    assert!(times[0] < Duration::from_millis(100), "{times:?}");
}
