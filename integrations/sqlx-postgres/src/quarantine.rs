//! Where a connection waits after its work was cut.
//!
//! The invariants are those of the module `postgres`. `pg_cancel_backend` is answered after the
//! signal was sent, so its answer is the acknowledgement.

use std::{pin::pin, sync::Arc, time::Duration};

use followthrough::integration::{
    CompensationHold, FIRST_PAUSE, LONGEST_PAUSE, STRAY_STATEMENTS, Settled, settle,
};
use sqlx::{
    Connection, Error, PgConnection, PgPool, Postgres, Row, pool::PoolConnection,
    postgres::PgTransactionManager,
};
use sqlx_core::transaction::TransactionManager;
use tokio::{runtime::Handle, time};
use tracing::Instrument;

use super::client::roll_back;

/// What all connections of a pool share.
pub(super) struct Shared {
    /// The connections that the requests are sent on.
    pub(super) control: PgPool,
    pub(super) timeout: Duration,
}

/// What becomes of the work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Cancelled,
    /// A commit, or durable work.
    Awaited,
    /// The same, for as long as it takes.
    AwaitedForEver,
}

pub(super) struct Quarantine {
    connection: Option<PoolConnection<Postgres>>,
    backend: i32,
    shared: Arc<Shared>,
    in_transaction: bool,
    held_back: Option<CompensationHold>,
}

impl Quarantine {
    pub(super) fn new(
        connection: PoolConnection<Postgres>,
        backend: i32,
        shared: Arc<Shared>,
        in_transaction: bool,
    ) -> Self {
        let held_back = Some(CompensationHold::register());
        Self { connection: Some(connection), backend, shared, in_transaction, held_back }
    }

    /// Begins. A runtime that has ended drops the task, and the connection with it.
    pub(super) fn begin(self, cut: Cut, runtime: &Handle) {
        drop(runtime.spawn(self.run(cut).in_current_span()));
    }

    async fn run(mut self, cut: Cut) {
        let timeout = match cut {
            Cut::AwaitedForEver => Duration::MAX,
            Cut::Cancelled | Cut::Awaited => self.shared.timeout,
        };
        match settle(timeout, self.is_quiet(cut)).await {
            Settled::Quiet => drop(self.connection.take()), // back into the pool
            Settled::Replaced => {}
            Settled::Unanswered => {
                if let (Some(connection), Some(held_back)) =
                    (self.connection.take(), self.held_back.take())
                {
                    let mut connection = connection.detach(); // out of the pool, which has room again
                    held_back.until(answered(&mut connection)).await;
                }
            }
        }
    }

    /// Waits for the backend; `false` if the connection is not to be used again.
    async fn is_quiet(&mut self, cut: Cut) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let acknowledged = match cut {
            Cut::Cancelled => cancel(connection, self.backend, &self.shared.control).await,
            Cut::Awaited | Cut::AwaitedForEver => answered(connection).await.is_ok(),
        };
        acknowledged && clean(connection, self.in_transaction).await.unwrap_or(false)
    }
}

/// Cancels until the backend has answered; `false` if it never will, or a signal may still come.
async fn cancel(connection: &mut PgConnection, backend: i32, control: &PgPool) -> bool {
    let mut answered = pin!(answered(connection));
    let mut pause = FIRST_PAUSE;
    loop {
        let request = sqlx::query("SELECT pg_cancel_backend($1)").bind(backend);
        if let Err(error) = request.execute(control).await {
            tracing::warn!(target: "followthrough", "a cancel request failed: {error}");
            let _ = answered.await;
            return false;
        }
        if let Ok(answered) = time::timeout(pause, &mut answered).await {
            return answered.is_ok();
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits until the backend is ready for a query. What it refuses is an answer, too.
async fn answered(connection: &mut PgConnection) -> Result<(), Error> {
    loop {
        match connection.ping().await {
            Err(Error::Database(_)) => {}
            other => return other,
        }
    }
}

/// Ends a transaction that is open; `false` if too much has piled up.
async fn clean(connection: &mut PgConnection, in_transaction: bool) -> Result<bool, Error> {
    if in_transaction {
        roll_back(connection).await?;
    }
    // Of a commit that was cut: only a ROLLBACK, in vain, would tell sqlx that it is over.
    if PgTransactionManager::get_transaction_depth(connection) > 0 {
        return Ok(false);
    }
    // In a transaction that was begun by hand, `now()` is the time of its first statement. A
    // ROLLBACK to be sure would leave a warning in the server's log.
    let look = "SELECT (now() = statement_timestamp())::text, \
                (SELECT count(*) FROM pg_catalog.pg_prepared_statements)::text";
    let row = match sqlx::raw_sql(look).fetch_one(&mut *connection).await {
        Err(Error::Database(error)) if error.code().as_deref() == Some("25P02") => {
            roll_back(connection).await?;
            sqlx::raw_sql(look).fetch_one(&mut *connection).await?
        }
        other => other?,
    };
    if row.try_get::<&str, _>(0)? != "true" {
        roll_back(connection).await?;
    }
    let known = connection.cached_statements_size() + STRAY_STATEMENTS;
    let prepared = row.try_get::<&str, _>(1)?.parse::<usize>();
    Ok(prepared.is_ok_and(|prepared| prepared <= known))
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach()); // out of the pool, and closed
        }
    }
}
