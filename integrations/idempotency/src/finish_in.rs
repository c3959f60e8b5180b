//! An answer that is stored in a transaction of the handler.

use std::{fmt, pin::Pin};

use axum::response::IntoResponse;
use followthrough::{
    IdempotencyKey,
    idempotency::{Claim, RecordId, StoreError, StoredAnswer},
};

/// Stores the answer of a keyed write in the transaction of the write.
///
/// The write and its answer are then committed together. After a crash, a key without an answer proves that this
/// transaction has not landed. The runtime relies on that for the whole handler, so all its writes belong in this
/// transaction.
pub trait FinishIn {
    /// Stores `response` as the answer of this key. Commit the transaction and return this same response after that.
    ///
    /// `transaction` is a `sqlx::Transaction`, or a connection that is in one. Both belong to the database of the
    /// lifecycle's store. A direct call of a handler has no record, so it stores nothing.
    ///
    /// ```
    /// # #[cfg(feature = "postgres")] {
    /// use axum::http::StatusCode;
    /// use followthrough::IdempotencyKey;
    /// use followthrough_idempotency::FinishIn;
    /// use sqlx::PgPool;
    ///
    /// type Error = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// async fn order(key: IdempotencyKey, pool: PgPool) -> Result<(StatusCode, String), Error> {
    ///     let mut tx = pool.begin().await?;
    ///     sqlx::query("INSERT INTO orders DEFAULT VALUES").execute(&mut *tx).await?;
    ///     let response = (StatusCode::CREATED, "ordered".to_owned());
    ///     key.finish_in(&mut tx, &response).await?;
    ///     tx.commit().await?;
    ///     Ok(response)
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the body of the response or the database fails, if the response is larger than
    /// `Idempotency::max_answer_bytes`, if the request has not passed its point of no return, and [`FinishError::Lost`] if the request
    /// does not hold its key any more. Nothing of this transaction may land after an error: return the error, which
    /// rolls it back.
    ///
    /// After [`FinishError::Lost`] nothing can land. The commit of the transaction fails, also if a savepoint of sqlx
    /// around this call is rolled back. On `SQLite` without `foreign_keys`, which sqlx sets by default, this call rolls
    /// the transaction back, and its commit has no effect.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the transaction as a dropped query does: roll it back.
    fn finish_in<T, R>(
        &self,
        transaction: &mut T,
        response: &R,
    ) -> impl Future<Output = Result<(), FinishError>> + Send
    where
        T: AnswerTransaction,
        R: Clone + IntoResponse + Sync;
}

impl FinishIn for IdempotencyKey {
    async fn finish_in<T, R>(&self, transaction: &mut T, response: &R) -> Result<(), FinishError>
    where
        T: AnswerTransaction,
        R: Clone + IntoResponse + Sync,
    {
        let prepared = self.prepare(response).await.map_err(FinishError::Response)?;
        let Some(prepared) = prepared else { return Ok(()) };
        let claim = prepared.claim();
        if !transaction.store_answer(claim, prepared.answer()).await? {
            return Err(FinishError::Lost(claim.id.clone()));
        }
        prepared.is_in_transaction();
        Ok(())
    }
}

/// A transaction or a connection of `PostgreSQL` or `SQLite`. No other type can implement this trait.
pub trait AnswerTransaction: sealed::Sealed + Send {
    /// Stores the answer of a record as a part of this transaction. Returns `false` if `claim` does not hold the
    /// record, or has stored an answer before. The commit of such a transaction fails.
    fn store_answer<'a>(&'a mut self, claim: &'a Claim, answer: &'a StoredAnswer) -> Storing<'a>;
}

/// The future of [`AnswerTransaction::store_answer`].
pub type Storing<'a> = Pin<Box<dyn Future<Output = Result<bool, sqlx::Error>> + Send + 'a>>;

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The error of [`FinishIn::finish_in`].
#[derive(Debug)]
#[non_exhaustive]
pub enum FinishError {
    /// Another process holds the record, the record is gone, or it has an answer already.
    Lost(RecordId),
    /// The body of the response failed.
    Response(StoreError),
    /// The database failed.
    Database(sqlx::Error),
}

impl fmt::Display for FinishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(id) => {
                write!(
                    f,
                    "this request does not hold the idempotency key {id} any more, so its write must not land"
                )
            }
            Self::Response(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FinishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lost(_) => None,
            Self::Response(error) => Some(error),
            Self::Database(error) => Some(error),
        }
    }
}

impl From<sqlx::Error> for FinishError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// For handlers whose error type has a conversion from [`sqlx::Error`] only.
impl From<FinishError> for sqlx::Error {
    fn from(error: FinishError) -> Self {
        match error {
            FinishError::Database(error) => error,
            other => Self::Io(std::io::Error::other(other)),
        }
    }
}
