//! Holds: goods put aside for a client, and put back if the client leaves before the answer.

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::cancellable;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::Db;
use crate::extract::{Json, NewId};
use crate::problem::AppError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    sku: String,
    quantity: i64,
}

#[derive(Serialize)]
pub(crate) struct Hold {
    id: String,
    sku: String,
    quantity: i64,
    shipping_cents: i64,
}

/// `POST /holds`
///
/// A hold that its client does not know of would block goods for ever. So when the client leaves
/// before the answer, a compensation puts the goods back. The id exists before the body begins, so
/// that the compensation knows it wherever the body is cut.
#[cancellable(reversible_write, on_cancel = release(db.clone(), id.clone()))]
#[deadline = "10s"]
pub(crate) async fn create(
    State(db): State<Db>,
    State(App { shipping, .. }): State<App>,
    NewId(id): NewId,
    cancel: CancellationToken,
    Json(wanted): Json<NewHold>,
) -> Result<(StatusCode, Json<Hold>), AppError> {
    let NewHold { sku, quantity } = wanted;
    let item = db.item(&sku).await?.ok_or_else(|| AppError::unknown_sku(&sku))?;
    item.has(quantity)?;
    if !db.hold(&id, &sku, quantity).await? {
        return Err(AppError::conflict(format!("`{sku}` has just sold out")));
    }
    tracing::info!(hold = id, sku, quantity, "put on hold");
    let quote = shipping.quote(&sku, quantity, &cancel).await?;
    Ok((StatusCode::CREATED, Json(Hold { id, sku, quantity, shipping_cents: quote.cents })))
}

/// Undoes `create`, however far it came. The runtime logs and counts an error.
async fn release(db: Db, id: String) -> sqlx::Result<()> {
    if db.release(&id).await? {
        tracing::info!(hold = id, "hold released");
    } else {
        tracing::info!(hold = id, "nothing was on hold yet");
    }
    Ok(())
}
