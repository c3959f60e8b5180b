//! Two databases behind one set of statements.
//!
//! Each has a pool of eight connections, so a compensation may run before the dropped statement
//! that it undoes. Then it leaves a row, with which the late statement conflicts.

use std::path::Path;

use followthrough_database_tests::Postgres;
use sqlx::{
    PgPool, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

pub(crate) type Result<T> = std::result::Result<T, sqlx::Error>;

/// The two halves of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row {
    Charge,
    Order,
}

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS charges (id BIGINT PRIMARY KEY, undone INT NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS orders (id BIGINT PRIMARY KEY, undone INT NOT NULL DEFAULT 0)",
];
const ROWS: &str = "SELECT \
    (SELECT COUNT(*) FROM charges WHERE id >= $1 AND id < $2 AND undone = 0), \
    (SELECT COUNT(*) FROM orders WHERE id >= $1 AND id < $2 AND undone = 0)";
const FIRST_ROWS: &str = "SELECT \
    (SELECT MIN(id) FROM charges WHERE id >= $1 AND id < $2 AND undone = 0), \
    (SELECT MIN(id) FROM orders WHERE id >= $1 AND id < $2 AND undone = 0)";

/// How often one request may be sent.
pub(crate) const SENT_AT_MOST: i64 = 64;

/// Returns the number under which the `sent`-th sending of a request writes its rows, so that a request that is
/// written twice has rows of its own each time.
pub(crate) const fn row(request: i64, sent: i64) -> i64 {
    request * SENT_AT_MOST + sent
}

/// The connections of the handlers' pools.
pub(crate) const POOL: u32 = 8;

impl Row {
    const fn insert(self) -> &'static str {
        match self {
            Self::Charge => "INSERT INTO charges (id) VALUES ($1)",
            Self::Order => "INSERT INTO orders (id) VALUES ($1)",
        }
    }

    const fn upsert(self) -> &'static str {
        match self {
            Self::Charge => "INSERT INTO charges (id) VALUES ($1) ON CONFLICT DO NOTHING",
            Self::Order => "INSERT INTO orders (id) VALUES ($1) ON CONFLICT DO NOTHING",
        }
    }

    const fn undo(self) -> &'static str {
        match self {
            Self::Charge => {
                "INSERT INTO charges VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET undone = 1"
            }
            Self::Order => {
                "INSERT INTO orders VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET undone = 1"
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// An open transaction. Dropping it rolls it back.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, sqlx::Postgres>),
}

impl Db {
    /// Creates a database in a file.
    pub(crate) async fn sqlite(file: &Path, connections: u32) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            // Only requests are cut, not the power.
            .synchronous(SqliteSynchronous::Off)
            // In KiB. A growing cache would look like a leak.
            .pragma("cache_size", "-256");
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            // A connection that is opened later would look like a leak.
            .min_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None);
        let db = Self::Sqlite(pool.connect_with(options).await?);
        db.create().await?;
        Ok(db)
    }

    /// Connects to the server, whose tables all runs share.
    pub(crate) async fn postgres(server: &Postgres, connections: u32) -> Result<Self> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(server.port)
            .username("postgres")
            .application_name("campaign")
            // Only requests are cut, not the power.
            .options([("synchronous_commit", "off"), ("client_min_messages", "error")]);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            // A connection that is opened later would look like a leak.
            .min_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None)
            // sqlx 0.9 forgets a BEGIN whose future is dropped before its answer. The next writes
            // on the connection would belong to that transaction, and would be lost with it.
            .after_release(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql("ROLLBACK").execute(connection).await?;
                    Ok(true)
                })
            });
        Ok(Self::Postgres(pool.connect_with(options).await?))
    }

    /// Creates the tables unless they exist.
    pub(crate) async fn create(&self) -> Result<()> {
        self.all(&TABLES).await
    }

    /// Removes all rows.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.all(&["DELETE FROM charges", "DELETE FROM orders"]).await
    }

    async fn all(&self, statements: &[&'static str]) -> Result<()> {
        for text in statements.iter().copied() {
            match self {
                Self::Sqlite(db) => sqlx::query(text).execute(db).await.map(drop)?,
                Self::Postgres(db) => sqlx::query(text).execute(db).await.map(drop)?,
            }
        }
        Ok(())
    }

    async fn statement(&self, text: &'static str, row: i64) -> Result<()> {
        match self {
            Self::Sqlite(db) => sqlx::query(text).bind(row).execute(db).await.map(drop),
            Self::Postgres(db) => sqlx::query(text).bind(row).execute(db).await.map(drop),
        }
    }

    pub(crate) async fn insert(&self, half: Row, row: i64) -> Result<()> {
        self.statement(half.insert(), row).await
    }

    pub(crate) async fn upsert(&self, half: Row, row: i64) -> Result<()> {
        self.statement(half.upsert(), row).await
    }

    pub(crate) async fn undo(&self, half: Row, row: i64) -> Result<()> {
        self.statement(half.undo(), row).await
    }

    /// Waits until dropped statements have ended on all connections: then the pool can hand out all
    /// of them at once.
    pub(crate) async fn settles(&self) -> Result<()> {
        let (mut sqlite, mut postgres) = (Vec::new(), Vec::new());
        for _ in 0..POOL {
            match self {
                Self::Sqlite(db) => sqlite.push(db.acquire().await?),
                Self::Postgres(db) => postgres.push(db.acquire().await?),
            }
        }
        Ok(())
    }

    /// Returns how many charges and orders of this request exist.
    pub(crate) async fn rows(&self, request: i64) -> Result<(i64, i64)> {
        let (from, to) = (row(request, 0), row(request + 1, 0));
        match self {
            Self::Sqlite(db) => sqlx::query_as(ROWS).bind(from).bind(to).fetch_one(db).await,
            Self::Postgres(db) => sqlx::query_as(ROWS).bind(from).bind(to).fetch_one(db).await,
        }
    }

    /// Returns the numbers of the first charge and the first order of this request.
    pub(crate) async fn first_rows(&self, request: i64) -> Result<(Option<i64>, Option<i64>)> {
        let (from, to) = (row(request, 0), row(request + 1, 0));
        match self {
            Self::Sqlite(db) => sqlx::query_as(FIRST_ROWS).bind(from).bind(to).fetch_one(db).await,
            Self::Postgres(db) => {
                sqlx::query_as(FIRST_ROWS).bind(from).bind(to).fetch_one(db).await
            }
        }
    }

    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite(db) => Tx::Sqlite(db.begin().await?),
            Self::Postgres(db) => Tx::Postgres(db.begin().await?),
        })
    }
}

impl Tx {
    pub(crate) async fn insert(&mut self, half: Row, row: i64) -> Result<()> {
        let text = half.insert();
        match self {
            Self::Sqlite(tx) => sqlx::query(text).bind(row).execute(&mut **tx).await.map(drop),
            Self::Postgres(tx) => sqlx::query(text).bind(row).execute(&mut **tx).await.map(drop),
        }
    }

    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await,
            Self::Postgres(tx) => tx.rollback().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, poll_fn},
        pin::pin,
        task::Poll,
    };

    use super::*;

    /// Polls `future` until it has waited that often, then drops it. Returns whether it had ended.
    async fn cut<F: Future>(future: F, waits: u32) -> bool {
        let mut future = pin!(future);
        let mut waited = 0;
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending => {
                waited += 1;
                if waited == waits { Poll::Ready(false) } else { Poll::Pending }
            }
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_later_write_is_not_part_of_a_dropped_begin() {
        let server = tokio::task::spawn_blocking(followthrough_database_tests::postgres);
        let Some(server) = server.await.expect("it does not panic") else { return };
        let look = Db::postgres(server, 1).await.expect("the server accepts");
        look.create().await.expect("the tables are new");
        for id in 0..20 {
            let db = Db::postgres(server, 1).await.expect("the server accepts");
            let waits = u32::try_from(id % 4).expect("it is small") + 1;
            let ended = cut(db.begin(), waits).await;
            db.insert(Row::Charge, row(id, 0)).await.expect("it writes");
            let found = look.rows(id).await.expect("it reads");
            assert_eq!(found, (1, 0), "dropped after {waits} waits, ended: {ended}");
        }
    }
}
