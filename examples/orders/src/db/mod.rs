//! The database: embedded `SQLite`, in a file or in memory.
//!
//! Writes have a pool of eight connections, and `SQLite` lets one of them write at a time; the others
//! wait for its lock. A `hold` that is dropped during its statement may get that lock after the
//! `release` that undoes it. So a release leaves a row under the hold's key, with which a late hold
//! conflicts.

mod holds;
mod open;
mod orders;
mod report;
mod stock;
mod transfers;

use std::time::Duration;

use followthrough_outbox::SqliteOutbox;
use sqlx::{Sqlite, SqlitePool, Transaction};

pub(crate) use open::{Location, OpenError, open_outbox};
pub(crate) use orders::{Bill, Order};
pub(crate) use report::Report;
pub(crate) use stock::Item;

/// The service's database; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Db {
    reads: SqlitePool,
    writes: SqlitePool,
    slow: Duration,
}

impl Db {
    /// Runs one statement, after the latency that `--slow` asks for.
    async fn run<T>(&self, statement: impl Future<Output = T>) -> T {
        if !self.slow.is_zero() {
            tokio::time::sleep(self.slow).await;
        }
        statement.await
    }

    /// Begins a transaction that may write. Dropping it before its commit rolls it back.
    async fn begin(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.run(self.writes.begin_with("BEGIN IMMEDIATE")).await
    }

    /// Returns the outbox, whose messages commit with the writes of this database.
    pub(crate) fn outbox(&self) -> SqliteOutbox {
        SqliteOutbox::new(self.writes.clone())
    }

    /// Returns how many connections are running a read.
    pub(crate) fn busy_reads(&self) -> usize {
        self.reads.size() as usize - self.reads.num_idle()
    }
}
