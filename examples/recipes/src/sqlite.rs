//! How do I move money in SQLite?
//!
//! The handler reads first, and may stop there: nothing was written. The transaction is one durable statement, from its
//! `BEGIN` to the answer of its `COMMIT`. A client that leaves in between changes nothing, and no `COMMIT` has an unknown
//! outcome.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use followthrough::routing::{get, post};
use followthrough::{Router, cancellable};
use serde::Deserialize;
use sqlx::SqlitePool;

/// Creates two accounts.
///
/// # Errors
///
/// Returns an error if SQLite does.
pub async fn prepare(db: &SqlitePool) -> sqlx::Result<()> {
    let accounts = "CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT;
         INSERT OR IGNORE INTO accounts VALUES ('ann', 100000), ('bob', 0);";
    sqlx::raw_sql(accounts).execute(db).await.map(drop)
}

#[cancellable(read)]
#[deadline = "2s"]
async fn balance(
    State(db): State<SqlitePool>,
    Path(name): Path<String>,
) -> Result<String, StatusCode> {
    let cents = cents(&db, &name).await.map_err(failed)?;
    cents.map(|cents| cents.to_string()).ok_or(StatusCode::NOT_FOUND)
}

#[derive(Deserialize)]
struct Transfer {
    from: String,
    to: String,
    cents: u32,
}

#[cancellable(read)]
#[deadline = "5s"]
async fn transfer(
    State(db): State<SqlitePool>,
    Json(wanted): Json<Transfer>,
) -> Result<StatusCode, StatusCode> {
    cents(&db, &wanted.to).await.map_err(failed)?.ok_or(StatusCode::NOT_FOUND)?;

    #[durable_write]
    let moved = move_money(&db, &wanted).await.map_err(failed)?;

    Ok(if moved { StatusCode::NO_CONTENT } else { StatusCode::CONFLICT })
}

async fn cents(db: &SqlitePool, name: &str) -> sqlx::Result<Option<i64>> {
    let cents = sqlx::query_scalar("SELECT cents FROM accounts WHERE name = ?");
    cents.bind(name).fetch_optional(db).await
}

/// Returns `false` if there is too little money. A transaction that is dropped is rolled back.
async fn move_money(db: &SqlitePool, wanted: &Transfer) -> sqlx::Result<bool> {
    let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
    let take = "UPDATE accounts SET cents = cents - ?1 WHERE name = ?2 AND cents >= ?1";
    let take = sqlx::query(take).bind(wanted.cents).bind(&wanted.from);
    if take.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let give = sqlx::query("UPDATE accounts SET cents = cents + ? WHERE name = ?");
    give.bind(wanted.cents).bind(&wanted.to).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn failed(error: sqlx::Error) -> StatusCode {
    tracing::error!(%error, "the database failed");
    StatusCode::INTERNAL_SERVER_ERROR
}

/// Returns the routes over a database with [its accounts](prepare).
pub fn app(db: SqlitePool) -> Router {
    Router::new()
        .route("/accounts/{name}", get(balance))
        .route("/transfers", post(transfer))
        .with_state(db)
}

#[cfg(test)]
mod tests {
    use followthrough::testing::disconnect_at_every_await;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;
    use crate::ask::{ask, get, json};

    async fn bank() -> Router {
        // A database in memory belongs to its connection, so the pool keeps that one.
        let one = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        let db = one.connect_with(SqliteConnectOptions::new().in_memory(true)).await.unwrap();
        prepare(&db).await.unwrap();
        app(db)
    }

    async fn balance(app: &Router, name: &str) -> i64 {
        ask(app, get(&format!("/accounts/{name}"))).await.1.parse().unwrap()
    }

    #[tokio::test]
    async fn a_transfer_has_happened_or_not() {
        let bank = bank().await;
        let request = json("POST", "/transfers", r#"{"from":"ann","to":"bob","cents":1}"#);
        let mut moved = 0;
        let summary = disconnect_at_every_await(bank.clone(), request, async |cut| {
            moved += i64::from(cut.is_begun() || !cut.was_cut());
            assert_eq!(balance(&bank, "bob").await, moved);
            assert_eq!(balance(&bank, "ann").await, 100_000 - moved);
        })
        .await;
        assert!(summary.begun() > 0 && summary.begun() < summary.cut(), "{summary}");
    }

    #[tokio::test]
    async fn a_transfer_is_refused_before_anything_is_written() {
        let bank = bank().await;
        for (status, request) in [
            (StatusCode::NOT_FOUND, r#"{"from":"ann","to":"eve","cents":1}"#),
            (StatusCode::CONFLICT, r#"{"from":"bob","to":"ann","cents":1}"#),
        ] {
            assert_eq!(ask(&bank, json("POST", "/transfers", request)).await.0, status);
        }
        assert_eq!((balance(&bank, "ann").await, balance(&bank, "bob").await), (100_000, 0));
    }
}
