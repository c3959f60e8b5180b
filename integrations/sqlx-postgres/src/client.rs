//! A connection that runs one piece of work at a time.

use std::{fmt, mem, sync::Arc};

use followthrough::{Outcome, integration::CancelOn};
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, SqlSafeStr, pool::PoolConnection,
    postgres::PgTransactionManager,
};
use sqlx_core::transaction::TransactionManager;
use tokio::runtime::Handle;

use super::{
    error::Error,
    quarantine::{Cut, Quarantine, Shared},
};

/// A connection of a [`Pool`](super::Pool). Dropping it returns the connection to the pool.
///
/// # Cancel safety
///
/// Dropping the future of its work cancels the running statement on the server, unless the client
/// [follows](Self::follow) a `DurableToken`. In both cases the client is spent: further calls return an error, and
/// the connection returns to its pool once the backend has answered.
pub struct Client {
    pub(super) connection: Option<PoolConnection<Postgres>>,
    pub(super) backend: i32,
    pub(super) shared: Arc<Shared>,
    pub(super) runtime: Handle,
    pub(super) follow: CancelOn,
    /// A transaction may be open, also one that was dropped and not rolled back yet.
    pub(super) in_transaction: bool,
    /// The transaction has the deadline of a request as its `statement_timeout`.
    pub(super) limited: bool,
}

impl Client {
    /// Follows a token from here on. When the token fires, the running statement is cancelled on the server and
    /// its future returns an [`Error`]. No further statement begins. The token's deadline is the
    /// `statement_timeout` of new transactions.
    ///
    /// Under a [`DurableToken`](followthrough::DurableToken) no statement is cancelled: work whose future is
    /// dropped ends after the running statement, and the connection waits for that.
    pub fn follow(&mut self, token: impl Into<CancelOn>) -> &mut Self {
        self.follow = token.into();
        self
    }

    /// Runs work on the connection. Put a timeout around `run` and not into `work`, because a future that is
    /// dropped inside `work` is not noticed.
    ///
    /// # Errors
    ///
    /// Returns the error of `work`, or an error if the token fired or earlier work was cut. Outside a transaction
    /// the outcome is [`Outcome::Unknown`], because some of the work may have landed.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        if self.in_transaction {
            self.roll_back().await?;
        }
        self.work(work).await
    }

    /// Begins a transaction. If the token has a deadline, the server enforces it as well: the remaining time
    /// becomes the local `statement_timeout`, unless that is shorter already. So no statement runs longer than the
    /// time that was left at the BEGIN. Past the request's point of no return, and under a `DurableToken`, that
    /// limit is lifted.
    ///
    /// # Errors
    ///
    /// The same as those of [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// The same as that of the client. No transaction stays open.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        if self.in_transaction {
            self.roll_back().await?;
        }
        if self.connection.is_some() && self.follow.is_cancelled() {
            return Err(Error::NOT_SENT);
        }
        let left = self.follow.remaining();
        let begin = match left {
            // Zero would mean no limit.
            Some(left) => {
                let left = left.as_millis().clamp(1, 2_147_483_647);
                format!(
                    "BEGIN; SELECT set_config('statement_timeout', \
                     CASE WHEN setting::bigint BETWEEN 1 AND {left} THEN setting ELSE '{left}' END, true) \
                     FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'"
                )
            }
            None => "BEGIN".to_owned(),
        };
        (self.in_transaction, self.limited) = (true, false);
        self.work(async move |connection: &mut PgConnection| {
            // sqlx has to know of the transaction, or a nested `begin` would send BEGIN instead of SAVEPOINT.
            let begin = AssertSqlSafe(begin).into_sql_str();
            PgTransactionManager::begin(connection, Some(begin)).await
        })
        .await?;
        self.limited = left.is_some();
        Ok(Transaction { client: self })
    }

    async fn work<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        if self.connection.is_some() && self.follow.is_cancelled() {
            return Err(Error::NOT_SENT);
        }
        let (outcome, follow) = (self.outcome(), self.follow.clone());
        let durable = follow.is_durable();
        let cut = if durable { Cut::AwaitedForEver } else { Cut::Cancelled };
        let lifts = self.in_transaction && durable && mem::take(&mut self.limited);
        let mut lease = Lease { client: self, cut: Some(cut) };
        let connection = lease.connection()?;
        let work = async {
            if lifts {
                sqlx::raw_sql("SET LOCAL statement_timeout TO DEFAULT")
                    .execute(&mut *connection)
                    .await?;
            }
            work(connection).await
        };
        let Some(result) = follow.until(work).await else {
            return Err(Error::cancelled(outcome));
        };
        lease.cut = None;
        result.map_err(|error| Error::sqlx(error, outcome))
    }

    /// Rolls back, also if the token has fired, because a cancelled transaction needs the rollback.
    async fn roll_back(&mut self) -> Result<(), Error> {
        let mut lease = Lease { client: self, cut: Some(Cut::Awaited) };
        let rolled_back = roll_back(lease.connection()?).await;
        lease.cut = None;
        lease.client.in_transaction = false;
        rolled_back.map_err(|error| Error::sqlx(error, Outcome::NotBegun))?;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        // If a statement of the transaction has failed, PostgreSQL answers COMMIT with success and rolls back. A
        // SELECT fails in such a transaction.
        self.work(async |connection: &mut PgConnection| {
            sqlx::raw_sql("SELECT").execute(connection).await
        })
        .await?;
        if self.follow.is_cancelled() {
            return Err(Error::NOT_SENT);
        }
        let follow = self.follow.clone();
        let mut lease = Lease { client: self, cut: Some(Cut::Awaited) };
        lease.connection()?;
        lease.client.in_transaction = false;
        let mut commit = Commit(Some(lease));
        let ended = {
            let lease = commit.0.as_mut().ok_or(Error::SPENT)?;
            let connection = lease.connection()?;
            follow
                .until(async {
                    // The depth is more than one if a nested transaction was forgotten.
                    while PgTransactionManager::get_transaction_depth(connection) > 0 {
                        PgTransactionManager::commit(connection).await?;
                    }
                    Ok(())
                })
                .await
        };
        let Some(ended) = ended else { return Err(Error::cancelled(Outcome::Unknown)) };
        if let Some(mut lease) = commit.0.take() {
            lease.cut = None;
            // After a database error the server has ended the transaction, and sqlx still has to roll back.
            lease.client.in_transaction = ended
                .as_ref()
                .err()
                .is_some_and(|error: &sqlx::Error| error.as_database_error().is_some());
        }
        ended.map_err(Error::of_commit)?;
        Ok(())
    }

    const fn outcome(&self) -> Outcome {
        if self.in_transaction { Outcome::NotBegun } else { Outcome::Unknown }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.in_transaction {
            drop(Lease { client: self, cut: Some(Cut::Awaited) });
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("spent", &self.connection.is_none())
            .field("follow", &self.follow)
            .field("in_transaction", &self.in_transaction)
            .finish_non_exhaustive()
    }
}

/// Work in flight. Dropping it moves the connection from its client into quarantine.
struct Lease<'c> {
    client: &'c mut Client,
    cut: Option<Cut>,
}

impl Lease<'_> {
    fn connection(&mut self) -> Result<&mut PgConnection, Error> {
        self.client.connection.as_deref_mut().ok_or(Error::SPENT)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(cut) = self.cut else { return };
        let client = &mut *self.client;
        let Some(connection) = client.connection.take() else { return };
        if cut != Cut::Awaited {
            let fate = if cut == Cut::Cancelled { "is cancelled" } else { "ends" };
            let outcome = client.outcome().as_str();
            tracing::debug!(
                target: "followthrough",
                outcome,
                "a query was cut: it {fate} on the server"
            );
        }
        let (shared, open) = (client.shared.clone(), client.in_transaction);
        Quarantine::new(connection, client.backend, shared, open).begin(cut, &client.runtime);
    }
}

/// Rolls back the transactions that sqlx knows of, or else one that only the server may know of.
pub(super) async fn roll_back(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if PgTransactionManager::get_transaction_depth(connection) == 0 {
        return sqlx::raw_sql("ROLLBACK").execute(connection).await.map(drop);
    }
    while PgTransactionManager::get_transaction_depth(connection) > 0 {
        PgTransactionManager::rollback(connection).await?;
    }
    Ok(())
}

/// A commit in flight.
struct Commit<'c>(Option<Lease<'c>>);

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        if self.0.is_some() {
            tracing::warn!(
                target: "followthrough",
                outcome = Outcome::Unknown.as_str(),
                "a commit was cut while it was under way: it may have landed"
            );
        }
    }
}

/// A transaction, begun by [`Client::transaction`].
///
/// A transaction that is dropped before its commit was sent is rolled back. A commit that was sent cannot be
/// undone: if its future is dropped, it is logged at WARN with `outcome="unknown"`.
#[derive(Debug)]
#[must_use = "a transaction that is dropped without `commit` is rolled back"]
pub struct Transaction<'c> {
    client: &'c mut Client,
}

impl Transaction<'_> {
    /// Runs work inside the transaction, like [`Client::run`]. A nested `begin` of sqlx is a savepoint. A COMMIT
    /// or ROLLBACK that `work` sends as SQL text ends the transaction unnoticed.
    ///
    /// # Errors
    ///
    /// The same as those of [`Client::run`]. The outcome is [`Outcome::NotBegun`], because no work is committed.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        self.client.work(work).await
    }

    /// Follows a token, like [`Client::follow`].
    pub fn follow(&mut self, token: impl Into<CancelOn>) -> &mut Self {
        self.client.follow = token.into();
        self
    }

    /// Commits. `Ok` means that the transaction has landed.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] is [`Outcome::NotBegun`] if the transaction has certainly not landed, and
    /// [`Outcome::Unknown`] if the token fired or the connection was lost before the answer came.
    ///
    /// # Cancel safety
    ///
    /// A COMMIT that was sent is not cancelled on the server. If the future is dropped then, the unknown outcome
    /// is logged.
    pub async fn commit(self) -> Result<(), Error> {
        self.client.commit().await
    }

    /// Rolls back and waits for the answer. A transaction that is dropped is rolled back when its client is used
    /// again or dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is lost, which also rolls back.
    pub async fn rollback(self) -> Result<(), Error> {
        self.client.roll_back().await
    }
}
