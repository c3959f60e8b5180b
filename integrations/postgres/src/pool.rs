//! The pool and its clients.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use deadpool_postgres::tokio_postgres::{
    Config,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio::{net::TcpStream, runtime::Handle};

use super::{
    CancelOn, cancel::Server, error::Error, quarantine::Shared, session::Session,
    transaction::Transaction,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// A pool to which a connection returns only when its backend is idle. Cloning is cheap.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    shared: Arc<Shared>,
}

impl Pool {
    /// Wraps `pool`. Cancel requests go to the hosts of `config`, with the encryption `tls`. Pass the same
    /// `config` and `tls` as to the manager of `pool`.
    ///
    /// Get connections from this wrapper only, because the wrapped pool does not know which queries were cut.
    pub fn new<T>(pool: deadpool_postgres::Pool, config: &Config, tls: T) -> Self
    where
        T: MakeTlsConnect<TcpStream> + Clone + Send + Sync + 'static,
        T::TlsConnect: Send,
        T::Stream: Send,
        <T::TlsConnect as TlsConnect<TcpStream>>::Future: Send,
    {
        let cancel = Arc::new(Server::new(config, tls));
        Self { inner: pool, shared: Arc::new(Shared { cancel, timeout: TIMEOUT }) }
    }

    /// Sets how long a backend may take to answer a query that was cut, or a commit. After that its connection is
    /// closed and the pool has room for another one. Default: 5 s.
    ///
    /// A statement under a `DurableToken` has no such limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        let cancel = Arc::clone(&self.shared.cancel);
        self.shared = Arc::new(Shared { cancel, timeout });
        self
    }

    /// Returns a connection, like deadpool's `get`.
    ///
    /// # Errors
    ///
    /// Returns an error, like deadpool's, if no connection became free in time or none could be made.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the place in the queue, and no connection.
    pub async fn get(&self) -> Result<Client, Error> {
        let object = self.inner.get().await.map_err(Error::pool)?;
        let session = Session {
            object: Some(object),
            shared: Arc::clone(&self.shared),
            runtime: Handle::current(),
            follow: CancelOn::default(),
            in_transaction: false,
        };
        Ok(Client { session })
    }

    /// Returns the wrapped pool, for its size and its status.
    pub const fn inner(&self) -> &deadpool_postgres::Pool {
        &self.inner
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("inner", &self.inner)
            .field("timeout", &self.shared.timeout)
            .finish_non_exhaustive()
    }
}

/// A connection of a [`Pool`], with the statements of a [`Session`]. Dropping it returns the connection to the
/// pool.
#[derive(Debug)]
pub struct Client {
    session: Session,
}

impl Client {
    /// Begins a transaction at the isolation level of the session. Execute `SET TRANSACTION …` as its first
    /// statement for another level.
    ///
    /// # Errors
    ///
    /// The same as those of a statement of a [`Session`].
    ///
    /// # Cancel safety
    ///
    /// The same as that of a statement of a [`Session`]. No transaction stays open.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(&mut self.session).await
    }
}

impl Deref for Client {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}
