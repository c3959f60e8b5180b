//! An outbox for [`followthrough`]: a handler commits its write and its message in one transaction, and a
//! relay publishes the message to a broker, at least once and in order per key.
//!
//! - [`enqueue`] stores a [`Message`] in the transaction of a write, so both land or neither does.
//! - [`Relay`] is a worker that publishes the stored messages through a [`Publisher`].
//! - [`Outbox`] is the table. `PostgresOutbox` (feature `postgres`) serves any number of processes, and `SqliteOutbox`
//!   (feature `sqlite`) the processes that share one file. No feature is on by default.
//!
//! # Guarantees
//!
//! 1. A message whose transaction committed is published at least once, or is parked with a reason. A relay that dies
//!    between the broker's confirmation and the mark publishes the message again, with the same [`MessageId`].
//! 2. A message with a key is published after the broker has confirmed all earlier messages with that key that are not
//!    parked or dropped. So the first arrivals of a key are in the order of their commits, also while two relays hold
//!    the same key.
//! 3. A message that the broker refuses delays the later messages with its key, and no other messages.
//! 4. All times are compared by the database's clock, or by the monotonic clock of one process.
//!
//! sqlx 0.9 needs Rust 1.94.

#![cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(dead_code, reason = "the tables are its callers")
)]

mod enqueue;
mod message;
mod outbox;
#[cfg(feature = "postgres")]
mod postgres;
mod publisher;
mod relay;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "postgres")]
pub use self::postgres::PostgresOutbox;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteOutbox;
pub use self::{
    enqueue::{EnqueueError, OutboxTransaction, enqueue},
    message::{Message, MessageId, StoredMessage},
    outbox::{Backlog, Outbox, Parked},
    publisher::{PublishError, Publisher},
    relay::{Poison, Relay, RelayBuilder, RelaySettingsError},
};

/// Items for the tests of the tables. Not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::outbox::{Ask, Later, Never, Run, Settlements, sealed::Table};
}
