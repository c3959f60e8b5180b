//! The quarantine, in which a connection waits after its query was cut.
//!
//! Invariants:
//!
//! 1. A connection returns to the pool only after the backend has answered the cut statement, every cancel request
//!    has been acknowledged, and no transaction is open, because its next user must not see any of them.
//! 2. In every other case the connection is closed, because `Drop` takes it out of the pool.
//! 3. The compensations of the cut request wait until the backend has answered, whether the connection returns or
//!    not, because the statement may land until then.
//! 4. No query is sent before all cancel requests are acknowledged, because a late one would cancel it. The Sync
//!    message behind the cut query is not a query.

use std::{pin::pin, sync::Arc, time::Duration};

use deadpool_postgres::{
    Client as Object,
    tokio_postgres::{Client, Error, SimpleQueryMessage, error::SqlState},
};
use followthrough::integration::{
    CompensationHold, Escaped, FIRST_PAUSE, LONGEST_PAUSE, STRAY_STATEMENTS, Settled, settle,
};
use tokio::{runtime::Handle, time};
use tracing::Instrument;

use super::{cancel::Cancel, commit::Answer, error::is_undone};

/// The state that all connections of a pool share.
pub(super) struct Shared {
    pub(super) cancel: Arc<dyn Cancel>,
    pub(super) timeout: Duration,
}

/// The work that was cut.
pub(super) enum Cut {
    /// A statement, which is cancelled.
    Statement,
    /// A durable statement, which runs to its end.
    Durable,
    /// A commit, which cannot be cancelled safely.
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

    /// Spawns the task that waits. A runtime that has ended drops the task and closes the connection.
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

    /// Waits for the backend. Returns whether the connection may be used again.
    async fn is_quiet(&mut self, cut: Cut) -> bool {
        let Some(object) = &self.object else { return false };
        let acknowledged = match cut {
            Cut::Statement => self.cancel(object).await,
            Cut::Durable => {
                let _ = object.check_connection().await;
                true
            }
            Cut::Commit(answer) => {
                // The SELECT before the COMMIT proves success, see `commit`.
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

    /// Sends cancel requests until the Sync behind the query is answered. Returns false if a signal may still
    /// come.
    async fn cancel(&self, client: &Client) -> bool {
        let mut answered = pin!(client.check_connection());
        let mut pause = FIRST_PAUSE;
        loop {
            if let Err(error) = self.shared.cancel.send(client.cancel_token()).await {
                tracing::warn!(target: "followthrough", "a cancel request failed: {}", Escaped(error));
                let _ = answered.await;
                return false;
            }
            // An error counts as an answer: the cancel request hit the Sync.
            if time::timeout(pause, &mut answered).await.is_ok() {
                return true;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Ends an open transaction. Returns false if too many stray statements have piled up.
    async fn clean(&self, client: &Object) -> Result<bool, Error> {
        if self.in_transaction {
            client.batch_execute("ROLLBACK").await?;
        }
        // `now()` is the time of a transaction's first statement, so it shows a transaction that was begun by
        // hand. An unconditional ROLLBACK would leave a warning in the server's log.
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
        tracing::info!(target: "followthrough", "the commit that was cut was refused: {}", Escaped(error));
    } else {
        tracing::warn!(
            target: "followthrough",
            outcome = "unknown",
            "the commit that was cut was never answered: {}",
            Escaped(error)
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
