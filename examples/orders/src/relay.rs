//! The relay: delivers every order to the warehouse, at least once.

use std::time::Duration;

use followthrough::{ShutdownToken, background};

use crate::db::Db;
use crate::events::Events;
use crate::peers::Warehouse;
use crate::problem::AppError;

/// The pause between two reads of the outbox.
const PAUSE: Duration = Duration::from_millis(100);

/// Delivers the letters of the outbox until it is told to stop. The next start delivers the rest.
#[background]
pub(crate) async fn relay(stop: ShutdownToken, db: Db, warehouse: Warehouse, events: Events) {
    while !stop.is_cancelled() {
        if let Err(error) = deliver(&stop, &db, &warehouse, &events).await {
            tracing::warn!(%error, "delivery will be tried again");
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
    tracing::info!("relay stopped");
}

/// Delivers the letter first, then marks it. A cut in between delivers the letter twice, and never
/// loses it.
async fn deliver(
    stop: &ShutdownToken,
    db: &Db,
    warehouse: &Warehouse,
    events: &Events,
) -> Result<(), AppError> {
    for letter in db.undelivered().await? {
        if stop.is_cancelled() {
            break;
        }
        warehouse.deliver(&letter, &stop.token()).await?;
        db.mark_delivered(&letter).await?;
        tracing::info!(order = letter.order_id, "order delivered to the warehouse");
        events.send(letter);
    }
    Ok(())
}
