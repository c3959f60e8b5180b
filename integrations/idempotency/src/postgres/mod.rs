//! The store in `PostgreSQL`.
//!
//! Invariants:
//!
//! 1. The rows of a statement that writes are read to their end, because the server reports a failed commit after them.
//! 2. Times are compared by the server's clock only.
//! 3. A statement that changes a begun record names its owner and its epoch, so a claim that is lost changes nothing.

mod listener;
mod sql;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use followthrough::idempotency::{
    Claim, Claimed, Finished, Heartbeat, NewClaim, Record, RecordId, Store, StoreError,
    StoreFuture, StoredAnswer,
};
use sqlx::{
    PgConnection, PgPool, Postgres, Row as _, Transaction,
    postgres::{PgRow, PgTransactionManager},
};

use self::listener::Listener;
use sqlx_core::transaction::TransactionManager as _;

use crate::{
    finish_in::{AnswerTransaction, Storing, sealed::Sealed},
    lost,
    row::{self, Row, failed},
};

/// The pause of a retry that waits without notifications.
const POLL: Duration = Duration::from_millis(200);
/// The longest wait for a notification. After it, a retry sees whether the owner has died.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often a claim is repeated whose conflicting record has gone.
const CLAIMS: usize = 10;

/// A [`Store`] in `PostgreSQL`, for any number of processes. Its clones share one listener.
///
/// A claim, and a `finish`, is one statement. A statement is one round trip on a connection that has prepared it
/// before, if the pool does not test its connections
/// ([`test_before_acquire(false)`](sqlx::pool::PoolOptions::test_before_acquire)).
///
/// ```no_run
/// use followthrough::{Idempotency, Lifecycle, Scope};
/// use followthrough_idempotency::PostgresStore;
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::new(sqlx::PgPool::connect("postgres://shop@localhost").await?);
/// store.migrate().await?;
/// let by_customer = Scope::by(|parts| parts.headers.get("x-customer")?.to_str().ok().map(str::to_owned));
/// let lifecycle = Lifecycle::builder().idempotency(Idempotency::new(store, by_customer)).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    listener: Option<Arc<Listener>>,
}

impl PostgresStore {
    /// The migrations, in their order: each has its file's name and its SQL. Each may run again.
    pub const MIGRATIONS: [(&'static str, &'static str); 1] =
        [("0001_idempotency.sql", include_str!("../../migrations/postgres/0001_idempotency.sql"))];

    /// Keeps the records in the database of `pool`, in the first schema of its `search_path`.
    ///
    /// The transactions of the pool have the isolation level `READ COMMITTED`, which is `PostgreSQL`'s default.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, listener: Some(Arc::new(Listener::new())) }
    }

    /// Lets a retry that waits for another process look again every 200 ms, in place of a connection that listens.
    /// `PgBouncer` in its transaction mode needs this, because it passes no notifications on.
    #[must_use]
    pub fn without_listener(self) -> Self {
        Self { listener: None, ..self }
    }

    /// Runs the [migrations](Self::MIGRATIONS). Several processes may do so at once.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn migrate(&self) -> Result<(), sqlx::Error> {
        // `CREATE INDEX IF NOT EXISTS` waits for all transactions that write keys, and holds up all that begin to.
        if sqlx::query_scalar(sql::IS_MIGRATED).fetch_one(&self.pool).await? {
            return Ok(());
        }
        let mut tx = self.pool.begin().await?;
        // `IF NOT EXISTS` fails for tables that another transaction creates.
        sqlx::query(sql::LOCK_MIGRATIONS).execute(&mut *tx).await?;
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

    /// Runs a statement that returns one number, or no row.
    async fn one(&self, query: Query<'_>) -> Result<Option<i64>, StoreError> {
        one(query.fetch_all(&self.pool).await).map_err(|error| failed(&error))
    }

    async fn try_finish(
        &self,
        claim: &Claim,
        answer: &StoredAnswer,
    ) -> Result<Finished, StoreError> {
        let headers = answer.headers_as_text();
        if self.one(finish(claim, answer, &headers)).await?.is_some() {
            return Ok(Finished::Stored);
        }
        match self.row(&claim.id, true).await? {
            Some(Ok(row)) if row.is_of(claim) => row.finished(&claim.id),
            _ => Ok(Finished::Lost),
        }
    }

    async fn try_beat(&self, owner: &str) -> Result<Vec<Heartbeat>, StoreError> {
        let listens = self.listener.as_ref().is_some_and(|listener| listener.is_listening());
        let query = sqlx::query(sql::BEAT).bind(owner).bind(listens);
        let beats = query.fetch_all(&self.pool).await.and_then(|rows| {
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect::<Result<Vec<(String, i64)>, _>>()
        });
        let beats = beats.map_err(|error| failed(&error))?;
        if let Some(listener) = self.listener.as_ref().filter(|_| listens) {
            listener.announce();
        }
        Ok(row::heartbeats(beats))
    }

    async fn try_expire(&self, limit: u32) -> Result<u32, StoreError> {
        let removed = self.run(sqlx::query(sql::EXPIRE).bind(i64::from(limit))).await?;
        let removed = u32::try_from(removed).unwrap_or(limit);
        if removed < limit {
            self.run(sqlx::query(sql::FORGET_OWNERS)).await?;
        }
        Ok(removed)
    }

    async fn run(&self, query: Query<'_>) -> Result<u64, StoreError> {
        let done = query.execute(&self.pool).await.map_err(|error| failed(&error))?;
        Ok(done.rows_affected())
    }

    async fn wait(&self, id: &RecordId) {
        let Some(listener) = &self.listener else { return tokio::time::sleep(POLL).await };
        let waiter = listener.wait_for(id, &self.pool);
        let mut notified = std::pin::pin!(waiter.notified());
        notified.as_mut().enable();
        // The record may have changed before the listener knew of this wait.
        let longest = if listener.is_announced() {
            match sqlx::query(sql::IS_BEGUN)
                .bind(&id.scope)
                .bind(&id.key)
                .fetch_optional(&self.pool)
                .await
            {
                Ok(None) => return,
                Ok(Some(_)) => LONGEST_WAIT,
                Err(_) => POLL,
            }
        } else {
            POLL
        };
        let _ = tokio::time::timeout(longest, notified).await;
    }
}

type Query<'q> = sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments>;

/// Returns the statement that stores an answer. The statement returns a row if the claim held the record.
fn finish<'q>(claim: &'q Claim, answer: &'q StoredAnswer, headers: &'q str) -> Query<'q> {
    sqlx::query(sql::FINISH)
        .bind(&claim.id.scope)
        .bind(&claim.id.key)
        .bind(&claim.owner)
        .bind(row::epoch(claim))
        .bind(i16::try_from(answer.status()).unwrap_or_default())
        .bind(headers)
        .bind(&answer.body()[..])
        .bind(row::keep_ms(claim.keep))
}

fn one(rows: Result<Vec<PgRow>, sqlx::Error>) -> Result<Option<i64>, sqlx::Error> {
    rows?.first().map(|row| row.try_get(0)).transpose()
}

fn columns(row: &PgRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        fingerprint: row.try_get(0)?,
        owner: row.try_get(1)?,
        epoch: row.try_get(2)?,
        runs_again: row.try_get(3)?,
        keep_ms: row.try_get(4)?,
        status: row.try_get::<Option<i16>, _>(5)?.map(i64::from),
        headers: row.try_get(6)?,
        body: row.try_get(7)?,
    })
}

impl Store for PostgresStore {
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

    fn changed<'a>(&'a self, id: &'a RecordId) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.wait(id))
    }
}

impl Sealed for PgConnection {}

impl Sealed for Transaction<'_, Postgres> {}

impl AnswerTransaction for PgConnection {
    fn store_answer<'a>(&'a mut self, claim: &'a Claim, answer: &'a StoredAnswer) -> Storing<'a> {
        Box::pin(async move {
            let headers = answer.headers_as_text();
            if one(finish(claim, answer, &headers).fetch_all(&mut *self).await)?.is_some() {
                return Ok(true);
            }
            let depth = PgTransactionManager::get_transaction_depth(self);
            // A statement that fails here makes the server refuse to commit as well.
            drop(sqlx::raw_sql(lost::fail_commit(depth)).execute(self).await);
            Ok(false)
        })
    }
}

impl AnswerTransaction for Transaction<'_, Postgres> {
    fn store_answer<'a>(&'a mut self, claim: &'a Claim, answer: &'a StoredAnswer) -> Storing<'a> {
        (**self).store_answer(claim, answer)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
