//! A service of notes, to copy and to change.
//!
//! Begin with `notes.rs`, whose handlers have a policy each.

mod app;
mod config;
mod db;
mod error;
mod extract;
mod notes;

use std::io;
use std::net::SocketAddr;

use followthrough::{BuildError, Lifecycle, Overrides, OverridesError, ShutdownReport};
use tokio::net::TcpListener;

pub use crate::app::router;
pub use crate::config::{Config, ConfigError};
pub use crate::db::Db;

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A `SERVICE_DEADLINE_…` is wrong.
    #[error("cannot use these deadlines: {0}")]
    Deadlines(#[from] OverridesError),
    /// A setting of the lifecycle is out of range.
    #[error("cannot use these settings: {0}")]
    Settings(#[from] BuildError),
    /// The port is taken, or may not be used.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The value of `SERVICE_LISTEN`.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database `{database}`: {error}")]
    Database {
        /// The value of `SERVICE_DATABASE`.
        database: String,
        /// The error of SQLite.
        error: sqlx::Error,
    },
}

/// The service, which listens and does not serve yet.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    address: SocketAddr,
    lifecycle: Lifecycle,
    db: Db,
}

impl Service {
    /// Binds the port and opens the database.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid, the port cannot be bound or the database cannot be opened.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let lifecycle = Lifecycle::builder()
            .grace(config.grace)
            .overrides(Overrides::from_env(config::PREFIX)?)
            .signals(config.signals)
            .build()?;
        let address = config.listen;
        let failed = |error| StartError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let db = Db::open(&config.database).await.map_err(|error| {
            let database = config.database.clone();
            StartError::Database { database, error }
        })?;
        Ok(Self { listener, address, lifecycle, db })
    }

    /// Returns the address that the service listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the lifecycle, whose `shutdown()` ends the service.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Serves until a signal or `lifecycle.shutdown()`, and then until the service has drained.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener has no address.
    pub async fn run(self) -> io::Result<ShutdownReport> {
        let app = router(self.db, &self.lifecycle);
        followthrough::serve(self.listener, app).lifecycle(self.lifecycle).await
    }
}

#[cfg(test)]
mod tests {
    /// Returns the cells of a table of policies without the column `place`, which differs between folders.
    fn cells(table: &str) -> Vec<Vec<&str>> {
        let rows = table.lines().filter(|line| !line.starts_with("---"));
        let mut rows: Vec<Vec<_>> =
            rows.map(|line| line.split('|').map(str::trim).collect()).collect();
        // An empty file has no column: the comparison fails then, with the command that writes the file.
        let place = rows.first().and_then(|heads| heads.iter().position(|head| *head == "place"));
        if let Some(place) = place {
            for row in &mut rows {
                row.remove(place);
            }
        }
        rows
    }

    /// A change of a policy is visible in the diff of `policies.txt`, or this test fails.
    #[test]
    fn the_policies_are_those_that_were_reviewed() {
        let now = format!("{:#}", followthrough::policies());
        assert_eq!(
            cells(&now),
            cells(include_str!("../policies.txt")),
            "a policy has changed; if that is meant: cargo run -- policies > policies.txt"
        );
    }
}
