//! The stores of [followthrough's idempotency keys](followthrough::idempotency) in `PostgreSQL` and `SQLite`, through
//! sqlx.
//!
//! Processes that share a database serve one another's retries: a key is claimed by one process, and its answer is
//! replayed by all. The features `postgres` and `sqlite` bring `PostgresStore` and `SqliteStore`. None is on by
//! default.
//!
//! [`FinishIn::finish_in`] stores the answer in the transaction of the write itself, so that both land or neither does.
//!
//! sqlx 0.9 needs Rust 1.94.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod finish_in;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod lost;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::finish_in::{AnswerTransaction, FinishError, FinishIn, Storing};
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
