//! `PostgreSQL` with sqlx: what is cut here is cancelled on the server.
//!
//! Dropping the future of a query does not stop the query: the backend works on, and its connection
//! is missing in the pool for the rest of it. [`Pool`] wraps a pool of sqlx: when a future is
//! dropped, or the token that a [`Client`] [follows](Client::follow) fires, the backend is told to stop
//! by `pg_cancel_backend` on another connection.
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
//! A [`Transaction`] that follows a token with a deadline has it kept by the server as well, as its
//! `statement_timeout`. One that is dropped before its commit is rolled back. A commit that is cut has
//! an unknown outcome, and is never reported as anything else: see [the
//! guide](followthrough::guide::databases).
//!
//! sqlx 0.9 needs Rust 1.94.

mod client;
mod error;
mod pool;
mod quarantine;

pub use followthrough::integration::CancelOn;
/// The pool within.
pub use sqlx;

pub use self::{
    client::{Client, Transaction},
    error::Error,
    pool::Pool,
};
