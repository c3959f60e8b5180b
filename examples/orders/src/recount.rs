//! The recount: a long write whose partial results are kept.

use std::time::Duration;

use axum::extract::State;
use followthrough::{RequestToken, cancellable};
use serde::Serialize;

use crate::db::{Db, Item};
use crate::extract::Json;
use crate::problem::AppError;

/// Items that are counted together, or not at all.
pub(crate) const BATCH: usize = 4;

/// How long the weighing of one item takes.
const WEIGHING: Duration = Duration::from_millis(25);

#[derive(Serialize)]
pub(crate) struct Recount {
    counted: usize,
    of: usize,
}

/// `POST /recount`
///
/// Cooperative: the body is not dropped, its token fires, and the body stops at a safe point. A
/// drop could not stop the part on a blocking thread.
#[cancellable(idempotent_write, cooperative)]
pub(crate) async fn run(
    State(db): State<Db>,
    cancel: RequestToken,
) -> Result<Json<Recount>, AppError> {
    let stock = db.inventory().await?;
    let mut counted = 0;
    for batch in stock.chunks(BATCH) {
        if !weigh(batch.to_vec(), cancel.clone()).await {
            let cause = cancel.cause().map(|cause| cause.to_string());
            tracing::info!(cause, counted, of = stock.len(), "recount stopped");
            return Ok(Json(Recount { counted, of: stock.len() }));
        }
        db.mark_recounted(batch).await?;
        counted += batch.len();
    }
    tracing::info!(counted, of = stock.len(), "recount finished");
    Ok(Json(Recount { counted, of: stock.len() }))
}

/// Weighs every item on a thread that may block. Returns `false` when told to stop.
async fn weigh(batch: Vec<Item>, cancel: RequestToken) -> bool {
    let weighing = tokio::task::spawn_blocking(move || {
        batch.iter().all(|_item| {
            std::thread::sleep(WEIGHING);
            !cancel.is_cancelled()
        })
    });
    weighing.await.unwrap_or(false)
}
