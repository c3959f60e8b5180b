//! The service: its start, and its run to the end.

use std::error::Error;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use followthrough::idempotency::MemoryStore;
use followthrough::{
    BuildError, Idempotency, Lifecycle, LifecycleBuilder, Overrides, OverridesError, Router, Scope,
    ShutdownReport,
};
use followthrough_outbox::Relay;
use tokio::net::TcpListener;

use crate::app::{self, App};
use crate::cli::Settings;
use crate::db::{Db, Location, OpenError};
use crate::events::Events;
use crate::operations::{History, Operations};
use crate::peers::{Payments, Provider, Shipping, Warehouse};

/// Why the service did not start, in one line each.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot use these settings: {0}")]
    Settings(BuildError),
    #[error("cannot use these deadlines: {0}")]
    Overrides(OverridesError),
    #[error("cannot read `{}`: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    #[error("cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("cannot start a peer: {0}")]
    Peer(io::Error),
    #[error("cannot use the database `{location}`: {error}")]
    Database { location: Location, error: OpenError },
}

/// The service, which listens and does not serve yet.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) db: Db,
    pub(crate) provider: Provider,
    pub(crate) operations: Option<Operations>,
    app: App,
    listener: TcpListener,
    warehouse: Warehouse,
}

/// Returns the builder of a lifecycle with the operator's deadlines: from a file, or for one start
/// from the environment, as in `ORDERS_DEADLINE_ORDERS__REPORT__RUN=500ms`.
pub(crate) fn with_deadlines(file: Option<&Path>) -> Result<LifecycleBuilder, StartError> {
    let mut lifecycle = Lifecycle::builder().idempotency(keys());
    if let Some(file) = file {
        let text = fs::read_to_string(file)
            .map_err(|error| StartError::File { file: file.to_owned(), error })?;
        lifecycle =
            lifecycle.overrides(Overrides::from_toml(&text).map_err(StartError::Overrides)?);
    }
    let environment = Overrides::from_env("ORDERS").map_err(StartError::Overrides)?;
    Ok(lifecycle.overrides(environment))
}

/// Returns where the answers to requests with an `Idempotency-Key` are kept, and whose keys they are.
///
/// The store is this process's memory, so a restart forgets the records. A store in a database goes
/// here. A service with customers has `Scope::by`.
pub fn keys() -> Idempotency {
    let scope = Scope::global("the example has no customers, and its clients choose random keys");
    Idempotency::new(MemoryStore::new(), scope)
}

/// The latencies around the service.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Every SQL statement.
    pub statement: Duration,
    /// A quote of the shipping service.
    pub quote: Duration,
    /// A charge of the payment provider: long enough to hang up in between.
    pub charge: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            statement: Duration::ZERO,
            quote: Duration::from_millis(200),
            charge: Duration::from_millis(800),
        }
    }
}

/// Returns all routes over an in-memory database, for another server than [`followthrough::serve`].
/// The orders have no relay there, because a worker needs a process that lives between requests.
///
/// # Errors
///
/// If a peer or the database does not start.
pub async fn routes(
    lifecycle: &Lifecycle,
    latency: Latency,
) -> Result<Router, Box<dyn Error + Send + Sync>> {
    shop(lifecycle, latency).await.map(|(routes, _)| routes)
}

/// Returns the same routes with the books of their payment provider, for tests.
///
/// # Errors
///
/// If a peer or the database does not start.
pub async fn shop(
    lifecycle: &Lifecycle,
    latency: Latency,
) -> Result<(Router, Provider), Box<dyn Error + Send + Sync>> {
    let shipping = Shipping::start(latency.quote).await?;
    let (payments, provider) = Payments::start(latency.charge).await?;
    let db = Db::open(&Location::Memory, latency.statement).await?;
    let app = App { db, shipping, payments, events: Events::new() };
    Ok((app::router(app, lifecycle), provider))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

impl Service {
    /// Binds the port first and opens the database last, so that a start that fails leaves nothing
    /// behind. `signals` says whether SIGTERM and Ctrl-C end the service.
    pub(crate) async fn start(settings: &Settings, signals: bool) -> Result<Self, StartError> {
        let mut lifecycle = with_deadlines(settings.deadlines.as_deref())?
            .grace(settings.grace)
            .max_durable_writes(settings.max_durable_writes)
            .signals(signals);
        if let Some(read_grace) = settings.read_grace {
            lifecycle = lifecycle.read_grace(read_grace);
        }
        let history = settings.operations.map(|_| History::default());
        if let Some(history) = history.clone() {
            lifecycle = lifecycle.observer(history).deadline_headroom(true);
        }
        let lifecycle = lifecycle.build().map_err(StartError::Settings)?;

        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
        let (listener, address) = listen(address).await?;
        let operations = match settings.operations {
            Some(at) => Some(listen(at).await?),
            None => None,
        };

        let latency = Latency { statement: settings.slow, ..Latency::default() };
        let shipping = Shipping::start(latency.quote).await.map_err(StartError::Peer)?;
        let (payments, provider) =
            Payments::start(latency.charge).await.map_err(StartError::Peer)?;
        let events = Events::new();
        let warehouse = Warehouse::start(events.clone()).await.map_err(StartError::Peer)?;

        let db = Db::open(&settings.db, latency.statement)
            .await
            .map_err(|error| StartError::Database { location: settings.db.clone(), error })?;
        let app = App { db: db.clone(), shipping, payments, events };
        let operations = operations.zip(history).map(|((listener, address), history)| {
            Operations::start(listener, address, &lifecycle, history)
        });
        Ok(Self { address, lifecycle, db, provider, operations, app, listener, warehouse })
    }

    /// Serves until a signal or `lifecycle.shutdown()`, and then until the service has drained.
    pub(crate) async fn run(self) -> io::Result<ShutdownReport> {
        let Self { lifecycle, db, app, listener, warehouse, .. } = self;
        let relay = Relay::new(db.outbox(), warehouse);
        lifecycle.spawn("outbox", |stop| relay.run(stop));
        let routes = app::router(app, &lifecycle);
        followthrough::serve(listener, routes).lifecycle(lifecycle).await
    }
}
