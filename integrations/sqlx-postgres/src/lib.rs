//! `PostgreSQL` with sqlx: a query that is cut is cancelled on the server.
//!
//! Dropping the future of a query does not stop the query. The backend continues, and its connection is missing
//! from the pool for the rest of the query. [`Pool`] wraps a sqlx pool. When a future is dropped, or the token
//! that a [`Client`] [follows](Client::follow) fires, the backend is told to stop by `pg_cancel_backend` on
//! another connection.
//!
//! ```
//! use followthrough::{RequestToken, cancellable};
//! use followthrough_sqlx_postgres::{Error, Pool};
//!
//! #[cancellable(read, deadline = "2s", internal)]
//! async fn stock(pool: Pool, cancel: RequestToken) -> Result<i64, Error> {
//!     let mut client = pool.get().await?;
//!     let stock = client.follow(&cancel).run(async |connection| {
//!         sqlx::query_scalar("SELECT count(*) FROM stock").fetch_one(connection).await
//!     });
//!     stock.await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let pool = sqlx::PgPool::connect_lazy("postgres://shop@localhost").unwrap();
//! let pool = Pool::new(pool);
//! # let _ = (stock(pool, RequestToken::never()),);
//! # }
//! ```
//!
//! If a [`Transaction`] follows a token with a deadline, the server enforces the deadline as well, as the
//! `statement_timeout`. A transaction that is dropped before its commit is rolled back. A commit that is cut has
//! an unknown outcome and is never reported as anything else: see [the guide](followthrough::guide::databases).
//!
//! sqlx 0.9 needs Rust 1.94.

mod client;
mod error;
mod pool;
mod quarantine;

pub use followthrough::integration::CancelOn;
/// The wrapped pool's crate.
pub use sqlx;

pub use self::{
    client::{Client, Transaction},
    error::Error,
    pool::Pool,
};
