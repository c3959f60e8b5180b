//! Opening the database: created on the first start, left alone if it is not ours, and removed
//! again if the start that created it fails.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use super::Db;

/// `PRAGMA application_id` of our files; `schema.sql` writes it.
const APPLICATION_ID: i32 = 0x4F52_4452;

/// Where the database lives: `--db`.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    Memory,
    File(PathBuf),
}

impl FromStr for Location {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == ":memory:" { Self::Memory } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str(":memory:"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("it is not a file")]
    NotAFile,
    #[error("it is read-only")]
    ReadOnly,
    #[error("it is the database of another program")]
    Foreign,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sqlite(#[from] sqlx::Error),
}

impl Db {
    /// Opens the database, and creates it when there is none.
    pub(crate) async fn open(location: &Location, slow: Duration) -> Result<Self, OpenError> {
        match location {
            Location::Memory => {
                // An in-memory database belongs to its connection: one, for reads and writes, kept.
                let pool = pool(SqliteConnectOptions::new().in_memory(true), 1).await?;
                prepare(&pool).await?;
                Ok(Self { reads: pool.clone(), writes: pool, slow })
            }
            Location::File(path) => {
                let claim = Claim::new(path)?;
                let db = Self::open_file(path, slow).await?;
                claim.keep();
                Ok(db)
            }
        }
    }

    async fn open_file(path: &Path, slow: Duration) -> Result<Self, OpenError> {
        // Absolute, because SQLite reads a name like `file:x` as a URI.
        let options = SqliteConnectOptions::new().filename(std::path::absolute(path)?);
        // Before write-ahead logging is switched on, which would change a stranger's file.
        let first = pool(options.clone(), 1).await?;
        let prepared = prepare(&first).await;
        first.close().await;
        prepared?;

        let options = options.journal_mode(SqliteJournalMode::Wal);
        let writes = pool(options.clone(), 8).await?;
        let reads = pool(options.read_only(true), 4).await?;
        Ok(Self { reads, writes, slow })
    }
}

async fn pool(options: SqliteConnectOptions, connections: u32) -> sqlx::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        // A connection whose test is cut is closed, and a database in memory would go with it.
        .test_before_acquire(false)
        // A cancelled report leaves its progress handler behind (`report.rs`).
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.lock_handle().await?.remove_progress_handler();
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}

/// Creates the tables in a new database, and refuses one that is not ours or cannot be written.
async fn prepare(pool: &SqlitePool) -> Result<(), OpenError> {
    let mut connection = pool.acquire().await?;
    let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await?;
    match (id, tables) {
        (APPLICATION_ID, _) => {
            sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut *connection).await?;
        }
        (0, 0) => {
            sqlx::raw_sql(include_str!("schema.sql")).execute(&mut *connection).await?;
        }
        _ => return Err(OpenError::Foreign),
    }
    Ok(())
}

/// A database file that we may write. If it did not exist before, it is removed on drop, unless
/// the start got through and kept it.
struct Claim(Option<PathBuf>);

impl Claim {
    fn new(path: &Path) -> Result<Self, OpenError> {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => Ok(Self(Some(path.to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let metadata = fs::metadata(path)?;
                if !metadata.is_file() {
                    return Err(OpenError::NotAFile);
                }
                if metadata.permissions().readonly() {
                    // One that may not even be read says so instead.
                    fs::File::open(path)?;
                    return Err(OpenError::ReadOnly);
                }
                OpenOptions::new().read(true).write(true).open(path)?;
                Ok(Self(None))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        for suffix in ["", "-wal", "-shm"] {
            let mut name = OsString::from(path);
            name.push(suffix);
            // The start has failed already; that the file stays is not worth a second message.
            let _ = fs::remove_file(name);
        }
    }
}
