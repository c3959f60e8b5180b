//! The stage: the real service on a free port with a fresh database file, and a separate connection
//! to that file.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use followthrough::{Lifecycle, ShutdownReport};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tracing_subscriber::filter::Targets;

use super::logbook::Logbook;
use crate::cli::{ReportFormat, Settings};
use crate::db::{Db, Location};
use crate::peers::Provider;
use crate::service::Service;

/// The limit of requests past their point of no return on this stage.
pub(super) const LIMIT: usize = 3;

/// Longer than any step takes, unless it never ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon the server has to notice that a client has left.
pub(super) const NOTICE: Duration = Duration::from_millis(100);

pub(super) struct Stage {
    pub(super) server: SocketAddr,
    pub(super) lifecycle: Lifecycle,
    pub(super) log: Logbook,
    pub(super) provider: Provider,
    pub(super) expected: Expected,
    pub(super) goods_at_start: i64,
    running: JoinHandle<io::Result<ShutdownReport>>,
    db: Db,
    books: SqlitePool,
    _directory: TempDir,
}

/// The expected counts of the shutdown report, from the scenes so far.
#[derive(Default)]
pub(super) struct Expected {
    /// Requests past their point of no return, and cooperative ones.
    pub(super) durable: u64,
    pub(super) disconnects: u64,
    pub(super) deadlines: u64,
    pub(super) refused: u64,
}

/// The contents of the database.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct Facts {
    pub(super) orders: i64,
    pub(super) outbox: i64,
    pub(super) holds: i64,
    pub(super) transfers: i64,
    pub(super) tea: i64,
    pub(super) coffee: i64,
    pub(super) kettles: i64,
    pub(super) recounted: i64,
    /// All goods in stock, ordered or on hold. Transfers leave the sum unchanged.
    pub(super) goods: i64,
}

impl Stage {
    pub(super) async fn build(log: Logbook) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("tour.db");
        let settings = Settings {
            port: 0,
            db: Location::File(file.clone()),
            grace: Duration::from_secs(10),
            read_grace: Some(Duration::from_millis(500)),
            slow: Duration::from_millis(100),
            deadlines: None,
            max_durable_writes: LIMIT,
            operations: None,
            report: ReportFormat::Text,
            log: Targets::new(),
        };
        let service = Service::start(&settings, false).await?;
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let mut stage = Self {
            server: service.address,
            lifecycle: service.lifecycle.clone(),
            log,
            provider: service.provider.clone(),
            expected: Expected::default(),
            goods_at_start: 0,
            db: service.db.clone(),
            books: SqlitePoolOptions::new().max_connections(1).connect_with(options).await?,
            running: tokio::spawn(service.run()),
            _directory: directory,
        };
        stage.goods_at_start = stage.facts().await?.goods;
        Ok(stage)
    }

    /// Reads the database through a separate connection.
    pub(super) async fn facts(&self) -> sqlx::Result<Facts> {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM orders) AS orders,
                    (SELECT count(*) FROM followthrough_outbox) AS outbox,
                    (SELECT count(quantity) FROM holds) AS holds,
                    (SELECT count(*) FROM transfers) AS transfers,
                    (SELECT quantity FROM stock WHERE sku = 'tea') AS tea,
                    (SELECT quantity FROM stock WHERE sku = 'coffee') AS coffee,
                    (SELECT quantity FROM stock WHERE sku = 'kettle') AS kettles,
                    (SELECT count(*) FROM stock WHERE recounts > 0) AS recounted,
                    (SELECT sum(quantity) FROM stock)
                        + (SELECT coalesce(sum(quantity), 0) FROM orders)
                        + (SELECT coalesce(sum(quantity), 0) FROM holds) AS goods",
        )
        .fetch_one(&self.books)
        .await
    }

    /// Waits until `so` holds of the database. Returns `false` after a time-out.
    pub(super) async fn until_facts(&self, so: impl Fn(&Facts) -> bool) -> sqlx::Result<bool> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if so(&self.facts().await?) {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(false)
    }

    /// Waits until `so` holds. Returns `false` after a time-out.
    pub(super) async fn until(&self, so: impl Fn() -> bool) -> bool {
        until(PATIENCE, so).await
    }

    /// Waits for a line of the log.
    pub(super) async fn until_logged(&self, mark: usize, words: &[&str]) -> bool {
        self.until(|| !self.log.find(mark, words).is_empty()).await
    }

    /// Waits for the log line that this handler's client has left, within the allowed time.
    pub(super) async fn noticed(&self, mark: usize, handler: &str) -> bool {
        let words = [handler, "client_disconnected"];
        until(NOTICE, || !self.log.find(mark, &words).is_empty()).await
    }

    /// Waits until a report keeps `SQLite` busy. Returns `false` after a time-out.
    pub(super) async fn until_database_busy(&self) -> bool {
        self.until(|| self.db.busy_reads() > 0).await
    }

    /// Waits until the database is idle. Returns `false` after a time-out.
    pub(super) async fn until_database_idle(&self) -> bool {
        until(Duration::from_millis(500), || self.db.busy_reads() == 0).await
    }

    /// Waits for the end of the service.
    pub(super) async fn report(&mut self) -> Result<ShutdownReport, Box<dyn Error>> {
        Ok(tokio::time::timeout(Duration::from_secs(15), &mut self.running).await???)
    }
}

async fn until(patience: Duration, so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience {
        if so() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    so()
}
