//! The service whose processes are killed: orders with a key, in a transaction that holds their answer as well.

use std::{str::FromStr, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use followthrough::{
    Idempotency, IdempotencyKey, Lifecycle, Router, Scope, durable_write, idempotency::Store,
    routing::post,
};
use followthrough_database_tests::Postgres;
use followthrough_idempotency::{FinishError, FinishIn as _, PostgresStore, SqliteStore};
use followthrough_tests::Process;
use sqlx::{
    PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tokio::{net::TcpListener, time::sleep};

use crate::Verdict;

/// How often each process writes its heartbeat. A dead process is noticed after three of these.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);

// The table has no unique constraint, so a write that runs twice leaves two rows.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS orders (id BIGINT GENERATED ALWAYS AS IDENTITY, name TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
];
const INSERT: &str = "INSERT INTO orders (name) VALUES ($1) RETURNING id";

/// A database under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Postgres,
    Sqlite,
}

impl FromStr for Database {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "postgres" => Ok(Self::Postgres),
            "sqlite" => Ok(Self::Sqlite),
            other => Err(format!("`{other}` is neither `postgres` nor `sqlite`")),
        }
    }
}

/// An error of a database or a store.
#[derive(Debug)]
struct Failed(String);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<FinishError> for Failed {
    fn from(error: FinishError) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (axum::http::StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}

/// A moment in which the process may be killed.
async fn moment() {
    sleep(Duration::from_micros(fastrand::u64(0..4_000))).await;
}

#[durable_write(idempotency_key = "required", deadline = "10s")]
async fn place_in_postgres(
    State(pool): State<PgPool>,
    key: IdempotencyKey,
    name: String,
) -> Result<String, Failed> {
    println!("{name} begun");
    moment().await;
    let mut transaction = pool.begin().await?;
    let id: i64 = sqlx::query_scalar(INSERT).bind(&name).fetch_one(&mut *transaction).await?;
    moment().await;
    let answer = id.to_string();
    key.finish_in(&mut transaction, &answer).await?;
    moment().await;
    transaction.commit().await?;
    moment().await;
    Ok(answer)
}

#[durable_write(idempotency_key = "required", deadline = "10s")]
async fn place_in_sqlite(
    State(pool): State<SqlitePool>,
    key: IdempotencyKey,
    name: String,
) -> Result<String, Failed> {
    println!("{name} begun");
    moment().await;
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let id: i64 = sqlx::query_scalar(INSERT).bind(&name).fetch_one(&mut *transaction).await?;
    moment().await;
    let answer = id.to_string();
    key.finish_in(&mut transaction, &answer).await?;
    moment().await;
    transaction.commit().await?;
    moment().await;
    Ok(answer)
}

/// Opens the database of a service.
pub(crate) async fn postgres(url: &str) -> PgPool {
    let options = PgPoolOptions::new().max_connections(16);
    options.connect(url).await.expect("the server accepts")
}

pub(crate) async fn sqlite(url: &str) -> SqlitePool {
    let options: SqliteConnectOptions = url.parse().expect("it is an URL of SQLite");
    let options = options
        .create_if_missing(true)
        .busy_timeout(Duration::from_mins(1))
        .journal_mode(SqliteJournalMode::Wal);
    SqlitePool::connect_with(options).await.expect("the folder can be written")
}

/// Creates the tables of the orders and of the keys.
pub(crate) async fn migrate(url: &str) {
    let [in_postgres, in_sqlite] = TABLES;
    if url.starts_with("postgres") {
        let pool = postgres(url).await;
        sqlx::query(in_postgres).execute(&pool).await.expect("the statement is valid");
        PostgresStore::new(pool).migrate().await.expect("the statements are valid");
    } else {
        let pool = sqlite(url).await;
        sqlx::query(in_sqlite).execute(&pool).await.expect("the statement is valid");
        SqliteStore::new(pool).migrate().await.expect("the statements are valid");
    }
}

/// Returns the ids of the orders of this name.
pub(crate) async fn orders_named(url: &str, name: &str) -> Vec<i64> {
    const SELECT: &str = "SELECT id FROM orders WHERE name = $1";
    let ids = if url.starts_with("postgres") {
        sqlx::query_scalar(SELECT).bind(name).fetch_all(&postgres(url).await).await
    } else {
        sqlx::query_scalar(SELECT).bind(name).fetch_all(&sqlite(url).await).await
    };
    ids.expect("the statement is valid")
}

/// Serves until the process is killed.
pub(crate) async fn serve(url: &str) -> Verdict {
    if url.starts_with("postgres") {
        let pool = postgres(url).await;
        let orders = Router::new().route("/orders", post(place_in_postgres));
        serve_with(PostgresStore::new(pool.clone()), orders.with_state(pool)).await
    } else {
        let pool = sqlite(url).await;
        let orders = Router::new().route("/orders", post(place_in_sqlite));
        serve_with(SqliteStore::new(pool.clone()), orders.with_state(pool)).await
    }
}

async fn serve_with(store: impl Store, app: Router) -> Verdict {
    let keys = Idempotency::new(store, Scope::global("the orders have one client"))
        .heartbeat(HEARTBEAT)
        .wait_for_other_processes(true);
    let lifecycle = Lifecycle::builder().idempotency(keys).build().expect("the settings are valid");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    println!("listening on {}", listener.local_addr().expect("it is bound"));
    let served = followthrough::serve(listener, app).lifecycle(lifecycle).await;
    served.map(drop).map_err(|error| error.to_string())
}

/// Starts a process of the service.
pub(crate) async fn start(url: &str) -> Process {
    let program = std::env::current_exe().expect("the program has a path");
    Process::start(&program.to_string_lossy(), &["serve", url]).await
}

/// Returns the URL of a database in this server.
pub(crate) fn url_of(server: &Postgres) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port)
}
