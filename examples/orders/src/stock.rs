//! The stock of one SKU: a read, and a write that sets it.

use axum::extract::State;
use followthrough::cancellable;
use serde::Deserialize;

use crate::db::{Db, Item};
use crate::extract::{Json, Path};
use crate::problem::AppError;

/// The highest quantity of one SKU.
const MAX_QUANTITY: i64 = 1_000_000;

/// `GET /stock/{sku}`
#[cancellable(read)]
#[deadline = "5s"]
pub(crate) async fn show(
    State(db): State<Db>,
    Path(sku): Path<String>,
) -> Result<Json<Item>, AppError> {
    let item = db.item(&sku).await?;
    item.map(Json).ok_or_else(|| AppError::no_item(&sku))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Level {
    quantity: i64,
}

/// `PUT /stock/{sku}`
///
/// A repetition has the same effect. So when the client leaves, the write may stop; the client can
/// repeat the request.
#[cancellable(idempotent_write)]
#[deadline = "5s"]
pub(crate) async fn set(
    State(db): State<Db>,
    Path(sku): Path<String>,
    Json(level): Json<Level>,
) -> Result<Json<Item>, AppError> {
    if !(0..=MAX_QUANTITY).contains(&level.quantity) {
        return Err(AppError::invalid(format!("`quantity` must be from 0 to {MAX_QUANTITY}")));
    }
    let item = db.set_stock(&sku, level.quantity).await?;
    let item = item.ok_or_else(|| AppError::no_item(&sku))?;
    tracing::info!(sku = item.sku, quantity = item.quantity, "stock set");
    Ok(Json(item))
}
