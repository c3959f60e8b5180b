//! Opening the database: the first start creates it, a foreign file stays as it is, and a start
//! that fails removes the file that it created.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use followthrough_outbox::SqliteOutbox;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use super::Db;

/// The `PRAGMA application_id` of this service's files, which `schema.sql` writes.
const APPLICATION_ID: i32 = 0x4F52_4452;

/// The value of `--db`.
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
    #[error("there is no such file")]
    Missing,
    #[error("it is the memory of another process: the service needs `--db FILE` as well")]
    InMemory,
    #[error("it is older than the outbox: start the service with it once")]
    WithoutOutbox,
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
                // An in-memory database belongs to its connection, so reads and writes share one
                // kept connection.
                let pool = pool(SqliteConnectOptions::new().in_memory(true), 1).await?;
                prepare(&pool).await?;
                let db = Self { reads: pool.clone(), writes: pool, slow };
                db.outbox().migrate().await?;
                Ok(db)
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
        // SQLite reads a relative name like `file:x` as a URI.
        let options = SqliteConnectOptions::new().filename(std::path::absolute(path)?);
        // The check comes before write-ahead logging, which would change a foreign file.
        let first = pool(options.clone(), 1).await?;
        let prepared = prepare(&first).await;
        first.close().await;
        prepared?;

        let options = options.journal_mode(SqliteJournalMode::Wal);
        let writes = pool(options.clone(), 8).await?;
        let reads = pool(options.read_only(true), 4).await?;
        let db = Self { reads, writes, slow };
        // At each start, because the file may be older than the outbox.
        db.outbox().migrate().await?;
        Ok(db)
    }
}

/// Opens the outbox of a database file that a service has made and may have open.
pub(crate) async fn open_outbox(location: &Location) -> Result<SqliteOutbox, OpenError> {
    let Location::File(path) = location else { return Err(OpenError::InMemory) };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(OpenError::NotAFile),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Missing),
        Err(error) => return Err(error.into()),
    }
    let pool = pool(SqliteConnectOptions::new().filename(std::path::absolute(path)?), 1).await?;
    let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&pool).await?;
    if id != APPLICATION_ID {
        return Err(OpenError::Foreign);
    }
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = 'followthrough_outbox'";
    match sqlx::query_scalar::<_, i64>(table).fetch_one(&pool).await? {
        0 => Err(OpenError::WithoutOutbox),
        _ => Ok(SqliteOutbox::new(pool)),
    }
}

async fn pool(options: SqliteConnectOptions, connections: u32) -> sqlx::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        // A connection whose test is cut is closed, and an in-memory database would be lost with
        // it.
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

/// Creates the tables in a new database. Refuses a file of another program and a read-only file.
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

/// A database file that this process may write. If the file did not exist before, dropping the
/// claim removes it, unless the start succeeded and kept it.
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
                    // A file without read permission gives its own error.
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
            // The start has already failed, so an error of the removal is not reported.
            let _ = fs::remove_file(name);
        }
    }
}
