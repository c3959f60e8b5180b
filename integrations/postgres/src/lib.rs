//! `PostgreSQL` with tokio-postgres and deadpool: a query that is cut is cancelled on the server.
//!
//! Dropping the future of a query does not stop the query. The backend continues, and deadpool hands the
//! connection to the next caller, who waits for the rest of the query. [`Pool`] wraps a deadpool pool. When a
//! future is dropped, or the token that a connection [follows](Session::follow) fires, the backend is told to
//! stop, and the connection stays out of the pool until the backend has answered.
//!
//! ```
//! use deadpool_postgres::tokio_postgres::{Config, NoTls};
//! use followthrough::{RequestToken, cancellable};
//! use followthrough_postgres::{Error, Pool};
//!
//! #[cancellable(read, deadline = "2s", internal)]
//! async fn stock(pool: Pool, sku: String, cancel: RequestToken) -> Result<i64, Error> {
//!     let mut client = pool.get().await?;
//!     let row = client
//!         .follow(&cancel)
//!         .query_one("SELECT count(*) FROM stock WHERE sku = $1", &[&sku])
//!         .await?;
//!     Ok(row.get(0))
//! }
//!
//! fn connect() -> Result<Pool, deadpool_postgres::BuildError> {
//!     let config: Config = "host=localhost user=shop".parse().expect("it is well-formed");
//!     let manager = deadpool_postgres::Manager::new(config.clone(), NoTls);
//!     let pool = deadpool_postgres::Pool::builder(manager).max_size(16).build()?;
//!     Ok(Pool::new(pool, &config, NoTls))
//! }
//!
//! # fn main() { connect().unwrap(); }
//! ```
//!
//! A [`Transaction`] that is dropped before its commit is rolled back. A commit that is cut has an unknown outcome
//! and is never reported as anything else. [The guide](followthrough::guide::databases) says how to handle that,
//! and what this crate costs.

mod cancel;
mod commit;
mod error;
mod pool;
mod quarantine;
mod session;
mod transaction;

/// The wrapped pool's crate, which re-exports tokio-postgres.
pub use deadpool_postgres;
pub use followthrough::integration::CancelOn;

pub use self::{
    error::Error,
    pool::{Client, Pool},
    session::Session,
    transaction::Transaction,
};
