//! The database: embedded SQLite.

use std::time::Duration;

use serde::Serialize;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

/// The database; a clone is the same one.
#[derive(Clone, Debug)]
pub struct Db(SqlitePool);

/// A note.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub(crate) struct Note {
    pub(crate) id: i64,
    pub(crate) text: String,
}

impl Db {
    /// Opens the database in the file `database`, and creates it if it is missing. `:memory:` is a new database in
    /// memory.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is no database.
    pub async fn open(database: &str) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new().busy_timeout(Duration::from_secs(5));
        let (options, connections) = if database == ":memory:" {
            // A database in memory belongs to its connection, so the pool keeps that one.
            (options.in_memory(true), 1)
        } else {
            let file = options.filename(database).create_if_missing(true);
            (file.journal_mode(SqliteJournalMode::Wal), 8)
        };
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            // The pool closes a connection whose test is cut, and a database in memory is lost with it.
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        sqlx::raw_sql(include_str!("schema.sql")).execute(&pool).await?;
        Ok(Self(pool))
    }

    /// Stores a note.
    pub(crate) async fn insert(&self, text: &str) -> sqlx::Result<Note> {
        sqlx::query_as("INSERT INTO notes (text) VALUES (?) RETURNING id, text")
            .bind(text)
            .fetch_one(&self.0)
            .await
    }

    /// Returns a note.
    pub(crate) async fn note(&self, id: i64) -> sqlx::Result<Option<Note>> {
        sqlx::query_as("SELECT id, text FROM notes WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.0)
            .await
    }

    /// Returns the number of notes.
    ///
    /// # Errors
    ///
    /// Returns an error if the query fails.
    pub async fn count(&self) -> sqlx::Result<i64> {
        sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&self.0).await
    }
}
