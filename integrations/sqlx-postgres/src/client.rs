//! One connection, one piece of work at a time.

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

/// A connection of a [`Pool`](super::Pool). Dropped, it goes back.
///
/// # Cancel safety
///
/// If the future of its work is dropped while it waits, the statement that runs is cancelled on the
/// server, unless the client [follows](Self::follow) a `DurableToken`. Either way the client is
/// spent: what is called on it next gives an error, and the connection is back in its pool once the
/// backend has answered.
pub struct Client {
    pub(super) connection: Option<PoolConnection<Postgres>>,
    pub(super) backend: i32,
    pub(super) shared: Arc<Shared>,
    pub(super) runtime: Handle,
    pub(super) follow: CancelOn,
    /// Also when it was dropped, and nobody has rolled it back so far.
    pub(super) in_transaction: bool,
    /// The transaction has the deadline of a request as its `statement_timeout`.
    pub(super) limited: bool,
}

impl Client {
    /// Follows a token from here on: when it fires, the statement that runs is cancelled on the
    /// server and its future gives an [`Error`]; no further one begins. Its deadline is the
    /// `statement_timeout` of transactions that begin.
    ///
    /// Under a [`DurableToken`](followthrough::DurableToken) nothing is cancelled: work whose future is
    /// dropped ends with the statement that runs, and the connection waits for it.
    pub fn follow(&mut self, token: impl Into<CancelOn>) -> &mut Self {
        self.follow = token.into();
        self
    }

    /// Does something with the connection. Put a time-out around it and not into it: what is
    /// dropped within `work` is not seen.
    ///
    /// # Errors
    ///
    /// What `work` gives, the token that fired, or that earlier work was cut. Outside of a
    /// transaction the outcome is [`Outcome::Unknown`], since some of it may have landed.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        if self.in_transaction {
            self.roll_back().await?;
        }
        self.work(work).await
    }

    /// Begins a transaction. If the token has a deadline, the server keeps to it, too: what remains
    /// becomes the local `statement_timeout`, unless there is a shorter one, so that no statement runs
    /// longer than was left at the begin. Past the request's point of no return, and under a
    /// `DurableToken`, that limit is lifted.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// As the client; nothing stays open.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        if self.in_transaction {
            self.roll_back().await?;
        }
        if self.connection.is_some() && self.follow.is_cancelled() {
            return Err(Error::NOT_SENT);
        }
        let left = self.follow.remaining();
        let begin = match left {
            // Zero would mean no limit at all.
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
            // sqlx has to know of it, or a `begin` within would be one of its own.
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

    /// Whatever has fired: it is what a cancelled transaction needs.
    async fn roll_back(&mut self) -> Result<(), Error> {
        let mut lease = Lease { client: self, cut: Some(Cut::Awaited) };
        let rolled_back = roll_back(lease.connection()?).await;
        lease.cut = None;
        lease.client.in_transaction = false;
        rolled_back.map_err(|error| Error::sqlx(error, Outcome::NotBegun))?;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        // In a transaction in which a statement has failed, PostgreSQL answers COMMIT with success
        // and rolls back; SELECT fails there.
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
                    // More than one if somebody forgot a transaction within.
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
            // The server has ended it; sqlx has to be told.
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

/// Work under way; dropped, it takes the connection from its client into quarantine.
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

/// Rolls back what sqlx knows of, or else what the server may know of.
pub(super) async fn roll_back(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if PgTransactionManager::get_transaction_depth(connection) == 0 {
        return sqlx::raw_sql("ROLLBACK").execute(connection).await.map(drop);
    }
    while PgTransactionManager::get_transaction_depth(connection) > 0 {
        PgTransactionManager::rollback(connection).await?;
    }
    Ok(())
}

/// A commit under way.
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
/// Dropped before its commit was sent, it is rolled back. From then on nobody can take it back: a
/// commit whose future is dropped is logged as WARN with `outcome="unknown"`.
#[derive(Debug)]
#[must_use = "dropped without `commit`, it is rolled back"]
pub struct Transaction<'c> {
    client: &'c mut Client,
}

impl Transaction<'_> {
    /// Does something within the transaction, as [`Client::run`]. A `begin` of sqlx's within is a
    /// savepoint; a COMMIT or ROLLBACK that `work` writes by hand ends the transaction unseen.
    ///
    /// # Errors
    ///
    /// As [`Client::run`]; the outcome is [`Outcome::NotBegun`], since nothing is committed.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        self.client.work(work).await
    }

    /// Follows a token, as [`Client::follow`].
    pub fn follow(&mut self, token: impl Into<CancelOn>) -> &mut Self {
        self.client.follow = token.into();
        self
    }

    /// Commits. `Ok` means that the transaction has landed.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] says what is known: [`Outcome::NotBegun`] if the transaction has certainly
    /// not landed, [`Outcome::Unknown`] if the token fired or the connection was lost before the
    /// answer came.
    ///
    /// # Cancel safety
    ///
    /// A COMMIT that was sent is not cancelled on the server. If the future is dropped then, the
    /// log says that its outcome is unknown.
    pub async fn commit(self) -> Result<(), Error> {
        self.client.commit().await
    }

    /// Rolls back, and waits for the answer. A transaction that is dropped is rolled back when its
    /// client is used again, or dropped.
    ///
    /// # Errors
    ///
    /// If the connection is lost, which rolls back, too.
    pub async fn rollback(self) -> Result<(), Error> {
        self.client.roll_back().await
    }
}
