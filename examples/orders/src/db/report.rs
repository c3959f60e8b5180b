use tokio_util::sync::CancellationToken;

use super::Db;

/// Virtual machine steps between two checks of the token: well under a millisecond.
const STEPS: i32 = 10_000;

/// The answer of `GET /report`.
#[derive(serde::Serialize, sqlx::FromRow)]
pub(crate) struct Report {
    rows: i64,
    checksum: i64,
}

impl Db {
    /// Runs a slow query that stops with its token. Dropping the future of a query does not stop
    /// `SQLite`: the connection would stay busy to the end. So the progress handler, which `SQLite`
    /// calls while it works, reads the token.
    pub(crate) async fn report(
        &self,
        rows: i64,
        cancel: &CancellationToken,
    ) -> sqlx::Result<Report> {
        let mut connection = self.run(self.reads.acquire()).await?;
        let cancel = cancel.clone();
        connection.lock_handle().await?.set_progress_handler(STEPS, move || !cancel.is_cancelled());
        // The pool removes the handler when the connection returns (`open.rs`), dropped or not.
        sqlx::query_as(
            "WITH RECURSIVE sale (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM sale WHERE n < ?)
             SELECT count(*) AS rows, sum(n * 7919 % 101) AS checksum FROM sale",
        )
        .bind(rows)
        .fetch_one(&mut *connection)
        .await
    }
}
