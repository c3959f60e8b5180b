//! The table of messages, as the relay and an operator see it.
//!
//! A message is *in line* from its commit until it is sent, dropped or parked alone. The *head* of a key is its message
//! in line with the smallest number. A relay leases a key by its head: no other relay leases a message of that
//! key until the lease has ended.

use std::time::Duration;

use crate::{MessageId, StoredMessage};

/// The table of messages: `PostgresOutbox` or `SqliteOutbox`. A clone is the same table.
pub trait Outbox: sealed::Table + Clone {
    /// Returns how many messages wait, how many are parked, and how old the oldest is.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    fn backlog(&self) -> impl Future<Output = Result<Backlog, sqlx::Error>> + Send;

    /// Returns the oldest parked messages, `limit` at most.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    fn parked(&self, limit: u32) -> impl Future<Output = Result<Vec<Parked>, sqlx::Error>> + Send;

    /// Puts a parked message back in line. Returns `false` if no parked message has this number.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    fn retry(&self, number: i64) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Removes a parked message, so that it is never published. Later messages with its key go on. Returns `false` if
    /// no parked message has this number.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    fn drop_parked(&self, number: i64) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
}

/// The messages that are not published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// Messages in line that are not parked.
    pub waiting: u64,
    /// Messages that are parked, with their key or alone.
    pub parked: u64,
    /// The time since the oldest message that waits was enqueued, by the database's clock.
    pub oldest: Option<Duration>,
}

/// A message that a relay has given up, for an operator to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parked {
    /// The number of its row, for [`Outbox::retry`] and [`Outbox::drop_parked`].
    pub number: i64,
    /// Its identity.
    pub id: MessageId,
    /// Its topic.
    pub topic: String,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Whether the later messages with its key wait for it.
    pub holds_key: bool,
    /// How often a relay has tried to publish it.
    pub attempts: u32,
    /// Why the broker did not take it.
    pub reason: String,
    /// The time since it was parked, by the database's clock.
    pub parked_for: Duration,
    /// The length of its payload, in bytes.
    pub payload_bytes: u64,
}

pub(crate) mod sealed {
    use super::{Ask, Run, Settlements};
    use std::time::Duration;

    /// The operations of a relay on the table.
    pub trait Table: Send + Sync + 'static {
        /// Leases keys whose head is due, and messages without a key that are due.
        ///
        /// The first message of each run is leased: it is not due again before `ask.lease` has passed by the
        /// database's clock, and its attempts are one more. A run whose head was tried before has one message.
        fn lease(&self, ask: &Ask) -> impl Future<Output = Result<Vec<Run>, sqlx::Error>> + Send;

        /// Stores the results. A second call with the same results changes nothing. If another relay has taken a lease
        /// over, only the `sent` results of the first relay count.
        fn settle(
            &self,
            relay: &str,
            results: &Settlements,
        ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

        /// Returns the largest number that a committed message has, or 0.
        fn last_number(&self) -> impl Future<Output = Result<i64, sqlx::Error>> + Send;

        /// Waits until a message may have been committed, at most for `at_most`. On `PostgreSQL` a commit ends the wait,
        /// including a commit between the last `lease` that found too few runs and this call. Returns whether a commit
        /// may have ended the wait.
        fn arrival(&self, relay: &str, at_most: Duration) -> impl Future<Output = bool> + Send;

        /// Removes messages that were sent more than `keep` ago, `limit` at most. Returns how many.
        fn purge(
            &self,
            keep: Duration,
            limit: u32,
        ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

        /// Forgets the relay, which has stopped.
        fn retire(&self, relay: &str) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    }
}

/// The arguments of [`Table::lease`](sealed::Table::lease).
#[derive(Clone, Debug)]
pub struct Ask {
    /// The relay, unique among all relays of the table.
    pub relay: String,
    /// The most runs.
    pub runs: u32,
    /// The most messages in all runs.
    pub messages: u32,
    /// The key after which the search begins, so that the keys take turns. After the last key it begins again with the
    /// first.
    pub after_key: String,
    /// How long the runs are leased.
    pub lease: Duration,
    /// Heads with larger numbers are left alone.
    pub up_to: i64,
    /// Whether messages that were tried before are left alone.
    pub passes_failed: bool,
}

impl Ask {
    /// Returns the most attempts of a message that is leased.
    pub(crate) fn most_attempts(&self) -> i64 {
        if self.passes_failed { 0 } else { i64::MAX }
    }
}

/// Leased messages, to be published one after the other: messages of one key from its head on, or one message
/// without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The messages, in the order of their numbers.
    pub messages: Vec<StoredMessage>,
}

/// The results of published runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlements {
    /// Messages that the broker has confirmed.
    pub sent: Vec<i64>,
    /// Whether sent messages are removed at once.
    pub forget_sent: bool,
    /// Leased messages that were not tried. Their lease ends now, and the attempt does not count.
    pub released: Vec<i64>,
    /// Messages to try again.
    pub later: Vec<Later>,
    /// Messages to park.
    pub never: Vec<Never>,
}

/// A message to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// The number of its row.
    pub number: i64,
    /// The attempts so far.
    pub attempts: u32,
    /// The time until the next attempt.
    pub pause: Duration,
    /// Why the broker did not take it.
    pub reason: String,
}

/// A message to park.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Never {
    /// The number of its row.
    pub number: i64,
    /// The attempts so far.
    pub attempts: u32,
    /// Why the broker did not take it.
    pub reason: String,
    /// Whether the later messages with its key wait for it.
    pub holds_key: bool,
}
