//! The rows that a round publishes.

use sqlx::{AssertSqlSafe, PgPool};

use super::Plan;
use crate::stream::TOPIC;

pub(super) const OURS: &str = "followthrough_outbox";
pub(super) const BARE: &str = "bare_outbox";

// The columns of the outbox, and the one index that the loop reads.
const BARE_TABLE: &str = "
    CREATE TABLE bare_outbox (LIKE followthrough_outbox INCLUDING DEFAULTS INCLUDING IDENTITY);
    ALTER TABLE bare_outbox ADD PRIMARY KEY (number);
    CREATE INDEX bare_outbox_unsent ON bare_outbox (number) WHERE sent_at IS NULL";

pub(super) async fn create_bare_table(pool: &PgPool) {
    sqlx::raw_sql(BARE_TABLE).execute(pool).await.expect("the table is new");
}

/// Replaces the rows of a table. The keys take turns.
pub(super) async fn fill(pool: &PgPool, table: &str, plan: &Plan) {
    let Plan { rows, keys, .. } = plan;
    let statements = [
        format!("TRUNCATE {table} RESTART IDENTITY"),
        format!(
            "INSERT INTO {table} (topic, key, payload)
            SELECT '{TOPIC}', 'key-' || number % {keys}, convert_to(rpad(number::text, 200), 'UTF8')
            FROM generate_series(1, {rows}) AS number"
        ),
        format!("VACUUM ANALYZE {table}"),
        "CHECKPOINT".to_owned(),
    ];
    for statement in statements {
        let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await;
        done.expect("the statement is valid");
    }
}
