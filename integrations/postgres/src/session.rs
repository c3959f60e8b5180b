//! One connection, one statement at a time.

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
/// They borrow the connection mutably: a cancel request is aimed at the backend, and must find
/// there the one statement that it is meant for.
///
/// # Cancel safety
///
/// A future of a statement that is dropped while it waits has its statement cancelled on the
/// server, unless the session [follows](Self::follow) a `DurableToken`. Either way this session is
/// spent: what is called on it next gives an error, and the connection is back in its pool once the
/// backend has answered.
///
/// # Errors
///
/// Every statement gives an [`Error`] if the server refuses it, the connection is lost, the token
/// fires, or an earlier future was cut. A statement that follows a fired token is not sent.
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
    /// Follows a token from here on: when it fires, the statement that runs is cancelled on the
    /// server and its future gives an [`Error`]; no further one begins.
    ///
    /// Under a [`DurableToken`](followthrough::DurableToken) nothing is cancelled: a statement whose future
    /// is dropped runs to its end, and the connection waits for it.
    pub fn follow(&mut self, token: impl Into<CancelOn>) -> &mut Self {
        self.follow = token.into();
        self
    }

    /// As `tokio_postgres::Client::query`.
    ///
    /// # Errors
    ///
    /// As every statement, see [`Session`].
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
    /// As every statement, see [`Session`].
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
    /// As every statement, see [`Session`].
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
    /// As every statement, see [`Session`].
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
    /// As every statement, see [`Session`].
    pub async fn batch_execute(&mut self, statements: &str) -> Result<(), Error> {
        let lease = self.lease()?;
        let result = lease.wait(lease.object()?.batch_execute(statements)).await;
        lease.end(result)
    }

    /// As `deadpool_postgres::ClientWrapper::prepare_cached`.
    ///
    /// # Errors
    ///
    /// As every statement, see [`Session`].
    pub async fn prepare_cached(&mut self, statement: &str) -> Result<Statement, Error> {
        let lease = self.lease()?;
        let result = lease.wait(lease.object()?.prepare_cached(statement)).await;
        lease.judge(result)
    }

    /// Does anything else with the connection, as one statement: `COPY`, streams of rows, several
    /// queries in a pipeline. What is unanswered when `work` ends or is dropped counts as cut only
    /// in the second case, so put a time-out around `run` and not into it.
    ///
    /// # Errors
    ///
    /// As every statement, see [`Session`]; with [`Outcome::Unknown`] outside of a transaction, since
    /// some of the work may have landed.
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

    /// Sends a ROLLBACK behind everything else, and does not wait for its answer: whoever has the
    /// connection next comes after it.
    pub(super) fn roll_back_behind(&mut self) {
        self.in_transaction = false;
        if let Some(object) = &self.object {
            // The first poll sends it.
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

/// A statement under way; dropped, it takes the connection from its session into quarantine.
pub(super) struct Lease<'s> {
    session: &'s mut Session,
    armed: bool,
}

impl<'s> Lease<'s> {
    /// A lease whatever has fired.
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

    /// The result of a single statement, whose error the server's answer may decide.
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

    /// The result of several, of which some may have landed.
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
