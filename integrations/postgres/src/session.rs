//! A connection that runs one statement at a time.

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use deadpool_postgres::{
    Client as Object, ClientWrapper,
    tokio_postgres::{Error as PgError, Row, Statement, ToStatement, types::ToSql},
};
use followthrough::Outcome;
use tokio::runtime::Handle;

use super::{
    CancelOn,
    error::Error,
    quarantine::{Cut, Quarantine, Shared},
};

/// The statements of a [`Client`](super::Client) or a [`Transaction`](super::Transaction).
///
/// Each statement borrows the connection mutably, because a cancel request applies to the backend, which must run
/// only the statement that was cut.
///
/// # Cancel safety
///
/// Dropping the future of a statement cancels the statement on the server, unless the session
/// [follows](Self::follow) a `DurableToken`. In both cases the session is spent: further calls return an error,
/// and the connection returns to its pool once the backend has answered.
///
/// # Errors
///
/// Every statement returns an [`Error`] if the server refuses it, the connection is lost, the token fires, or an
/// earlier future was cut. A statement under a token that has fired is not sent.
///
/// # Examples
///
/// ```no_run
/// use followthrough::DurableToken;
/// use followthrough_postgres::{Error, Pool};
///
/// async fn pay(pool: &Pool, order: i64, token: &DurableToken) -> Result<(), Error> {
///     let mut client = pool.get().await?;
///     client.follow(token);
///     let mut transaction = client.transaction().await?;
///     transaction.execute("UPDATE orders SET paid = true WHERE id = $1", &[&order]).await?;
///     transaction.execute("INSERT INTO payments VALUES ($1)", &[&order]).await?;
///     transaction.commit().await
/// }
/// ```
pub struct Session {
    pub(super) object: Option<Object>,
    pub(super) shared: Arc<Shared>,
    pub(super) runtime: Handle,
    pub(super) follow: CancelOn,
    pub(super) in_transaction: bool,
}

impl Session {
    /// Follows a token from here on. When the token fires, the running statement is cancelled on the server and
    /// its future returns an [`Error`]. No further statement begins.
    ///
    /// Under a [`DurableToken`](followthrough::DurableToken) no statement is cancelled: a statement whose future
    /// is dropped runs to its end, and the connection waits for it.
    pub fn follow(&mut self, token: impl Into<CancelOn>) -> &mut Self {
        self.follow = token.into();
        self
    }

    /// As `tokio_postgres::Client::query`.
    ///
    /// # Errors
    ///
    /// The same as those of every statement, see [`Session`].
    pub async fn query<T>(
        &mut self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error>
    where
        T: ?Sized + ToStatement,
    {
        let lease = self.lease()?;
        let result = lease.wait(lease.object()?.query(statement, params)).await;
        lease.judge(result)
    }

    /// As `tokio_postgres::Client::query_one`.
    ///
    /// # Errors
    ///
    /// The same as those of every statement, see [`Session`].
    pub async fn query_one<T>(
        &mut self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error>
    where
        T: ?Sized + ToStatement,
    {
        let lease = self.lease()?;
        let result = lease.wait(lease.object()?.query_one(statement, params)).await;
        lease.judge(result)
    }

    /// As `tokio_postgres::Client::query_opt`.
    ///
    /// # Errors
    ///
    /// The same as those of every statement, see [`Session`].
    pub async fn query_opt<T>(
        &mut self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error>
    where
        T: ?Sized + ToStatement,
    {
        let lease = self.lease()?;
        let result = lease.wait(lease.object()?.query_opt(statement, params)).await;
        lease.judge(result)
    }

    /// As `tokio_postgres::Client::execute`.
    ///
    /// # Errors
    ///
    /// The same as those of every statement, see [`Session`].
    pub async fn execute<T>(
        &mut self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error>
    where
        T: ?Sized + ToStatement,
    {
        let lease = self.lease()?;
        let result = lease.wait(lease.object()?.execute(statement, params)).await;
        lease.judge(result)
    }

    /// As `tokio_postgres::Client::batch_execute`.
    ///
    /// # Errors
    ///
    /// The same as those of every statement, see [`Session`].
    pub async fn batch_execute(&mut self, statements: &str) -> Result<(), Error> {
        let lease = self.lease()?;
        let result = lease.wait(lease.object()?.batch_execute(statements)).await;
        lease.end(result)
    }

    /// As `deadpool_postgres::ClientWrapper::prepare_cached`.
    ///
    /// # Errors
    ///
    /// The same as those of every statement, see [`Session`].
    pub async fn prepare_cached(&mut self, statement: &str) -> Result<Statement, Error> {
        let lease = self.lease()?;
        let result = lease.wait(lease.object()?.prepare_cached(statement)).await;
        lease.judge(result)
    }

    /// Runs other work on the connection as one statement: `COPY`, streams of rows, several pipelined queries.
    /// Unanswered queries count as cut only if the future of `run` is dropped, not if `work` returns. So put a
    /// timeout around `run`, and not into `work`.
    ///
    /// # Errors
    ///
    /// The same as those of every statement, see [`Session`], with [`Outcome::Unknown`] outside a transaction,
    /// because some of the work may have landed.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut ClientWrapper) -> Result<T, PgError>,
    ) -> Result<T, Error> {
        let lease = self.lease()?;
        let follow = lease.session.follow.clone();
        let object = lease.session.object.as_mut().ok_or(Error::SPENT)?;
        let result = follow.until(work(object)).await;
        lease.end(result)
    }

    pub(super) fn lease(&mut self) -> Result<Lease<'_>, Error> {
        if self.object.is_some() && self.follow.is_cancelled() {
            return Err(Error::NOT_SENT);
        }
        Lease::of(self)
    }

    /// Sends a ROLLBACK behind all earlier messages without waiting for its answer. The next user's statements are
    /// sent after it.
    pub(super) fn roll_back_behind(&mut self) {
        self.in_transaction = false;
        if let Some(object) = &self.object {
            // The first poll sends the message.
            let rollback = pin!(object.simple_query_raw("ROLLBACK"));
            let _ = rollback.poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("spent", &self.object.is_none())
            .field("follow", &self.follow)
            .field("in_transaction", &self.in_transaction)
            .finish_non_exhaustive()
    }
}

/// A statement in flight. Dropping it moves the connection from its session into quarantine.
pub(super) struct Lease<'s> {
    session: &'s mut Session,
    armed: bool,
}

impl<'s> Lease<'s> {
    /// Makes a lease without looking at the token.
    pub(super) fn of(session: &'s mut Session) -> Result<Self, Error> {
        if session.object.is_none() {
            return Err(Error::SPENT);
        }
        Ok(Self { session, armed: true })
    }

    pub(super) fn in_transaction(self) -> Self {
        self.session.in_transaction = true;
        self
    }

    pub(super) fn object(&self) -> Result<&Object, Error> {
        self.session.object.as_ref().ok_or(Error::SPENT)
    }

    pub(super) async fn wait<F: Future>(&self, future: F) -> Option<F::Output> {
        self.session.follow.until(future).await
    }

    /// Returns the result of a single statement. The server's error may prove the outcome.
    fn judge<T>(self, result: Option<Result<T, PgError>>) -> Result<T, Error> {
        let in_transaction = self.session.in_transaction;
        self.end_with(result, |error| {
            if in_transaction {
                Error::postgres(error, Outcome::NotBegun)
            } else {
                Error::judged(error)
            }
        })
    }

    /// Returns the result of several statements, of which some may have landed.
    pub(super) fn end<T>(self, result: Option<Result<T, PgError>>) -> Result<T, Error> {
        let outcome = self.outcome();
        self.end_with(result, |error| Error::postgres(error, outcome))
    }

    fn end_with<T>(
        mut self,
        result: Option<Result<T, PgError>>,
        judge: impl FnOnce(PgError) -> Error,
    ) -> Result<T, Error> {
        let Some(result) = result else { return Err(Error::cancelled(self.outcome())) };
        self.armed = false;
        result.map_err(judge)
    }

    const fn outcome(&self) -> Outcome {
        if self.session.in_transaction { Outcome::NotBegun } else { Outcome::Unknown }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let outcome = self.outcome().as_str();
        let session = &mut *self.session;
        let Some(object) = session.object.take() else { return };
        let (cut, fate) = if session.follow.is_durable() {
            (Cut::Durable, "it runs to its end")
        } else {
            (Cut::Statement, "it is cancelled on the server")
        };
        tracing::debug!(target: "followthrough", outcome, "a query was cut: {fate}");
        let quarantine = Quarantine::new(object, session.shared.clone(), session.in_transaction);
        quarantine.begin(cut, &session.runtime);
    }
}
