//! Relays of the outbox under test.

use std::time::{Duration, Instant};

use followthrough::Lifecycle;
use followthrough_outbox::{PostgresOutbox, Relay};
use tokio::time::{sleep, timeout};

use super::{PATIENCE, Plan, tally::Measured, witness::Witness};
use crate::database;

/// Measures the time until the last message is marked as sent.
pub(super) async fn measure(url: &str, plan: &Plan, witness: Witness) -> Measured {
    let lifecycle = Lifecycle::builder().signals(false).build().expect("the settings are valid");
    let pool = database::open(url, "proof", 1).await;
    let mut relays = Vec::new();
    for _ in 0..plan.relays {
        // Each has a pool of its own, as in a process of its own.
        let outbox = PostgresOutbox::new(database::open(url, "relay", 4).await);
        relays.push(Relay::new(outbox, witness.clone()));
    }
    let begin = Instant::now();
    for relay in relays {
        lifecycle.spawn("outbox", |stop| relay.run(stop));
    }
    let marked = async {
        witness.all().await;
        while is_any_unsent(&pool).await {
            sleep(Duration::from_millis(1)).await;
        }
        begin.elapsed()
    };
    let took = timeout(PATIENCE, marked).await.expect("the relays publish all rows");
    lifecycle.shutdown();
    lifecycle.drained().await;
    Measured::new(plan, took, &witness)
}

async fn is_any_unsent(pool: &sqlx::PgPool) -> bool {
    const UNSENT: &str =
        "SELECT EXISTS (SELECT FROM followthrough_outbox WHERE in_line AND key IS NOT NULL)";
    sqlx::query_scalar(UNSENT).fetch_one(pool).await.expect("the server answers")
}
