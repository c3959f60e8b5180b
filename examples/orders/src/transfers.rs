//! Transfers: goods move from one SKU to another.

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::durable_write;
use serde::{Deserialize, Serialize};

use crate::db::Db;
use crate::extract::Json;
use crate::problem::AppError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTransfer {
    from: String,
    to: String,
    quantity: i64,
}

#[derive(Serialize)]
pub(crate) struct Transfer {
    id: i64,
    from: String,
    to: String,
    quantity: i64,
}

/// `POST /transfers`
///
/// The whole body is durable, because a stopped transfer would save nothing. The deadline limits
/// the wait of the client, and not the transfer.
#[durable_write(reason = "a person is already carrying the boxes")]
#[deadline = "5s"]
pub(crate) async fn create(
    State(db): State<Db>,
    Json(wanted): Json<NewTransfer>,
) -> Result<(StatusCode, Json<Transfer>), AppError> {
    let NewTransfer { from, to, quantity } = wanted;
    if from == to {
        return Err(AppError::invalid("`from` and `to` must differ"));
    }
    db.item(&to).await?.ok_or_else(|| AppError::unknown_sku(&to))?;
    let source = db.item(&from).await?.ok_or_else(|| AppError::unknown_sku(&from))?;
    source.has(quantity)?;
    let moved = db.transfer(&from, &to, quantity).await?;
    let id = moved.ok_or_else(|| AppError::conflict(format!("`{from}` has just sold out")))?;
    tracing::info!(transfer = id, from, to, quantity, "transferred");
    Ok((StatusCode::CREATED, Json(Transfer { id, from, to, quantity })))
}
