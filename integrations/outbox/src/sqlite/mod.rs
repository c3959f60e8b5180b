//! The outbox in `SQLite`.
//!
//! Invariants:
//!
//! 1. The numbers of messages are in the order of the commits, because `SQLite` runs one write transaction at a time.
//! 2. A lease looks for a message that is due before it begins its transaction. So a relay without work takes no lock
//!    for writes.
//! 3. No connection is held between two calls, so a relay that publishes holds none.
//! 4. A statement that changes a message in line names the relay, so a lease that is lost changes nothing but `sent`.

mod sql;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use sqlx::{Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction, sqlite::SqliteRow};

use crate::{
    Backlog, Message, MessageId, Outbox, OutboxTransaction, Parked,
    enqueue::sealed::Insert,
    outbox::{Ask, Run, Settlements, sealed::Table},
    row::{self, LeasedRow},
};

/// The pause between two looks at the table: `SQLite` does not notify.
const POLL: Duration = Duration::from_millis(100);
/// The most messages of a run.
const LONGEST_RUN: u32 = 100;
/// An [`Outbox`] in `SQLite`, for the processes that share one file. An idle relay looks for messages every 100 ms.
///
/// `SQLite` runs one write transaction at a time. Begin the transactions of writes with
/// `pool.begin_with("BEGIN IMMEDIATE")` and keep them short, because each other write waits for them under the pool's
/// `busy_timeout`.
///
/// ```
/// use followthrough_outbox::{Message, SqliteOutbox, enqueue};
/// use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A database in memory belongs to one connection, which must not be closed; a file takes any number.
/// let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
/// let pool = one.connect_with(SqliteConnectOptions::new().in_memory(true)).await?;
/// let outbox = SqliteOutbox::new(pool.clone());
/// outbox.migrate().await?;
///
/// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
/// enqueue(&mut tx, &Message::new("orders.placed", "17").key("order-17")).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteOutbox {
    pool: SqlitePool,
    /// Whether the next odd run is one of a key.
    keys_turn: Arc<AtomicBool>,
}

impl SqliteOutbox {
    /// The migrations, in their order: each has its file's name and its SQL. Each may run again.
    pub const MIGRATIONS: [(&'static str, &'static str); 1] =
        [("0001_outbox.sql", include_str!("../../migrations/sqlite/0001_outbox.sql"))];

    /// Keeps the messages in the database of `pool`.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, keys_turn: Arc::default() }
    }

    /// Runs the [migrations](Self::MIGRATIONS). Several processes may do so at once.
    ///
    /// # Errors
    ///
    /// Returns the error of the database, or [`Configuration`](sqlx::Error::Configuration) with the column or the index
    /// that the table lacks and what to do. Nothing is changed then.
    pub async fn migrate(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut migrated = Ok(());
        for (_, migration) in Self::MIGRATIONS {
            if migrated.is_ok() {
                migrated = sqlx::raw_sql(migration).execute(&mut *tx).await.map(drop);
            }
        }
        // A table of another shape can fail a migration with an error that does not say so.
        let missing: Vec<String> = sqlx::query_scalar(sql::MISSING).fetch_all(&mut *tx).await?;
        if let Some(part) = missing.first() {
            let (name, _) = Self::MIGRATIONS[0];
            let reason = format!(
                "the table `followthrough_outbox` has no {part}, which `{name}` of followthrough-outbox creates: add it \
                 as in that file. If the table is not an outbox, rename it, drop its indexes, and start again"
            );
            return Err(sqlx::Error::Configuration(reason.into()));
        }
        migrated?;
        tx.commit().await
    }

    /// Returns whether there is a message to lease.
    async fn is_due(&self, ask: &Ask) -> Result<bool, sqlx::Error> {
        let head =
            sqlx::query(sql::HEADS).bind("").bind(ask.up_to).bind(1).bind(ask.most_attempts());
        if head.fetch_optional(&self.pool).await?.is_some() {
            return Ok(true);
        }
        let without_key =
            sqlx::query(sql::WITHOUT_KEY).bind(ask.up_to).bind(1).bind(ask.most_attempts());
        Ok(without_key.fetch_optional(&self.pool).await?.is_some())
    }

    /// Returns the numbers of the messages to lease: half of them heads of keys, if there are as many.
    async fn due(
        &self,
        connection: &mut SqliteConnection,
        ask: &Ask,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut keys: Vec<i64> = Vec::new();
        for heads in [sql::HEADS_AFTER, sql::HEADS_UP_TO] {
            let left = i64::from(ask.runs) - i64::try_from(keys.len()).unwrap_or(i64::MAX);
            if left > 0 {
                let heads = sqlx::query_scalar(heads).bind(&ask.after_key).bind(ask.up_to);
                let heads = heads.bind(left).bind(ask.most_attempts());
                let heads: Vec<i64> = heads.fetch_all(&mut *connection).await?;
                keys.extend(heads);
            }
        }
        let without = sqlx::query_scalar(sql::WITHOUT_KEY).bind(ask.up_to).bind(ask.runs);
        let without = without.bind(ask.most_attempts());
        let mut without: Vec<i64> = without.fetch_all(&mut *connection).await?;
        let runs = usize::try_from(ask.runs).unwrap_or(usize::MAX);
        if keys.len() + without.len() > runs {
            let (half, odd) = (runs / 2, runs % 2);
            let turn = odd == 1 && self.keys_turn.fetch_xor(true, Relaxed);
            let share = half + usize::from(turn);
            // The share of the keys, and the runs that the messages without a key leave.
            keys.truncate(share.max(runs.saturating_sub(without.len())));
            without.truncate(runs - keys.len());
        }
        keys.append(&mut without);
        Ok(keys)
    }

    async fn try_lease(&self, ask: &Ask) -> Result<Vec<Run>, sqlx::Error> {
        if !self.is_due(ask).await? {
            return Ok(Vec::new());
        }
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let numbers = self.due(&mut tx, ask).await?;
        let leased = sqlx::query(sql::LEASE).bind(json(&numbers)).bind(ms(ask.lease));
        let leased = leased.bind(&ask.relay).fetch_all(&mut *tx).await?;
        let heads =
            leased.iter().map(|row| leased_row(row, true)).collect::<Result<Vec<_>, _>>()?;

        let untried = heads.iter().filter(|head| head.key.is_some() && head.attempts == 1);
        let untried: Vec<i64> = untried.map(|head| head.number).collect();
        let share = ask.messages / u32::try_from(heads.len()).unwrap_or(u32::MAX).max(1);
        let longest = share.clamp(1, LONGEST_RUN);
        let mut followers: HashMap<_, Vec<LeasedRow>> = HashMap::new();
        if longest > 1 && !untried.is_empty() {
            let rows = sqlx::query(sql::FOLLOWERS).bind(json(&untried)).bind(longest - 1);
            for row in rows.fetch_all(&mut *tx).await? {
                let message = leased_row(&row, row.try_get("fresh")?)?;
                followers.entry(message.key.clone()).or_default().push(message);
            }
        }
        tx.commit().await?;

        // The order of the numbers, which no `UPDATE` keeps.
        let mut heads: HashMap<_, _> = heads.into_iter().map(|head| (head.number, head)).collect();
        let heads = numbers.iter().filter_map(|number| heads.remove(number));
        let rows = heads.flat_map(|head| {
            let behind = followers.remove(&head.key).unwrap_or_default();
            std::iter::once(head).chain(behind)
        });
        Ok(row::runs(rows))
    }

    async fn try_settle(&self, relay: &str, results: &Settlements) -> Result<(), sqlx::Error> {
        let Settlements { sent, forget_sent, released, later, never } = results;
        if sent.len() + released.len() + later.len() + never.len() == 0 {
            return Ok(());
        }
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if !sent.is_empty() {
            let sent_now = if *forget_sent { sql::FORGET } else { sql::SENT };
            sqlx::query(sent_now).bind(json(sent)).execute(&mut *tx).await?;
        }
        if !released.is_empty() {
            let release = sqlx::query(sql::RELEASE).bind(json(released)).bind(relay);
            release.execute(&mut *tx).await?;
        }
        for message in later {
            let later = sqlx::query(sql::LATER).bind(message.number).bind(relay);
            let later = later.bind(ms(message.pause)).bind(row::integer(message.attempts));
            later.bind(&message.reason).execute(&mut *tx).await?;
        }
        for message in never {
            let never = sqlx::query(sql::NEVER).bind(message.number).bind(relay);
            let never = never.bind(row::integer(message.attempts)).bind(&message.reason);
            never.bind(message.holds_key).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn try_purge(&self, keep: Duration, limit: u32) -> Result<u64, sqlx::Error> {
        let old: bool = sqlx::query_scalar(sql::OLD).bind(ms(keep)).fetch_one(&self.pool).await?;
        if !old {
            return Ok(0);
        }
        let purge = sqlx::query(sql::PURGE).bind(ms(keep)).bind(limit);
        Ok(purge.execute(&self.pool).await?.rows_affected())
    }

    /// Runs a statement on one parked message. Returns whether there was one.
    async fn decide(&self, decision: &'static str, number: i64) -> Result<bool, sqlx::Error> {
        let done = sqlx::query(decision).bind(number).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Returns a time as a column, rounded up to a whole millisecond.
fn ms(time: Duration) -> i64 {
    (row::micros(time) + 999) / 1000
}

/// Returns the time of a column.
fn duration(ms: i64) -> Duration {
    row::duration(ms.saturating_mul(1000))
}

/// Returns the numbers as a JSON array, which one statement can read whatever their count.
fn json(numbers: &[i64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!("[{}]", numbers.join(","))
}

fn leased_row(row: &SqliteRow, may_go: bool) -> Result<LeasedRow, sqlx::Error> {
    Ok(LeasedRow {
        number: row.try_get("number")?,
        id: row.try_get("id")?,
        topic: row.try_get("topic")?,
        key: row.try_get("key")?,
        headers: row.try_get("headers")?,
        payload: row.try_get("payload")?,
        attempts: row.try_get("attempts")?,
        may_go,
    })
}

fn parked(row: &SqliteRow) -> Result<Parked, sqlx::Error> {
    let key: Option<String> = row.try_get(3)?;
    let in_line: bool = row.try_get(4)?;
    Ok(Parked {
        number: row.try_get(0)?,
        id: MessageId::new(row.try_get(1)?),
        topic: row.try_get(2)?,
        holds_key: in_line && key.is_some(),
        key,
        attempts: row::attempts(row.try_get(5)?),
        reason: row.try_get(6)?,
        parked_for: duration(row.try_get(7)?),
        payload_bytes: row::count(row.try_get(8)?),
    })
}

impl Table for SqliteOutbox {
    fn lease(&self, ask: &Ask) -> impl Future<Output = Result<Vec<Run>, sqlx::Error>> + Send {
        self.try_lease(ask)
    }

    fn settle(
        &self,
        relay: &str,
        results: &Settlements,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        self.try_settle(relay, results)
    }

    async fn last_number(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(sql::LAST_NUMBER).fetch_one(&self.pool).await
    }

    async fn arrival(&self, _relay: &str, at_most: Duration) -> bool {
        tokio::time::sleep(at_most.min(POLL)).await;
        false
    }

    fn purge(
        &self,
        keep: Duration,
        limit: u32,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send {
        self.try_purge(keep, limit)
    }

    async fn retire(&self, _relay: &str) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

impl Outbox for SqliteOutbox {
    async fn backlog(&self) -> Result<Backlog, sqlx::Error> {
        let row = sqlx::query(sql::BACKLOG).fetch_one(&self.pool).await?;
        let oldest: Option<i64> = row.try_get(2)?;
        Ok(Backlog {
            waiting: row::count(row.try_get(0)?),
            parked: row::count(row.try_get(1)?),
            oldest: oldest.map(duration),
        })
    }

    async fn parked(&self, limit: u32) -> Result<Vec<Parked>, sqlx::Error> {
        let rows = sqlx::query(sql::PARKED).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(parked).collect()
    }

    fn retry(&self, number: i64) -> impl Future<Output = Result<bool, sqlx::Error>> + Send {
        self.decide(sql::RETRY, number)
    }

    fn drop_parked(&self, number: i64) -> impl Future<Output = Result<bool, sqlx::Error>> + Send {
        self.decide(sql::DROP_PARKED, number)
    }
}

impl OutboxTransaction for Transaction<'_, Sqlite> {}

impl Insert for Transaction<'_, Sqlite> {
    async fn insert(&mut self, message: &Message) -> Result<MessageId, sqlx::Error> {
        let insert = sqlx::query_scalar(sql::INSERT)
            .bind(&message.topic)
            .bind(&message.key)
            .bind(message.header_lines())
            .bind(&message.payload);
        // `fetch_one` would leave the statement open.
        let ids: Vec<String> = insert.fetch_all(&mut **self).await?;
        ids.into_iter().next().map(MessageId::new).ok_or(sqlx::Error::RowNotFound)
    }
}

impl fmt::Debug for SqliteOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOutbox").finish_non_exhaustive()
    }
}
