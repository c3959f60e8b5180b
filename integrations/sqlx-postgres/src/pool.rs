//! The pool.

use std::{sync::Arc, time::Duration};

use followthrough::{Outcome, integration::CancelOn};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::runtime::Handle;

use super::{client::Client, error::Error, quarantine::Shared};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The number of connections for cancel requests, which are short.
const CONTROL_CONNECTIONS: u32 = 2;

/// A pool to which a connection returns only when its backend is idle. Cloning is cheap.
#[derive(Clone)]
pub struct Pool {
    inner: PgPool,
    shared: Arc<Shared>,
}

impl Pool {
    /// Wraps `pool`. Cancel requests use at most two separate connections, which are opened on demand and closed
    /// after an idle minute.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let control = PgPoolOptions::new()
            .max_connections(CONTROL_CONNECTIONS)
            .idle_timeout(Duration::from_mins(1))
            .connect_lazy_with((*pool.connect_options()).clone());
        Self { inner: pool, shared: Arc::new(Shared { control, timeout: TIMEOUT }) }
    }

    /// Sets how long a backend may take to answer work that was cut, or a commit. After that its connection is
    /// closed and the pool has room for another one. Default: 5 s.
    ///
    /// A statement under a `DurableToken` has no such limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let control = self.shared.control.clone();
        self.shared = Arc::new(Shared { control, timeout });
        self
    }

    /// Returns a connection, like sqlx's `acquire`. `get` sends an additional query, because sqlx does not expose
    /// the backend's process ID.
    ///
    /// # Errors
    ///
    /// Returns an error, like sqlx's, if no connection became free in time or none could be made.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the place in the queue, and no connection.
    pub async fn get(&self) -> Result<Client, Error> {
        let not_begun = |error| Error::sqlx(error, Outcome::NotBegun);
        let mut connection = self.inner.acquire().await.map_err(not_begun)?;
        let backend = sqlx::query_scalar("SELECT pg_backend_pid()");
        let backend = backend.fetch_one(&mut *connection).await.map_err(not_begun)?;
        Ok(Client {
            connection: Some(connection),
            backend,
            shared: Arc::clone(&self.shared),
            runtime: Handle::current(),
            follow: CancelOn::default(),
            in_transaction: false,
            limited: false,
        })
    }

    /// Returns the wrapped pool, for its size and its options.
    pub const fn inner(&self) -> &PgPool {
        &self.inner
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("inner", &self.inner)
            .field("timeout", &self.shared.timeout)
            .finish_non_exhaustive()
    }
}
