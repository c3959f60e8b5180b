//! The database of a proof.

use std::time::Duration;

use followthrough_database_tests::Postgres;
use followthrough_outbox::{Outbox as _, PostgresOutbox};
use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::sleep;

// The lock on the row of a key orders the transactions of the key, whether or not the outbox does.
const TABLES: &str = "
    CREATE TABLE places (key text PRIMARY KEY, place bigint NOT NULL);
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, customer text NOT NULL, place bigint NOT NULL)";
const NEXT: &str = "
    INSERT INTO places (key, place) VALUES ($1, 1)
    ON CONFLICT (key) DO UPDATE SET place = places.place + 1 RETURNING place";

/// Returns the URL of a database in this server.
pub(crate) fn url_of(server: &Postgres) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port)
}

/// Opens a database. Its activity is listed under `name`.
pub(crate) async fn open(url: &str, name: &str, connections: u32) -> PgPool {
    let options: PgConnectOptions = url.parse().expect("it is an URL of PostgreSQL");
    let pool = PgPoolOptions::new().max_connections(connections);
    pool.connect_with(options.application_name(name)).await.expect("the server accepts")
}

/// Creates the tables of the outbox, of the places and of the orders.
pub(crate) async fn migrate(pool: &PgPool) {
    PostgresOutbox::new(pool.clone()).migrate().await.expect("the statements are valid");
    sqlx::raw_sql(TABLES).execute(pool).await.expect("the tables are new");
}

/// Returns the next place in the order of a key. Other transactions wait for the end of this one.
pub(crate) async fn next_place(
    connection: &mut PgConnection,
    key: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(NEXT).bind(key).fetch_one(connection).await
}

/// Returns how many messages wait.
pub(crate) async fn waiting(pool: &PgPool) -> u64 {
    let backlog = PostgresOutbox::new(pool.clone()).backlog().await;
    backlog.expect("the server answers").waiting
}

/// Waits until no message waits.
pub(crate) async fn until_empty(pool: &PgPool) {
    while waiting(pool).await > 0 {
        sleep(Duration::from_millis(10)).await;
    }
}
