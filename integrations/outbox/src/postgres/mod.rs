//! The outbox in `PostgreSQL`.
//!
//! Invariants:
//!
//! 1. A message with a key is numbered after the transactions that enqueued the key before have ended, because the
//!    insert holds a lock on the key until its own transaction has ended.
//! 2. Relays lease heads and messages without a key, each by a lock on its row, and look at the newest version of the
//!    row after they have the lock. So two relays never lease one row at once.
//! 3. Times are compared by the server's clock only.

mod listener;
mod sql;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    PgPool, Postgres, Row as _, Transaction,
    postgres::{PgArguments, PgRow},
};
use tokio::time::Instant;

use self::listener::Listener;
use crate::{
    Backlog, Message, MessageId, Outbox, OutboxTransaction, Parked,
    enqueue::sealed::Insert,
    outbox::{Ask, Run, Settlements, sealed::Table},
    row::{self, LeasedRow},
};

/// The pause before the second look of a relay that begins to wait. Each further pause is twice as long.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// The table of messages in `PostgreSQL`, for any number of processes. Its clones share one listener.
///
/// ```no_run
/// use followthrough_outbox::PostgresOutbox;
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let outbox = PostgresOutbox::new(sqlx::PgPool::connect("postgres://shop@localhost").await?);
/// outbox.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresOutbox {
    pool: PgPool,
    listener: Option<Arc<Listener>>,
    /// Whether the next odd run is one of a key.
    keys_turn: Arc<AtomicBool>,
}

impl PostgresOutbox {
    /// The migrations, in their order: each has its file's name and its SQL. Each may run again.
    pub const MIGRATIONS: [(&'static str, &'static str); 1] =
        [("0001_outbox.sql", include_str!("../../migrations/postgres/0001_outbox.sql"))];

    /// Keeps the messages in the database of `pool`, in the first schema of its `search_path`.
    ///
    /// Transactions that enqueue must have the isolation level `READ COMMITTED`, the default of `PostgreSQL`. The relays of
    /// a process share one connection outside of `pool`, which listens for new messages.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, listener: Some(Arc::new(Listener::new())), keys_turn: Arc::default() }
    }

    /// Opens no connection that listens: an idle relay looks once in [`poll`](crate::RelayBuilder::poll). Use this with
    /// `PgBouncer` in transaction mode, which forwards no notifications.
    #[must_use]
    pub fn without_listener(self) -> Self {
        Self { listener: None, ..self }
    }

    /// Runs the [migrations](Self::MIGRATIONS), and checks that the tables have the columns and the indexes that this version uses.
    /// Several processes may do so at once.
    ///
    /// # Errors
    ///
    /// Returns the error of the database, or [`Configuration`](sqlx::Error::Configuration) with what a
    /// table lacks and what to do.
    pub async fn migrate(&self) -> Result<(), sqlx::Error> {
        let migrated = self.run_migrations().await;
        // The error of the check comes first, because it names the missing part and the error of a migration does not.
        self.check_tables().await.and(migrated)
    }

    async fn run_migrations(&self) -> Result<(), sqlx::Error> {
        // `CREATE INDEX IF NOT EXISTS` waits for all transactions that enqueue, and holds up all that begin to.
        if sqlx::query_scalar(sql::IS_MIGRATED).fetch_one(&self.pool).await? {
            return Ok(());
        }
        let mut tx = self.pool.begin().await?;
        // `IF NOT EXISTS` fails for tables that another transaction creates.
        sqlx::query(sql::LOCK_MIGRATIONS).execute(&mut *tx).await?;
        for (_, migration) in Self::MIGRATIONS {
            sqlx::raw_sql(migration).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn check_tables(&self) -> Result<(), sqlx::Error> {
        let missing = sqlx::query(sql::MISSING).fetch_optional(&self.pool).await?;
        let Some(missing) = missing else { return Ok(()) };
        let (table, part): (String, String) = (missing.try_get(0)?, missing.try_get(1)?);
        let (name, _) = Self::MIGRATIONS[0];
        let reason = format!(
            "the table `{table}` has no {part}, which `{name}` of followthrough-outbox creates: add it as in that file. If \
             the table is not an outbox, rename it and its indexes, and start again"
        );
        Err(sqlx::Error::Configuration(reason.into()))
    }

    /// Returns how many runs are for messages without a key: half. If `runs` is odd, the extra run alternates between
    /// them and the keys.
    fn alone(&self, runs: u32) -> i64 {
        let turn = runs % 2 == 1 && !self.keys_turn.fetch_xor(true, Ordering::Relaxed);
        i64::from(runs / 2) + i64::from(turn)
    }

    async fn run(&self, query: Query<'_>) -> Result<u64, sqlx::Error> {
        Ok(query.execute(&self.pool).await?.rows_affected())
    }

    /// Runs a statement with the settings of [`sql::BEGIN`], in a task that continues if the caller is dropped. A dropped
    /// `begin_with` would return its connection to the pool with the transaction open.
    async fn run_by_index(&self, query: Query<'static>) -> Result<Vec<PgRow>, sqlx::Error> {
        let pool = self.pool.clone();
        let running = tokio::spawn(async move {
            let mut tx = pool.begin_with(sql::BEGIN).await?;
            let rows = query.fetch_all(&mut *tx).await?;
            tx.commit().await?;
            Ok(rows)
        });
        running.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed))
    }

    /// Returns whether a message is due.
    async fn is_any_due(&self) -> Result<bool, sqlx::Error> {
        let rows = self.run_by_index(sqlx::query(sql::ANY_DUE)).await?;
        rows.first().map_or(Ok(false), |row| row.try_get(0))
    }

    /// Waits for a notification, without a time limit.
    async fn notification(&self, listener: &Listener, relay: &str) {
        listener.start(&self.pool);
        let mut notified = std::pin::pin!(listener.notified());
        notified.as_mut().enable();
        if !listener.is_listening() {
            return notified.await;
        }
        tokio::select! {
            () = notified.as_mut() => {}
            () = self.missed(relay) => {}
        }
    }

    /// Waits until a message is due whose transaction did not see that this relay waits.
    ///
    /// A transaction may enqueue before the relay's row is visible, and commit after the relay has looked. So the relay
    /// looks again, each time after a longer pause.
    async fn missed(&self, relay: &str) {
        let new = sqlx::query_scalar::<_, bool>(sql::WAIT).bind(relay).fetch_one(&self.pool).await;
        let Ok(is_new) = new else { return std::future::pending().await };
        let mut pause = FIRST_LOOK;
        loop {
            let started = Instant::now();
            if let Ok(true) = self.is_any_due().await {
                return;
            }
            let took = started.elapsed();
            if !is_new {
                return std::future::pending().await;
            }
            tokio::time::sleep(pause).await;
            // Looks at many keys take a tenth of the time at most.
            pause = (pause * 2).max(took * 10);
        }
    }
}

type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

fn leased(row: &PgRow) -> Result<LeasedRow, sqlx::Error> {
    Ok(LeasedRow {
        number: row.try_get(0)?,
        id: row.try_get(1)?,
        topic: row.try_get(2)?,
        key: row.try_get(3)?,
        headers: row.try_get(4)?,
        payload: row.try_get(5)?,
        attempts: row.try_get::<i32, _>(6)?.into(),
        may_go: row.try_get(7)?,
    })
}

fn parked(row: &PgRow) -> Result<Parked, sqlx::Error> {
    Ok(Parked {
        number: row.try_get(0)?,
        id: MessageId::new(row.try_get(1)?),
        topic: row.try_get(2)?,
        key: row.try_get(3)?,
        holds_key: row.try_get(4)?,
        attempts: row::attempts(row.try_get::<i32, _>(5)?.into()),
        reason: row.try_get(6)?,
        parked_for: row::duration(row.try_get(7)?),
        payload_bytes: row::count(row.try_get(8)?),
    })
}

impl Outbox for PostgresOutbox {
    async fn backlog(&self) -> Result<Backlog, sqlx::Error> {
        let rows = self.run_by_index(sqlx::query(sql::BACKLOG)).await?;
        let Some(row) = rows.first() else { return Err(sqlx::Error::RowNotFound) };
        let (waiting, parked, oldest): (i64, i64, Option<i64>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(Backlog {
            waiting: row::count(waiting),
            parked: row::count(parked),
            oldest: oldest.map(row::duration),
        })
    }

    async fn parked(&self, limit: u32) -> Result<Vec<Parked>, sqlx::Error> {
        let query = sqlx::query(sql::PARKED).bind(i64::from(limit));
        query.fetch_all(&self.pool).await?.iter().map(parked).collect()
    }

    async fn retry(&self, number: i64) -> Result<bool, sqlx::Error> {
        Ok(self.run(sqlx::query(sql::RETRY).bind(number)).await? > 0)
    }

    async fn drop_parked(&self, number: i64) -> Result<bool, sqlx::Error> {
        Ok(self.run(sqlx::query(sql::DROP_PARKED).bind(number)).await? > 0)
    }
}

impl Table for PostgresOutbox {
    async fn lease(&self, ask: &Ask) -> Result<Vec<Run>, sqlx::Error> {
        let query = sqlx::query(sql::LEASE)
            .bind(ask.relay.clone())
            .bind(i64::from(ask.runs))
            .bind(i64::from(ask.messages))
            .bind(ask.after_key.clone())
            .bind(ask.up_to)
            .bind(row::micros(ask.lease))
            .bind(ask.most_attempts())
            .bind(self.alone(ask.runs));
        let rows = self.run_by_index(query).await?;
        let rows: Result<Vec<_>, _> = rows.iter().map(leased).collect();
        rows.map(row::runs)
    }

    async fn settle(&self, relay: &str, results: &Settlements) -> Result<(), sqlx::Error> {
        // Statements that lock rows in the order of their numbers cannot deadlock.
        let Settlements { sent, forget_sent, released, later, never } = results;
        // The pauses come before `sent`, which makes the message behind a head due.
        if !later.is_empty() {
            let mut later: Vec<_> = later.iter().collect();
            later.sort_by_key(|message| message.number);
            let query = sqlx::query(sql::LATER)
                .bind(relay.to_owned())
                .bind(later.iter().map(|message| message.number).collect::<Vec<_>>())
                .bind(
                    later.iter().map(|message| row::integer(message.attempts)).collect::<Vec<_>>(),
                )
                .bind(later.iter().map(|message| message.reason.clone()).collect::<Vec<_>>())
                .bind(later.iter().map(|message| row::micros(message.pause)).collect::<Vec<_>>());
            self.run_by_index(query).await?;
        }
        if !never.is_empty() {
            let mut never: Vec<_> = never.iter().collect();
            never.sort_by_key(|message| message.number);
            let query = sqlx::query(sql::NEVER)
                .bind(relay.to_owned())
                .bind(never.iter().map(|message| message.number).collect::<Vec<_>>())
                .bind(
                    never.iter().map(|message| row::integer(message.attempts)).collect::<Vec<_>>(),
                )
                .bind(never.iter().map(|message| message.reason.clone()).collect::<Vec<_>>())
                .bind(never.iter().map(|message| message.holds_key).collect::<Vec<_>>());
            self.run_by_index(query).await?;
        }
        if !sent.is_empty() {
            let sql = if *forget_sent { sql::FORGET } else { sql::SENT };
            self.run_by_index(sqlx::query(sql).bind(sent.clone())).await?;
        }
        if !released.is_empty() {
            self.run_by_index(
                sqlx::query(sql::RELEASED).bind(relay.to_owned()).bind(released.clone()),
            )
            .await?;
        }
        Ok(())
    }

    async fn last_number(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(sql::LAST_NUMBER).fetch_one(&self.pool).await
    }

    async fn arrival(&self, relay: &str, at_most: Duration) -> bool {
        let Some(listener) = &self.listener else {
            tokio::time::sleep(at_most).await;
            return false;
        };
        tokio::time::timeout(at_most, self.notification(listener, relay)).await.is_ok()
    }

    async fn purge(&self, keep: Duration, limit: u32) -> Result<u64, sqlx::Error> {
        let query = sqlx::query(sql::PURGE).bind(row::micros(keep)).bind(i64::from(limit));
        let removed = self.run_by_index(query).await?;
        let removed = removed.first().map_or(Ok(0), |row| row.try_get::<i64, _>(0))?;
        if removed < i64::from(limit) {
            self.run(sqlx::query(sql::FORGET_RELAYS)).await?;
        }
        Ok(row::count(removed))
    }

    async fn retire(&self, relay: &str) -> Result<(), sqlx::Error> {
        self.run(sqlx::query(sql::RETIRE).bind(relay)).await.map(drop)
    }
}

impl OutboxTransaction for Transaction<'_, Postgres> {}

impl Insert for Transaction<'_, Postgres> {
    async fn insert(&mut self, message: &Message) -> Result<MessageId, sqlx::Error> {
        let query = sqlx::query_scalar(sql::INSERT)
            .bind(&message.topic)
            .bind(&message.key)
            .bind(message.header_lines())
            .bind(&message.payload);
        // The server reports a failure after the row.
        let ids = query.fetch_all(&mut **self).await?;
        ids.into_iter().next().map(MessageId::new).ok_or(sqlx::Error::RowNotFound)
    }
}

impl fmt::Debug for PostgresOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOutbox").finish_non_exhaustive()
    }
}
