//! A bare loop, which locks rows, publishes them and marks them in one transaction. The loop keeps no order.

use std::time::Instant;

use followthrough_outbox::{Message, StoredMessage};
use futures_util::future::try_join_all;
use sqlx::{PgPool, Row as _};
use tokio::{task::JoinSet, time::timeout};

use super::{PATIENCE, Plan, tally::Measured, witness::Witness};
use crate::database;

const SELECT: &str = "
    SELECT number, id::text, topic, key, headers, payload FROM bare_outbox
    WHERE sent_at IS NULL ORDER BY number LIMIT 100 FOR UPDATE SKIP LOCKED";
const UPDATE: &str =
    "UPDATE bare_outbox SET sent_at = statement_timestamp() WHERE number = ANY ($1)";

/// Measures the time until no task finds a row.
pub(super) async fn measure(url: &str, plan: &Plan, witness: Witness) -> Measured {
    let mut pools = Vec::new();
    for _ in 0..plan.relays {
        pools.push(database::open(url, "bare", 1).await);
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for pool in pools {
        let witness = witness.clone();
        tasks.spawn(async move {
            while batch(&pool, &witness).await.expect("the server answers") > 0 {}
        });
    }
    let took = timeout(PATIENCE, async {
        tasks.join_all().await;
        begin.elapsed()
    });
    Measured::new(plan, took.await.expect("the tasks publish all rows"), &witness)
}

async fn batch(pool: &PgPool, witness: &Witness) -> Result<usize, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let rows = sqlx::query(SELECT).fetch_all(&mut *tx).await?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        let message =
            Message::new(row.try_get::<&str, _>("topic")?, row.try_get::<&[u8], _>("payload")?)
                .key(row.try_get::<&str, _>("key")?);
        let message = StoredMessage::for_test(row.try_get::<&str, _>("id")?, message);
        messages.push((row.try_get::<i64, _>("number")?, message));
    }
    let publishing = messages.iter().map(|(number, message)| witness.publish_as(*number, message));
    try_join_all(publishing).await.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
    let numbers: Vec<i64> = messages.iter().map(|(number, _)| *number).collect();
    sqlx::query(UPDATE).bind(numbers).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(messages.len())
}
