//! How do I stop a query in PostgreSQL when its client leaves?
//!
//! Dropping the future of a query does not stop the query on the server. The pool of `followthrough-sqlx-postgres` cancels
//! it there, so that a read under `#[cancellable(read)]` gives its connection back at once. The write is one durable
//! statement with a transaction, whose `COMMIT` is always answered.

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::routing::get;
use followthrough::{Outcome, RequestToken, Router, cancellable};
use followthrough_sqlx_postgres::{Error, Pool};

/// Creates the table of visits.
///
/// # Errors
///
/// Returns an error if PostgreSQL does.
pub async fn prepare(pool: &Pool) -> Result<(), Error> {
    let mut client = pool.get().await?;
    let table = "CREATE TABLE IF NOT EXISTS visits (at timestamptz NOT NULL DEFAULT now())";
    client.run(async |connection| sqlx::query(table).execute(connection).await).await?;
    Ok(())
}

#[cancellable(read)]
#[deadline = "10s"]
async fn count(State(pool): State<Pool>, cancel: RequestToken) -> Result<String, StatusCode> {
    let counted = async {
        let mut client = pool.get().await?;
        let counted = client.follow(&cancel).run(async |connection| {
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM visits").fetch_one(connection).await
        });
        counted.await
    };
    counted.await.map(|visits| visits.to_string()).map_err(|error| failed(&error))
}

#[cancellable(read)]
#[deadline = "10s"]
async fn visit(State(pool): State<Pool>) -> Result<StatusCode, StatusCode> {
    #[durable_write]
    insert(&pool).await.map_err(|error| failed(&error))?;

    Ok(StatusCode::CREATED)
}

async fn insert(pool: &Pool) -> Result<(), Error> {
    let mut client = pool.get().await?;
    let mut transaction = client.transaction().await?;
    transaction
        .run(async |connection| {
            sqlx::query("INSERT INTO visits DEFAULT VALUES").execute(connection).await
        })
        .await?;
    transaction.commit().await
}

/// Returns the status for an error. A transaction whose `COMMIT` had no answer is not called failed.
fn failed(error: &Error) -> StatusCode {
    tracing::error!(%error, "the database failed");
    match error.outcome() {
        Outcome::NotBegun => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Returns the routes over a database with [its table](prepare).
pub fn app(pool: Pool) -> Router {
    Router::new().route("/visits", get(count).post(visit)).with_state(pool)
}

#[cfg(test)]
mod tests {
    use followthrough::testing::disconnect_at_every_await;
    use followthrough_database_tests::postgres;
    use followthrough_tests::{Server, h1, soon};

    use super::*;
    use crate::ask::{ask, get, json};

    const NAME: &str = "recipe";

    /// Without a PostgreSQL that can be installed, the test prints the reason and ends.
    #[tokio::test]
    async fn a_read_ends_on_the_server_and_a_write_lands() {
        let Some(postgres) = postgres() else { return };
        let pool = Pool::new(postgres.sqlx_pool(NAME, 1));
        prepare(&pool).await.unwrap();
        let app = app(pool);

        let mut expected = 0;
        let request = json("POST", "/visits", "");
        let summary = disconnect_at_every_await(app.clone(), request, async |cut| {
            expected += i32::from(cut.is_begun() || !cut.was_cut());
            assert_eq!(ask(&app, get("/visits")).await.1, expected.to_string());
        })
        .await;
        assert!(summary.begun() > 0, "{summary}");

        // The count waits for this lock until its client hangs up.
        let lock = postgres.inspector().await;
        lock.client.batch_execute("BEGIN; LOCK TABLE visits").await.unwrap();
        // A connection in a transaction sees the activity of its first look only.
        let inspector = postgres.inspector().await;
        let server = Server::start(app.into_axum()).await;
        let call = h1::send(server.at, "GET", "/visits").await;
        let is_waiting = async |wanted: bool| loop {
            let activity = inspector.activity(NAME).await;
            let waits =
                activity.iter().any(|(state, sql)| state == "active" && sql.contains("count"));
            if waits == wanted {
                return;
            }
        };
        soon("the query", is_waiting(true)).await;
        call.hang_up();
        soon("the end of the query", is_waiting(false)).await;
        server.stop().await;
    }
}
