//! The consumer's side: a message that arrives twice has one effect.

use sqlx::{Postgres, Transaction};

/// The consumer's table. Rows that are older than the broker and the outbox keep messages can be deleted.
pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS inbox (
    message_id text PRIMARY KEY,
    arrived_at timestamptz NOT NULL DEFAULT now()
)";

/// Returns whether the message with this id is new, in the transaction of its effect. A second consumer of the same
/// message waits here until the first transaction has ended.
///
/// Commit before you acknowledge the message to the broker. If this returns `false`, acknowledge it and do nothing else.
///
/// # Errors
///
/// Returns the error of the database.
pub async fn is_new(tx: &mut Transaction<'_, Postgres>, id: &str) -> Result<bool, sqlx::Error> {
    let insert = "INSERT INTO inbox (message_id) VALUES ($1) ON CONFLICT DO NOTHING";
    let inserted = sqlx::query(insert).bind(id).execute(&mut **tx).await?;
    Ok(inserted.rows_affected() == 1)
}
