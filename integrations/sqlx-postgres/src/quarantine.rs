//! The quarantine, in which a connection waits after its work was cut.
//!
//! Invariants:
//!
//! 1. A connection returns to the pool only after the backend has answered the cut statement, every cancel request
//!    has been acknowledged, and no transaction is open, because its next user must not see any of them.
//! 2. In every other case the connection is closed, because `Drop` takes it out of the pool.
//! 3. The compensations of the cut request wait until the backend has answered, whether the connection returns or
//!    not, because the statement may land until then.
//! 4. No query is sent before all cancel requests are acknowledged, because a late one would cancel it. The answer
//!    of `pg_cancel_backend` is the acknowledgement, because the server sends it after the signal.

use std::{pin::pin, sync::Arc, time::Duration};

use followthrough::integration::{
    CompensationHold, Escaped, FIRST_PAUSE, LONGEST_PAUSE, STRAY_STATEMENTS, Settled, settle,
};
use sqlx::{
    Connection, Error, PgConnection, PgPool, Postgres, Row, pool::PoolConnection,
    postgres::PgTransactionManager,
};
use sqlx_core::transaction::TransactionManager;
use tokio::{runtime::Handle, time};
use tracing::Instrument;

use super::client::roll_back;

/// The state that all connections of a pool share.
pub(super) struct Shared {
    /// The connections for cancel requests.
    pub(super) control: PgPool,
    pub(super) timeout: Duration,
}

/// The treatment of the work that was cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Cancelled,
    /// Waits for a commit or a rollback, for at most `timeout`.
    Awaited,
    /// Waits for durable work, without a limit.
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

    /// Spawns the task that waits. A runtime that has ended drops the task and closes the connection.
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

    /// Waits for the backend. Returns whether the connection may be used again.
    async fn is_quiet(&mut self, cut: Cut) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let acknowledged = match cut {
            Cut::Cancelled => cancel(connection, self.backend, &self.shared.control).await,
            Cut::Awaited | Cut::AwaitedForEver => answered(connection).await.is_ok(),
        };
        acknowledged && clean(connection, self.in_transaction).await.unwrap_or(false)
    }
}

/// Sends cancel requests until the backend has answered. Returns false if the connection is lost or a signal may
/// still come.
async fn cancel(connection: &mut PgConnection, backend: i32, control: &PgPool) -> bool {
    let mut answered = pin!(answered(connection));
    let mut pause = FIRST_PAUSE;
    loop {
        let request = sqlx::query("SELECT pg_cancel_backend($1)").bind(backend);
        if let Err(error) = request.execute(control).await {
            tracing::warn!(target: "followthrough", "a cancel request failed: {}", Escaped(error));
            let _ = answered.await;
            return false;
        }
        if let Ok(answered) = time::timeout(pause, &mut answered).await {
            return answered.is_ok();
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits until the backend is ready for a query. A database error counts as an answer.
async fn answered(connection: &mut PgConnection) -> Result<(), Error> {
    loop {
        match connection.ping().await {
            Err(Error::Database(_)) => {}
            other => return other,
        }
    }
}

/// Ends an open transaction. Returns false if the connection is not clean: sqlx counts a transaction, or too many
/// stray statements have piled up.
async fn clean(connection: &mut PgConnection, in_transaction: bool) -> Result<bool, Error> {
    if in_transaction {
        roll_back(connection).await?;
    }
    // After a cut commit sqlx still counts the transaction, and only a needless ROLLBACK would correct that.
    if PgTransactionManager::get_transaction_depth(connection) > 0 {
        return Ok(false);
    }
    // `now()` is the time of a transaction's first statement, so it shows a transaction that was begun by hand. An
    // unconditional ROLLBACK would leave a warning in the server's log.
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
