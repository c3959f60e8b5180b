//! Stores a message in the transaction of a write.

use std::fmt;

use crate::{Message, MessageId};

/// Stores `message` in the transaction of the write. A relay publishes it after the transaction has committed. A
/// transaction that rolls back leaves no message.
///
/// On `PostgreSQL`, this function waits until other transactions that have enqueued the same key have ended, because
/// messages of a key are numbered in the order of their commits. The wait has no time-out but the server's
/// `lock_timeout`. So enqueue last, and commit soon. Two transactions that enqueue
/// the same two keys in different orders wait for each other, and `PostgreSQL` fails one of them: enqueue the keys in
/// one order.
///
/// ```no_run
/// # #[cfg(feature = "postgres")]
/// # async fn place(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// use followthrough_outbox::{Message, enqueue};
///
/// let mut tx = pool.begin().await?;
/// let order: i64 = sqlx::query_scalar("INSERT INTO orders DEFAULT VALUES RETURNING id").fetch_one(&mut *tx).await?;
/// enqueue(&mut tx, &Message::new("orders.placed", order.to_string()).key(format!("order-{order}"))).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// A pool or a bare connection is refused, because the message would land without its write:
///
/// ```compile_fail,E0277
/// # struct PgPool;
/// # async fn place(mut pool: PgPool) {
/// use followthrough_outbox::{Message, enqueue};
///
/// let message = Message::new("orders.placed", "17");
/// enqueue(&mut pool, &message).await; // a message is enqueued in the transaction of its write
/// # }
/// ```
///
/// # Errors
///
/// [`EnqueueError::Invalid`] if the message cannot be stored, and [`EnqueueError::Database`] with the error of the
/// database. The caller should roll back the transaction in both cases.
///
/// # Cancel safety
///
/// If the future is dropped, the transaction may or may not contain the message. Roll it back.
pub async fn enqueue<T: OutboxTransaction>(
    tx: &mut T,
    message: &Message,
) -> Result<MessageId, EnqueueError> {
    message.check()?;
    tx.insert(message).await.map_err(EnqueueError::Database)
}

/// A transaction that can hold a message: sqlx's `Transaction` on `PostgreSQL` or `SQLite`, with the feature of that
/// database.
#[diagnostic::on_unimplemented(
    message = "a message is enqueued in the transaction of its write, and `{Self}` is no transaction of PostgreSQL or SQLite",
    label = "expected `sqlx::Transaction<'_, Postgres>` or `sqlx::Transaction<'_, Sqlite>`",
    note = "begin one with `let mut tx = pool.begin().await?`, write within it, and call `enqueue(&mut tx, ..)` before `tx.commit()`",
    note = "the features `postgres` and `sqlite` of `followthrough-outbox` are off by default"
)]
pub trait OutboxTransaction: sealed::Insert {}

pub(crate) mod sealed {
    use crate::{Message, MessageId};

    #[expect(unnameable_types, reason = "only this crate implements it")]
    pub trait Insert: Send {
        fn insert(
            &mut self,
            message: &Message,
        ) -> impl Future<Output = Result<MessageId, sqlx::Error>> + Send;
    }
}

/// Why a message was not stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnqueueError {
    /// The message cannot be stored. The text says why, and what to write instead.
    Invalid(String),
    /// The database failed.
    Database(sqlx::Error),
}

impl fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => write!(f, "the message cannot be enqueued: {reason}"),
            Self::Database(error) => write!(f, "the message was not enqueued: {error}"),
        }
    }
}

impl std::error::Error for EnqueueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(_) => None,
            Self::Database(error) => Some(error),
        }
    }
}
