//! Where a connection waits after its query was cut.
//!
//! Invariants:
//!
//! 1. A connection goes back to the pool only when the backend has answered what was cut, every
//!    cancel request has been acknowledged, and no transaction is open on it.
//! 2. Whatever else happens to a quarantine, its own end included, closes the connection.
//! 3. The compensations of the request that was cut wait until the backend has answered, whether the
//!    connection goes back or not.
//! 4. Nothing is sent that a cancel request could hit, until all of them are acknowledged: the Sync
//!    behind the query is no query.

use std::{pin::pin, sync::Arc, time::Duration};

use deadpool_postgres::{
    Client as Object,
    tokio_postgres::{Client, Error, SimpleQueryMessage, error::SqlState},
};
use followthrough::integration::{
    CompensationHold, FIRST_PAUSE, LONGEST_PAUSE, STRAY_STATEMENTS, Settled, settle,
};
use tokio::{runtime::Handle, time};
use tracing::Instrument;

use super::{cancel::Cancel, commit::Answer, error::is_undone};

/// What all connections of a pool share.
pub(super) struct Shared {
    pub(super) cancel: Arc<dyn Cancel>,
    pub(super) timeout: Duration,
}

/// What the connection was doing.
pub(super) enum Cut {
    /// A statement that is cancelled.
    Statement,
    /// A statement that runs to its end.
    Durable,
    /// A commit, which nobody can take back.
    Commit(Answer),
}

pub(super) struct Quarantine {
    object: Option<Object>,
    shared: Arc<Shared>,
    in_transaction: bool,
    held_back: Option<CompensationHold>,
}

impl Quarantine {
    pub(super) fn new(object: Object, shared: Arc<Shared>, in_transaction: bool) -> Self {
        let held_back = Some(CompensationHold::register());
        Self { object: Some(object), shared, in_transaction, held_back }
    }

    /// Begins. A runtime that has ended drops the task, and the connection with it.
    pub(super) fn begin(self, cut: Cut, runtime: &Handle) {
        drop(runtime.spawn(self.run(cut).in_current_span()));
    }

    async fn run(mut self, cut: Cut) {
        let timeout = match cut {
            Cut::Durable => Duration::MAX,
            Cut::Statement | Cut::Commit(_) => self.shared.timeout,
        };
        match settle(timeout, self.is_quiet(cut)).await {
            Settled::Quiet => drop(self.object.take()), // back into the pool
            Settled::Replaced => {}
            Settled::Unanswered => {
                if let (Some(object), Some(held_back)) = (self.object.take(), self.held_back.take())
                {
                    let client = Object::take(object); // out of the pool, which has room again
                    held_back.until(client.check_connection()).await;
                }
            }
        }
    }

    /// Waits for the backend; `false` if the connection is not to be used again.
    async fn is_quiet(&mut self, cut: Cut) -> bool {
        let Some(object) = &self.object else { return false };
        let acknowledged = match cut {
            Cut::Statement => self.cancel(object).await,
            Cut::Durable => {
                let _ = object.check_connection().await;
                true
            }
            Cut::Commit(answer) => {
                // The SELECT in front of the COMMIT makes success certain, see `commit`.
                match answer.await_end().await {
                    Ok(()) => tracing::info!(
                        target: "followthrough",
                        "the commit that was cut has landed"
                    ),
                    Err(error) => report(&error),
                }
                true
            }
        };
        acknowledged && !object.is_closed() && self.clean(object).await.unwrap_or(false)
    }

    /// Cancels until the Sync behind the query is answered; `false` if a signal may still come.
    async fn cancel(&self, client: &Client) -> bool {
        let mut answered = pin!(client.check_connection());
        let mut pause = FIRST_PAUSE;
        loop {
            if let Err(error) = self.shared.cancel.send(client.cancel_token()).await {
                tracing::warn!(target: "followthrough", "a cancel request failed: {error}");
                let _ = answered.await;
                return false;
            }
            // An error is an answer: the cancel request hit the Sync itself.
            if time::timeout(pause, &mut answered).await.is_ok() {
                return true;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Ends a transaction that is open; `false` if too much has piled up.
    async fn clean(&self, client: &Object) -> Result<bool, Error> {
        if self.in_transaction {
            client.batch_execute("ROLLBACK").await?;
        }
        // In a transaction that was begun by hand, `now()` is the time of its first statement. A
        // ROLLBACK to be sure would leave a warning in the server's log.
        let look = "SELECT now() = statement_timestamp(), \
                    (SELECT count(*) FROM pg_catalog.pg_prepared_statements)";
        let messages = match client.simple_query(look).await {
            Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => {
                client.batch_execute("ROLLBACK").await?;
                client.simple_query(look).await?
            }
            other => other?,
        };
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let Some(row) = row else { return Ok(false) };
        if row.get(0) != Some("t") {
            client.batch_execute("ROLLBACK").await?;
        }
        let known = client.statement_cache.size() + STRAY_STATEMENTS;
        let prepared = row.get(1).and_then(|count| count.parse::<usize>().ok());
        Ok(prepared.is_some_and(|prepared| prepared <= known))
    }
}

fn report(error: &Error) {
    if error.as_db_error().is_some_and(is_undone) {
        tracing::info!(target: "followthrough", "the commit that was cut was refused: {error}");
    } else {
        tracing::warn!(
            target: "followthrough",
            outcome = "unknown",
            "the commit that was cut was never answered: {error}"
        );
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object)); // out of the pool, and closed
        }
    }
}
