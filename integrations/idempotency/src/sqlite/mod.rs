//! The store in `SQLite`.
//!
//! Invariants:
//!
//! 1. The rows of a statement that writes are read to their end, because `SQLite` commits after them.
//! 2. Each change is one statement, so it takes the lock of the database once and waits for it under the pool's
//!    `busy_timeout`.
//! 3. A statement that changes a begun record names its owner and its epoch, so a claim that is lost changes nothing.

mod sql;

use std::fmt;

use followthrough::idempotency::{
    Claim, Claimed, Finished, Heartbeat, NewClaim, Record, RecordId, Store, StoreError,
    StoreFuture, StoredAnswer,
};
use sqlx::{
    Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteRow, SqliteTransactionManager},
};
use sqlx_core::transaction::TransactionManager as _;

use crate::{
    finish_in::{AnswerTransaction, Storing, sealed::Sealed},
    lost,
    row::{self, Row, failed},
};

/// How often a claim is repeated whose conflicting record has gone.
const CLAIMS: usize = 10;

/// A [`Store`] in `SQLite`, for the processes that share one file. A retry that waits for another process looks again
/// every 200 ms.
///
/// A claim waits while another transaction holds the database's lock for writes, so handlers keep their transactions
/// short. With a pool of one connection, a handler must not pass its point of no return within a transaction.
///
/// ```
/// use followthrough::{Idempotency, Lifecycle, Scope};
/// use followthrough_idempotency::SqliteStore;
/// use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A database in memory belongs to one connection, which must not be closed; a file takes any number.
/// let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
/// let pool = one.connect_with(SqliteConnectOptions::new().in_memory(true)).await?;
/// let store = SqliteStore::new(pool);
/// store.migrate().await?;
/// let scope = Scope::global("one internal client");
/// let lifecycle = Lifecycle::builder().idempotency(Idempotency::new(store, scope)).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// The migrations, in their order: each has its file's name and its SQL. Each may run again.
    pub const MIGRATIONS: [(&'static str, &'static str); 1] =
        [("0001_idempotency.sql", include_str!("../../migrations/sqlite/0001_idempotency.sql"))];

    /// Keeps the records in the database of `pool`.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    /// Runs the [migrations](Self::MIGRATIONS). Several processes may do so at once.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn migrate(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for (_, migration) in Self::MIGRATIONS {
            sqlx::raw_sql(migration).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    /// Reads the row of a record, with `expired` even after its time.
    async fn row(
        &self,
        id: &RecordId,
        expired: bool,
    ) -> Result<Option<Result<Row, sqlx::Error>>, StoreError> {
        let query = sqlx::query(sql::LOOK).bind(&id.scope).bind(&id.key).bind(expired);
        let row = query.fetch_optional(&self.pool).await.map_err(|error| failed(&error))?;
        Ok(row.map(|row| columns(&row)))
    }

    async fn record(&self, id: &RecordId) -> Result<Option<Record>, StoreError> {
        Ok(self.row(id, false).await?.map(|row| match row {
            Ok(row) => row.record(id),
            Err(error) => row::unreadable(id, &error.to_string()),
        }))
    }

    /// Runs a statement that returns one number, or no row.
    async fn one(&self, query: Query<'_>) -> Result<Option<i64>, StoreError> {
        let rows = query.fetch_all(&self.pool).await;
        let number = rows.and_then(|rows| rows.first().map(|row| row.try_get(0)).transpose());
        number.map_err(|error| failed(&error))
    }

    async fn run(&self, query: Query<'_>) -> Result<u64, StoreError> {
        let done = query.execute(&self.pool).await.map_err(|error| failed(&error))?;
        Ok(done.rows_affected())
    }

    async fn try_claim(&self, id: &RecordId, new: &NewClaim) -> Result<Claimed, StoreError> {
        for _ in 0..CLAIMS {
            let query = sqlx::query(sql::CLAIM)
                .bind(&id.scope)
                .bind(&id.key)
                .bind(&new.fingerprint.0[..])
                .bind(&new.handler)
                .bind(&new.owner)
                .bind(new.runs_again)
                .bind(row::keep_ms(new.keep));
            if let Some(epoch) = self.one(query).await? {
                return row::held(id, new, epoch).map(Claimed::Held);
            }
            // The record was released or has expired since the conflict if there is none now.
            if let Some(record) = self.record(id).await? {
                return Ok(Claimed::Taken(record));
            }
        }
        Err(StoreError::new(format!("the record {id} appears and vanishes")))
    }

    async fn try_finish(
        &self,
        claim: &Claim,
        answer: &StoredAnswer,
    ) -> Result<Finished, StoreError> {
        let headers = answer.headers_as_text();
        if self.run(finish(claim, answer, &headers)).await? == 1 {
            return Ok(Finished::Stored);
        }
        match self.row(&claim.id, true).await? {
            Some(Ok(row)) if row.is_of(claim) => row.finished(&claim.id),
            _ => Ok(Finished::Lost),
        }
    }

    async fn try_beat(&self, owner: &str) -> Result<Vec<Heartbeat>, StoreError> {
        self.run(sqlx::query(sql::BEAT).bind(owner)).await?;
        let beats = sqlx::query_as(sql::BEATS).fetch_all(&self.pool).await;
        Ok(row::heartbeats(beats.map_err(|error| failed(&error))?))
    }

    async fn try_expire(&self, limit: u32) -> Result<u32, StoreError> {
        let removed = self.run(sqlx::query(sql::EXPIRE).bind(limit)).await?;
        let removed = u32::try_from(removed).unwrap_or(limit);
        if removed < limit {
            self.run(sqlx::query(sql::FORGET_OWNERS)).await?;
        }
        Ok(removed)
    }
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

/// Returns the statement that stores an answer. The statement changes one row if the claim holds the record.
fn finish<'q>(claim: &'q Claim, answer: &'q StoredAnswer, headers: &'q str) -> Query<'q> {
    sqlx::query(sql::FINISH)
        .bind(&claim.id.scope)
        .bind(&claim.id.key)
        .bind(&claim.owner)
        .bind(row::epoch(claim))
        .bind(answer.status())
        .bind(headers)
        .bind(&answer.body()[..])
        .bind(row::keep_ms(claim.keep))
}

fn columns(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        fingerprint: row.try_get(0)?,
        owner: row.try_get(1)?,
        epoch: row.try_get(2)?,
        runs_again: row.try_get(3)?,
        keep_ms: row.try_get(4)?,
        status: row.try_get(5)?,
        headers: row.try_get(6)?,
        body: row.try_get(7)?,
    })
}

impl Store for SqliteStore {
    fn beat<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<Heartbeat>> {
        Box::pin(self.try_beat(owner))
    }

    fn retire<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.run(sqlx::query(sql::RETIRE).bind(owner)).await.map(drop) })
    }

    fn look<'a>(&'a self, id: &'a RecordId) -> StoreFuture<'a, Option<Record>> {
        Box::pin(self.record(id))
    }

    fn claim<'a>(&'a self, id: &'a RecordId, claim: &'a NewClaim) -> StoreFuture<'a, Claimed> {
        Box::pin(self.try_claim(id, claim))
    }

    fn take_over<'a>(
        &'a self,
        from: &'a Claim,
        claim: &'a NewClaim,
    ) -> StoreFuture<'a, Option<Claim>> {
        let query = sqlx::query(sql::TAKE_OVER)
            .bind(&from.id.scope)
            .bind(&from.id.key)
            .bind(&from.owner)
            .bind(row::epoch(from))
            .bind(&claim.fingerprint.0[..])
            .bind(&claim.handler)
            .bind(&claim.owner)
            .bind(claim.runs_again)
            .bind(row::keep_ms(claim.keep));
        Box::pin(async move {
            let epoch = self.one(query).await?;
            epoch.map(|epoch| row::held(&from.id, claim, epoch)).transpose()
        })
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: &'a StoredAnswer,
    ) -> StoreFuture<'a, Finished> {
        Box::pin(self.try_finish(claim, answer))
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> StoreFuture<'a, ()> {
        let query = sqlx::query(sql::RELEASE)
            .bind(&claim.id.scope)
            .bind(&claim.id.key)
            .bind(&claim.owner)
            .bind(row::epoch(claim));
        Box::pin(async move { self.run(query).await.map(drop) })
    }

    fn expire(&self, limit: u32) -> StoreFuture<'_, u32> {
        Box::pin(self.try_expire(limit))
    }
}

impl Sealed for SqliteConnection {}

impl Sealed for Transaction<'_, Sqlite> {}

impl AnswerTransaction for SqliteConnection {
    fn store_answer<'a>(&'a mut self, claim: &'a Claim, answer: &'a StoredAnswer) -> Storing<'a> {
        Box::pin(async move {
            let headers = answer.headers_as_text();
            let done = finish(claim, answer, &headers).execute(&mut *self).await?;
            if done.rows_affected() == 1 {
                return Ok(true);
            }
            let depth = SqliteTransactionManager::get_transaction_depth(self);
            let checks: bool = sqlx::query_scalar(sql::CHECKS).fetch_one(&mut *self).await?;
            let fail = if checks { lost::fail_commit(depth) } else { lost::empty(depth) };
            sqlx::raw_sql(fail).execute(self).await?;
            Ok(false)
        })
    }
}

impl AnswerTransaction for Transaction<'_, Sqlite> {
    fn store_answer<'a>(&'a mut self, claim: &'a Claim, answer: &'a StoredAnswer) -> Storing<'a> {
        (**self).store_answer(claim, answer)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
