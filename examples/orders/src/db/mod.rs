//! The database: embedded `SQLite`, in a file or in memory.
//!
//! `SQLite` has one writer at a time. So writes have a pool of one connection: they queue in async
//! code, in order of arrival, where waiting costs no thread and can be cancelled. That order is
//! also what makes a compensation safe: `release` runs after the `hold` that it undoes, even when
//! that one was dropped with its statement still under way.

mod holds;
mod open;
mod orders;
mod outbox;
mod report;
mod stock;
mod transfers;

use std::time::Duration;

use sqlx::{Sqlite, SqlitePool, Transaction};

pub(crate) use open::{Location, OpenError};
pub(crate) use orders::{Bill, Order};
pub(crate) use outbox::Letter;
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

    /// Begins a transaction that may write. Dropped before its commit, it is rolled back.
    async fn begin(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.run(self.writes.begin_with("BEGIN IMMEDIATE")).await
    }

    /// How many connections are running a read at this moment.
    pub(crate) fn busy_reads(&self) -> usize {
        self.reads.size() as usize - self.reads.num_idle()
    }
}
