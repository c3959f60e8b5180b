//! A write that is cut while it runs, and its compensation on another connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    routing::post,
};
use followthrough::cancellable;
use followthrough_database_tests::{Inspector, Postgres, moment, postgres};
use followthrough_tests::{Leaving, Server, h1, soon};
use sqlx::{
    AssertSqlSafe, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tokio::{task::JoinSet, time::sleep};

const POOL: u32 = 8;
const RUNS: i64 = 450;
const SLOW_RUNS: i64 = 20;

/// A pool that reaches a table of seats, which have an id and a state.
#[derive(Clone)]
enum Seats {
    Deadpool(followthrough_postgres::Pool),
    Sqlx(followthrough_sqlx_postgres::Pool),
    PlainDeadpool(deadpool_postgres::Pool),
    PlainSqlx(sqlx::PgPool),
    Sqlite(SqlitePool),
}

/// The statements of a table, with the id as `$1`.
#[derive(Clone)]
struct Table {
    seats: Seats,
    reserve: String,
    release: String,
}

impl Table {
    async fn execute(&self, statement: &str, id: i64) -> Result<(), String> {
        let statement = statement.to_owned();
        match &self.seats {
            Seats::Deadpool(pool) => {
                let mut client = pool.get().await.map_err(|error| error.to_string())?;
                let done = client.execute(&statement, &[&id]).await;
                done.map(drop).map_err(|error| error.to_string())
            }
            Seats::Sqlx(pool) => {
                let mut client = pool.get().await.map_err(|error| error.to_string())?;
                let done = client.run(async |connection| {
                    sqlx::query(AssertSqlSafe(statement)).bind(id).execute(connection).await
                });
                done.await.map(drop).map_err(|error| error.to_string())
            }
            Seats::PlainDeadpool(pool) => {
                let client = pool.get().await.map_err(|error| error.to_string())?;
                let done = client.execute(&statement, &[&id]).await;
                done.map(drop).map_err(|error| error.to_string())
            }
            Seats::PlainSqlx(pool) => {
                let done = sqlx::query(AssertSqlSafe(statement)).bind(id).execute(pool).await;
                done.map(drop).map_err(|error| error.to_string())
            }
            Seats::Sqlite(pool) => {
                let done = sqlx::query(AssertSqlSafe(statement)).bind(id).execute(pool).await;
                done.map(drop).map_err(|error| error.to_string())
            }
        }
    }
}

async fn release(table: Table, id: i64) -> Result<(), String> {
    table.execute(&table.release, id).await
}

#[cancellable(reversible_write, on_cancel = release(table.clone(), id))]
async fn reserve(State(table): State<Table>, Path(id): Path<i64>) -> Result<(), String> {
    table.execute(&table.reserve, id).await
}

async fn serve(table: &Table) -> Server {
    let app = Router::new().route("/{id}", post(reserve)).with_state(table.clone());
    Server::start(app).await
}

/// Waits until no request and no compensation runs.
async fn is_quiet(server: &Server) {
    soon("the end of all compensations", async {
        loop {
            let now = server.lifecycle.in_flight();
            if now.requests == 0 && now.work.is_empty() {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Waits until no backend of `name` runs a statement.
async fn is_idle(inspector: &Inspector, name: &str) {
    soon("idle backends", async {
        while inspector.activity(name).await.iter().any(|(state, _)| state != "idle") {}
    })
    .await;
}

/// Returns the statements of table `name`, in which a deletion undoes an insertion.
fn deletes(seats: Seats, name: &str, reserve: String) -> Table {
    Table { seats, reserve, release: format!("DELETE FROM {name} WHERE id = $1") }
}

fn ours(postgres: &Postgres, name: &str, timeout: Option<Duration>) -> [(String, Seats); 2] {
    let size = usize::try_from(POOL).expect("it is small");
    let (deadpool, sqlx) = (format!("{name}_deadpool"), format!("{name}_sqlx"));
    let mut first = postgres.pool(&deadpool, size);
    let mut second = followthrough_sqlx_postgres::Pool::new(postgres.sqlx_pool(&sqlx, POOL));
    if let Some(timeout) = timeout {
        (first, second) = (first.timeout(timeout), second.timeout(timeout));
    }
    [(deadpool, Seats::Deadpool(first)), (sqlx, Seats::Sqlx(second))]
}

async fn create(inspector: &Inspector, name: &str) {
    let table = format!("CREATE TABLE {name} (id bigint PRIMARY KEY, state text NOT NULL)");
    inspector.client.batch_execute(&table).await.expect("the table is new");
}

async fn held(inspector: &Inspector, name: &str) -> i64 {
    inspector.value(&format!("SELECT count(*) FROM {name} WHERE state = 'held'")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn law_10a_an_ordinary_insert_never_lands_after_its_compensation() {
    let Some(postgres) = postgres() else { return };
    let inspector = postgres.inspector().await;
    for (name, seats) in ours(postgres, "ordinary", None) {
        create(&inspector, &name).await;
        let insert = format!("INSERT INTO {name} VALUES ($1, 'held')");
        let server = serve(&deletes(seats, &name, insert)).await;
        let (at, ids, kept) = (server.at, Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let mut callers = JoinSet::new();
        for caller in 0..8 {
            let (ids, kept) = (ids.clone(), kept.clone());
            callers.spawn(async move {
                let mut rng = fastrand::Rng::with_seed(caller);
                loop {
                    let id = ids.fetch_add(1, Ordering::Relaxed);
                    if id >= RUNS {
                        return;
                    }
                    let mut call = h1::send(at, "POST", &format!("/{id}")).await;
                    tokio::select! {
                        biased;
                        answer = call.answer() => {
                            assert_eq!(answer.status, 200, "{}", answer.body);
                            kept.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        () = moment(Duration::from_micros(rng.u64(0..6_000))) => {}
                    }
                    drop(call.leave(Leaving::Close).await);
                }
            });
        }
        while let Some(caller) = callers.join_next().await {
            caller.expect("every answer is right");
        }
        is_quiet(&server).await;
        is_idle(&inspector, &name).await;
        let (held, kept) = (held(&inspector, &name).await, kept.load(Ordering::Relaxed));
        let report = server.stop().await;
        println!("{name}: {RUNS} runs, {kept} answered, {held} held; {report}");
        assert!(report.compensations.run > 0, "{report}");
        assert_eq!(report.compensations.failed, 0, "{report}");
        // A client may have left while its answer was on the way.
        let answered = RUNS - i64::try_from(report.compensations.run).expect("it is small");
        assert!(kept <= held && held <= answered, "{held} held, {kept} kept, {report}");
    }
}

/// Creates a function that ignores its cancellation for so many seconds and then inserts.
async fn create_stubborn(inspector: &Inspector, name: &str, seconds: f64) -> String {
    create(inspector, name).await;
    let stubborn = format!(
        "CREATE FUNCTION {name}_stubborn(id bigint) RETURNS void LANGUAGE plpgsql AS $$
         DECLARE until timestamptz := clock_timestamp() + interval '{seconds} s';
         BEGIN
             WHILE clock_timestamp() < until LOOP
                 BEGIN PERFORM pg_sleep(0.02); EXCEPTION WHEN query_canceled THEN NULL; END;
             END LOOP;
             INSERT INTO {name} VALUES (id, 'held');
         END $$;"
    );
    inspector.client.batch_execute(&stubborn).await.expect("the function is new");
    format!("SELECT {name}_stubborn($1)")
}

/// Sends a request, waits until a backend sleeps within its statement, and leaves.
async fn leave_midway(server: &Server, inspector: &Inspector, name: &str, id: i64) {
    let call = h1::send(server.at, "POST", &format!("/{id}")).await;
    inspector.until_active(name, "").await;
    drop(call.leave(Leaving::Close).await);
    is_quiet(server).await;
    is_idle(inspector, name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn law_10a_a_compensation_waits_for_a_statement_that_cannot_be_cancelled() {
    let Some(postgres) = postgres() else { return };
    let inspector = postgres.inspector().await;
    for (name, seats) in ours(postgres, "stubborn", None) {
        let insert = create_stubborn(&inspector, &name, 0.3).await;
        let server = serve(&deletes(seats, &name, insert)).await;
        for id in 0..SLOW_RUNS {
            leave_midway(&server, &inspector, &name, id).await;
        }
        let report = server.stop().await;
        assert_eq!(held(&inspector, &name).await, 0, "of {SLOW_RUNS}; {report}");
        assert_eq!(report.compensations.run, SLOW_RUNS.unsigned_abs(), "{report}");
    }
}

/// The pool has room for another connection by then, but the compensation still waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn law_10a_a_compensation_waits_longer_than_the_pool() {
    let Some(postgres) = postgres() else { return };
    let inspector = postgres.inspector().await;
    for (name, seats) in ours(postgres, "patient", Some(Duration::from_millis(30))) {
        let insert = create_stubborn(&inspector, &name, 0.3).await;
        let server = serve(&deletes(seats, &name, insert)).await;
        for id in 0..5 {
            leave_midway(&server, &inspector, &name, id).await;
        }
        let report = server.stop().await;
        assert_eq!(held(&inspector, &name).await, 0, "{report}");
        assert_eq!(report.compensations.run, 5, "{report}");
    }
}

/// Returns pools whose connections are all open, so that a compensation gets another connection
/// than the insertion.
async fn plain(postgres: &Postgres, name: &str) -> [(String, Seats); 2] {
    let size = usize::try_from(POOL).expect("it is small");
    let (deadpool, sqlx) = (format!("{name}_deadpool"), format!("{name}_sqlx"));
    let (first, second) = (postgres.plain_pool(&deadpool, size), postgres.sqlx_pool(&sqlx, POOL));
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    for _ in 0..POOL {
        of_first.push(first.get().await.expect("the server accepts"));
        of_second.push(second.acquire().await.expect("the server accepts"));
    }
    drop((of_first, of_second));
    [(deadpool, Seats::PlainDeadpool(first)), (sqlx, Seats::PlainSqlx(second))]
}

/// Shows the fault that the tombstone of the next test prevents.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_pool_a_deletion_may_come_before_the_insertion() {
    let Some(postgres) = postgres() else { return };
    let inspector = postgres.inspector().await;
    for (name, seats) in plain(postgres, "too_early").await {
        create(&inspector, &name).await;
        let insert = format!("INSERT INTO {name} SELECT $1, 'held' FROM pg_sleep(0.3)");
        let server = serve(&deletes(seats, &name, insert)).await;
        for id in 0..SLOW_RUNS {
            leave_midway(&server, &inspector, &name, id).await;
        }
        let held = held(&inspector, &name).await;
        println!("{name}: {held} of {SLOW_RUNS} leaked");
        assert!(held > 0, "the recipe on the page about databases is not needed any more");
        server.stop().await;
    }
}

/// Returns statements that keep a released seat under the same unique key, so that a late insertion
/// conflicts with it.
fn leaves_a_tombstone(seats: Seats, name: &str, reserve: String) -> Table {
    let release = format!(
        "INSERT INTO {name} (id, state) VALUES ($1, 'released') \
         ON CONFLICT (id) DO UPDATE SET state = 'released'"
    );
    Table { seats, reserve, release }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_pool_a_tombstone_keeps_a_late_insertion_out() {
    let Some(postgres) = postgres() else { return };
    let inspector = postgres.inspector().await;
    for (name, seats) in plain(postgres, "tombstones").await {
        create(&inspector, &name).await;
        let insert = format!("INSERT INTO {name} SELECT $1, 'held' FROM pg_sleep(0.3)");
        let server = serve(&leaves_a_tombstone(seats, &name, insert)).await;
        for id in 0..SLOW_RUNS {
            leave_midway(&server, &inspector, &name, id).await;
        }
        let report = server.stop().await;
        assert_eq!(held(&inspector, &name).await, 0, "of {SLOW_RUNS}; {report}");
        assert_eq!(report.compensations.run, SLOW_RUNS.unsigned_abs(), "{report}");
    }
}

/// Cuts an insertion while it waits for the only writer of the database. The compensation queues
/// before or behind it.
async fn leave_behind_a_lock(name: &str, table: impl FnOnce(Seats) -> Table) -> i64 {
    let file = std::env::temp_dir().join(format!("followthrough-{name}-{}.db", std::process::id()));
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        // A machine that stalls for the default of 5 s would turn the wait for the lock into an error.
        .busy_timeout(Duration::from_mins(1))
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new().max_connections(POOL).connect_with(options);
    let pool = pool.await.expect("the folder can be written");
    let create = "CREATE TABLE seats (id bigint PRIMARY KEY, state text NOT NULL)";
    sqlx::query(create).execute(&pool).await.expect("the table is new");
    let table = table(Seats::Sqlite(pool.clone()));
    let server = serve(&table).await;
    for id in 0..12 {
        let writer = pool.begin_with("BEGIN IMMEDIATE").await.expect("it is free");
        let busy = pool.num_idle();
        let call = h1::send(server.at, "POST", &format!("/{id}")).await;
        soon("the insertion waits", async {
            while server.lifecycle.in_flight().work.is_empty()
                || pool.num_idle() == busy && busy > 0
            {
                sleep(Duration::from_millis(1)).await;
            }
            sleep(Duration::from_millis(20)).await;
        })
        .await;
        drop(call.leave(Leaving::Close).await);
        soon("the compensation", async {
            while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        writer.rollback().await.expect("it was open");
        is_quiet(&server).await;
    }
    // A dropped statement has ended when the pool hands out its connection again.
    let mut all = Vec::new();
    for _ in 0..POOL {
        all.push(pool.acquire().await.expect("the pool has all its connections"));
    }
    drop(all);
    let report = server.stop().await;
    assert_eq!(report.compensations.run, 12, "{report}");
    let held = "SELECT count(*) FROM seats WHERE state = 'held'";
    let held = sqlx::query_scalar(held).fetch_one(&pool).await.expect("it reads");
    pool.close().await;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_tombstone_keeps_a_late_insertion_out() {
    let insert = || "INSERT INTO seats VALUES ($1, 'held')".to_owned();
    let leaked = leave_behind_a_lock("deletes", |seats| deletes(seats, "seats", insert())).await;
    println!("SQLite, with a deletion: {leaked} of 12 leaked");
    let held =
        leave_behind_a_lock("tombstones", |seats| leaves_a_tombstone(seats, "seats", insert()))
            .await;
    assert_eq!(held, 0, "of 12");
}
